/* The simulated store: rows, commits in batches, the leader's row and its fence.
 *
 * Happy path: submit -> commit some milliseconds later -> done. Failures: a commit may be slow, or
 * be made while its answer is lost (the units are sent again); the store may be away for one
 * machine; another machine may have taken the leadership: then units come back with STORE_LOST. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/sim_world.h"

#define PATIENCE (10 * USEC_SEC) /* of a standby */
#define LEASE	 (8 * USEC_SEC)
#define RENEWAL	 (3 * USEC_SEC)

/* --- rows
 * ------------------------------------------------------------------------------------------ */

static struct row **bucket_of(const struct sim *sim, enum store_table table, const char *key)
{
	uint32_t h = 2166136261u ^ (uint32_t)table;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return (struct row **)&sim->buckets[h % SIM_BUCKETS];
}

struct row *row_find(const struct sim *sim, enum store_table table, const char *key)
{
	for (struct row *row = *bucket_of(sim, table, key); row; row = row->bucket)
		if (row->table == table && str_eq(row->key, key))
			return row;
	return NULL;
}

static struct row *row_new(struct sim *sim, enum store_table table, const char *key)
{
	struct row **bucket = bucket_of(sim, table, key), *row = xnew(struct row);

	row->table = table;
	row->key = xstrdup(key);
	row->bucket = *bucket;
	*bucket = row;
	*sim->ends[table] = row;
	sim->ends[table] = &row->next;
	sim->n_rows[table]++;
	return row;
}

void row_remove(struct sim *sim, struct row *row)
{
	struct row **at = bucket_of(sim, row->table, row->key);

	while (*at != row)
		at = &(*at)->bucket;
	*at = row->bucket;
	for (at = &sim->tables[row->table]; *at != row;)
		at = &(*at)->next;
	*at = row->next;
	if (sim->ends[row->table] == &row->next)
		sim->ends[row->table] = at;
	sim->n_rows[row->table]--;
	free(row->key);
	cJSON_Delete(row->json);
	free(row);
}

/* An upsert: what is not named keeps its value. */
static void row_put(struct sim *sim, const struct store_row *from)
{
	struct row *row = row_find(sim, from->table, from->key);
	cJSON *json;

	if (from->table == TABLE_AUDIT || (row && from->table == TABLE_DEFINITION))
		return;
	if (json_parse(from->json, strlen(from->json), &json) < 0)
		sim_broken(sim, "a row is no JSON: %s", from->json);
	if (!row)
		row = row_new(sim, from->table, from->key);
	while (row->json && row->json->child) {
		cJSON *kept = cJSON_DetachItemViaPointer(row->json, row->json->child);

		if (cJSON_GetObjectItemCaseSensitive(json, kept->string))
			cJSON_Delete(kept);
		else
			json_set(json, kept->string, kept);
	}
	cJSON_Delete(row->json);
	row->json = json;
}

/* The watcher sees what a commit left behind: a unit that is sent again may repeat an older row
 * first. */
static void unit_show(struct sim *sim, const struct store_unit *unit)
{
	for (size_t i = 0; i < unit->n; i++) {
		struct row *row = row_find(sim, unit->rows[i].table, unit->rows[i].key);

		if (row)
			sim->options.watcher.row(
				sim->options.watcher.self, row->table, row->json, &row->mark);
	}
}

static void units_apply(struct sim *sim, const struct list *units, unsigned most)
{
	unsigned n = 0;

	list_for_each(node, units)
	{
		struct store_unit *unit = list_entry(node, struct store_unit, link);

		for (size_t i = 0; n < most && i < unit->n; i++)
			row_put(sim, &unit->rows[i]);
		n++;
	}
	n = 0;
	list_for_each(node, units)
	{
		if (n++ < most && sim->options.watcher.row)
			unit_show(sim, list_entry(node, struct store_unit, link));
	}
}

/* --- commits
 * -------------------------------------------------------------------------------------------- */

static void hand_back(struct host *host)
{
	while (!list_empty(&host->units)) {
		struct store_unit *unit =
			list_entry(list_first(&host->units), struct store_unit, link);

		list_remove(&unit->link);
		unit->done(unit, STORE_LOST);
	}
}

