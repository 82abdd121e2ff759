/* Right configurations: the example whole, defaults, and what wins over what. */
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"

#define STEP	       "{'name':'a','run':['true']}"
#define STEPS	       "'steps':[" STEP "]"
#define _cleanup_spec_ _cleanup_(cleanup_spec_free)

static const struct spec_var *var(const struct spec_step *step, const char *name)
{
	for (size_t i = 0; i < step->env.n; i++)
		if (strcmp(step->env.items[i].name, name) == 0)
			return &step->env.items[i];
	return NULL;
}

static struct spec *load_example(void)
{
	_cleanup_free_ char *text = help_file("design.json");

	return help_load(text);
}

static void the_example_loads_and_only_its_unused_lock_is_named(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_free_ char *text = help_file("design.json");
	_cleanup_node_ struct node *tree = help_tree(text);
	struct spec *spec = NULL;

	assert_int_equal(spec_load(tree, &w, &c, &spec), 0);
	assert_int_equal(c.n, 1);
	assert_true(c.items[0].is_warning);
	assert_string_equal(c.items[0].message, "locks.warehouse: nothing uses this lock");
	spec_free(spec);
}

static void the_example_says_what_it_means(void **state)
{
	_cleanup_spec_ struct spec *s = load_example();
	const struct spec_job *j = spec_job_by_name(s, "nightly");
	const struct spec_stage *build = spec_stage_by_name(j, "build");
	const struct spec_step *step = &build->steps[0];

	assert_int_equal(s->n_jobs, 3);
	assert_string_equal(s->jobs[0]->name, "impact");
	assert_string_equal(s->conninfo, "service=nightjar");
	assert_string_equal(s->operators, "nightjar-admin");
	assert_int_equal(s->history_keep, 400 * USEC_DAY);
	assert_int_equal(spec_lock_places(s, "warehouse"), 4);
	assert_int_equal(spec_lock_places(s, "staging-duckdb"), 1);
	assert_string_equal(j->schedule, "0 6 * * *");
	assert_int_equal(j->deadline, 8 * USEC_HOUR);
	assert_int_equal(j->catch_up_window, 6 * USEC_HOUR);
	assert_int_equal(j->overlap, OVERLAP_SKIP);
	assert_int_equal(build->n_cells, 5);
	assert_int_equal(build->max_parallel, 4);
	assert_string_equal(build->cells[4].name, "build/production/bigquery");
	assert_string_equal(build->cells[4].environment, "production");
	assert_int_equal(build->cells[0].index, 1);
	assert_int_equal(step->timeout, USEC_HOUR);
	assert_int_equal(step->retry.attempts, 3);
	assert_int_equal(step->retry.delay, 5 * USEC_MINUTE);
	assert_int_equal(step->retry.on,
		1u << OUTCOME_TRANSIENT | 1u << OUTCOME_TIMED_OUT | 1u << OUTCOME_INTERRUPTED);
	assert_string_equal(step->lock.name, "${matrix.environment}-${matrix.target}");
	assert_string_equal(step->secrets[1], "DB_PASS");
	assert_int_equal(step->n_files, 1);
	assert_string_equal(step->files[0].env, "GOOGLE_APPLICATION_CREDENTIALS");
	assert_false(spec_only_has(&step->files[0].only, j, &build->cells[0]));
	assert_true(spec_only_has(&step->files[0].only, j, &build->cells[1]));
}

static void the_example_brings_its_checks_gates_and_sets(void **state)
{
	_cleanup_spec_ struct spec *s = load_example();
	const struct spec_job *nightly = spec_job_by_name(s, "nightly");
	const struct spec_job *release = spec_job_by_name(s, "release");
	const struct spec_step *apply = &spec_stage_by_name(nightly, "apply")->steps[0];
	const struct spec_job *impact = spec_job_by_name(s, "impact");

	assert_string_equal(apply->gate.check, "metabase");
	assert_int_equal(apply->ready_timeout, 3 * USEC_HOUR);
	assert_string_equal(var(apply, "TF_VAR_metabase_url")->value, "${metabase.url}");
	assert_non_null(var(apply, "TF_VAR_global_db_credentials")->group);
	assert_int_equal(nightly->n_checks, 1);
	assert_int_equal(nightly->checks[0].interval, 30 * USEC_SEC);
	assert_string_equal(nightly->checks[0].environments[1], "production");
	assert_true(release->stages[0].steps[0].gate.approval);
	assert_int_equal(release->stages[0].steps[0].gate.approval_expires, USEC_DAY);
	assert_string_equal(release->choose[0], "environment");
	assert_null(release->schedule);
	assert_int_equal(impact->n_environments, 1);
	assert_string_equal(impact->stages[0].cells[0].name, "sync");
	assert_string_equal(impact->stages[0].cells[0].environment, "production");
	assert_int_equal(impact->stages[1].needs[0].when, WHEN_FAILED);
	assert_string_equal(impact->stages[0].steps[1].cwd, "/tmp");
}

