/* The folders of actions: see folder.h. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/proc/folder.h"

static bool only_of(const char *s, const char *accept)
{
	return *s && s[strspn(s, accept)] == '\0';
}

bool place_is_valid(const struct action_place *place)
{
	return strlen(place->run_id) == UUID_TEXT - 1 &&
	       only_of(place->run_id, "0123456789abcdefABCDEF-") &&
	       only_of(place->action, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

char *place_attempt(const char *state, const struct action_place *place)
{
	return xasprintf("%s/actions/%s/%u/%u.%u", state, place->run_id, place->cell, place->step,
		place->attempt);
}

char *place_folder(const char *state, const struct action_place *place)
{
	return xasprintf("%s/actions/%s/%u/%u.%u/%s", state, place->run_id, place->cell,
		place->step, place->attempt, place->action);
}

/* The last twelve digits of a UUID are random in all its versions that we make. */
char *place_nickname(const struct action_place *place)
{
	return xasprintf("nightjar-%s-%u-%u.%u-%s", place->run_id + UUID_TEXT - 1 - 12, place->cell,
		place->step, place->attempt, place->action);
}

/* From the deepest one up: the upper ones are nearly always there. */
static int make_parent(char *path)
{
	char *slash = strrchr(path, '/');
	int r;

	if (!slash || slash == path)
		return -ENOENT;
	*slash = '\0';
	r = mkdir(path, 0700) < 0 ? -errno : 0;
	if (r == -ENOENT) {
		r = make_parent(path);
		if (r == 0 && mkdir(path, 0700) < 0)
			r = -errno;
	}
	*slash = '/';
	return r == -EEXIST ? 0 : r;
}

int folder_make(const char *path)
{
	_cleanup_free_ char *copy = NULL;
	int r;

	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno == ENOENT) {
		copy = xstrdup(path);
		r = make_parent(copy);
		if (r < 0)
			return r;
		if (mkdir(path, 0700) == 0)
			return 0;
	}
	return errno == EEXIST ? FOLDER_E_EXISTS : -errno;
}

static char *join(const char *folder, const char *name)
{
	return name[0] == '/' ? xstrdup(name) : xasprintf("%s/%s", folder, name);
}

static int read_all(int fd, size_t cap, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > cap)
		return -EFBIG;
	data = xmalloc(st.st_size + 1);
	while (n > 0 && len < (size_t)st.st_size) {
		n = pread(fd, data + len, st.st_size - len, len);
		if (n < 0)
			return -errno;
		len += n;
	}
	data[len] = '\0';
	*ret = TAKE_PTR(data);
	*ret_len = len;
	return 0;
}

int read_file_at(const char *folder, const char *name, size_t cap, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *path = join(folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	int r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, cap, ret, ret_len);
	close(fd);
	return r;
}

void remove_file_at(const char *folder, const char *name)
{
	_cleanup_free_ char *path = join(folder, name);

	unlink(path);
}

bool file_exists(const char *folder, const char *name)
{
	_cleanup_free_ char *path = join(folder, name);

	return access(path, F_OK) == 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= n;
	}
	return 0;
}

int file_replace(const char *folder, const char *name, const char *text, size_t len)
{
	_cleanup_free_ char *path = join(folder, name), *fresh = xasprintf("%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, text, len);
	close(fd);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(fresh);
	return r;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	remove(path);
	return 0;
}

int tree_remove(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return -errno;
	return access(path, F_OK) == 0 ? -ENOTEMPTY : 0;
}

char *private_root(void)
{
	const char *runtime = getenv("RUNTIME_DIRECTORY");
	struct statfs fs;

	if (runtime && runtime[0] == '/') {
		_cleanup_free_ char *first = xstrndup(runtime, strcspn(runtime, ":"));

		if (access(first, W_OK | X_OK) == 0)
			return TAKE_PTR(first);
	}
	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
		access("/dev/shm", W_OK | X_OK) == 0)
		return xstrdup("/dev/shm");
	return NULL;
}
