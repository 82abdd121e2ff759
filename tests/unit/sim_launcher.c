/* The simulated launcher, calls and secrets. Processes outlive the daemon that started them; they
 * die with their machine. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/sim_world.h"

/* --- secrets
 * ---------------------------------------------------------------------------------------------- */

struct fetch {
	struct happening h;
	struct secrets_request *request;
};

static void answer_fetch(struct fetch *f, const char *error)
{
	size_t n = strv_length(f->request->names);
	char **values = error ? NULL : xcalloc(n + 1, sizeof(*values));

	for (size_t i = 0; !error && i < n; i++)
		values[i] = xasprintf("value-of-%s", f->request->names[i]);
	f->request->done(f->request, error, values);
	free(f);
}

static void fetched(struct sim *sim, struct happening *h)
{
	struct fetch *f = container_of(h, struct fetch, h);
	struct host *host = h->host;

	answer_fetch(f, sim_chance(sim, sim->options.faults) ? "the secret X is not there" : NULL);
	host_run(host);
}

static void fetch_cut(struct sim *sim, struct happening *h)
{
	answer_fetch(container_of(h, struct fetch, h), "the daemon died");
}

void sim_secrets_take(struct sim *sim, usec_t span)
{
	sim->secrets_take = span;
}

static void port_fetch(void *self, struct secrets_request *r)
{
	struct host *host = self;
	struct fetch *f = xnew(struct fetch);
	usec_t in = host->sim->secrets_take;

	f->request = r;
	if (sim_chance(host->sim, host->sim->options.faults))
		in = (usec_t)(sim_random(host->sim) % (20 * USEC_SEC));
	sim_at_host(host, &f->h, in, fetched, fetch_cut);
}

/* --- processes
 * ---------------------------------------------------------------------------------------------- */

static bool same_place(const struct action_place *a, const struct action_place *b)
{
	return a->cell == b->cell && a->step == b->step && a->attempt == b->attempt &&
	       str_eq(a->run_id, b->run_id) && str_eq(a->action, b->action);
}

static struct process **bucket_of(struct sim *sim, const struct action_place *p)
{
	unsigned h =
		((p->cell * 31 + p->step) * 31 + p->attempt) * 31 + (unsigned char)p->run_id[35];

	return &sim->process_buckets[h % SIM_BUCKETS];
}

static struct process *process_at(const struct host *host, const struct action_place *place)
{
	struct process *p = *bucket_of(host->sim, place);

	while (p && (p->host != host || p->folder_gone || !same_place(&p->place, place)))
		p = p->bucket;
	return p;
}

static char *port_directory(void *self, const struct action_place *p)
{
	return xasprintf("/state/actions/%s/%u/%u.%u", p->run_id, p->cell, p->step, p->attempt);
}

static void tell_end(struct process *p, struct launch *l)
{
	struct host *host = p->host;
	enum stop_reason stop = p->stop ? p->stop : p->timed_out ? STOP_TIMED_OUT : p->script.stop;
	struct action_status status = {
		.end = p->died ? END_INTERRUPTED
		       : stop  ? END_SIGNALLED
			       : END_EXITED,
		.code = stop || p->died ? 0 : p->script.code,
		.signal = stop && !p->died ? 15 : 0,
		.stop = p->died ? STOP_NONE : stop,
		.started_at = p->started_at,
		.ended_at = p->ended_at,
		.max_rss = 1 << 20,
	};
	const char *output = p->died ? NULL : p->script.output;
	struct artifact artifacts[5] = {
		{.path = "output", .data = (char *)output, .len = output ? strlen(output) : 0},
	};

	core_action_ended(host->core, l, &status, artifacts, l->n_artifacts);
}

static void tell_all(struct process *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->watched); i++) {
		struct launch *l = TAKE_PTR(p->watched[i]);

		if (l)
			tell_end(p, l);
	}
	host_run(p->host);
}

