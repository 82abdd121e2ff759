/* An action's log as one stream: see reader.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "daemon/proc/reader.h"

enum {
	N_FILES = 3,
	HEADER_MAX = 64,
	TRIES = 4,
};

static const char *const file_names[N_FILES] = {"output.log", "output.1", "output.2"};

struct log_file {
	int fd;		 /* -1: not there */
	uint64_t offset; /* the position of its first line */
	off_t header;	 /* the length of its first line, if that says the offset */
	uint64_t size;	 /* bytes of lines */
};

/* "# offset N\n"; *ret_header is its length. */
static bool parse_header(const char *s, size_t len, uint64_t *ret_offset, off_t *ret_header)
{
	static const char prefix[] = "# offset ";
	size_t i = sizeof(prefix) - 1;
	uint64_t n = 0;

	if (len <= i || memcmp(s, prefix, i) != 0 || s[i] == '\n')
		return false;
	for (; i < len && s[i] != '\n'; i++) {
		if (s[i] < '0' || s[i] > '9' || n > UINT64_MAX / 10 - 1)
			return false;
		n = n * 10 + (s[i] - '0');
	}
	if (i == len)
		return false;
	*ret_offset = n;
	*ret_header = i + 1;
	return true;
}

static bool read_header(int fd, uint64_t *ret_offset, off_t *ret_header)
{
	char text[HEADER_MAX];
	ssize_t n = pread(fd, text, sizeof(text), 0);

	return n > 0 && parse_header(text, n, ret_offset, ret_header);
}

static void file_open(int folder, unsigned i, struct log_file *f)
{
	struct stat st;

	*f = (struct log_file){.fd = -1};
	f->fd = openat(folder, file_names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (f->fd < 0)
		return;
	if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		(i > 0 && !read_header(f->fd, &f->offset, &f->header)) || st.st_size < f->header) {
		close(f->fd);
		f->fd = -1;
		return;
	}
	f->size = st.st_size - f->header;
}

static void files_close(struct log_file files[N_FILES])
{
	for (unsigned i = 0; i < N_FILES; i++)
		if (files[i].fd >= 0)
			close(files[i].fd);
}

static struct log_file *file_holding(struct log_file files[N_FILES], uint64_t position)
{
	for (unsigned i = 0; i < N_FILES; i++) {
		struct log_file *f = &files[i];

		if (f->fd >= 0 && f->offset <= position && position - f->offset < f->size)
			return f;
	}
	return NULL;
}

/* The first file that begins behind the position. */
static struct log_file *file_after(struct log_file files[N_FILES], uint64_t position)
{
	struct log_file *best = NULL;

	for (unsigned i = 0; i < N_FILES; i++) {
		struct log_file *f = &files[i];

		if (f->fd >= 0 && f->size > 0 && f->offset > position &&
			(!best || f->offset < best->offset))
			best = f;
	}
	return best;
}

/* Bytes at the position, -1 when the file was overwritten meanwhile. */
static ssize_t file_read(const struct log_file *f, uint64_t position, char *buf, size_t cap)
{
	ssize_t n = pread(f->fd, buf, cap, f->header + (off_t)(position - f->offset));
	uint64_t offset;
	off_t header;

	if (n < 0)
		return 0;
	if (f->header == 0)
		return n;
	if (!read_header(f->fd, &offset, &header) || offset != f->offset)
		return -1;
	return n;
}

/* Cuts n bytes to whole lines: the number of bytes to give, and to go on by. */
static size_t whole_lines(char *buf, size_t n, size_t cap, bool last, size_t *ret_skip)
{
	char *newline = memrchr(buf, '\n', n);

	*ret_skip = 0;
	if (newline)
		return newline + 1 - buf;
	if (n == cap) {
		*ret_skip = n; /* no line of ours is so long */
	} else if (last && n > 0) {
		buf[n] = '\n';
		*ret_skip = n;
		return n + 1;
	}
	return 0;
}

/* One look at the files. false: look again. */
static bool read_once(int folder, bool final, uint64_t *position, char *buf, size_t cap,
	size_t *ret_len, uint64_t *ret_gap)
{
	struct log_file files[N_FILES], *f, *after;
	uint64_t at = *position;
	bool good = true;

	for (unsigned i = 0; i < N_FILES; i++)
		file_open(folder, i, &files[i]);
	for (;;) {
		ssize_t n;
		size_t skip = 0;

		f = file_holding(files, at);
		after = file_after(files, at);
		n = f ? file_read(f, at, buf, cap) : 0;
		if (n < 0) {
			good = false;
			break;
		}
		*ret_len = whole_lines(buf, n, cap, final && !after, &skip);
		if (*ret_len > 0 || skip > 0 || !after) {
			*ret_gap = at - *position + (*ret_len == 0 ? skip : 0);
			*position = at + (skip > 0 ? skip : *ret_len);
			break;
		}
		at = after->offset;
	}
	files_close(files);
	return good;
}

int log_read(const char *folder, bool final, uint64_t *position, char *buf, size_t cap,
	size_t *ret_len, uint64_t *ret_gap)
{
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_len = 0;
	*ret_gap = 0;
	for (unsigned i = 0; i < TRIES; i++)
		if (read_once(fd, final, position, buf, cap, ret_len, ret_gap))
			break;
	close(fd);
	return 0;
}
