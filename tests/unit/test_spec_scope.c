#include "tests/unit/unit.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "spec/scope.h"

/* A job with one stage, one cell build/staging/postgres and one step. */

static struct node *tree(const char *json)
{
	_cleanup_json_ cJSON *parsed = NULL;

	assert_int_equal(json_parse(json, strlen(json), &parsed), 0);
	return node_from_json(parsed, NULL);
}

#define TEXT(s) ((char *)(s))

struct fixture {
	struct spec_job job;
	struct spec_stage stage;
	struct spec_cell cell;
	struct spec_step step;
	struct spec_environment environment;
	struct spec_var vars[6], env[3];
	struct spec_file files[2];
	struct spec_only_term term;
	struct scope scope;
	struct node *data, *group, *params;
};

static const char *step_output(void *context, const char *step, const char *key)
{
	return strcmp(step, "first") == 0 && strcmp(key, "a.b") == 0 ? "written" : NULL;
}

static int set_up(void **state)
{
	static char *dimensions[] = {TEXT("environment"), TEXT("target"), NULL};
	static char *values[] = {TEXT("staging"), TEXT("postgres"), NULL};
	static char *secrets[] = {TEXT("DB_PASS"), NULL};
	static char *only[] = {TEXT("bigquery"), NULL};
	static const char *const secret_names[] = {"DB_PASS", "KEY", "NC"};
	static char *secret_values[] = {TEXT("s3cret"), TEXT("k\"e\\y\n"), TEXT("nc-pass")};
	struct fixture *f = xnew(struct fixture);

	f->data = tree(
		"{\"tenants\":{\"nc\":{\"user\":\"ro\",\"password\":\"${secret.NC}\",\"port\":5432}"
		","
		"\"a.b\":{\"x\":\"dotted\"}},\"key\":\"${secret.KEY}\",\"host\":\"${vars.HOST}\"}");
	f->group = tree("{\"url\":\"${metabase.url}\",\"key\":\"${secret.KEY}\"}");
	f->params = tree("{\"select\":[\"${secret.IN_PARAMS}\"]}");
	f->vars[0] =
		(struct spec_var){.name = TEXT("HOST"), .value = TEXT("db.${matrix.environment}")};
	f->vars[1] = (struct spec_var){.name = TEXT("URL"), .value = TEXT("pg://${vars.HOST}")};
	f->vars[2] = (struct spec_var){.name = TEXT("ROUND"), .value = TEXT("$${vars.ROUND}")};
	f->vars[3] = (struct spec_var){.name = TEXT("DB_PASS"), .value = TEXT("from vars")};
	f->vars[4] = (struct spec_var){.name = TEXT("PATH"), .value = TEXT("/opt/bin")};
	f->environment = (struct spec_environment){.name = TEXT("staging"),
		.vars = {.items = f->vars, .n = 5},
		.data = f->data,
		.metabase_url = TEXT("https://${vars.HOST}"),
		.metabase_api_key = TEXT("${secret.KEY}")};
	f->env[0] = (struct spec_var){.name = TEXT("TENANTS"), .value = TEXT("${json.tenants.nc}")};
	f->env[1] = (struct spec_var){.name = TEXT("GROUP"), .group = f->group};
	f->env[2] = (struct spec_var){.name = TEXT("NIGHTJAR_STEP"), .value = TEXT("mine")};
	f->term = (struct spec_only_term){.dimension = TEXT("target"), .values = only};
	f->files[0] = (struct spec_file){.content = TEXT("${secret.IN_FILE}")};
	f->files[1] =
		(struct spec_file){.content = TEXT("${secret.NOT_HERE}"), .only = {&f->term, 1}};
	f->step = (struct spec_step){.name = TEXT("build"),
		.secrets = secrets,
		.env = {.items = f->env, .n = 3},
		.params = f->params,
		.files = f->files,
		.n_files = 2,
		.cwd = TEXT("/srv/${secret.IN_CWD}")};
	f->cell = (struct spec_cell){.values = values,
		.name = TEXT("build/staging/postgres"),
		.environment = TEXT("staging")};
	f->stage = (struct spec_stage){.name = TEXT("build"),
		.dimensions = dimensions,
		.n_dimensions = 2,
		.cells = &f->cell,
		.n_cells = 1,
		.steps = &f->step,
		.n_steps = 1};
	f->job = (struct spec_job){.name = TEXT("nightly"),
		.stages = &f->stage,
		.n_stages = 1,
		.n_cells = 1,
		.environments = &f->environment,
		.n_environments = 1};
	f->scope = (struct scope){.job = &f->job,
		.cell = &f->cell,
		.step = &f->step,
		.run_name = "nightly#128",
		.run_number = 128,
		.scheduled_for = 1774747800 * USEC_SEC,
		.attempt = 2,
		.attempt_directory = "/state/a",
		.output_path = "/state/a/output",
		.secret_names = secret_names,
		.secret_values = secret_values,
		.n_secrets = 3,
		.step_output = step_output};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	node_free(f->data);
	node_free(f->group);
	node_free(f->params);
	free(f);
	return 0;
}

