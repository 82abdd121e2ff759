/* The kind terraform without a Metabase, fed with what real invocations of terraform 1.11 said. */
#include "unit.h"
#include <signal.h>
#include "kinds/terraform_command.h"
#include "terraform_play.h"

#define PARAMS	    "{\"action\":\"apply\",\"directory\":\"/tf/\",\"backend_config\":{\"path\":\"/s\"}}"
#define PLAN_PARAMS "{\"action\":\"plan\",\"directory\":\"/tf\"}"

static void init_to_plan(struct play *p)
{
	assert_action(p, KIND_SPAWN, "init");
	play_exit(p, "init.log", 0);
	assert_action(p, KIND_SPAWN, "plan");
}

/* Up to the apply. */
static void to_apply(struct play *p, const char *plan)
{
	init_to_plan(p);
	play_exit(p, plan, 2);
	assert_action(p, KIND_SPAWN, "show");
	play_show(p, "plan_replace.show.json");
}

static cJSON *progress(struct play *p)
{
	return kind_terraform.progress(p->machine);
}

static void a_plan_is_shown_and_applied(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_json_ cJSON *at = NULL;

	play_init(&p, PARAMS, false);
	assert_string_equal(p.cmd.lock, "terraform-init:/tf");
	init_to_plan(&p);
	assert_true(str_starts(p.cmd.lock, "terraform:/state/terraform/"));
	assert_true(p.cmd.repeatable);
	play_exit(&p, "plan.log", 2);
	assert_action(&p, KIND_SPAWN, "show");
	play_show(&p, "plan_replace.show.json");
	assert_action(&p, KIND_SPAWN, "apply");
	assert_false(p.cmd.repeatable);
	assert_true(p.cmd.looks);
	play_exit(&p, "apply.log", 0);
	assert_done(&p, OUTCOME_OK, "2 added");
	at = progress(&p);
	assert_int_equal(json_int(at, "done", -1), 2);
	assert_int_equal(json_int(at, "total", -1), 2);
	assert_string_equal(json_string(at, "unit"), "resources");
	assert_int_equal(p.news.len, 0);
}

static void a_plan_leaves_a_row_without_values(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_free_ char *text = NULL;

	play_init(&p, PARAMS, false);
	init_to_plan(&p);
	play_exit(&p, "plan_replace.log", 2);
	text = json_print(p.cmd.rows);
	assert_string_equal(text,
		"{\"plan\":[{\"hash\":"
		"\"aab8f06fecd1c041e9a3d5a86114f9e522b546918db8503a045fe4a423b3642a\","
		"\"changes\":[{\"address\":\"terraform_data.a\",\"action\":\"update\"},"
		"{\"address\":\"terraform_data.b\",\"action\":\"replace\"}],"
		"\"summary\":{\"add\":0,\"change\":1,\"destroy\":0,\"replace\":1},"
		"\"made_at\":\"1970-01-01T00:00:05.000000Z\",\"environment\":\"staging\"}]}");
}

static void nothing_to_change_ends_well_and_leaves_no_file(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	init_to_plan(&p);
	play_exit(&p, "plan_none.log", 0);
	assert_action(&p, KIND_SPAWN, "tidy");
	play_exit(&p, NULL, 0);
	assert_done(&p, OUTCOME_OK, "nothing to change");
}

