#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/unit.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/made_up.h"
#include "tests/unit/sim.h"
#include "time/instant.h"

/* --- the world ------------------------------------------------------------------------------------ */

/* Something that will happen. */
struct happening {
	struct heap_node at; /* boot */
	void (*happen)(struct sim *sim, struct happening *h);
};

struct row {
	enum store_table table;
	char *key;
	cJSON *json;
};

/* A process: it outlives the core. */
struct process {
	struct happening end;
	struct list link;
	struct sim *sim;
	struct action_place place;
	char *cell;
	struct sim_script script;
	struct launch *watched; /* NULL: nobody does */
	usec_t started_at, ended_at;
	enum stop_reason stop;
	bool ended, reported;
};

struct sim {
	struct sim_options options;
	uint64_t dice;
	usec_t now, boot;
	usec_t wake_boot, wake_now;
	struct heap happenings;
	struct core *core;
	struct spec *spec;
	char *config;
	struct spec_kind specs[16];
	size_t n_kinds;
	struct row *rows;
	size_t n_rows, cap_rows;
	struct list units; /* submitted, not yet durable */
	struct happening commit, read;
	struct list processes;
	struct list reads, secrets;
	uint64_t epoch;
	bool away;
	unsigned n_starts;
};

static void at(struct sim *sim, struct happening *h, usec_t in,
	void (*happen)(struct sim *sim, struct happening *h))
{
	h->happen = happen;
	heap_set(&sim->happenings, &h->at, sim->boot + in);
}

