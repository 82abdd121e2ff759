/* Instants as text. Instants are usec_t since 1970 in UTC. */
#pragma once
#include <stdbool.h>
#include "base/text.h"

#define INSTANT_MAX 40
/* "2026-03-29T01:30:00.000000Z" */
const char *instant_format(usec_t t, char buf[INSTANT_MAX]);
/* "2026-03-29T01:30:00Z": a slot has no fraction. */
const char *instant_format_slot(usec_t t, char buf[INSTANT_MAX]);
/* "2026-03-29T03:30:00+02:00": with the offset given, in seconds east of UTC. */
const char *instant_format_local(usec_t t, int offset, char buf[INSTANT_MAX]);
/* RFC 3339 with Z or an offset, fraction of up to 9 digits; false for anything else. */
bool instant_parse(const char *s, usec_t *ret);

struct civil {
	int year, month, day, hour, minute, second; /* month and day from 1 */
};
/* Proleptic Gregorian calendar; seconds since 1970 without leap seconds. */
void civil_from_seconds(int64_t seconds, struct civil *ret);
int64_t civil_to_seconds(const struct civil *c);
int civil_weekday(int64_t seconds); /* 0 = Sunday */
