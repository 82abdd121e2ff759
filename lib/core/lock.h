/* Places (max_attempts, a stage's max_parallel) and named locks. An action takes all it needs or
 * none, first come first served: a waiter that cannot have its locks keeps later ones off those
 * locks, so that nobody starves; it does not keep them off the places. Waiting in a lane and asking
 * a warehouse take locks alone (locks_only). */
#pragma once
#include "core/model.h"

/* Puts the attempt's place in the queue; attempt_granted() follows, from places_grant(). */
void place_wait(struct core *core, struct attempt *a);
/* Takes it at once, above any limit: what was found running after a restart has it already. */
void place_take(struct core *core, struct attempt *a);
/* Gives it back, or leaves the queue. No-op when neither. */
void place_release(struct core *core, struct attempt *a);
/* Grants what can be granted; true if anything was. */
bool places_grant(struct core *core);
/* What it waits for, as people say it; the caller frees. */
char *place_describe(const struct core *core, const struct attempt *a);
void locks_fini(struct core *core);
