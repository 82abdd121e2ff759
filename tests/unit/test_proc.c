#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/proc/commit.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/line.h"
#include "daemon/proc/reader.h"
#include "daemon/proc/status.h"

/* --- lines -------------------------------------------------------------------------------- */

static bool parse(const char *s, struct log_line *ret)
{
	return log_line_parse(s, strlen(s), NULL, ret);
}

static void a_line_has_its_instant_stream_flag_and_text(void **state)
{
	struct log_line line;

	assert_true(parse("2026-03-29T01:30:00.123456789Z stderr P half of it", &line));
	assert_true(line.at == 1774747800LL * USEC_SEC + 123456);
	assert_int_equal(line.stream, STREAM_STDERR);
	assert_true(line.partial);
	assert_int_equal(line.len, strlen("half of it"));
	assert_memory_equal(line.text, "half of it", line.len);
	assert_true(parse("1970-01-01T00:00:01Z stdout F ", &line));
	assert_true(line.at == USEC_SEC);
	assert_false(line.partial);
	assert_int_equal(line.len, 0);
}

static void what_is_no_line_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"2026-03-29T01:30:00.1Z stdout F",
		"2026-03-29T01:30:00.1Z stdout X text",
		"2026-03-29T01:30:00.1Z stdin F text",
		"2026-03-29T01:30:00.Z stdout F text",
		"2026-03-29T01:30:00.1234567890Z stdout F text",
		"2026-03-29 01:30:00Z stdout F text",
		"2026-13-29T01:30:00Z stdout F text",
		"# offset 12",
	};
	struct log_line line;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(parse(bad[i], &line));
}

static void only_printable_ascii_is_plain(void **state)
{
	assert_true(log_line_is_plain("plain ~", 7));
	assert_false(log_line_is_plain("tab\t", 4));
	assert_false(log_line_is_plain("\x7f", 1));
	assert_false(log_line_is_plain("\xc3\xa9", 2));
}

/* --- places ------------------------------------------------------------------------------- */

static const struct action_place place = {
	.run_id = "0192d1c4-7a00-7000-8000-00000000abcd",
	.cell = 3,
	.step = 1,
	.attempt = 2,
	.action = "plan",
};

static void a_place_is_a_folder(void **state)
{
	_cleanup_free_ char *folder = place_folder("/s", &place);
	_cleanup_free_ char *attempt = place_attempt("/s", &place);
	_cleanup_free_ char *nickname = place_nickname(&place);

	assert_string_equal(folder, "/s/actions/0192d1c4-7a00-7000-8000-00000000abcd/3/1.2/plan");
	assert_string_equal(attempt, "/s/actions/0192d1c4-7a00-7000-8000-00000000abcd/3/1.2");
	assert_string_equal(nickname, "nightjar-00000000abcd-3-1.2-plan");
}

static void a_place_that_would_leave_its_folder_is_invalid(void **state)
{
	struct action_place bad = place;

	assert_true(place_is_valid(&place));
	strcpy(bad.action, "../x");
	assert_false(place_is_valid(&bad));
	bad = place;
	bad.run_id[3] = '/';
	assert_false(place_is_valid(&bad));
	bad = place;
	strcpy(bad.run_id, "short");
	assert_false(place_is_valid(&bad));
}

/* --- files -------------------------------------------------------------------------------- */

static int setup(void **state)
{
	char template[] = "/tmp/nightjar-test-XXXXXX";

	*state = xstrdup(mkdtemp(template));
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(tree_remove(*state), 0);
	free(*state);
	return 0;
}

