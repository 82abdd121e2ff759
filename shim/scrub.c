/* Happy path: each file is read through the masks once, and nothing is found. Failures: what cannot
 * be opened is made readable first (it is our own user's); a full disk must not keep a secret, so
 * that the file is removed then. Links are neither followed nor looked into. The shim does this
 * before it reports, and the daemon after a shim that died; the folder has no other writers then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/memory.h"
#include "shim/scrub.h"

#define DEPTH_MAX 64
#define CHUNK	  (256u << 10)
#define FRESH	  ".nightjar-scrub"

struct scrub {
	const struct mask_set *masks;
	char *const *untouched;
	struct buf path; /* of what is looked at, relative to the folder of all */
	char *chunk;
	unsigned renamed;
	int error; /* the first, negative */
};

static void note(struct scrub *s, int error)
{
	if (s->error == 0 && error != ENOENT)
		s->error = -error;
}

/* Opens what its maker may have closed to itself. */
static int open_at(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd;
}

static int write_whole(int fd, const struct buf *b)
{
	for (size_t done = 0; done < b->len;) {
		ssize_t n = write(fd, b->data + done, b->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Through the masks into `to` (-1: nowhere). A match is longer than what stands for it, so the
 * difference says whether there was one. 0, or negative errno. */
static int pass(const struct scrub *s, int from, int to, uint64_t *ret_less)
{
	struct mask_stream stream = MASK_STREAM_NULL;
	_cleanup_buf_ struct buf out = BUF_NULL;
	uint64_t less = 0;
	ssize_t n = 1;
	int r = 0;

	for (off_t at = 0; n > 0 && r == 0; at += n) {
		n = pread(from, s->chunk, CHUNK, at);
		if (n < 0)
			r = -errno;
		else if (n > 0)
			mask_stream_feed(s->masks, &stream, s->chunk, (size_t)n, &out);
		else
			mask_stream_end(s->masks, &stream, &out);
		if (r == 0 && to >= 0)
			r = write_whole(to, &out);
		less += (uint64_t)MAX(n, 0) - out.len; /* wraps while bytes are held back */
		buf_clear(&out);
	}
	mask_stream_fini(&stream);
	if (r == 0)
		*ret_less = less;
	return r;
}

static int replace(const struct scrub *s, int dir, const char *name, int from, mode_t mode)
{
	uint64_t less;
	int fd, r;

	unlinkat(dir, FRESH, 0);
	fd = openat(dir, FRESH, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = pass(s, from, fd, &less);
	fchmod(fd, mode & 0777);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(dir, FRESH, dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, FRESH, 0);
	return r;
}

static void scrub_file(struct scrub *s, int dir, const char *name)
{
	uint64_t less = 0;
	struct stat st;
	int fd = open_at(dir, name, O_RDONLY), r;

	if (fd < 0) {
		note(s, errno);
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		r = pass(s, fd, -1, &less);
		if (r == 0 && less > 0 && replace(s, dir, name, fd, st.st_mode) < 0 &&
			unlinkat(dir, name, 0) < 0)
			r = -errno;
		if (r < 0)
			note(s, -r);
	}
	close(fd);
}

static void scrub_name(struct scrub *s, int dir, const char *name)
{
	_cleanup_free_ char *masked = mask_string(s->masks, name), *fresh = NULL;

	if (strcmp(masked, name) == 0)
		return;
	fresh = xasprintf("%s.%u", masked, ++s->renamed);
	if (renameat(dir, name, dir, fresh) < 0)
		note(s, errno);
}

static void path_cut(struct scrub *s, size_t len)
{
	s->path.len = len;
	s->path.data[len] = '\0';
}

static bool is_untouched(struct scrub *s)
{
	for (size_t i = 0; s->untouched && s->untouched[i]; i++)
		if (strcmp(buf_str(&s->path), s->untouched[i]) == 0)
			return true;
	return false;
}

static void scrub_folder(struct scrub *s, int fd, int depth);

static void scrub_entry(struct scrub *s, int dir, const char *name, int depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		note(s, errno);
		return;
	}
	if (S_ISREG(st.st_mode) && is_untouched(s))
		return;
	if (S_ISREG(st.st_mode))
		scrub_file(s, dir, name);
	if (S_ISDIR(st.st_mode)) {
		fd = depth < DEPTH_MAX ? open_at(dir, name, O_RDONLY | O_DIRECTORY) : -1;
		if (fd >= 0)
			scrub_folder(s, fd, depth + 1);
		else
			note(s, depth < DEPTH_MAX ? errno : ELOOP);
	}
	scrub_name(s, dir, name);
}

/* The names first: what is renamed on the way must not be met again. */
static char **list_names(DIR *folder, size_t *ret_n)
{
	char **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;

	while ((entry = readdir(folder))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		XGROW(names, n, cap);
		names[n++] = xstrdup(entry->d_name);
	}
	*ret_n = n;
	return names;
}

/* Closes fd. */
static void scrub_folder(struct scrub *s, int fd, int depth)
{
	bool own = faccessat(fd, "action.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	DIR *folder = own ? NULL : fdopendir(fd);
	char **names;
	size_t n;

	if (!folder) {
		if (!own)
			note(s, errno);
		close(fd);
		return;
	}
	names = list_names(folder, &n);
	for (size_t i = 0, len = s->path.len; i < n; i++) {
		buf_printf(&s->path, "%s%s", len ? "/" : "", names[i]);
		scrub_entry(s, fd, names[i], depth);
		path_cut(s, len);
		free(names[i]);
	}
	free(names);
	closedir(folder);
}

int scrub(const char *path, const struct mask_set *masks, char *const *untouched)
{
	struct scrub s = {.masks = masks, .untouched = untouched};
	int fd;

	if (mask_set_count(masks) == 0)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	s.chunk = xmalloc(CHUNK);
	scrub_folder(&s, fd, 0);
	explicit_bzero(s.chunk, CHUNK);
	free(s.chunk);
	buf_fini(&s.path);
	return s.error;
}