static void lose(struct host *host)
{
	sim_trace(host->sim, "host %u: leads no more", host->index);
	hand_back(host);
	host->leads = host->loaded = host->late = false;
	host->epoch = 0;
	host->state = HOST_STANDBY;
	core_store_lost(host->core, "the other machine");
	host_run(host);
	hand_back(host);
}

static void back_again(struct sim *sim, struct happening *h)
{
	struct host *host = container_of(h, struct host, take);

	store_connect(host);
}

static void lose_answer(struct host *host)
{
	struct sim *sim = host->sim;
	unsigned some = (unsigned)(sim_random(sim) % 8);

	sim_trace(
		sim, "host %u: the answer of a commit is lost (%u units made)", host->index, some);
	units_apply(sim, &host->units, some);
	store_disconnect(host, "the answer was lost");
	sim_at_host(
		host, &host->take, (usec_t)(sim_random(sim) % (20 * USEC_SEC)), back_again, NULL);
}

static void commit(struct sim *sim, struct happening *h)
{
	struct host *host = container_of(h, struct host, commit);
	struct list batch = LIST_NULL(batch);

	if (host->state == HOST_STANDBY)
		hand_back(host);
	if (host->state != HOST_LEADS)
		return;
	if (host->epoch != sim->leader.epoch) {
		lose(host);
		return;
	}
	if (sim_chance(sim, sim->options.faults)) {
		lose_answer(host);
		return;
	}
	units_apply(sim, &host->units, UINT32_MAX);
	while (!list_empty(&host->units)) {
		struct list *node = list_first(&host->units);

		list_remove(node);
		list_append(&batch, node);
	}
	while (!list_empty(&batch)) {
		struct store_unit *unit = list_entry(list_first(&batch), struct store_unit, link);

		list_remove(&unit->link);
		unit->done(unit, NULL);
	}
	host_run(host);
}

static void commit_soon(struct host *host)
{
	struct sim *sim = host->sim;
	usec_t in = 1000 + (usec_t)(sim_random(sim) % 4000);

	if (sim_chance(sim, sim->options.faults)) /* stalled */
		in += (usec_t)(sim_random(sim) % (2 * USEC_MINUTE));
	if (!heap_has(&host->commit.at))
		sim_at_host(host, &host->commit, in, commit, NULL);
}

static void port_submit(void *self, struct store_unit *unit)
{
	struct host *host = self;

	list_append(&host->units, &unit->link);
	if (host->state == HOST_LEADS)
		commit_soon(host);
	else if (host->state == HOST_STANDBY && !heap_has(&host->commit.at))
		sim_at_host(host, &host->commit, 1000, commit, NULL);
}

/* The last renewal that a connected leader has sent, and that was confirmed. */
static usec_t renewed(const struct sim *sim)
{
	return sim->boot - sim->boot % RENEWAL;
}

/* On the world's clock; 0: it has none. */
static usec_t lease_end(const struct host *host)
{
	if (!host->leads)
		return 0;
	if (host->state == HOST_LEADS && !host->late)
		return renewed(host->sim) + LEASE;
	return host->lease_end;
}

static usec_t port_lease(void *self)
{
	const struct host *host = self;

	return host->lease_over ? 0 : MAX(lease_end(host) - host->booted_at, 0);
}

void store_check_lease(const struct host *host, const char *what)
{
	if (host->sim->boot >= lease_end(host))
		sim_broken(host->sim, "host %u: %s while its lease is over", host->index, what);
}

static void deliver(const struct host *from, const cJSON *report)
{
	struct sim *sim = from->sim;

	for (unsigned i = 0; i < SIM_HOSTS; i++)
		if (sim_host_leads(sim, i) && &sim->hosts[i] != from && !sim->hosts[i].stopped) {
			core_store_report(sim->hosts[i].core, report);
			sim->hosts[i].wake_boot = 0;
		}
}