static void a_folder_is_made_once_with_its_parents(void **state)
{
	_cleanup_free_ char *path = xasprintf("%s/a/b/c", (char *)*state);
	struct stat st;

	assert_int_equal(folder_make(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(folder_make(path), FOLDER_E_EXISTS);
}

static void a_file_is_replaced_whole_and_read_up_to_its_cap(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(read_file_at(*state, "f", 10, &text, &len), -ENOENT);
	assert_int_equal(file_replace(*state, "f", "one", 3), 0);
	assert_int_equal(file_replace(*state, "f", "seconds", 7), 0);
	assert_int_equal(read_file_at(*state, "f", 6, &text, &len), -EFBIG);
	assert_int_equal(read_file_at(*state, "f", 7, &text, &len), 0);
	assert_int_equal(len, 7);
	assert_string_equal(text, "seconds");
	assert_false(file_exists(*state, "f.new"));
}

static void a_tree_is_removed_without_following_links(void **state)
{
	_cleanup_free_ char *inner = xasprintf("%s/tree/deep", (char *)*state);
	_cleanup_free_ char *tree = xasprintf("%s/tree", (char *)*state);
	_cleanup_free_ char *link = xasprintf("%s/out", inner);

	assert_int_equal(folder_make(inner), 0);
	assert_int_equal(file_replace(*state, "kept", "x", 1), 0);
	assert_int_equal(file_replace(inner, "gone", "x", 1), 0);
	assert_int_equal(symlink(*state, link), 0);
	assert_int_equal(tree_remove(tree), 0);
	assert_false(file_exists(*state, "tree"));
	assert_true(file_exists(*state, "kept"));
	assert_int_equal(tree_remove(tree), 0);
}

/* --- the log as one stream ---------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text)
{
	assert_int_equal(file_replace(folder, name, text, strlen(text)), 0);
}

#define assert_read(folder, final, position, want, want_gap)                                       \
	do {                                                                                       \
		char _buf[64];                                                                     \
		size_t _len;                                                                       \
		uint64_t _gap;                                                                     \
		assert_int_equal(                                                                  \
			log_read(folder, final, position, _buf, sizeof(_buf) - 1, &_len, &_gap),   \
			0);                                                                        \
		_buf[_len] = '\0';                                                                 \
		assert_string_equal(_buf, want);                                                   \
		assert_int_equal(_gap, want_gap);                                                  \
	} while (0)

static void a_log_is_read_in_whole_lines_as_it_grows(void **state)
{
	uint64_t position = 0;

	assert_read(*state, false, &position, "", 0);
	write_file(*state, "output.log", "one\ntwo\nthr");
	assert_read(*state, false, &position, "one\ntwo\n", 0);
	assert_read(*state, false, &position, "", 0);
	write_file(*state, "output.log", "one\ntwo\nthree\n");
	assert_read(*state, false, &position, "three\n", 0);
	assert_int_equal(position, 14);
}

static void a_torn_last_line_is_given_at_the_end(void **state)
{
	uint64_t position = 0;

	write_file(*state, "output.log", "one\ntor");
	assert_read(*state, true, &position, "one\n", 0);
	assert_read(*state, true, &position, "tor\n", 0);
	assert_read(*state, true, &position, "", 0);
}

static void the_tail_files_go_on_where_the_head_ends(void **state)
{
	uint64_t position = 0;

	write_file(*state, "output.log", "one\n");
	write_file(*state, "output.1", "# offset 4\ntwo\n");
	write_file(*state, "output.2", "# offset 8\nthree\n");
	assert_read(*state, false, &position, "one\n", 0);
	assert_read(*state, false, &position, "two\n", 0);
	assert_read(*state, false, &position, "three\n", 0);
	assert_read(*state, true, &position, "", 0);
	write_file(*state, "output.1", "# offset 14\nfour\n");
	assert_read(*state, true, &position, "four\n", 0);
}

static void a_reader_that_was_overtaken_learns_how_much_it_missed(void **state)
{
	uint64_t position = 0;

	write_file(*state, "output.log", "one\n");
	assert_read(*state, false, &position, "one\n", 0);
	write_file(*state, "output.1", "# offset 40\nlater\n");
	write_file(*state, "output.2", "# offset 20\nold enough to fit\n");
	assert_read(*state, false, &position, "old enough to fit\n", 16);
	assert_int_equal(position, 38);
	assert_read(*state, false, &position, "later\n", 2);
}

static void a_line_that_cannot_be_one_is_skipped(void **state)
{
	_cleanup_free_ char *text = xmalloc(101);
	uint64_t position = 0;

	memset(text, 'x', 100);
	strcpy(text + 95, "\nyes\n");
	write_file(*state, "output.log", text);
	assert_read(*state, false, &position, "", 63);
	assert_read(*state, false, &position, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nyes\n", 0);
}

static void a_tail_file_without_its_first_line_is_not_there(void **state)
{
	uint64_t position = 0;

	write_file(*state, "output.1", "");
	write_file(*state, "output.2", "# offset x\nfour\n");
	assert_read(*state, true, &position, "", 0);
}

static void a_log_without_a_folder_is_an_error(void **state)
{
	uint64_t position = 0, gap;
	size_t len;
	char buf[8];

	assert_int_equal(
		log_read("/nowhere", true, &position, buf, sizeof(buf), &len, &gap), -ENOENT);
}

/* --- what the shim writes ----------------------------------------------------------------- */

static void a_status_is_read_with_all_its_fields(void **state)
{
	static const char text[] =
		"{\"version\":1,\"end\":\"exited\",\"code\":3,\"signal\":null,\"stop\":\"timed_"
		"out\","
		"\"lease_over\":false,\"oom_killed\":true,\"message\":\"a\\nb\","
		"\"started_at\":\"2026-03-29T01:30:00.000001Z\",\"ended_at\":\"2026-03-29T01:30:"
		"01Z\","
		"\"max_rss\":4096,\"cpu_ms\":12,\"output_bytes\":7,\"output_dropped\":0}";
	struct action_status status;

	assert_int_equal(status_parse(text, strlen(text), &status), 0);
	assert_int_equal(status.end, END_EXITED);
	assert_int_equal(status.code, 3);
	assert_int_equal(status.stop, STOP_TIMED_OUT);
	assert_true(status.oom_killed);
	assert_int_equal(status.max_rss, 4096);
	assert_int_equal(status.output_bytes, 7);
	assert_int_equal(status.ended_at - status.started_at, USEC_SEC - 1);
	assert_string_equal(status.message, "a b");
	action_status_fini(&status);
}

static void a_status_that_says_no_end_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"{\"version\":1,\"end\":\"interrupted\"}",
		"{\"version\":0,\"end\":\"exited\"}",
		"{\"version\":1,\"end\":\"exited\"",
	};
	struct action_status status;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(status_parse(bad[i], strlen(bad[i]), &status), -EBADMSG);
}

