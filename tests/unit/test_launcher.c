/* The launcher with the real shim ($NIGHTJAR_SHIM), real children and a real loop. */
#include "unit.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/json.h"
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/launcher.h"

#define RUN_ID "0192d1c4-7a00-7000-8000-00000000abcd"

struct fixture {
	uv_loop_t loop;
	uv_timer_t patience; /* a test that hangs fails */
	char *state;
	const char *boot_id;
	struct launcher *launcher;
	struct launcher_port port;
	struct log_port logs;
	bool closed;
};

struct seen {
	struct launch launch;
	struct buf lines; /* "stdout F text\n"... */
	unsigned n_lines, n_started, n_ended;
	bool adopted;
	uint64_t gap;
	struct action_status status;
	char *artifact, *commit;
	bool artifact_too_large;
};

static struct seen *seen_of(struct launch *l)
{
	return container_of(l, struct seen, launch);
}

static void on_started(void *self, struct launch *l, usec_t at, bool adopted)
{
	seen_of(l)->n_started++;
	seen_of(l)->adopted = adopted;
	assert_true(at > 0);
}

static void on_line(void *self, struct launch *l, enum stream stream, usec_t at, const char *text,
	size_t len, bool partial)
{
	struct seen *s = seen_of(l);

	assert_int_equal(s->n_ended, 0);
	s->n_lines++;
	if (s->lines.len < 4096)
		buf_printf(&s->lines, "%s %s %.*s\n", stream == STREAM_STDOUT ? "stdout" : "stderr",
			partial ? "P" : "F", (int)len, text);
}

static void on_gap(void *self, struct launch *l, uint64_t bytes)
{
	seen_of(l)->gap += bytes;
}

static void on_commit(void *self, struct launch *l, const char *commit)
{
	struct seen *s = seen_of(l);

	assert_int_equal(s->n_started, 0);
	assert_null(s->commit);
	s->commit = xstrdup(commit);
}

static void on_ended(void *self, struct launch *l, const struct action_status *status,
	const struct artifact *artifacts, size_t n_artifacts)
{
	struct seen *s = seen_of(l);

	s->n_ended++;
	s->status = *status;
	s->status.message = xstrdup(status->message);
	assert_int_equal(n_artifacts, l->n_artifacts);
	if (n_artifacts > 0) {
		s->artifact = xstrdup(artifacts[0].data);
		s->artifact_too_large = artifacts[0].too_large;
	}
}

static void out_of_patience(uv_timer_t *timer)
{
	fail_msg("nothing happened for too long");
}

static void launcher_begin(struct fixture *f)
{
	const struct launcher_options options = {
		.loop = &f->loop,
		.state = f->state,
		.shim = getenv("NIGHTJAR_SHIM"),
		.machine = "machine",
		.boot_id = f->boot_id,
		.events = {.started = on_started,
			.line = on_line,
			.gap = on_gap,
			.commit = on_commit,
			.ended = on_ended},
	};
	char *error = NULL;

	assert_int_equal(launcher_new(&options, &f->launcher, &error), 0);
	launcher_port(f->launcher, &f->port);
	launcher_log_port(f->launcher, &f->logs);
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed = true;
}