static void end_told(struct sim *sim, struct happening *h)
{
	tell_all(container_of(h, struct process, tell));
}

static void process_ended(struct sim *sim, struct happening *h)
{
	struct process *p = container_of(h, struct process, end);

	p->ended = true;
	p->ended_at = host_now(p->host);
	if (p->script.dies && !p->stop)
		p->died = true;
	sim_trace(sim, "host %u: %s ends%s", p->host->index, p->cell, p->died ? " unseen" : "");
	if (sim_chance(sim, sim->options.faults * 5)) /* a shim that is slow to report */
		sim_at_host(p->host, &p->tell, (usec_t)(sim_random(sim) % (5 * USEC_MINUTE)),
			end_told, NULL);
	else if (!p->host->stopped)
		tell_all(p);
}

void launcher_tell_late(struct host *host)
{
	list_for_each(node, &host->sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		if (p->host == host && p->ended && !heap_has(&p->tell.at))
			tell_all(p);
	}
}

static void watch(struct process *p, struct launch *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->watched); i++)
		if (!p->watched[i]) {
			p->watched[i] = l;
			return;
		}
	sim_broken(p->sim, "%s is watched too often", p->cell);
}

/* Something to be said of a launch. */
struct notice {
	struct happening h;
	struct launch *launch;
};

static void say_never(struct host *host, struct launch *l, enum action_end end, bool lease_over,
	const char *message)
{
	struct action_status never = {
		.end = end, .lease_over = lease_over, .message = (char *)message};

	core_action_ended(host->core, l, &never, NULL, 0);
}

static void notice_cut(struct sim *sim, struct happening *h)
{
	struct notice *n = container_of(h, struct notice, h);

	say_never(h->host, n->launch, END_INTERRUPTED, false, NULL);
	free(n);
}

static void found(struct sim *sim, struct happening *h)
{
	struct notice *n = container_of(h, struct notice, h);
	struct host *host = h->host;
	struct process *p = process_at(host, &n->launch->place);
	struct launch *l = n->launch;

	free(n);
	if (!p) {
		say_never(
			host, l, host->boot_known ? END_NOT_STARTED : END_INTERRUPTED, false, NULL);
	} else if (p->ended) {
		tell_end(p, l);
	} else {
		watch(p, l);
		core_action_started(host->core, l, p->started_at, true);
	}
	host_run(host);
}

static void say_soon(struct host *host, struct launch *l, usec_t in,
	void (*happen)(struct sim *sim, struct happening *h))
{
	struct notice *n = xnew(struct notice);

	n->launch = l;
	sim_at_host(host, &n->h, in, happen, notice_cut);
}

static void port_find(void *self, struct launch *l)
{
	say_soon(self, l, 500, found);
}

static usec_t span_of(struct process *p, const struct launch *l)
{
	usec_t takes = p->script.takes ? p->script.takes : USEC_SEC;

	p->latest = p->sim->boot + l->timeout + MIN(p->script.deaf, l->kill_after);
	if (!p->script.hangs && takes <= l->timeout)
		return takes;
	p->timed_out = true;
	return l->timeout + MIN(p->script.deaf, l->kill_after);
}

