/* What dbt has really built, as the steps after it learn of it. */
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/built.h"
#include "core/record.h"
#include "core/run.h"
#include "kinds/dbt_relation.h"
#include "tests/unit/sim.h"

#define DBT(command) "'dbt': {'command': '" command "', 'project': '/p'}"
#define ENVIRONMENT  "'matrix': {'environment': ['s', 'p']}, "
#define CONFIG                                                                                                                                              \
	"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'environments': {'s': {}, 'p': "                                                             \
	"{}}, 'jobs': [{'name': 'n', 'stages': ["                                                                                                           \
	"{'name': 'first', " ENVIRONMENT "'steps': [{'name': 'd', " DBT(                                                                                    \
		"seed") "}]},"                                                                                                                              \
			"{'name': 'deps', 'needs': ['first'], 'steps': [{'name': 'd', " DBT(                                                                \
				"deps") "}]},"                                                                                                              \
					"{'name': 'build', 'needs': ['deps'], 'matrix': "                                                                   \
					"{'environment': ['s', 'p'], 'target': "                                                                            \
					"['pg', 'bq']}, 'steps': [{'name': 'd', " DBT(                                                                      \
						"build") "}]},"                                                                                             \
							 "{'name': 'other', " ENVIRONMENT                                                                   \
							 "'steps': [{'name': 'd', " DBT(                                                                    \
								 "build") "}]},"                                                                            \
									  "{'name': 'sync', "                                                               \
									  "'needs': "                                                                       \
									  "['build'],"                                                                      \
									  " " ENVIRONMENT                                                                   \
									  "'steps': [{'name': "                                                             \
									  "'d', " DBT(                                                                      \
										  "run") "}, "                                                              \
											 "{'name'"                                                          \
											 ": 'x', "                                                          \
											 "'made_"                                                           \
											 "up': "                                                            \
											 "{'does'"                                                          \
											 ": "                                                               \
											 "''}}, "                                                           \
											 "{'name'"                                                          \
											 ": "                                                               \
											 "'e',"                                                             \
											 " " DBT("run") "}]},"                                              \
													"{'name': 'apply', 'needs': ['sync'], " ENVIRONMENT \
													"'steps': [{'name': 'x', 'made_up': {'does': ''}}]}]}]}"

static struct sim *begin(void)
{
	usec_t start = 0;
	struct sim *sim;

	assert_true(instant_parse("2026-03-01T00:00:00Z", &start));
	sim = sim_new(&(struct sim_options){.seed = 7, .start = start});
	sim_configure(sim, CONFIG);
	return sim;
}

static unsigned cell_index(struct sim *sim, const char *name)
{
	struct run *run = run_by_name(sim_core(sim), "n#1");

	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (str_eq(run->cells[i].spec->name, name))
			return i;
	fail_msg("no cell %s", name);
	return 0;
}

struct built {
	const char *cell;
	int step, attempt;
	const char *pairs; /* "a.b c.d" */
};

static cJSON *note_of(const char *pairs)
{
	cJSON *note = cJSON_CreateObject(), *built = json_set(note, "built", cJSON_CreateArray());
	_cleanup_free_ char *copy = xstrdup(pairs);
	char *rest = copy;

	for (char *word; (word = strsep(&rest, " "));) {
		cJSON *pair = cJSON_CreateArray();
		char *schema = strsep(&word, ".");

		cJSON_AddItemToArray(pair, cJSON_CreateString(schema));
		cJSON_AddItemToArray(pair, cJSON_CreateString(word));
		cJSON_AddItemToArray(built, pair);
	}
	return note;
}

/* A run as the store gives it, with what its dbt steps noted. */
static struct run *run_with(struct sim *sim, const cJSON *only, const struct built *built, size_t n)
{
	_cleanup_json_ cJSON *loaded = cJSON_CreateObject();
	cJSON *row = json_set(loaded, "run", cJSON_CreateObject());
	cJSON *attempts = json_set(loaded, "attempts", cJSON_CreateArray());
	cJSON *actions = json_set(loaded, "actions", cJSON_CreateArray());
	_cleanup_free_ char *error = NULL;
	struct run *run;

