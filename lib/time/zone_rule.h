/* The POSIX TZ string at the end of a TZif file: what holds behind its last transition. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_OFFSET_MAX 93599 /* 25:59:59, the most that RFC 8536 allows */

/* When summer time begins or ends each year. */
struct zone_day {
	enum {
		DAY_OF_MONTH, /* Mm.w.d: the w-th (5: last) weekday d of month m */
		DAY_NO_LEAP,  /* Jn: 1 to 365, the 29th of February is never counted */
		DAY_OF_YEAR,  /* n: 0 to 365 */
	} kind;
	int month, week, day;
	int time; /* seconds after local midnight; may be negative or beyond a day */
};

struct zone_rule {
	int standard, summer; /* offsets east of UTC in seconds */
	bool has_summer;
	struct zone_day begin, end;
};

/* Returns false for what is no TZ string of the extended form that RFC 8536 describes. */
bool zone_rule_parse(const char *s, size_t len, struct zone_rule *ret);
int zone_rule_offset(const struct zone_rule *rule, int64_t seconds);
/* As zone_next_transition. */
int64_t zone_rule_next(const struct zone_rule *rule, int64_t seconds);
