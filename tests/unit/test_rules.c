/* needs, when, skips, fail_fast, --only and retry: tables of one rule a row. */
#include <stdio.h>
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"

#define HEAD                                                                                       \
	"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 8, 'jobs': "        \
	"[{'name': 'n', "

static usec_t instant(const char *text)
{
	usec_t t = 0;

	assert_true(instant_parse(text, &t));
	return t;
}

/* The context names what fails: " CELL=code". A code of 9 hangs. */
static struct sim_script as_told(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	_cleanup_free_ char *key = xasprintf(" %s:%s=", cell, step);
	const char *at = strstr(sim_context(sim), key);
	int code = at ? atoi(at + strlen(key)) : 0;

	return (struct sim_script){.code = code, .hangs = code == 9, .takes = 10 * USEC_SEC};
}

static struct sim *night(const char *config, const char *fails)
{
	struct sim *sim = sim_new(&(struct sim_options){
		.seed = 7,
		.start = instant("2026-03-01T00:00:00Z"),
		.script = as_told,
		.context = (void *)fails,
	});

	sim_configure(sim, config);
	return sim;
}

static void run_it(struct sim *sim, const char *only)
{
	free(sim_start(sim, "n", only));
	sim_settle(sim);
}

static void expect(struct sim *sim, const char *run, const char *cell, const char *outcome)
{
	if (!str_eq(sim_outcome(sim, run, cell), outcome))
		fail_msg("%s/%s is %s, not %s", run, cell ? cell : "", sim_outcome(sim, run, cell),
			outcome);
}

/* --- needs and when ----------------------------------------------------------------------- */

/* b needs a as `when` says; c needs b to be ok. */
static const struct need {
	const char *when, *fails, *b, *c, *run;
	bool b_blocked, c_blocked;
} needs[] = {
	{"ok", "", "ok", "ok", "ok", false, false},
	{"ok", " a:s=1", "skipped", "skipped", "failed", true, true},
	{"ok", " a:s=75", "skipped", "skipped", "failed", true, true},
	{"failed", "", "skipped", "ok", "ok", false, false}, /* not wanted never blocks */
	{"failed", " a:s=1", "ok", "ok", "failed", false, false},
	{"failed", " a:s=75", "ok", "ok", "transient", false, false},
	{"failed", " a:s=9", "ok", "ok", "timed_out", false, false},
	{"ended", "", "ok", "ok", "ok", false, false},
	{"ended", " a:s=1", "ok", "ok", "failed", false, false},
	{"ended", " b:s=1", "failed", "skipped", "failed", false, true},
};

static void a_need_opens_blocks_or_is_not_wanted(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		const struct need *n = &needs[i];
		_cleanup_free_ char *config = xasprintf(HEAD
			"'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['x'], "
			"'transient_codes': [75], 'timeout': '1m'}]}, {'name': 'b', 'needs': "
			"[{'stage': 'a', 'when': '%s'}], 'steps': [{'name': 's', 'run': ['x']}]}, "
			"{'name': 'c', 'needs': ['b'], 'steps': [{'name': 's', 'run': ['x']}]}]}]}",
			n->when);
		struct sim *sim = night(config, n->fails);

		run_it(sim, NULL);
		expect(sim, "n#1", "b", n->b);
		expect(sim, "n#1", "c", n->c);
		expect(sim, "n#1", NULL, n->run);
		assert_int_equal(
			json_bool(sim_cell_row(sim, "n#1", "b"), "blocked", false), n->b_blocked);
		assert_int_equal(
			json_bool(sim_cell_row(sim, "n#1", "c"), "blocked", false), n->c_blocked);
		if (n->b_blocked)
			assert_true(
				str_starts(sim_reason(sim, "n#1", "b"), "needs a, which ended "));
		sim_free(sim);
	}
}

static void what_is_blocked_or_cancelled_is_no_failure_to_wait_for(void **state)
{
	struct sim *sim = night(HEAD
		"'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['x']}]}, {'name': 'b', "
		"'needs': ['a'], 'steps': [{'name': 's', 'run': ['x']}]}, {'name': 'r', 'needs': "
		"[{'stage': 'b', 'when': 'failed'}], 'steps': [{'name': 's', 'run': ['x']}]}]}]}",
		" a:s=1");

	run_it(sim, NULL);
	expect(sim, "n#1", "b", "skipped");
	expect(sim, "n#1", "r", "skipped");
	assert_string_equal(sim_reason(sim, "n#1", "r"), "nothing of b failed");
	sim_free(sim);
}

