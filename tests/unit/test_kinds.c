/* The table of kinds, exits, and the kinds run and shell. */
#include "unit.h"
#include <signal.h>
#include "kinds/exit.h"
#include "kinds/kind_table.h"
#include "kinds_fixture.h"

static void the_table_and_the_specs_say_the_same(void **state)
{
	size_t n;
	const struct spec_kind *specs = kind_specs(&n);

	assert_int_equal(n, n_kinds);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(specs[i].name, kinds[i]->spec.name);
		assert_ptr_equal(specs[i].keys, kinds[i]->spec.keys);
		assert_int_equal(specs[i].n_keys, kinds[i]->spec.n_keys);
		assert_ptr_equal(kind_by_name(specs[i].name), kinds[i]);
	}
	assert_null(kind_by_name("cron"));
	assert_null(kind_by_name(NULL));
}

/* A group inside: another key leads into that section. */
static bool is_inside(const struct spec_kind *spec, const char *section)
{
	for (size_t i = 0; i < spec->n_keys; i++)
		if (str_eq(spec->keys[i].into, section))
			return true;
	return false;
}

static void every_key_has_a_section_a_name_and_a_line_of_doc(void **state)
{
	size_t n;
	const struct spec_kind *specs = kind_specs(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < specs[i].n_keys; k++) {
			const struct key *key = &specs[i].keys[k];

			assert_true(str_eq(key->section, specs[i].name) ||
				    is_inside(&specs[i], key->section));
			assert_non_null(key->name);
			assert_non_null(key->doc);
			assert_null(strchr(key->doc, '\n'));
			assert_true(key->type != KEY_WORD || key->words);
		}
}

static void stop_reasons_have_names_that_parse_back(void **state)
{
	for (enum stop_reason r = STOP_CANCELLED; r <= STOP_SHUTDOWN; r++)
		assert_int_equal(stop_reason_parse(stop_reason_name(r)), r);
	assert_null(stop_reason_name(STOP_NONE));
	assert_int_equal(stop_reason_parse("because"), STOP_NONE);
	assert_int_equal(stop_reason_parse(NULL), STOP_NONE);
}

static void exits_read_as_outcomes(void **state)
{
	static const int64_t ok[] = {0, 4}, passing[] = {75};
	static const struct {
		struct action_status status;
		enum outcome outcome;
		const char *reason;
	} table[] = {
		{{.end = END_EXITED, .code = 0}, OUTCOME_OK, NULL},
		{{.end = END_EXITED, .code = 4}, OUTCOME_OK, NULL},
		{{.end = END_EXITED, .code = 75}, OUTCOME_TRANSIENT, "exit code 75"},
		{{.end = END_EXITED, .code = 1}, OUTCOME_FAILED, "exit code 1"},
		{{.end = END_EXITED, .code = 0, .stop = STOP_TIMED_OUT}, OUTCOME_TIMED_OUT,
			"timed out after 1h"},
		{{.end = END_SIGNALLED, .signal = SIGTERM, .stop = STOP_CANCELLED},
			OUTCOME_CANCELLED, "cancelled"},
		{{.end = END_SIGNALLED, .signal = SIGTERM, .stop = STOP_FAIL_FAST},
			OUTCOME_CANCELLED,
			"cancelled: another cell of the stage failed (fail_fast)"},
		{{.end = END_SIGNALLED, .signal = SIGTERM, .stop = STOP_SHUTDOWN},
			OUTCOME_INTERRUPTED, "interrupted: the machine was shutting down"},
		{{.end = END_SIGNALLED, .signal = SIGSEGV}, OUTCOME_FAILED,
			"ended by signal 11 (SIGSEGV)"},
		{{.end = END_SIGNALLED,
			 .signal = SIGKILL,
			 .oom_killed = true,
			 .max_rss = 512u << 20},
			OUTCOME_TRANSIENT,
			"killed: the machine was out of memory (its peak: 512 MiB)"},
		{{.end = END_INTERRUPTED}, OUTCOME_INTERRUPTED,
			"interrupted: it ended without a report"},
		{{.end = END_NOT_STARTED, .message = (char *)"dbt: No such file or directory"},
			OUTCOME_FAILED, "could not be started: dbt: No such file or directory"},
		{{.end = END_NOT_STARTED,
			 .message = (char *)"clone3: Resource temporarily unavailable"},
			OUTCOME_TRANSIENT,
			"could not be started: clone3: Resource temporarily unavailable"},
		{{.end = END_NOT_STARTED, .lease_over = true}, OUTCOME_INTERRUPTED,
			"not started: the time in which it might start was over"},
	};
	struct kind_context ctx = fixture_context(NULL);

	ctx.ok_codes = ok;
	ctx.n_ok_codes = ARRAY_SIZE(ok);
	ctx.transient_codes = passing;
	ctx.n_transient_codes = ARRAY_SIZE(passing);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *reason = NULL;

		assert_int_equal(
			kind_exit_outcome(&ctx, &table[i].status, &reason), table[i].outcome);
		if (table[i].reason)
			assert_string_equal(reason, table[i].reason);
		else
			assert_null(reason);
	}
}

