/* A cron expression taken apart: shared by cron_parse.c, which makes it, and cron.c. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Bit n of a set: the value n. */
struct cron {
	uint64_t minutes;
	uint32_t hours, days;
	uint16_t months;
	uint8_t weekdays;  /* 0 = Sunday; 7 is folded into it */
	bool day_and;	   /* a day field begins with a star: both must match, else either */
	bool follows_wall; /* minute or hour begins with a star: DST changes nothing */
	bool is_reboot, is_never;
};

/* The days that month number `month` may have. */
static inline int cron_month_days(int month, bool leap)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && leap);
}