uint64_t sim_random(struct sim *sim)
{
	uint64_t z = (sim->dice += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

usec_t sim_now(const struct sim *sim)
{
	return sim->now;
}

void *sim_context(struct sim *sim)
{
	return sim->options.context;
}

struct core *sim_core(struct sim *sim)
{
	return sim->core;
}

/* --- clock and random --------------------------------------------------------------------------------- */

static usec_t port_now(void *self)
{
	return ((struct sim *)self)->now;
}

static usec_t port_boot(void *self)
{
	return ((struct sim *)self)->boot;
}

static void port_wake(void *self, usec_t boot, usec_t now)
{
	struct sim *sim = self;

	sim->wake_boot = boot;
	sim->wake_now = now;
}

static uint64_t port_random(void *self)
{
	return sim_random(self);
}

/* --- store ------------------------------------------------------------------------------------------------ */

static struct row *row_find(struct sim *sim, enum store_table table, const char *key)
{
	for (size_t i = 0; i < sim->n_rows; i++)
		if (sim->rows[i].table == table && str_eq(sim->rows[i].key, key))
			return &sim->rows[i];
	return NULL;
}

/* An upsert: what is not named keeps its value. */
static void row_put(struct sim *sim, const struct store_row *from)
{
	struct row *row = row_find(sim, from->table, from->key);
	cJSON *json, *item, *next;

	assert_int_equal(json_parse(from->json, strlen(from->json), &json), 0);
	if (!row) {
		XGROW(sim->rows, sim->n_rows, sim->cap_rows);
		row = &sim->rows[sim->n_rows++];
		*row = (struct row){from->table, xstrdup(from->key), cJSON_CreateObject()};
	}
	for (item = json->child; item; item = next) {
		next = item->next;
		json_set(row->json, item->string, cJSON_Duplicate(item, true));
	}
	cJSON_Delete(json);
}

static void commit(struct sim *sim, struct happening *h)
{
	struct list batch = LIST_NULL(batch);

	if (sim->away)
		return;
	while (!list_empty(&sim->units)) {
		struct list *node = list_first(&sim->units);

		list_remove(node);
		list_append(&batch, node);
	}
	list_for_each(node, &batch)
	{
		struct store_unit *unit = list_entry(node, struct store_unit, link);

		for (size_t i = 0; i < unit->n; i++)
			row_put(sim, &unit->rows[i]);
	}
	while (!list_empty(&batch)) {
		struct store_unit *unit = list_entry(list_first(&batch), struct store_unit, link);

		list_remove(&unit->link);
		unit->done(unit, NULL);
	}
	core_run(sim->core);
}

static void port_submit(void *self, struct store_unit *unit)
{
	struct sim *sim = self;

	list_append(&sim->units, &unit->link);
	if (!heap_has(&sim->commit.at))
		at(sim, &sim->commit, 1000 + (usec_t)(sim_random(sim) % 4000), commit);
}

static usec_t port_lease(void *self)
{
	struct sim *sim = self;

	return sim->away ? 0 : sim->boot + 8 * USEC_SEC;
}

static cJSON *rows_of_run(struct sim *sim, enum store_table table, const char *run_id)
{
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; i < sim->n_rows; i++)
		if (sim->rows[i].table == table &&
			str_eq(json_string(sim->rows[i].json, "run_id"), run_id))
			cJSON_AddItemToArray(array, cJSON_Duplicate(sim->rows[i].json, true));
	return array;
}

static cJSON *whole_run(struct sim *sim, const cJSON *run)
{
	cJSON *o = cJSON_CreateObject();
	const char *id = json_string(run, "id");
	struct row *definition =
		row_find(sim, TABLE_DEFINITION, json_string(run, "definition"));

	json_set(o, "run", cJSON_Duplicate(run, true));
	json_set_string(o, "definition", json_string(definition->json, "body"));
	json_set(o, "cells", rows_of_run(sim, TABLE_CELL, id));
	json_set(o, "attempts", rows_of_run(sim, TABLE_ATTEMPT, id));
	json_set(o, "actions", rows_of_run(sim, TABLE_ACTION, id));
	return o;
}

static cJSON *load(struct sim *sim)
{
	cJSON *o = cJSON_CreateObject();
	cJSON *jobs = json_set(o, "jobs", cJSON_CreateArray());
	cJSON *runs = json_set(o, "runs", cJSON_CreateArray());

	for (size_t i = 0; i < sim->n_rows; i++) {
		const cJSON *json = sim->rows[i].json;

		if (sim->rows[i].table == TABLE_JOB)
			cJSON_AddItemToArray(jobs, cJSON_Duplicate(json, true));
		if (sim->rows[i].table == TABLE_RUN && !str_eq(json_string(json, "state"), "ended"))
			cJSON_AddItemToArray(runs, whole_run(sim, json));
	}
	return o;
}

static void answer_reads(struct sim *sim, struct happening *h)
{
	while (!list_empty(&sim->reads)) {
		struct list *node = list_first(&sim->reads);
		/* the read's own memory has no link: the owner keeps it in a small shell */
		struct {
			struct list link;
			struct store_read *read;
		} *shell = (void *)node;
		struct store_read *read = shell->read;
		cJSON *result = cJSON_CreateObject();

		list_remove(node);
		free(shell);
		for (size_t i = 0; i < sim->n_rows; i++) {
			const cJSON *json = sim->rows[i].json;

			if (sim->rows[i].table != TABLE_RUN ||
				!str_eq(json_string(json, "job"), read->job))
				continue;
			if (read->type == READ_RUN &&
				(uint64_t)json_int(json, "number", 0) != read->number)
				continue;
			if (read->type == READ_RUN || read->type == READ_LAST_RUN) {
				cJSON_Delete(result);
				result = whole_run(sim, json);
			}
		}
		read->done(read, NULL, result);
	}
	core_run(sim->core);
}

static void port_read(void *self, struct store_read *read)
{
	struct sim *sim = self;
	struct {
		struct list link;
		struct store_read *read;
	} *shell = xcalloc(1, sizeof(*shell));

	shell->read = read;
	list_append(&sim->reads, &shell->link);
	at(sim, &sim->read, 1000, answer_reads);
}

/* --- secrets ---------------------------------------------------------------------------------------------- */

struct fetch {
	struct happening h;
	struct secrets_request *request;
};

static void fetched(struct sim *sim, struct happening *h)
{
	struct fetch *f = container_of(h, struct fetch, h);
	size_t n = strv_length(f->request->names);
	char **values = xcalloc(n + 1, sizeof(*values));

	for (size_t i = 0; i < n; i++)
		values[i] = xasprintf("value-of-%s", f->request->names[i]);
	f->request->done(f->request, NULL, values);
	free(f);
	core_run(sim->core);
}

static void port_fetch(void *self, struct secrets_request *r)
{
	struct fetch *f = xnew(struct fetch);

	f->request = r;
	at(self, &f->h, 200, fetched);
}

/* --- launcher ----------------------------------------------------------------------------------------------- */

static bool same_place(const struct action_place *a, const struct action_place *b)
{
	return str_eq(a->run_id, b->run_id) && a->cell == b->cell && a->step == b->step &&
		a->attempt == b->attempt && str_eq(a->action, b->action);
}

static struct process *process_at(struct sim *sim, const struct action_place *place)
{
	list_for_each(node, &sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		if (same_place(&p->place, place))
			return p;
	}
	return NULL;
}

static char *port_directory(void *self, const struct action_place *p)
{
	return xasprintf("/state/actions/%s/%u/%u.%u", p->run_id, p->cell, p->step, p->attempt);
}

static void tell_end(struct process *p)
{
	struct launch *l = p->watched;
	enum stop_reason stop = p->stop ? p->stop : p->script.stop;
	struct action_status status = {
		.end = stop ? END_SIGNALLED : END_EXITED,
		.code = p->script.code,
		.signal = stop ? 15 : 0,
		.stop = stop,
		.started_at = p->started_at,
		.ended_at = p->ended_at,
		.max_rss = 1 << 20,
	};
	const char *output = p->script.output;
	struct artifact artifacts[5] = {
		{.path = "output", .data = (char *)output, .len = output ? strlen(output) : 0},
	};

	p->watched = NULL;
	p->reported = true;
	core_action_ended(p->sim->core, l, &status, artifacts, l->n_artifacts);
	core_run(p->sim->core);
}

static void process_ended(struct sim *sim, struct happening *h)
{
	struct process *p = container_of(h, struct process, end);

	p->ended = true;
	p->ended_at = sim->now;
	if (p->watched)
		tell_end(p);
}

struct notice_start {
	struct happening h;
	struct sim *sim;
	struct launch *launch;
	bool adopted;
};

static void tell_found(struct sim *sim, struct happening *h)
{
	struct notice_start *n = container_of(h, struct notice_start, h);
	struct process *p = process_at(sim, &n->launch->place);
	struct launch *l = n->launch;

	free(n);
	if (!p) {
		struct action_status never = {.end = END_NOT_STARTED};

		core_action_ended(sim->core, l, &never, NULL, 0);
	} else {
		p->watched = l;
		core_action_started(sim->core, l, p->started_at, true);
		if (p->ended)
			tell_end(p);
	}
	core_run(sim->core);
}

static void port_find(void *self, struct launch *l)
{
	struct notice_start *n = xnew(struct notice_start);

	n->launch = l;
	at(self, &n->h, 500, tell_found);
}

static void begin_process(struct sim *sim, struct happening *h)
{
	struct notice_start *n = container_of(h, struct notice_start, h);
	struct launch *l = n->launch;
	struct process *p = xnew(struct process);

	free(n);
	assert_null(process_at(sim, &l->place)); /* no effect twice */
	p->sim = sim;
	p->place = l->place;
	p->cell = xstrdup(l->cell_name);
	p->started_at = sim->now;
	p->watched = l;
	if (sim->options.script)
		p->script = sim->options.script(sim, &l->place, l->cell_name, l->step_name);
	if (p->script.takes == 0)
		p->script.takes = USEC_SEC;
	list_append(&sim->processes, &p->link);
	sim->n_starts++;
	if (!p->script.hangs)
		at(sim, &p->end, p->script.takes, process_ended);
	else
		at(sim, &p->end, l->timeout, process_ended), p->script.stop = STOP_TIMED_OUT;
	core_action_started(sim->core, l, sim->now, false);
	core_run(sim->core);
}

static void port_start(void *self, struct launch *l)
{
	struct notice_start *n = xnew(struct notice_start);

	assert_non_null(l->argv);
	n->launch = l;
	at(self, &n->h, 300, begin_process);
}

static void port_stop(void *self, struct launch *l, enum stop_reason reason)
{
	struct sim *sim = self;
	struct process *p = process_at(sim, &l->place);

	if (!p || p->ended || p->stop)
		return;
	p->stop = reason;
	at(sim, &p->end, 100 * USEC_MSEC, process_ended);
}

/* --- http: every call is answered well after a second ------------------------------------------------------------ */

struct answer {
	struct happening h;
	struct http_call *call;
};

static void answered(struct sim *sim, struct happening *h)
{
	struct answer *a = container_of(h, struct answer, h);

	if (a->call) {
		a->call->adapter = NULL;
		a->call->done(a->call, 200, NULL, "{}", 2);
	}
	free(a);
	core_run(sim->core);
}

static void port_http_start(void *self, struct http_call *call)
{
	struct answer *a = xnew(struct answer);

	a->call = call;
	call->adapter = a;
	at(self, &a->h, USEC_SEC, answered);
}

static void port_http_cancel(void *self, struct http_call *call)
{
	((struct answer *)call->adapter)->call = NULL;
}

/* --- the core in it ------------------------------------------------------------------------------------------------ */

static const struct kind *kind_or_made_up(const char *name)
{
	return str_eq(name, kind_made_up.spec.name) ? &kind_made_up : kind_by_name(name);
}

static void make_core(struct sim *sim)
{
	static char *unit[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	struct core_ports ports = {
		.machine = "11111111-1111-4111-8111-111111111111",
		.boot_id = "22222222-2222-4222-8222-222222222222",
		.unit_environment = unit,
		.kind = kind_or_made_up,
		.clock = {sim, port_now, port_boot, port_wake},
		.random = {sim, port_random},
		.store = {.self = sim, .submit = port_submit, .read = port_read, .lease = port_lease},
		.secrets = {sim, port_fetch},
		.launcher = {sim, port_directory, port_start, port_find, port_stop},
		.http = {sim, port_http_start, port_http_cancel},
	};

	sim->core = core_new(&ports);
}

struct sim *sim_new(const struct sim_options *o)
{
	struct sim *sim = xnew(struct sim);
	const struct spec_kind *specs = kind_specs(&sim->n_kinds);

	sim->options = *o;
	sim->dice = o->seed;
	sim->now = o->start;
	sim->boot = USEC_HOUR;
	memcpy(sim->specs, specs, sim->n_kinds * sizeof(*specs));
	sim->specs[sim->n_kinds++] = kind_made_up.spec;
	list_init(&sim->units);
	list_init(&sim->processes);
	list_init(&sim->reads);
	make_core(sim);
	return sim;
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

static void configure(struct sim *sim)
{
	struct spec_world world = {
		.zone_bytes = zone_bytes,
		.kinds = sim->specs,
		.n_kinds = sim->n_kinds,
		.default_state = "/state",
	};
	struct complaints complaints = {0};
	_cleanup_node_ struct node *root = NULL;
	_cleanup_json_ cJSON *json = NULL;
	struct spec *spec = NULL;

	assert_int_equal(json_parse(sim->config, strlen(sim->config), &json), 0);
	root = node_from_json(json, "sim");
	spec_load(root, &world, &complaints, &spec);
	for (size_t i = 0; i < complaints.n; i++) {
		_cleanup_free_ char *text = complaint_text(&complaints.items[i]);

		if (!complaints.items[i].is_warning)
			print_error("%s\n", text);
	}
	complaints_fini(&complaints);
	assert_non_null(spec);
	core_configure(sim->core, spec, &world);
}

static void connect_store(struct sim *sim)
{
	_cleanup_json_ cJSON *loaded = load(sim);

	core_store_ready(sim->core, ++sim->epoch, loaded);
	core_run(sim->core);
}

void sim_configure(struct sim *sim, const char *json)
{
	bool first = !sim->config;

	free(sim->config);
	sim->config = xstrdup(json);
	for (char *p = sim->config; *p; p++)
		if (*p == '\'')
			*p = '"';
	configure(sim);
	if (first)
		connect_store(sim);
	core_run(sim->core);
}

static void hand_back_units(struct sim *sim)
{
	while (!list_empty(&sim->units)) {
		struct store_unit *unit =
			list_entry(list_first(&sim->units), struct store_unit, link);

		list_remove(&unit->link);
		unit->done(unit, STORE_LOST);
	}
}

/* What is on its way to the old core goes nowhere. */
static void cut(struct sim *sim, struct happening *h)
{
	struct action_status nothing = {.end = END_INTERRUPTED};

	if (h->happen == fetched) {
		struct fetch *f = container_of(h, struct fetch, h);

		f->request->done(f->request, "the daemon died", NULL);
		free(f);
	} else if (h->happen == answered) {
		struct answer *a = container_of(h, struct answer, h);

		if (a->call)
			a->call->done(a->call, 0, "the daemon died", NULL, 0);
		free(a);
	} else if (h->happen == tell_found || h->happen == begin_process) {
		struct notice_start *n = container_of(h, struct notice_start, h);

		core_action_ended(sim->core, n->launch, &nothing, NULL, 0);
		free(n);
	}
}

/* Everything in memory goes, processes stay: as after kill -9. The old core is taken down in order
 * only so that the leak checker has nothing to say. */
void sim_crash(struct sim *sim)
{
	struct action_status nothing = {.end = END_INTERRUPTED};
	struct heap old = sim->happenings;

	sim->happenings = (struct heap){0};
	hand_back_units(sim);
	core_store_lost(sim->core, "nobody: the daemon died");
	hand_back_units(sim);
	for (size_t i = 0; i < old.n; i++) {
		struct happening *h = container_of(old.nodes[i], struct happening, at);

		h->at.place = 0;
		if (h->happen == process_ended)
			heap_set(&sim->happenings, &h->at, h->at.key);
		else
			cut(sim, h);
	}
	free(old.nodes);
	list_for_each(node, &sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		if (p->watched)
			core_action_ended(sim->core, p->watched, &nothing, NULL, 0);
		p->watched = NULL;
	}
	core_free(sim->core);
	make_core(sim);
	configure(sim);
	sim->away = false;
	connect_store(sim);
}

void sim_store_away(struct sim *sim)
{
	sim->away = true;
	core_store_away(sim->core, "it was switched off");
	core_run(sim->core);
}

void sim_store_back(struct sim *sim)
{
	sim->away = false;
	core_store_ready(sim->core, sim->epoch, NULL);
	if (!list_empty(&sim->units))
		at(sim, &sim->commit, 1000, commit);
	core_run(sim->core);
}

void sim_jump(struct sim *sim, usec_t by)
{
	sim->now += by;
	core_run(sim->core);
}

void sim_free(struct sim *sim)
{
	hand_back_units(sim);
	core_free(sim->core);
	while (!list_empty(&sim->processes)) {
		struct process *p =
			list_entry(list_first(&sim->processes), struct process, link);

		list_remove(&p->link);
		heap_remove(&sim->happenings, &p->end.at);
		free(p->cell);
		free(p);
	}
	for (size_t i = 0; i < sim->n_rows; i++) {
		free(sim->rows[i].key);
		cJSON_Delete(sim->rows[i].json);
	}
	free(sim->rows);
	heap_fini(&sim->happenings);
	free(sim->config);
	free(sim);
}

/* --- time ------------------------------------------------------------------------------------------------------------ */

static void move_to(struct sim *sim, usec_t boot)
{
	if (boot > sim->boot) {
		sim->now += boot - sim->boot;
		sim->boot = boot;
	}
}

/* The next thing: a happening, or the core's wish to be woken. */
static bool step(struct sim *sim, usec_t limit_boot)
{
	struct heap_node *first = heap_first(&sim->happenings);
	usec_t wake = sim->wake_boot, when;

	if (sim->wake_now != USEC_INFINITY)
		wake = MIN(wake, sim->boot + MAX(sim->wake_now - sim->now, 0));
	when = MIN(first ? first->key : USEC_INFINITY, wake);
	if (when == USEC_INFINITY || when > limit_boot)
		return false;
	move_to(sim, when);
	if (first && first->key <= when) {
		heap_remove(&sim->happenings, first);
		container_of(first, struct happening, at)->happen(sim,
			container_of(first, struct happening, at));
	} else {
		core_run(sim->core);
	}
	return true;
}

bool sim_run_until(struct sim *sim, usec_t until)
{
	usec_t boot = sim->boot + (until - sim->now);
	bool any = false;

	while (step(sim, boot))
		any = true;
	move_to(sim, boot);
	return any;
}

static bool any_active(struct sim *sim)
{
	_cleanup_json_ cJSON *status = core_view_status(sim->core);

	return cJSON_GetArraySize(json_get(status, "runs")) > 0 || !list_empty(&sim->units);
}

void sim_settle(struct sim *sim)
{
	usec_t limit = sim->boot + 7 * USEC_DAY;

	while (any_active(sim))
		assert_true(step(sim, limit));
}

/* --- operations --------------------------------------------------------------------------------------------------------- */

struct asked {
	struct core_op op;
	bool done;
	char *answer;
};

static void op_done(struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	struct asked *a = container_of(op, struct asked, op);
	const char *run = json_string(take_result, "run");

	a->done = true;
	a->answer = error ? xasprintf("error: %s", message) : xstrdup(run ? run : "");
	cJSON_Delete(take_result);
}

static char *wait_for(struct sim *sim, struct asked *a)
{
	usec_t limit = sim->boot + USEC_MINUTE;

	core_run(sim->core);
	while (!a->done)
		assert_true(step(sim, limit));
	return a->answer;
}

char *sim_start(struct sim *sim, const char *job, const char *only)
{
	struct asked a = {.op = {.done = op_done, .who = "tester"}};
	_cleanup_free_ char *key = only ? xstrndup(only, strcspn(only, "=")) : NULL;
	struct core_only pair = {key, only ? only + strcspn(only, "=") + 1 : NULL};

	core_start(sim->core, &a.op, job, &pair, only ? 1 : 0);
	return wait_for(sim, &a);
}

char *sim_retry(struct sim *sim, const char *run)
{
	struct asked a = {.op = {.done = op_done, .who = "tester"}};

	core_retry(sim->core, &a.op, run, NULL, 0, false);
	return wait_for(sim, &a);
}

char *sim_cancel(struct sim *sim, const char *ref)
{
	struct asked a = {.op = {.done = op_done, .who = "tester"}};

	core_cancel(sim->core, &a.op, ref);
	return wait_for(sim, &a);
}

char *sim_pause(struct sim *sim, const char *job, bool paused)
{
	struct asked a = {.op = {.done = op_done, .who = "tester"}};

	core_pause(sim->core, &a.op, job, paused);
	return wait_for(sim, &a);
}

/* --- looking ---------------------------------------------------------------------------------------------------------------- */

const cJSON *sim_run_row(struct sim *sim, const char *run)
{
	for (size_t i = 0; i < sim->n_rows; i++) {
		const cJSON *json = sim->rows[i].json;
		char name[128];

		if (sim->rows[i].table != TABLE_RUN)
			continue;
		snprintf(name, sizeof(name), "%s#%lld", json_string(json, "job"),
			(long long)json_int(json, "number", 0));
		if (str_eq(name, run))
			return json;
	}
	return NULL;
}

const cJSON *sim_cell_row(struct sim *sim, const char *run, const char *cell)
{
	const char *id = json_string(sim_run_row(sim, run), "id");

	for (size_t i = 0; i < sim->n_rows; i++)
		if (sim->rows[i].table == TABLE_CELL &&
			str_eq(json_string(sim->rows[i].json, "run_id"), id) &&
			str_eq(json_string(sim->rows[i].json, "name"), cell))
			return sim->rows[i].json;
	return NULL;
}

const char *sim_outcome(struct sim *sim, const char *run, const char *cell)
{
	const char *o = json_string(
		cell ? sim_cell_row(sim, run, cell) : sim_run_row(sim, run), "outcome");

	return o ? o : "";
}

const char *sim_reason(struct sim *sim, const char *run, const char *cell)
{
	const char *r = json_string(sim_cell_row(sim, run, cell), "reason");

	return r ? r : "";
}

unsigned sim_count(struct sim *sim, enum store_table table)
{
	unsigned n = 0;

	for (size_t i = 0; i < sim->n_rows; i++)
		n += sim->rows[i].table == table;
	return n;
}

unsigned sim_starts(struct sim *sim, const char *cell)
{
	unsigned n = 0;

	list_for_each(node, &sim->processes)
		n += !cell || str_eq(list_entry(node, struct process, link)->cell, cell);
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

void sim_each_slot(struct sim *sim, void (*each)(void *arg, const char *job, const char *at,
	const char *fate, const cJSON *row), void *arg)
{
	for (size_t i = 0; i < sim->n_rows; i++) {
		const cJSON *json = sim->rows[i].json;

		if (sim->rows[i].table == TABLE_SLOT)
			each(arg, json_string(json, "job"), json_string(json, "scheduled_for"),
				json_string(json, "fate"), json);
	}
}
