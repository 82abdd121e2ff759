/* The life of a run, in the simulated world: each test is a small night. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"
#include "time/instant.h"

#define NIGHT "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 8, "

static usec_t instant(const char *text)
{
	usec_t t = 0;

	assert_true(instant_parse(text, &t));
	return t;
}

static struct sim *night(struct sim_script (*script)(struct sim *, const struct action_place *,
				 const char *, const char *),
	const char *config)
{
	struct sim *sim = sim_new(&(struct sim_options){
		.seed = 7,
		.start = instant("2026-03-01T00:00:00Z"),
		.script = script,
	});

	sim_configure(sim, config);
	return sim;
}

static void start(struct sim *sim, const char *job, const char *only, const char *expected)
{
	_cleanup_free_ char *answer = sim_start(sim, job, only);

	assert_string_equal(answer, expected);
}

/* --- scripts ------------------------------------------------------------------------------ */

static struct sim_script production_fails(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	bool bad = strstr(cell, "build/production") != NULL;

	return (struct sim_script){.takes = bad ? USEC_SEC : 10 * USEC_SEC, .code = bad};
}

static struct sim_script first_two_are_transient(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.code = p->attempt <= 2 ? 75 : 0};
}

static struct sim_script never_ends(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.hangs = true};
}

static struct sim_script a_minute_each(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.takes = USEC_MINUTE, .output = "rows=5\nname=mart\n"};
}

/* --- slots -------------------------------------------------------------------------------- */

