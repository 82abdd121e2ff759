/* History, on a second connection, so that no long answer is in a writer's way; and the documents
 * that are put together from an answer's rows.
 *
 * Each row of a document's answer is (part, JSON text): the server makes the JSON, with times as
 * RFC 3339 in UTC. Happy path: one read at a time, in order. Failures: while the store is away
 * every read ends at once with a sentence; while only this connection is on its way (it comes a
 * second after the writing one) reads wait for it, or for its failure. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "time/instant.h"
#include "daemon/pg/internal.h"

#define RUNS_MAX 1000

/* A run's row, with the name of the run that it tries again. */
#define RUN_COLUMNS                                                                                \
	"run.*, (SELECT o.job || '#' || o.number FROM nightjar.run o WHERE o.id = run.retry_of)"   \
	" AS retry_of_name FROM nightjar.run"

#define RUN_SQL(condition)                                                                         \
	"WITH r AS MATERIALIZED (SELECT " RUN_COLUMNS " WHERE " condition ")"                      \
	" SELECT 'run', row_to_json(r)::text FROM r"                                               \
	" UNION ALL SELECT 'definition', d.body"                                                   \
	"  FROM r JOIN nightjar.definition d ON d.hash = r.definition"                             \
	" UNION ALL (SELECT 'cells', row_to_json(c)::text"                                         \
	"  FROM r JOIN nightjar.cell c ON c.run_id = r.id ORDER BY c.index)"                       \
	" UNION ALL (SELECT 'attempts', row_to_json(a)::text"                                      \
	"  FROM r JOIN nightjar.attempt a ON a.run_id = r.id"                                      \
	"  ORDER BY a.cell, a.step, a.number)"                                                     \
	" UNION ALL (SELECT 'actions', row_to_json(a)::text"                                       \
	"  FROM r JOIN nightjar.action a ON a.run_id = r.id"                                       \
	"  ORDER BY a.cell, a.step, a.attempt, a.ordinal)"                                         \
	" UNION ALL (SELECT 'plans', row_to_json(p)::text"                                         \
	"  FROM r JOIN nightjar.plan p ON p.run_id = r.id"                                         \
	"  ORDER BY p.cell, p.step, p.attempt)"

const char *const pg_run_by_id = RUN_SQL("id = $1");
static const char run_by_number[] = RUN_SQL("job = $1 AND number = $2");
static const char run_last[] = RUN_SQL(
	"id = (SELECT x.id FROM nightjar.run x WHERE x.job = $1 ORDER BY x.number DESC LIMIT 1)");
static const char runs_of_job[] = "SELECT 'runs', row_to_json(r)::text FROM (SELECT " RUN_COLUMNS
				  " WHERE run.job = $2 AND ($3::bigint IS NULL OR run.number < $3)"
				  " ORDER BY run.number DESC LIMIT $1) r ORDER BY r.number DESC";
static const char runs_of_all[] = "SELECT 'runs', row_to_json(r)::text FROM (SELECT " RUN_COLUMNS
				  " WHERE $2::timestamptz IS NULL OR run.created_at < $2"
				  " ORDER BY run.created_at DESC, run.id DESC LIMIT $1) r ORDER BY "
				  "r.created_at DESC, r.id DESC";
/* A flood of slots is one row, for all of them up to `until`. */
static const char slot_sql[] =
	"SELECT 'slot', row_to_json(n)::text FROM"
	" (SELECT s.*, (SELECT r.job || '#' || r.number FROM nightjar.run r WHERE r.id = s.run_id)"
	"  AS run_name FROM"
	"  (SELECT * FROM nightjar.slot WHERE job = $1 AND scheduled_for <= $2"
	"   ORDER BY scheduled_for DESC LIMIT 1) s"
	"  WHERE s.scheduled_for = $2 OR s.until >= $2) n";

/* The same changes elsewhere, or the same commit. */
static const char plans_sql[] =
	"WITH mine AS (SELECT p.changes, r.commit FROM nightjar.plan p"
	"  JOIN nightjar.run r ON r.id = p.run_id"
	"  WHERE p.run_id = $1::uuid AND p.cell = $2::int AND p.step = $3::int"
	"  ORDER BY p.attempt DESC LIMIT 1)"
	" SELECT 'plans', row_to_json(x)::text FROM (SELECT p.*, r.job || '#' || r.number AS run,"
	"  c.name AS cell_name, a.outcome, a.ended_at, p.changes = mine.changes AS same_changes"
	"  FROM mine, nightjar.plan p JOIN nightjar.run r ON r.id = p.run_id"
	"  JOIN nightjar.cell c ON c.run_id = p.run_id AND c.index = p.cell"
	"  JOIN nightjar.attempt a ON a.run_id = p.run_id AND a.cell = p.cell AND a.step = p.step"
	"   AND a.number = p.attempt"
	"  WHERE (p.run_id, p.cell, p.step) <> ($1::uuid, $2::int, $3::int)"
	"   AND (p.changes = mine.changes OR r.commit = mine.commit)"
	"  ORDER BY p.made_at DESC LIMIT $4) x";

