/* A person's word, in the simulated world: who waits for it, and what follows. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"
#include "time/instant.h"

#define NIGHT "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 1, "

/* A step that waits for approval before it begins. */
#define BEFORE(more)                                                                               \
	NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "           \
	      "'run': ['x'], 'gate': {'approval': {'message': 'QA done for ${run.name}?', "        \
	      "'expires': '24h'}}" more "}]}]}]}"

/* One that plans, and asks for the approval of its plan itself. */
#define BETWEEN                                                                                    \
	NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "           \
	      "'made_up_plans': {'does': 'plan:p1 ask:p1 spawn'}, "                                \
	      "'gate': {'approval': {'expires': '24h'}}}]}]}]}"

#define TWO_CELLS                                                                                  \
	NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'matrix': {'e': ['x', 'y']}, "      \
	      "'steps': [{'name': 's', 'run': ['x'], 'gate': {'approval': {}}}]}]}]}"

static usec_t instant(const char *text)
{
	usec_t t = 0;

	assert_true(instant_parse(text, &t));
	return t;
}

static struct sim_script fails_once(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.code = p->attempt == 1 ? 75 : 0};
}

static struct sim *night(struct sim_script (*script)(struct sim *, const struct action_place *,
				 const char *, const char *),
	const char *config)
{
	struct sim *sim = sim_new(&(struct sim_options){
		.seed = 7, .start = instant("2026-03-01T00:00:00Z"), .script = script});

	sim_configure(sim, config);
	free(sim_start(sim, "n", NULL));
	sim_run_for(sim, USEC_MINUTE);
	return sim;
}

static void approve(struct sim *sim, const char *ref, const char *hash, const char *expected)
{
	_cleanup_free_ char *answer = sim_approve(sim, ref, hash);

	assert_string_equal(answer, expected);
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

static const cJSON *action_row(struct sim *sim, const char *name)
{
	_cleanup_free_ char *key =
		xasprintf("%s 0 0 1 %s", json_string(sim_run_row(sim, "n#1"), "id"), name);

	return sim_row(sim, TABLE_ACTION, key);
}

static const cJSON *plan_row(struct sim *sim)
{
	_cleanup_free_ char *key =
		xasprintf("%s 0 0 1 ", json_string(sim_run_row(sim, "n#1"), "id"));

	return sim_row(sim, TABLE_PLAN, key);
}

/* --- before the step ---------------------------------------------------------------------- */

static void a_step_waits_for_approval_and_begins_with_it(void **state)
{
	struct sim *sim = night(NULL, BEFORE(""));
	_cleanup_free_ char *why = NULL;

	assert_int_equal(sim_starts(sim, NULL), 0);
	assert_string_equal(waits_for(sim, &why),
		"waits for approval: QA done for n#1? (nightjar approve n#1/a)");
	approve(sim, "n", NULL, "n#1/a/s");
	assert_string_equal(
		json_string(json_get(action_row(sim, "gate_approval"), "note"), "by"), "tester");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(sim_starts(sim, NULL), 1);
	sim_free(sim);
}

static void a_rejected_step_has_failed_and_is_not_tried_again(void **state)
{
	struct sim *sim = night(NULL, BEFORE(", 'retry': {'attempts': 3, 'on': ['failed']}"));
	_cleanup_free_ char *answer = sim_reject(sim, "n#1/a");

	assert_string_equal(answer, "n#1/a/s");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "failed");
	assert_string_equal(sim_reason(sim, "n#1", "a"), "rejected by tester: not tonight");
	assert_int_equal(sim_starts(sim, NULL), 0);
	assert_int_equal(sim_count(sim, TABLE_ATTEMPT), 1);
	sim_free(sim);
}

static void what_nobody_approves_expires_and_needs_a_person(void **state)
{
	struct sim *sim = night(NULL, BEFORE(""));

	sim_run_for(sim, 23 * USEC_HOUR);
	sim_crash(sim);
	sim_run_for(sim, 58 * USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "");
	sim_run_for(sim, 2 * USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "needs_person");
	assert_string_equal(sim_reason(sim, "n#1", "a"), "nobody approved it within 1d");
	approve(sim, "n", NULL, "error: n: no such active run");
	sim_free(sim);
}