static void a_job_runs_at_its_slot_and_no_earlier(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'nightly', 'schedule': '0 6 * * *', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");

	sim_run_until(sim, instant("2026-03-01T05:59:59Z"));
	assert_null(sim_run_row(sim, "nightly#1"));
	sim_run_until(sim, instant("2026-03-01T06:00:10Z"));
	assert_string_equal(sim_outcome(sim, "nightly#1", NULL), "ok");
	assert_string_equal(json_string(sim_run_row(sim, "nightly#1"), "trigger"), "schedule");
	sim_run_until(sim, instant("2026-03-03T07:00:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 3);
	sim_free(sim);
}

static void a_slot_missed_while_the_store_is_away_is_caught_up_once(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'hourly', 'schedule': '@hourly', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");

	sim_run_until(sim, instant("2026-03-01T01:30:00Z"));
	sim_store_away(sim);
	sim_run_until(sim, instant("2026-03-01T04:30:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 1);
	sim_store_back(sim);
	sim_settle(sim);
	assert_int_equal(sim_count(sim, TABLE_RUN), 2);
	assert_string_equal(json_string(sim_run_row(sim, "hourly#2"), "trigger"), "catch_up");
	assert_string_equal(json_string(sim_run_row(sim, "hourly#2"), "scheduled_for"),
		"2026-03-01T04:00:00.000000Z");
	sim_free(sim);
}

static void pausing_skips_slots_and_resuming_never_fires_into_the_past(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'hourly', 'schedule': '@hourly', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");

	free(sim_pause(sim, "hourly", true));
	sim_run_until(sim, instant("2026-03-01T04:30:00Z"));
	sim_crash(sim);
	sim_run_until(sim, instant("2026-03-01T05:30:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 0);
	free(sim_pause(sim, "hourly", false));
	sim_run_until(sim, instant("2026-03-01T06:30:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 1);
	sim_free(sim);
}

static void an_edited_schedule_never_fires_into_the_past(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'j', 'schedule': '0 6 * * *', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");

	sim_run_until(sim, instant("2026-03-01T12:00:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 1);
	sim_configure(sim,
		NIGHT "'jobs': [{'name': 'j', 'schedule': '0 11 * * *', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");
	sim_run_until(sim, instant("2026-03-02T10:00:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 1);
	sim_run_until(sim, instant("2026-03-02T11:01:00Z"));
	assert_int_equal(sim_count(sim, TABLE_RUN), 2);
	sim_free(sim);
}

/* --- matrix and needs --------------------------------------------------------------------- */

#define MATRIX                                                                                     \
	NIGHT "'environments': {'staging': {}, 'production': {}}, 'jobs': [{'name': 'n', "         \
	      "'stages': ["                                                                        \
	      "{'name': 'build', 'matrix': {'environment': ['staging', 'production'], "            \
	      "'target': ['pg', 'bq']}, 'steps': [{'name': 'b', 'run': ['true']}]},"               \
	      "{'name': 'apply', 'needs': ['build'], 'matrix': {'environment': ['staging', "       \
	      "'production']}, 'steps': [{'name': 's', 'run': ['true']}]},"                        \
	      "{'name': 'rollback', 'needs': [{'stage': 'build', 'when': 'failed'}], 'steps': "    \
	      "[{'name': 's', 'run': ['true']}]}]}]}"

static void a_cell_waits_only_for_those_it_shares_values_with(void **state)
{
	struct sim *sim = night(production_fails, MATRIX);

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "apply/staging"), "ok");
	assert_string_equal(sim_outcome(sim, "n#1", "apply/production"), "skipped");
	assert_true(
		str_starts(sim_reason(sim, "n#1", "apply/production"), "needs build/production/"));
	assert_string_equal(sim_outcome(sim, "n#1", "rollback"), "ok");
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "failed");
	sim_free(sim);
}

static void a_stage_that_waits_for_a_failure_is_not_wanted_where_all_went_well(void **state)
{
	struct sim *sim = night(NULL, MATRIX);

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "rollback"), "skipped");
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

static void a_run_narrowed_by_only_leaves_the_rest_alone(void **state)
{
	struct sim *sim = night(NULL, MATRIX);

	start(sim, "n", "environment=staging", "n#1");
	sim_settle(sim);
	assert_int_equal(sim_starts(sim, "build/production/pg"), 0);
	assert_int_equal(sim_starts(sim, "build/staging/bq"), 1);
	assert_int_equal(sim_starts(sim, "apply/staging"), 1);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

static void an_unknown_value_for_only_names_the_choices(void **state)
{
	struct sim *sim = night(NULL, MATRIX);

	start(sim, "n", "target=duck", "error: target: no \"duck\"; choose from: pg, bq");
	start(sim, "n", "colour=red",
		"error: n has no dimension \"colour\"; it has: environment, target");
	start(sim, "m", NULL, "error: no job is called \"m\"");
	assert_int_equal(sim_count(sim, TABLE_RUN), 0);
	sim_free(sim);
}

static void a_retry_runs_what_is_not_ok_and_nothing_else(void **state)
{
	struct sim *sim = night(production_fails, MATRIX);
	_cleanup_free_ char *answer = NULL;

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	answer = sim_retry(sim, "n#1");
	assert_string_equal(answer, "n#2");
	sim_settle(sim);
	assert_int_equal(sim_starts(sim, "build/staging/pg"), 1);
	assert_int_equal(sim_starts(sim, "build/production/pg"), 2);
	assert_int_equal(sim_starts(sim, "apply/staging"), 1);
	assert_string_equal(sim_outcome(sim, "n#2", "apply/production"), "skipped");
	assert_string_equal(json_string(sim_run_row(sim, "n#2"), "retry_of"),
		json_string(sim_run_row(sim, "n#1"), "id"));
	sim_free(sim);
}

static void fail_fast_cancels_siblings_and_no_other_stage(void **state)
{
	struct sim *sim = night(production_fails,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'build', 'fail_fast': true, "
		      "'matrix': {'e': ['production', 'staging']}, 'steps': [{'name': 'b', 'run': "
		      "['true']}]},"
		      "{'name': 'other', 'steps': [{'name': 'b', 'run': ['true']}]}]}]}");

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "build/production"), "failed");
	assert_string_equal(sim_outcome(sim, "n#1", "build/staging"), "cancelled");
	assert_string_equal(sim_outcome(sim, "n#1", "other"), "ok");
	sim_free(sim);
}

/* --- places ------------------------------------------------------------------------------- */

static void max_parallel_and_max_attempts_are_kept(void **state)
{
	struct sim *sim =
		night(a_minute_each, "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, "
				     "'max_attempts': 3, 'jobs': [{'name': 'n', "
				     "'stages': [{'name': 'a', 'max_parallel': 2, 'matrix': {'x': "
				     "['1', '2', '3', '4', '5']}, "
				     "'steps': [{'name': 's', 'run': ['true']}]}, {'name': 'b', "
				     "'matrix': {'x': ['1', '2', '3', "
				     "'4', '5']}, 'steps': [{'name': 's', 'run': ['true']}]}]}]}");

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_int_equal(sim_most_at_once(sim, "a/"), 2);
	assert_int_equal(sim_most_at_once(sim, ""), 3);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

static void a_lock_is_held_by_one_and_readers_share_it(void **state)
{
	struct sim *sim = night(a_minute_each,
		NIGHT "'jobs': [{'name': 'n', 'stages': ["
		      "{'name': 'w', 'matrix': {'x': ['1', '2']}, 'steps': [{'name': 's', 'run': "
		      "['true'], 'lock': 'db-${run.number}'}]},"
		      "{'name': 'r', 'matrix': {'x': ['1', '2', '3']}, 'steps': [{'name': 's', "
		      "'run': ['true'], "
		      "'lock': {'name': 'db-${run.number}', 'shared': true}}]}]}]}");

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_int_equal(sim_most_at_once(sim, "w/"), 1);
	assert_int_equal(sim_most_at_once(sim, "r/"), 3);
	assert_int_equal(sim_most_at_once(sim, ""), 3);
	sim_free(sim);
}

/* --- attempts ----------------------------------------------------------------------------- */

#define RETRY                                                                                      \
	NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': "    \
	      "['x'], "                                                                            \
	      "'transient_codes': [75], 'retry': {'attempts': %s, 'delay': '5m'}}]}]}]}"

static void a_transient_failure_is_tried_again_as_often_as_said(void **state)
{
	_cleanup_free_ char *config = xasprintf(RETRY, "3");
	struct sim *sim = night(first_two_are_transient, config);
	usec_t begin = sim_now(sim);

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	assert_int_equal(sim_starts(sim, "a"), 3);
	assert_true(sim_now(sim) - begin >= 10 * USEC_MINUTE);
	sim_free(sim);
}

static void attempts_run_out(void **state)
{
	_cleanup_free_ char *config = xasprintf(RETRY, "2");
	struct sim *sim = night(first_two_are_transient, config);

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "transient");
	assert_int_equal(sim_starts(sim, "a"), 2);
	sim_free(sim);
}

static void a_deadline_stops_what_runs_and_what_waits(void **state)
{
	struct sim *sim = night(never_ends,
		NIGHT "'jobs': [{'name': 'n', 'deadline': '1h', 'stages': [{'name': 'a', 'steps': "
		      "[{'name': 's', 'run': ['x']}]},"
		      "{'name': 'b', 'needs': ['a'], 'steps': [{'name': 's', 'run': ['x']}]}]}]}");

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "timed_out");
	assert_string_equal(sim_outcome(sim, "n#1", "b"), "timed_out");
	assert_non_null(strstr(sim_reason(sim, "n#1", "a"), "deadline of 1h"));
	sim_free(sim);
}

static void a_cancelled_run_ends_cancelled(void **state)
{
	struct sim *sim = night(never_ends, MATRIX);
	_cleanup_free_ char *answer = NULL;

	start(sim, "n", NULL, "n#1");
	sim_run_until(sim, sim_now(sim) + USEC_MINUTE);
	answer = sim_cancel(sim, "n#1");
	assert_string_equal(answer, "");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "cancelled");
	assert_string_equal(sim_outcome(sim, "n#1", "rollback"), "cancelled");
	sim_free(sim);
}

static void outputs_of_a_step_reach_later_steps(void **state)
{
	struct sim *sim = night(a_minute_each,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 'one', "
		      "'run': ['x']}, "
		      "{'name': 'two', 'run': ['x', '${steps.one.rows}']}]}]}]}");

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	sim_free(sim);
}

/* --- several actions in an attempt -------------------------------------------------------- */

#define MADE_UP(does)                                                                              \
	NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "           \
	      "'made_up': "                                                                        \
	      "{'does': '" does "'}, 'ready_timeout': '1h'}]}]}]}"