static const char transitions_sql[] =
	"SELECT 'transitions', row_to_json(t)::text FROM"
	" (SELECT DISTINCT name, environment FROM nightjar.check_transition) c CROSS JOIN LATERAL"
	" (SELECT * FROM nightjar.check_transition t"
	"  WHERE t.name = c.name AND t.environment = c.environment ORDER BY at DESC LIMIT $1) t"
	" ORDER BY t.at DESC";

static const char kept_sql[] =
	"SELECT 'kept', to_json(r.id)::text FROM nightjar.run r WHERE r.state <> 'ended'"
	" UNION ALL SELECT 'kept', to_json(x.id)::text FROM nightjar.job j CROSS JOIN LATERAL"
	"  (SELECT r.id FROM nightjar.run r WHERE r.job = j.name AND r.state = 'ended'"
	"   ORDER BY r.number DESC LIMIT 1) x"
	" UNION ALL SELECT 'kept', to_json(x.id)::text FROM nightjar.job j CROSS JOIN LATERAL"
	"  (SELECT r.id FROM nightjar.run r WHERE r.job = j.name AND r.state = 'ended'"
	"   AND r.outcome IS DISTINCT FROM 'cancelled' ORDER BY r.number DESC LIMIT 1) x"
	" UNION ALL SELECT 'kept', to_json(x.id)::text FROM nightjar.job j CROSS JOIN LATERAL"
	"  (SELECT r.id FROM nightjar.run r WHERE r.job = j.name AND r.outcome = 'ok'"
	"   ORDER BY r.number DESC LIMIT 1) x";

cJSON *pg_run_json(void)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddNullToObject(json, "run");
	cJSON_AddNullToObject(json, "definition");
	cJSON_AddArrayToObject(json, "cells");
	cJSON_AddArrayToObject(json, "attempts");
	cJSON_AddArrayToObject(json, "actions");
	cJSON_AddArrayToObject(json, "plans");
	return json;
}

/* --- documents ---------------------------------------------------------------------------- */

static bool document_send(struct pg_request *r, PGconn *db)
{
	struct pg_document *d = container_of(r, struct pg_document, request);

	return pg_send(db, d->sql, d->n_values, (const char *const *)d->values);
}

static void document_row(struct pg_document *d, const char *part, const char *text, size_t len)
{
	cJSON *item = NULL, *place = cJSON_GetObjectItemCaseSensitive(d->json, part);

	if (str_eq(part, "definition"))
		item = cJSON_CreateString(text);
	else if (json_parse(text, len, &item) < 0)
		item = NULL;
	if (!item)
		d->bad = true;
	else if (cJSON_IsArray(place))
		cJSON_AddItemToArray(place, item);
	else
		json_set(d->json, part, item);
}

static void document_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg_document *d = container_of(r, struct pg_document, request);

	for (int i = 0; i < PQntuples(res); i++)
		document_row(d, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
			(size_t)PQgetlength(res, i, 1));
}

static void document_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg_document *d = container_of(r, struct pg_document, request);
	struct pg_error bad;

	if (!error && d->bad) {
		pg_error_set(&bad, PG_WRONG, "the store's answer is no JSON");
		error = &bad;
	}
	d->done(d, error);
}

void pg_document_start(struct pg_document *d, struct pg_connection *c)
{
	usec_t patience = d->request.patience;

	d->request = (struct pg_request){.send = document_send,
		.by_row = true,
		.result = document_result,
		.end = document_end,
		.patience = patience};
	pg_connection_submit(c, &d->request);
}

void pg_document_fini(struct pg_document *d)
{
	if (d->request.link.next)
		list_remove(&d->request.link);
	for (size_t i = 0; i < ARRAY_SIZE(d->values); i++)
		free(d->values[i]);
	cJSON_Delete(d->json);
	*d = (struct pg_document){0};
}

/* --- history ------------------------------------------------------------------------------ */

static char *text_of_number(uint64_t n)
{
	return xasprintf("%llu", (unsigned long long)n);
}