/* --- when of a step ----------------------------------------------------------------------- */

static const struct step_rule {
	const char *when, *fails, *second, *cell;
} step_rules[] = {
	{"ok", "", "ok", "ok"},
	{"ok", " a:one=1", "skipped", "failed"},
	{"failed", "", "skipped", "ok"},
	{"failed", " a:one=1", "ok", "failed"},
	{"ended", "", "ok", "ok"},
	{"ended", " a:one=1", "ok", "failed"},
};

static void a_step_asks_what_those_before_it_did(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(step_rules); i++) {
		const struct step_rule *r = &step_rules[i];
		_cleanup_free_ char *config = xasprintf(HEAD
			"'stages': [{'name': 'a', 'steps': [{'name': 'one', 'run': ['x']}, "
			"{'name': 'two', 'run': ['x'], 'when': '%s'}]}]}]}",
			r->when);
		struct sim *sim = night(config, r->fails);
		const cJSON *steps;

		run_it(sim, NULL);
		expect(sim, "n#1", "a", r->cell);
		steps = json_get(sim_cell_row(sim, "n#1", "a"), "steps");
		assert_string_equal(
			json_string(cJSON_GetArrayItem(steps, 1), "outcome"), r->second);
		sim_free(sim);
	}
}

static void a_cell_that_is_stopped_between_two_steps_is_not_ok(void **state)
{
	struct sim *sim = night(HEAD
		"'stages': [{'name': 'a', 'fail_fast': true, 'matrix': {'e': ['x', 'y']}, "
		"'steps': [{'name': 'one', 'run': ['x']}, {'name': 'two', 'run': ['x']}]}]}]}",
		" a/x:one=1");

	run_it(sim, NULL); /* both end their first step in the same instant */
	expect(sim, "n#1", "a/x", "failed");
	expect(sim, "n#1", "a/y", "cancelled");
	sim_free(sim);
}

/* --- --only and retry --------------------------------------------------------------------- */

#define TWO_BY_TWO                                                                                 \
	HEAD "'stages': [{'name': 'build', 'matrix': {'e': ['a', 'b'], 't': ['x', 'y']}, "         \
	     "'steps': "                                                                           \
	     "[{'name': 's', 'run': ['x']}]}, {'name': 'only_y', 'needs': [{'stage': 'build', "    \
	     "'only': {'t': ['y']}}], 'steps': [{'name': 's', 'run': ['x']}]}, {'name': 'apply', " \
	     "'needs': ['build'], 'matrix': {'e': ['a', 'b']}, 'steps': [{'name': 's', 'run': "    \
	     "['x']}]}]}]}"

static void a_need_narrowed_away_skips_the_cell_with_that_reason(void **state)
{
	struct sim *sim = night(TWO_BY_TWO, "");

	run_it(sim, "t=x");
	expect(sim, "n#1", "build/a/x", "ok");
	expect(sim, "n#1", "build/a/y", "");
	expect(sim, "n#1", "only_y", "skipped");
	assert_string_equal(sim_reason(sim, "n#1", "only_y"), "its need build is narrowed away");
	expect(sim, "n#1", "apply/a", "ok"); /* a stage without that dimension stays whole */
	expect(sim, "n#1", NULL, "ok");
	sim_free(sim);
}

static void in_a_retry_the_outcome_in_the_older_run_counts(void **state)
{
	struct sim *sim = night(TWO_BY_TWO, " build/a/x:s=1 build/b/y:s=1");

	run_it(sim, NULL);
	expect(sim, "n#1", "apply/a", "skipped");
	free(sim_retry_only(sim, "n#1", "t=x"));
	sim_settle(sim);
	expect(sim, "n#2", "build/a/x", "failed");
	expect(sim, "n#2", "build/b/y", ""); /* no part of it, and still failed before */
	expect(sim, "n#2", "apply/b", "skipped");
	assert_string_equal(
		sim_reason(sim, "n#2", "apply/b"), "needs build/b/y, which ended failed");
	expect(sim, "n#2", "only_y", "skipped");
	assert_int_equal(sim_starts(sim, "build/a/y"), 1);
	sim_free(sim);
}

/* --- delays of retries -------------------------------------------------------------------- */

static const struct delays {
	const char *keys;
	unsigned seconds[3];
} delays[] = {
	{"'delay': '30s'", {30, 30, 30}},
	{"'delay': '30s', 'factor': 2", {30, 60, 120}},
	{"'delay': '30s', 'factor': 10, 'max_delay': '2m'", {30, 120, 120}},
	{"'delay': '1m', 'factor': 1.5", {60, 90, 135}},
};