	json_set_string(row, "job", "n");
	json_set_string(row, "id", "33333333-3333-4333-8333-333333333333");
	json_set_int(row, "number", 2);
	json_set_string(row, "trigger", "retry");
	json_set_string(row, "definition", run_by_name(sim_core(sim), "n#1")->def->hash);
	if (only)
		json_set(row, "only_cells", cJSON_Duplicate(only, true));
	for (size_t i = 0; i < n; i++) {
		cJSON *attempt = cJSON_CreateObject(), *action = cJSON_CreateObject();

		json_set_int(attempt, "cell", cell_index(sim, built[i].cell));
		json_set_int(attempt, "step", built[i].step);
		json_set_int(attempt, "number", built[i].attempt);
		json_set_string(attempt, "state", "ended");
		cJSON_AddItemToArray(attempts, attempt);
		json_set_int(action, "cell", cell_index(sim, built[i].cell));
		json_set_int(action, "step", built[i].step);
		json_set_int(action, "attempt", built[i].attempt);
		json_set_string(action, "name", "dbt");
		json_set_string(action, "type", "process");
		json_set_string(action, "state", "ended");
		json_set(action, "note", note_of(built[i].pairs));
		cJSON_AddItemToArray(actions, action);
	}
	run = record_to_run(sim_core(sim), loaded, &error);
	assert_null(error);
	assert_non_null(run);
	run->detached = true;
	return run;
}

static const struct built night[] = {
	{"first/s", 0, 1, "raw.seed_s"},
	{"first/p", 0, 1, "raw.seed_p"},
	{"build/s/pg", 0, 1, "m.one m.two"},
	{"build/s/pg", 0, 2, "m.two m.three"},
	{"build/s/bq", 0, 1, "m.one"},
	{"build/p/pg", 0, 1, "m.of_p"},
	{"other/s", 0, 1, "m.not_needed"},
	{"sync/s", 0, 1, "own.before"},
	{"sync/s", 1, 1, "own.no_dbt"},
	{"sync/s", 2, 1, "own.after"},
};

static void expect_built(
	struct sim *sim, struct run *run, const char *cell, size_t step, const char *expected)
{
	struct attempt fake = {.step = &run->cells[cell_index(sim, cell)].steps[step]};
	_cleanup_json_ cJSON *list = built_for(&fake);
	_cleanup_buf_ struct buf text = BUF_NULL;
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		const char *target = json_string(item, "target");

		buf_printf(&text, "%s%s.%s", text.len ? " " : "", json_string(item, "schema"),
			json_string(item, "name"));
		if (target)
			buf_printf(&text, "@%s", target);
	}
	assert_string_equal(buf_str(&text), expected);
}

static void a_step_learns_of_what_its_needs_built_in_its_environment(void **state)
{
	struct sim *sim = begin();
	struct run *run;

	free(sim_start(sim, "n", NULL));
	run = run_with(sim, NULL, night, ARRAY_SIZE(night));
	expect_built(sim, run, "sync/s", 1,
		"m.one@bq m.one@pg m.three@pg m.two@pg own.before raw.seed_s");
	expect_built(sim, run, "sync/p", 1, "m.of_p@pg raw.seed_p");
	expect_built(sim, run, "apply/s", 0,
		"m.one@bq m.one@pg m.three@pg m.two@pg own.after own.before raw.seed_s");
	expect_built(sim, run, "other/s", 0, "");
	run_free(run);
	sim_free(sim);
}

