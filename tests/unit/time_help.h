/* A zone of the system, and instants written as text. */
#pragma once
#include <stdio.h>
#include "base/instant.h"
#include "time/zone.h"

static inline struct zone *help_zone(const char *name)
{
	struct zone *zone = NULL;
	char path[256], data[65536];
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	file = fopen(path, "r");
	assert_non_null(file);
	len = fread(data, 1, sizeof(data), file);
	fclose(file);
	assert_int_equal(zone_parse(data, len, &zone), 0);
	return zone;
}

static inline int64_t help_instant(const char *s)
{
	usec_t t;

	assert_true(instant_parse(s, &t));
	return t / USEC_SEC;
}
