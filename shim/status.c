/* Happy path: reserved, filled, renamed, synced. Failures: a disk that is full at the start
 * means no start at all; one that fills up later cannot keep the report from its own blocks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "shim/protocol.h"
#include "shim/status.h"
#include "shim/when.h"

#define RESERVED    4096
#define MESSAGE_MAX 800 /* four times as long at worst, it still fits */

/* --- started ------------------------------------------------------------------------------ */

static int read_file(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	r = n < 0 ? -errno : 0;
	close(fd);
	ret[n > 0 ? n : 0] = '\0';
	return r;
}

static unsigned long long own_start_time(void)
{
	char line[1024];
	char *at;

	if (read_file("/proc/self/stat", line, sizeof(line)) < 0)
		return 0;
	at = strrchr(line, ')'); /* the name before it may hold anything; field 3 follows */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static int write_whole(int fd, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int status_write_started(int folder)
{
	char boot_id[64], at[WHEN_MAX], text[256];
	int fd, n, r = read_file("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));

	if (r < 0)
		return r;
	boot_id[strcspn(boot_id, "\n")] = '\0';
	when_nano(at);
	n = snprintf(text, sizeof(text),
		"{\"version\":%d,\"boot_id\":\"%s\",\"pid\":%d,\"start_time\":%llu,\"at\":\"%s\"}"
		"\n",
		SHIM_VERSION, boot_id, (int)getpid(), own_start_time(), at);
	fd = openat(folder, "started.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_whole(fd, text, (size_t)n);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(folder, "started.new", folder, "started") < 0)
		r = -errno;
	return r;
}

/* --- status.json -------------------------------------------------------------------------- */

int status_reserve(struct status *status, int folder)
{
	int fd = openat(folder, "status.json.new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

	*status = (struct status){.folder = folder, .fd = fd, .code = -1, .signal = -1};
	if (fd < 0)
		return -errno;
	do
		r = posix_fallocate(fd, 0, RESERVED);
	while (r == EINTR);
	return -r;
}

static void add_quoted(struct buf *out, const char *s, size_t max)
{
	_cleanup_buf_ struct buf clean = BUF_NULL;

	text_escape(&clean, s, strnlen(s, max));
	buf_putc(out, '"');
	for (size_t i = 0; i < clean.len; i++) {
		if (clean.data[i] == '"' || clean.data[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, clean.data[i]);
	}
	buf_putc(out, '"');
}

static void add_string(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, ",\"%s\":", key);
	if (value)
		add_quoted(out, value, MESSAGE_MAX);
	else
		buf_puts(out, "null");
}

static void add_number(struct buf *out, const char *key, int value)
{
	if (value < 0)
		buf_printf(out, ",\"%s\":null", key);
	else
		buf_printf(out, ",\"%s\":%d", key, value);
}

static void add_time(struct buf *out, const char *key, int64_t usec)
{
	char text[WHEN_MAX];

	when_text(usec, text);
	add_string(out, key, usec ? text : NULL);
}

static void compose(const struct status *status, struct buf *out)
{
	buf_printf(out, "{\"version\":%d", SHIM_VERSION);
	add_string(out, "end", status->end);
	add_number(out, "code", status->code);
	add_number(out, "signal", status->signal);
	add_string(out, "stop", status->stop);
	buf_printf(out, ",\"lease_over\":%s", status->lease_over ? "true" : "false");
	buf_printf(out, ",\"oom_killed\":%s", status->oom_killed ? "true" : "false");
	add_string(out, "message", status->message);
	add_time(out, "started_at", status->started_at);
	add_time(out, "ended_at", status->ended_at);
	buf_printf(out,
		",\"max_rss\":%llu,\"cpu_ms\":%llu,\"output_bytes\":%llu,\"output_dropped\":%llu}"
		"\n",
		(unsigned long long)status->max_rss, (unsigned long long)status->cpu_ms,
		(unsigned long long)status->output_bytes,
		(unsigned long long)status->output_dropped);
}

/* Renamed before it is synced: one commit of the file system's journal then holds the text, and the
 * new name with it (the rename changed the inode that fsync is asked for). A power cut in between
 * may leave a file that cannot be read, which says the same as none: interrupted. */
int status_write(struct status *status)
{
	_cleanup_buf_ struct buf text = BUF_NULL;
	int r;

	compose(status, &text);
	r = write_whole(status->fd, text.data, text.len);
	if (r < 0)
		return r;
	if (ftruncate(status->fd, (off_t)text.len) < 0 ||
		renameat(status->folder, "status.json.new", status->folder, "status.json") < 0 ||
		fsync(status->fd) < 0)
		return -errno;
	return 0;
}