static void launcher_end(struct fixture *f)
{
	f->closed = false;
	launcher_close(TAKE_PTR(f->launcher), on_closed, f);
	while (!f->closed)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static char *read_boot_id(void)
{
	static char text[64];
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	char template[] = "/tmp/nightjar-test-XXXXXX";

	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->patience);
	uv_timer_start(&f->patience, out_of_patience, 20000, 0);
	f->state = xstrdup(mkdtemp(template));
	f->boot_id = read_boot_id();
	setenv("RUNTIME_DIRECTORY", f->state, 1);
	launcher_begin(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	launcher_end(f);
	uv_close((uv_handle_t *)&f->patience, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(tree_remove(f->state), 0);
	free(f->state);
	free(f);
	return 0;
}

/* --- asking ------------------------------------------------------------------------------- */

static char **words(const char *a, const char *b, const char *c)
{
	char **v = NULL;
	size_t n = 0;

	v = strv_add(v, &n, xstrdup(a));
	if (b)
		v = strv_add(v, &n, xstrdup(b));
	if (c)
		v = strv_add(v, &n, xstrdup(c));
	return v;
}

static void seen_init(struct seen *s, unsigned cell, const char *script)
{
	*s = (struct seen){
		.launch =
			{
				.place = {.run_id = RUN_ID,
					.cell = cell,
					.attempt = 1,
					.action = "main"},
				.run_name = "nightly#1",
				.cell_name = "build",
				.step_name = "say",
				.kind = "shell",
				.epoch = 7,
				.timeout = 20 * USEC_SEC,
				.kill_after = 5 * USEC_SEC,
				.log_cap = 64 << 20,
				.stop_signal = SIGTERM,
				.stop_group = true,
				.start_before = clock_boot() + USEC_HOUR,
			},
	};
	if (script) {
		s->launch.argv = words("/bin/sh", "-c", script);
		s->launch.env = words("PATH=/usr/bin:/bin", "GREETING=hi", NULL);
	}
}

static void seen_fini(struct seen *s)
{
	strv_free(s->launch.argv);
	strv_free(s->launch.env);
	strv_free(s->launch.directories);
	strv_free(s->launch.untouched);
	buf_fini(&s->lines);
	free(s->artifact);
	free(s->commit);
	free(s->status.message);
}

static void until_started(struct fixture *f, struct seen *s)
{
	while (s->n_started == 0 && s->n_ended == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static void until_ended(struct fixture *f, struct seen *s)
{
	while (s->n_ended == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_run(&f->loop, UV_RUN_NOWAIT); /* handles close; a second end would be seen */
	assert_int_equal(s->n_ended, 1);
	assert_null(s->launch.adapter);
}

static void until_line(struct fixture *f, struct seen *s, unsigned n)
{
	while (s->n_lines < n && s->n_ended == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static void run(struct fixture *f, struct seen *s)
{
	f->port.start(f->port.self, &s->launch);
	assert_int_equal(s->n_started + s->n_ended, 0);
	until_ended(f, s);
}

static cJSON *read_json(struct fixture *f, struct seen *s, const char *name)
{
	_cleanup_free_ char *folder = place_folder(f->state, &s->launch.place), *text = NULL;
	cJSON *json = NULL;
	size_t len;

	assert_int_equal(read_file_at(folder, name, 65536, &text, &len), 0);
	assert_int_equal(json_parse(text, len, &json), 0);
	return json;
}

static int shim_pid(struct fixture *f, struct seen *s)
{
	_cleanup_free_ char *folder = place_folder(f->state, &s->launch.place);
	_cleanup_json_ cJSON *json = NULL;

	while (!file_exists(folder, "started"))
		usleep(1000);
	json = read_json(f, s, "started");
	return json_int(json, "pid", 0);
}

/* --- starting ----------------------------------------------------------------------------- */

static void a_child_says_hi_and_exits_with_three(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "echo $GREETING; echo oh >&2; exit 3");
	run(f, &s);
	assert_int_equal(s.n_started, 1);
	assert_false(s.adopted);
	assert_int_equal(s.status.end, END_EXITED);
	assert_int_equal(s.status.code, 3);
	assert_int_equal(s.status.stop, STOP_NONE);
	assert_non_null(strstr(s.lines.data, "stdout F hi\n"));
	assert_non_null(strstr(s.lines.data, "stderr F oh\n"));
	assert_true(s.status.started_at > 0 && s.status.ended_at >= s.status.started_at);
	seen_fini(&s);
}

static void the_commit_of_the_steps_work_tree_is_told_before_the_start(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *git = NULL, *head = NULL;
	char tree[] = "/tmp/nightjar-test-XXXXXX";
	struct seen s;

	assert_non_null(mkdtemp(tree));
	git = xasprintf("%s/.git", tree);
	head = xstrdup("0123456789abcdef0123456789abcdef01234567\n");
	assert_int_equal(folder_make(git), 0);
	assert_int_equal(file_replace(git, "HEAD", head, strlen(head)), 0);
	seen_init(&s, 0, "true");
	s.launch.cwd = tree;
	run(f, &s);
	s.launch.cwd = NULL;
	assert_non_null(s.commit);
	assert_memory_equal(s.commit, head, 40);
	seen_fini(&s);
	assert_int_equal(tree_remove(tree), 0);
}

static void the_folder_says_what_was_started_and_no_secret(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ cJSON *json = NULL;
	struct seen s;

	seen_init(&s, 0, "true");
	run(f, &s);
	json = read_json(f, &s, "action.json");
	assert_string_equal(json_string(json, "run"), "nightly#1");
	assert_string_equal(json_string(json, "cell"), "build");
	assert_string_equal(json_string(json, "machine"), "machine");
	assert_string_equal(json_string(json, "boot_id"), f->boot_id);
	assert_int_equal(json_int(json, "epoch", 0), 7);
	assert_true(json_time(json, "deadline") > clock_now());
	assert_null(json_get(json, "env"));
	assert_null(json_get(json, "argv"));
	seen_fini(&s);
}

static void an_action_whose_folder_exists_is_found_and_never_started_again(void **state)
{
	struct fixture *f = *state;
	struct seen first, second;

	seen_init(&first, 0, "echo once >>\"$PWD/count\"; exit 4");
	run(f, &first);
	seen_init(&second, 0, "echo twice >>\"$PWD/count\"; exit 5");
	run(f, &second);
	assert_int_equal(second.status.end, END_EXITED);
	assert_int_equal(second.status.code, 4);
	assert_int_equal(second.n_started, 0);
	seen_fini(&first);
	seen_fini(&second);
}

static void a_file_with_a_secret_is_there_for_the_child_and_gone_after_it(void **state)
{
	struct fixture *f = *state;
	struct launch_file file = {.name = (char *)"key.json",
		.content = (char *)"{\"key\":1}",
		.len = 9,
		.env = (char *)"KEY_FILE"};
	struct seen s;
	char *path;

	seen_init(&s, 0, "stat -c %a \"$KEY_FILE\"; cat \"$KEY_FILE\"; echo; echo \"$KEY_FILE\"");
	s.launch.files = &file;
	s.launch.n_files = 1;
	run(f, &s);
	assert_non_null(strstr(s.lines.data, "stdout F 600\nstdout F {\"key\":1}\n"));
	path = strrchr(s.lines.data, ' ') + 1;
	path[strcspn(path, "\n")] = '\0';
	assert_true(str_starts(path, f->state));
	assert_int_equal(access(path, F_OK), -1);
	seen_fini(&s);
}

static void output_and_artifacts_are_masked(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(
		&s, 0, "echo pass=s3cr3t-w0rd; mkdir -p target; echo a s3cr3t-w0rd b >target/out");
	s.launch.mask = mask_set_new();
	mask_set_add_secret(s.launch.mask, "s3cr3t-w0rd", 11);
	mask_set_build(s.launch.mask);
	s.launch.artifacts[0].path = "target/out";
	s.launch.artifacts[0].cap = 100;
	s.launch.n_artifacts = 1;
	run(f, &s);
	assert_string_equal(s.lines.data, "stdout F pass=***\n");
	assert_string_equal(s.artifact, "a *** b\n");
	mask_set_free(s.launch.mask);
	seen_fini(&s);
}

static void a_file_that_is_to_stay_untouched_does_and_one_to_be_removed_goes(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *attempt = NULL, *text = NULL, *other = NULL;
	struct seen s;
	size_t len;

	seen_init(&s, 0,
		"mkdir -p a/b; for f in a/b/plan a/plan plan gone; do echo s3cr3t-w0rd >$f; done");
	s.launch.mask = mask_set_new();
	mask_set_add_secret(s.launch.mask, "s3cr3t-w0rd", 11);
	mask_set_build(s.launch.mask);
	s.launch.untouched = words("a/b/plan", "nothing", NULL);
	s.launch.artifacts[0].path = "a/plan";
	s.launch.artifacts[0].cap = 100;
	s.launch.artifacts[0].remove = true;
	s.launch.artifacts[1].path = "gone";
	s.launch.artifacts[1].remove = true;
	s.launch.n_artifacts = 2;
	run(f, &s);
	attempt = f->port.attempt_directory(f->port.self, &s.launch.place);
	assert_string_equal(s.artifact, "***\n");
	assert_int_equal(read_file_at(attempt, "a/b/plan", 100, &text, &len), 0);
	assert_string_equal(text, "s3cr3t-w0rd\n");
	assert_int_equal(read_file_at(attempt, "plan", 100, &other, &len), 0);
	assert_string_equal(other, "***\n");
	assert_false(file_exists(attempt, "a/plan"));
	assert_false(file_exists(attempt, "gone"));
	mask_set_free(s.launch.mask);
	seen_fini(&s);
}

static void directories_are_made_and_a_large_artifact_is_named_as_such(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "test -d logs && echo 0123456789 >logs/big");
	s.launch.directories = words("logs", NULL, NULL);
	s.launch.artifacts[0].path = "logs/big";
	s.launch.artifacts[0].cap = 10;
	s.launch.n_artifacts = 1;
	run(f, &s);
	assert_int_equal(s.status.code, 0);
	assert_null(s.artifact);
	assert_true(s.artifact_too_large);
	seen_fini(&s);
}

static void a_program_that_is_not_there_is_not_started(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "true");
	free(s.launch.argv[0]);
	s.launch.argv[0] = xstrdup("/no/such/program");
	run(f, &s);
	assert_int_equal(s.status.end, END_NOT_STARTED);
	assert_non_null(s.status.message);
	assert_false(s.status.lease_over);
	seen_fini(&s);
}

static void nothing_starts_after_the_lease(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "echo never");
	s.launch.start_before = 1;
	run(f, &s);
	assert_int_equal(s.status.end, END_NOT_STARTED);
	assert_true(s.status.lease_over);
	assert_int_equal(s.n_lines, 0);
	seen_fini(&s);
}

static void a_place_with_no_valid_name_is_not_started(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "true");
	strcpy(s.launch.place.action, "../up");
	run(f, &s);
	assert_int_equal(s.status.end, END_NOT_STARTED);
	seen_fini(&s);
}

/* --- stopping ----------------------------------------------------------------------------- */

static void a_stop_ends_the_child_and_is_named(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "echo up; sleep 60 & wait");
	f->port.start(f->port.self, &s.launch);
	until_line(f, &s, 1);
	f->port.stop(f->port.self, &s.launch, STOP_FAIL_FAST);
	f->port.stop(f->port.self, &s.launch, STOP_CANCELLED);
	until_ended(f, &s);
	assert_int_equal(s.status.stop, STOP_FAIL_FAST);
	assert_int_equal(s.status.end, END_SIGNALLED);
	assert_int_equal(s.status.signal, SIGTERM);
	f->port.stop(f->port.self, &s.launch, STOP_CANCELLED);
	seen_fini(&s);
}

static void a_stop_right_after_the_start_is_not_lost(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "sleep 60");
	f->port.start(f->port.self, &s.launch);
	f->port.stop(f->port.self, &s.launch, STOP_CANCELLED);
	until_ended(f, &s);
	assert_int_equal(s.status.stop, STOP_CANCELLED);
	seen_fini(&s);
}

