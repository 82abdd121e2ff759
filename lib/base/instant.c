/* Instants as text, and the calendar behind it. */
#include <stdio.h>
#include "base/instant.h"

#define DAY	   86400
#define ERA_YEARS  400
#define ERA_DAYS   146097 /* days in 400 years: the calendar repeats */
#define EPOCH_DAYS 719468 /* from 0000-03-01 to 1970-01-01 */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Years are counted from the first of March, so that a leap day is the last of its year. */
void civil_from_seconds(int64_t seconds, struct civil *ret)
{
	int64_t days = floor_div(seconds, DAY), era = floor_div(days + EPOCH_DAYS, ERA_DAYS);
	int rest = (int)(seconds - days * DAY);
	int in_era = (int)(days + EPOCH_DAYS - era * ERA_DAYS);
	int year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int in_year = in_era - (365 * year + year / 4 - year / 100);
	int month = (5 * in_year + 2) / 153; /* 0 = March */

	*ret = (struct civil){
		.year = (int)(era * ERA_YEARS) + year + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = in_year - (153 * month + 2) / 5 + 1,
		.hour = rest / 3600,
		.minute = rest / 60 % 60,
		.second = rest % 60,
	};
}

int64_t civil_to_seconds(const struct civil *c)
{
	int64_t year = (int64_t)c->year - (c->month <= 2), era = floor_div(year, ERA_YEARS);
	int64_t in_era = year - era * ERA_YEARS;
	int month = c->month > 2 ? c->month - 3 : c->month + 9;
	int64_t in_year = (153 * month + 2) / 5 + c->day - 1;
	int64_t days = era * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + in_year;

	return (days - EPOCH_DAYS) * DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

int civil_weekday(int64_t seconds)
{
	int64_t days = floor_div(seconds, DAY) + 4; /* 1970-01-01 was a Thursday */

	return (int)(days - floor_div(days, 7) * 7);
}

static int put_civil(int64_t seconds, char buf[INSTANT_MAX])
{
	struct civil c;

	civil_from_seconds(seconds, &c);
	return snprintf(buf, INSTANT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", c.year, c.month, c.day,
		c.hour, c.minute, c.second);
}

const char *instant_format(usec_t t, char buf[INSTANT_MAX])
{
	int64_t seconds = floor_div(t, USEC_SEC);
	int n = put_civil(seconds, buf);
	int micro = (int)(t % USEC_SEC);

	snprintf(buf + n, (size_t)(INSTANT_MAX - n), ".%06dZ",
		micro < 0 ? micro + (int)USEC_SEC : micro);
	return buf;
}

const char *instant_format_slot(usec_t t, char buf[INSTANT_MAX])
{
	int n = put_civil(floor_div(t, USEC_SEC), buf);

	snprintf(buf + n, (size_t)(INSTANT_MAX - n), "Z");
	return buf;
}

const char *instant_format_local(usec_t t, int offset, char buf[INSTANT_MAX])
{
	int minutes = offset / 60; /* RFC 3339 has no seconds here: the instant stays exact */
	int n = put_civil(floor_div(t, USEC_SEC) + minutes * 60, buf);
	int size = minutes < 0 ? -minutes : minutes;

	snprintf(buf + n, (size_t)(INSTANT_MAX - n), "%c%02d:%02d", minutes < 0 ? '-' : '+',
		size / 60, size % 60);
	return buf;
}

/* Exactly n digits at *s. */
static bool take_digits(const char **s, int n, int *ret)
{
	int value = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		value = value * 10 + (**s - '0');
	}
	*ret = value;
	return true;
}

static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool take_civil(const char **s, struct civil *ret)
{
	struct civil c;

	if (!take_digits(s, 4, &c.year) || !take_char(s, '-') || !take_digits(s, 2, &c.month) ||
		!take_char(s, '-') || !take_digits(s, 2, &c.day))
		return false;
	if (!take_char(s, 'T') && !take_char(s, 't'))
		return false;
	if (!take_digits(s, 2, &c.hour) || !take_char(s, ':') || !take_digits(s, 2, &c.minute) ||
		!take_char(s, ':') || !take_digits(s, 2, &c.second))
		return false;
	if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in_month(c.year, c.month) ||
		c.hour > 23 || c.minute > 59 || c.second > 59)
		return false;
	*ret = c;
	return true;
}

/* Microseconds; what is finer is cut off. */
static bool take_fraction(const char **s, int *ret)
{
	int n = 0, value = 0;

	for (; **s >= '0' && **s <= '9'; (*s)++, n++)
		if (n < 6)
			value = value * 10 + (**s - '0');
	if (n < 1 || n > 9)
		return false;
	for (; n < 6; n++)
		value *= 10;
	*ret = value;
	return true;
}

static bool take_offset(const char **s, int *ret)
{
	int sign = **s == '-' ? -1 : 1, hours, minutes;

	if (take_char(s, 'Z') || take_char(s, 'z')) {
		*ret = 0;
		return true;
	}
	if ((!take_char(s, '+') && !take_char(s, '-')) || !take_digits(s, 2, &hours) ||
		!take_char(s, ':') || !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool instant_parse(const char *s, usec_t *ret)
{
	struct civil c;
	int fraction = 0, offset;

	if (!s || !take_civil(&s, &c))
		return false;
	if (take_char(&s, '.') && !take_fraction(&s, &fraction))
		return false;
	if (!take_offset(&s, &offset) || *s)
		return false;
	*ret = (civil_to_seconds(&c) - offset) * USEC_SEC + fraction;
	return true;
}
