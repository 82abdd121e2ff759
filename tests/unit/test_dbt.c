/* The kind dbt, fed with what real invocations of dbt 1.11 said (tests/data/dbt). */
#include "unit.h"
#include <signal.h>
#include "base/instant.h"
#include "kinds/dbt_log.h"
#include "kinds/dbt_results.h"
#include "kinds/kind_table.h"
#include "kinds_fixture.h"

struct play {
	struct node *params;
	struct kind_context ctx;
	void *machine;
	struct kind_command end;
	struct buf news;
	size_t changes;
};

static void play_lines(struct play *p, const char *name, const char *suffix, enum stream stream)
{
	_cleanup_free_ char *path = xasprintf("dbt/%s.%s", name, suffix), *text = NULL;
	size_t len = 0;

	text = fixture_file(path, &len);
	for (char *at = text, *line; at && (line = strsep(&at, "\n"));) {
		size_t n = strlen(line), half = n / 2;
		char *news = NULL;

		if (!n)
			continue;
		/* in two pieces, as a long line comes */
		kind_dbt.line(p->machine, stream, line, half, true, &news);
		p->changes +=
			kind_dbt.line(p->machine, stream, line + half, n - half, false, &news);
		if (news)
			buf_printf(&p->news, "%s\n", news);
		free(news);
	}
}

static void play_begin(struct play *p)
{
	struct kind_event event = {.type = KIND_BEGIN};
	_cleanup_command_ struct kind_command c = {0};

	*p = (struct play){.params = fixture_params("{\"command\":\"build\",\"project\":\"/p\"}")};
	p->ctx = fixture_context(p->params);
	p->machine = kind_dbt.new(&p->ctx);
	kind_dbt.next(p->machine, &p->ctx, &event, &c);
	assert_int_equal(c.type, KIND_SPAWN);
}

static void play_end(struct play *p, const char *name, const struct action_status *status)
{
	struct artifact artifacts[2] = {
		{.path = "target/run_results.json"}, {.path = "target/sources.json"}};
	_cleanup_free_ char *results = xasprintf("dbt/%s.run_results.json", name);
	_cleanup_free_ char *sources = xasprintf("dbt/%s.sources.json", name);
	struct kind_event event = {.type = KIND_ENDED,
		.action = "dbt",
		.status = status,
		.artifacts = artifacts,
		.n_artifacts = 2};

	artifacts[0].data = fixture_file(results, &artifacts[0].len);
	artifacts[1].data = fixture_file(sources, &artifacts[1].len);
	kind_dbt.next(p->machine, &p->ctx, &event, &p->end);
	assert_int_equal(p->end.type, KIND_DONE);
	free(artifacts[0].data);
	free(artifacts[1].data);
}

static void play(struct play *p, const char *name, struct action_status status)
{
	play_begin(p);
	play_lines(p, name, "log", STREAM_STDOUT);
	play_lines(p, name, "stderr", STREAM_STDERR);
	play_end(p, name, &status);
}

static void play_fini(struct play *p)
{
	kind_dbt.free(p->machine);
	node_free(p->params);
	command_fini(&p->end);
	buf_fini(&p->news);
}
#define _cleanup_play_ _cleanup_(play_fini)

static struct action_status exited(int code)
{
	return (struct action_status){.end = END_EXITED, .code = code, .started_at = USEC_SEC};
}