static void begin_process(struct sim *sim, struct happening *h)
{
	struct notice *n = container_of(h, struct notice, h);
	struct launch *l = n->launch;
	struct host *host = h->host;
	struct process *p;

	free(n);
	if (host_boot(host) >= l->start_before) {
		say_never(host, l, END_NOT_STARTED, true, "the lease was over");
		host_run(host);
		return;
	}
	if (sim_chance(sim, sim->options.faults)) { /* no process more can be had */
		say_never(host, l, END_NOT_STARTED, false, NULL);
		host_run(host);
		return;
	}
	if (process_at(host, &l->place))
		sim_broken(sim, "started twice: %s %s %s.%u %s", l->run_name, l->cell_name,
			l->step_name, l->place.attempt, l->place.action);
	p = xnew(struct process);
	if (sim->options.script)
		p->script = sim->options.script(sim, &l->place, l->cell_name, l->step_name);
	if (p->script.never) {
		say_never(host, l, END_NOT_STARTED, false, p->script.never);
		free(p);
		host_run(host);
		return;
	}
	store_check_lease(host, "a process begins");
	host->boot_known = true;
	p->sim = sim;
	p->host = host;
	p->boot = host->boots;
	p->place = l->place;
	p->cell = xstrdup(l->cell_name);
	p->started_at = host_now(host);
	list_append(&sim->processes, &p->link);
	p->bucket = *bucket_of(sim, &p->place);
	*bucket_of(sim, &p->place) = p;
	sim_trace(sim, "host %u: starts %s/%s/%s.%u %s", host->index, l->run_name, l->cell_name,
		l->step_name, l->place.attempt, l->place.action);
	if (sim->options.watcher.effect)
		sim->options.watcher.effect(sim->options.watcher.self, &l->place, l->epoch);
	watch(p, l);
	sim_at(sim, &p->end, span_of(p, l), process_ended);
	core_action_started(host->core, l, host_now(host), false);
	host_run(host);
}

static void port_start(void *self, struct launch *l)
{
	struct host *host = self;
	usec_t in = 300;

	if (!l->argv)
		sim_broken(host->sim, "a start without argv");
	store_check_lease(host, "a start is asked for");
	if (sim_chance(host->sim, host->sim->options.faults)) /* a busy machine */
		in = (usec_t)(sim_random(host->sim) % (12 * USEC_SEC));
	say_soon(host, l, in, begin_process);
}

/* A shim asked to stop before it began its child: as the real one does, it never begins it. */
static void port_stop(void *self, struct launch *l, enum stop_reason reason)
{
	struct host *host = self;
	struct process *p = process_at(host, &l->place);

	if (!p) {
		l->start_before = 0;
		return;
	}
	if (p->ended || p->stop)
		return;
	p->stop = reason;
	sim_at(host->sim, &p->end, 100 * USEC_MSEC + MIN(p->script.deaf, l->kill_after),
		process_ended);
}

/* --- http
 * ------------------------------------------------------------------------------------------------------------
 */

/* The made-up kind writes its place into the URL. */
static void place_of_url(const char *url, struct action_place *ret)
{
	const char *p = strstr(url, "/state/actions/");

	*ret = (struct action_place){0};
	if (!p || sscanf(p, "/state/actions/%36[^/]/%u/%u.%u/%31s", ret->run_id, &ret->cell,
			  &ret->step, &ret->attempt, ret->action) != 5)
		ret->run_id[0] = '\0';
}

static void call_over(struct call *c, int status, const char *error)
{
	list_remove(&c->link);
	if (c->call) {
		c->call->adapter = NULL;
		c->call->done(c->call, status, error, status ? "{}" : NULL, status ? 2 : 0);
	}
	if (c->query) {
		c->query->adapter = NULL;
		c->query->done(c->query, error, status ? "{}" : NULL, status ? 2 : 0);
	}
	free(c);
}

/* 0: none came, and *ret_error says why. */
static int status_of(struct sim *sim, const struct call *c, const char **ret_error)
{
	if (c->hangs)
		*ret_error = "no answer within its time";
	else if (sim_chance(sim, sim->options.faults * 5))
		*ret_error = "the connection was reset";
	else if (sim_chance(sim, sim->options.faults * 5))
		return 503;
	else if (!sim->options.answer || !c->call || c->place.run_id[0])
		return 200;
	else
		return sim->options.answer(sim, c->call->request.url);
	return 0;
}

static void answered(struct sim *sim, struct happening *h)
{
	struct call *c = container_of(h, struct call, h);
	struct host *host = h->host;
	const char *error = "no answer";
	int status = status_of(sim, c, &error);

	call_over(c, status, status ? NULL : error);
	host_run(host);
}