static void port_report(void *self, const struct action_place *place, const cJSON *status)
{
	struct host *host = self;
	struct sim *sim = host->sim;
	cJSON *row;

	if (host->state == HOST_DOWN)
		return; /* it died with its daemon: the deadline tells the leader */
	row = cJSON_CreateObject();
	json_set_string(row, "run_id", place->run_id);
	json_set_int(row, "cell", place->cell);
	json_set_int(row, "step", place->step);
	json_set_int(row, "attempt", place->attempt);
	json_set_string(row, "action", place->action);
	json_set_string(row, "machine", host->machine);
	json_set(row, "status", cJSON_Duplicate(status, true));
	if (host->state != HOST_AWAY)
		deliver(host, row);
	if (sim->n_reports == ARRAY_SIZE(sim->reports)) {
		cJSON_Delete(row);
		return;
	}
	sim->reports[sim->n_reports].row = row;
	sim->reports[sim->n_reports++].held = host->state == HOST_AWAY ? host : NULL;
}

/* Those that waited for its connection: they go to the store, or went with its daemon. */
static void reports_release(struct host *host)
{
	struct sim *sim = host->sim;
	size_t n = 0;

	for (size_t i = 0; i < sim->n_reports; i++) {
		struct sim_report *r = &sim->reports[i];

		if (r->held == host && host->state == HOST_DOWN) {
			cJSON_Delete(r->row);
			continue;
		}
		if (r->held == host) {
			r->held = NULL;
			deliver(host, r->row);
		}
		sim->reports[n++] = *r;
	}
	sim->n_reports = n;
}

/* --- reads
 * ---------------------------------------------------------------------------------------------------
 */

static cJSON *rows_of_run(const struct sim *sim, enum store_table table, const char *run_id)
{
	cJSON *array = cJSON_CreateArray();

	for (const struct row *row = sim->tables[table]; row; row = row->next)
		if (strncmp(row->key, run_id, UUID_TEXT - 1) == 0)
			cJSON_AddItemToArray(array, cJSON_Duplicate(row->json, true));
	return array;
}

static cJSON *whole_run(const struct sim *sim, const cJSON *run)
{
	cJSON *o = cJSON_CreateObject();
	const char *id = json_string(run, "id");
	struct row *definition = row_find(sim, TABLE_DEFINITION, json_string(run, "definition"));

	json_set(o, "run", cJSON_Duplicate(run, true));
	json_set_string(o, "definition", json_string(definition->json, "body"));
	json_set(o, "cells", rows_of_run(sim, TABLE_CELL, id));
	json_set(o, "attempts", rows_of_run(sim, TABLE_ATTEMPT, id));
	json_set(o, "actions", rows_of_run(sim, TABLE_ACTION, id));
	json_set(o, "plans", rows_of_run(sim, TABLE_PLAN, id));
	return o;
}

/* The last ended run of a job; cancelled ones say nothing. */
static const cJSON *last_ended(const struct sim *sim, const char *job)
{
	const cJSON *last = NULL;

	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next) {
		const cJSON *r = row->json;

		if (str_eq(json_string(r, "job"), job) &&
			str_eq(json_string(r, "state"), "ended") &&
			!str_eq(json_string(r, "outcome"), "cancelled") &&
			(!last || json_int(r, "number", 0) > json_int(last, "number", 0)))
			last = r;
	}
	return last;
}

static void load_job(const struct sim *sim, const struct row *row, cJSON *jobs, cJSON *red)
{
	const cJSON *last = last_ended(sim, row->key);
	cJSON *job = cJSON_Duplicate(row->json, true);

	json_set_int(job, "judged", json_int(last, "number", 0));
	cJSON_AddItemToArray(jobs, job);
	if (last && !str_eq(json_string(last, "outcome"), "ok"))
		cJSON_AddItemToArray(red, whole_run(sim, last));
}

static bool is_of_check(const cJSON *a, const cJSON *b)
{
	return str_eq(json_string(a, "name"), json_string(b, "name")) &&
	       str_eq(json_string(a, "environment"), json_string(b, "environment"));
}

/* The last stretch of each check: the open one, if there is one. */
static void load_checks(const struct sim *sim, cJSON *checks)
{
	for (const struct row *row = sim->tables[TABLE_CHECK_TRANSITION]; row; row = row->next) {
		cJSON *last = checks->child;

		while (last && !is_of_check(last, row->json))
			last = last->next;
		if (last && json_time(row->json, "ended_at"))
			continue;
		if (last)
			cJSON_Delete(cJSON_DetachItemViaPointer(checks, last));
		cJSON_AddItemToArray(checks, cJSON_Duplicate(row->json, true));
	}
}