static void the_shim_holds_the_timeout(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "sleep 60");
	s.launch.timeout = 100 * USEC_MSEC;
	run(f, &s);
	assert_int_equal(s.status.stop, STOP_TIMED_OUT);
	seen_fini(&s);
}

/* --- finding ------------------------------------------------------------------------------ */

static void find(struct fixture *f, struct seen *s)
{
	seen_fini(s);
	seen_init(s, s->launch.place.cell, NULL);
	f->port.find(f->port.self, &s->launch);
	assert_int_equal(s->n_started + s->n_ended, 0);
}

static void a_running_action_is_adopted_with_all_its_lines(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "echo one; until test -e go; do sleep 0.02; done; echo two; exit 6");
	f->port.start(f->port.self, &s.launch);
	until_line(f, &s, 1);
	launcher_end(f);
	assert_int_equal(s.n_ended, 0);
	launcher_begin(f);
	find(f, &s);
	until_line(f, &s, 1);
	assert_true(s.adopted);
	{
		_cleanup_free_ char *attempt =
			f->port.attempt_directory(f->port.self, &s.launch.place);

		file_replace(attempt, "go", "", 0);
	}
	until_ended(f, &s);
	assert_string_equal(s.lines.data, "stdout F one\nstdout F two\n");
	assert_int_equal(s.status.end, END_EXITED);
	assert_int_equal(s.status.code, 6);
	seen_fini(&s);
}

