/* Gates of checks, in the simulated world: a health endpoint that is up or down as the test says.
 */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"
#include "time/instant.h"

#define CHECKS                                                                                     \
	"'checks': [{'name': 'mb', 'url': 'http://mb/health', 'interval': '30s', 'fall': 1, "      \
	"'rise': 1}], "
#define NIGHT "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 1, " CHECKS
#define STEP(does, more)                                                                           \
	NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "           \
	      "'made_up': {'does': '" does "'}, 'gate': {'check': 'mb'}" more "}]}]}]}"

struct world {
	bool down;
	unsigned asked;
};

static int health(struct sim *sim, const char *url)
{
	struct world *w = sim_context(sim);

	w->asked++;
	return w->down ? 503 : 200;
}

static struct sim_script a_minute(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.takes = USEC_MINUTE};
}

/* Two minutes are over: the check is known. */
static struct sim *night(struct world *w, const char *config)
{
	usec_t start = 0;
	struct sim *sim;

	assert_true(instant_parse("2026-03-01T00:00:00Z", &start));
	sim = sim_new(&(struct sim_options){
		.seed = 7, .start = start, .script = a_minute, .answer = health, .context = w});
	sim_configure(sim, config);
	sim_run_for(sim, 2 * USEC_MINUTE);
	return sim;
}

static void start(struct sim *sim, const char *job)
{
	free(sim_start(sim, job, NULL));
	sim_run_for(sim, USEC_SEC);
}

static const char *waits_for(struct sim *sim, char **ret)
{
	_cleanup_json_ cJSON *status = core_view_status(sim_core(sim));
	const cJSON *first = cJSON_GetArrayItem(json_get(status, "waiting"), 0);
	const char *reason = json_string(first, "reason");

	free(*ret);
	*ret = xstrdup(reason ? reason : "");
	return *ret;
}

static const cJSON *gate_row(struct sim *sim, unsigned attempt)
{
	_cleanup_free_ char *key = xasprintf(
		"%s 0 0 %u gate_check", json_string(sim_run_row(sim, "n#1"), "id"), attempt);

	return sim_row(sim, TABLE_ACTION, key);
}

/* --- open and shut ------------------------------------------------------------------------ */

static void a_check_that_is_up_costs_nothing(void **state)
{
	struct world w = {0};
	struct sim *sim = night(&w, STEP("spawn", ""));

	start(sim, "n");
	assert_int_equal(sim_starts(sim, NULL), 1);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_null(gate_row(sim, 1));
	sim_free(sim);
}

static void a_step_waits_for_its_check_and_holds_no_place(void **state)
{
	struct world w = {.down = true};
	struct sim *sim = night(&w,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "
		      "'run': ['x'], 'gate': {'check': 'mb'}}]}]}, {'name': 'm', 'stages': "
		      "[{'name': 'b', 'steps': [{'name': 's', 'run': ['x']}]}]}]}");
	_cleanup_free_ char *why = NULL;

	start(sim, "n");
	start(sim, "m");
	sim_run_for(sim, 10 * USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "m#1", NULL), "ok");
	assert_int_equal(sim_starts(sim, "a"), 0);
	assert_true(str_starts(waits_for(sim, &why), "waits for a check: mb is down since "));
	w.down = false;
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_string_equal(json_string(json_get(gate_row(sim, 1), "note"), "reason"), "mb is up");
	sim_free(sim);
}

static void a_restart_goes_on_waiting(void **state)
{
	struct world w = {.down = true};
	struct sim *sim = night(&w, STEP("spawn", ""));

	start(sim, "n");
	sim_run_for(sim, 10 * USEC_MINUTE);
	sim_crash(sim);
	sim_run_for(sim, 10 * USEC_MINUTE);
	assert_int_equal(sim_starts(sim, NULL), 0);
	w.down = false;
	sim_run_for(sim, USEC_MINUTE);
	sim_crash(sim);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(sim_count(sim, TABLE_ATTEMPT), 1);
	sim_free(sim);
}

static void a_cancelled_wait_ends_at_once(void **state)
{
	struct world w = {.down = true};
	struct sim *sim = night(&w, STEP("spawn", ""));

	start(sim, "n");
	free(sim_cancel(sim, "n"));
	sim_run_for(sim, USEC_SEC);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "cancelled");
	w.down = false;
	sim_run_for(sim, 5 * USEC_MINUTE);
	assert_int_equal(sim_starts(sim, NULL), 0);
	sim_free(sim);
}