static void assert_is(struct fixture *f, const char *text, const char *expected)
{
	_cleanup_free_ char *got = NULL, *error = NULL;

	if (scope_expand(&f->scope, text, &got, &error) < 0)
		fail_msg("%s: %s", text, error);
	assert_string_equal(got, expected);
}

static void assert_wrong(struct fixture *f, const char *text, const char *sentence)
{
	_cleanup_free_ char *got = NULL, *error = NULL;

	assert_true(scope_expand(&f->scope, text, &got, &error) < 0);
	assert_string_equal(error, sentence);
}

static void every_name_has_its_value(void **state)
{
	struct fixture *f = *state;

	assert_is(f, "${matrix.target}", "postgres");
	assert_is(f, "${vars.URL}", "pg://db.staging");
	assert_is(f, "${secret.DB_PASS}", "s3cret");
	assert_is(f, "${metabase.url}/api", "https://db.staging/api");
	assert_is(f, "${metabase.api_key}", "k\"e\\y\n");
	assert_is(f, "${run.name} ${run.number}", "nightly#128 128");
	assert_is(f, "${run.scheduled_for}", "2026-03-29T01:30:00Z");
	assert_is(f, "${attempt.number} ${attempt.directory}", "2 /state/a");
	assert_is(f, "${steps.first.a.b}", "written");
}

static void data_is_json_and_a_string_in_it_is_raw(void **state)
{
	struct fixture *f = *state;

	assert_is(f, "${json.tenants.nc}",
		"{\"user\":\"ro\",\"password\":\"nc-pass\",\"port\":5432}");
	assert_is(f, "${json.tenants.nc.user} ${json.tenants.nc.port}", "ro 5432");
	assert_is(f, "${json.tenants.a.b.x}", "dotted");
	assert_is(f, "${json.host}", "db.staging");
	assert_is(f, "${json.key}", "k\"e\\y\n");
}

static void a_name_without_a_value_is_said(void **state)
{
	struct fixture *f = *state;

	assert_wrong(f, "${matrix.x}", "${matrix.x}: the stage has no such dimension");
	assert_wrong(f, "${vars.X}", "${vars.X}: environment staging has no such var");
	assert_wrong(f, "${json.tenants.x}",
		"${json.tenants.x}: the data of environment staging has no such part");
	assert_wrong(f, "${metabase.password}",
		"${metabase.password}: the metabase of environment staging has no such entry");
	assert_wrong(f, "${secret.OTHER}", "${secret.OTHER}: this step has no such secret");
	assert_wrong(f, "${input.x}", "${input.x}: inputs are not there yet");
	assert_wrong(f, "${run.x}", "${run.x}: there are name, number and scheduled_for");
	assert_wrong(f, "${steps.first.x}",
		"${steps.first.x}: step first wrote no x to $NIGHTJAR_OUTPUT");
	assert_wrong(f, "${steps.first}", "${steps.first}: write ${steps.STEP.KEY}");
	assert_wrong(f, "${nothing.x}", "${nothing.x}: there is no such thing");
	f->cell.environment = NULL;
	assert_wrong(f, "${vars.HOST}", "${vars.HOST}: the step has no environment");
}

static void secrets_cannot_be_had_before_they_are_fetched(void **state)
{
	struct fixture *f = *state;

	f->scope.secret_values = NULL;
	assert_wrong(f, "${json.tenants}", "${secret.NC}: a secret cannot be had here");
}

static void what_goes_round_ends_with_a_sentence(void **state)
{
	struct fixture *f = *state;

	f->vars[2].value = TEXT("${vars.ROUND}");
	assert_wrong(f, "${vars.ROUND}", "${vars.ROUND}: it goes round, or refers to too much");
	f->vars[2].value = TEXT("${vars.ROUND}${vars.ROUND}${vars.ROUND}");
	assert_wrong(f, "${vars.ROUND}", "${vars.ROUND}: it goes round, or refers to too much");
}

static void what_fans_out_ends_too(void **state)
{
	struct fixture *f = *state;
	static char text[12 * 10 + 1];
	struct spec_var many[12] = {0};
	char names[12][4], texts[12][12 * 12];

	for (int i = 0; i < 12; i++) {
		snprintf(names[i], sizeof(names[i]), "V%d", i);
		texts[i][0] = '\0';
		for (int k = 0; k < 12 && i < 11; k++)
			snprintf(texts[i] + strlen(texts[i]), 12, "${vars.V%d}", i + 1);
		many[i] = (struct spec_var){.name = names[i], .value = texts[i]};
	}
	f->environment.vars = (struct spec_vars){.items = many, .n = 12};
	snprintf(text, sizeof(text), "${vars.V0}");
	{
		_cleanup_free_ char *got = NULL, *error = NULL;

		assert_int_equal(scope_expand(&f->scope, text, &got, &error), -ELOOP);
		assert_non_null(error);
	}
}