static void an_adopted_action_can_be_stopped(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "sleep 60");
	f->port.start(f->port.self, &s.launch);
	until_started(f, &s);
	launcher_end(f);
	launcher_begin(f);
	find(f, &s);
	f->port.stop(f->port.self, &s.launch, STOP_SHUTDOWN);
	until_ended(f, &s);
	assert_int_equal(s.n_started, 1);
	assert_int_equal(s.status.stop, STOP_SHUTDOWN);
	seen_fini(&s);
}

static void what_ended_while_nobody_looked_is_collected(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "echo said; exit 9");
	run(f, &s);
	launcher_end(f);
	launcher_begin(f);
	find(f, &s);
	until_ended(f, &s);
	assert_int_equal(s.n_started, 0);
	assert_string_equal(s.lines.data, "stdout F said\n");
	assert_int_equal(s.status.end, END_EXITED);
	assert_int_equal(s.status.code, 9);
	seen_fini(&s);
}

static void a_killed_shim_is_an_interruption_and_leaves_no_secret(void **state)
{
	struct fixture *f = *state;
	struct launch_file file = {.name = (char *)"key", .content = (char *)"k", .len = 1};
	_cleanup_json_ cJSON *json = NULL;
	struct seen s;

	seen_init(&s, 0, "echo up; exec sleep 60");
	s.launch.files = &file;
	s.launch.n_files = 1;
	f->port.start(f->port.self, &s.launch);
	until_line(f, &s, 1);
	kill(shim_pid(f, &s), SIGKILL);
	until_ended(f, &s);
	assert_int_equal(s.status.end, END_INTERRUPTED);
	assert_non_null(s.status.message);
	json = read_json(f, &s, "action.json");
	assert_int_equal(access(json_string(json, "private"), F_OK), -1);
	find(f, &s);
	until_ended(f, &s);
	assert_int_equal(s.status.end, END_INTERRUPTED);
	assert_string_equal(s.lines.data, "stdout F up\n");
	seen_fini(&s);
}