static void last_words_are_the_last_line_that_says_something(void **state)
{
	struct last_words w = {0};
	_cleanup_free_ char *a = NULL, *b = NULL, *c = NULL;
	char wide[2000];

	assert_null(last_words_text(&w));
	last_words_feed(&w, "Traceback:", 10, false);
	last_words_feed(&w, "Key", 3, true);
	last_words_feed(&w, "Error: 'x'", 10, false);
	last_words_feed(&w, "  ", 2, false);
	last_words_feed(&w, "", 0, false);
	a = last_words_text(&w);
	assert_string_equal(a, "KeyError: 'x'");
	last_words_feed(&w, "no newline", 10, true);
	b = last_words_text(&w);
	assert_string_equal(b, "no newline");
	memset(wide, 'w', sizeof(wide));
	last_words_feed(&w, "\n", 0, false);
	last_words_feed(&w, wide, sizeof(wide), true);
	last_words_feed(&w, wide, sizeof(wide), false);
	c = last_words_text(&w);
	assert_true(strlen(c) >= LAST_WORDS_MAX - 4 && strlen(c) <= LAST_WORDS_MAX + 4);
}

static void begin(const struct kind *kind, void *machine, const struct kind_context *ctx,
	struct kind_command *ret)
{
	struct kind_event event = {.type = KIND_BEGIN};

	kind->next(machine, ctx, &event, ret);
}

static void run_expands_its_arguments(void **state)
{
	_cleanup_node_ struct node *params = fixture_params(
		"[\"tool\", \"--target\", \"${matrix.target}\", \"\", \"$${HOME}\"]");
	struct kind_context ctx = fixture_context(params);
	void *machine = kind_run.new(&ctx);
	_cleanup_command_ struct kind_command c = {0};
	_cleanup_(kind_spawn_fini) struct kind_spawn spawn = {0};
	char *error = NULL;

	begin(&kind_run, machine, &ctx, &c);
	assert_int_equal(c.type, KIND_SPAWN);
	assert_string_equal(c.action, "run");
	assert_true(c.repeatable);
	assert_null(c.lock);
	assert_int_equal(kind_run.spawn(machine, &ctx, "run", &spawn, &error), 0);
	assert_int_equal(strv_length(spawn.argv), 5);
	assert_string_equal(spawn.argv[0], "tool");
	assert_string_equal(spawn.argv[2], "the-target");
	assert_string_equal(spawn.argv[3], "");
	assert_string_equal(spawn.argv[4], "${HOME}");
	assert_true(spawn.stop_group);
	kind_run.free(machine);
}

static void shell_hands_its_text_to_sh(void **state)
{
	_cleanup_node_ struct node *params = fixture_params("\"echo ${matrix.x} | cat\"");
	struct kind_context ctx = fixture_context(params);
	void *machine = kind_shell.new(&ctx);
	_cleanup_command_ struct kind_command c = {0};
	_cleanup_(kind_spawn_fini) struct kind_spawn spawn = {0};
	char *error = NULL;

	begin(&kind_shell, machine, &ctx, &c);
	assert_int_equal(kind_shell.spawn(machine, &ctx, c.action, &spawn, &error), 0);
	assert_int_equal(strv_length(spawn.argv), 3);
	assert_string_equal(spawn.argv[0], "/bin/sh");
	assert_string_equal(spawn.argv[1], "-c");
	assert_string_equal(spawn.argv[2], "echo the-x | cat");
	kind_shell.free(machine);
}

