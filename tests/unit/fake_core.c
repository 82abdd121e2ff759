#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/fake_core.h"

#define RUNS_MAX 64
#define STEPS	 4

struct fake_run {
	char name[80];
	const char *job;
	int steps;
	bool ended, cancelled;
};

struct core {
	struct fake_hooks hooks;
	struct list asked, hung;
	struct fake_run runs[RUNS_MAX];
	size_t n_runs;
	bool paused, draining;
	struct core_op *drain;
};

struct core *fake_core_new(const struct fake_hooks *hooks)
{
	struct core *core = xnew(struct core);
	core->hooks = *hooks;
	list_init(&core->asked);
	list_init(&core->hung);
	return core;
}

static void answer_all(struct list *ops)
{
	while (!list_empty(ops)) {
		struct core_op *op = list_entry(list_first(ops), struct core_op, link);
		list_remove(&op->link);
		_cleanup_free_ char *message = op->message;
		op->done(op, op->error, message, op->result);
	}
}

void fake_core_answer(struct core *core)
{
	answer_all(&core->asked);
}

void fake_core_free(struct core *core)
{
	answer_all(&core->asked);
	answer_all(&core->hung);
	free(core);
}

static void answer(struct core *core, struct core_op *op, enum core_error error,
	const char *message, cJSON *result)
{
	op->error = error;
	op->message = xstrdup(message);
	op->result = result;
	list_append(&core->asked, &op->link);
}

static cJSON *parse(const char *text)
{
	cJSON *json = NULL;
	if (json_parse(text, strlen(text), &json) < 0)
		abort();
	return json;
}

static void tell(struct core *core, enum core_event event, const struct fake_run *run,
	const char *message, const char *outcome)
{
	core->hooks.notice(core->hooks.self, &(struct core_notice){
						     .event = event,
						     .priority = 6,
						     .message = message,
						     .job = run->job,
						     .run = run->name,
						     .cell = "build/staging/postgres",
						     .step = "build",
						     .attempt = 1,
						     .outcome = outcome,
					     });
}

static const char *outcome_of(const struct fake_run *run)
{
	if (!run->ended)
		return NULL;
	if (run->cancelled)
		return "cancelled";
	return str_eq(run->job, "broken") ? "failed" : "ok";
}

void fake_core_step(struct core *core)
{
	for (size_t i = 0; i < core->n_runs; i++) {
		struct fake_run *run = &core->runs[i];
		if (run->ended)
			continue;
		run->steps++;
		run->ended = run->cancelled || run->steps >= STEPS;
		tell(core, EVENT_PROGRESS, run, "moves on", NULL);
		tell(core, EVENT_OUTPUT, run, "a line", NULL);
		if (run->ended)
			tell(core, EVENT_RUN_ENDED, run, "ended", outcome_of(run));
	}
}

/* --- operations --------------------------------------------------------------------------- */

static bool refused(struct core *core, struct core_op *op, const char *name)
{
	static const struct {
		const char *name;
		enum core_error error;
		const char *message;
	} table[] = {
		{"refused", CORE_E_REFUSED, "refused#7 is still active"},
		{"nostore", CORE_E_NO_STORE, "the store is away: connection refused"},
		{"notleader", CORE_E_NOT_LEADER, "the daemon on otherhost leads"},
		{"later", CORE_E_NOT_THERE_YET, "terraform is not there yet"},
		{"usage", CORE_E_USAGE, "say which environment: staging, production"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!str_eq(name, table[i].name))
			continue;
		answer(core, op, table[i].error, table[i].message, NULL);
		return true;
	}
	return false;
}

