/* POSIX TZ strings such as CET-1CEST,M3.5.0,M10.5.0/3: parsed, and turned into transitions a few
 * years at a time. */
#include <string.h>
#include "base/instant.h"
#include "time/zone_rule.h"

#define DAY   86400
#define YEARS 4 /* looked at around an instant: from the year before it on */

struct cursor {
	const char *at, *end;
};

struct change {
	int64_t at;
	int offset; /* from then on */
};

static bool take(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool number(struct cursor *c, int low, int high, int *ret)
{
	const char *start = c->at;
	int n = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9' && c->at - start < 4)
		n = n * 10 + (*c->at++ - '0');
	if (c->at == start || n < low || n > high)
		return false;
	*ret = n;
	return true;
}

/* A designation: three letters or more, or <letters, digits, signs>. */
static bool name(struct cursor *c)
{
	bool quoted = take(c, '<');
	const char *start = c->at;

	for (; c->at < c->end; c->at++) {
		char l = *c->at;
		bool letter = (l >= 'a' && l <= 'z') || (l >= 'A' && l <= 'Z');

		if (!letter && !(quoted && ((l >= '0' && l <= '9') || l == '+' || l == '-')))
			break;
	}
	return c->at - start >= 3 && (!quoted || take(c, '>'));
}

/* [+-]h[h[h]][:mm[:ss]] */
static bool span(struct cursor *c, int max_hours, int *ret)
{
	bool negative = take(c, '-');
	int h, m = 0, s = 0;

	if (!negative)
		take(c, '+');
	if (!number(c, 0, max_hours, &h))
		return false;
	if (take(c, ':') && (!number(c, 0, 59, &m) || (take(c, ':') && !number(c, 0, 59, &s))))
		return false;
	*ret = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
	return true;
}

/* POSIX counts west of Greenwich. */
static bool offset(struct cursor *c, int *ret)
{
	int west;

	if (!span(c, 25, &west))
		return false;
	*ret = -west;
	return true;
}

static bool yearly(struct cursor *c, struct zone_day *ret)
{
	struct zone_day d = {.time = 2 * 3600};

	if (!take(c, ','))
		return false;
	if (take(c, 'M')) {
		d.kind = DAY_OF_MONTH;
		if (!number(c, 1, 12, &d.month) || !take(c, '.') || !number(c, 1, 5, &d.week) ||
			!take(c, '.') || !number(c, 0, 6, &d.day))
			return false;
	} else if (take(c, 'J')) {
		d.kind = DAY_NO_LEAP;
		if (!number(c, 1, 365, &d.day))
			return false;
	} else {
		d.kind = DAY_OF_YEAR;
		if (!number(c, 0, 365, &d.day))
			return false;
	}
	if (take(c, '/') && !span(c, 167, &d.time))
		return false;
	*ret = d;
	return true;
}

bool zone_rule_parse(const char *s, size_t len, struct zone_rule *ret)
{
	struct cursor c = {.at = s, .end = s + len};
	struct zone_rule rule = {0};

	if (!name(&c) || !offset(&c, &rule.standard))
		return false;
	if (c.at == c.end) {
		*ret = rule;
		return true;
	}
	rule.has_summer = true;
	rule.summer = rule.standard + 3600;
	if (!name(&c))
		return false;
	if (c.at < c.end && *c.at != ',' && !offset(&c, &rule.summer))
		return false;
	if (!yearly(&c, &rule.begin) || !yearly(&c, &rule.end) || c.at != c.end)
		return false;
	if (rule.summer > ZONE_OFFSET_MAX)
		return false;
	*ret = rule;
	return true;
}

static int64_t first_of(int year, int month)
{
	return civil_to_seconds(&(struct civil){.year = year, .month = month, .day = 1});
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local midnight of that day in that year. */
static int64_t day_in_year(const struct zone_day *d, int year)
{
	if (d->kind == DAY_OF_YEAR)
		return first_of(year, 1) + (int64_t)d->day * DAY;
	if (d->kind == DAY_NO_LEAP)
		return first_of(year, 1) +
		       (int64_t)(d->day - 1 + (is_leap(year) && d->day > 59)) * DAY;

	int64_t first = first_of(year, d->month);
	int64_t next = d->month == 12 ? first_of(year + 1, 1) : first_of(year, d->month + 1);
	int64_t day =
		first + (d->day - civil_weekday(first) + 7) % 7 * DAY + (d->week - 1) * 7 * DAY;

	while (day >= next)
		day -= 7 * DAY;
	return day;
}

static int year_of(int64_t seconds)
{
	struct civil c;

	civil_from_seconds(seconds, &c);
	return c.year;
}

/* In order; of two at one instant the later one stands (an end that meets the next beginning). */
static void changes_around(const struct zone_rule *r, int64_t seconds, struct change ret[2 * YEARS])
{
	int year = year_of(seconds + r->standard) - 1;

	for (size_t n = 0; n < 2 * YEARS; n++) {
		bool begins = n % 2 == 0;
		const struct zone_day *d = begins ? &r->begin : &r->end;
		struct change c = {
			.at = day_in_year(d, year + (int)n / 2) + d->time -
			      (begins ? r->standard : r->summer),
			.offset = begins ? r->summer : r->standard,
		};
		size_t i = n;

		for (; i > 0 && ret[i - 1].at > c.at; i--)
			ret[i] = ret[i - 1];
		ret[i] = c;
	}
}

int zone_rule_offset(const struct zone_rule *r, int64_t seconds)
{
	struct change changes[2 * YEARS];
	int now = r->standard;

	if (!r->has_summer)
		return now;
	changes_around(r, seconds, changes);
	for (size_t i = 0; i < 2 * YEARS && changes[i].at <= seconds; i++)
		now = changes[i].offset;
	return now;
}

int64_t zone_rule_next(const struct zone_rule *r, int64_t seconds)
{
	struct change changes[2 * YEARS];
	int now = r->standard;

	if (!r->has_summer)
		return INT64_MAX;
	changes_around(r, seconds, changes);
	/* The very last one may meet a beginning that is beyond these years. */
	for (size_t i = 0; i + 1 < 2 * YEARS; i++) {
		bool stands = changes[i + 1].at > changes[i].at;

		if (changes[i].at > seconds && stands && changes[i].offset != now)
			return changes[i].at;
		if (changes[i].at <= seconds)
			now = changes[i].offset;
	}
	return INT64_MAX;
}