static usec_t began(const struct sim *sim, const cJSON *run, unsigned attempt, const char *key)
{
	_cleanup_free_ char *name = xasprintf("%s 0 0 %u ", json_string(run, "id"), attempt);

	return json_time(sim_row(sim, TABLE_ATTEMPT, name), key);
}

static void retries_wait_as_delay_factor_and_max_delay_say(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		_cleanup_free_ char *config = xasprintf(HEAD
			"'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['x'], "
			"'transient_codes': [75], 'retry': {'attempts': 4, %s}}]}]}]}",
			delays[i].keys);
		struct sim *sim = night(config, " a:s=75");
		const cJSON *run;

		run_it(sim, NULL);
		run = sim_run_row(sim, "n#1");
		assert_int_equal(sim_starts(sim, "a"), 4);
		for (unsigned n = 1; n < 4; n++)
			assert_int_equal((began(sim, run, n + 1, "started_at") -
						 began(sim, run, n, "ended_at")) /
						 USEC_SEC,
				delays[i].seconds[n - 1]);
		sim_free(sim);
	}
}

static void a_retry_comes_at_its_time_also_after_a_restart(void **state)
{
	struct sim *sim = night(HEAD
		"'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['x'], "
		"'transient_codes': [75], 'retry': {'attempts': 2, 'delay': '10m'}}]}]}]}",
		" a:s=75");

	free(sim_start(sim, "n", NULL));
	sim_run_for(sim, 3 * USEC_MINUTE);
	sim_crash(sim);
	sim_settle(sim);
	assert_int_equal((began(sim, sim_run_row(sim, "n#1"), 2, "started_at") -
				 began(sim, sim_run_row(sim, "n#1"), 1, "ended_at")) /
				 USEC_MINUTE,
		10);
	sim_free(sim);
}

static void a_cancelled_run_stays_so_over_a_restart(void **state)
{
	struct sim *sim = night(HEAD
		"'stages': [{'name': 'a', 'steps': [{'name': 's', 'made_up': {'does': 'spawn "
		"spawn'}, 'retry': {'attempts': 3, 'delay': '1m'}}]}]}]}",
		" a:s=9");

	free(sim_start(sim, "n", NULL));
	sim_run_for(sim, USEC_MINUTE);
	free(sim_cancel(sim, "n#1"));
	sim_crash(sim);
	sim_settle(sim);
	expect(sim, "n#1", "a", "cancelled");
	assert_int_equal(sim_starts(sim, "a"), 1);
	sim_free(sim);
}

static void count_one(void *arg, const struct action_place *place)
{
	++*(unsigned *)arg;
}

static void nothing_goes_out_while_the_lease_is_over(void **state)
{
	static const char *const does[] = {"spawn", "http"};

	for (size_t i = 0; i < ARRAY_SIZE(does); i++) {
		_cleanup_free_ char *config = xasprintf(HEAD
			"'stages': [{'name': 'a', 'steps': [{'name': 's', 'made_up': {'does': "
			"'%s'}}]}]}]}",
			does[i]);
		struct sim *sim = night(config, "");
		unsigned effects = 0;

		sim_lease_over(sim, true);
		free(sim_start(sim, "n", NULL));
		for (int k = 0; k < 300; k++) {
			sim_run_for(sim, USEC_SEC);
			sim_each_effect(sim, count_one, &effects);
			assert_int_equal(effects, 0);
		}
		sim_lease_over(sim, false);
		sim_settle(sim);
		expect(sim, "n#1", "a", "ok");
		assert_int_equal(
			sim_count(sim, TABLE_ATTEMPT), 1); /* it waited, and was not tried */
		sim_free(sim);
	}
}

static void a_clock_wrong_by_years_at_a_restart_makes_nobody_wait_for_years(void **state)
{
	struct sim *sim = night(HEAD
		"'deadline': '3h', 'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['x'], "
		"'transient_codes': [75], 'retry': {'attempts': 2, 'delay': '10m'}}]}]}]}",
		" a:s=75");

	free(sim_start(sim, "n", NULL));
	sim_run_for(sim, 3 * USEC_MINUTE);
	sim_jump(sim, -3650 * USEC_DAY);
	sim_crash(sim);
	sim_run_for(sim, USEC_MINUTE);
	sim_jump(sim, 3650 * USEC_DAY);
	sim_settle(sim);
	assert_int_equal(sim_starts(sim, "a"), 2);
	sim_free(sim);
}