static void it_is_asked_once_a_step_and_not_for_each_retry(void **state)
{
	struct sim *sim = night(fails_once,
		BEFORE(", 'transient_codes': [75], 'retry': {'attempts': 2, 'delay': '5m'}"));

	approve(sim, "n#1", NULL, "n#1/a/s");
	sim_run_for(sim, USEC_MINUTE);
	sim_crash(sim);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(sim_starts(sim, NULL), 2);
	sim_free(sim);
}

static void who_waits_for_approval_holds_no_place(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "
		      "'run': ['x'], 'gate': {'approval': {}}}]}]}, {'name': 'm', 'stages': "
		      "[{'name': 'b', 'steps': [{'name': 's', 'run': ['x']}]}]}]}");

	free(sim_start(sim, "m", NULL));
	sim_run_for(sim, USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "m#1", NULL), "ok");
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "");
	sim_free(sim);
}

static void a_cancelled_wait_ends_at_once(void **state)
{
	struct sim *sim = night(NULL, BEFORE(""));
	_cleanup_free_ char *answer = sim_cancel(sim, "n#1");

	assert_string_equal(answer, "");
	sim_run_for(sim, USEC_SEC);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "cancelled");
	sim_free(sim);
}

/* --- between plan and apply --------------------------------------------------------------- */

static void a_plan_waits_for_approval_and_is_applied_with_it(void **state)
{
	struct sim *sim = night(NULL, BETWEEN);

	assert_int_equal(sim_starts(sim, NULL), 1);
	assert_string_equal(json_string(plan_row(sim), "hash"), "p1");
	assert_null(json_string(plan_row(sim), "decision"));
	approve(sim, "n#1/a/s", "p1", "n#1/a/s");
	assert_string_equal(json_string(plan_row(sim), "decision"), "approved");
	assert_string_equal(json_string(plan_row(sim), "decided_by"), "tester");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(sim_starts(sim, NULL), 2);
	sim_free(sim);
}

static void the_word_for_an_older_plan_is_refused(void **state)
{
	struct sim *sim = night(NULL, BETWEEN);

	approve(sim, "n#1", "p0",
		"error: n#1 waits with another plan by now: look at that one first");
	assert_int_equal(sim_starts(sim, NULL), 1);
	approve(sim, "n#1", "p1", "n#1/a/s");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

static void a_restart_forgets_neither_the_question_nor_the_word(void **state)
{
	static const char *const configs[] = {BEFORE(""), BETWEEN};

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		struct sim *sim = night(NULL, configs[i]);
		_cleanup_free_ char *before = NULL, *after = NULL;

		waits_for(sim, &before);
		sim_crash(sim);
		sim_run_for(sim, USEC_SEC);
		assert_string_equal(waits_for(sim, &after), before);
		approve(sim, "n", NULL, "n#1/a/s");
		sim_crash(sim);
		sim_settle(sim);
		assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
		sim_free(sim);
	}
}

/* The next attempt plans anew. */
static void the_word_holds_for_the_same_plan_of_a_later_attempt(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "
		      "'made_up_plans': {'does': 'plan:p1 ask:p1 spawn not_ready:1'}, "
		      "'gate': {'approval': {}}}]}]}]}");

	approve(sim, "n", "p1", "n#1/a/s");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_int_equal(sim_starts(sim, NULL), 4);
	sim_free(sim);
}

