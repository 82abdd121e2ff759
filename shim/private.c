/* Happy path: made, written, removed. Failures: a start that is refused half way removes what was
 * made. The child may have left anything inside: folders it may not read, trees deeper than our
 * descriptors; folders that are too deep are first moved up to the top. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "shim/private.h"
#include "shim/refuse.h"

#define DEPTH_MAX   64
#define IDLE_PASSES 3 /* that moved nothing up and left something: it will not go */

static int make_directories(const struct order *order, char **ret_message)
{
	for (size_t i = 0; i < order->n_directories; i++)
		if (mkdir(order->directories[i], 0700) < 0 && errno != EEXIST)
			return refuse(ret_message, errno, "cannot make %s: %s",
				order->directories[i], strerror(errno));
	return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_file(const char *path, const struct order_bytes *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, content->data, content->len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

static int make_files(struct order *order, char **ret_message)
{
	for (size_t i = 0; i < order->n_files; i++) {
		const struct order_file *file = &order->files[i];
		_cleanup_free_ char *path = xasprintf("%s/%s", order->private, file->name);
		int r = write_file(path, &file->content);

		if (r < 0)
			return refuse(ret_message, -r, "cannot write the file %s: %s", file->name,
				strerror(-r));
		if (file->env[0])
			order_set_env(order, file->env, path, true);
	}
	return 0;
}

int private_make(struct private *private, struct order *order, char **ret_message)
{
	_cleanup_free_ char *tmp = NULL;
	int r = make_directories(order, ret_message);

	if (r < 0 || !order->private)
		return r;
	if (mkdir(order->private, 0700) < 0)
		return refuse(
			ret_message, errno, "cannot make %s: %s", order->private, strerror(errno));
	private->path = order->private;
	tmp = xasprintf("%s/" PRIVATE_TMP, order->private);
	if (mkdir(tmp, 0700) < 0)
		return refuse(ret_message, errno, "cannot make %s: %s", tmp, strerror(errno));
	order_set_env(order, "TMPDIR", tmp, false);
	return make_files(order, ret_message);
}

/* --- removal ------------------------------------------------------------------------------ */

struct removal {
	int top;
	unsigned moved; /* names of what was moved up */
	int error;	/* the first, negative */
};

static void note(struct removal *removal)
{
	if (removal->error == 0 && errno != ENOENT)
		removal->error = -errno;
}

/* Too deep: up to the top, where a later pass finds it. */
static void move_up(struct removal *removal, int parent, const char *name)
{
	char up[32];

	snprintf(up, sizeof(up), ".deep.%u", removal->moved++);
	if (renameat(parent, name, removal->top, up) < 0)
		note(removal);
}

static void empty_folder(struct removal *removal, int fd, int depth);

static void remove_folder(struct removal *removal, int parent, const char *name, int depth)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd;

	if (depth >= DEPTH_MAX) {
		move_up(removal, parent, name);
		return;
	}
	fd = openat(parent, name, flags);
	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, flags);
	if (fd < 0) {
		note(removal);
		return;
	}
	fchmod(fd, 0700);
	empty_folder(removal, fd, depth + 1);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
		note(removal);
}

/* Closes fd. */
static void empty_folder(struct removal *removal, int fd, int depth)
{
	DIR *folder = fdopendir(fd);
	struct dirent *entry;

	if (!folder) {
		note(removal);
		close(fd);
		return;
	}
	while ((entry = readdir(folder))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type != DT_DIR && unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		if (entry->d_type == DT_DIR || errno == EISDIR)
			remove_folder(removal, fd, entry->d_name, depth);
		else
			note(removal);
	}
	closedir(folder);
}

/* The usual case, by name: nothing in it but an empty TMPDIR. */
static bool remove_quickly(const char *path)
{
	_cleanup_free_ char *tmp = xasprintf("%s/" PRIVATE_TMP, path);

	return rmdir(tmp) == 0 && rmdir(path) == 0;
}

/* One walk over what is there. True when the folder itself is gone. */
static bool remove_pass(struct removal *removal, const char *path)
{
	int fd = openat(removal->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	removal->error = 0;
	if (fd < 0) {
		note(removal);
		return false;
	}
	empty_folder(removal, fd, 0);
	if (rmdir(path) == 0 || errno == ENOENT)
		return true;
	note(removal);
	return false;
}

int private_remove(struct private *private)
{
	struct removal removal = {0};
	const char *path = TAKE_PTR(private->path);
	bool gone = false;
	int idle = 0;

	if (!path || remove_quickly(path))
		return 0;
	removal.top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (removal.top < 0)
		return errno == ENOENT ? 0 : -errno;
	while (!gone && idle < IDLE_PASSES) {
		unsigned moved = removal.moved;

		gone = remove_pass(&removal, path);
		idle = removal.moved == moved ? idle + 1 : 0;
	}
	close(removal.top);
	return gone ? 0 : removal.error;
}