static void a_secret_in_an_argument_is_refused_before_anything_starts(void **state)
{
	static const struct {
		const struct kind *kind;
		const char *params, *says;
	} table[] = {
		{&kind_run, "[\"curl\", \"-u\", \"me:${secret.PASS}\"]",
			"run: ${secret.PASS} would"},
		{&kind_shell, "\"curl -u me:${secret.PASS}\"", "shell: ${secret.PASS} would"},
		{&kind_shell, "\"curl ${metabase.api_key}\"", "shell: ${metabase.api_key} would"},
		/* through other names: caught because no secret can be had while arguments are made
		 */
		{&kind_shell, "\"curl '${json.tenants}'\"", "${json.tenants} cannot be had here"},
		{&kind_dbt,
			"{\"command\": \"build\", \"project\": \"/p\", \"vars\": {\"a\": "
			"{\"b\": \"${secret.PASS}\"}}}",
			"dbt: ${secret.PASS} would"},
		{&kind_dbt,
			"{\"command\": \"build\", \"project\": \"/p\", \"args\": "
			"[\"${secret.PASS}\"]}",
			"dbt: ${secret.PASS} would"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_node_ struct node *params = fixture_params(table[i].params);
		struct kind_context ctx = fixture_context(params);
		void *machine = table[i].kind->new (&ctx);
		_cleanup_command_ struct kind_command c = {0};

		begin(table[i].kind, machine, &ctx, &c);
		assert_int_equal(c.type, KIND_DONE);
		assert_int_equal(c.outcome, OUTCOME_FAILED);
		assert_true(str_starts(c.reason, table[i].says));
		table[i].kind->free(machine);
	}
}

static void a_dollar_that_is_escaped_is_no_secret(void **state)
{
	_cleanup_node_ struct node *params = fixture_params("\"echo $${secret.PASS}\"");
	char *error = NULL;

	assert_false(argv_names_secret("shell", params, &error));
	assert_null(error);
}

static void a_failed_run_says_its_exit_code_and_last_words(void **state)
{
	_cleanup_node_ struct node *params = fixture_params("[\"tool\"]");
	struct kind_context ctx = fixture_context(params);
	void *machine = kind_run.new(&ctx), *again = kind_run.new(&ctx);
	_cleanup_command_ struct kind_command begun = {0}, c = {0}, replayed = {0};
	struct action_status status = {.end = END_EXITED, .code = 3};
	struct kind_event event = {.type = KIND_ENDED, .action = "run", .status = &status};
	char *news = NULL;

	begin(&kind_run, machine, &ctx, &begun);
	assert_false(kind_run.line(machine, STREAM_STDOUT, "fine", 4, false, &news));
	assert_false(kind_run.line(machine, STREAM_STDERR, "no such host", 12, false, &news));
	assert_null(news);
	kind_run.next(machine, &ctx, &event, &c);
	assert_int_equal(c.outcome, OUTCOME_FAILED);
	assert_string_equal(c.reason, "exit code 3: no such host");
	event.note = c.note;
	kind_run.next(again, &ctx, &event, &replayed);
	assert_int_equal(replayed.type, KIND_DONE);
	assert_int_equal(replayed.outcome, OUTCOME_FAILED);
	assert_string_equal(replayed.reason, c.reason);
	kind_run.free(machine);
	kind_run.free(again);
}

static void one_that_never_started_for_the_lease_does_not_count(void **state)
{
	_cleanup_node_ struct node *params = fixture_params("[\"tool\"]");
	struct kind_context ctx = fixture_context(params);
	void *machine = kind_run.new(&ctx);
	_cleanup_command_ struct kind_command begun = {0}, c = {0};
	struct action_status status = {.end = END_NOT_STARTED, .lease_over = true};
	struct kind_event event = {.type = KIND_ENDED, .action = "run", .status = &status};

	begin(&kind_run, machine, &ctx, &begun);
	kind_run.next(machine, &ctx, &event, &c);
	assert_true(c.not_counted);
	assert_int_equal(c.outcome, OUTCOME_INTERRUPTED);
	kind_run.free(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_and_the_specs_say_the_same),
		cmocka_unit_test(every_key_has_a_section_a_name_and_a_line_of_doc),
		cmocka_unit_test(stop_reasons_have_names_that_parse_back),
		cmocka_unit_test(exits_read_as_outcomes),
		cmocka_unit_test(last_words_are_the_last_line_that_says_something),
		cmocka_unit_test(run_expands_its_arguments),
		cmocka_unit_test(shell_hands_its_text_to_sh),
		cmocka_unit_test(a_secret_in_an_argument_is_refused_before_anything_starts),
		cmocka_unit_test(a_dollar_that_is_escaped_is_no_secret),
		cmocka_unit_test(a_failed_run_says_its_exit_code_and_last_words),
		cmocka_unit_test(one_that_never_started_for_the_lease_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
