/* The slots of a cron expression in a zone.
 *
 * Expressions with a star in front of the minute or hour follow the wall clock: their slots are the
 * instants at which it shows a time that matches, twice in the repeated hour and never in the
 * skipped one. All others have one slot for each matching date and time: the first of two instants
 * in a repeated hour, the end of the gap in a skipped one.
 *
 * Both walk matching wall-clock times (as if it were UTC) from month to month by bit sets, and turn
 * them into instants between two transitions. */
#include "base/instant.h"
#include "time/cron.h"
#include "time/cron_fields.h"

#define DAY	   86400
#define OFFSET_MAX (26 * 3600)
/* The calendar allows a slot to be 40 years away (a 29th of February on one weekday, around 2100)
 * and DST can cost a few of them. */
#define SEARCH	 ((int64_t)200 * 366 * DAY)
#define EARLIEST INT64_C(-62135596800) /* 0001-01-01 */
#define LATEST	 INT64_C(253402300799) /* 9999-12-31 */

bool cron_is_reboot(const struct cron *c)
{
	return c->is_reboot;
}

static int64_t up_to_minute(int64_t t)
{
	int64_t rest = t % 60;

	return rest == 0 ? t : t - rest + (rest > 0 ? 60 : 0);
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The days of that month that match, as bits from 1 on. */
static uint32_t days_of(const struct cron *c, int year, int month)
{
	struct civil first = {.year = year, .month = month, .day = 1};
	int weekday = civil_weekday(civil_to_seconds(&first));
	uint64_t week = (c->weekdays >> weekday | c->weekdays << (7 - weekday)) & 0x7f;
	uint64_t all = (UINT64_C(2) << cron_month_days(month, is_leap(year))) - 2;
	uint64_t by_week = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;

	return (uint32_t)((c->day_and ? c->days & by_week : c->days | by_week) & all);
}

/* The least value of the set from `from` on; -1 without one. */
static int first_from(uint64_t set, int from)
{
	set = from < 64 ? set >> from << from : 0;
	return set ? __builtin_ctzll(set) : -1;
}

/* The first matching time of day not before hour:minute, in minutes; -1 when that day has none. */
static int time_from(const struct cron *c, int hour, int minute)
{
	int h = first_from(c->hours, hour);
	int m = h == hour ? first_from(c->minutes, minute) : first_from(c->minutes, 0);

	if (h == hour && m < 0) {
		h = first_from(c->hours, hour + 1);
		m = first_from(c->minutes, 0);
	}
	return h < 0 ? -1 : h * 60 + m;
}

/* The first matching midnight from `wall` (a midnight) on and before `end`. */
static bool next_date(const struct cron *c, int64_t wall, int64_t end, int64_t *ret)
{
	struct civil at;
	int day;

	civil_from_seconds(wall, &at);
	day = at.day;
	at.day = 1;
	while (civil_to_seconds(&at) < end) {
		day = c->months & 1u << at.month ? first_from(days_of(c, at.year, at.month), day)
						 : -1;
		if (day > 0) {
			at.day = day;
			*ret = civil_to_seconds(&at);
			return *ret < end;
		}
		at.year += at.month == 12;
		at.month = at.month % 12 + 1;
		day = 1;
	}
	return false;
}

/* The first matching wall-clock time from `wall` (a whole minute) on and before `end`. */
static bool next_wall(const struct cron *c, int64_t wall, int64_t end, int64_t *ret)
{
	struct civil at;
	int64_t today, date, found;
	int minutes;

	civil_from_seconds(wall, &at);
	today = wall - at.hour * 3600 - at.minute * 60;
	if (!next_date(c, today, end, &date))
		return false;
	minutes = time_from(c, date == today ? at.hour : 0, date == today ? at.minute : 0);
	if (minutes < 0) {
		if (!next_date(c, today + DAY, end, &date))
			return false;
		minutes = time_from(c, 0, 0);
	}
	found = date + (int64_t)minutes * 60;
	if (found >= end)
		return false;
	*ret = found;
	return true;
}

/* The instant of that wall-clock time: the first of two; in a gap the first whole minute at or
 * behind its end. */
static int64_t instant_of(const struct zone *z, int64_t wall)
{
	int64_t since = wall - OFFSET_MAX;
	int offset = zone_offset(z, since);

	for (;;) {
		int64_t change = zone_next_transition(z, since);
		int next;

		if (change == INT64_MAX || wall - offset < change)
			return wall - offset;
		next = zone_offset(z, change);
		if (wall - next < change)
			return up_to_minute(change + next) - next;
		since = change;
		offset = next;
	}
}

static int next_by_date(const struct cron *c, const struct zone *z, int64_t after, int64_t *ret)
{
	int64_t wall = up_to_minute(after + zone_offset(z, after) - 59), end = after + SEARCH;
	int64_t found;

	while (next_wall(c, wall, end, &wall)) {
		found = instant_of(z, wall);
		if (found > after) {
			*ret = found;
			return 0;
		}
		wall += 60;
	}
	return CRON_E_NEVER;
}

static int next_by_wall(const struct cron *c, const struct zone *z, int64_t after, int64_t *ret)
{
	int64_t since = after + 1, end = after + SEARCH;

	while (since < end) {
		int64_t offset = zone_offset(z, since);
		int64_t until = MIN(zone_next_transition(z, since), end);
		int64_t wall;

		if (next_wall(c, up_to_minute(since + offset), until + offset, &wall)) {
			*ret = wall - offset;
			return 0;
		}
		since = until;
	}
	return CRON_E_NEVER;
}

int cron_next(const struct cron *c, const struct zone *z, int64_t after, int64_t *ret)
{
	if (c->is_reboot || c->is_never || after > LATEST)
		return CRON_E_NEVER;
	if (after < EARLIEST)
		after = EARLIEST;
	if (c->follows_wall)
		return next_by_wall(c, z, after, ret);
	return next_by_date(c, z, after, ret);
}