void core_start(struct core *core, struct core_op *op, const char *job,
	const struct core_only *only, size_t n_only)
{
	if (str_eq(job, "hang"))
		return list_append(&core->hung, &op->link);
	if (refused(core, op, job))
		return;
	for (size_t i = 0; i < n_only; i++)
		if (!str_eq(only[i].key, "environment"))
			return answer(core, op, CORE_E_USAGE,
				"no such dimension; there are: environment", NULL);
	if ((!str_eq(job, "nightly") && !str_eq(job, "broken")) || core->n_runs == RUNS_MAX)
		return answer(core, op, CORE_E_NO_SUCH, "there is no such job", NULL);
	struct fake_run *run = &core->runs[core->n_runs++];
	*run = (struct fake_run){.job = str_eq(job, "broken") ? "broken" : "nightly"};
	snprintf(run->name, sizeof(run->name), "%s#%zu", run->job, 128 + core->n_runs);
	cJSON *result = cJSON_CreateObject();
	json_set_string(result, "run", run->name);
	core_audit(core, op->who, "StartRun", job, op->reason, true, run->name);
	tell(core, EVENT_RUN_STARTED, run, "started", NULL);
	answer(core, op, CORE_OK, NULL, result);
}

static struct fake_run *find_run(struct core *core, const char *ref)
{
	for (size_t i = core->n_runs; i > 0; i--) {
		struct fake_run *run = &core->runs[i - 1];
		if (str_eq(ref, run->name) || str_eq(ref, run->job))
			return run;
	}
	return NULL;
}

void core_cancel(struct core *core, struct core_op *op, const char *ref)
{
	struct fake_run *run = find_run(core, ref);
	if (!run)
		return answer(core, op, CORE_E_NO_SUCH, "there is no such run", NULL);
	if (run->ended)
		return answer(core, op, CORE_E_REFUSED, "it has ended", NULL);
	run->cancelled = true;
	answer(core, op, CORE_OK, NULL, cJSON_CreateObject());
}

void core_approve(
	struct core *core, struct core_op *op, const char *ref, const char *hash, bool approved)
{
	if (refused(core, op, ref))
		return;
	if (hash && !str_eq(hash, "p1"))
		return answer(core, op, CORE_E_REFUSED, "it waits with another plan by now", NULL);
	answer(core, op, CORE_OK, NULL, parse("{\"ref\":\"nightly#128/apply/staging/apply\"}"));
}

void core_get_approval(struct core *core, struct core_op *op, const char *ref)
{
	if (refused(core, op, ref))
		return;
	answer(core, op, CORE_OK, NULL,
		parse("{\"approvals\":[{\"ref\":\"nightly#128/apply/staging/apply\",\"message\":"
		      "\"QA done?\",\"since\":\"2026-03-29T06:12:00Z\",\"expires_at\":null,"
		      "\"commit\":\"4f2c\",\"hash\":\"p1\",\"plan\":{\"hash\":\"p1\",\"summary\":"
		      "{\"add\":1,\"change\":0,\"destroy\":0,\"replace\":1},\"changes\":["
		      "{\"address\":\"metabase_card.a\",\"action\":\"create\"},"
		      "{\"address\":\"metabase_database.b\",\"action\":\"replace\"}],"
		      "\"made_at\":\"2026-03-29T06:12:00Z\",\"decision\":null,\"decided_by\":null,"
		      "\"decided_at\":null},\"elsewhere\":[{\"ref\":\"nightly#127/apply/"
		      "production\","
		      "\"environment\":\"production\",\"same\":\"plan\",\"outcome\":\"ok\","
		      "\"ended_at\":\"2026-03-28T06:12:00Z\",\"decided_by\":\"alice\"}]}]}"));
}

void core_retry(struct core *core, struct core_op *op, const char *run,
	const struct core_only *only, size_t n_only, bool dry_run)
{
	if (refused(core, op, run))
		return;
	answer(core, op, CORE_OK, NULL,
		parse(dry_run ? "{\"run\":null,\"cells\":[\"build/production/postgres\"]}"
			      : "{\"run\":\"nightly#200\",\"cells\":[\"build/production/"
				"postgres\"]}"));
}

void core_pause(struct core *core, struct core_op *op, const char *job, bool paused)
{
	if (refused(core, op, job))
		return;
	core->paused = paused;
	answer(core, op, CORE_OK, NULL, cJSON_CreateObject());
}

