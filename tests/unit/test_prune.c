/* Old history goes piece by piece, and what is needed stays: the core's side of it. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"

#define CONFIG(history)                                                                            \
	"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 8, " history        \
	"'jobs': [{'name': 'j', 'schedule': '@hourly', 'overlap': 'allow', 'stages': [{'name': "   \
	"'a', 'steps': [{'name': 's', 'run': ['x'], 'timeout': '90d'}]}]}]}"
#define HISTORY "'history': {'keep': '3h', 'logs': '2h'}, "

struct world {
	struct sim *sim;
	unsigned folders; /* gone */
	uint64_t hangs;	  /* the run with this number never ends */
	uint64_t fails;	  /* every one from this number on fails */
};

static struct sim_script as_told(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	const struct world *w = sim_context(sim);
	uint64_t number = (uint64_t)json_int(sim_row(sim, TABLE_RUN, p->run_id), "number", 0);

	return (struct sim_script){
		.hangs = number == w->hangs, .code = w->fails && number >= w->fails};
}

static void folder_gone(void *self, const char *run_id)
{
	struct world *w = self;
	const cJSON *run = sim_row(w->sim, TABLE_RUN, run_id);

	assert_false(run && sim_run_is_kept(w->sim, run));
	w->folders++;
}

static void begin(struct world *w, const char *config)
{
	usec_t start = 0;

	assert_true(instant_parse("2026-03-01T00:30:00Z", &start));
	w->sim = sim_new(&(struct sim_options){
		.seed = 7,
		.start = start,
		.script = as_told,
		.context = w,
		.watcher = {.self = w, .folder_gone = folder_gone},
	});
	sim_configure(w->sim, config);
}

static bool has_run(struct world *w, unsigned number)
{
	_cleanup_free_ char *name = xasprintf("j#%u", number);

	return sim_run_row(w->sim, name);
}

static void it_begins_after_a_minute_and_then_once_a_day(void **state)
{
	struct world w = {0};

	begin(&w, CONFIG(HISTORY));
	sim_run_for(w.sim, 24 * USEC_HOUR);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 24);
	assert_int_equal(w.folders, 0);
	sim_run_for(w.sim, 2 * USEC_MINUTE); /* at 00:31 of the next day */
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 3);
	assert_false(has_run(&w, 21));
	assert_true(has_run(&w, 22));
	assert_int_equal(sim_count(w.sim, TABLE_SLOT), 3);
	assert_int_equal(w.folders, 22); /* j#23 and j#24 are not 2 h old */
	sim_free(w.sim);
}

static void nothing_goes_where_nothing_is_said_of_it(void **state)
{
	struct world w = {0};

	begin(&w, CONFIG(""));
	sim_run_for(w.sim, 50 * USEC_HOUR);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 50);
	assert_int_equal(w.folders, 0);
	sim_free(w.sim);
}

static void a_reload_that_says_another_time_is_followed_at_once(void **state)
{
	struct world w = {0};

	begin(&w, CONFIG(""));
	sim_run_for(w.sim, 10 * USEC_HOUR);
	sim_configure(w.sim, CONFIG("'history': {'logs': '2h'}, "));
	sim_run_for(w.sim, 10 * USEC_SEC);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 10);
	assert_int_equal(w.folders, 8);
	sim_configure(w.sim, CONFIG(HISTORY));
	sim_run_for(w.sim, 10 * USEC_SEC);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 3);
	sim_run_for(w.sim, 10 * USEC_HOUR);
	sim_configure(w.sim, CONFIG(HISTORY)); /* the same: its time has not come */
	sim_run_for(w.sim, 10 * USEC_SEC);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 13);
	sim_free(w.sim);
}