static void a_retry_learns_of_what_the_runs_before_it_built(void **state)
{
	static const struct built again[] = {{"build/s/pg", 0, 1, "m.four m.one"}};
	struct sim *sim = begin();
	struct run *old, *run;
	cJSON *only = cJSON_CreateObject();

	free(sim_start(sim, "n", NULL));
	old = run_with(sim, NULL, night, ARRAY_SIZE(night));
	json_set(only, "prior", cJSON_CreateObject());
	json_set(only, "built", built_so_far(old));
	run_free(old);
	run = run_with(sim, only, again, ARRAY_SIZE(again));
	expect_built(sim, run, "sync/s", 1,
		"m.four@pg m.one@bq m.one@pg m.three@pg m.two@pg own.after own.before raw.seed_s");
	cJSON_Delete(only);
	run_free(run);
	sim_free(sim);
}

static cJSON *parse(const char *text)
{
	cJSON *json = cJSON_Parse(text);

	assert_non_null(json);
	return json;
}

static void the_usual_time_of_a_sync_is_learnt(void **state)
{
	struct sim *sim = begin();
	struct core *core = sim_core(sim);
	_cleanup_json_ cJSON *known =
		parse("[{\"environment\":\"s\",\"database\":\"Global\",\"ms\":10000},"
		      "{\"environment\":null,\"database\":\"Global\",\"ms\":7}]");
	_cleanup_json_ cJSON *rows =
		parse("[{\"database\":\"Global\",\"state\":\"proved\","
		      "\"started_at\":\"2026-03-01T00:00:00Z\","
		      "\"ended_at\":\"2026-03-01T00:00:20Z\"},"
		      "{\"database\":\"NC\",\"state\":\"proved\","
		      "\"started_at\":\"2026-03-01T00:00:00Z\","
		      "\"ended_at\":\"2026-03-01T00:00:05Z\"},"
		      "{\"database\":\"CO\",\"state\":\"waiting\","
		      "\"started_at\":\"2026-03-01T00:00:00Z\",\"ended_at\":null}]");

	assert_int_equal(built_usual_sync(core, "s", "Global"), -1);
	built_load_usual(core, known);
	built_learn(core, "s", rows);
	assert_int_equal(built_usual_sync(core, "s", "Global"), 15000);
	assert_int_equal(built_usual_sync(core, "s", "NC"), 5000);
	assert_int_equal(built_usual_sync(core, "s", "CO"), -1);
	assert_int_equal(built_usual_sync(core, "p", "Global"), -1);
	assert_int_equal(built_usual_sync(core, NULL, "Global"), 7);
	sim_free(sim);
}

static void names_of_relations_are_read_as_each_warehouse_writes_them(void **state)
{
	static const struct {
		const char *text, *schema, *name;
	} cases[] = {
		{"\"app\".\"analytics\".\"mart\"", "analytics", "mart"},
		{"\"app\".\"my schema\".\"a.b\"\"c\"", "my schema", "a.b\"c"},
		{"`mfb-data`.`analytics`.`mart`", "analytics", "mart"},
		{"`mfb-data.analytics.mart`", "analytics", "mart"},
		{"[db].[dbo].[a]]b]", "dbo", "a]b"},
		{"db.analytics.mart", "analytics", "mart"},
		{"analytics.mart", "analytics", "mart"},
		{"mart", NULL, NULL},
		{"", NULL, NULL},
		{"\"a\".\"b", NULL, NULL},
		{"\"a\"x.\"b\"", NULL, NULL},
		{"a..", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *schema = NULL, *name = NULL;

		assert_int_equal(
			dbt_relation_parse(cases[i].text, &schema, &name), cases[i].schema != NULL);
		if (!cases[i].schema)
			continue;
		assert_string_equal(schema, cases[i].schema);
		assert_string_equal(name, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_learns_of_what_its_needs_built_in_its_environment),
		cmocka_unit_test(a_retry_learns_of_what_the_runs_before_it_built),
		cmocka_unit_test(the_usual_time_of_a_sync_is_learnt),
		cmocka_unit_test(names_of_relations_are_read_as_each_warehouse_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