static cJSON *load(struct host *host)
{
	const struct sim *sim = host->sim;
	cJSON *o = cJSON_CreateObject();
	cJSON *jobs = json_set(o, "jobs", cJSON_CreateArray());
	cJSON *runs = json_set(o, "runs", cJSON_CreateArray());
	cJSON *red = json_set(o, "red", cJSON_CreateArray());

	load_checks(sim, json_set(o, "checks", cJSON_CreateArray()));
	json_set_time(o, "now", sim->start + sim->boot);
	for (const struct row *row = sim->tables[TABLE_JOB]; row; row = row->next)
		load_job(sim, row, jobs, red);
	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next)
		if (!str_eq(json_string(row->json, "state"), "ended"))
			cJSON_AddItemToArray(runs, whole_run(sim, row->json));
	return o;
}

/* The read's own memory has no link: a small shell has. */
struct waiting_read {
	struct list link;
	struct store_read *read;
};

static cJSON *answer_of(const struct sim *sim, const struct store_read *read)
{
	const cJSON *found = NULL;

	if (read->type == READ_KEPT)
		return sim_kept(sim);
	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next) {
		const cJSON *json = row->json;

		if (str_eq(json_string(json, "job"), read->job) &&
			(read->type == READ_LAST_RUN ||
				(uint64_t)json_int(json, "number", 0) == read->number))
			found = json;
	}
	return found ? whole_run(sim, found) : cJSON_CreateObject();
}

static void answer_reads(struct host *host, const char *error)
{
	while (!list_empty(&host->reads)) {
		struct waiting_read *w =
			list_entry(list_first(&host->reads), struct waiting_read, link);
		struct store_read *read = w->read;

		list_remove(&w->link);
		free(w);
		read->done(read, error, error ? NULL : answer_of(host->sim, read));
	}
}

static void reads_answered(struct sim *sim, struct happening *h)
{
	struct host *host = container_of(h, struct host, read);
	bool away = host->state != HOST_LEADS && host->state != HOST_STANDBY;

	answer_reads(host, away ? "the store is away"
			   : sim_chance(sim, sim->options.faults)
				   ? "the reading connection was lost"
				   : NULL);
	host_run(host);
}

static void port_read(void *self, struct store_read *read)
{
	struct host *host = self;
	struct waiting_read *w = xnew(struct waiting_read);

	w->read = read;
	list_append(&host->reads, &w->link);
	sim_at_host(host, &host->read, 1000, reads_answered, NULL);
}

void store_ports(struct host *host, struct store_port *ret)
{
	*ret = (struct store_port){
		.self = host,
		.submit = port_submit,
		.read = port_read,
		.report = port_report,
		.lease = port_lease,
		.prune = store_prune,
	};
}

/* --- leadership
 * --------------------------------------------------------------------------------------------------
 */

static void anew(struct sim *sim)
{
	if (sim->options.watcher.slots_anew)
		sim->options.watcher.slots_anew(sim->options.watcher.self);
}

static void apply_reports(struct host *host)
{
	struct sim *sim = host->sim;
	size_t n = 0;

	for (size_t i = 0; i < sim->n_reports; i++) {
		if (sim->reports[i].held) {
			sim->reports[n++] = sim->reports[i];
			continue;
		}
		core_store_report(host->core, sim->reports[i].row);
		cJSON_Delete(sim->reports[i].row);
	}
	sim->n_reports = n;
	host_run(host);
}

static void take(struct host *host)
{
	struct sim *sim = host->sim;
	_cleanup_json_ cJSON *loaded = load(host);

	sim->leader.holder = host;
	sim->leader.renewed_at = USEC_INFINITY;
	host->epoch = ++sim->leader.epoch;
	host->leads = host->loaded = true;
	host->late = false;
	host->state = HOST_LEADS;
	sim_trace(sim, "host %u: leads, epoch %llu", host->index, (unsigned long long)host->epoch);
	anew(sim);
	core_store_ready(host->core, host->epoch, loaded);
	host_run(host);
	apply_reports(host);
}

