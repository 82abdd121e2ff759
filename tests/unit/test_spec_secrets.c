/* Secrets: which file holds one, and what is said of those that are missing or badly kept. */
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"

static void assert_file(const char *const *names, size_t n, const char *environment,
	const char *name, const char *file)
{
	_cleanup_free_ char *found = spec_secret_file(names, n, environment, name);

	if (file)
		assert_string_equal(found, file);
	else
		assert_null(found);
}

static void an_environments_own_wins_and_then_the_bare_one_is_no_fallback(void **state)
{
	static const char *const names[] = {"DB_PASS", "TOKEN", "eu.west.KEY", "staging.DB_PASS"};

	assert_file(names, 4, "staging", "DB_PASS", "staging.DB_PASS");
	assert_file(names, 4, "production", "DB_PASS", NULL);
	assert_file(names, 4, NULL, "DB_PASS", "DB_PASS");
	assert_file(names, 4, "production", "TOKEN", "TOKEN");
	assert_file(names, 4, NULL, "TOKEN", "TOKEN");
	assert_file(names, 4, "eu.west", "KEY", "eu.west.KEY");
	assert_file(names, 4, "production", "KEY", NULL);
	assert_file(names, 4, NULL, "PASS", NULL);
	assert_file(NULL, 0, "staging", "DB_PASS", NULL);
}

#define SECRET(file, bytes, readable)                                                              \
	{                                                                                          \
		.name = (char *)file, .size = bytes, .world_readable = readable                    \
	}
#define CONFIG                                                                                     \
	"{'secrets':{'directory':'/cred'},'environments':{'p':{'vars':{'V':'${secret.VAR}'}},"     \
	"'s':{'vars':{'V':'v'}}},"                                                                 \
	"'jobs':[{'name':'j','stages':[{'name':'b','matrix':{'environment':['p','s']},"            \
	"'secrets':['DB_PASS'],'steps':[{'name':'a','run':['true'],'env':{'T':'${secret.TOKEN}'}}" \
	"]}]}],'notify':[{'slack':'${secret.HOOK}','on':['failed']}]}"

static void say(struct secret_info *secrets, size_t n, struct complaints *c)
{
	struct spec_world w = help_world();
	_cleanup_node_ struct node *tree = help_tree(CONFIG);
	struct spec *spec = NULL;

	w.check_secrets = true;
	w.secrets = secrets;
	w.n_secrets = n;
	spec_load(tree, &w, c, &spec);
	spec_free(spec);
}

static void what_is_there_and_well_kept_is_passed_over(void **state)
{
	struct secret_info secrets[] = {SECRET("HOOK", 8, false), SECRET("TOKEN", 20, false),
		SECRET("p.DB_PASS", 9, false), SECRET("p.VAR", 9, false),
		SECRET("s.DB_PASS", 9, false), SECRET("unused", 1, true)};
	_cleanup_(complaints_fini) struct complaints c = {0};

	say(secrets, ARRAY_SIZE(secrets), &c);
	help_print(&c);
	assert_int_equal(c.n, 0);
}

static void each_missing_secret_is_said_once_with_what_was_sought(void **state)
{
	struct secret_info secrets[] = {SECRET("DB_PASS", 9, false), SECRET("p.DB_PASS", 9, false)};
	_cleanup_(complaints_fini) struct complaints c = {0};
	static const char *const wanted[] = {
		"environments.p: the secret \"VAR\" is missing for environment \"p\": /cred has "
		"neither p.VAR nor VAR for all",
		"jobs.j.stages.b.steps.a: the secret \"DB_PASS\" is missing for environment \"s\": "
		"/cred has no s.DB_PASS, and DB_PASS is no fallback because another environment "
		"has "
		"its own",
		"jobs.j.stages.b.steps.a: the secret \"TOKEN\" is missing for environment \"p\": "
		"/cred "
		"has neither p.TOKEN nor TOKEN for all",
		"jobs.j.stages.b.steps.a: the secret \"TOKEN\" is missing for environment \"s\": "
		"/cred "
		"has neither s.TOKEN nor TOKEN for all",
		"notify[0]: the secret \"HOOK\" is missing: /cred has no HOOK",
	};

	say(secrets, ARRAY_SIZE(secrets), &c);
	assert_int_equal(c.n, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < c.n; i++)
		assert_string_equal(c.items[i].message, wanted[i]);
}

static void a_readable_secret_is_an_error_and_a_short_one_a_warning(void **state)
{
	struct secret_info secrets[] = {SECRET("HOOK", 7, false), SECRET("TOKEN", 20, true),
		SECRET("p.DB_PASS", 9, false), SECRET("p.VAR", 9, false),
		SECRET("s.DB_PASS", 9, false)};
	_cleanup_(complaints_fini) struct complaints c = {0};

	say(secrets, ARRAY_SIZE(secrets), &c);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.n_errors, 1);
	assert_string_equal(c.items[0].message,
		"the secret HOOK has fewer than 8 bytes and cannot be masked in output");
	assert_true(c.items[0].is_warning);
	assert_string_equal(c.items[1].message,
		"the secret TOKEN can be read by everybody: chmod 600 /cred/TOKEN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_environments_own_wins_and_then_the_bare_one_is_no_fallback),
		cmocka_unit_test(what_is_there_and_well_kept_is_passed_over),
		cmocka_unit_test(each_missing_secret_is_said_once_with_what_was_sought),
		cmocka_unit_test(a_readable_secret_is_an_error_and_a_short_one_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