static void defaults_are_those_of_the_table(void **state)
{
	_cleanup_spec_ struct spec *s =
		help_load("{'jobs':[{'name':'j','stages':[{'name':'s'," STEPS "}]}]}");
	const struct spec_job *j = s->jobs[0];
	const struct spec_step *step = &j->stages[0].steps[0];

	assert_string_equal(s->socket_path, "/run/nightjar/nightjar.sock");
	assert_string_equal(s->state, "/var/lib/nightjar");
	assert_string_equal(s->conninfo, "");
	assert_int_equal(s->max_attempts, 8);
	assert_int_equal(s->history_keep, 0);
	assert_string_equal(j->timezone, "UTC");
	assert_int_equal(j->start_grace, 5 * USEC_MINUTE);
	assert_int_equal(j->catch_up, CATCH_UP_LAST);
	assert_int_equal(j->catch_up_window, USEC_DAY);
	assert_int_equal(j->catch_up_max, 10);
	assert_int_equal(j->deadline, 0);
	assert_false(j->stages[0].fail_fast);
	assert_int_equal(j->stages[0].max_parallel, 0);
	assert_int_equal(step->retry.attempts, 1);
	assert_int_equal(step->retry.delay, 30 * USEC_SEC);
	assert_true(step->retry.factor == 1 && step->retry.jitter == 0);
	assert_int_equal(step->retry.max_delay, 0);
	assert_int_equal(step->retry.on, 1u << OUTCOME_TRANSIENT);
	assert_int_equal(step->timeout, USEC_DAY);
	assert_int_equal(step->kill_after, 0);
	assert_int_equal(step->ready_timeout, USEC_HOUR);
	assert_int_equal(step->n_ok_codes, 1);
	assert_int_equal(step->ok_codes[0], 0);
	assert_int_equal(step->log_cap, 64 << 20);
	assert_int_equal(step->when, WHEN_OK);
	assert_null(step->lock.name);
}

static void the_nearest_env_wins_and_sets_are_the_weakest(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		"{'sets':{'one':{'env':{'A':'one','B':'one','C':'one','D':'one','E':'one'}},"
		"'two':{'env':{'B':'two'}},'three':{'env':{'C':'three','D':'three'}}},"
		"'jobs':[{'name':'j','use':['one','two'],'env':{'D':'job','E':'job','F':'job'},"
		"'stages':[{'name':'s','use':['three'],'env':{'E':'stage','F':'stage'},"
		"'steps':[{'name':'a','run':['true'],'env':{'F':3}}]}]}]}");
	const struct spec_step *step = &s->jobs[0]->stages[0].steps[0];

	assert_int_equal(step->env.n, 6);
	assert_string_equal(var(step, "A")->value, "one");
	assert_string_equal(var(step, "B")->value, "two");
	assert_string_equal(var(step, "C")->value, "three");
	assert_string_equal(var(step, "D")->value, "job");
	assert_string_equal(var(step, "E")->value, "stage");
	assert_string_equal(var(step, "F")->value, "3");
}

static void secrets_and_files_are_united_and_retry_is_merged_by_field(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		"{'sets':{'x':{'secrets':['S0'],'files':[{'content':'0','env':'F0'}]}},"
		"'jobs':[{'name':'j','use':['x'],'secrets':['S1'],"
		"'files':[{'content':'1','env':'F1'}],'retry':{'attempts':3,'delay':'1m'},"
		"'stages':[{'name':'s','use':['x'],'secrets':['S1','S2'],'retry':{'delay':'2m',"
		"'factor':2},'steps':[{'name':'a','run':['true'],'secrets':['S3'],"
		"'files':[{'content':'3','env':'F3'}],'retry':{'factor':1.5,'on':['failed']}}]}]}]"
		"}");
	const struct spec_step *step = &s->jobs[0]->stages[0].steps[0];

	assert_int_equal(strv_length(step->secrets), 4);
	assert_string_equal(step->secrets[0], "S0");
	assert_string_equal(step->secrets[3], "S3");
	assert_int_equal(step->n_files, 3);
	assert_string_equal(step->files[2].env, "F3");
	assert_int_equal(step->retry.attempts, 3);
	assert_int_equal(step->retry.delay, 2 * USEC_MINUTE);
	assert_true(step->retry.factor == 1.5);
	assert_int_equal(step->retry.on, 1u << OUTCOME_FAILED);
}

