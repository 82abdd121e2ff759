/* The kind `metabase_sync`: has Metabase read schemas anew, and waits for the proof.
 *
 * Happy path: begin -> the sync, wanted of Metabase's lane -> its proof -> done. Where groups give
 * a conninfo: begin -> a look into Metabase, for the roles as which it connects -> a query of each
 * such warehouse -> the sync. Failures: a table that the warehouse does not have, or that the role
 * may not read, fails at once, with the statement that mends it; a warehouse that cannot be asked
 * is left out; all else is as the lane says it. */
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/exit.h"
#include "kinds/kind_table.h"
#include "kinds/metabase_sync_plan.h"

enum {
	REASON_KEPT = 500,
};

struct metabase_sync {
	size_t n_warehouses, asked; /* queries that are over */
	cJSON *databases;	    /* as the look saw them; NULL: no look */
	cJSON *progress;	    /* of its end; NULL: not ended */
	char *unasked; /* why a warehouse could not be asked; NULL: none was left out */
	usec_t began_at;
};

static void *sync_new(const struct kind_context *ctx)
{
	struct metabase_sync *s = xnew(struct metabase_sync);

	s->n_warehouses = sync_plan_n_warehouses(ctx->params);
	return s;
}

static void sync_free(void *state)
{
	struct metabase_sync *s = state;

	if (!s)
		return;
	cJSON_Delete(s->databases);
	cJSON_Delete(s->progress);
	free(s->unasked);
	free(s);
}

/* --- what is wanted ----------------------------------------------------------------------- */

/* A look wants no tables: it is for the roles alone. */
static void forget_tables(struct metabase_want *want)
{
	for (size_t i = 0; i < want->n_databases; i++) {
		metabase_tables_free(want->databases[i].tables, want->databases[i].n_tables);
		want->databases[i].tables = NULL;
		want->databases[i].n_tables = 0;
	}
	metabase_tables_free(want->anywhere, want->n_anywhere);
	want->anywhere = NULL;
	want->n_anywhere = 0;
}

static int sync_join(void *state, const struct kind_context *ctx, const char *action,
	struct lane_want *ret, char **ret_error)
{
	struct metabase_want *want = xnew(struct metabase_want);
	_cleanup_plan_ struct sync_plan plan = {0};
	int r = metabase_want_from(ctx, want, ret_error);

	if (r == 0)
		r = sync_plan_read(ctx, &plan, ret_error);
	if (r < 0) {
		metabase_want_free(want);
		return r;
	}
	sync_plan_databases(&plan, ctx, want);
	want->timeout = ctx->timeout;
	want->look = str_eq(action, "look");
	if (want->look)
		forget_tables(want);
	*ret = (struct lane_want){&lane_metabase, metabase_key(want), want};
	return 0;
}

static int sync_query(void *state, const struct kind_context *ctx, const char *action,
	struct kind_query *ret, char **ret_error)
{
	const struct metabase_sync *s = state;
	_cleanup_plan_ struct sync_plan plan = {0};
	int r = sync_plan_read(ctx, &plan, ret_error);

	return r < 0 ? r : sync_warehouse_query(&plan, s->asked, s->databases, ret, ret_error);
}

/* --- commands ----------------------------------------------------------------------------- */

static void want_of_lane(const char *action, struct kind_command *ret)
{
	ret->type = KIND_JOIN;
	snprintf(ret->action, sizeof(ret->action), "%s", action);
	ret->repeatable = true;
}

/* The next warehouse, or the sync. */
static void go_on(const struct metabase_sync *s, struct kind_command *ret)
{
	if (s->asked >= s->n_warehouses) {
		want_of_lane("sync", ret);
		return;
	}
	ret->type = KIND_QUERY;
	if (s->asked == 0)
		snprintf(ret->action, sizeof(ret->action), "warehouse");
	else
		snprintf(ret->action, sizeof(ret->action), "warehouse_%zu", s->asked + 1);
	ret->repeatable = true;
}

static void done(struct kind_command *ret, enum outcome outcome, char *take_reason)
{
	ret->type = KIND_DONE;
	ret->outcome = outcome;
	ret->reason = take_reason;
	kind_note_done(ret);
}

/* --- the look ----------------------------------------------------------------------------- */