static void a_plan_alone_says_whether_there_is_drift(void **state)
{
	static const struct {
		const char *file;
		int code;
		const char *reason;
	} table[] = {
		{"plan_none.log", 0, "no drift"},
		{"plan_outputs.log", 2, "drift: outputs would change"},
		{"plan_replace.log", 2, "drift: 1 to change, 1 to replace"},
		{"plan.log", 2, "drift: 2 to add"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_play_ struct play p;

		play_init(&p, PLAN_PARAMS, false);
		init_to_plan(&p);
		play_exit(&p, table[i].file, table[i].code);
		assert_done(&p, OUTCOME_OK, table[i].reason);
		assert_non_null(p.cmd.rows);
	}
}

static void errors_of_a_plan_name_the_outcome(void **state)
{
	static const struct {
		const char *file;
		enum outcome outcome;
		const char *reason;
	} table[] = {
		{"precondition.log", OUTCOME_FAILED,
			"terraform: Resource precondition failed: The word must be three. "
			"(main.tf:20)"},
		{"invalid.log", OUTCOME_FAILED,
			"terraform: Reference to undeclared input variable: An input variable "
			"with the name \"nope\" has not been declared. This variable can be "
			"declared with a variable \"nope\" {} block. (main.tf:2)"},
		{"lock.log", OUTCOME_TRANSIENT, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_play_ struct play p;

		play_init(&p, PARAMS, false);
		init_to_plan(&p);
		play_exit(&p, table[i].file, 1);
		assert_action(&p, KIND_SPAWN, "tidy");
		play_exit(&p, NULL, 0);
		assert_int_equal(p.cmd.type, KIND_DONE);
		assert_int_equal(p.cmd.outcome, table[i].outcome);
		if (table[i].reason)
			assert_string_equal(p.cmd.reason, table[i].reason);
		assert_true(p.news.len > 0);
	}
}

static void a_failed_init_is_read_as_text(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	play_lines(&p, "init_failed.err", STREAM_STDERR);
	play_exit(&p, "init_failed.log", 1);
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_TRANSIENT);
	assert_true(str_starts(p.cmd.reason,
		"terraform: Failed to query available provider packages: Could not retrieve"));
}

static void a_failed_apply_is_never_taken_for_its_summary(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_json_ cJSON *at = NULL;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan.log");
	play_exit(&p, "apply_failed.log", 1);
	assert_done(&p, OUTCOME_FAILED,
		"terraform: local-exec provisioner error: Error running command 'echo this goes "
		"wrong; exit 3': exit status 3. Output: this goes wrong (main.tf:18, "
		"terraform_data.d)");
	at = progress(&p);
	assert_int_equal(json_int(at, "failed", -1), 1);
	assert_string_equal(p.news.data,
		"terraform: local-exec provisioner error: Error running command 'echo this goes "
		"wrong; exit 3': exit status 3. Output: this goes wrong (main.tf:18, "
		"terraform_data.d)\n");
}

static void a_retry_that_would_replace_needs_a_person(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan.log");
	play_exit(&p, "apply_failed.log", 1);
	play_again(&p);
	assert_action(&p, KIND_SPAWN, "plan"); /* it is initialised */
	play_exit(&p, "plan_tainted.log", 2);
	play_show(&p, "plan_replace.show.json");
	assert_action(&p, KIND_SPAWN, "tidy");
	play_exit(&p, NULL, 0);
	assert_done(&p, OUTCOME_NEEDS_PERSON,
		"terraform: after an apply that did not end well, the plan would replace "
		"terraform_data.d: look, then retry");
}

static void a_replacement_that_was_planned_from_the_start_is_no_surprise(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan_replace.log");
	play_exit(&p, "lock.log", 1);
	assert_int_equal(p.cmd.outcome, OUTCOME_TRANSIENT);
	play_again(&p);
	play_exit(&p, "plan_replace.log", 2);
	play_show(&p, "plan_replace.show.json");
	assert_action(&p, KIND_SPAWN, "apply");
}

static void a_stale_plan_is_planned_again_a_few_times(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan_replace.log");
	play_exit(&p, "stale.log", 1);
	assert_action(&p, KIND_SPAWN, "plan_2");
	play_exit(&p, "plan_replace.log", 2);
	assert_action(&p, KIND_SPAWN, "show_2");
	play_show(&p, "plan_replace.show.json");
	assert_action(&p, KIND_SPAWN, "apply_2"); /* nothing was changed: no surprise */
	play_exit(&p, "stale.log", 1);
	assert_action(&p, KIND_SPAWN, "plan_3");
	play_exit(&p, "plan_replace.log", 2);
	play_show(&p, "plan_replace.show.json");
	play_exit(&p, "stale.log", 1);
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_TRANSIENT);
}

static void an_approval_stands_between_plan_and_apply(void **state)
{
	struct kind_event yes = {.type = KIND_APPROVED, .who = "alice (uid 1000)"};
	_cleanup_free_ char *hash = NULL;
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	p.ctx.approval = true;
	to_apply(&p, "plan_replace.log");
	assert_action(&p, KIND_ASK, "approve");
	hash = xstrdup(p.cmd.hash);
	assert_int_equal(strlen(hash), 64);
	play_event(&p, &yes);
	assert_action(&p, KIND_SPAWN, "apply");
	play_exit(&p, "stale.log", 1);
	play_exit(&p, "plan_replace.log", 2);
	play_show(&p, "plan_replace.show.json");
	assert_action(&p, KIND_ASK, "approve_2");
}

static void nothing_to_change_is_not_asked_about(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	p.ctx.approval = true;
	init_to_plan(&p);
	play_exit(&p, "plan_none.log", 0);
	play_exit(&p, NULL, 0);
	assert_done(&p, OUTCOME_OK, "nothing to change");
}