static void every_recording_comes_to_its_outcome_and_reason(void **state)
{
	static const struct {
		const char *name;
		int code;
		enum outcome outcome;
		const char *reason, *holds_up;
	} table[] = {
		{"green", 0, OUTCOME_OK, NULL, NULL},
		{"deps", 0, OUTCOME_OK, NULL, NULL},
		{"broken_model", 1, OUTCOME_FAILED,
			"dbt: model mart_screener_data: column \"wl_id\" does not exist",
			"2 models, 1 test"},
		{"failing_test", 1, OUTCOME_FAILED,
			"dbt: test accepted_values_stg_customers_name__a: 1 row (Got 1 result, "
			"configured to fail if != 0)",
			"3 models, 1 test"},
		{"permission", 1, OUTCOME_FAILED,
			"dbt: model perm: permission denied for table secret_table", NULL},
		{"duckdb_broken", 1, OUTCOME_FAILED,
			"dbt: model ct: Compilation Error: This model has an enforced contract "
			"that "
			"failed.; and 1 more: mart_screener_data",
			"2 models, 1 unit test"},
		{"contract_and_unit_test", 1, OUTCOME_FAILED,
			"dbt: model ct: Compilation Error: This model has an enforced contract "
			"that "
			"failed.; and 1 more: top_a::ut1",
			"1 model"},
		{"hook", 1, OUTCOME_FAILED,
			"dbt: hook lab-on-run-start-0: division by zero; and 1 more: "
			"accepted_values_stg_customers_name__a",
			"3 models, 1 test"},
		{"operation", 1, OUTCOME_FAILED, "dbt: operation boom: division by zero", NULL},
		{"terminated", 1, OUTCOME_TRANSIENT,
			"dbt: model slow: server closed the connection unexpectedly", NULL},
		/* PostgreSQL restarted in the middle: dbt says it was interrupted */
		{"restart", 2, OUTCOME_TRANSIENT,
			"dbt: model slow: server closed the connection unexpectedly; and 1 more: "
			"stg_customers",
			"3 models"},
		{"refused", 2, OUTCOME_TRANSIENT,
			"dbt: Database Error: connection to server at \"127.0.0.1\", port 5598 "
			"failed: "
			"Connection refused",
			NULL},
		{"duckdb_lock", 2, OUTCOME_TRANSIENT,
			"dbt: IO Error: Could not set lock on file \"/srv/lab/lab.duckdb\": "
			"Conflicting "
			"lock is held in python (PID 12683). See also "
			"https://duckdb.org/docs/current/connect/concurrency",
			NULL},
		{"parse_error", 2, OUTCOME_FAILED,
			"dbt: Compilation Error in model bad (models/bad.sql): unexpected '}', "
			"expected ')'",
			NULL},
		{"badstate", 2, OUTCOME_FAILED,
			"dbt: Runtime Error: Got a state selector method, but no comparison "
			"manifest",
			NULL},
		{"usage", 2, OUTCOME_FAILED,
			"dbt: exit code 2: Error: No such option '--nope'. (Did you mean one of: "
			"'--no-empty', '--no-print', '--no-quiet'?)",
			NULL},
		{"freshness", 1, OUTCOME_FAILED,
			"dbt: source raw.customers: last loaded 2515d 8h before (error_after: 2 "
			"days); and 1 more: raw.missing",
			NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_play_ struct play p;
		_cleanup_free_ char *holds_up = NULL;

		play(&p, table[i].name, exited(table[i].code));
		if (p.end.outcome != table[i].outcome)
			fail_msg("%s is %s", table[i].name, outcome_name(p.end.outcome));
		if (table[i].reason)
			assert_string_equal(p.end.reason, table[i].reason);
		else
			assert_null(p.end.reason);
		holds_up = kind_dbt.holds_up(p.machine);
		if (table[i].holds_up)
			assert_string_equal(holds_up, table[i].holds_up);
		else
			assert_null(holds_up);
	}
}

static const cJSON *row(const cJSON *rows, const char *table, const char *unique_id)
{
	const cJSON *r;

	cJSON_ArrayForEach(r,
		json_get(rows, table)) if (str_eq(json_string(r, "unique_id"), unique_id)) return r;
	return NULL;
}

static void results_become_rows(void **state)
{
	_cleanup_play_ struct play p;
	const cJSON *r;

	play(&p, "broken_model", exited(1));
	assert_int_equal(cJSON_GetArraySize(json_get(p.end.rows, "node_result")), 7);
	assert_null(json_get(p.end.rows, "source_freshness"));
	r = row(p.end.rows, "node_result", "model.lab.stg_customers");
	assert_string_equal(json_string(r, "resource_type"), "model");
	assert_string_equal(json_string(r, "status"), "success");
	assert_string_equal(
		json_string(r, "relation_name"), "\"postgres\".\"lab\".\"stg_customers\"");
	assert_int_equal(json_int(r, "rows_affected", -5), 2);
	assert_true(cJSON_IsNull(json_get(r, "failures")));
	assert_true(json_get(r, "execution_time")->valuedouble > 0);
	assert_true(json_time(r, "started_at") > 0);
	assert_true(json_time(r, "ended_at") >= json_time(r, "started_at"));
	r = row(p.end.rows, "node_result", "model.lab.mart_screener_data");
	assert_string_equal(json_string(r, "status"), "error");
	assert_non_null(strstr(json_string(r, "message"), "does not exist\n"));
	r = row(p.end.rows, "node_result", "model.lab.top_a");
	assert_string_equal(json_string(r, "status"), "skipped");
}

static void sources_become_rows_with_those_the_file_leaves_out(void **state)
{
	_cleanup_play_ struct play p;
	const cJSON *r;

	play(&p, "freshness", exited(1));
	assert_null(json_get(p.end.rows, "node_result"));
	r = row(p.end.rows, "source_freshness", "source.lab.raw.customers");
	assert_string_equal(json_string(r, "status"), "error");
	assert_true(json_time(r, "max_loaded_at") == 1577923200 * USEC_SEC);
	assert_true(json_get(r, "age_seconds")->valuedouble > 2e8);
	r = row(p.end.rows, "source_freshness", "source.lab.raw.missing");
	assert_string_equal(json_string(r, "status"), "runtime error");
	assert_non_null(strstr(json_string(r, "message"), "relation \"lab.missing\""));
}

static void without_the_artifact_the_log_stands(void **state)
{
	struct action_status status = exited(1);
	_cleanup_play_ struct play p;
	const cJSON *r;

	play_begin(&p);
	play_lines(&p, "broken_model", "log", STREAM_STDOUT);
	/* another invocation's results lie there */
	play_end(&p, "green", &status);
	assert_int_equal(p.end.outcome, OUTCOME_FAILED);
	assert_string_equal(
		p.end.reason, "dbt: model mart_screener_data: column \"wl_id\" does not exist");
	assert_int_equal(cJSON_GetArraySize(json_get(p.end.rows, "node_result")), 7);
	r = row(p.end.rows, "node_result", "model.lab.stg_customers");
	assert_string_equal(json_string(r, "status"), "success");
	assert_string_equal(
		json_string(r, "relation_name"), "\"postgres\".\"lab\".\"stg_customers\"");
	assert_true(json_time(r, "ended_at") > json_time(r, "started_at"));
}

static void without_the_log_results_count_that_were_written_since(void **state)
{
	struct dbt_nodes nodes = {0};
	size_t len = 0;
	_cleanup_free_ char *data = fixture_file("dbt/green.run_results.json", &len);
	usec_t before, after;

	assert_non_null(data);
	assert_true(instant_parse("2026-11-21T00:00:00Z", &before));
	assert_true(instant_parse("2099-01-01T00:00:00Z", &after));
	assert_int_equal(dbt_results_read(&nodes, data, len, NULL, after), DBT_ARTIFACT_FOREIGN);
	assert_int_equal(
		dbt_results_read(&nodes, data, len / 2, NULL, before), DBT_ARTIFACT_UNREADABLE);
	assert_int_equal(dbt_results_read(&nodes, NULL, 0, NULL, before), DBT_ARTIFACT_ABSENT);
	assert_int_equal(nodes.n, 0);
	assert_int_equal(dbt_results_read(&nodes, data, len, NULL, before), DBT_ARTIFACT_READ);
	assert_true(nodes.n > 0 && nodes.n_done == nodes.n && nodes.n_failed == 0);
	dbt_nodes_fini(&nodes);
}

static void progress_counts_as_the_lines_come(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_json_ cJSON *progress = NULL;

	play_begin(&p);
	assert_null(kind_dbt.progress(p.machine));
	play_lines(&p, "broken_model", "log", STREAM_STDOUT);
	assert_true(p.changes > 7);
	progress = kind_dbt.progress(p.machine);
	assert_int_equal(json_int(progress, "total", 0), 7);
	assert_int_equal(json_int(progress, "done", 0), 7);
	assert_int_equal(json_int(progress, "failed", 0), 1);
	assert_int_equal(json_int(progress, "skipped", 0), 3);
	assert_true(cJSON_IsNull(json_get(progress, "now")));
	assert_string_equal(buf_str(&p.news),
		"dbt: model mart_screener_data failed\n"
		"dbt: model mart_screener_data: column \"wl_id\" does not exist\n");
}

static void what_runs_longest_is_named(void **state)
{
	static const char start[] =
		"{\"data\":{\"total\":9,\"node_info\":{\"unique_id\":\"model.p.%s\"}},"
		"\"info\":{\"name\":\"%s\",\"level\":\"info\",\"invocation_id\":\"i\"}}\n";
	struct dbt_log log = {0};
	static const char *const steps[][3] = {
		/* node, event, what then runs longest */
		{"a", "LogStartLine", "model.p.a"},
		{"b", "LogStartLine", "model.p.a"},
		{"a", "LogModelResult", "model.p.b"},
		{"b", "LogBatchResult", "model.p.b"},
		{"c", "LogStartLine", "model.p.b"},
		{"b", "LogStartLine", "model.p.b"},
		{"b", "LogModelResult", "model.p.c"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		char line[512];
		int n = snprintf(line, sizeof(line), start, steps[i][0], steps[i][1]);

		dbt_log_feed(&log, line, (size_t)n);
		assert_true(log.nodes.n_running > 0);
		assert_string_equal(log.nodes.items[log.nodes.running[0]].unique_id, steps[i][2]);
	}
	assert_int_equal(log.total, 9);
	assert_int_equal(log.nodes.n_done, 2);
	dbt_log_fini(&log);
}

static void a_stop_says_how_far_it_was_and_what_had_failed(void **state)
{
	struct action_status status = exited(2);
	_cleanup_play_ struct play p, stray;

	status.stop = STOP_TIMED_OUT;
	play(&p, "sigint", status);
	assert_int_equal(p.end.outcome, OUTCOME_TIMED_OUT);
	assert_string_equal(p.end.reason,
		"dbt: timed out after 1h, 9 of 10 nodes done, in slow; before that: test "
		"accepted_values_stg_customers_name__a: 1 row (Got 1 result, configured to fail if "
		"!= 0)");
	play(&stray, "sigint", exited(2));
	assert_int_equal(stray.end.outcome, OUTCOME_INTERRUPTED);
}

static void a_process_that_vanished_is_interrupted(void **state)
{
	struct action_status status = {.end = END_INTERRUPTED};
	_cleanup_play_ struct play p;

	play_begin(&p);
	play_end(&p, "none", &status);
	assert_int_equal(p.end.outcome, OUTCOME_INTERRUPTED);
	assert_string_equal(p.end.reason, "dbt: interrupted: it ended without a report");
}

static void a_stop_that_came_too_late_stopped_nothing(void **state)
{
	struct action_status status = exited(0);
	_cleanup_play_ struct play p;

	status.stop = STOP_SHUTDOWN;
	play(&p, "green", status);
	assert_int_equal(p.end.outcome, OUTCOME_OK);
}

static void a_replay_tells_the_same(void **state)
{
	_cleanup_play_ struct play p, again;
	_cleanup_free_ char *a = NULL, *b = NULL, *held = NULL;
	_cleanup_json_ cJSON *before = NULL, *after = NULL;
	struct action_status status = exited(1);
	struct kind_event event = {.type = KIND_ENDED, .action = "dbt", .status = &status};

	play(&p, "broken_model", status);
	play_begin(&again);
	event.note = p.end.note;
	kind_dbt.next(again.machine, &again.ctx, &event, &again.end);
	assert_int_equal(again.end.type, KIND_DONE);
	assert_int_equal(again.end.outcome, p.end.outcome);
	assert_string_equal(again.end.reason, p.end.reason);
	before = kind_dbt.progress(p.machine);
	after = kind_dbt.progress(again.machine);
	a = json_print(before);
	b = json_print(after);
	assert_string_equal(a, b);
	held = kind_dbt.holds_up(again.machine);
	assert_string_equal(held, "2 models, 1 test");
	a = (free(a), json_print(p.end.note));
	assert_true(strlen(a) < 1024);
}

static void mixed_failures_are_failed_and_name_what_no_retry_helps(void **state)
{
	static const char *const lines =
		"{\"data\":{\"node_info\":{\"unique_id\":\"model.p.a\",\"node_status\":\"error\"}},"
		"\"info\":{\"name\":\"LogModelResult\",\"level\":\"error\"}}\n"
		"{\"data\":{\"node_info\":{\"unique_id\":\"model.p.b\",\"node_status\":\"%s\"}},"
		"\"info\":{\"name\":\"LogModelResult\",\"level\":\"error\"}}\n"
		"{\"data\":{\"msg\":\"deadlock "
		"detected\",\"node_info\":{\"unique_id\":\"model.p.a\"}},"
		"\"info\":{\"name\":\"RunResultError\",\"level\":\"error\"}}\n"
		"{\"data\":{\"msg\":\"%s\",\"node_info\":{\"unique_id\":\"model.p.b\"}},"
		"\"info\":{\"name\":\"RunResultError\",\"level\":\"error\"}}\n";
	static const struct {
		const char *status, *message;
		enum outcome outcome;
		const char *reason;
	} table[] = {
		{"error", "statement timeout", OUTCOME_TRANSIENT,
			"dbt: model a: deadlock detected; and 1 more: b"},
		{"error", "division by zero", OUTCOME_FAILED,
			"dbt: model b: division by zero; and 1 more: a"},
		/* a word of a later dbt counts as a failure, by its message */
		{"exploded", "odd", OUTCOME_FAILED, "dbt: model b: odd; and 1 more: a"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_play_ struct play p;
		struct action_status status = exited(1);
		_cleanup_free_ char *text = xasprintf(lines, table[i].status, table[i].message);
		char *at = text, *line;

		play_begin(&p);
		while ((line = strsep(&at, "\n"))) {
			char *news = NULL;

			kind_dbt.line(p.machine, STREAM_STDOUT, line, strlen(line), false, &news);
			free(news);
		}
		play_end(&p, "none", &status);
		assert_int_equal(p.end.outcome, table[i].outcome);
		assert_string_equal(p.end.reason, table[i].reason);
	}
}

static void foreign_lines_are_passed_over(void **state)
{
	static const char *const odd[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"info\":7,\"data\":[]}",
		"{\"info\":{\"name\":7}}",
		"{\"info\":{\"name\":\"LogModelResult\"}}",
		"{\"info\":{\"name\":\"LogModelResult\"},\"data\":{\"node_info\":{\"unique_id\":"
		"\"\"}}}",
		"{\"info\":{\"name\":\"LogStartLine\"},\"data\":{\"total\":-1,\"node_info\":{"
		"\"unique_id\":7}}}",
		"{\"info\":{\"name\":\"ConcurrencyLine\"},\"data\":{\"node_count\":1e300}}",
		"{\"info\":{\"name\":\"RunResultError\"},\"data\":{\"msg\":\"\\ud800\"}}",
		"{\"info\":{\"name\":\"RunResultError\"},\"data\":{\"msg\":\"a\\u0000b\"}}",
		"{\"info\":{\"name\":\"EndOfRunSummary\"},\"data\":null}",
		"{\"info\":{\"name\":\"MainEncounteredError\"},\"data\":{\"exc\":{}}}",
		"{\"a\":\"\\xff\"}",
		"WARNING: something on the way",
	};
	struct dbt_log log = {0};
	_cleanup_buf_ struct buf deep = BUF_NULL;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		dbt_log_feed(&log, odd[i], strlen(odd[i]));
		dbt_log_feed(&log, "\n", 1);
	}
	buf_puts(&deep, "{\"info\":");
	for (unsigned i = 0; i < 100000; i++)
		buf_putc(&deep, '[');
	buf_putc(&deep, '\n');
	dbt_log_feed(&log, deep.data, deep.len);
	assert_int_equal(log.total, 0);
	assert_int_equal(log.nodes.n, 0);
	assert_int_equal(log.nodes.n_done, 0);
	assert_true(log.n_unread >= 8);
	assert_string_equal(log.words.last[0] == '{' ? "{" : log.words.last, "{");
	dbt_log_fini(&log);
}

static void a_huge_line_is_passed_over_and_the_next_one_read(void **state)
{
	static const char event[] = "{\"data\":{\"node_count\":3},\"info\":{\"name\":"
				    "\"ConcurrencyLine\",\"level\":\"info\"}}\n";
	struct dbt_log log = {0};
	_cleanup_free_ char *piece = xmalloc(65536);

	memset(piece, 'x', 65536);
	piece[0] = '{';
	for (unsigned i = 0; i < 64; i++) { /* 4 MiB */
		dbt_log_feed(&log, piece, 65536);
		assert_true(log.line.len <= DBT_LINE_MAX);
	}
	dbt_log_feed(&log, "\n", 1);
	assert_int_equal(log.n_unread, 1);
	assert_int_equal(log.line.cap, 0);
	dbt_log_feed(&log, event, strlen(event));
	assert_int_equal(log.total, 3);
	dbt_log_fini(&log);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Bytes changed, doubled and lost: whatever comes, counts and memory stay in bounds. */
static void damaged_logs_and_results_are_survived(void **state)
{
	static const char *const names[] = {"broken_model", "hook", "freshness", "refused"};
	uint32_t seed = 20261121;

	for (unsigned round = 0; round < 120; round++) {
		_cleanup_free_ char *path = xasprintf("dbt/%s.log", names[round % 4]);
		size_t len = 0, results_len = 0;
		_cleanup_free_ char *text = fixture_file(path, &len);
		_cleanup_free_ char *results =
			fixture_file("dbt/hook.run_results.json", &results_len);
		struct dbt_log log = {0};

		assert_true(len && results_len);
		for (unsigned i = 0; i < 1 + round; i++) {
			text[next_random(&seed) % len] = (char)next_random(&seed);
			results[next_random(&seed) % results_len] = "\"{}[],:0a\\"[i % 10];
		}
		for (size_t at = 0; at < len;) {
			size_t piece = 1 + next_random(&seed) % 4000, n = MIN(len - at, piece);

			dbt_log_feed(&log, text + at, n);
			at += n;
		}
		dbt_results_read(&log.nodes, results, results_len, NULL, 0);
		assert_true(log.nodes.n_done + log.nodes.n_running <= log.nodes.n);
		assert_true(log.nodes.n_failed + log.nodes.n_skipped <= log.nodes.n);
		cJSON_Delete(dbt_nodes_rows(&log.nodes, true));
		dbt_log_fini(&log);
	}
}

static void the_table_of_nodes_is_bounded(void **state)
{
	struct dbt_nodes nodes = {0};
	char id[64];

	for (unsigned i = 0; i < DBT_NODES_MAX + 10; i++) {
		struct dbt_node *node;

		snprintf(id, sizeof(id), "model.p.m%u", i);
		node = dbt_nodes_get(&nodes, id);
		assert_true((node != NULL) == (i < DBT_NODES_MAX));
		if (node)
			dbt_node_set_status(&nodes, node, "skipped");
	}
	assert_int_equal(nodes.n, DBT_NODES_MAX);
	assert_int_equal(nodes.n_dropped, 10);
	assert_int_equal(nodes.n_skipped, DBT_NODES_MAX);
	assert_string_equal(dbt_nodes_find(&nodes, "model.p.m4711")->unique_id, "model.p.m4711");
	assert_null(dbt_nodes_find(&nodes, "model.p.none"));
	dbt_nodes_fini(&nodes);
}

static void messages_are_cut_at_whole_characters(void **state)
{
	struct dbt_nodes nodes = {0};
	struct dbt_node *node = dbt_nodes_get(&nodes, "model.p.m");
	_cleanup_buf_ struct buf text = BUF_NULL;

	buf_putc(&text, 'x');
	while (text.len < DBT_MESSAGE_MAX * 2)
		buf_puts(&text, "\xc3\xa9");
	dbt_node_set_message(&nodes, node, text.data);
	assert_int_equal(strlen(node->message), DBT_MESSAGE_MAX - 1);
	assert_true(utf8_is_valid(node->message, strlen(node->message)));
	dbt_nodes_fini(&nodes);
}

static void the_note_names_what_was_really_built(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_free_ char *built = NULL;

	play(&p, "broken_model", exited(1));
	built = json_print(cJSON_GetObjectItem(p.end.note, "built"));
	assert_string_equal(
		built, "[[\"lab\",\"slow\"],[\"lab\",\"customers\"],[\"lab\",\"stg_customers\"]]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_recording_comes_to_its_outcome_and_reason),
		cmocka_unit_test(results_become_rows),
		cmocka_unit_test(sources_become_rows_with_those_the_file_leaves_out),
		cmocka_unit_test(without_the_artifact_the_log_stands),
		cmocka_unit_test(without_the_log_results_count_that_were_written_since),
		cmocka_unit_test(progress_counts_as_the_lines_come),
		cmocka_unit_test(what_runs_longest_is_named),
		cmocka_unit_test(a_stop_says_how_far_it_was_and_what_had_failed),
		cmocka_unit_test(a_process_that_vanished_is_interrupted),
		cmocka_unit_test(a_stop_that_came_too_late_stopped_nothing),
		cmocka_unit_test(a_replay_tells_the_same),
		cmocka_unit_test(mixed_failures_are_failed_and_name_what_no_retry_helps),
		cmocka_unit_test(foreign_lines_are_passed_over),
		cmocka_unit_test(a_huge_line_is_passed_over_and_the_next_one_read),
		cmocka_unit_test(damaged_logs_and_results_are_survived),
		cmocka_unit_test(the_table_of_nodes_is_bounded),
		cmocka_unit_test(messages_are_cut_at_whole_characters),
		cmocka_unit_test(the_note_names_what_was_really_built),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
