/* All that a new leader needs to know, in the shape that core_store_ready() describes.
 *
 * Happy path: one answer with the jobs, the usual durations, the server's clock and the ids of the
 * runs to load; then run after run, row by row, so that renewals go in between and no answer is
 * held as a whole. Failures: as everywhere, by the connection; the load begins anew then. */
#include "base/json.h"
#include "base/memory.h"
#include "daemon/pg/internal.h"

#define LOAD_PATIENCE (60 * USEC_SEC)

/* Red: each job's last ended run, where it was not ok; a cancelled one says nothing. Usual: over
 * its last ten good runs. */
static const char overview_sql[] =
	"SELECT 'jobs', row_to_json(x)::text FROM (SELECT j.*,"
	"  (SELECT r.number FROM nightjar.run r WHERE r.job = j.name AND r.state = 'ended'"
	"    AND r.outcome IS DISTINCT FROM 'cancelled' ORDER BY r.number DESC LIMIT 1) AS judged"
	"  FROM nightjar.job j) x"
	" UNION ALL"
	" (SELECT 'open', to_json(r.id)::text FROM nightjar.run r WHERE r.state <> 'ended'"
	"  ORDER BY r.created_at, r.job, r.number)"
	" UNION ALL"
	" SELECT 'ended', to_json(r.id)::text FROM nightjar.job j CROSS JOIN LATERAL"
	"  (SELECT r.id, r.outcome FROM nightjar.run r WHERE r.job = j.name AND r.state = 'ended'"
	"    AND r.outcome IS DISTINCT FROM 'cancelled' ORDER BY r.number DESC LIMIT 1) r WHERE "
	"r.outcome IS DISTINCT FROM 'ok'"
	" UNION ALL"
	" SELECT 'usual', json_build_object('job', j.name, 'cell', c.name, 'ms',"
	"   round(percentile_cont(0.5) WITHIN GROUP (ORDER BY"
	"    extract(epoch FROM c.ended_at - c.started_at)::float8 * 1000)))::text"
	"  FROM nightjar.job j CROSS JOIN LATERAL"
	"  (SELECT r.id FROM nightjar.run r WHERE r.job = j.name AND r.outcome = 'ok'"
	"   ORDER BY r.number DESC LIMIT 10) r"
	"  JOIN nightjar.cell c ON c.run_id = r.id AND c.outcome = 'ok'"
	"   AND c.started_at IS NOT NULL AND c.ended_at IS NOT NULL"
	"  GROUP BY j.name, c.stage, c.name"
	" UNION ALL SELECT 'usual_syncs', json_build_object('environment', s.environment,"
	"   'database', s.database, 'ms', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY"
	"    extract(epoch FROM s.ended_at - s.started_at)::float8 * 1000)))::text"
	"  FROM nightjar.sync s WHERE s.state = 'proved'"
	"   AND s.started_at > clock_timestamp() - interval '30 days' AND s.ended_at IS NOT NULL"
	"  GROUP BY s.environment, s.database"
	" UNION ALL"
	" SELECT 'checks', row_to_json(t)::text FROM (SELECT DISTINCT ON (name, environment) *"
	"  FROM nightjar.check_transition ORDER BY name, environment,"
	"   ended_at IS NOT NULL, at DESC) t"
	" UNION ALL SELECT 'now', to_json(clock_timestamp())::text";

static void load_next(struct pg *pg);

static cJSON *load_list(struct pg *pg, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(pg->loading, name);
}

static void run_loaded(struct pg_document *d, const struct pg_error *error)
{
	struct pg *pg = d->owner;

	if (error) {
		pg_chain_failed(pg, "cannot load", error);
		return;
	}
	cJSON_AddItemToArray(load_list(pg, pg->load_red ? "red" : "runs"), TAKE_PTR(d->json));
	load_next(pg);
}

static bool load_one(struct pg *pg, cJSON *ids, bool red)
{
	_cleanup_json_ cJSON *id = cJSON_DetachItemFromArray(ids, 0);

	if (!id)
		return false;
	pg_document_fini(&pg->load);
	pg->load_red = red;
	pg->load = (struct pg_document){.sql = pg_run_by_id,
		.values = {xstrdup(cJSON_GetStringValue(id))},
		.n_values = 1,
		.json = pg_run_json(),
		.done = run_loaded,
		.owner = pg};
	pg->load.request.patience = LOAD_PATIENCE;
	pg_document_start(&pg->load, &pg->write);
	return true;
}

static void load_next(struct pg *pg)
{
	if (load_one(pg, pg->load_open, false) || load_one(pg, pg->load_ended, true))
		return;
	pg_leader_loaded(pg);
}

static void overview_loaded(struct pg_document *d, const struct pg_error *error)
{
	struct pg *pg = d->owner;

	if (error) {
		pg_chain_failed(pg, "cannot load", error);
		return;
	}
	pg->loading = TAKE_PTR(d->json);
	pg->load_open = cJSON_DetachItemFromObjectCaseSensitive(pg->loading, "open");
	pg->load_ended = cJSON_DetachItemFromObjectCaseSensitive(pg->loading, "ended");
	cJSON_AddArrayToObject(pg->loading, "runs");
	cJSON_AddArrayToObject(pg->loading, "red");
	load_next(pg);
}

void pg_load(struct pg *pg)
{
	cJSON *json = cJSON_CreateObject();

	pg_load_abort(pg);
	pg->state = PG_LOAD;
	cJSON_AddArrayToObject(json, "jobs");
	cJSON_AddArrayToObject(json, "open");
	cJSON_AddArrayToObject(json, "ended");
	cJSON_AddArrayToObject(json, "usual");
	cJSON_AddArrayToObject(json, "usual_syncs");
	cJSON_AddArrayToObject(json, "checks");
	pg->load = (struct pg_document){
		.sql = overview_sql, .json = json, .done = overview_loaded, .owner = pg};
	pg->load.request.patience = LOAD_PATIENCE;
	pg_document_start(&pg->load, &pg->write);
}

void pg_load_abort(struct pg *pg)
{
	pg_document_fini(&pg->load);
	cJSON_Delete(TAKE_PTR(pg->loading));
	cJSON_Delete(TAKE_PTR(pg->load_open));
	cJSON_Delete(TAKE_PTR(pg->load_ended));
}
