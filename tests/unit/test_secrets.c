#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/config/secrets.h"
#include "daemon/config/world.h"

/* A folder of secrets, a loop, and the port on it. */
struct fixture {
	char folder[32];
	uv_loop_t loop;
	struct open_count count;
	struct secrets *secrets;
	struct secrets_port port;
	struct secrets_request request;
	char **values;
	char *error;
	unsigned n_done;
};

static int set_up(void **state)
{
	struct fixture *f = xnew(struct fixture);

	strcpy(f->folder, "/tmp/nightjar.XXXXXX");
	*state = f;
	if (!mkdtemp(f->folder) || uv_loop_init(&f->loop) != 0)
		return -1;
	f->secrets = secrets_new(&f->loop, &f->count);
	secrets_set_directory(f->secrets, f->folder);
	secrets_port(f->secrets, &f->port);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"A", "B", "staging.A", "production.A", "T.X", ".hidden",
		"credentials_A", "credentials_staging.A"};
	struct fixture *f = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
		remove(path);
	}
	rmdir(f->folder);
	secrets_free(f->secrets);
	strv_free(f->values);
	free(f->error);
	free(f->request.names);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(f->count.n, 0);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *name, const void *data, size_t len, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

#define PUT(f, name, text) put(f, name, text, sizeof(text) - 1, 0600)

static void on_done(struct secrets_request *r, const char *error, char **take_values)
{
	struct fixture *f = r->owner;

	strv_free(f->values);
	free(f->error);
	f->values = take_values;
	f->error = xstrdup(error);
	f->n_done++;
}

/* Asks for one or two names, and waits. */
static void fetch(struct fixture *f, const char *environment, const char *a, const char *b)
{
	unsigned before = f->n_done;

	free(f->request.names);
	f->request = (struct secrets_request){
		.environment = (char *)environment, .done = on_done, .owner = f};
	f->request.names = xcalloc(3, sizeof(char *));
	f->request.names[0] = (char *)a;
	f->request.names[1] = (char *)b;
	f->port.fetch(f->port.self, &f->request);
	assert_int_equal(f->n_done, before);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_done, before + 1);
}

/* `sentence` goes on with the folder and then with `rest`, where it does. */
static void assert_error(struct fixture *f, const char *sentence, const char *rest)
{
	char expected[256];

	snprintf(expected, sizeof(expected), "%s%s%s", sentence, rest ? f->folder : "",
		rest ? rest : "");
	assert_null(f->values);
	assert_string_equal(f->error, expected);
}

static void values_come_in_step_with_names_without_their_last_newline(void **state)
{
	struct fixture *f = *state;

	PUT(f, "A", "one\n\n");
	PUT(f, "B", "line\nline");
	fetch(f, NULL, "A", "B");
	assert_null(f->error);
	assert_string_equal(f->values[0], "one\n");
	assert_string_equal(f->values[1], "line\nline");
	assert_null(f->values[2]);
}

static void the_environments_own_secret_wins_and_has_no_fallback(void **state)
{
	struct fixture *f = *state;

	PUT(f, "A", "bare");
	fetch(f, "staging", "A", NULL);
	assert_string_equal(f->values[0], "bare");
	PUT(f, "staging.A", "own");
	fetch(f, "staging", "A", NULL);
	assert_string_equal(f->values[0], "own");
	fetch(f, "production", "A", NULL);
	assert_error(f, "secret A: there is no file for it in ", ", for environment production");
}

static void a_folder_that_systemd_handed_over_is_known_by_its_own_names(void **state)
{
	struct fixture *f = *state;

	PUT(f, "credentials_A", "bare");
	PUT(f, "credentials_staging.A", "own");
	fetch(f, "staging", "A", "credentials_A");
	assert_string_equal(f->values[0], "own");
	assert_string_equal(f->values[1], "bare");
	fetch(f, "production", "A", NULL);
	assert_error(f, "secret A: there is no file for it in ", ", for environment production");
	PUT(f, "A", "one by one");
	fetch(f, NULL, "A", NULL);
	assert_string_equal(f->values[0], "one by one");
}

static void a_rotated_secret_is_read_anew(void **state)
{
	struct fixture *f = *state;

	PUT(f, "A", "old");
	fetch(f, NULL, "A", NULL);
	PUT(f, "A", "new");
	fetch(f, NULL, "A", NULL);
	assert_string_equal(f->values[0], "new");
}

static void what_is_no_secret_is_said_by_name_and_never_by_value(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *large = memset(xmalloc((1 << 20) + 2), 'x', (1 << 20) + 2);

	PUT(f, "A", "good");
	fetch(f, NULL, "A", "B");
	assert_error(f, "secret B: there is no file for it in ", "");
	PUT(f, "B", "sec\0ret");
	fetch(f, NULL, "A", "B");
	assert_error(f, "secret B: its file holds a NUL byte", NULL);
	PUT(f, "B", "secret\xff");
	fetch(f, NULL, "A", "B");
	assert_error(f, "secret B: its file is not valid UTF-8", NULL);
	put(f, "B", large, (1 << 20) + 1, 0600);
	fetch(f, NULL, "A", "B");
	assert_error(f, "secret B: its file is larger than 1 MiB", NULL);
	put(f, "B", large, (1 << 20) + 2, 0600);
	fetch(f, NULL, "A", "B");
	assert_error(f, "secret B: the file B cannot be read: it is larger than 1 MiB", NULL);
	put(f, "B", large, 1 << 20, 0600);
	fetch(f, NULL, "A", "B");
	assert_non_null(f->values);
}

