/* Text from users and from outside: checks, cleaning, numbers and durations. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

typedef int64_t usec_t; /* microseconds: an instant or a span */
#define USEC_SEC      ((usec_t)1000000)
#define USEC_MSEC     ((usec_t)1000)
#define USEC_MINUTE   (60 * USEC_SEC)
#define USEC_HOUR     (60 * USEC_MINUTE)
#define USEC_DAY      (24 * USEC_HOUR)
#define USEC_INFINITY INT64_MAX

/* "1h30m", "250ms", "90s", "2d" -> µs. false for anything else, an overflow, or no unit. */
bool parse_duration(const char *s, usec_t *ret);
/* The two largest units, as people read it: "1h 30m", "12m", "4.2s", "350ms". Into a static-size
 * buffer the caller gives; returns it. */
#define DURATION_MAX 32
const char *format_duration(usec_t span, char buf[DURATION_MAX]);

/* Whole decimal numbers without sign, spaces or leading zero ("0" itself is fine). */
bool parse_u64(const char *s, uint64_t *ret);

/* [A-Za-z0-9][A-Za-z0-9_.-]{0,63}: jobs, stages, locks, checks, environments, matrix values. */
bool name_is_valid(const char *s);
/* [A-Za-z_][A-Za-z0-9_]*: environment variables. */
bool variable_is_valid(const char *s);

bool str_eq(const char *a, const char *b); /* NULL equals NULL only */
bool str_starts(const char *s, const char *prefix);
bool utf8_is_valid(const char *s, size_t len);
/* Length of the valid UTF-8 sequence at s (1 to 4), 0 if it is invalid or cut off at `len`. */
size_t utf8_sequence(const char *s, size_t len);

/* Appends the text with every control character (also DEL, C1 and the bidirectional overrides)
 * and every byte that is not UTF-8 as \xNN or \uNNNN, so that it is one harmless line.
 * Backslashes stay as they are. */
void text_escape(struct buf *out, const char *s, size_t len);
/* One line a person may read, at most `max` bytes and then "…": text_escape, newlines and tabs
 * turned into single spaces. The caller frees. */
char *text_one_line(const char *s, size_t len, size_t max);

/* The candidate that was probably meant (small edit distance), or NULL. */
const char *text_nearest(const char *word, const char *const *candidates, size_t n);