static void a_start_is_read_and_a_bad_pid_is_refused(void **state)
{
	static const char good[] = "{\"version\":1,\"boot_id\":\"b\",\"pid\":7,\"start_time\":456,"
				   "\"at\":\"2026-03-29T01:30:00.123456789Z\"}";
	static const char bad[] = "{\"version\":1,\"boot_id\":\"b\",\"pid\":-1,\"start_time\":456}";
	struct shim_started started;

	assert_int_equal(shim_started_parse(good, strlen(good), &started), 0);
	assert_int_equal(started.pid, 7);
	assert_int_equal(started.start_time, 456);
	assert_true(started.at > 0);
	shim_started_fini(&started);
	assert_int_equal(shim_started_parse(bad, strlen(bad), &started), -EBADMSG);
}

/* --- commits ------------------------------------------------------------------------------ */

#define COMMIT_A "0123456789abcdef0123456789abcdef01234567"
#define COMMIT_B "89abcdef0123456789abcdef0123456789abcdef"

/* Makes a file with the folders above it. */
static void put_file(const char *root, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", root, name);
	_cleanup_free_ char *above = xstrdup(path);

	*strrchr(above, '/') = '\0';
	assert_true(folder_make(above) >= 0);
	assert_int_equal(file_replace(root, name, text, strlen(text)), 0);
}

static void assert_commit(const char *root, const char *folder, const char *commit)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", root, folder);
	_cleanup_free_ char *found = commit_of(path, NULL);

	if (commit)
		assert_string_equal(found, commit);
	else
		assert_null(found);
}

static void a_branch_is_a_file_or_a_packed_line(void **state)
{
	put_file(*state, "dbt/models/x.sql", "");
	assert_commit(*state, "dbt/models", NULL);
	put_file(*state, ".git/HEAD", "ref: refs/heads/main\n");
	assert_commit(*state, "dbt/models", NULL); /* nothing is committed yet */
	put_file(*state, ".git/packed-refs",
		"# pack-refs with: peeled fully-peeled sorted\n" COMMIT_B
		" refs/heads/main-2\n" COMMIT_A " refs/heads/main\n^" COMMIT_B "\n");
	assert_commit(*state, "dbt/models", COMMIT_A);
	put_file(*state, ".git/refs/heads/main", COMMIT_B "\n");
	assert_commit(*state, "dbt/models", COMMIT_B);
	assert_commit(*state, "", COMMIT_B);
}