static void a_killed_apply_is_planned_again(void **state)
{
	static const struct action_status cut[] = {
		{.end = END_SIGNALLED, .signal = SIGKILL},
		{.end = END_INTERRUPTED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		_cleanup_play_ struct play p;

		play_init(&p, PARAMS, false);
		to_apply(&p, "plan_replace.log");
		play_process(&p, NULL, cut[i], NULL, 0);
		assert_action(&p, KIND_SPAWN, "plan_2");
		play_exit(&p, "plan.log", 2); /* it only adds, and nothing had begun */
		play_show(&p, "plan_replace.show.json");
		assert_action(&p, KIND_SPAWN, "apply_2");
	}
}

static void what_a_killed_apply_had_begun_to_make_needs_a_person(void **state)
{
	static const char show[] =
		"{\"configuration\":{\"root_module\":{}},\"resource_changes\":[{\"address\":"
		"\"terraform_data.d\",\"mode\":\"managed\",\"type\":\"terraform_data\",\"change\":"
		"{\"actions\":[\"create\"],\"before\":null,\"after\":{}}}]}";
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan.log");
	play_process(&p, "apply_failed.log",
		(struct action_status){.end = END_SIGNALLED, .signal = SIGKILL}, NULL, 0);
	assert_action(&p, KIND_SPAWN, "plan_2");
	play_exit(&p, "plan.log", 2);
	play_process(&p, NULL, (struct action_status){.end = END_EXITED}, show, strlen(show));
	play_exit(&p, NULL, 0);
	assert_done(&p, OUTCOME_NEEDS_PERSON,
		"terraform: terraform_data.d may have been made by an apply that was cut off, and "
		"the state does not know it: look, then import it or retry");
}

static void a_stop_is_its_own_outcome(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan.log");
	play_process(&p, "interrupted.log",
		(struct action_status){.end = END_EXITED, .code = 1, .stop = STOP_CANCELLED}, NULL,
		0);
	assert_done(&p, OUTCOME_CANCELLED, "terraform: apply cancelled");
}

static void an_interrupt_of_others_is_no_failure(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	to_apply(&p, "plan.log");
	play_exit(&p, "interrupted.log", 1);
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_INTERRUPTED);
}

static void an_errored_state_needs_a_person(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, PARAMS, false);
	init_to_plan(&p);
	play_exit(&p, NULL, TERRAFORM_ERRORED);
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_NEEDS_PERSON);
	assert_non_null(strstr(p.cmd.reason, "/tf/errored.tfstate"));
}

static void a_skipped_init_is_made_up_for(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_free_ char *line = xstrdup(
		"{\"@level\":\"error\",\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":"
		"\"error\",\"summary\":\"Module not installed\",\"detail\":\"\"}}");
	char *news = NULL;

	play_init(&p, PARAMS, false);
	init_to_plan(&p);
	play_exit(&p, "lock.log", 1);
	play_exit(&p, NULL, 0);
	assert_int_equal(p.cmd.outcome, OUTCOME_TRANSIENT);
	play_again(&p);
	assert_action(&p, KIND_SPAWN, "plan");
	kind_terraform.line(p.machine, STREAM_STDOUT, line, strlen(line), false, &news);
	assert_string_equal(news, "terraform: Module not installed");
	free(news);
	play_exit(&p, NULL, 1);
	assert_action(&p, KIND_SPAWN, "init");
	play_exit(&p, "init.log", 0);
	assert_action(&p, KIND_SPAWN, "plan_2");
}

static void a_workspace_is_there_before_the_plan(void **state)
{
	_cleanup_play_ struct play p;

	play_init(&p, "{\"action\":\"apply\",\"directory\":\"/tf\",\"workspace\":\"${matrix.x}\"}",
		false);
	assert_action(&p, KIND_SPAWN, "init");
	play_exit(&p, "init.log", 0);
	assert_action(&p, KIND_SPAWN, "workspace");
	play_exit(&p, NULL, 1);
	assert_done(&p, OUTCOME_FAILED, "terraform: there is no workspace \"the-x\"");
}

/* --- how it is called --------------------------------------------------------------------- */

static char *joined(char *const *v)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; v && v[i]; i++)
		buf_printf(&b, "%s%s", i ? " " : "", v[i]);
	return buf_steal(&b);
}

static char *spawned(struct play *p, const char *action, struct kind_spawn *s)
{
	char *error = NULL;

	assert_int_equal(kind_terraform.spawn(p->machine, &p->ctx, action, s, &error), 0);
	assert_int_equal(s->stop_signal, SIGINT);
	assert_false(s->stop_group);
	assert_true(s->kill_after == 10 * USEC_MINUTE);
	return joined(s->argv);
}

