/* Evidence from daemons that do not lead.
 *
 * Happy path: such a daemon inserts a row and notifies; the leader hears it, hands the rows over,
 * and deletes them once everything that was submitted meanwhile is durable. Failures: rows stay
 * where they are, here in memory or there in the table, and may be handed over twice. */
#include <stdlib.h>
#include "base/json.h"
#include "base/memory.h"
#include "daemon/pg/internal.h"

#define REPORTS_MAX 1000 /* waiting for a connection; older ones are in their folders too */
#define TICKS	    2	 /* until what follows from a report has been submitted */

struct report {
	struct list link;
	char *values[7];
};

static void report_free(struct pg *pg, struct report *report)
{
	pg->n_reports--;
	list_remove(&report->link);
	for (size_t i = 0; i < ARRAY_SIZE(report->values); i++)
		free(report->values[i]);
	free(report);
}

static struct report *first_report(struct pg *pg)
{
	return list_entry(list_first(&pg->reports), struct report, link);
}

/* --- as one that does not lead ------------------------------------------------------------ */

static bool report_send(struct pg_request *r, PGconn *db)
{
	struct pg *pg = container_of(r, struct pg, report);

	return pg_send(db,
		       "INSERT INTO nightjar.report"
		       " (run_id, cell, step, attempt, action, machine, status)"
		       " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
		       7, (const char *const *)first_report(pg)->values) &&
	       pg_send(db, "NOTIFY nightjar_report", 0, NULL);
}

static void report_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, report);

	pg->reporting = false;
	if (error && error->fault != PG_DATA)
		return; /* the next time that something happens */
	if (error)
		pg_alarm(pg, "a report is set aside: %s", error->message);
	report_free(pg, first_report(pg));
	pg_report_send(pg);
}

void pg_report_send(struct pg *pg)
{
	if (pg->reporting || list_empty(&pg->reports) || pg->state < PG_STANDBY ||
		!pg_connection_is_up(&pg->write))
		return;
	pg->reporting = true;
	pg->report = (struct pg_request){.send = report_send, .end = report_end};
	pg_connection_submit(&pg->write, &pg->report);
}

void pg_report_submit(struct pg *pg, const struct action_place *place, const cJSON *status)
{
	struct report *report = xnew(struct report);

	report->values[0] = xstrdup(place->run_id);
	report->values[1] = xasprintf("%u", place->cell);
	report->values[2] = xasprintf("%u", place->step);
	report->values[3] = xasprintf("%u", place->attempt);
	report->values[4] = xstrdup(place->action);
	report->values[5] = xstrdup(pg->machine);
	report->values[6] = json_print(status);
	list_append(&pg->reports, &report->link);
	if (pg->n_reports++ >= REPORTS_MAX && !pg->reporting)
		report_free(pg, first_report(pg));
	deferred_ask(&pg->kick);
}

/* --- as the leader ------------------------------------------------------------------------ */

static void collected(struct pg_document *d, const struct pg_error *error)
{
	struct pg *pg = d->owner;
	_cleanup_json_ cJSON *json = TAKE_PTR(d->json);
	cJSON *rows = cJSON_DetachItemFromObjectCaseSensitive(json, "rows"), *row;

	pg->collecting = false;
	pg_document_fini(d);
	if (error || pg->stopping || !rows || !rows->child) {
		cJSON_Delete(rows);
		return;
	}
	pg->collected = rows;
	pg->collected_ticks = 0;
	cJSON_ArrayForEach(row, rows) pg->events.report(pg->events.self, row);
}

static void collect(struct pg *pg)
{
	cJSON *json;

	if (pg->collecting || pg->collected || pg->state != PG_LEAD ||
		!pg_connection_is_up(&pg->write)) {
		pg->collect_again = true;
		return;
	}
	json = cJSON_CreateObject();
	cJSON_AddArrayToObject(json, "rows");
	pg->collecting = true;
	pg->collect_again = false;
	pg->collection = (struct pg_document){.sql = "SELECT 'rows', row_to_json(r)::text FROM "
						     "nightjar.report r ORDER BY at LIMIT 1000",
		.json = json,
		.done = collected,
		.owner = pg};
	pg_document_start(&pg->collection, &pg->write);
}

void pg_report_notified(struct pg_connection *c, const PGnotify *notify)
{
	collect(c->owner);
}

static bool listen_send(struct pg_request *r, PGconn *db)
{
	return pg_send(db, "LISTEN nightjar_report", 0, NULL);
}

static void listen_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, listen);

	if (error)
		pg_chain_failed(pg, "cannot listen", error);
	else
		collect(pg);
}

void pg_report_listen(struct pg *pg)
{
	pg_report_forget(pg);
	pg->listen = (struct pg_request){.send = listen_send, .end = listen_end};
	pg_connection_submit(&pg->write, &pg->listen);
}

static bool delete_send(struct pg_request *r, PGconn *db)
{
	struct pg *pg = container_of(r, struct pg, report_delete);
	_cleanup_free_ char *epoch = xasprintf("%llu", (unsigned long long)pg->epoch);
	_cleanup_free_ char *rows = json_print(pg->collected);

	return pg_send(db, "SELECT nightjar.fence($1)", 1, (const char *const[]){epoch}) &&
	       pg_send(db,
		       "DELETE FROM nightjar.report r"
		       " USING jsonb_populate_recordset(NULL::nightjar.report, $1::jsonb) s"
		       " WHERE r.run_id = s.run_id AND r.cell = s.cell AND r.step = s.step"
		       " AND r.attempt = s.attempt AND r.action = s.action",
		       1, (const char *const[]){rows});
}

static void delete_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, report_delete);

	pg->deleting = false;
	cJSON_Delete(TAKE_PTR(pg->collected));
	if (!error && pg->collect_again)
		collect(pg);
}

/* What was handed over may go, once nothing that follows from it waits. */
void pg_report_tick(struct pg *pg)
{
	if (!pg->collected || pg->deleting || !pg_write_is_idle(pg))
		return;
	if (++pg->collected_ticks <= TICKS)
		return;
	pg->deleting = true;
	pg->report_delete = (struct pg_request){.send = delete_send, .end = delete_end};
	pg_connection_submit(&pg->write, &pg->report_delete);
}

/* A new session or epoch: what waits on the connection is gone, or must go. */
void pg_report_forget(struct pg *pg)
{
	list_remove(&pg->listen.link);
	list_remove(&pg->report_delete.link);
	pg_document_fini(&pg->collection);
	cJSON_Delete(TAKE_PTR(pg->collected));
	pg->collecting = pg->deleting = pg->collect_again = false;
}

void pg_report_fini(struct pg *pg)
{
	pg_report_forget(pg);
	while (!list_empty(&pg->reports))
		report_free(pg, first_report(pg));
}
