/* Happy path: a fetch becomes one job on the thread pool, which lists the directory, finds each
 * secret's file and reads it; back on the loop the values are handed over.
 * Failures: a file that is missing, too large, or no text fails the whole fetch with a sentence
 * that names the secret and never holds a part of it. Values are wiped before they are freed. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/text.h"
#include "daemon/config/file.h"
#include "daemon/config/secrets.h"
#include "daemon/config/world.h"

#define SECRET_MAX ((size_t)1 << 20)

struct secrets {
	uv_loop_t *loop;
	struct open_count *count;
	char *directory;
};

struct fetch {
	struct work work;
	struct secrets_request *request; /* the caller's; unchanged until its `done` */
	char *directory;
	char **values;
	char *error;
};

static void wipe(char **values)
{
	for (size_t i = 0; values && values[i]; i++) {
		explicit_bzero(values[i], strlen(values[i]));
		free(values[i]);
	}
	free(values);
}

/* What is wrong with the value; NULL: nothing. */
static const char *check_value(const char *value, size_t len)
{
	if (len > SECRET_MAX)
		return "its file is larger than 1 MiB";
	if (memchr(value, '\0', len))
		return "its file holds a NUL byte";
	if (!utf8_is_valid(value, len))
		return "its file is not valid UTF-8";
	return NULL;
}

static char *cannot_read(const char *name, const char *file, int r)
{
	const char *why = strerror(-r);

	if (r == -EFBIG)
		why = "it is larger than 1 MiB";
	if (r == -EINVAL)
		why = "it is no regular file";
	return xasprintf("secret %s: the file %s cannot be read: %s", name, file, why);
}

/* The value of one secret, listed as `full`, or NULL with *ret_error. */
static char *read_secret(int dir, const char *full, const char *name, char **ret_error)
{
	_cleanup_free_ char *file = config_secret_file(dir, full);
	const char *wrong;
	char *value;
	size_t len;
	int r;

	r = file_read(dir, file, SECRET_MAX + 1, &value, &len);
	if (r < 0) {
		*ret_error = cannot_read(name, file, r);
		return NULL;
	}
	if (len > 0 && value[len - 1] == '\n')
		value[--len] = '\0';
	wrong = check_value(value, len);
	if (wrong) {
		*ret_error = xasprintf("secret %s: %s", name, wrong);
		explicit_bzero(value, len);
		free(value);
		return NULL;
	}
	return value;
}

static char *no_such(const struct fetch *f, const char *name)
{
	const char *environment = f->request->environment;

	return xasprintf("secret %s: there is no file for it in %s%s%s", name, f->directory,
		environment ? ", for environment " : "", environment ? environment : "");
}

static void read_secrets(struct fetch *f, int dir, char **files, size_t n_files)
{
	const struct secrets_request *r = f->request;
	size_t n = strv_length(r->names);

	f->values = xcalloc(n + 1, sizeof(*f->values));
	for (size_t i = 0; i < n && !f->error; i++) {
		_cleanup_free_ char *file = spec_secret_file(
			(const char *const *)files, n_files, r->environment, r->names[i]);

		if (file)
			f->values[i] = read_secret(dir, file, r->names[i], &f->error);
		else
			f->error = no_such(f, r->names[i]);
	}
}

/* On the pool. */
static void fetch_run(struct work *w)
{
	struct fetch *f = container_of(w, struct fetch, work);
	char **files;
	size_t n;
	int dir, r;

	if (!f->directory) {
		f->error =
			xstrdup("there is no directory of secrets: secrets.directory is not set");
		return;
	}
	dir = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 ? -errno : config_list_secrets(dir, &files, &n);
	if (r < 0) {
		f->error = xasprintf("the directory of secrets, %s, cannot be read: %s",
			f->directory, strerror(-r));
	} else {
		read_secrets(f, dir, files, n);
		strv_free(files);
	}
	if (dir >= 0)
		close(dir);
}

static void fetch_done(struct work *w)
{
	struct fetch *f = container_of(w, struct fetch, work);
	struct secrets_request *request = f->request;
	_cleanup_free_ char *error = f->error;
	char **values = f->values;

	free(f->directory);
	free(f);
	if (error) {
		wipe(values);
		values = NULL;
	}
	request->done(request, error, values);
}

static void fetch(void *self, struct secrets_request *r)
{
	struct secrets *s = self;
	struct fetch *f = xnew(struct fetch);

	f->request = r;
	f->directory = xstrdup(s->directory);
	work_start(&f->work, s->loop, s->count, fetch_run, fetch_done);
}

struct secrets *secrets_new(uv_loop_t *loop, struct open_count *count)
{
	struct secrets *s = xnew(struct secrets);

	s->loop = loop;
	s->count = count;
	return s;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	free(s->directory);
	free(s);
}

void secrets_set_directory(struct secrets *s, const char *directory)
{
	free(s->directory);
	s->directory = xstrdup(directory);
}

void secrets_port(struct secrets *s, struct secrets_port *ret)
{
	*ret = (struct secrets_port){.self = s, .fetch = fetch};
}
