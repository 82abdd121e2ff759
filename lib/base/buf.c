#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/memory.h"

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = BUF_NULL;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

static void make_room(struct buf *b, size_t more)
{
	size_t want = b->len + more + 1;

	if (want <= b->cap)
		return;
	b->cap = MAX(want, MAX(b->cap * 2, (size_t)64));
	b->data = xrealloc(b->data, b->cap);
}

void buf_reserve(struct buf *b, size_t more)
{
	make_room(b, more);
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	make_room(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *format, va_list ap)
{
	va_list again;
	char nothing[1];
	int n;

	va_copy(again, ap);
	n = vsnprintf(nothing, 1, format, again);
	va_end(again);
	if (n < 0)
		abort();
	make_room(b, (size_t)n);
	vsnprintf(b->data + b->len, (size_t)n + 1, format, ap);
	b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	buf_vprintf(b, format, ap);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	b->len -= n;
	if (b->data) {
		memmove(b->data, b->data + n, b->len);
		b->data[b->len] = '\0';
	}
}

char *buf_steal(struct buf *b)
{
	char *s = b->data ? b->data : xcalloc(1, 1);

	*b = BUF_NULL;
	return s;
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}
