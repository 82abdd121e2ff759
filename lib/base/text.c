/* Text from users and from outside: checks, cleaning, numbers and durations. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "base/text.h"

static const struct unit {
	char name[3];
	usec_t span;
} units[] = {
	{.name = "d", .span = USEC_DAY},
	{.name = "h", .span = USEC_HOUR},
	{.name = "m", .span = USEC_MINUTE},
	{.name = "s", .span = USEC_SEC},
	{.name = "ms", .span = USEC_MSEC},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads digits at *s, at least one. */
static bool take_number(const char **s, int64_t *ret)
{
	const char *p = *s;
	int64_t n = 0;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return false;
	*s = p;
	*ret = n;
	return true;
}

/* The unit at *s, among those from `first` on: units come once each, the largest first. */
static bool take_unit(const char **s, size_t *first, usec_t *ret)
{
	size_t len = 0;

	while (is_alpha((*s)[len]))
		len++;
	for (size_t i = *first; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) != len || memcmp(units[i].name, *s, len) != 0)
			continue;
		*s += len;
		*first = i + 1;
		*ret = units[i].span;
		return true;
	}
	return false;
}

bool parse_duration(const char *s, usec_t *ret)
{
	usec_t sum = 0, part, span;
	size_t first = 0;

	if (!s || !*s)
		return false;
	while (*s) {
		if (!take_number(&s, &part) || !take_unit(&s, &first, &span))
			return false;
		if (__builtin_mul_overflow(part, span, &part) ||
			__builtin_add_overflow(sum, part, &sum))
			return false;
	}
	*ret = sum;
	return true;
}

static void format_two(uint64_t span, size_t unit, const char *sign, char buf[DURATION_MAX])
{
	uint64_t large = (uint64_t)units[unit].span, small = (uint64_t)units[unit + 1].span;
	unsigned long a = span / large;
	unsigned char b = (unsigned char)(span % large / small);

	if (b)
		snprintf(buf, DURATION_MAX, "%s%lu%s %d%s", sign, a, units[unit].name, b,
			units[unit + 1].name);
	else
		snprintf(buf, DURATION_MAX, "%s%lu%s", sign, a, units[unit].name);
}

const char *format_duration(usec_t span, char buf[DURATION_MAX])
{
	const char *sign = span < 0 ? "-" : "";
	uint64_t left = span < 0 ? -(uint64_t)span : (uint64_t)span;
	unsigned long tenths = left / (USEC_SEC / 10);

	if (span == USEC_INFINITY)
		snprintf(buf, DURATION_MAX, "for ever");
	else if (left >= USEC_DAY)
		format_two(left, 0, sign, buf);
	else if (left >= USEC_HOUR)
		format_two(left, 1, sign, buf);
	else if (left >= USEC_MINUTE)
		format_two(left, 2, sign, buf);
	else if (left >= USEC_SEC && tenths % 10)
		snprintf(buf, DURATION_MAX, "%s%lu.%lus", sign, tenths / 10, tenths % 10);
	else if (left >= USEC_SEC)
		snprintf(buf, DURATION_MAX, "%s%lus", sign, tenths / 10);
	else
		snprintf(buf, DURATION_MAX, "%s%lums", sign, (unsigned long)(left / USEC_MSEC));
	return buf;
}

bool parse_u64(const char *s, uint64_t *ret)
{
	uint64_t n = 0;

	if (!s || !*s || (s[0] == '0' && s[1]))
		return false;
	for (; *s; s++)
		if (!is_digit(*s) || __builtin_mul_overflow(n, 10U, &n) ||
			__builtin_add_overflow(n, (unsigned)(*s - '0'), &n))
			return false;
	*ret = n;
	return true;
}

bool name_is_valid(const char *s)
{
	size_t len;

	if (!s || !(is_alpha(*s) || is_digit(*s)))
		return false;
	for (len = 1; s[len]; len++)
		if (len >= 64 || !(is_alpha(s[len]) || is_digit(s[len]) || strchr("_.-", s[len])))
			return false;
	return true;
}