void core_drain(struct core *core, struct core_op *op)
{
	core->draining = true;
	answer(core, op, CORE_OK, NULL, cJSON_CreateObject());
}

void core_audit(struct core *core, const char *who, const char *method, const char *subject,
	const char *reason, bool granted, const char *text)
{
	_cleanup_free_ char *line =
		xasprintf("audit %s|%s|%s|%s|%s|%s", who, method, subject ? subject : "-",
			reason ? reason : "-", granted ? "granted" : "denied", text ? text : "-");
	core->hooks.audit(core->hooks.self, line);
}

/* --- views -------------------------------------------------------------------------------- */

#define RUN                                                                                        \
	"\"job\":\"nightly\",\"number\":128,\"name\":\"nightly#128\","                             \
	"\"id\":\"0190-aa\",\"trigger\":\"schedule\",\"state\":\"running\",\"outcome\":null,"      \
	"\"reason\":null,\"scheduled_for\":\"2026-03-29T06:00:00Z\","                              \
	"\"started_at\":\"2026-03-29T06:00:00.003000Z\",\"ended_at\":null,\"retry_of\":null,"      \
	"\"commit\":\"4f2c\",\"created_at\":\"2026-03-29T06:00:00.001000Z\",\"who\":null,\"why\":" \
	"null"

cJSON *core_view_status(const struct core *core)
{
	cJSON *json = parse(
		"{\"now\":\"2026-03-29T07:02:00.000000Z\",\"store\":\"ok\",\"store_reason\":null,"
		"\"leader\":true,\"holder\":null,\"draining\":false,"
		"\"red\":[{\"run\":\"nightly#128\",\"cell\":\"nightly#128/build/production/"
		"postgres\","
		"\"outcome\":\"failed\",\"ended_at\":\"2026-03-29T06:14:00.000000Z\",\"attempts\":"
		"1,"
		"\"reason\":\"dbt: model mart_screener_data: column \\\"wl_id\\\" does not exist\","
		"\"holds_up\":[\"4 models\",\"sync/production\"]}],"
		"\"waiting\":[{\"run\":\"nightly#128\",\"cell\":\"nightly#128/build/production/"
		"duckdb\","
		"\"since\":\"2026-03-29T07:00:00.000000Z\",\"reason\":\"the lock warehouse\"}],"
		"\"runs\":[{" RUN "}],"
		"\"running\":[{\"run\":\"nightly#128\",\"cell\":\"nightly#128/build/staging/"
		"bigquery\","
		"\"step\":\"build\",\"attempt\":1,\"started_at\":\"2026-03-29T06:50:00.000000Z\","
		"\"progress\":{\"done\":31,\"total\":44,\"now\":\"stg_events\"},\"usual_ms\":"
		"840000}],"
		"\"due\":[{\"job\":\"nightly\",\"at\":\"2026-03-30T06:00:00Z\"}],"
		"\"paused\":[],\"checks\":[]}");
	if (core->paused)
		cJSON_AddItemToArray(json_get(json, "paused"), cJSON_CreateString("nightly"));
	json_set_bool(json, "draining", core->draining);
	return json;
}

cJSON *core_view_jobs(const struct core *core)
{
	return parse("{\"jobs\":[{\"name\":\"nightly\",\"schedule\":\"0 6 * * *\","
		     "\"timezone\":\"UTC\",\"paused\":false,\"next\":\"2026-03-30T06:00:00Z\","
		     "\"overlap\":\"skip\",\"active\":[\"nightly#128\"],\"last\":"
		     "{\"name\":\"nightly#127\",\"outcome\":\"ok\","
		     "\"ended_at\":\"2026-03-28T07:00:00.000000Z\"}},"
		     "{\"name\":\"release\",\"schedule\":null,\"timezone\":\"UTC\",\"paused\":true,"
		     "\"next\":null,\"overlap\":\"skip\",\"active\":[],\"last\":null}]}");
}