static void a_fifo_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/A", f->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	fetch(f, NULL, "A", NULL);
	assert_error(f, "secret A: the file A cannot be read: it is no regular file", NULL);
}

static void a_directory_that_is_not_there_is_said(void **state)
{
	struct fixture *f = *state;

	secrets_set_directory(f->secrets, "/no/such/folder");
	fetch(f, NULL, "A", NULL);
	assert_error(f,
		"the directory of secrets, /no/such/folder, cannot be read: No such file "
		"or directory",
		NULL);
	secrets_set_directory(f->secrets, NULL);
	fetch(f, NULL, "A", NULL);
	assert_error(f, "there is no directory of secrets: secrets.directory is not set", NULL);
}

static struct node *tree_with(const char *directory)
{
	struct node *root = node_new(NODE_GROUP, NULL, NULL, 0);
	struct node *secrets = node_new(NODE_GROUP, "secrets", "x.conf", 3);
	struct node *value = node_new(NODE_STRING, "directory", "x.conf", 4);

	value->string = xstrdup(directory);
	node_add(secrets, value);
	node_add(root, secrets);
	return root;
}

static void the_world_lists_secrets_with_size_and_mode(void **state)
{
	struct fixture *f = *state;
	_cleanup_(complaints_fini) struct complaints complaints = {0};
	_cleanup_node_ struct node *root = tree_with(f->folder);
	struct config_world w;

	PUT(f, "staging.A", "12345678\n");
	put(f, "A", "1234", 4, 0644);
	PUT(f, ".hidden", "x");
	config_world_init(&w, NULL, 0);
	config_world_scan(&w, root, &complaints);
	assert_int_equal(complaints.n, 0);
	assert_int_equal(w.spec.n_secrets, 2);
	assert_string_equal(w.spec.secrets[0].name, "A");
	assert_int_equal(w.spec.secrets[0].size, 4);
	assert_true(w.spec.secrets[0].world_readable);
	assert_string_equal(w.spec.secrets[1].name, "staging.A");
	assert_int_equal(w.spec.secrets[1].size, 8);
	assert_false(w.spec.secrets[1].world_readable);
	config_world_fini(&w);
}

static void a_directory_that_cannot_be_looked_at_is_a_warning(void **state)
{
	_cleanup_(complaints_fini) struct complaints complaints = {0};
	_cleanup_node_ struct node *root = tree_with("/no/such/folder");
	struct config_world w;

	config_world_init(&w, NULL, 0);
	config_world_scan(&w, root, &complaints);
	assert_int_equal(complaints.n, 1);
	assert_int_equal(complaints.n_errors, 0);
	assert_int_equal(complaints.items[0].line, 4);
	config_world_fini(&w);
}

static void zones_are_found_and_names_lead_nowhere_else(void **state)
{
	static const char *const wrong[] = {"", "../../../etc/passwd", "/etc/passwd", "Europe",
		"No/Such", "Europe/Paris ", "a..b", "./UTC"};
	struct config_world w;
	void *bytes = NULL;
	size_t len;

	config_world_init(&w, NULL, 0);
	assert_int_equal(w.spec.zone_bytes(w.spec.context, "Europe/Paris", &bytes, &len), 0);
	assert_memory_equal(bytes, "TZif", 4);
	free(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(
			w.spec.zone_bytes(w.spec.context, wrong[i], &bytes, &len), -ENOENT);
	config_world_fini(&w);
}

static void defaults_come_from_the_environment(void **state)
{
	struct config_world w;

	setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	config_world_init(&w, NULL, 0);
	assert_string_equal(w.spec.default_state, "/var/lib/a");
	assert_string_equal(w.spec.default_secrets_directory, "/run/credentials/x");
	config_world_fini(&w);
	unsetenv("STATE_DIRECTORY");
	unsetenv("CREDENTIALS_DIRECTORY");
	config_world_init(&w, NULL, 0);
	assert_null(w.spec.default_state);
	assert_null(w.spec.default_secrets_directory);
	config_world_fini(&w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(values_come_in_step_with_names_without_their_last_newline),
		TEST(the_environments_own_secret_wins_and_has_no_fallback),
		TEST(a_folder_that_systemd_handed_over_is_known_by_its_own_names),
		TEST(a_rotated_secret_is_read_anew),
		TEST(what_is_no_secret_is_said_by_name_and_never_by_value),
		TEST(a_fifo_holds_nobody_up),
		TEST(a_directory_that_is_not_there_is_said),
		TEST(the_world_lists_secrets_with_size_and_mode),
		TEST(a_directory_that_cannot_be_looked_at_is_a_warning),
		TEST(zones_are_found_and_names_lead_nowhere_else),
		TEST(defaults_come_from_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