static void an_attempt_may_be_processes_calls_and_waits(void **state)
{
	struct sim *sim = night(NULL, MADE_UP("spawn http wait spawn"));

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	assert_int_equal(sim_starts(sim, "a"), 2);
	assert_int_equal(sim_count(sim, TABLE_ACTION), 4);
	sim_free(sim);
}

static void not_ready_burns_no_attempt(void **state)
{
	struct sim *sim = night(NULL, MADE_UP("spawn not_ready:3"));

	start(sim, "n", NULL, "n#1");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	assert_int_equal(sim_starts(sim, "a"), 4);
	sim_free(sim);
}

static void a_crash_anywhere_in_an_attempt_loses_nothing_and_doubles_nothing(void **state)
{
	for (usec_t after = 0; after < 16 * USEC_SEC; after += 37 * USEC_MSEC) {
		struct sim *sim = night(NULL, MADE_UP("spawn http wait spawn"));

		start(sim, "n", NULL, "n#1");
		sim_run_until(sim, sim_now(sim) + after);
		sim_crash(sim);
		sim_settle(sim);
		assert_string_equal(sim_outcome(sim, "n#1", "a"),
			str_eq(sim_outcome(sim, "n#1", "a"), "transient") ? "transient" : "ok");
		assert_in_range(sim_starts(sim, "a"), 1, 2);
		sim_free(sim);
	}
}

static void a_crash_anywhere_in_a_matrix_ends_the_run_well(void **state)
{
	for (usec_t after = 0; after < 3 * USEC_SEC; after += 11 * USEC_MSEC) {
		struct sim *sim = night(NULL, MATRIX);

		start(sim, "n", NULL, "n#1");
		sim_run_until(sim, sim_now(sim) + after);
		sim_crash(sim);
		sim_settle(sim);
		assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
		assert_int_equal(sim_starts(sim, NULL), 6);
		assert_int_equal(sim_count(sim, TABLE_RUN), 1);
		sim_free(sim);
	}
}