static void the_secrets_of_a_step_are_found_wherever_they_are_named(void **state)
{
	struct fixture *f = *state;
	char **names = scope_secret_names(&f->job, &f->cell, &f->step);
	const char *const expected[] = {"DB_PASS", "IN_CWD", "IN_FILE", "IN_PARAMS", "KEY", "NC"};

	assert_int_equal(strv_length(names), ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_string_equal(names[i], expected[i]);
	strv_free(names);
}

static void a_kind_that_asks_metabase_may_read_its_key(void **state)
{
	struct fixture *f = *state;
	static const struct spec_kind asks = {.name = "asks", .asks_metabase = true};
	struct spec_step plain = {.name = TEXT("plain"), .kind = &asks};
	char **names;

	names = scope_secret_names(&f->job, &f->cell, &plain);
	assert_int_equal(strv_length(names), 1);
	assert_string_equal(names[0], "KEY");
	strv_free(names);
}

static void a_step_without_secrets_names_none(void **state)
{
	struct fixture *f = *state;
	struct spec_step plain = {.name = TEXT("plain")};
	char **names;

	names = scope_secret_names(&f->job, &f->cell, &plain);
	assert_non_null(names);
	assert_null(names[0]);
	strv_free(names);
}

static const char *env_value(char **env, const char *name)
{
	for (size_t i = 0; env[i]; i++)
		if (strncmp(env[i], name, strlen(name)) == 0 && env[i][strlen(name)] == '=')
			return env[i] + strlen(name) + 1;
	return NULL;
}

static void the_environment_is_merged_in_its_order(void **state)
{
	struct fixture *f = *state;
	char *unit[] = {TEXT("PATH=/usr/bin"), TEXT("HOME=/h"), TEXT("LANG=C"),
		TEXT("NOTIFY_SOCKET=/x"), TEXT("HOMER=1"), NULL};
	_cleanup_free_ char *error = NULL;
	char **env;

	assert_int_equal(scope_environment(&f->scope, unit, &env, &error), 0);
	assert_string_equal(env_value(env, "PATH"), "/opt/bin");
	assert_string_equal(env_value(env, "HOME"), "/h");
	assert_string_equal(env_value(env, "LANG"), "C");
	assert_null(env_value(env, "TZ"));
	assert_null(env_value(env, "NOTIFY_SOCKET"));
	assert_null(env_value(env, "HOMER"));
	assert_string_equal(env_value(env, "URL"), "pg://db.staging");
	assert_string_equal(env_value(env, "ROUND"), "${vars.ROUND}");
	assert_string_equal(env_value(env, "DB_PASS"), "s3cret");
	assert_string_equal(env_value(env, "TENANTS"),
		"{\"user\":\"ro\",\"password\":\"nc-pass\",\"port\":5432}");
	assert_string_equal(env_value(env, "GROUP"),
		"{\"url\":\"https://db.staging\",\"key\":\"k\\\"e\\\\y\\n\"}");
	assert_string_equal(env_value(env, "NIGHTJAR_JOB"), "nightly");
	assert_string_equal(env_value(env, "NIGHTJAR_RUN"), "nightly#128");
	assert_string_equal(env_value(env, "NIGHTJAR_STAGE"), "build");
	assert_string_equal(env_value(env, "NIGHTJAR_CELL"), "build/staging/postgres");
	assert_string_equal(env_value(env, "NIGHTJAR_STEP"), "build");
	assert_string_equal(env_value(env, "NIGHTJAR_ATTEMPT"), "2");
	assert_string_equal(env_value(env, "NIGHTJAR_OUTPUT"), "/state/a/output");
	assert_int_equal(strv_length(env), 16);
	strv_free(env);
}

static void what_the_environment_cannot_hold_is_said(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *large = memset(xcalloc(1, 131073), 'x', 131072), *error = NULL,
			    *other = NULL;
	char **env = NULL;

	f->env[0].value = large;
	assert_int_equal(scope_environment(&f->scope, NULL, &env, &error), -E2BIG);
	assert_string_equal(error,
		"env TENANTS: 131080 bytes, but a variable with its name can have 131071 at most");
	f->env[0].value = TEXT("${vars.NO}");
	assert_int_equal(scope_environment(&f->scope, NULL, &env, &other), -ENOENT);
	assert_string_equal(other, "env TENANTS: ${vars.NO}: environment staging has no such var");
	assert_null(env);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_name_has_its_value),
		TEST(data_is_json_and_a_string_in_it_is_raw),
		TEST(a_name_without_a_value_is_said),
		TEST(secrets_cannot_be_had_before_they_are_fetched),
		TEST(what_goes_round_ends_with_a_sentence),
		TEST(what_fans_out_ends_too),
		TEST(the_secrets_of_a_step_are_found_wherever_they_are_named),
		TEST(a_kind_that_asks_metabase_may_read_its_key),
		TEST(a_step_without_secrets_names_none),
		TEST(the_environment_is_merged_in_its_order),
		TEST(what_the_environment_cannot_hold_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
