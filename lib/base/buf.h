/* A growable byte string, always NUL-terminated when not empty. BUF_NULL needs no init. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include "base/cleanup.h"

struct buf {
	char *data;
	size_t len, cap;
};

#define BUF_NULL ((struct buf){0})

void buf_fini(struct buf *b);
void buf_clear(struct buf *b);
void buf_append(struct buf *b, const void *data, size_t len);
/* Room for so many more bytes, which may then be written at data + len; without a NUL. */
void buf_reserve(struct buf *b, size_t more);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) _printf_(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list ap);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* The contents as a string the caller frees; the buffer is empty afterwards. Never NULL. */
char *buf_steal(struct buf *b);
/* The contents as a string, "" when empty; valid until the next change. */
const char *buf_str(const struct buf *b);

#define _cleanup_buf_ _cleanup_(buf_fini)
