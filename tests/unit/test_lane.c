/* Lanes in the simulated world: what attempts want of one service is made by one machine. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/made_lane.h"
#include "tests/unit/sim.h"

#define CONFIG(max_attempts, cell, matrix)                                                         \
	"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': " max_attempts      \
	", 'locks': {'one': 1}, 'jobs': [{'name': 'n', 'stages': [{'name': 'a', " matrix           \
	"'steps': [{'name': 's', " cell "}]}]}]}"
#define FIVE "'matrix': {'e': ['a', 'b', 'c', 'd', 'f']}, "

static struct sim *begin(const char *config)
{
	usec_t start = 0;
	struct sim *sim;

	assert_true(instant_parse("2026-03-01T00:00:00Z", &start));
	made_lane_counts = (struct made_lane_counts){0};
	sim = sim_new(&(struct sim_options){.seed = 7, .start = start});
	sim_configure(sim, config);
	free(sim_start(sim, "n", NULL));
	return sim;
}

static void finish(struct sim *sim)
{
	sim_free(sim);
	assert_int_equal(made_lane_counts.joined, made_lane_counts.left);
}

static void each_member_is_served_and_none_takes_a_place(void **state)
{
	struct sim *sim = begin(CONFIG("1", "'made_up': {'does': 'lane'}", FIVE));

	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(made_lane_counts.served, 5);
	assert_int_equal(made_lane_counts.lanes, 1);
	assert_int_equal(made_lane_counts.most_members, 5);
	finish(sim);
}

static void the_steps_own_lock_is_held_while_it_waits(void **state)
{
	struct sim *sim = begin(CONFIG("8", "'made_up': {'does': 'lane'}, 'lock': 'one'", FIVE));

	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(made_lane_counts.served, 5);
	assert_int_equal(made_lane_counts.most_members, 1);
	finish(sim);
}

static void a_full_house_keeps_nobody_out_of_its_lane(void **state)
{
	struct sim *sim = begin(CONFIG("1", "'made_up': {'does': 'spawn lane'}", FIVE));

	sim_run_for(sim, 8 * USEC_SEC);
	assert_int_equal(made_lane_counts.most_members, 5);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	finish(sim);
}

static void it_joins_again_after_a_restart(void **state)
{
	struct sim *sim = begin(CONFIG("8", "'made_up': {'does': 'spawn lane spawn'}", ""));

	sim_run_for(sim, 10 * USEC_SEC);
	assert_int_equal(made_lane_counts.joined, 1);
	sim_crash(sim);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	assert_int_equal(made_lane_counts.joined, 2);
	assert_int_equal(made_lane_counts.served, 1);
	assert_int_equal(sim_starts(sim, "a"), 2);
	finish(sim);
}

static void after_a_restart_it_has_what_is_left_of_its_timeout(void **state)
{
	struct sim *sim = begin(CONFIG("8",
		"'made_up': {'does': 'lane', 'says': 'never'}, 'timeout': '2m', "
		"'ready_timeout': '1s'",
		""));

	sim_run_for(sim, USEC_MINUTE);
	sim_crash(sim);
	sim_run_for(sim, 55 * USEC_SEC);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "");
	sim_run_for(sim, 10 * USEC_SEC);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "not_ready");
	finish(sim);
}

static void a_stop_leaves_the_lane_at_once(void **state)
{
	struct sim *sim = begin(CONFIG("8", "'made_up': {'does': 'lane'}", FIVE));

	sim_run_for(sim, 4 * USEC_SEC);
	free(sim_cancel(sim, "n#1/a/c"));
	assert_int_equal(made_lane_counts.left, 1);
	assert_string_equal(sim_outcome(sim, "n#1", "a/c"), "cancelled");
	sim_settle(sim);
	assert_int_equal(made_lane_counts.served, 4);
	assert_string_equal(sim_outcome(sim, "n#1", "a/d"), "ok");
	finish(sim);
}

static void nothing_changes_while_there_is_no_lease(void **state)
{
	struct sim *sim = begin(CONFIG("8", "'made_up': {'does': 'spawn lane'}", ""));

	sim_run_for(sim, 500 * USEC_MSEC);
	sim_lease_over(sim, true);
	sim_run_for(sim, USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "");
	assert_int_equal(made_lane_counts.joined, 1);
	sim_lease_over(sim, false);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	finish(sim);
}

static void what_is_secret_is_expanded_for_the_lane(void **state)
{
	struct sim *sim = begin(CONFIG("8",
		"'made_up': {'does': 'lane', 'says': 'it is ${secret.PASS}'}, 'secrets': ['PASS']",
		""));

	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "ok");
	finish(sim);
}

static void lost_answers_only_take_time(void **state)
{
	struct sim *sim = begin(CONFIG("8", "'made_up': {'does': 'lane'}", FIVE));

	sim_run_for(sim, USEC_SEC);
	sim_set_faults(sim, 80);
	sim_settle(sim);
	assert_int_equal(made_lane_counts.served, 5);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	finish(sim);
}

static void how_far_it_is_can_be_seen(void **state)
{
	struct sim *sim = begin(CONFIG("8", "'made_up': {'does': 'lane'}", ""));
	_cleanup_json_ cJSON *status = NULL;
	const cJSON *running = NULL;

	sim_run_for(sim, 4 * USEC_SEC);
	while (made_lane_counts.left == 0) {
		cJSON_Delete(status);
		status = core_view_status(sim_core(sim));
		running = cJSON_GetArrayItem(json_get(status, "running"), 0);
		if (json_int(json_get(running, "progress"), "done", 0) == 2)
			break;
		sim_run_for(sim, USEC_SEC);
	}
	assert_int_equal(json_int(json_get(running, "progress"), "total", 0), 3);
	sim_settle(sim);
	finish(sim);
}

static void a_query_is_asked_again_after_a_restart(void **state)
{
	struct sim *sim = begin(CONFIG("1", "'made_up': {'does': 'query spawn'}", FIVE));

	sim_run_for(sim, 300 * USEC_MSEC);
	sim_crash(sim);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(sim_starts(sim, NULL), 5);
	finish(sim);
}

static struct sim_script dies_first(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.dies = p->attempt == 1};
}

static void expect_after_death(const char *does, const char *outcome)
{
	_cleanup_free_ char *config = xasprintf(CONFIG("8",
							"'made_up': {'does': '%s'}, 'retry': "
							"{'attempts': 2, 'on': ['transient']}",
							""),
		does);
	usec_t start = 0;
	struct sim *sim;

	instant_parse("2026-03-01T00:00:00Z", &start);
	sim = sim_new(&(struct sim_options){.seed = 7, .start = start, .script = dies_first});
	sim_configure(sim, config);
	free(sim_start(sim, "n", NULL));
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), outcome);
	sim_free(sim);
}

static void what_may_have_had_its_effect_is_looked_into_or_needs_a_person(void **state)
{
	expect_after_death("once", "needs_person");
	expect_after_death("looks", "ok");
	expect_after_death("looks told", "ok"); /* of what the attempt before noted last */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_member_is_served_and_none_takes_a_place),
		cmocka_unit_test(the_steps_own_lock_is_held_while_it_waits),
		cmocka_unit_test(a_full_house_keeps_nobody_out_of_its_lane),
		cmocka_unit_test(it_joins_again_after_a_restart),
		cmocka_unit_test(after_a_restart_it_has_what_is_left_of_its_timeout),
		cmocka_unit_test(a_stop_leaves_the_lane_at_once),
		cmocka_unit_test(nothing_changes_while_there_is_no_lease),
		cmocka_unit_test(what_is_secret_is_expanded_for_the_lane),
		cmocka_unit_test(lost_answers_only_take_time),
		cmocka_unit_test(how_far_it_is_can_be_seen),
		cmocka_unit_test(a_query_is_asked_again_after_a_restart),
		cmocka_unit_test(what_may_have_had_its_effect_is_looked_into_or_needs_a_person),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
