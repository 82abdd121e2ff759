/* `cancel` of a step or an attempt: that one ends, and the cell goes on as `when` says. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"

/* Five steps of one cell; the third asks after a failure, the last two run whatever happened. */
#define CONFIG                                                                                     \
	"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 8, 'jobs': "        \
	"[{'name': 'n', 'stages': [{'name': 'a', 'steps': ["                                       \
	"{'name': 'one', 'run': ['x'], 'transient_codes': [75], 'retry': {'attempts': 3, "         \
	"'delay': '10m'}},"                                                                        \
	"{'name': 'two', 'run': ['x']},"                                                           \
	"{'name': 'amiss', 'run': ['x'], 'when': 'failed'},"                                       \
	"{'name': 'clean', 'run': ['x'], 'when': 'ended'},"                                        \
	"{'name': 'last', 'run': ['x'], 'when': 'ended'}]}]}]}"

/* The context names the step whose first attempt is transient, or that fails. */
static struct sim_script as_told(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	_cleanup_free_ char *fails = xasprintf(" %s=1", step);
	_cleanup_free_ char *transient = xasprintf(" %s=75", step);
	const char *told = sim_context(sim);

	return (struct sim_script){
		.takes = USEC_MINUTE,
		.code = strstr(told, fails)			     ? 1
			: strstr(told, transient) && p->attempt == 1 ? 75
								     : 0,
	};
}

static struct sim *begin(const char *told)
{
	usec_t start = 0;
	struct sim *sim;

	assert_true(instant_parse("2026-03-01T00:00:00Z", &start));
	sim = sim_new(&(struct sim_options){
		.seed = 7, .start = start, .script = as_told, .context = (void *)told});
	sim_configure(sim, CONFIG);
	free(sim_start(sim, "n", NULL));
	return sim;
}

static void expect_step(struct sim *sim, const char *step, const char *outcome)
{
	const cJSON *s;

	cJSON_ArrayForEach(s, json_get(sim_cell_row(sim, "n#1", "a"), "steps"))
	{
		const char *is = json_string(s, "outcome");

		if (!str_eq(json_string(s, "name"), step))
			continue;
		if (!str_eq(is, outcome))
			fail_msg("%s is %s, not %s", step, is, outcome);
		return;
	}
	fail_msg("no step %s", step);
}

static const struct row {
	const char *told;
	int seconds; /* after the start */
	const char *ref;
	const char *answer; /* NULL: done */
	const char *one, *two, *amiss, *clean, *last, *cell;
} rows[] = {
	/* clang-format off */
	/* one runs */
	{"", 30, "n#1/a/one", NULL, "cancelled", "skipped", "skipped", "ok", "ok", "cancelled"},
	{"", 30, "n#1/a/one.1", NULL, "cancelled", "skipped", "skipped", "ok", "ok", "cancelled"},
	{"", 30, "n#1/a/one.2", "error: n#1/a/one.2 does not run: it has ended already, or not begun",
		"ok", "ok", "skipped", "ok", "ok", "ok"},
	/* one has ended, two runs */
	{"", 90, "n#1/a/one", "error: n#1/a/one has ended already",
		"ok", "ok", "skipped", "ok", "ok", "ok"},
	{"", 90, "n#1/a/two", NULL, "ok", "cancelled", "skipped", "ok", "ok", "cancelled"},
	/* what has not begun ends when its turn comes, and what would not have run is skipped */
	{"", 30, "n#1/a/clean", NULL, "ok", "ok", "skipped", "cancelled", "ok", "cancelled"},
	{"", 30, "n#1/a/amiss", NULL, "ok", "ok", "skipped", "ok", "ok", "ok"},
	{" one=1", 30, "n#1/a/two", NULL, "failed", "skipped", "ok", "ok", "ok", "failed"},
	{" one=1", 30, "n#1/a/amiss", NULL, "failed", "skipped", "cancelled", "ok", "ok", "failed"},
	/* one waits to be tried again */
	{" one=75", 120, "n#1/a/one", NULL, "cancelled", "skipped", "skipped", "ok", "ok", "cancelled"},
	{" one=75", 120, "n#1/a/one.1", "error: n#1/a/one.1 does not run: it has ended already, or not begun",
		"ok", "ok", "skipped", "ok", "ok", "ok"},
	{" one=75", 690, "n#1/a/one.2", NULL, "cancelled", "skipped", "skipped", "ok", "ok", "cancelled"},
	/* the cell: nothing of it begins any more */
	{"", 30, "n#1/a", NULL, "cancelled", "cancelled", "cancelled", "cancelled", "cancelled", "cancelled"},
	/* clang-format on */
};

static void play(const struct row *r, bool crash)
{
	struct sim *sim = begin(r->told);
	_cleanup_free_ char *answer = NULL;

	sim_run_for(sim, r->seconds * USEC_SEC);
	answer = sim_cancel(sim, r->ref);
	assert_string_equal(answer, r->answer ? r->answer : "");
	if (crash)
		sim_crash(sim);
	sim_settle(sim);
	expect_step(sim, "one", r->one);
	expect_step(sim, "two", r->two);
	expect_step(sim, "amiss", r->amiss);
	expect_step(sim, "clean", r->clean);
	expect_step(sim, "last", r->last);
	assert_string_equal(sim_outcome(sim, "n#1", "a"), r->cell);
	sim_free(sim);
}

static void a_step_is_cancelled_alone_and_the_cell_goes_on(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		play(&rows[i], false);
}

static void what_was_cancelled_stays_so_over_a_crash(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		play(&rows[i], true);
}

/* Its record is lost with the daemon: the process was told, and says so. */
static void a_step_cancelled_while_the_store_was_away_is_not_run_again(void **state)
{
	struct sim *sim = begin("");

	sim_run_for(sim, 30 * USEC_SEC);
	sim_store_away(sim);
	free(sim_cancel(sim, "n#1/a/one"));
	sim_run_for(sim, USEC_MINUTE);
	sim_crash(sim);
	sim_settle(sim);
	expect_step(sim, "one", "cancelled");
	assert_int_equal(sim_starts(sim, NULL), 1);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_cancelled_alone_and_the_cell_goes_on),
		cmocka_unit_test(what_was_cancelled_stays_so_over_a_crash),
		cmocka_unit_test(a_step_cancelled_while_the_store_was_away_is_not_run_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
