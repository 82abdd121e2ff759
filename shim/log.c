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

#define FLUSH_AT   (512u << 10) /* large writes make large pages in the cache */
#define ESCAPE_MAX 8u		/* the longest form of one character */
#define PREFIX_MAX 64u		/* time, stream and flag */

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

/* Sixteen bytes at once, on every machine that has such registers. */
typedef uint8_t block __attribute__((vector_size(16)));

static size_t first_byte(uint64_t mask)
{
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return (size_t)__builtin_ctzll(mask) / 8;
	return (size_t)__builtin_clzll(mask) / 8;
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

/* Copies up to len bytes for as long as they are printable ASCII, and returns how many those are.
 * Whole blocks are written: `to` has room for the last one. */
static size_t copy_plain(char *to, const char *p, size_t len)
{
	size_t n = 0;

	for (; len - n >= sizeof(block); n += sizeof(block)) {
		uint64_t odd[2];
		block b, bad;

		memcpy(&b, p + n, sizeof(b));
		memcpy(to + n, &b, sizeof(b));
		bad = (block)(b - 0x20 > 0x7e - 0x20); /* unsigned: what is below wraps */
		memcpy(odd, &bad, sizeof(odd));
		if (odd[0] | odd[1])
			return n + (odd[0] ? first_byte(odd[0]) : 8 + first_byte(odd[1]));
	}
	for (; n < len && p[n] >= 0x20 && p[n] < 0x7f; n++)
		to[n] = p[n];
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
	buf_reserve(&line->text, room + sizeof(block));
	n = copy_plain(line->text.data + line->text.len, p, MIN(len, room));
	if (n > 0) {
		line->text.len += n;
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

/* The line's end at p: its length, 0: there is none. */
static size_t line_end(const char *p, size_t len)
{
	if (len > 0 && *p == '\n')
		return 1;
	return len > 1 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/* The usual case: whole lines of printable ASCII with room for them, looked at and copied in one
 * go. How many bytes were taken. */
static size_t take_plain_lines(struct emission *e, const char *p, size_t len)
{
	struct log *log = e->log;
	struct buf *out = &log->pending;
	size_t most = e->prefix_len + e->text_max + 1, done = 0, n, end;
	char *to;

	if (e->line->counted > 0)
		return 0;
	buf_reserve(out, FLUSH_AT + PREFIX_MAX + e->text_max + 1 + sizeof(block));
	e->prefix[e->prefix_len - 2] = 'F';
	while (done < len && log->file_size + out->len + log->torn + most <= log->file_cap) {
		to = out->data + out->len;
		memcpy(to, e->prefix, sizeof(e->prefix));
		to += e->prefix_len;
		n = copy_plain(to, p + done, MIN(len - done, e->text_max));
		end = line_end(p + done + n, len - done - n);
		if (end == 0)
			break;
		to[n] = '\n';
		out->len += e->prefix_len + n + 1;
		log->counted += n + end;
		done += n + end;
		if (out->len >= FLUSH_AT)
			flush(log);
	}
	return done;
}

/* Everything but a cut character at the end; how many bytes were taken. */
static size_t take_lines(struct emission *e, const char *p, size_t len, bool end)
{
	const char *at = p, *stop = p + len, *newline;
	size_t cr;

	for (;;) {
		at += take_plain_lines(e, at, (size_t)(stop - at));
		newline = memchr(at, '\n', (size_t)(stop - at));
		if (!newline)
			break;
		cr = newline > at && newline[-1] == '\r';
		take_part(e, at, (size_t)(newline - at) - cr, true);
		e->line->counted += cr + 1;
		emit_line(e, 'F');
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

/* Without masks, and with nothing left from before: from where it lies. */
static void feed_plain(struct log *log, enum log_stream stream, const char *data, size_t len)
{
	struct emission e = begin(log, stream);
	size_t n = take_lines(&e, data, len, false);

	log->bytes += len;
	buf_append(&e.line->masked, data + n, len - n);
	flush(log);
}

void log_feed(struct log *log, enum log_stream stream, const void *data, size_t len)
{
	struct log_line *line = &log->lines[stream];
	const struct mask_set *masks = log_masks(log);
	size_t before = line->masked.len;

	if (!masks && before == 0) {
		feed_plain(log, stream, data, len);
		return;
	}
	mask_stream_feed(masks, &line->mask, data, len, &line->masked);
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