static void a_machine_that_is_rebuilt_later_hears_who_approved(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'n', 'stages': [{'name': 'a', 'steps': [{'name': 's', "
		      "'made_up_plans': {'does': 'plan:p1 ask:p1 wait spawn'}, "
		      "'gate': {'approval': {}}}]}]}]}");

	approve(sim, "n", "p1", "n#1/a/s");
	sim_crash(sim);
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	assert_string_equal(json_string(json_get(action_row(sim, "ask2"), "note"), "by"), "tester");
	assert_true(json_bool(json_get(action_row(sim, "ask2"), "note"), "well", false));
	sim_free(sim);
}

/* --- deadlines ---------------------------------------------------------------------------- */

static struct sim_script half_an_hour(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){.takes = 30 * USEC_MINUTE};
}

/* Before, behind and beside an approval there is work of half an hour. */
#define DEADLINES(of_job, of_stage)                                                                \
	NIGHT "'jobs': [{'name': 'n'" of_job ", 'stages': [{'name': 'a'" of_stage                  \
	      ", 'steps': [{'name': 'b', 'run': ['x']}, {'name': 's', "                            \
	      "'run': ['x'], 'gate': {'approval': {}}}]}, "                                        \
	      "{'name': 'z', 'needs': ['a'], 'steps': [{'name': 's', 'run': ['x']}]}]}]}"

static void a_deadline_does_not_count_what_waits_for_approval(void **state)
{
	static const char *const configs[] = {
		DEADLINES(", 'deadline': '100m'", ""), DEADLINES("", ", 'deadline': '70m'")};

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++)
		for (int crash = 0; crash < 2; crash++) {
			struct sim *sim = night(half_an_hour, configs[i]);

			sim_run_for(sim, 2 * USEC_HOUR);
			if (crash)
				sim_crash(sim);
			sim_run_for(sim, 3 * USEC_HOUR);
			approve(sim, "n", NULL, "n#1/a/s");
			if (crash)
				sim_crash(sim);
			sim_settle(sim);
			assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
			sim_free(sim);
		}
}

static void a_deadline_counts_all_else(void **state)
{
	static const char *const configs[] = {
		DEADLINES(", 'deadline': '80m'", ""), DEADLINES("", ", 'deadline': '50m'")};

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++)
		for (int crash = 0; crash < 2; crash++) {
			struct sim *sim = night(half_an_hour, configs[i]);

			sim_run_for(sim, 5 * USEC_HOUR);
			approve(sim, "n", NULL, "n#1/a/s");
			if (crash)
				sim_crash(sim);
			sim_settle(sim);
			assert_string_equal(sim_outcome(sim, "n#1", i ? "a" : "z"), "timed_out");
			sim_free(sim);
		}
}

static void a_deadline_counts_while_anything_else_goes_on(void **state)
{
	struct sim *sim = night(half_an_hour,
		NIGHT "'jobs': [{'name': 'n', 'deadline': '20m', 'stages': [{'name': 'a', 'steps': "
		      "[{'name': 's', 'run': ['x'], 'gate': {'approval': {}}}]}, "
		      "{'name': 'b', 'steps': [{'name': 's', 'run': ['x']}]}]}]}");

	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), "timed_out");
	assert_string_equal(sim_outcome(sim, "n#1", "b"), "timed_out");
	sim_free(sim);
}

/* --- references and refusals -------------------------------------------------------------- */