static void the_commands_are_what_either_program_knows(void **state)
{
	static const struct {
		const char *action, *argv;
	} table[] = {
		{"init", "tofu -chdir=/tf init -input=false -no-color"},
		{"workspace", "tofu -chdir=/tf workspace select -no-color blue"},
		{"plan", "/bin/sh -c if [ -e \"$0/errored.tfstate\" ]; then exit 93; fi; exec "
			 "\"$@\" /tf tofu -chdir=/tf plan -json -input=false -detailed-exitcode "
			 "-out=/state/actions/R/0/0.1/plan.out -lock-timeout=300s "
			 "-var-file=a.tfvars "
			 "-target=x.y -parallelism=2"},
		{"show", "/bin/sh -c exec \"$@\" >\"$0\" /state/actions/R/0/0.1/show.json tofu "
			 "-chdir=/tf show -json -no-color /state/actions/R/0/0.1/plan.out"},
		{"apply", "tofu -chdir=/tf apply -json -input=false -lock-timeout=300s "
			  "/state/actions/R/0/0.1/plan.out"},
	};
	_cleanup_play_ struct play p;

	play_init(&p,
		"{\"action\":\"apply\",\"directory\":\"/tf\",\"executable\":\"tofu\","
		"\"workspace\":\"blue\",\"lock_timeout\":\"5m\",\"var_files\":[\"a.tfvars\"],"
		"\"targets\":[\"x.y\"],\"args\":[\"-parallelism=2\"]}",
		false);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct kind_spawn s = {0};
		_cleanup_free_ char *argv = spawned(&p, table[i].action, &s);

		assert_string_equal(argv, table[i].argv);
		assert_string_equal(s.cwd, "/tf");
		kind_spawn_fini(&s);
	}
}

static const char *env_of(const struct kind_spawn *s, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; s->env[i]; i++)
		if (strncmp(s->env[i], name, len) == 0 && s->env[i][len] == '=')
			return s->env[i] + len + 1;
	return NULL;
}

static void the_environment_is_terraform_s_own(void **state)
{
	struct kind_spawn s = {0};
	_cleanup_play_ struct play p;
	_cleanup_free_ char *argv = NULL;

	play_init(&p, PARAMS, false);
	argv = spawned(&p, "init", &s);
	assert_string_equal(env_of(&s, "TF_INPUT"), "0");
	assert_string_equal(env_of(&s, "TF_IN_AUTOMATION"), "1");
	assert_string_equal(env_of(&s, "TF_CLI_ARGS"), "");
	assert_string_equal(env_of(&s, "TF_CLI_ARGS_plan"), "");
	assert_string_equal(env_of(&s, "TF_WORKSPACE"), "");
	assert_string_equal(env_of(&s, "TF_LOG"), "");
	assert_string_equal(env_of(&s, "CHECKPOINT_DISABLE"), "1");
	assert_string_equal(env_of(&s, "TF_CLI_ARGS_init"), "'-backend-config=path=/s'");
	assert_true(str_starts(env_of(&s, "TF_DATA_DIR"), "/state/terraform/"));
	assert_null(env_of(&s, "TF_PLUGIN_CACHE_DIR"));
	kind_spawn_fini(&s);
}

static void each_environment_has_its_data_folder(void **state)
{
	struct kind_spawn s[3] = {0};

	for (int i = 0; i < 3; i++) {
		_cleanup_play_ struct play p;
		_cleanup_free_ char *argv = NULL;

		play_init(&p, PARAMS, false);
		kind_terraform.free(p.machine);
		p.ctx.environment = i == 1 ? "production" : "staging";
		p.ctx.attempt_directory = i == 2 ? "/elsewhere" : "/state/actions/R/0/0.1";
		command_fini(&p.cmd);
		p.cmd = (struct kind_command){0};
		play_begin(&p);
		argv = spawned(&p, "plan", &s[i]);
	}
	assert_string_not_equal(env_of(&s[0], "TF_DATA_DIR"), env_of(&s[1], "TF_DATA_DIR"));
	assert_string_equal(env_of(&s[0], "TF_DATA_DIR"), env_of(&s[2], "TF_DATA_DIR"));
	for (int i = 0; i < 3; i++)
		kind_spawn_fini(&s[i]);
}