static char *text_of_instant(usec_t t)
{
	char buf[INSTANT_MAX];

	return xstrdup(instant_format(t, buf));
}

static void ask_runs(struct pg_document *d, const struct store_read *read)
{
	cJSON_AddArrayToObject(d->json, "runs");
	d->values[0] = text_of_number(MIN(MAX(read->limit, 1U), RUNS_MAX));
	if (read->job) {
		d->sql = runs_of_job;
		d->values[1] = xstrdup(read->job);
		d->values[2] = read->number ? text_of_number(read->number) : NULL;
		d->n_values = 3;
	} else {
		d->sql = runs_of_all;
		d->values[1] = read->at ? text_of_instant(read->at) : NULL;
		d->n_values = 2;
	}
}

static void ask_run(struct pg_document *d, const struct store_read *read)
{
	cJSON_Delete(d->json);
	d->json = pg_run_json();
	d->values[0] = xstrdup(read->job);
	d->n_values = 1;
	d->sql = run_last;
	if (read->type == READ_RUN) {
		d->sql = run_by_number;
		d->values[1] = text_of_number(read->number);
		d->n_values = 2;
	}
}

static void ask_slot(struct pg_document *d, const struct store_read *read)
{
	cJSON_AddNullToObject(d->json, "slot");
	d->sql = slot_sql;
	d->values[0] = xstrdup(read->job);
	d->values[1] = text_of_instant(read->at);
	d->n_values = 2;
}

static void ask_plans(struct pg_document *d, const struct store_read *read)
{
	cJSON_AddArrayToObject(d->json, "plans");
	d->sql = plans_sql;
	d->values[0] = xstrdup(read->place.run_id);
	d->values[1] = text_of_number(read->place.cell);
	d->values[2] = text_of_number(read->place.step);
	d->values[3] = text_of_number(read->limit);
	d->n_values = 4;
}

static void ask_transitions(struct pg_document *d, const struct store_read *read)
{
	cJSON_AddArrayToObject(d->json, "transitions");
	d->sql = transitions_sql;
	d->values[0] = text_of_number(read->limit);
	d->n_values = 1;
}

static void history_done(struct pg_document *d, const struct pg_error *error)
{
	struct pg *pg = d->owner;
	struct store_read *read = TAKE_PTR(pg->reading);
	_cleanup_free_ char *message = NULL;
	cJSON *json = NULL;

	if (error)
		message = xstrdup(error->fault == PG_LOST ? PG_AWAY_ERROR : error->message);
	else
		json = TAKE_PTR(d->json);
	pg_document_fini(d);
	read->done(read, message, json);
	pg_read(pg);
}

static void start_read(struct pg *pg, struct store_read *read)
{
	struct pg_document *d = &pg->history;

	*d = (struct pg_document){.json = cJSON_CreateObject(), .done = history_done, .owner = pg};
	switch (read->type) {
	case READ_RUNS:
		ask_runs(d, read);
		break;
	case READ_RUN:
	case READ_LAST_RUN:
		ask_run(d, read);
		break;
	case READ_KEPT:
		cJSON_AddArrayToObject(d->json, "kept");
		d->sql = kept_sql;
		break;
	case READ_SLOT:
		ask_slot(d, read);
		break;
	case READ_PLANS:
		ask_plans(d, read);
		break;
	case READ_TRANSITIONS:
		ask_transitions(d, read);
		break;
	}
	pg->reading = read;
	pg_document_start(d, &pg->read);
}

static struct store_read *next_read(struct pg *pg)
{
	struct pg_waiting_read *w;
	struct store_read *read;

	if (list_empty(&pg->reads))
		return NULL;
	w = list_entry(list_first(&pg->reads), struct pg_waiting_read, link);
	list_remove(&w->link);
	read = w->read;
	free(w);
	return read;
}

void pg_read(struct pg *pg)
{
	struct store_read *read;

	if (pg->reading)
		return;
	if (!pg->read_ready || !pg_connection_is_up(&pg->read)) {
		if (pg->state == PG_AWAY || pg->stopping)
			pg_read_drop(pg);
		return;
	}
	read = next_read(pg);
	if (read)
		start_read(pg, read);
}

void pg_read_drop(struct pg *pg)
{
	struct store_read *read;

	while ((read = next_read(pg)))
		read->done(read, PG_AWAY_ERROR, NULL);
}

void pg_read_submit(struct pg *pg, struct store_read *read)
{
	struct pg_waiting_read *w = xnew(struct pg_waiting_read);

	w->read = read;
	list_append(&pg->reads, &w->link);
	deferred_ask(&pg->kick);
}
