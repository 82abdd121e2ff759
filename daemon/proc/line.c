/* One line of output.log: see line.h. */
#include <string.h>
#include "daemon/proc/line.h"
#include "time/instant.h"

struct cursor {
	const char *s, *end;
};

static bool eat(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->s) < len || memcmp(c->s, word, len) != 0)
		return false;
	c->s += len;
	return true;
}

static bool eat_number(struct cursor *c, int digits, int *ret)
{
	int value = 0;

	if (c->end - c->s < digits)
		return false;
	for (int i = 0; i < digits; i++) {
		if (c->s[i] < '0' || c->s[i] > '9')
			return false;
		value = value * 10 + (c->s[i] - '0');
	}
	c->s += digits;
	*ret = value;
	return true;
}

/* ".123456789": what is finer than a microsecond is dropped. */
static bool eat_fraction(struct cursor *c, usec_t *ret)
{
	usec_t usec = 0, weight = 100000;
	const char *start;

	if (!eat(c, "."))
		return true;
	for (start = c->s; c->s < c->end && *c->s >= '0' && *c->s <= '9'; c->s++) {
		usec += (*c->s - '0') * weight;
		weight /= 10;
	}
	*ret = usec;
	return c->s > start && c->s - start <= 9;
}

static bool eat_instant(struct cursor *c, usec_t *ret)
{
	struct civil civil;
	usec_t usec = 0;
	bool good = eat_number(c, 4, &civil.year) && eat(c, "-") &&
		    eat_number(c, 2, &civil.month) && eat(c, "-") && eat_number(c, 2, &civil.day) &&
		    eat(c, "T") && eat_number(c, 2, &civil.hour) && eat(c, ":") &&
		    eat_number(c, 2, &civil.minute) && eat(c, ":") &&
		    eat_number(c, 2, &civil.second) && eat_fraction(c, &usec) && eat(c, "Z");

	if (!good || civil.month < 1 || civil.month > 12 || civil.day < 1 || civil.day > 31)
		return false;
	*ret = civil_to_seconds(&civil) * USEC_SEC + usec;
	return true;
}

static bool eat_same_instant(struct cursor *c, const struct log_line *before, usec_t *ret)
{
	size_t len = before ? before->instant_len : 0;

	if (len == 0 || (size_t)(c->end - c->s) < len || memcmp(c->s, before->instant, len) != 0)
		return false;
	c->s += len;
	*ret = before->at;
	return true;
}

bool log_line_parse(const char *s, size_t len, const struct log_line *before, struct log_line *ret)
{
	struct cursor c = {s, s + len};
	struct log_line line = {.instant = s};

	if (!eat_same_instant(&c, before, &line.at) && !eat_instant(&c, &line.at))
		return false;
	line.instant_len = c.s - s;
	if (eat(&c, " stderr "))
		line.stream = STREAM_STDERR;
	else if (!eat(&c, " stdout "))
		return false;
	if (eat(&c, "P "))
		line.partial = true;
	else if (!eat(&c, "F "))
		return false;
	line.text = c.s;
	line.len = c.end - c.s;
	*ret = line;
	return true;
}

bool log_line_is_plain(const char *text, size_t len)
{
	unsigned odd = 0;

	for (size_t i = 0; i < len; i++)
		odd |= (unsigned char)text[i] < 0x20 || (unsigned char)text[i] > 0x7e;
	return !odd;
}