static void call_cut(struct sim *sim, struct happening *h)
{
	call_over(container_of(h, struct call, h), 0, "the daemon died");
}

/* Some are never answered: then the port gives up. */
static void answer_later(struct host *host, struct call *c)
{
	c->hangs = sim_chance(host->sim, host->sim->options.faults * 5);
	sim_at_host(host, &c->h, c->hangs ? USEC_MINUTE : USEC_SEC, answered, call_cut);
}

/* A lane makes one call at a time, and none that changes anything without the lease. */
static void check_lane(struct host *host, const struct http_call *call)
{
	struct store_port store;

	store_ports(host, &store);
	if (!str_eq(call->request.method, "GET") && store.lease(host) <= host_boot(host))
		sim_broken(host->sim, "a lane's call without the lease");
	list_for_each(node, &host->sim->calls)
	{
		const struct call *c = list_entry(node, struct call, link);

		if (c->host == host && c->call && str_eq(c->call->request.url, call->request.url))
			sim_broken(host->sim, "two calls at a time: %s", call->request.url);
	}
}

static void port_http_start(void *self, struct http_call *call)
{
	struct host *host = self;
	struct sim *sim = host->sim;
	struct call *c = xnew(struct call);

	c->host = host;
	place_of_url(call->request.url, &c->place);
	if (!c->place.run_id[0])
		check_lane(host, call);
	c->call = call;
	call->adapter = c;
	list_append(&sim->calls, &c->link);
	if (c->place.run_id[0])
		store_check_lease(host, "a call goes out");
	if (sim->options.watcher.effect && c->place.run_id[0])
		sim->options.watcher.effect(sim->options.watcher.self, &c->place, host->epoch);
	answer_later(host, c);
}

static void port_http_cancel(void *self, struct http_call *call)
{
	struct call *c = call->adapter;

	c->call = NULL;
}

static void port_query_start(void *self, struct query_call *query)
{
	struct host *host = self;
	struct call *c = xnew(struct call);

	c->host = host;
	c->query = query;
	query->adapter = c;
	list_append(&host->sim->calls, &c->link);
	answer_later(host, c);
}

static void port_query_cancel(void *self, struct query_call *query)
{
	struct call *c = query->adapter;

	c->query = NULL;
}

/* --- the whole
 * --------------------------------------------------------------------------------------------------------
 */

void launcher_ports(struct host *host, struct core_ports *ret)
{
	ret->secrets = (struct secrets_port){host, port_fetch};
	ret->launcher = (struct launcher_port){
		host, port_directory, port_start, port_find, port_stop, launcher_prune};
	ret->http = (struct http_port){host, port_http_start, port_http_cancel};
	ret->query = (struct query_port){host, port_query_start, port_query_cancel};
}

/* The daemon died: nobody watches its processes any more. */
void launcher_cut(struct host *host)
{
	list_for_each(node, &host->sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		for (size_t i = 0; p->host == host && i < ARRAY_SIZE(p->watched); i++) {
			struct launch *l = TAKE_PTR(p->watched[i]);

			if (l)
				say_never(host, l, END_INTERRUPTED, false, NULL);
		}
	}
}

void launcher_reboot(struct host *host)
{
	host->boot_known = false;
	list_for_each(node, &host->sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		if (p->host != host || p->ended)
			continue;
		p->ended = p->died = true;
		p->ended_at = host_now(host);
		heap_remove(&host->sim->happenings, &p->end.at);
	}
}

void launcher_fini(struct sim *sim)
{
	while (!list_empty(&sim->processes)) {
		struct process *p = list_entry(list_first(&sim->processes), struct process, link);

		list_remove(&p->link);
		heap_remove(&sim->happenings, &p->end.at);
		heap_remove(&sim->happenings, &p->tell.at);
		free(p->cell);
		free(p);
	}
}