cJSON *core_view_next(const struct core *core, const char *job, unsigned n)
{
	if (job && !str_eq(job, "nightly"))
		return NULL;
	cJSON *json = cJSON_CreateObject();
	cJSON *slots = json_set(json, "slots", cJSON_CreateArray());
	for (unsigned i = 0; i < n; i++)
		cJSON_AddItemToArray(
			slots, parse("{\"job\":\"nightly\",\"utc\":\"2026-03-30T06:00:00Z\","
				     "\"local\":\"2026-03-30T08:00:00+02:00\","
				     "\"timezone\":\"Europe/Paris\"}"));
	return json;
}

void core_list_runs(struct core *core, struct core_op *op, const char *job, unsigned limit)
{
	if (job && refused(core, op, job))
		return;
	answer(core, op, CORE_OK, NULL, parse("{\"runs\":[{" RUN "}]}"));
}

void core_view_metrics(const struct core *core, struct buf *out)
{
	buf_puts(out, "# HELP nightjar_leader 1 while this daemon may act.\n"
		      "# TYPE nightjar_leader gauge\nnightjar_leader 1\n");
}

void core_list_checks(struct core *core, struct core_op *op, unsigned limit)
{
	answer(core, op, CORE_OK, NULL,
		parse("{\"checks\":[{\"name\":\"metabase\",\"environment\":\"staging\","
		      "\"state\":\"up\",\"since\":\"2026-03-29T05:12:00Z\",\"reason\":null,"
		      "\"progress\":null,\"checked_at\":\"2026-03-29T07:01:50Z\","
		      "\"holds_up\":[],\"transitions\":[{\"state\":\"up\","
		      "\"at\":\"2026-03-29T05:12:00Z\",\"ended_at\":null,\"reason\":null}]},"
		      "{\"name\":\"metabase\",\"environment\":\"production\","
		      "\"state\":\"down\",\"since\":\"2026-03-29T06:12:00Z\","
		      "\"reason\":\"refused \\u001b[31m\",\"progress\":null,"
		      "\"checked_at\":\"2026-03-29T07:01:50Z\","
		      "\"holds_up\":[\"nightly#128/apply/production\"],"
		      "\"transitions\":[{\"state\":\"down\",\"at\":\"2026-03-29T06:12:00Z\","
		      "\"ended_at\":null,\"reason\":\"refused\"},{\"state\":\"up\","
		      "\"at\":\"2026-03-29T05:12:00Z\","
		      "\"ended_at\":\"2026-03-29T06:12:00Z\",\"reason\":null}]}]}"));
}

#define CELLS                                                                                      \
	"\"cells\":[{\"name\":\"build/staging/postgres\",\"stage\":\"build\","                     \
	"\"matrix\":{\"environment\":\"staging\",\"target\":\"postgres\"},\"state\":\"ended\","    \
	"\"outcome\":\"failed\",\"reason\":\"model a "                                             \
	"failed\",\"started_at\":null,\"ended_at\":null,\"steps\":[{\"name\":\"build\","           \
	"\"kind\":\"dbt\",\"state\":\"ended\",\"outcome\":\"failed\",\"reason\":null,"             \
	"\"attempts\":[{\"number\":1,\"outcome\":\"transient\",\"reason\":\"connection lost\","    \
	"\"exit_code\":1,\"signal\":null,\"started_at\":\"2026-03-29T06:00:01.000000Z\","          \
	"\"ended_at\":\"2026-03-29T06:04:01.000000Z\",\"max_rss\":104857600,\"cpu_ms\":5300,"      \
	"\"progress\":{\"done\":3,\"total\":44}},"                                                 \
	"{\"number\":2,\"outcome\":null,\"reason\":null,\"exit_code\":null,\"signal\":null,"       \
	"\"started_at\":\"2026-03-29T06:10:01.000000Z\",\"ended_at\":null,\"max_rss\":null,"       \
	"\"cpu_ms\":null,\"progress\":{\"done\":31,\"total\":44,\"now\":\"stg_events\"}}]}]}]"

