#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/text.h"
#include "shim/log.h"
#include "shim/protocol.h"
#include "shim/when.h"

#define FLUSH_AT   (64u << 10)
#define ESCAPE_MAX 8u  /* the longest form of one character */
#define PREFIX_MAX 64u /* time, stream and flag */

static const char *const stream_names[LOG_STREAMS] = {
	[LOG_STDOUT] = "stdout",
	[LOG_STDERR] = "stderr",
};

/* --- files -------------------------------------------------------------------------------- */

int log_open(struct log *log, int folder, const struct order *order)
{
	*log = LOG_NULL;
	log->folder = folder;
	log->order = order;
	log->file_cap = order->log_cap / 2;
	log->fd = openat(
		folder, "output.log", O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	return log->fd < 0 ? -errno : 0;
}

static ssize_t write_some(int fd, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* A write that broke off left a part of a line: end it, so that the next one stands alone. */
static bool mend(struct log *log)
{
	if (!log->torn)
		return true;
	if (write_some(log->fd, "\n", 1) != 1)
		return false;
	log->torn = false;
	log->file_size++;
	log->offset++;
	return true;
}

static void flush(struct log *log)
{
	size_t len = log->pending.len, done = 0;

	if (len == 0)
		return;
	if (log->fd >= 0 && mend(log))
		done = (size_t)write_some(log->fd, log->pending.data, len);
	if (done > 0) {
		log->torn = log->pending.data[done - 1] != '\n';
		log->file_size += done;
		log->offset += done;
	}
	if (done < len) { /* in proportion: which line came from how many bytes is not kept */
		uint64_t lost = (uint64_t)log->counted * (len - done) / len;

		log->dropped += lost;
		log->counted -= (size_t)lost;
	}
	log->file_counted += log->counted;
	log->counted = 0;
	buf_clear(&log->pending);
}

/* Made beside and renamed, so that a follower finds either the old file or the new one with its
 * first line. */
static int make_tail(struct log *log, const char *name)
{
	char opening[64];
	int n = snprintf(
		opening, sizeof(opening), "# offset %llu\n", (unsigned long long)log->offset);
	int fd = openat(log->folder, "output.new",
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (write_some(fd, opening, (size_t)n) == n &&
		renameat(log->folder, "output.new", log->folder, name) == 0) {
		log->file_size = (uint64_t)n;
		return fd;
	}
	close(fd);
	unlinkat(log->folder, "output.new", 0);
	return -ENOSPC;
}

/* The next tail file, over the older one. */
static bool rotate(struct log *log)
{
	unsigned next = log->file == 1 ? 2 : 1;
	int fd;

	flush(log);
	if (log->stuck)
		return false;
	fd = make_tail(log, next == 1 ? "output.1" : "output.2");
	if (fd < 0) {
		log->stuck = true;
		return false;
	}
	if (log->file > 0)
		log->tail_counted[log->file] = log->file_counted;
	log->dropped += log->tail_counted[next];
	log->tail_counted[next] = 0;
	close(log->fd);
	log->fd = fd;
	log->file = next;
	log->file_counted = 0;
	log->file_cap = log->order->log_cap / 4;
	log->torn = false;
	return true;
}

/* --- lines -------------------------------------------------------------------------------- */

/* One line's text, whatever the caps. */
static size_t text_max(const struct log *log)
{
	uint64_t tail = log->order->log_cap / 4 - 2 * PREFIX_MAX;

	return tail < SHIM_LINE_MAX ? (size_t)tail : SHIM_LINE_MAX;
}

struct emission {
	struct log *log;
	struct log_line *line;
	char prefix[PREFIX_MAX]; /* of a whole line */
	size_t prefix_len;
	size_t text_max;
};

static void emit(struct emission *e, const char *text, size_t len, size_t counted, char flag)
{
	struct log *log = e->log;
	size_t size = e->prefix_len + len + 1;

	if (log->file_size + log->pending.len + log->torn + size > log->file_cap && !rotate(log)) {
		log->dropped += counted;
		return;
	}
	e->prefix[e->prefix_len - 2] = flag;
	buf_append(&log->pending, e->prefix, e->prefix_len);
	buf_append(&log->pending, text, len);
	buf_putc(&log->pending, '\n');
	log->counted += counted;
	if (log->pending.len >= FLUSH_AT)
		flush(log);
}

static void emit_line(struct emission *e, char flag)
{
	struct log_line *line = e->line;

	emit(e, buf_str(&line->text), line->text.len, line->counted, flag);
	buf_clear(&line->text);
	line->counted = 0;
}

/* How many bytes from p on are printable ASCII: eight at a time. */
static size_t plain_run(const char *p, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
	size_t n = 0;

	for (; len - n >= 8; n += 8) {
		uint64_t w;

		memcpy(&w, p + n, 8);
		/* a high bit, one below 0x20, or a 0x7f */
		if ((w | (w - ones * 0x20) | (w + ones)) & high)
			break;
	}
	while (n < len && p[n] >= 0x20 && p[n] < 0x7f)
		n++;
	return n;
}

/* True when p begins what may be one character that is not all there yet. */
static bool is_cut(const char *p, size_t len)
{
	unsigned char c = (unsigned char)*p;
	size_t want = c >= 0xf0 && c <= 0xf4 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

	if (c == '\r')
		return len == 1; /* of a line's end, perhaps */
	if (c > 0xf4 || want <= len)
		return false;
	for (size_t i = 1; i < len; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return false;
	return true;
}

static bool is_control(char c)
{
	return (c >= 0 && c < 0x20) || c == 0x7f;
}

/* As text_escape() does it, for many single bytes at once: how many controls there are from p on,
 * or the one byte there that begins no character. */
static size_t escape_bytes(struct buf *out, const char *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char piece[64];
	size_t n = 0;

	do {
		unsigned char c = (unsigned char)p[n];

		memcpy(piece + 4 * n, (char[]){'\\', 'x', digits[c >> 4], digits[c & 15]}, 4);
		n++;
	} while (n < len && n < sizeof(piece) / 4 && is_control(p[n]) && p[n] != '\r');
	buf_append(out, piece, 4 * n);
	return n;
}

/* Adds one character or a run to the line's text; how many bytes that took, 0: it is cut off. */
static size_t take_text(struct emission *e, const char *p, size_t len, bool end)
{
	struct log_line *line = e->line;
	size_t n, room;

	if (line->text.len + ESCAPE_MAX > e->text_max)
		emit_line(e, 'P');
	room = e->text_max - line->text.len;
	n = plain_run(p, MIN(len, room));
	if (n > 0) {
		buf_append(&line->text, p, n);
	} else if (!end && is_cut(p, len)) {
		return 0;
	} else if (is_control(*p) || (n = utf8_sequence(p, len)) == 0) {
		n = escape_bytes(&line->text, p, MIN(len, room / 4));
	} else {
		text_escape(&line->text, p, n);
	}
	line->counted += n;
	return n;
}

/* The bytes before a line's end, or before the end of what there is; how many were taken. */
static size_t take_part(struct emission *e, const char *p, size_t len, bool end)
{
	size_t done = 0, n;

	while (done < len) {
		n = take_text(e, p + done, len - done, end);
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

/* Everything but a cut character at the end; how many bytes were taken. */
static size_t take_lines(struct emission *e, const char *p, size_t len, bool end)
{
	const char *at = p, *stop = p + len, *newline;

	while ((newline = memchr(at, '\n', (size_t)(stop - at)))) {
		size_t n = (size_t)(newline - at), cr = n > 0 && newline[-1] == '\r';

		if (e->line->text.len == 0 && n - cr <= e->text_max &&
			plain_run(at, n - cr) == n - cr) {
			emit(e, at, n - cr, n + 1, 'F');
		} else {
			take_part(e, at, n - cr, true);
			e->line->counted += cr + 1;
			emit_line(e, 'F');
		}
		at = newline + 1;
	}
	at += take_part(e, at, (size_t)(stop - at), end);
	return (size_t)(at - p);
}

static struct emission begin(struct log *log, enum log_stream stream)
{
	struct emission e = {.log = log, .line = &log->lines[stream], .text_max = text_max(log)};
	char now[WHEN_MAX];

	when_nano(now);
	e.prefix_len =
		(size_t)snprintf(e.prefix, sizeof(e.prefix), "%s %s F ", now, stream_names[stream]);
	log->stuck = false;
	return e;
}

const struct mask_set *log_masks(struct log *log)
{
	const struct order *order = log->order;

	if (log->masks_made || !order)
		return log->masks;
	log->masks_made = true;
	if (order->n_masks == 0)
		return NULL;
	log->masks = mask_set_new();
	for (size_t i = 0; i < order->n_masks; i++)
		mask_set_add_pattern(log->masks, order->masks[i].data, order->masks[i].len);
	mask_set_build(log->masks);
	return log->masks;
}

/* Takes what is masked so far into lines. */
static void advance(struct log *log, enum log_stream stream, size_t before, bool end)
{
	struct emission e = begin(log, stream);
	struct buf *masked = &e.line->masked;

	log->bytes += masked->len - before;
	if (masked->len > 0)
		buf_consume(masked, take_lines(&e, masked->data, masked->len, end));
	if (end && e.line->counted > 0)
		emit_line(&e, 'F');
	flush(log);
}

void log_feed(struct log *log, enum log_stream stream, const void *data, size_t len)
{
	struct log_line *line = &log->lines[stream];
	size_t before = line->masked.len;

	mask_stream_feed(log_masks(log), &line->mask, data, len, &line->masked);
	advance(log, stream, before, false);
}

void log_end(struct log *log)
{
	if (log->fd < 0)
		return;
	for (int i = 0; i < LOG_STREAMS && log->masks_made; i++) {
		struct log_line *line = &log->lines[i];
		size_t before = line->masked.len;

		mask_stream_end(log_masks(log), &line->mask, &line->masked);
		advance(log, (enum log_stream)i, before, true);
	}
	close(log->fd);
	log->fd = -1;
}