/* --- a retry of a retry ------------------------------------------------------------------- */

static struct sim_script third_run_hangs(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.code = 1, .hangs = sim_count(sim, TABLE_RUN) == 3};
}

/* n#1 failed, n#2 retries it, n#3 retries one of them and is active: what may be retried again? */
static const struct chain {
	const char *second_only, *third_of, *third_only;
	const char *first, *second; /* the answers to a retry of n#1, of n#2 */
} chains[] = {
	{NULL, "n#2", NULL, "error: n#3 is active", "error: n#3 is active"},
	{NULL, "n#1", NULL, "error: n#3 is active", "n#4"},
	{"e=x", "n#1", "e=y", "error: n#3 is active", "n#4"},
};

static void a_run_is_not_retried_beside_a_newer_retry_of_it(void **state)
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(chains); i++) {
		const struct chain *c = &chains[i / 2];
		struct sim *sim = sim_new(&(struct sim_options){
			.seed = 7,
			.start = instant("2026-03-01T00:00:00Z"),
			.script = third_run_hangs,
		});
		_cleanup_free_ char *first = NULL, *second = NULL, *third = NULL;

		sim_configure(sim,
			HEAD "'overlap': 'allow', 'stages': [{'name': 'a', 'matrix': {'e': ['x', "
			     "'y']}, 'steps': [{'name': 's', 'run': ['x']}]}]}]}");
		run_it(sim, NULL);
		free(sim_retry_only(sim, "n#1", c->second_only));
		sim_settle(sim);
		third = sim_retry_only(sim, c->third_of, c->third_only);
		assert_string_equal(third, "n#3");
		sim_run_for(sim, USEC_MINUTE);
		if (i % 2)
			sim_crash(sim);
		first = sim_retry(sim, "n#1");
		assert_string_equal(first, c->first);
		second = sim_retry(sim, "n#2");
		assert_string_equal(second, c->second);
		sim_free(sim);
	}
}

/* --- drain -------------------------------------------------------------------------------- */

/* Its intent is durable, its secrets are still being read: it will begin. */
static void a_drain_waits_for_what_is_about_to_begin(void **state)
{
	struct sim *sim = night(HEAD
		"'stages': [{'name': 'a', 'steps': [{'name': 'one', 'run': ['x'], 'secrets': "
		"['PASS']}, {'name': 'two', 'run': ['x']}]}]}]}",
		"");
	struct sim_asked *a = sim_ask(sim, "drain");

	sim_secrets_take(sim, 5 * USEC_SEC);
	free(sim_start(sim, "n", NULL));
	sim_run_for(sim, 2 * USEC_SEC);
	assert_int_equal(sim_starts(sim, NULL), 0);
	core_drain(sim_core(sim), &a->op);
	sim_run_for(sim, USEC_SEC);
	assert_false(a->done);
	sim_run_for(sim, 5 * USEC_SEC);
	assert_int_equal(sim_starts(sim, NULL), 1);
	assert_false(a->done);
	sim_run_for(sim, 10 * USEC_SEC);
	assert_true(a->done);
	assert_true(core_is_drained(sim_core(sim)));
	assert_int_equal(sim_starts(sim, NULL), 1); /* the next step is the next daemon's */
	free(a->answer);
	free(a);
	sim_crash(sim);
	sim_settle(sim);
	expect(sim, "n#1", NULL, "ok");
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_need_opens_blocks_or_is_not_wanted),
		cmocka_unit_test(what_is_blocked_or_cancelled_is_no_failure_to_wait_for),
		cmocka_unit_test(a_step_asks_what_those_before_it_did),
		cmocka_unit_test(a_cell_that_is_stopped_between_two_steps_is_not_ok),
		cmocka_unit_test(a_need_narrowed_away_skips_the_cell_with_that_reason),
		cmocka_unit_test(in_a_retry_the_outcome_in_the_older_run_counts),
		cmocka_unit_test(a_run_is_not_retried_beside_a_newer_retry_of_it),
		cmocka_unit_test(a_drain_waits_for_what_is_about_to_begin),
		cmocka_unit_test(retries_wait_as_delay_factor_and_max_delay_say),
		cmocka_unit_test(a_retry_comes_at_its_time_also_after_a_restart),
		cmocka_unit_test(a_cancelled_run_stays_so_over_a_restart),
		cmocka_unit_test(nothing_goes_out_while_the_lease_is_over),
		cmocka_unit_test(a_clock_wrong_by_years_at_a_restart_makes_nobody_wait_for_years),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