static void a_detached_head_is_the_commit(void **state)
{
	put_file(*state, ".git/HEAD", COMMIT_A "\n");
	assert_commit(*state, ".", COMMIT_A);
}

static void a_linked_work_tree_shares_the_refs(void **state)
{
	_cleanup_free_ char *pointer =
		xasprintf("gitdir: %s/main/.git/worktrees/side\n", (char *)*state);

	put_file(*state, "main/.git/HEAD", "ref: refs/heads/main\n");
	put_file(*state, "main/.git/refs/heads/side", COMMIT_A "\n");
	put_file(*state, "main/.git/worktrees/side/HEAD", "ref: refs/heads/side\n");
	put_file(*state, "main/.git/worktrees/side/commondir", "../..\n");
	put_file(*state, "side/.git", pointer);
	put_file(*state, "side/dbt/dbt_project.yml", "");
	assert_commit(*state, "side/dbt", COMMIT_A);
	assert_commit(*state, "main", NULL);
	put_file(*state, "main/sub/.git", "gitdir: ../.git/worktrees/side\n");
	assert_commit(*state, "main/sub", COMMIT_A);
}

static void what_git_did_not_write_is_no_commit(void **state)
{
	static const char *const bad[] = {"", "ref: refs/../../secret\n", "ref: secret\n",
		"ref: refs/heads/loop\n", COMMIT_A "0\n", "0123456789ABCDEF\n"};

	put_file(*state, "secret", COMMIT_A "\n");
	put_file(*state, ".git/refs/heads/loop", "ref: refs/heads/loop\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_file(*state, ".git/HEAD", bad[i]);
		assert_commit(*state, ".", NULL);
	}
	assert_commit(*state, "no/such/folder", NULL);
	assert_null(commit_of("relative", NULL));
}

static void the_state_folder_is_nobodys_work_tree(void **state)
{
	_cleanup_free_ char *folder = xasprintf("%s/state/actions", (char *)*state);
	_cleanup_free_ char *outside = xasprintf("%s/state", (char *)*state);
	_cleanup_free_ char *beside = xasprintf("%s/state2", (char *)*state);
	_cleanup_free_ char *found = NULL;

	put_file(*state, ".git/HEAD", COMMIT_A "\n");
	put_file(*state, "state/actions/x", "");
	put_file(*state, "state2/x", "");
	assert_null(commit_of(folder, outside));
	found = commit_of(beside, outside);
	assert_string_equal(found, COMMIT_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define FILE_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		cmocka_unit_test(a_line_has_its_instant_stream_flag_and_text),
		cmocka_unit_test(what_is_no_line_is_refused),
		cmocka_unit_test(only_printable_ascii_is_plain),
		cmocka_unit_test(a_place_is_a_folder),
		cmocka_unit_test(a_place_that_would_leave_its_folder_is_invalid),
		FILE_TEST(a_folder_is_made_once_with_its_parents),
		FILE_TEST(a_file_is_replaced_whole_and_read_up_to_its_cap),
		FILE_TEST(a_tree_is_removed_without_following_links),
		FILE_TEST(a_log_is_read_in_whole_lines_as_it_grows),
		FILE_TEST(a_torn_last_line_is_given_at_the_end),
		FILE_TEST(the_tail_files_go_on_where_the_head_ends),
		FILE_TEST(a_reader_that_was_overtaken_learns_how_much_it_missed),
		FILE_TEST(a_line_that_cannot_be_one_is_skipped),
		FILE_TEST(a_tail_file_without_its_first_line_is_not_there),
		cmocka_unit_test(a_log_without_a_folder_is_an_error),
		cmocka_unit_test(a_status_is_read_with_all_its_fields),
		cmocka_unit_test(a_status_that_says_no_end_is_refused),
		cmocka_unit_test(a_start_is_read_and_a_bad_pid_is_refused),
		cmocka_unit_test_setup_teardown(
			a_branch_is_a_file_or_a_packed_line, setup, teardown),
		cmocka_unit_test_setup_teardown(a_detached_head_is_the_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_linked_work_tree_shares_the_refs, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_git_did_not_write_is_no_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_state_folder_is_nobodys_work_tree, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
