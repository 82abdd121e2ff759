#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/state.h"

static int fail(int error, char **ret_error, const char *what, const char *path)
{
	*ret_error = xasprintf("%s %s: %s", what, path, strerror(error));
	return -error;
}

/* The folder and those above it that are missing. */
static int make_folders(const char *path, char **ret_error)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return fail(errno, ret_error, "cannot make the folder", copy);
		*slash = '/';
	}
	if (mkdir(copy, 0700) < 0 && errno != EEXIST)
		return fail(errno, ret_error, "cannot make the state folder", copy);
	return 0;
}

static int take_lock(const char *path, int *ret, char **ret_error)
{
	_cleanup_free_ char *file = xasprintf("%s/lock", path);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error;

	if (fd < 0)
		return fail(errno, ret_error, "cannot open", file);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret = fd;
		return 0;
	}
	error = errno;
	close(fd);
	if (error != EWOULDBLOCK)
		return fail(error, ret_error, "cannot lock", file);
	*ret_error = xasprintf("another nightjard runs on the state folder %s", path);
	return -EBUSY;
}

static void uuid_of(const unsigned char b[16], char ret[MACHINE_TEXT])
{
	snprintf(ret, MACHINE_TEXT,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
}

static int read_uuid(const char *file, char ret[MACHINE_TEXT])
{
	char text[MACHINE_TEXT + 1] = {0};
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < MACHINE_TEXT - 1)
		return -EBADMSG;
	memcpy(ret, text, MACHINE_TEXT - 1);
	ret[MACHINE_TEXT - 1] = '\0';
	return 0;
}

static int write_uuid(const char *file, const char *uuid)
{
	_cleanup_free_ char *fresh = xasprintf("%s.new", file);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool well;

	if (fd < 0)
		return -errno;
	well = dprintf(fd, "%s\n", uuid) > 0 && fsync(fd) == 0;
	if (close(fd) < 0 || !well || rename(fresh, file) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

/* Made once, at the first start on this folder. */
static int machine_uuid(const char *path, char ret[MACHINE_TEXT], char **ret_error)
{
	_cleanup_free_ char *file = xasprintf("%s/machine", path);
	unsigned char bytes[16];
	int r = read_uuid(file, ret);

	if (r == 0)
		return 0;
	if (r != -ENOENT)
		return fail(-r, ret_error, "cannot read", file);
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return fail(errno, ret_error, "cannot make a UUID for", file);
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	uuid_of(bytes, ret);
	r = write_uuid(file, ret);
	return r < 0 ? fail(-r, ret_error, "cannot write", file) : 0;
}

int state_open(const char *path, struct state *ret, char **ret_error)
{
	struct state s = {.lock = -1};
	char full[PATH_MAX];
	int r = make_folders(path, ret_error);

	if (r < 0)
		return r;
	if (!realpath(path, full))
		return fail(errno, ret_error, "cannot find the state folder", path);
	r = take_lock(full, &s.lock, ret_error);
	if (r == 0)
		r = machine_uuid(full, s.machine, ret_error);
	if (r == 0) {
		r = read_uuid("/proc/sys/kernel/random/boot_id", s.boot_id);
		if (r < 0)
			fail(-r, ret_error, "cannot read", "the boot id");
	}
	if (r < 0) {
		state_close(&s);
		return r;
	}
	s.path = xstrdup(full);
	*ret = s;
	return 0;
}

void state_close(struct state *s)
{
	free(s->path);
	s->path = NULL;
	if (s->lock >= 0)
		close(s->lock);
	s->lock = -1;
}
