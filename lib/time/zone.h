/* A time zone from the bytes of a TZif file (RFC 8536), its POSIX footer included. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

struct zone;

/* Takes a copy of what it needs. Returns 0, or -EBADMSG when the bytes are no TZif file. */
int zone_parse(const void *data, size_t len, struct zone **ret);
struct zone *zone_utc(void); /* to be freed as well */
void zone_free(struct zone *z);
DEFINE_CLEANUP(struct zone *, zone_free)

/* Offset east of UTC in seconds at that instant (seconds since 1970). */
int zone_offset(const struct zone *z, int64_t seconds);
/* The first instant after `seconds` at which the offset changes; INT64_MAX when there is none. */
int64_t zone_next_transition(const struct zone *z, int64_t seconds);