static void a_folder_of_another_boot_is_an_interruption(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *folder = NULL, *status = NULL, *started = NULL;
	struct seen s;

	seen_init(&s, 0, "true");
	run(f, &s);
	folder = place_folder(f->state, &s.launch.place);
	status = xasprintf("%s/status.json", folder);
	started = xasprintf("%s/started", folder);
	unlink(status);
	unlink(started);
	find(f, &s);
	until_ended(f, &s);
	assert_int_equal(s.status.end, END_NOT_STARTED);
	launcher_end(f);
	f->boot_id = "another boot";
	launcher_begin(f);
	find(f, &s);
	until_ended(f, &s);
	assert_int_equal(s.status.end, END_INTERRUPTED);
	seen_fini(&s);
}

static void what_has_no_folder_was_never_started_in_this_boot(void **state)
{
	struct fixture *f = *state;
	struct seen s, other;

	seen_init(&s, 1, NULL);
	find(f, &s);
	until_ended(f, &s);
	assert_int_equal(s.status.end, END_INTERRUPTED); /* nobody knows yet */
	seen_init(&other, 0, "true");
	run(f, &other);
	launcher_end(f);
	launcher_begin(f);
	find(f, &s);
	until_ended(f, &s);
	assert_int_equal(s.status.end, END_NOT_STARTED);
	assert_null(s.status.message); /* with one it would be a refusal, which counts */
	seen_fini(&s);
	seen_fini(&other);
}

/* --- much --------------------------------------------------------------------------------- */

static void many_actions_at_once_all_end(void **state)
{
	enum { N = 60 };
	struct fixture *f = *state;
	struct seen *s = xcalloc(N, sizeof(*s));

	for (unsigned i = 0; i < N; i++) {
		seen_init(&s[i], i, "echo $$");
		f->port.start(f->port.self, &s[i].launch);
	}
	for (unsigned i = 0; i < N; i++) {
		until_ended(f, &s[i]);
		assert_int_equal(s[i].status.end, END_EXITED);
		assert_int_equal(s[i].n_lines, 1);
		seen_fini(&s[i]);
	}
	free(s);
}

static void a_flood_is_followed_to_its_end_within_its_cap(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "seq 1 200000");
	s.launch.log_cap = 1 << 20;
	run(f, &s);
	assert_int_equal(s.status.end, END_EXITED);
	assert_true(s.n_lines > 10000);
	assert_true(s.n_lines == 200000 || s.gap > 0);
	assert_true(str_starts(s.lines.data, "stdout F 1\nstdout F 2\n"));
	seen_fini(&s);
}