static void secrets_of_a_backend_stay_in_the_environment_of_init(void **state)
{
	struct kind_spawn init = {0}, plan = {0};
	_cleanup_free_ char *argv = NULL, *plan_argv = NULL;
	_cleanup_play_ struct play p;

	play_init(&p,
		"{\"action\":\"apply\",\"directory\":\"/tf\",\"backend_config\":"
		"{\"password\":\"${secret.PW}'s\",\"path\":\"/s\"}}",
		false);
	play_key_secret = true; /* as spawn is asked */
	argv = spawned(&p, "init", &init);
	plan_argv = spawned(&p, "plan", &plan);
	assert_null(strstr(argv, "the secret"));
	assert_string_equal(env_of(&init, "TF_CLI_ARGS_init"),
		"'-backend-config=password=the secret PW'\\''s'\n'-backend-config=path=/s'");
	assert_string_equal(env_of(&plan, "TF_CLI_ARGS_init"), "");
	assert_string_equal(env_of(&init, "TF_DATA_DIR"), "/state/actions/R/0/0.1/data");
	assert_string_equal(env_of(&plan, "TF_DATA_DIR"), "/state/actions/R/0/0.1/data");
	kind_spawn_fini(&init);
	kind_spawn_fini(&plan);
}

static void what_cannot_be_called_fails_at_once(void **state)
{
	static const struct {
		const char *params, *words;
	} table[] = {
		{"{\"action\":\"plan\",\"directory\":\"tf\"}", "must be an absolute path"},
		{"{\"action\":\"plan\",\"directory\":\"/tf\",\"args\":[\"-var=x=${secret.X}\"]}",
			"${secret.X} would show in the process list"},
		{"{\"action\":\"plan\",\"directory\":\"/tf\",\"targets\":[\"${nope.X}\"]}",
			"cannot be had here"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_play_ struct play p;

		play_init(&p, table[i].params, false);
		assert_int_equal(p.cmd.type, KIND_DONE);
		assert_int_equal(p.cmd.outcome, OUTCOME_FAILED);
		assert_non_null(strstr(p.cmd.reason, table[i].words));
	}
}

static void files_with_values_are_gone_when_they_were_read(void **state)
{
	_cleanup_play_ struct play p;
	static const struct {
		const char *action;
		const char *path;
		bool remove;
	} table[] = {
		{"plan", "plan.out", false},
		{"show", "show.json", true},
		{"apply", "plan.out", true},
	};

	play_init(&p, PARAMS, false);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct kind_spawn s = {0};
		_cleanup_free_ char *argv = spawned(&p, table[i].action, &s);

		assert_int_equal(s.n_artifacts, 1);
		assert_string_equal(s.artifacts[0].path, table[i].path);
		assert_int_equal(s.artifacts[0].remove, table[i].remove);
		kind_spawn_fini(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_shown_and_applied),
		cmocka_unit_test(a_plan_leaves_a_row_without_values),
		cmocka_unit_test(nothing_to_change_ends_well_and_leaves_no_file),
		cmocka_unit_test(a_plan_alone_says_whether_there_is_drift),
		cmocka_unit_test(errors_of_a_plan_name_the_outcome),
		cmocka_unit_test(a_failed_init_is_read_as_text),
		cmocka_unit_test(a_failed_apply_is_never_taken_for_its_summary),
		cmocka_unit_test(a_retry_that_would_replace_needs_a_person),
		cmocka_unit_test(a_replacement_that_was_planned_from_the_start_is_no_surprise),
		cmocka_unit_test(a_stale_plan_is_planned_again_a_few_times),
		cmocka_unit_test(an_approval_stands_between_plan_and_apply),
		cmocka_unit_test(nothing_to_change_is_not_asked_about),
		cmocka_unit_test(a_killed_apply_is_planned_again),
		cmocka_unit_test(what_a_killed_apply_had_begun_to_make_needs_a_person),
		cmocka_unit_test(a_stop_is_its_own_outcome),
		cmocka_unit_test(an_interrupt_of_others_is_no_failure),
		cmocka_unit_test(an_errored_state_needs_a_person),
		cmocka_unit_test(a_skipped_init_is_made_up_for),
		cmocka_unit_test(a_workspace_is_there_before_the_plan),
		cmocka_unit_test(the_commands_are_what_either_program_knows),
		cmocka_unit_test(the_environment_is_terraform_s_own),
		cmocka_unit_test(each_environment_has_its_data_folder),
		cmocka_unit_test(secrets_of_a_backend_stay_in_the_environment_of_init),
		cmocka_unit_test(what_cannot_be_called_fails_at_once),
		cmocka_unit_test(files_with_values_are_gone_when_they_were_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
