#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/instant.h"
#include "tests/unit/made_up.h"
#include "tests/unit/sim_world.h"

/* --- what everything stands on
 * ------------------------------------------------------------------------ */

uint64_t sim_random(struct sim *sim)
{
	uint64_t z = (sim->dice += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

bool sim_chance(struct sim *sim, unsigned of_1000)
{
	return of_1000 && sim_random(sim) % 1000 < of_1000;
}

void sim_set_faults(struct sim *sim, unsigned of_1000)
{
	sim->options.faults = of_1000;
}

static char *line_of(const struct sim *sim, const char *format, va_list ap)
{
	_cleanup_free_ char *text = xvasprintf(format, ap);
	char at[INSTANT_MAX];

	return xasprintf("%s  %s", instant_format(sim->start + sim->boot, at), text);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
	char **place = &sim->lines[sim->n_lines % ARRAY_SIZE(sim->lines)];
	va_list ap;

	if (sim->options.trace == SIM_TRACE_NONE)
		return;
	va_start(ap, format);
	free(*place);
	*place = line_of(sim, format, ap);
	va_end(ap);
	sim->n_lines++;
	if (sim->options.trace == SIM_TRACE_ALL)
		puts(*place);
}

static void print_last_lines(const struct sim *sim)
{
	size_t most = ARRAY_SIZE(sim->lines);

	for (size_t i = sim->n_lines > most ? sim->n_lines - most : 0; i < sim->n_lines; i++)
		puts(sim->lines[i % most]);
}

void sim_broken(const struct sim *sim, const char *format, ...)
{
	va_list ap;

	if (sim->options.broken) /* to see how it came to that */
		sim->options.broken(sim->options.seed);
	if (sim->options.trace == SIM_TRACE_LAST)
		print_last_lines(sim);
	va_start(ap, format);
	puts(line_of(sim, format, ap));
	va_end(ap);
	printf("seed %llu breaks a rule; all of it: tests/simulate --from %llu --trace\n",
		(unsigned long long)sim->options.seed, (unsigned long long)sim->options.seed);
	fflush(stdout);
	_exit(1);
}

void sim_at(struct sim *sim, struct happening *h, usec_t in,
	void (*happen)(struct sim *sim, struct happening *h))
{
	h->happen = happen;
	h->host = NULL;
	heap_set(&sim->happenings, &h->at, sim->boot + in);
}

void sim_at_host(struct host *host, struct happening *h, usec_t in,
	void (*happen)(struct sim *sim, struct happening *h),
	void (*cut)(struct sim *sim, struct happening *h))
{
	sim_at(host->sim, h, in, happen);
	h->host = host;
	h->cut = cut;
}

usec_t host_boot(const struct host *host)
{
	return host->sim->boot - host->booted_at;
}

usec_t host_now(const struct host *host)
{
	return host->sim->start + host->sim->boot + host->ahead;
}

void host_run(struct host *host)
{
	if (host->core && !host->stopped)
		core_run(host->core);
}

usec_t sim_now(const struct sim *sim)
{
	return host_now(&sim->hosts[0]);
}

void *sim_context(struct sim *sim)
{
	return sim->options.context;
}

struct core *sim_core(struct sim *sim)
{
	return sim->hosts[0].core;
}

/* --- a daemon
 * ------------------------------------------------------------------------------------------- */

static usec_t port_now(void *self)
{
	return host_now(self);
}

static usec_t port_boot(void *self)
{
	return host_boot(self);
}

static void port_wake(void *self, usec_t boot, usec_t now)
{
	struct host *host = self;

	host->wake_boot = boot;
	host->wake_now = now;
}

static uint64_t port_random(void *self)
{
	return sim_random(((struct host *)self)->sim);
}

static void port_notice(void *self, const struct core_notice *n)
{
	const struct host *host = self;

	sim_trace(host->sim, "host %u: %s: %s", host->index, core_event_table[n->event].name,
		n->message);
}

static const struct kind *kind_or_made_up(const char *name)
{
	static const struct kind *const made_up[] = {&kind_made_up, &kind_made_up_plans};

	for (size_t i = 0; i < ARRAY_SIZE(made_up); i++)
		if (str_eq(name, made_up[i]->spec.name))
			return made_up[i];
	return kind_by_name(name);
}

static int zone_bytes(void *context, const char *name, void **ret, size_t *ret_len)
{
	_cleanup_free_ char *path = xasprintf("/usr/share/zoneinfo/%s", name);
	FILE *f = fopen(path, "r");
	char *bytes;

	if (!f)
		return -ENOENT;
	bytes = xmalloc(65536);
	*ret_len = fread(bytes, 1, 65536, f);
	fclose(f);
	*ret = bytes;
	return 0;
}

usec_t sim_true_now(const struct sim *sim)
{
	return sim->start + sim->boot;
}

void sim_spec_world(struct sim *sim, struct spec_world *ret)
{
	*ret = (struct spec_world){
		.zone_bytes = zone_bytes,
		.kinds = sim->specs,
		.n_kinds = sim->n_kinds,
		.default_state = "/state",
	};
}

static void configure(struct host *host)
{
	struct sim *sim = host->sim;
	struct spec_world world;
	struct complaints complaints = {0};
	_cleanup_node_ struct node *root = NULL;
	_cleanup_json_ cJSON *json = NULL;
	struct spec *spec = NULL;

	sim_spec_world(sim, &world);
	if (json_parse(sim->config, strlen(sim->config), &json) < 0)
		sim_broken(sim, "the configuration is no JSON: %s", sim->config);
	root = node_from_json(json, "sim");
	spec_load(root, &world, &complaints, &spec);
	for (size_t i = 0; i < complaints.n; i++) {
		_cleanup_free_ char *text = complaint_text(&complaints.items[i]);

		if (!complaints.items[i].is_warning)
			fprintf(stderr, "%s\n", text);
	}
	complaints_fini(&complaints);
	if (!spec)
		sim_broken(sim, "the configuration is wrong: %s", sim->config);
	core_configure(host->core, spec, &world);
}

static void make_core(struct host *host)
{
	static char *unit[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	struct core_ports ports = {
		.machine = host->machine,
		.boot_id = host->boot_id,
		.unit_environment = unit,
		.kind = kind_or_made_up,
		.clock = {host, port_now, port_boot, port_wake},
		.random = {host, port_random},
		.observer = {host, port_notice},
	};

	store_ports(host, &ports.store);
	launcher_ports(host, &ports);
	host->core = core_new(&ports);
	host->state = HOST_AWAY;
	configure(host);
}

static void new_boot(struct host *host)
{
	host->boots++;
	host->booted_at = host->sim->boot - USEC_MINUTE;
	snprintf(host->boot_id, sizeof(host->boot_id), "22222222-2222-4222-8222-%04u%08u",
		host->index, host->boots);
}

struct sim *sim_new(const struct sim_options *o)
{
	struct sim *sim = xnew(struct sim);
	const struct spec_kind *specs = kind_specs(&sim->n_kinds);

	sim->options = *o;
	sim->dice = o->seed;
	sim->start = o->start - USEC_HOUR;
	sim->boot = USEC_HOUR;
	sim->secrets_take = 200;
	memcpy(sim->specs, specs, sim->n_kinds * sizeof(*specs));
	sim->specs[sim->n_kinds++] = kind_made_up.spec;
	sim->specs[sim->n_kinds++] = kind_made_up_plans.spec;
	list_init(&sim->processes);
	list_init(&sim->calls);
	for (size_t t = 0; t < STORE_TABLES; t++)
		sim->ends[t] = &sim->tables[t];
	for (unsigned i = 0; i < SIM_HOSTS; i++) {
		struct host *host = &sim->hosts[i];

		host->sim = sim;
		host->index = i;
		host->boot_known = true;
		host->wake_boot = host->wake_now = USEC_INFINITY;
		list_init(&host->units);
		list_init(&host->reads);
		snprintf(host->machine, sizeof(host->machine),
			"11111111-1111-4111-8111-11111111111%u", i);
		new_boot(host);
	}
	return sim;
}

void sim_configure(struct sim *sim, const char *json)
{
	bool first = !sim->config;

	free(sim->config);
	sim->config = xstrdup(json);
	for (char *p = sim->config; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (first) {
		sim_host_up(sim, 0);
		return;
	}
	if (sim->options.watcher.slots_anew)
		sim->options.watcher.slots_anew(sim->options.watcher.self);
	for (unsigned i = 0; i < SIM_HOSTS; i++)
		if (sim->hosts[i].core) {
			configure(&sim->hosts[i]);
			host_run(&sim->hosts[i]);
		}
}

/* --- machines that come and go
 * ---------------------------------------------------------------------------- */

void sim_host_up(struct sim *sim, unsigned i)
{
	struct host *host = &sim->hosts[i];

	if (host->core)
		return;
	sim_trace(sim, "host %u: its daemon begins", i);
	make_core(host);
	store_connect(host);
}

/* What is on its way to the old core goes nowhere. */
static void cut_happenings(struct host *host)
{
	struct sim *sim = host->sim;
	struct heap old = sim->happenings;

	size_t n = 0;

	sim->happenings = (struct heap){0};
	for (size_t i = 0; i < old.n; i++) {
		struct happening *h = container_of(old.nodes[i], struct happening, at);

		h->at.place = 0;
		if (h->host != host)
			heap_set(&sim->happenings, &h->at, h->at.key);
		else if (h->cut)
			old.nodes[n++] = &h->at;
	}
	for (size_t i = 0; i < n; i++) {
		struct happening *h = container_of(old.nodes[i], struct happening, at);

		h->cut(sim, h);
	}
	free(old.nodes);
}

/* Everything in memory goes, processes stay: as after kill -9. The old core is taken down in order
 * only so that the leak checker has nothing to say. */
void sim_host_down(struct sim *sim, unsigned i)
{
	struct host *host = &sim->hosts[i];

	if (!host->core)
		return;
	sim_trace(sim, "host %u: its daemon dies", i);
	host_forget_stop(host);
	store_cut(host);
	host->state = HOST_DOWN;
	core_store_lost(host->core, "nobody: the daemon died");
	cut_happenings(host);
	launcher_cut(host);
	core_free(host->core);
	host->core = NULL;
	host->wake_boot = host->wake_now = USEC_INFINITY;
}

void sim_host_reboot(struct sim *sim, unsigned i)
{
	sim_host_down(sim, i);
	sim_trace(sim, "host %u: boots anew", i);
	launcher_reboot(&sim->hosts[i]);
	new_boot(&sim->hosts[i]);
}

void sim_host_away(struct sim *sim, unsigned i)
{
	store_disconnect(&sim->hosts[i], "it was switched off");
}

void sim_host_back(struct sim *sim, unsigned i)
{
	store_connect(&sim->hosts[i]);
}

void sim_host_jump(struct sim *sim, unsigned i, usec_t by)
{
	sim_trace(sim, "host %u: its wall clock jumps by %lld s", i, (long long)(by / USEC_SEC));
	sim->hosts[i].ahead += by;
	host_run(&sim->hosts[i]);
}

bool sim_host_is_up(const struct sim *sim, unsigned i)
{
	return sim->hosts[i].core;
}

bool sim_host_leads(const struct sim *sim, unsigned i)
{
	return sim->hosts[i].state == HOST_LEADS && sim->hosts[i].epoch == sim->leader.epoch;
}

struct core *sim_host_core(const struct sim *sim, unsigned i)
{
	return sim->hosts[i].core;
}

usec_t sim_host_now(const struct sim *sim, unsigned i)
{
	return host_now(&sim->hosts[i]);
}

uint64_t sim_epoch(const struct sim *sim)
{
	return sim->leader.epoch;
}

usec_t sim_boot(const struct sim *sim)
{
	return sim->boot;
}

int sim_leader(const struct sim *sim)
{
	for (unsigned i = 0; i < SIM_HOSTS; i++)
		if (sim_host_leads(sim, i))
			return (int)i;
	return -1;
}

void sim_crash(struct sim *sim)
{
	sim_host_down(sim, 0);
	sim_host_up(sim, 0);
}

void sim_store_away(struct sim *sim)
{
	sim_host_away(sim, 0);
}

void sim_store_back(struct sim *sim)
{
	sim_host_back(sim, 0);
}

void sim_lease_over(struct sim *sim, bool over)
{
	sim->hosts[0].lease_over = over;
}

void sim_jump(struct sim *sim, usec_t by)
{
	sim_host_jump(sim, 0, by);
}

void sim_free(struct sim *sim)
{
	for (unsigned i = 0; i < SIM_HOSTS; i++)
		sim_host_down(sim, i);
	if (sim->n_asked > 0)
		sim_broken(sim, "%u operations were never answered", sim->n_asked);
	launcher_fini(sim);
	store_fini(sim);
	for (size_t i = 0; i < ARRAY_SIZE(sim->lines); i++)
		free(sim->lines[i]);
	heap_fini(&sim->happenings);
	free(sim->config);
	free(sim);
}

/* --- time
 * ------------------------------------------------------------------------------------------------------------
 */

static usec_t host_wake(const struct host *host)
{
	usec_t boot = USEC_INFINITY, wall = USEC_INFINITY;

	if (!host->core || host->stopped)
		return USEC_INFINITY;
	if (host->wake_boot != USEC_INFINITY)
		boot = host->wake_boot + host->booted_at;
	if (host->wake_now != USEC_INFINITY)
		wall = host->wake_now - host->sim->start - host->ahead;
	return MAX(MIN(boot, wall), host->sim->boot);
}

/* The next thing: a happening, or a core's wish to be woken. */
static bool step(struct sim *sim, usec_t limit_boot)
{
	struct heap_node *first = heap_first(&sim->happenings);
	usec_t when = first ? first->key : USEC_INFINITY;
	struct host *waker = NULL;

	for (unsigned i = 0; i < SIM_HOSTS; i++)
		if (host_wake(&sim->hosts[i]) < when) {
			waker = &sim->hosts[i];
			when = host_wake(waker);
		}
	if (when == USEC_INFINITY || when > limit_boot)
		return false;
	sim->boot = MAX(sim->boot, when);
	if (waker) {
		host_run(waker);
	} else {
		struct happening *h = container_of(first, struct happening, at);

		waker = h->host;
		heap_remove(&sim->happenings, first);
		if (waker && waker->stopped)
			host_defer(waker, h);
		else
			h->happen(sim, h);
	}
	if (waker)
		host_may_crash(waker);
	return true;
}

bool sim_run_for(struct sim *sim, usec_t span)
{
	usec_t limit = sim->boot + span;
	bool any = false;

	while (step(sim, limit))
		any = true;
	sim->boot = MAX(sim->boot, limit);
	return any;
}

bool sim_run_until(struct sim *sim, usec_t until)
{
	return sim_run_for(sim, until - sim_now(sim));
}

static bool any_active(const struct sim *sim)
{
	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next)
		if (!str_eq(json_string(row->json, "state"), "ended"))
			return true;
	for (unsigned i = 0; i < SIM_HOSTS; i++)
		if (!list_empty(&sim->hosts[i].units))
			return true;
	return false;
}

static const char *name_active(const struct sim *sim)
{
	static char name[128];

	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next)
		if (!str_eq(json_string(row->json, "state"), "ended"))
			snprintf(name, sizeof(name), "%s#%lld", json_string(row->json, "job"),
				(long long)json_int(row->json, "number", 0));
	return name;
}

void sim_settle(struct sim *sim)
{
	usec_t limit = sim->boot + 7 * USEC_DAY;

	while (any_active(sim))
		if (!step(sim, limit))
			sim_broken(sim, "%s does not end", name_active(sim));
}

/* --- operations
 * ---------------------------------------------------------------------------------------------------------
 */

static void op_done(
	struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	struct sim_asked *a = container_of(op, struct sim_asked, op);
	const char *run = json_string(take_result, "run"), *ref = json_string(take_result, "ref");

	sim_trace(a->sim, "answer to %s: %s", a->what, error ? message : "well");
	if (a->done)
		sim_broken(a->sim, "answered twice: %s", a->what);
	a->done = true;
	a->error = error;
	a->answer = error ? xasprintf("error: %s", message) : xstrdup(run ? run : ref ? ref : "");
	cJSON_Delete(take_result);
	a->sim->n_asked--;
	if (a->detached) {
		free(a->answer);
		free(a);
	}
}

struct sim_asked *sim_ask(struct sim *sim, const char *what)
{
	struct sim_asked *a = xnew(struct sim_asked);

	a->op.done = op_done;
	a->op.who = "tester";
	a->sim = sim;
	a->what = what;
	sim->n_asked++;
	return a;
}

unsigned sim_open_operations(const struct sim *sim)
{
	return sim->n_asked;
}

static char *wait_for(struct sim *sim, struct sim_asked *a)
{
	usec_t limit = sim->boot + USEC_HOUR;
	char *answer;

	host_run(&sim->hosts[0]);
	while (!a->done)
		if (!step(sim, limit))
			sim_broken(sim, "%s is not answered", a->what);
	answer = a->answer;
	free(a);
	return answer;
}

struct only_pair {
	char *key;
	struct core_only only;
};

static struct only_pair only_pair(const char *only)
{
	struct only_pair p = {.key = only ? xstrndup(only, strcspn(only, "=")) : NULL};

	p.only = (struct core_only){p.key, only ? only + strcspn(only, "=") + 1 : NULL};
	return p;
}

char *sim_start(struct sim *sim, const char *job, const char *only)
{
	struct sim_asked *a = sim_ask(sim, "start");
	struct only_pair p = only_pair(only);

	core_start(sim_core(sim), &a->op, job, &p.only, only ? 1 : 0);
	free(p.key);
	return wait_for(sim, a);
}

char *sim_retry_only(struct sim *sim, const char *run, const char *only)
{
	struct sim_asked *a = sim_ask(sim, "retry");
	struct only_pair p = only_pair(only);

	core_retry(sim_core(sim), &a->op, run, &p.only, only ? 1 : 0, false);
	free(p.key);
	return wait_for(sim, a);
}

char *sim_retry(struct sim *sim, const char *run)
{
	return sim_retry_only(sim, run, NULL);
}

char *sim_cancel(struct sim *sim, const char *ref)
{
	struct sim_asked *a = sim_ask(sim, "cancel");

	core_cancel(sim_core(sim), &a->op, ref);
	return wait_for(sim, a);
}

static char *decide(struct sim *sim, const char *ref, const char *hash, bool approved)
{
	struct sim_asked *a = sim_ask(sim, approved ? "approve" : "reject");

	if (!approved)
		a->op.reason = "not tonight";
	core_approve(sim_core(sim), &a->op, ref, hash, approved);
	return wait_for(sim, a);
}

char *sim_approve(struct sim *sim, const char *ref, const char *hash)
{
	return decide(sim, ref, hash, true);
}

static void shown(
	struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	struct sim_asked *a = container_of(op, struct sim_asked, op);

	a->done = true;
	a->answer = error ? xasprintf("error: %s", message) : json_print(take_result);
	cJSON_Delete(take_result);
	a->sim->n_asked--;
}

char *sim_get_approval(struct sim *sim, const char *ref)
{
	struct sim_asked *a = sim_ask(sim, "what waits for approval");

	a->op.done = shown;
	core_get_approval(sim_core(sim), &a->op, ref);
	return wait_for(sim, a);
}

char *sim_reject(struct sim *sim, const char *ref)
{
	return decide(sim, ref, NULL, false);
}

char *sim_pause(struct sim *sim, const char *job, bool paused)
{
	struct sim_asked *a = sim_ask(sim, "pause");

	core_pause(sim_core(sim), &a->op, job, paused);
	return wait_for(sim, a);
}

/* --- looking
 * ----------------------------------------------------------------------------------------------------------------
 */

const cJSON *sim_row(const struct sim *sim, enum store_table table, const char *key)
{
	const struct row *row = row_find(sim, table, key);

	return row ? row->json : NULL;
}

const cJSON *sim_run_row(struct sim *sim, const char *run)
{
	char name[128];

	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next) {
		snprintf(name, sizeof(name), "%s#%lld", json_string(row->json, "job"),
			(long long)json_int(row->json, "number", 0));
		if (str_eq(name, run))
			return row->json;
	}
	return NULL;
}

const cJSON *sim_cell_row(struct sim *sim, const char *run, const char *cell)
{
	const char *id = json_string(sim_run_row(sim, run), "id");

	for (const struct row *row = sim->tables[TABLE_CELL]; row; row = row->next)
		if (str_eq(json_string(row->json, "run_id"), id) &&
			str_eq(json_string(row->json, "name"), cell))
			return row->json;
	return NULL;
}

const char *sim_outcome(struct sim *sim, const char *run, const char *cell)
{
	const char *o =
		json_string(cell ? sim_cell_row(sim, run, cell) : sim_run_row(sim, run), "outcome");

	return o ? o : "";
}

const char *sim_reason(struct sim *sim, const char *run, const char *cell)
{
	const char *r = json_string(sim_cell_row(sim, run, cell), "reason");

	return r ? r : "";
}

unsigned sim_count(struct sim *sim, enum store_table table)
{
	return sim->n_rows[table];
}

void sim_each_row(const struct sim *sim, enum store_table table,
	void (*each)(void *arg, const cJSON *row), void *arg)
{
	for (const struct row *row = sim->tables[table]; row; row = row->next)
		each(arg, row->json);
}

usec_t sim_pruned_before(const struct sim *sim)
{
	return sim->pruned_before;
}

unsigned sim_starts(struct sim *sim, const char *cell)
{
	unsigned n = 0;

	list_for_each(node, &sim->processes) n +=
		!cell || str_eq(list_entry(node, struct process, link)->cell, cell);
	return n;
}

unsigned sim_most_at_once(struct sim *sim, const char *prefix)
{
	unsigned most = 0;

	list_for_each(node, &sim->processes)
	{
		const struct process *p = list_entry(node, struct process, link);
		unsigned n = 0;

		if (!str_starts(p->cell, prefix))
			continue;
		list_for_each(other, &sim->processes)
		{
			const struct process *q = list_entry(other, struct process, link);

			n += str_starts(q->cell, prefix) && q->started_at <= p->started_at &&
			     (!q->ended || q->ended_at > p->started_at);
		}
		most = MAX(most, n);
	}
	return most;
}

void sim_each_effect(
	const struct sim *sim, void (*each)(void *arg, const struct action_place *place), void *arg)
{
	list_for_each(node, &sim->processes)
	{
		const struct process *p = list_entry(node, struct process, link);

		if (!p->ended)
			each(arg, &p->place);
	}
	list_for_each(node, &sim->calls)
	{
		const struct call *c = list_entry(node, struct call, link);

		/* what a daemon still has out that leads no more has ended for everybody else */
		if (sim_host_leads(sim, c->host->index) && c->call && c->place.run_id[0])
			each(arg, &c->place);
	}
}

void sim_each_slot(struct sim *sim,
	void (*each)(
		void *arg, const char *job, const char *at, const char *fate, const cJSON *row),
	void *arg)
{
	for (const struct row *row = sim->tables[TABLE_SLOT]; row; row = row->next)
		each(arg, json_string(row->json, "job"), json_string(row->json, "scheduled_for"),
			json_string(row->json, "fate"), row->json);
}