static void the_person_is_asked_before_the_check(void **state)
{
	struct world w = {.down = true};
	struct sim *sim = night(&w,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "
		      "'run': ['x'], 'gate': {'check': 'mb', 'approval': {}}}]}]}]}");
	_cleanup_free_ char *why = NULL, *answer = NULL;

	start(sim, "n");
	assert_true(str_starts(waits_for(sim, &why), "waits for approval"));
	answer = sim_approve(sim, "n", NULL);
	assert_string_equal(answer, "n#1/a/s");
	assert_true(str_starts(waits_for(sim, &why), "waits for a check"));
	sim_crash(sim);
	w.down = false;
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

static void every_attempt_waits_for_the_check(void **state)
{
	struct world w = {0};
	struct sim *sim = night(&w, STEP("spawn not_ready:1", ""));

	start(sim, "n");
	w.down = true;
	sim_run_for(sim, 10 * USEC_MINUTE);
	assert_int_equal(sim_starts(sim, NULL), 1);
	w.down = false;
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_null(gate_row(sim, 1));
	assert_non_null(gate_row(sim, 2));
	sim_free(sim);
}

/* --- ready_timeout ------------------------------------------------------------------------ */

static void ready_timeout_ends_the_wait_over_restarts(void **state)
{
	struct world w = {.down = true};
	struct sim *sim =
		night(&w, STEP("spawn", ", 'ready_timeout': '1h', 'retry': {'attempts': 3}"));

	start(sim, "n");
	for (int i = 0; i < 5; i++) {
		sim_run_for(sim, 11 * USEC_MINUTE);
		assert_string_equal(sim_outcome(sim, "n#1", "a"), "");
		sim_crash(sim);
	}
	sim_run_for(sim, 6 * USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "not_ready");
	assert_true(str_starts(sim_reason(sim, "n#1", "a"), "mb is down since "));
	assert_int_equal(sim_count(sim, TABLE_ATTEMPT), 1);
	assert_int_equal(sim_starts(sim, NULL), 0);
	sim_free(sim);
}

static void ready_timeout_sums_all_rounds(void **state)
{
	struct world w = {0};
	struct sim *sim = night(&w, STEP("spawn not_ready:9", ", 'ready_timeout': '30m'"));

	start(sim, "n");
	w.down = true; /* 30 s of pause, then 20 min for the check, before the second attempt */
	sim_run_for(sim, 20 * USEC_MINUTE);
	sim_crash(sim);
	w.down = false;
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "not_ready");
	assert_string_equal(sim_reason(sim, "n#1", "a"), "3 of 7 tables are missing");
	/* pauses of 1, 2 and 4 min fit into what is left, one of 8 min does not */
	assert_int_equal(sim_starts(sim, NULL), 5);
	sim_free(sim);
}

/* --- the cost ----------------------------------------------------------------------------- */

static void two_hundred_that_wait_ask_no_more_often_than_none(void **state)
{
	_cleanup_buf_ struct buf config = BUF_NULL;
	struct world w = {.down = true};
	unsigned before;
	struct sim *sim;

	buf_puts(
		&config, NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'matrix': {'x': [");
	for (int i = 0; i < 200; i++)
		buf_printf(&config, "%s'%d'", i ? ", " : "", i);
	buf_puts(&config, "]}, 'steps': [{'name': 's', 'run': ['x'], 'gate': {'check': 'mb'}, "
			  "'ready_timeout': '4h'}]}]}]}");
	sim = night(&w, buf_str(&config));
	before = w.asked;
	sim_run_for(sim, USEC_HOUR);
	assert_in_range(w.asked - before, 100, 140);
	start(sim, "n");
	before = w.asked;
	sim_run_for(sim, USEC_HOUR);
	assert_in_range(w.asked - before, 100, 140);
	w.down = false;
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_check_that_is_up_costs_nothing),
		cmocka_unit_test(a_step_waits_for_its_check_and_holds_no_place),
		cmocka_unit_test(a_restart_goes_on_waiting),
		cmocka_unit_test(a_cancelled_wait_ends_at_once),
		cmocka_unit_test(the_person_is_asked_before_the_check),
		cmocka_unit_test(every_attempt_waits_for_the_check),
		cmocka_unit_test(ready_timeout_ends_the_wait_over_restarts),
		cmocka_unit_test(ready_timeout_sums_all_rounds),
		cmocka_unit_test(two_hundred_that_wait_ask_no_more_often_than_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
