/* Vixie cron expressions: five fields with names, ranges, steps and lists, and @hourly @daily
 * @midnight @weekly @monthly @yearly @annually @reboot. The slots are those of Debian's cron, also
 * across DST changes (see cron(8): fixed times skipped by a gap run once right after it and never
 * twice in the repeated hour; wildcard hours or minutes follow the wall clock). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "time/zone.h"

struct cron;

#define CRON_E_NEVER 1 /* no slot will ever come: an impossible date, or @reboot */

/* Returns 0, or -EINVAL with *ret_error a sentence that says what is wrong (the caller frees). */
int cron_parse(const char *expression, struct cron **ret, char **ret_error);
void cron_free(struct cron *c);
DEFINE_CLEANUP(struct cron *, cron_free)

bool cron_is_reboot(const struct cron *c);
/* The first slot strictly after `after` (seconds since 1970). Returns 0 or CRON_E_NEVER. */
int cron_next(const struct cron *c, const struct zone *z, int64_t after, int64_t *ret);