/* The lines are 64 bytes in the log: pieces of any size then end with one. */
static void lines_that_fill_a_piece_exactly_are_followed(void **state)
{
	struct fixture *f = *state;
	struct seen s;

	seen_init(&s, 0, "yes 12345678901234567890123 | head -n 20000");
	run(f, &s);
	assert_int_equal(s.status.end, END_EXITED);
	assert_int_equal(s.n_lines, 20000);
	seen_fini(&s);
}

/* --- logs --------------------------------------------------------------------------------- */

struct reading {
	struct fixture *f;
	struct log_request request;
	struct buf lines;
	unsigned n_chunks;
	bool done;
};

static void on_chunk(
	struct log_request *r, const char *action, const char *lines, size_t len, uint64_t gap)
{
	struct reading *reading = container_of(r, struct reading, request);

	assert_string_equal(action, "main");
	assert_int_equal(lines[len - 1], '\n');
	buf_append(&reading->lines, lines, len);
	reading->n_chunks++;
	reading->f->logs.next(reading->f->logs.self, r);
}

static void on_log_done(struct log_request *r, const char *error)
{
	assert_null(error);
	container_of(r, struct reading, request)->done = true;
}

static const char *const log_actions[] = {"never_began", "main"};

static void read_log(struct fixture *f, struct reading *r, struct seen *s, bool follow)
{
	*r = (struct reading){
		.f = f,
		.request =
			{
				.directory =
					f->port.attempt_directory(f->port.self, &s->launch.place),
				.actions = log_actions,
				.n_actions = 2,
				.follow = follow,
				.on_chunk = on_chunk,
				.done = on_log_done,
			},
	};
	f->logs.start(f->logs.self, &r->request);
}

static void reading_fini(struct reading *r)
{
	free((char *)r->request.directory);
	buf_fini(&r->lines);
}

static void a_log_is_read_in_pieces(void **state)
{
	struct fixture *f = *state;
	struct reading r;
	struct seen s;

	seen_init(&s, 0, "seq 10000; echo end");
	run(f, &s);
	read_log(f, &r, &s, true);
	while (!r.done)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_true(r.n_chunks > 1);
	assert_non_null(strstr(r.lines.data, "Z stdout F end\n"));
	reading_fini(&r);
	seen_fini(&s);
}

static void a_followed_log_ends_with_its_action(void **state)
{
	struct fixture *f = *state;
	struct reading r;
	struct seen s;

	seen_init(&s, 0, "echo one; until test -e go; do sleep 0.02; done; echo two");
	f->port.start(f->port.self, &s.launch);
	until_line(f, &s, 1);
	read_log(f, &r, &s, true);
	while (r.n_chunks == 0)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_false(r.done);
	file_replace(r.request.directory, "go", "", 0);
	while (!r.done)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_non_null(strstr(r.lines.data, "F two\n"));
	assert_int_equal(s.n_ended, 0 + s.n_ended);
	until_ended(f, &s);
	reading_fini(&r);
	seen_fini(&s);
}

static void a_cancelled_reading_says_nothing_more(void **state)
{
	struct fixture *f = *state;
	struct reading r;
	struct seen s;

	seen_init(&s, 0, "echo one");
	run(f, &s);
	read_log(f, &r, &s, true);
	f->logs.cancel(f->logs.self, &r.request);
	f->logs.cancel(f->logs.self, &r.request);
	launcher_end(f);
	launcher_begin(f);
	assert_int_equal(r.n_chunks, 0);
	assert_false(r.done);
	reading_fini(&r);
	seen_fini(&s);
}

/* --- figures: test_launcher --measure N --------------------------------------------------- */

static unsigned measure_open;

static void measure_ended(void *self, struct launch *l, const struct action_status *status,
	const struct artifact *artifacts, size_t n_artifacts)
{
	measure_open--;
}