/* What the queries need of a result. */
static cJSON *roles_in(const cJSON *result)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *d;

	cJSON_ArrayForEach(d, json_get(result, "databases"))
	{
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "name", json_string(d, "name"));
		json_set_string(o, "user", json_string(d, "user"));
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

static const char *failed_in(const cJSON *result)
{
	const cJSON *d;

	cJSON_ArrayForEach(d, json_get(result, "databases"))
	{
		const char *reason = json_string(d, "reason");

		if (str_eq(json_string(d, "state"), "failed"))
			return reason ? reason : "a database is not in Metabase";
	}
	return NULL;
}

static void look_served(
	struct metabase_sync *s, const struct kind_event *event, struct kind_command *ret)
{
	const char *failed = failed_in(event->result);

	if (event->outcome != OUTCOME_OK) {
		done(ret, event->outcome, xstrdup(event->reason));
		return;
	}
	if (failed) {
		done(ret, OUTCOME_FAILED, xstrdup(failed));
		return;
	}
	s->databases = roles_in(event->result);
	go_on(s, ret);
	ret->note = cJSON_CreateObject();
	json_set(ret->note, "databases", cJSON_Duplicate(s->databases, true));
}

/* --- the warehouse ------------------------------------------------------------------------ */

static void leave_out(struct metabase_sync *s, const char *why, struct kind_command *ret)
{
	free(s->unasked);
	s->unasked = xasprintf("the warehouse could not be asked: %s", why);
	s->asked++;
	go_on(s, ret);
	ret->note = cJSON_CreateObject();
	json_set_string(ret->note, "unasked", s->unasked);
}

static void fail_at_warehouse(const struct metabase_sync *s, const struct kind_event *event,
	char *take_reason, const char *mend, struct kind_command *ret)
{
	cJSON *rows = NULL, *row = NULL, *detail = NULL;
	const cJSON *d;

	done(ret, OUTCOME_FAILED, take_reason);
	ret->rows = cJSON_CreateObject();
	rows = json_set(ret->rows, "sync", cJSON_CreateArray());
	cJSON_ArrayForEach(d, s->databases)
	{
		row = cJSON_CreateObject();
		json_set_string(row, "database", json_string(d, "name"));
		json_set_string(row, "state", "failed");
		json_set_time(row, "started_at", event->at);
		json_set_time(row, "ended_at", event->at);
		json_set_string(row, "reason", ret->reason);
		detail = json_set(row, "detail", cJSON_CreateObject());
		json_set_string(detail, "mend", mend);
		cJSON_AddItemToArray(rows, row);
	}
}

static void warehouse_answered(
	struct metabase_sync *s, const struct kind_event *event, struct kind_command *ret)
{
	_cleanup_json_ cJSON *answer = NULL;
	_cleanup_free_ char *mend = NULL, *verdict = NULL;

	if (event->http_status == 0) {
		leave_out(s, event->http_error ? event->http_error : "no answer", ret);
		return;
	}
	if (json_parse(event->body ? event->body : "", event->body_len, &answer) < 0 ||
		!cJSON_IsArray(answer)) {
		leave_out(s, "its answer is not the one expected", ret);
		return;
	}
	verdict = sync_warehouse_verdict(answer, event->mask, &mend);
	if (verdict) {
		fail_at_warehouse(s, event, TAKE_PTR(verdict), mend, ret);
		return;
	}
	s->asked++;
	go_on(s, ret);
	ret->note = cJSON_CreateObject();
	json_set_bool(ret->note, "readable", true);
}

/* --- the sync ----------------------------------------------------------------------------- */

static cJSON *row_of(const cJSON *d, usec_t began_at, usec_t at, const char *reason)
{
	cJSON *row = cJSON_CreateObject(), *detail;
	bool proved = str_eq(json_string(d, "state"), "proved");
	usec_t since = json_time(d, "since"), ended = json_time(d, "ended_at");
	int64_t expected = json_int(d, "expected", 0);
	const char *own = json_string(d, "reason");

	json_set_string(row, "database", json_string(d, "name"));
	json_set_string(row, "state", json_string(d, "state"));
	json_set_time(row, "started_at", since ? since : began_at);
	json_set_time(row, "ended_at", ended ? ended : at);
	json_set_int(row, "tables", expected);
	json_set_int(row, "missing", expected - json_int(d, "tables", 0));
	json_set_string(row, "reason", own || proved ? own : reason);
	detail = json_set(row, "detail", cJSON_CreateObject());
	json_set(detail, "id", cJSON_Duplicate(json_get(d, "id"), true));
	json_set(detail, "missing", cJSON_Duplicate(json_get(d, "missing"), true));
	json_set_string(detail, "user", json_string(d, "user"));
	json_set_string(detail, "engine", json_string(d, "engine"));
	return row;
}