static void two_files_may_take_turns_for_a_variable(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		"{'jobs':[{'name':'j','files':[{'content':'1','env':'F','only':{'t':'x'}},"
		"{'content':'2','env':'F','only':{'t':['y','z']}}],"
		"'stages':[{'name':'s','matrix':{'t':['x','y','z']}," STEPS "}]}]}");
	const struct spec_step *step = &s->jobs[0]->stages[0].steps[0];

	assert_string_equal(step->files[0].name, "F");
	assert_string_equal(step->files[1].name, "F-2");
}

static void the_nearest_environment_and_log_cap_stand(void **state)
{
	_cleanup_spec_ struct spec *s =
		help_load("{'environments':{'p':{},'q':{}},'jobs':[{'name':'j','environment':'p',"
			  "'log_cap':'1MiB','stages':[{'name':'s'," STEPS "},"
			  "{'name':'t','environment':'q','log_cap':1000," STEPS "}]}]}");
	const struct spec_job *j = s->jobs[0];

	assert_string_equal(j->stages[0].cells[0].environment, "p");
	assert_string_equal(j->stages[1].cells[0].environment, "q");
	assert_int_equal(j->stages[0].steps[0].log_cap, 1 << 20);
	assert_int_equal(j->stages[1].steps[0].log_cap, 1000);
	assert_int_equal(j->n_environments, 2);
}

static void free_groups_are_read_from_lists_too_at_any_depth(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		"{'environments':[{'key':'2024','value':{'vars':[{'value':'x','key':'A'}],"
		"'data':{'years':[{'key':'2024','value':{'n':1}}]}}}],"
		"'locks':[{'key':'1st','value':2}],"
		"'jobs':[{'name':'j','environment':'2024','stages':[{'name':'s','steps':[{'name':'"
		"a',"
		"'run':['echo','${json.years.2024.n}','${vars.A}'],'lock':'1st'}]}]}]}");
	const struct spec_environment *e = spec_environment_by_name(s->jobs[0], "2024");

	assert_string_equal(e->vars.items[0].name, "A");
	assert_string_equal(e->vars.items[0].value, "x");
	assert_int_equal(node_get(node_get(node_get(e->data, "years"), "2024"), "n")->integer, 1);
	assert_int_equal(spec_lock_places(s, "1st"), 2);
}

static void an_integer_that_json_would_change_is_refused(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree = help_tree("{'environments':{'e':{'data':{'n':1}}}}");
	struct spec *spec = NULL;

	node_get(node_get(node_get(node_get(tree, "environments"), "e"), "data"), "n")->integer =
		9007199254740993;
	assert_int_equal(spec_load(tree, &w, &c, &spec), -EINVAL);
	assert_string_equal(c.items[0].message, "environments.e.data.n: 9007199254740993 is beyond "
						"what JSON holds exactly: put it in "
						"quotes");
}

static void jobs_of_one_load_share_their_zones(void **state)
{
	struct spec *s = help_load(
		"{'jobs':[{'name':'j','timezone':'Europe/Paris','stages':[{'name':'s'," STEPS "}]},"
		"{'name':'k','timezone':'Europe/Paris','stages':[{'name':'s'," STEPS "}]}]}");
	struct spec_job *k = spec_job_ref(s->jobs[1]);

	assert_ptr_equal(s->jobs[0]->zone, s->jobs[1]->zone);
	spec_free(s);
	assert_int_equal(zone_offset(k->zone, 0), 0); /* outlives its spec */
	spec_job_unref(k);
}

static void a_step_may_be_started_once_at_boot(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		"{'jobs':[{'name':'j','schedule':'@reboot','stages':[{'name':'s'," STEPS "}]}]}");

	assert_true(cron_is_reboot(s->jobs[0]->cron));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_loads_and_only_its_unused_lock_is_named),
		cmocka_unit_test(the_example_says_what_it_means),
		cmocka_unit_test(the_example_brings_its_checks_gates_and_sets),
		cmocka_unit_test(defaults_are_those_of_the_table),
		cmocka_unit_test(the_nearest_env_wins_and_sets_are_the_weakest),
		cmocka_unit_test(secrets_and_files_are_united_and_retry_is_merged_by_field),
		cmocka_unit_test(two_files_may_take_turns_for_a_variable),
		cmocka_unit_test(the_nearest_environment_and_log_cap_stand),
		cmocka_unit_test(free_groups_are_read_from_lists_too_at_any_depth),
		cmocka_unit_test(an_integer_that_json_would_change_is_refused),
		cmocka_unit_test(jobs_of_one_load_share_their_zones),
		cmocka_unit_test(a_step_may_be_started_once_at_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