static void what_runs_and_the_last_good_run_stay_with_their_slots(void **state)
{
	struct world w = {.hangs = 2, .fails = 5};

	begin(&w, CONFIG(""));
	sim_run_for(w.sim, 12 * USEC_HOUR);
	free(sim_start(w.sim, "j", NULL)); /* j#13: overlap is allow */
	free(sim_cancel(w.sim, "j#13"));
	sim_configure(w.sim, CONFIG(HISTORY));
	sim_run_for(w.sim, 10 * USEC_SEC);
	for (unsigned n = 1; n <= 13; n++)
		assert_int_equal(has_run(&w, n), n == 2 || n == 4 || n >= 10);
	assert_int_equal(sim_count(w.sim, TABLE_SLOT), 5);
	/* of those that are 2 h old: 1, 3, 5 to 10; j#13 was cancelled before it began */
	assert_int_equal(w.folders, 8);
	free(sim_cancel(w.sim, "j#2"));
	sim_run_for(w.sim, USEC_MINUTE);
	assert_string_equal(sim_outcome(w.sim, "j#2", NULL), "cancelled");
	sim_free(w.sim);
}

/* Its own age counts: one that began long ago and ended just now is not old. */
static void a_long_run_is_as_old_as_its_end(void **state)
{
	struct world w = {.hangs = 2};

	begin(&w, CONFIG(""));
	sim_run_for(w.sim, 12 * USEC_HOUR);
	free(sim_cancel(w.sim, "j#2"));
	sim_run_for(w.sim, USEC_MINUTE);
	sim_configure(w.sim, CONFIG(HISTORY));
	sim_run_for(w.sim, 10 * USEC_SEC);
	assert_false(has_run(&w, 1));
	assert_true(has_run(&w, 2));
	assert_false(has_run(&w, 3));
	sim_free(w.sim);
}

static void while_the_store_is_away_it_is_tried_again_in_an_hour(void **state)
{
	struct world w = {0};

	begin(&w, CONFIG(""));
	sim_run_for(w.sim, 10 * USEC_HOUR);
	sim_store_away(w.sim);
	sim_configure(w.sim, CONFIG(HISTORY));
	sim_run_for(w.sim, USEC_MINUTE);
	sim_store_back(w.sim);
	sim_run_for(w.sim, 58 * USEC_MINUTE);
	assert_int_equal(w.folders, 0);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 11);
	sim_run_for(w.sim, 2 * USEC_MINUTE);
	assert_int_equal(w.folders, 9);
	assert_true(sim_count(w.sim, TABLE_RUN) < 5);
	sim_free(w.sim);
}

static void a_standby_removes_its_own_folders_and_no_row(void **state)
{
	struct world w = {0};

	begin(&w, CONFIG(""));
	sim_run_for(w.sim, 10 * USEC_HOUR);
	sim_host_up(w.sim, 1);
	sim_host_down(w.sim, 0);
	sim_run_for(w.sim, 10 * USEC_HOUR); /* the other machine leads, and runs ten */
	assert_int_equal(sim_leader(w.sim), 1);
	sim_configure(w.sim, CONFIG("'history': {'logs': '2h'}, "));
	sim_run_for(w.sim, 10 * USEC_SEC);
	assert_int_equal(w.folders, 8);
	sim_host_up(w.sim, 0);
	sim_run_for(w.sim, 2 * USEC_MINUTE);
	assert_int_equal(sim_leader(w.sim), 1);
	assert_int_equal(w.folders, 18);
	assert_int_equal(sim_count(w.sim, TABLE_RUN), 20);
	sim_free(w.sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_begins_after_a_minute_and_then_once_a_day),
		cmocka_unit_test(nothing_goes_where_nothing_is_said_of_it),
		cmocka_unit_test(a_reload_that_says_another_time_is_followed_at_once),
		cmocka_unit_test(what_runs_and_the_last_good_run_stay_with_their_slots),
		cmocka_unit_test(a_long_run_is_as_old_as_its_end),
		cmocka_unit_test(while_the_store_is_away_it_is_tried_again_in_an_hour),
		cmocka_unit_test(a_standby_removes_its_own_folders_and_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