static void try_to_take(struct sim *sim, struct happening *h)
{
	struct host *host = container_of(h, struct host, take);
	usec_t since = sim->leader.renewed_at, wait = 5 * USEC_MINUTE;

	if (host->state != HOST_STANDBY)
		return;
	if (since != USEC_INFINITY)
		wait = since + PATIENCE - sim->boot;
	if (!sim->leader.holder || sim->leader.holder == host || wait <= 0)
		take(host);
	else
		sim_at_host(host, &host->take, wait, try_to_take, NULL);
}

/* The holder went: who stands by looks more closely. */
static void wake_standbys(struct sim *sim)
{
	for (unsigned i = 0; i < SIM_HOSTS; i++)
		if (sim->hosts[i].state == HOST_STANDBY)
			sim_at_host(
				&sim->hosts[i], &sim->hosts[i].take, PATIENCE, try_to_take, NULL);
}

static void resume(struct host *host)
{
	sim_trace(host->sim, "host %u: the store is back", host->index);
	host->state = HOST_LEADS;
	host->late = false;
	host->sim->leader.renewed_at = USEC_INFINITY;
	anew(host->sim);
	core_store_ready(host->core, host->epoch, NULL);
	if (!list_empty(&host->units))
		commit_soon(host);
	host_run(host);
	apply_reports(host);
}

void store_connect(struct host *host)
{
	struct sim *sim = host->sim;

	if (host->state != HOST_AWAY)
		return;
	if (host->leads && host->epoch == sim->leader.epoch) {
		resume(host);
		return;
	}
	if (host->leads) {
		lose(host);
	} else {
		host->state = HOST_STANDBY;
		if (sim->leader.holder && sim->leader.holder != host)
			core_store_lost(host->core, "the other machine");
		host_run(host);
	}
	reports_release(host);
	try_to_take(sim, &host->take);
}

/* Its commits go through and its renewals do not: nobody knows of it but its lease, and who stands
 * by. */
void sim_host_renews(struct sim *sim, unsigned i, bool renews)
{
	struct host *host = &sim->hosts[i];

	if (host->state != HOST_LEADS || renews == !host->late)
		return;
	sim_trace(sim, "host %u: its renewals %s", i, renews ? "go through" : "do not go through");
	host->late = !renews;
	if (host->epoch != sim->leader.epoch) {
		if (renews)
			lose(host);
	} else if (renews) {
		sim->leader.renewed_at = USEC_INFINITY;
		apply_reports(host);
	} else {
		sim->leader.renewed_at = renewed(sim);
		host->lease_end = renewed(sim) + LEASE;
		wake_standbys(sim);
	}
}

void store_disconnect(struct host *host, const char *why)
{
	struct sim *sim = host->sim;

	if (host->state != HOST_LEADS && host->state != HOST_STANDBY)
		return;
	sim_host_renews(sim, host->index, false);
	host->state = HOST_AWAY;
	sim_trace(sim, "host %u: the store is away: %s", host->index, why);
	heap_remove(&sim->happenings, &host->commit.at);
	heap_remove(&sim->happenings, &host->take.at);
	core_store_away(host->core, why);
	host_run(host);
}

void store_cut(struct host *host)
{
	struct sim *sim = host->sim;

	if (host->state == HOST_LEADS && sim->leader.holder == host) {
		sim->leader.renewed_at = sim->boot;
		wake_standbys(sim);
	}
	heap_remove(&sim->happenings, &host->commit.at);
	heap_remove(&sim->happenings, &host->take.at);
	heap_remove(&sim->happenings, &host->read.at);
	answer_reads(host, "the daemon died");
	hand_back(host);
	host->leads = host->loaded = false;
	host->epoch = 0;
	host->late = false;
	host->lease_end = 0;
	host->state = HOST_DOWN;
	reports_release(host);
}

void store_fini(struct sim *sim)
{
	for (size_t t = 0; t < STORE_TABLES; t++) {
		while (sim->tables[t]) {
			struct row *row = sim->tables[t];

			sim->tables[t] = row->next;
			free(row->key);
			cJSON_Delete(row->json);
			free(row);
		}
	}
	for (size_t i = 0; i < sim->n_reports; i++)
		cJSON_Delete(sim->reports[i].row);
}