/* --- readers ------------------------------------------------------------------------------ */

struct question {
	struct core_op op;
	enum core_error error;
	char *state;
	bool answered;
};

static void answered(
	struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	struct question *q = container_of(op, struct question, op);

	q->answered = true;
	q->error = error;
	q->state = xstrdup(json_string(take_result, "state"));
	cJSON_Delete(take_result);
}

static void a_run_that_has_ended_is_shown_so_before_the_store_knows(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'nightly', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");
	struct question q = {.op.done = answered};

	start(sim, "nightly", NULL, "nightly#1");
	sim_run_until(sim, sim_now(sim) + USEC_SEC / 2);
	sim_store_away(sim);
	sim_run_until(sim, sim_now(sim) + USEC_MINUTE);
	assert_string_equal(json_string(sim_run_row(sim, "nightly#1"), "state"), "running");
	list_init(&q.op.link);
	core_get_run(sim_core(sim), &q.op, "nightly");
	core_run(sim_core(sim));
	assert_true(q.answered);
	assert_int_equal(q.error, CORE_OK);
	assert_string_equal(q.state, "ended");
	free(q.state);
	sim_store_back(sim);
	sim_run_until(sim, sim_now(sim) + USEC_MINUTE);
	assert_string_equal(json_string(sim_run_row(sim, "nightly#1"), "state"), "ended");
	sim_free(sim);
}

/* --- two machines ------------------------------------------------------------------------- */

/* What it sees while it is not connected is told when it is. */
static void a_machine_that_leads_no_more_reports_the_ends_of_its_own_processes(void **state)
{
	struct sim *sim = night(a_minute_each,
		NIGHT "'jobs': [{'name': 'j', 'stages': [{'name': 'a', 'steps': [{'name': 's', "
		      "'run': ['true']}]}]}]}");

	start(sim, "j", NULL, "j#1");
	sim_run_for(sim, 10 * USEC_SEC);
	sim_host_up(sim, 1);
	sim_host_away(sim, 0);
	sim_run_for(sim, 20 * USEC_SEC);
	assert_int_equal(sim_leader(sim), 1);
	sim_host_back(sim, 0);
	sim_run_for(sim, 10 * USEC_SEC); /* it has heard that another one leads */
	sim_host_away(sim, 0);
	sim_run_for(sim, USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "j#1", NULL), "");
	sim_host_back(sim, 0);
	sim_run_for(sim, USEC_SEC);
	assert_string_equal(sim_outcome(sim, "j#1", NULL), "ok");
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_runs_at_its_slot_and_no_earlier),
		cmocka_unit_test(a_slot_missed_while_the_store_is_away_is_caught_up_once),
		cmocka_unit_test(pausing_skips_slots_and_resuming_never_fires_into_the_past),
		cmocka_unit_test(an_edited_schedule_never_fires_into_the_past),
		cmocka_unit_test(a_cell_waits_only_for_those_it_shares_values_with),
		cmocka_unit_test(
			a_stage_that_waits_for_a_failure_is_not_wanted_where_all_went_well),
		cmocka_unit_test(a_run_narrowed_by_only_leaves_the_rest_alone),
		cmocka_unit_test(an_unknown_value_for_only_names_the_choices),
		cmocka_unit_test(a_retry_runs_what_is_not_ok_and_nothing_else),
		cmocka_unit_test(fail_fast_cancels_siblings_and_no_other_stage),
		cmocka_unit_test(max_parallel_and_max_attempts_are_kept),
		cmocka_unit_test(a_lock_is_held_by_one_and_readers_share_it),
		cmocka_unit_test(a_transient_failure_is_tried_again_as_often_as_said),
		cmocka_unit_test(attempts_run_out),
		cmocka_unit_test(a_deadline_stops_what_runs_and_what_waits),
		cmocka_unit_test(a_cancelled_run_ends_cancelled),
		cmocka_unit_test(outputs_of_a_step_reach_later_steps),
		cmocka_unit_test(an_attempt_may_be_processes_calls_and_waits),
		cmocka_unit_test(not_ready_burns_no_attempt),
		cmocka_unit_test(a_crash_anywhere_in_an_attempt_loses_nothing_and_doubles_nothing),
		cmocka_unit_test(a_crash_anywhere_in_a_matrix_ends_the_run_well),
		cmocka_unit_test(a_run_that_has_ended_is_shown_so_before_the_store_knows),
		cmocka_unit_test(
			a_machine_that_leads_no_more_reports_the_ends_of_its_own_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