static int measure(unsigned n)
{
	struct fixture *f = NULL;
	struct seen *s = xcalloc(n, sizeof(*s));
	unsigned next = 0;
	usec_t begin;

	setup((void **)&f);
	uv_timer_stop(&f->patience);
	launcher_end(f);
	unsetenv("RUNTIME_DIRECTORY"); /* memory for secrets, as a unit has it */
	{
		const struct launcher_options options = {
			.loop = &f->loop,
			.state = f->state,
			.shim = getenv("NIGHTJAR_SHIM"),
			.machine = "machine",
			.boot_id = f->boot_id,
			.events = {.started = on_started,
				.line = on_line,
				.gap = on_gap,
				.ended = measure_ended},
		};
		char *error;

		launcher_new(&options, &f->launcher, &error);
		launcher_port(f->launcher, &f->port);
	}
	for (unsigned i = 0; i < n; i++) {
		seen_init(&s[i], i, NULL);
		s[i].launch.argv = words("/bin/true", NULL, NULL);
	}
	begin = clock_boot();
	while (next < n || measure_open > 0) {
		while (next < n && measure_open < 4) {
			measure_open++;
			f->port.start(f->port.self, &s[next++].launch);
		}
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	printf("%u attempts of /bin/true, 4 at once: %.0f/s\n", n,
		n * 1e6 / (double)(clock_boot() - begin));
	for (unsigned i = 0; i < n; i++)
		seen_fini(&s[i]);
	free(s);
	teardown((void **)&f);
	return 0;
}

/* test_launcher --adopt N */
static int measure_adoption(unsigned n)
{
	struct fixture *f = NULL;
	struct seen *s = xcalloc(n, sizeof(*s));
	usec_t begin, adopted;

	setup((void **)&f);
	uv_timer_stop(&f->patience);
	for (unsigned i = 0; i < n; i++) {
		seen_init(&s[i], i, "echo up; exec sleep 600");
		s[i].launch.timeout = USEC_HOUR;
		f->port.start(f->port.self, &s[i].launch);
	}
	for (unsigned i = 0; i < n; i++)
		until_line(f, &s[i], 1);
	launcher_end(f);
	begin = clock_boot();
	launcher_begin(f);
	for (unsigned i = 0; i < n; i++)
		find(f, &s[i]);
	for (unsigned i = 0; i < n; i++)
		until_started(f, &s[i]);
	adopted = clock_boot();
	for (unsigned i = 0; i < n; i++)
		until_line(f, &s[i], 1);
	printf("%u adopted in %.0f ms, their lines read in %.0f ms\n", n,
		(double)(adopted - begin) / 1e3, (double)(clock_boot() - begin) / 1e3);
	for (unsigned i = 0; i < n; i++)
		f->port.stop(f->port.self, &s[i].launch, STOP_CANCELLED);
	for (unsigned i = 0; i < n; i++) {
		until_ended(f, &s[i]);
		seen_fini(&s[i]);
	}
	free(s);
	teardown((void **)&f);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(a_child_says_hi_and_exits_with_three),
		TEST(the_commit_of_the_steps_work_tree_is_told_before_the_start),
		TEST(the_folder_says_what_was_started_and_no_secret),
		TEST(an_action_whose_folder_exists_is_found_and_never_started_again),
		TEST(a_file_with_a_secret_is_there_for_the_child_and_gone_after_it),
		TEST(output_and_artifacts_are_masked),
		TEST(a_file_that_is_to_stay_untouched_does_and_one_to_be_removed_goes),
		TEST(directories_are_made_and_a_large_artifact_is_named_as_such),
		TEST(a_program_that_is_not_there_is_not_started),
		TEST(nothing_starts_after_the_lease),
		TEST(a_place_with_no_valid_name_is_not_started),
		TEST(a_stop_ends_the_child_and_is_named),
		TEST(a_stop_right_after_the_start_is_not_lost),
		TEST(the_shim_holds_the_timeout),
		TEST(a_running_action_is_adopted_with_all_its_lines),
		TEST(an_adopted_action_can_be_stopped),
		TEST(what_ended_while_nobody_looked_is_collected),
		TEST(a_killed_shim_is_an_interruption_and_leaves_no_secret),
		TEST(a_folder_of_another_boot_is_an_interruption),
		TEST(what_has_no_folder_was_never_started_in_this_boot),
		TEST(many_actions_at_once_all_end),
		TEST(a_flood_is_followed_to_its_end_within_its_cap),
		TEST(lines_that_fill_a_piece_exactly_are_followed),
		TEST(a_log_is_read_in_pieces),
		TEST(a_followed_log_ends_with_its_action),
		TEST(a_cancelled_reading_says_nothing_more),
	};

	if (argc == 3 && strcmp(argv[1], "--measure") == 0)
		return measure(atoi(argv[2]));
	if (argc == 3 && strcmp(argv[1], "--adopt") == 0)
		return measure_adoption(atoi(argv[2]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
