#include <stdio.h>
#include <string.h>
#include "shim/when.h"

int64_t when_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * WHEN_SEC + t.tv_nsec / 1000;
}

/* Not gmtime(): that would look for /etc/localtime. */
static size_t seconds_text(int64_t seconds, char *ret, size_t size)
{
	int64_t days = seconds / 86400, left = seconds % 86400;
	int64_t from_march, era, year, day_of_era, day_of_year, month;

	if (left < 0) {
		left += 86400;
		days--;
	}
	/* Years that begin in March put the leap day last; an era is 400 of them. */
	from_march = days + 719468;
	era = (from_march >= 0 ? from_march : from_march - 146096) / 146097;
	day_of_era = from_march - era * 146097;
	year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	month = (5 * day_of_year + 2) / 153;
	return (size_t)snprintf(ret, size, "%04d-%02d-%02dT%02d:%02d:%02d",
		(int)(year + era * 400 + (month >= 10)), (int)(month < 10 ? month + 3 : month - 9),
		(int)(day_of_year - (153 * month + 2) / 5 + 1), (int)(left / 3600),
		(int)(left / 60 % 60), (int)(left % 60));
}

void when_text(int64_t usec, char ret[WHEN_MAX])
{
	int64_t part = usec % WHEN_SEC;
	size_t n;

	if (part < 0)
		part += WHEN_SEC;
	n = seconds_text((usec - part) / WHEN_SEC, ret, WHEN_MAX);
	snprintf(ret + n, WHEN_MAX - n, ".%06dZ", (int)part);
}

void when_nano(char ret[WHEN_MAX])
{
	struct timespec t;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &t);
	n = seconds_text(t.tv_sec, ret, WHEN_MAX);
	snprintf(ret + n, WHEN_MAX - n, ".%09ldZ", t.tv_nsec);
}