bool variable_is_valid(const char *s)
{
	if (!s || !(is_alpha(*s) || *s == '_'))
		return false;
	while (*++s)
		if (!(is_alpha(*s) || is_digit(*s) || *s == '_'))
			return false;
	return true;
}

bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

size_t utf8_sequence(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (len == 0 || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
		return 0;
	n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n > len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* else overlong */
	else if (p[0] == 0xed)
		high = 0x9f; /* else a surrogate */
	else if (p[0] == 0xf0)
		low = 0x90; /* else overlong */
	else if (p[0] == 0xf4)
		high = 0x8f; /* else above U+10FFFF */
	if (n > 1 && (p[1] < low || p[1] > high))
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

bool utf8_is_valid(const char *s, size_t len)
{
	while (len > 0) {
		size_t n = utf8_sequence(s, len);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

/* C1 controls, the bidirectional controls that reorder a line, and the line separators. */
static bool is_harmful(unsigned rune)
{
	return (rune >= 0x80 && rune < 0xa0) || (rune >= 0x2028 && rune <= 0x202e) ||
	       (rune >= 0x2066 && rune <= 0x2069);
}

/* The harmless form of the first character of s; returns how many bytes of s it stands for. */
static size_t escape_one(const char *s, size_t len, char ret[8])
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = utf8_sequence(s, len);
	unsigned rune = 0;

	if (n == 0 || (n == 1 && (p[0] < 0x20 || p[0] == 0x7f))) {
		snprintf(ret, 8, "\\x%02x", (unsigned)p[0]);
		return 1;
	}
	if (n == 2)
		rune = (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
	else if (n == 3)
		rune = (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
	if (is_harmful(rune)) {
		snprintf(ret, 8, "\\u%04x", rune);
	} else {
		memcpy(ret, s, n);
		ret[n] = '\0';
	}
	return n;
}

void text_escape(struct buf *out, const char *s, size_t len)
{
	char piece[8];

	while (len > 0) {
		size_t plain = 0;

		while (plain < len && s[plain] >= 0x20 && s[plain] < 0x7f)
			plain++;
		if (plain > 0) {
			buf_append(out, s, plain);
		} else {
			plain = escape_one(s, len, piece);
			buf_puts(out, piece);
		}
		s += plain;
		len -= plain;
	}
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

char *text_one_line(const char *s, size_t len, size_t max)
{
	_cleanup_buf_ struct buf out = BUF_NULL;
	bool gap = false;
	char piece[8];

	while (len > 0) {
		size_t n = 1, need;

		if (is_blank(*s)) {
			gap = out.len > 0;
		} else {
			n = escape_one(s, len, piece);
			need = strlen(piece) + gap;
			if (out.len + need > max) {
				buf_puts(&out, "…");
				break;
			}
			if (gap)
				buf_putc(&out, ' ');
			gap = false;
			buf_puts(&out, piece);
		}
		s += n;
		len -= n;
	}
	return buf_steal(&out);
}

#define NEAREST_MAX 64

static size_t least(size_t a, size_t b, size_t c)
{
	return MIN(MIN(a, b), c);
}

/* Edits (insert, delete, replace, swap of two neighbours) from a to b, letters of any case. */
static size_t edit_distance(const char *a, size_t la, const char *b, size_t lb)
{
	size_t rows[3][NEAREST_MAX + 1];

	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			int x = tolower((unsigned char)a[i - 1]);
			int y = tolower((unsigned char)b[j - 1]);

			now[j] = least(now[j - 1] + 1, last[j] + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
				y == tolower((unsigned char)a[i - 2]))
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t len = word ? strlen(word) : 0, best_distance = MIN(len / 3 + 1, (size_t)3) + 1;

	if (len == 0 || len > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = candidates[i] ? strlen(candidates[i]) : 0, distance;

		if (other == 0 || other > NEAREST_MAX)
			continue;
		distance = edit_distance(word, len, candidates[i], other);
		if (distance < best_distance && distance < MAX(len, other)) {
			best = candidates[i];
			best_distance = distance;
		}
	}
	return best;
}
