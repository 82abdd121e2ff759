#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/text.h"
#include "daemon/config/file.h"
#include "daemon/config/world.h"

#define ZONES	    "/usr/share/zoneinfo"
#define ZONE_MAX    ((size_t)1 << 20)
#define SECRETS_MAX 10000
#define CREDENTIALS "credentials_"

/* --- zones -------------------------------------------------------------------------------- */

/* "Europe/Paris", and never a way out of the folder. */
static bool zone_name_is_valid(const char *name)
{
	if (!*name || strlen(name) > 64 || *name == '/')
		return false;
	for (const char *s = name; *s; s++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/",
			    *s))
			return false;
	return true;
}

static int zone_bytes(void *context, const char *name, void **ret, size_t *ret_len)
{
	_cleanup_free_ char *path = NULL;
	char *data;
	int r;

	if (!zone_name_is_valid(name))
		return -ENOENT;
	path = xasprintf(ZONES "/%s", name);
	r = file_read(AT_FDCWD, path, ZONE_MAX, &data, ret_len);
	if (r < 0)
		return r == -EISDIR ? -ENOENT : r;
	*ret = data;
	return 0;
}

/* --- secrets ------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_all(DIR *d, char ***ret, size_t *ret_n)
{
	char **names = xcalloc(1, sizeof(*names));
	struct dirent *entry;
	size_t n = 0;

	while ((errno = 0, entry = readdir(d))) {
		if (entry->d_name[0] == '.' || entry->d_type == DT_DIR)
			continue;
		if (n >= SECRETS_MAX) {
			strv_free(names);
			return -E2BIG;
		}
		names = strv_add(names, &n, xstrdup(entry->d_name));
		if (str_starts(entry->d_name, CREDENTIALS))
			names = strv_add(names, &n, xstrdup(entry->d_name + strlen(CREDENTIALS)));
	}
	if (errno) {
		int r = -errno;

		strv_free(names);
		return r;
	}
	qsort(names, n, sizeof(*names), by_text);
	*ret = names;
	*ret_n = n;
	return 0;
}

int config_list_secrets(int dir, char ***ret, size_t *ret_n)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	r = list_all(d, ret, ret_n);
	closedir(d);
	return r;
}

char *config_secret_file(int dir, const char *name)
{
	if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return xstrdup(name);
	return xasprintf(CREDENTIALS "%s", name);
}

/* The newline at the end is no part of a secret. */
static size_t size_of_secret(int dir, const char *name, const struct stat *st)
{
	size_t size = (size_t)st->st_size;
	char last = '\0';
	int fd;

	if (size == 0)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return size;
	if (pread(fd, &last, 1, st->st_size - 1) == 1 && last == '\n')
		size--;
	close(fd);
	return size;
}

static void look_at_secrets(struct config_world *w, int dir, char **names, size_t n)
{
	w->secrets = xcalloc(n + 1, sizeof(*w->secrets));
	w->spec.secrets = w->secrets;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *file = config_secret_file(dir, names[i]);
		struct stat st;

		if (fstatat(dir, file, &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		w->secrets[w->spec.n_secrets++] = (struct secret_info){
			.name = xstrdup(names[i]),
			.size = size_of_secret(dir, file, &st),
			.world_readable = (st.st_mode & S_IROTH) != 0,
		};
	}
}

static int scan_directory(struct config_world *w)
{
	char **names;
	size_t n;
	int dir, r;

	dir = open(w->secrets_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = config_list_secrets(dir, &names, &n);
	if (r >= 0) {
		look_at_secrets(w, dir, names, n);
		strv_free(names);
	}
	close(dir);
	return r;
}

void config_world_scan(
	struct config_world *w, const struct node *root, struct complaints *complaints)
{
	const struct node *setting = node_get(node_get(root, "secrets"), "directory");
	int r;

	if (setting && setting->type == NODE_STRING) {
		w->secrets_directory = xstrdup(setting->string);
		w->file = setting->file;
		w->line = setting->line;
	} else {
		w->secrets_directory = xstrdup(w->default_secrets_directory);
	}
	if (!w->secrets_directory)
		return;
	r = scan_directory(w);
	if (r < 0)
		complain_warning(complaints, w->file, w->line,
			"the directory of secrets, %s, cannot be read: %s", w->secrets_directory,
			strerror(-r));
}

/* --- the whole ---------------------------------------------------------------------------- */

/* systemd gives several folders with colons between. */
static char *folder_from_environment(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value ? xstrndup(value, strcspn(value, ":")) : NULL;
}

void config_world_init(struct config_world *w, const struct spec_kind *kinds, size_t n_kinds)
{
	*w = (struct config_world){
		.default_state = folder_from_environment("STATE_DIRECTORY"),
		.default_secrets_directory = folder_from_environment("CREDENTIALS_DIRECTORY"),
	};
	w->spec = (struct spec_world){
		.zone_bytes = zone_bytes,
		.check_secrets = true,
		.default_state = w->default_state,
		.default_secrets_directory = w->default_secrets_directory,
		.kinds = kinds,
		.n_kinds = n_kinds,
	};
}

void config_world_fini(struct config_world *w)
{
	for (size_t i = 0; i < w->spec.n_secrets; i++)
		free(w->secrets[i].name);
	free(w->secrets);
	free(w->secrets_directory);
	free(w->default_state);
	free(w->default_secrets_directory);
	*w = (struct config_world){0};
}