static void where_several_wait_one_must_be_named(void **state)
{
	struct sim *sim = night(NULL, TWO_CELLS);

	approve(sim, "n", NULL,
		"error: n: several steps wait for approval; choose one: n#1/a/x/s, n#1/a/y/s");
	approve(sim, "n/a/x", NULL, "n#1/a/x/s");
	approve(sim, "n/a/x", NULL, "error: n/a/x does not wait for approval");
	approve(sim, "n", NULL, "n#1/a/y/s");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

static void all_that_waits_is_shown_before_the_word(void **state)
{
	struct sim *sim = night(NULL, TWO_CELLS);
	_cleanup_free_ char *text = sim_get_approval(sim, "n");
	_cleanup_json_ cJSON *json = NULL;
	const cJSON *first;

	assert_int_equal(json_parse(text, strlen(text), &json), 0);
	assert_int_equal(cJSON_GetArraySize(json_get(json, "approvals")), 2);
	first = cJSON_GetArrayItem(json_get(json, "approvals"), 0);
	assert_string_equal(json_string(first, "ref"), "n#1/a/x/s");
	assert_true(cJSON_IsNull(json_get(first, "hash")) && cJSON_IsNull(json_get(first, "plan")));
	assert_int_equal(cJSON_GetArraySize(json_get(first, "elsewhere")), 0);
	sim_free(sim);
}

static void a_plan_is_shown_though_the_store_is_away(void **state)
{
	struct sim *sim = night(NULL, BETWEEN);
	_cleanup_free_ char *text = NULL, *none = NULL;
	_cleanup_json_ cJSON *json = NULL;
	const cJSON *first;

	sim_store_away(sim);
	text = sim_get_approval(sim, "n#1/a");
	assert_int_equal(json_parse(text, strlen(text), &json), 0);
	first = cJSON_GetArrayItem(json_get(json, "approvals"), 0);
	assert_string_equal(json_string(first, "hash"), "p1");
	assert_string_equal(json_string(json_get(first, "plan"), "hash"), "p1");
	assert_int_equal(cJSON_GetArraySize(json_get(json_get(first, "plan"), "changes")), 1);
	assert_true(cJSON_IsNull(json_get(first, "elsewhere")));
	none = sim_get_approval(sim, "m");
	assert_string_equal(none, "error: m: no such active run");
	sim_free(sim);
}

static void who_does_not_lead_knows_of_nothing_that_waits(void **state)
{
	struct sim *sim = night(NULL, BEFORE(""));
	_cleanup_free_ char *text = NULL;

	sim_host_up(sim, 1);
	sim_run_for(sim, USEC_MINUTE);
	sim_host_away(sim, 0);
	sim_run_for(sim, USEC_MINUTE);
	sim_host_back(sim, 0);
	sim_run_for(sim, USEC_MINUTE);
	text = sim_get_approval(sim, "n");
	assert_true(str_starts(text, "error: another daemon leads"));
	sim_free(sim);
}

static void nothing_is_approved_while_the_store_is_away(void **state)
{
	struct sim *sim = night(NULL, BEFORE(""));
	_cleanup_free_ char *answer = NULL;

	sim_store_away(sim);
	answer = sim_approve(sim, "n", NULL);
	assert_true(str_starts(answer, "error: the store is away"));
	sim_store_back(sim);
	sim_run_for(sim, USEC_SEC);
	assert_int_equal(sim_starts(sim, NULL), 0);
	approve(sim, "n", NULL, "n#1/a/s");
	sim_settle(sim);
	assert_string_equal(sim_outcome(sim, "n#1", NULL), "ok");
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_waits_for_approval_and_begins_with_it),
		cmocka_unit_test(a_rejected_step_has_failed_and_is_not_tried_again),
		cmocka_unit_test(what_nobody_approves_expires_and_needs_a_person),
		cmocka_unit_test(it_is_asked_once_a_step_and_not_for_each_retry),
		cmocka_unit_test(who_waits_for_approval_holds_no_place),
		cmocka_unit_test(a_cancelled_wait_ends_at_once),
		cmocka_unit_test(a_plan_waits_for_approval_and_is_applied_with_it),
		cmocka_unit_test(the_word_for_an_older_plan_is_refused),
		cmocka_unit_test(a_restart_forgets_neither_the_question_nor_the_word),
		cmocka_unit_test(the_word_holds_for_the_same_plan_of_a_later_attempt),
		cmocka_unit_test(a_machine_that_is_rebuilt_later_hears_who_approved),
		cmocka_unit_test(a_deadline_does_not_count_what_waits_for_approval),
		cmocka_unit_test(a_deadline_counts_all_else),
		cmocka_unit_test(a_deadline_counts_while_anything_else_goes_on),
		cmocka_unit_test(where_several_wait_one_must_be_named),
		cmocka_unit_test(all_that_waits_is_shown_before_the_word),
		cmocka_unit_test(a_plan_is_shown_though_the_store_is_away),
		cmocka_unit_test(who_does_not_lead_knows_of_nothing_that_waits),
		cmocka_unit_test(nothing_is_approved_while_the_store_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
