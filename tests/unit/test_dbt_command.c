/* How dbt is called. */
#include "unit.h"
#include "kinds/dbt_command.h"
#include "kinds/kind_table.h"
#include "kinds_fixture.h"

static void assert_argv(const char *json, const char *want)
{
	_cleanup_node_ struct node *params = fixture_params(json);
	_cleanup_buf_ struct buf joined = BUF_NULL;
	char **argv = NULL, *error = NULL;

	assert_int_equal(dbt_command_argv(params, &argv, &error), 0);
	for (size_t i = 0; argv[i]; i++)
		buf_printf(&joined, "%s%s", i ? "|" : "", argv[i]);
	assert_string_equal(joined.data, want);
	strv_free(argv);
}

static void arguments_follow_from_the_keys(void **state)
{
	assert_argv("{\"command\":\"deps\"}", "dbt|deps|--log-format|json|--no-use-colors");
	assert_argv("{\"command\":\"source_freshness\"}",
		"dbt|source|freshness|--log-format|json|--no-use-colors");
	assert_argv("{\"command\":\"run_operation\",\"args\":[\"grant\",\"--args\",\"{a: 1}\"]}",
		"dbt|run-operation|--log-format|json|--no-use-colors|grant|--args|{a: 1}");
	assert_argv("{\"command\":\"docs generate\"}",
		"dbt|docs|generate|--log-format|json|--no-use-colors");
	assert_argv("{\"command\":\"build\",\"executable\":\"/venv/bin/dbt\",\"target\":\"pg\","
		    "\"select\":\" tag:nightly  +mart \",\"exclude\":\"x\",\"threads\":4,"
		    "\"full_refresh\":true,\"state\":\"/s\",\"defer\":true}",
		"/venv/bin/"
		"dbt|build|--select|tag:nightly|+mart|--exclude|x|--target|pg|--threads|4|"
		"--full-refresh|--state|/s|--defer|--log-format|json|--no-use-colors");
	assert_argv(
		"{\"command\":\"build\",\"full_refresh\":false,\"defer\":false,\"select\":\"\"}",
		"dbt|build|--no-defer|--log-format|json|--no-use-colors");
}

static void a_selection_is_a_text_or_a_list(void **state)
{
	assert_argv("{\"command\":\"run\",\"select\":[\"a b\",\" \",\"+c\"],\"exclude\":[]}",
		"dbt|run|--select|a|b|+c|--log-format|json|--no-use-colors");
}

static void vars_become_json(void **state)
{
	assert_argv("{\"command\":\"build\",\"vars\":{\"day\":\"2026-01-01\",\"n\":3,\"deep\":"
		    "{\"on\":true}}}",
		"dbt|build|--vars|{\"day\":\"2026-01-01\",\"n\":3,\"deep\":{\"on\":true}}|"
		"--log-format|json|--no-use-colors");
	assert_argv("{\"command\":\"build\",\"vars\":[{\"key\":\"2024\",\"value\":\"x\"}]}",
		"dbt|build|--vars|{\"2024\":\"x\"}|--log-format|json|--no-use-colors");
	assert_argv("{\"command\":\"build\",\"vars\":{}}",
		"dbt|build|--log-format|json|--no-use-colors");
}

static void what_would_be_read_as_an_option_is_refused(void **state)
{
	static const char *const bad[] = {
		"{\"command\":\"build\",\"select\":\"a --full-refresh\"}",
		"{\"command\":\"build\",\"exclude\":\"-x\"}",
		"{\"command\":\"--version\"}",
		"{\"command\":\"\"}",
		"{}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_node_ struct node *params = fixture_params(bad[i]);
		_cleanup_free_ char *error = NULL;
		char **argv = NULL;

		assert_int_equal(dbt_command_argv(params, &argv, &error), -EINVAL);
		assert_true(str_starts(error, "dbt: "));
		assert_null(argv);
	}
}

static bool has(char *const *v, const char *word)
{
	for (; v && *v; v++)
		if (str_eq(*v, word))
			return true;
	return false;
}

static void an_attempt_writes_into_its_own_folder(void **state)
{
	_cleanup_node_ struct node *params =
		fixture_params("{\"command\":\"build\",\"project\":\"/srv/${matrix.p}/\","
			       "\"profiles\":\"/etc/dbt\"}");
	struct kind_context ctx = fixture_context(params);
	struct kind_event event = {.type = KIND_BEGIN};
	void *machine = kind_dbt.new(&ctx);
	_cleanup_command_ struct kind_command c = {0};
	_cleanup_(kind_spawn_fini) struct kind_spawn s = {0};
	char *error = NULL;

	kind_dbt.next(machine, &ctx, &event, &c);
	assert_int_equal(c.type, KIND_SPAWN);
	assert_string_equal(c.action, "dbt");
	assert_true(c.repeatable);
	assert_string_equal(c.lock, "dbt:/srv/the-p");
	assert_true(c.lock_shared);
	assert_int_equal(kind_dbt.spawn(machine, &ctx, "dbt", &s, &error), 0);
	assert_string_equal(s.cwd, "/srv/the-p");
	assert_true(has(s.env, "DBT_TARGET_PATH=/state/actions/R/0/0.1/target"));
	assert_true(has(s.env, "DBT_LOG_PATH=/state/actions/R/0/0.1/logs"));
	assert_true(has(s.env, "DBT_PROFILES_DIR=/etc/dbt"));
	assert_true(has(s.env, "DBT_PROJECT_DIR=/srv/the-p"));
	assert_true(has(s.env, "DBT_SEND_ANONYMOUS_USAGE_STATS=false"));
	assert_true(has(s.directories, "target") && has(s.directories, "logs"));
	assert_int_equal(s.stop_signal, 2);
	assert_false(s.stop_group);
	assert_int_equal(s.n_artifacts, 2);
	assert_string_equal(s.artifacts[0].path, "target/run_results.json");
	kind_dbt.free(machine);
}

static void deps_has_the_project_for_itself(void **state)
{
	assert_true(dbt_command_writes("deps"));
	assert_false(dbt_command_writes("build"));
	assert_false(dbt_command_writes(NULL));
}

static void only_commands_that_build_name_relations(void **state)
{
	assert_true(dbt_command_builds("build"));
	assert_true(dbt_command_builds("seed"));
	assert_false(dbt_command_builds("compile"));
	assert_false(dbt_command_builds("test"));
	assert_false(dbt_command_builds(NULL));
}

static void a_relative_project_is_refused(void **state)
{
	_cleanup_node_ struct node *params =
		fixture_params("{\"command\":\"build\",\"project\":\"dbt\"}");
	struct kind_context ctx = fixture_context(params);
	struct kind_event event = {.type = KIND_BEGIN};
	void *machine = kind_dbt.new(&ctx);
	_cleanup_command_ struct kind_command c = {0};

	kind_dbt.next(machine, &ctx, &event, &c);
	assert_int_equal(c.type, KIND_DONE);
	assert_string_equal(c.reason, "dbt: project must be an absolute path, not \"dbt\"");
	kind_dbt.free(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_follow_from_the_keys),
		cmocka_unit_test(a_selection_is_a_text_or_a_list),
		cmocka_unit_test(vars_become_json),
		cmocka_unit_test(what_would_be_read_as_an_option_is_refused),
		cmocka_unit_test(an_attempt_writes_into_its_own_folder),
		cmocka_unit_test(deps_has_the_project_for_itself),
		cmocka_unit_test(only_commands_that_build_name_relations),
		cmocka_unit_test(a_relative_project_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