static cJSON *big_run(void)
{
	cJSON *json = parse("{" RUN "," CELLS "}");
	cJSON *cells = json_get(json, "cells");
	for (int i = 0; i < 9999; i++)
		cJSON_AddItemToArray(cells, cJSON_Duplicate(cJSON_GetArrayItem(cells, 0), true));
	return json;
}

void core_get_run(struct core *core, struct core_op *op, const char *ref)
{
	if (str_eq(ref, "hang"))
		return list_append(&core->hung, &op->link);
	if (refused(core, op, ref))
		return;
	if (str_eq(ref, "big"))
		return answer(core, op, CORE_OK, NULL, big_run());
	const struct fake_run *run = find_run(core, ref);
	if (!run && !str_eq(ref, "nightly#128"))
		return answer(core, op, CORE_E_NO_SUCH, "there is no such run", NULL);
	cJSON *json = parse("{" RUN "," CELLS "}");
	if (run) {
		json_set_string(json, "name", run->name);
		json_set_string(json, "job", run->job);
		json_set_string(json, "state", run->ended ? "ended" : "running");
		json_set_string(json, "outcome", outcome_of(run));
	}
	answer(core, op, CORE_OK, NULL, json);
}

void core_why(struct core *core, struct core_op *op, const char *job, usec_t instant)
{
	cJSON *json = parse("{\"fate\":\"skipped\",\"reason\":\"paused by root (uid 0)\","
			    "\"run\":null}");
	json_set_string(json, "job", job);
	json_set_time(json, "scheduled_for", instant);
	answer(core, op, CORE_OK, NULL, json);
}

void core_find_logs(struct core *core, struct core_op *op, const char *ref, bool failed_only)
{
	if (refused(core, op, ref))
		return;
	if (str_eq(ref, "chatty"))
		return answer(core, op, CORE_OK, NULL,
			parse("{\"run\":\"chatty#1\",\"active\":true,\"attempts\":[{\"directory\":"
			      "\"/chatty\",\"name\":\"chatty#1/a/b.1\",\"cell\":\"a\",\"step\":"
			      "\"b\",\"attempt\":1,\"outcome\":null,\"actions\":[\"run\"],"
			      "\"ended\":false}]}"));
	struct fake_run *run = find_run(core, ref);
	if (!run && !str_starts(ref, "nightly#128"))
		return answer(core, op, CORE_E_NO_SUCH, "there is no such run", NULL);
	cJSON *json =
		parse("{\"run\":\"nightly#128\",\"active\":false,\"attempts\":["
		      "{\"directory\":\"/one\",\"name\":"
		      "\"nightly#128/build/staging/postgres/build.1\",\"cell\":"
		      "\"build/staging/postgres\",\"step\":\"build\",\"attempt\":1,\"outcome\":"
		      "\"transient\",\"actions\":[\"run\"],\"ended\":true},"
		      "{\"directory\":\"/two\",\"name\":"
		      "\"nightly#128/build/staging/postgres/build.2\",\"cell\":"
		      "\"build/staging/postgres\",\"step\":\"build\",\"attempt\":2,\"outcome\":"
		      "\"failed\",\"actions\":[\"run\"],\"ended\":true}]}");
	if (failed_only)
		cJSON_DeleteItemFromArray(json_get(json, "attempts"), 0);
	if (run) {
		json_set_string(json, "run", run->name);
		json_set_bool(json, "active", !run->ended);
	}
	answer(core, op, CORE_OK, NULL, json);
}

const struct core_event_info core_event_table[CORE_EVENTS] = {
	[EVENT_RUN_STARTED] = {"run-started", 6, "", ""},
	[EVENT_RUN_ENDED] = {"run-ended", 6, "", ""},
	[EVENT_PROGRESS] = {"progress", 6, "", ""},
	[EVENT_OUTPUT] = {"output", 6, "", ""},
};