static cJSON *rows_of(const struct metabase_sync *s, const struct kind_event *event)
{
	cJSON *rows = cJSON_CreateObject(), *list = json_set(rows, "sync", cJSON_CreateArray());
	const cJSON *d;

	cJSON_ArrayForEach(d, json_get(event->result, "databases"))
	{
		if (json_string(d, "name"))
			cJSON_AddItemToArray(
				list, row_of(d, s->began_at, event->at, event->reason));
	}
	return rows;
}

/* For whoever looks after the end. */
static cJSON *last_progress(const cJSON *result)
{
	cJSON *progress = cJSON_CreateObject();
	int64_t there = 0, expected = 0, proved = 0, all = 0;
	const cJSON *d;

	cJSON_ArrayForEach(d, json_get(result, "databases"))
	{
		there += json_int(d, "tables", 0);
		expected += json_int(d, "expected", 0);
		proved += str_eq(json_string(d, "state"), "proved");
		all++;
	}
	json_set_int(progress, "done", expected ? there : proved);
	json_set_int(progress, "total", expected ? expected : all);
	json_set_string(progress, "unit", expected ? "tables" : "databases");
	json_set(progress, "databases", cJSON_Duplicate(json_get(result, "databases"), true));
	return progress;
}

static void sync_served(
	struct metabase_sync *s, const struct kind_event *event, struct kind_command *ret)
{
	char *reason = xstrdup(event->reason);

	if (event->outcome == OUTCOME_NOT_READY && s->unasked) {
		free(reason);
		reason = xasprintf(
			"%.*s; %s", REASON_KEPT, event->reason ? event->reason : "", s->unasked);
	}
	s->progress = last_progress(event->result);
	done(ret, event->outcome, reason);
	json_set(ret->note, "progress", cJSON_Duplicate(s->progress, true));
	ret->rows = rows_of(s, event);
}

/* --- the machine -------------------------------------------------------------------------- */

static void replay(struct metabase_sync *s, const cJSON *note, struct kind_command *ret)
{
	const char *unasked = json_string(note, "unasked");

	if (json_string(note, "outcome")) {
		cJSON_Delete(s->progress);
		s->progress = cJSON_Duplicate(json_get(note, "progress"), true);
		kind_done_from_note(note, ret);
		return;
	}
	if (json_get(note, "databases")) {
		cJSON_Delete(s->databases);
		s->databases = cJSON_Duplicate(json_get(note, "databases"), true);
	} else {
		s->asked++;
	}
	if (unasked) {
		free(s->unasked);
		s->unasked = xstrdup(unasked);
	}
	go_on(s, ret);
}

static void sync_next(void *state, const struct kind_context *ctx, const struct kind_event *event,
	struct kind_command *ret)
{
	struct metabase_sync *s = state;

	if (event->type == KIND_BEGIN) {
		s->began_at = event->at;
		want_of_lane(s->n_warehouses ? "look" : "sync", ret);
	} else if (event->note) {
		replay(s, event->note, ret);
	} else if (event->type == KIND_ANSWERED) {
		warehouse_answered(s, event, ret);
	} else if (str_eq(event->action, "look")) {
		look_served(s, event, ret);
	} else {
		sync_served(s, event, ret);
	}
}

static cJSON *sync_progress(const void *state)
{
	const struct metabase_sync *s = state;

	return s->progress ? cJSON_Duplicate(s->progress, true) : NULL;
}

const struct kind kind_metabase_sync = {
	.spec = SPEC_METABASE_SYNC,
	.new = sync_new,
	.free = sync_free,
	.next = sync_next,
	.join = sync_join,
	.query = sync_query,
	.progress = sync_progress,
};
