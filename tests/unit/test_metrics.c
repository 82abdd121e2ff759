/* What Prometheus is told, of nights in the simulated world. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/metrics.h"
#include "tests/unit/sim.h"

#define NIGHT "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, "

static struct sim *night(struct sim_script (*script)(struct sim *, const struct action_place *,
				 const char *, const char *),
	const char *config)
{
	usec_t start;
	struct sim *sim;

	assert_true(instant_parse("2026-03-01T00:00:00Z", &start));
	sim = sim_new(&(struct sim_options){.seed = 7, .start = start, .script = script});
	sim_configure(sim, config);
	return sim;
}

static char *metrics(struct sim *sim)
{
	struct buf b = BUF_NULL;

	core_view_metrics(sim_core(sim), &b);
	return buf_steal(&b);
}

static void assert_has(const char *text, const char *line)
{
	_cleanup_free_ char *whole = xasprintf("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("no %s in:\n%s", line, text);
}

static struct sim_script fails_at_three(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	return (struct sim_script){
		.takes = 10 * USEC_SEC, .code = sim_now(sim) / USEC_HOUR % 24 == 3};
}

static void runs_attempts_and_lateness_are_counted(void **state)
{
	struct sim *sim = night(fails_at_three,
		NIGHT "'jobs': [{'name': 'hourly', 'schedule': '@hourly', 'stages': [{'name': 'a', "
		      "'steps': [{'name': 's', 'run': ['true']}]}]}]}");
	_cleanup_free_ char *before = metrics(sim), *after = NULL;

	assert_null(strstr(before, "nightjar_runs_total{"));
	assert_has(before, "nightjar_slot_lateness_seconds_count 0");
	sim_run_for(sim, 5 * USEC_HOUR + USEC_MINUTE);
	after = metrics(sim);
	assert_has(after, "nightjar_runs_total{job=\"hourly\",outcome=\"ok\"} 4");
	assert_has(after, "nightjar_runs_total{job=\"hourly\",outcome=\"failed\"} 1");
	assert_has(after, "nightjar_attempts_total{kind=\"run\",outcome=\"failed\"} 1");
	assert_has(after, "nightjar_slot_lateness_seconds_count 5");
	assert_has(after, "nightjar_slot_lateness_seconds_bucket{le=\"+Inf\"} 5");
	assert_has(after, "nightjar_store_up 1");
	assert_has(after, "nightjar_leader 1");
	assert_has(after, "nightjar_jobs_due 1");
	assert_has(after, "nightjar_next_slot_timestamp_seconds{job=\"hourly\"} 1772344800");
	sim_store_away(sim);
	free(TAKE_PTR(after));
	after = metrics(sim);
	assert_has(after, "nightjar_store_up 0");
	sim_free(sim);
}

static void what_runs_and_waits_is_told(void **state)
{
	struct sim *sim = night(fails_at_three, NIGHT
		"'max_attempts': 2, 'jobs': [{'name': 'j', 'stages': [{'name': 'a', "
		"'matrix': {'i': ['1', '2', '4', '5']}, "
		"'steps': [{'name': 's', 'run': ['true']}]}, "
		"{'name': 'b', 'needs': ['a'], 'steps': [{'name': 's', 'run': ['true']}]}]}]}");
	_cleanup_free_ char *text = NULL;

	free(sim_start(sim, "j", NULL));
	sim_run_for(sim, 5 * USEC_SEC);
	text = metrics(sim);
	assert_has(text, "nightjar_runs{state=\"running\"} 1");
	assert_has(text, "nightjar_cells{state=\"running\"} 4");
	assert_has(text, "nightjar_cells{state=\"waiting\"} 1");
	assert_has(text, "nightjar_actions 2");
	assert_has(text, "nightjar_places_taken 2");
	sim_free(sim);
}

static void what_is_skipped_is_counted(void **state)
{
	struct sim *sim = night(NULL,
		NIGHT "'jobs': [{'name': 'j', 'schedule': '@hourly', 'catch_up': 'none', "
		      "'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['true']}]}]}]}");
	_cleanup_free_ char *text = NULL;

	sim_run_for(sim, 90 * USEC_MINUTE);
	sim_store_away(sim);
	sim_run_for(sim, 4 * USEC_HOUR);
	sim_store_back(sim);
	sim_run_for(sim, USEC_MINUTE);
	text = metrics(sim);
	assert_has(text, "nightjar_slots_skipped_total{job=\"j\"} 4");
	sim_free(sim);
}

static void a_proved_sync_is_measured(void **state)
{
	static const char *const rows[] = {
		"{\"environment\":\"staging\",\"state\":\"proved\",\"started_at\":"
		"\"2026-03-01T00:00:00Z\",\"ended_at\":\"2026-03-01T00:02:00Z\"}",
		"{\"environment\":\"staging\",\"state\":\"waiting\",\"started_at\":"
		"\"2026-03-01T00:00:00Z\",\"ended_at\":null}",
		"{\"environment\":null,\"state\":\"proved\",\"started_at\":"
		"\"2026-03-01T00:00:00Z\",\"ended_at\":\"2026-03-02T00:00:00Z\"}",
	};
	struct sim *sim = night(NULL, NIGHT "'jobs': []}");
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ cJSON *row = cJSON_Parse(rows[i]);

		metrics_sync(sim_core(sim), row);
	}
	text = metrics(sim);
	assert_has(
		text, "nightjar_sync_duration_seconds_bucket{environment=\"staging\",le=\"60\"} 0");
	assert_has(text,
		"nightjar_sync_duration_seconds_bucket{environment=\"staging\",le=\"300\"} 1");
	assert_has(text, "nightjar_sync_duration_seconds_sum{environment=\"staging\"} 120");
	assert_has(text, "nightjar_sync_duration_seconds_bucket{environment=\"\",le=\"10800\"} 0");
	assert_has(text, "nightjar_sync_duration_seconds_count{environment=\"\"} 1");
	sim_free(sim);
}

static void ten_thousand_jobs_are_a_thousand_series_and_the_rest(void **state)
{
	_cleanup_buf_ struct buf config = BUF_NULL;
	_cleanup_free_ char *text = NULL;
	struct sim *sim;
	size_t lines = 0;

	buf_puts(&config, NIGHT "'max_attempts': 100, 'jobs': [");
	for (int i = 0; i < 3000; i++)
		buf_printf(&config,
			"%s{'name': 'j%d', 'schedule': '%d 1 * * *', 'stages': [{'name': 'a', "
			"'steps': [{'name': 's', 'run': ['true']}]}]}",
			i ? ", " : "", i, i % 60);
	buf_puts(&config, "]}");
	sim = night(NULL, buf_str(&config));
	sim_run_for(sim, 3 * USEC_HOUR);
	text = metrics(sim);
	assert_has(text, "nightjar_runs_total{job=\"\",outcome=\"ok\"} 2000");
	for (const char *p = text; (p = strstr(p, "\nnightjar_runs_total{")); p++)
		lines++;
	assert_int_equal(lines, 1001);
	assert_true(strlen(text) < (size_t)1024 * 1024);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_attempts_and_lateness_are_counted),
		cmocka_unit_test(what_runs_and_waits_is_told),
		cmocka_unit_test(what_is_skipped_is_counted),
		cmocka_unit_test(a_proved_sync_is_measured),
		cmocka_unit_test(ten_thousand_jobs_are_a_thousand_series_and_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
