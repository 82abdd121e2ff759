/* The simulated store and launcher forget what is old, by the same rules as the real ones. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit/sim_world.h"

#define PIECE 20

/* A port at work. */
struct piece {
	struct happening h;
	struct prune *prune;
};

static bool is(const cJSON *row, const char *key, const char *value)
{
	return str_eq(json_string(row, key), value);
}

/* --- what stays --------------------------------------------------------------------------- */

struct lasts {
	const cJSON *ended, *judged, *good;
};

static void take_last(const cJSON **last, const cJSON *run)
{
	if (!*last || json_int(run, "number", 0) > json_int(*last, "number", 0))
		*last = run;
}

static struct lasts lasts_of(const struct sim *sim, const char *job)
{
	struct lasts l = {0};

	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next) {
		if (!is(row->json, "job", job) || !is(row->json, "state", "ended"))
			continue;
		take_last(&l.ended, row->json);
		if (!is(row->json, "outcome", "cancelled"))
			take_last(&l.judged, row->json);
		if (is(row->json, "outcome", "ok"))
			take_last(&l.good, row->json);
	}
	return l;
}

bool sim_run_is_kept(const struct sim *sim, const cJSON *run)
{
	struct lasts l = lasts_of(sim, json_string(run, "job"));

	return !is(run, "state", "ended") || run == l.ended || run == l.judged || run == l.good;
}

cJSON *sim_kept(const struct sim *sim)
{
	cJSON *o = cJSON_CreateObject(), *kept = json_set(o, "kept", cJSON_CreateArray());

	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next)
		if (sim_run_is_kept(sim, row->json))
			cJSON_AddItemToArray(
				kept, cJSON_CreateString(json_string(row->json, "id")));
	return o;
}

/* --- the store ---------------------------------------------------------------------------- */

static bool is_retried_now(const struct sim *sim, const cJSON *run)
{
	for (const struct row *row = sim->tables[TABLE_RUN]; row; row = row->next)
		if (!is(row->json, "state", "ended") &&
			is(row->json, "retry_of", json_string(run, "id")))
			return true;
	return false;
}

static bool run_goes(const struct sim *sim, const cJSON *run, usec_t before)
{
	return !sim_run_is_kept(sim, run) && json_time(run, "created_at") < before &&
	       json_time(run, "ended_at") < before && !is_retried_now(sim, run);
}

static bool slot_goes(const struct sim *sim, const cJSON *slot, usec_t before)
{
	const char *run = json_string(slot, "run_id");

	return json_time(slot, "scheduled_for") < before && json_time(slot, "until") < before &&
	       !(run && row_find(sim, TABLE_RUN, run));
}

static void below_goes(struct sim *sim, enum store_table table, const char *run_id)
{
	struct row *next;

	for (struct row *row = sim->tables[table]; row; row = next) {
		next = row->next;
		if (strncmp(row->key, run_id, UUID_TEXT - 1) == 0)
			row_remove(sim, row);
	}
}

static unsigned runs_go(struct sim *sim, usec_t before)
{
	struct row *next;
	unsigned n = 0;

	for (struct row *row = sim->tables[TABLE_RUN]; row && n < PIECE; row = next) {
		next = row->next;
		if (!run_goes(sim, row->json, before))
			continue;
		sim_trace(sim, "%s#%lld is removed from the store", json_string(row->json, "job"),
			(long long)json_int(row->json, "number", 0));
		below_goes(sim, TABLE_CELL, row->key);
		below_goes(sim, TABLE_ATTEMPT, row->key);
		below_goes(sim, TABLE_ACTION, row->key);
		row_remove(sim, row);
		n++;
	}
	return n;
}

static unsigned slots_go(struct sim *sim, usec_t before)
{
	struct row *next;
	unsigned n = 0;

	for (struct row *row = sim->tables[TABLE_SLOT]; row && n < PIECE; row = next) {
		next = row->next;
		if (!slot_goes(sim, row->json, before))
			continue;
		row_remove(sim, row);
		n++;
	}
	return n;
}

static void finish(struct piece *piece, const char *error, unsigned n)
{
	piece->prune->done(piece->prune, error, n);
	free(piece);
}

static void cut(struct sim *sim, struct happening *h)
{
	finish(container_of(h, struct piece, h), "the daemon died", 0);
}

static void rows_go(struct sim *sim, struct happening *h)
{
	struct piece *piece = container_of(h, struct piece, h);
	struct host *host = h->host;
	usec_t before = MIN(piece->prune->now, sim_true_now(sim)) - piece->prune->span;
	unsigned n;

	if (host->state != HOST_LEADS || host->epoch != sim->leader.epoch ||
		sim_chance(sim, sim->options.faults * 10)) {
		finish(piece, "the store is away", 0);
	} else {
		sim->pruned_before = MAX(sim->pruned_before, before);
		n = runs_go(sim, before);
		finish(piece, NULL, n + slots_go(sim, before));
	}
	host_run(host);
}

static void begin(
	struct host *host, struct prune *p, void (*go)(struct sim *sim, struct happening *h))
{
	struct piece *piece = xnew(struct piece);

	piece->prune = p;
	sim_at_host(host, &piece->h, 2000, go, cut);
}

void store_prune(void *self, struct prune *p)
{
	begin(self, p, rows_go);
}

/* --- folders ------------------------------------------------------------------------------ */

static int compare(const void *key, const void *item)
{
	return strcmp(key, *(const char *const *)item);
}

/* A run's folder is as old as the last of its processes here. */
static bool is_old(const struct process *of, usec_t before)
{
	list_for_each(node, &of->sim->processes)
	{
		const struct process *p = list_entry(node, struct process, link);

		if (p->host == of->host && str_eq(p->place.run_id, of->place.run_id) &&
			p->started_at >= before)
			return false;
	}
	return true;
}

static unsigned folder_goes(const struct process *of)
{
	const struct sim_watcher *watcher = &of->sim->options.watcher;

	sim_trace(of->sim, "host %u: the folder of the run %s is removed", of->host->index,
		of->place.run_id);
	list_for_each(node, &of->sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		if (p->host != of->host || !str_eq(p->place.run_id, of->place.run_id))
			continue;
		if (!p->ended)
			sim_broken(p->sim, "the folder of a process is removed under it");
		p->folder_gone = true;
	}
	if (watcher->folder_gone)
		watcher->folder_gone(watcher->self, of->place.run_id);
	return 1;
}

static void folders_go(struct sim *sim, struct happening *h)
{
	struct piece *piece = container_of(h, struct piece, h);
	const struct prune *p = piece->prune;
	struct host *host = h->host;
	unsigned n = 0;

	list_for_each(node, &sim->processes)
	{
		const struct process *of = list_entry(node, struct process, link);

		if (of->host == host && !of->folder_gone && n < PIECE &&
			!(p->n_keep && bsearch(of->place.run_id, p->keep, p->n_keep,
					       sizeof(*p->keep), compare)) &&
			is_old(of, p->now - p->span))
			n += folder_goes(of);
	}
	finish(piece, NULL, n);
	host_run(host);
}

void launcher_prune(void *self, struct prune *p)
{
	begin(self, p, folders_go);
}
