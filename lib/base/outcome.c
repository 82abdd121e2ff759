#include <stddef.h>
#include <string.h>
#include "base/outcome.h"

static const struct {
	const char *name;
	int badness;
} outcomes[OUTCOMES] = {
	[OUTCOME_NONE] = {NULL, 0},
	[OUTCOME_OK] = {"ok", 1},
	[OUTCOME_SKIPPED] = {"skipped", 2},
	[OUTCOME_CANCELLED] = {"cancelled", 3},
	[OUTCOME_INTERRUPTED] = {"interrupted", 4},
	[OUTCOME_TRANSIENT] = {"transient", 5},
	[OUTCOME_NOT_READY] = {"not_ready", 6},
	[OUTCOME_TIMED_OUT] = {"timed_out", 7},
	[OUTCOME_FAILED] = {"failed", 8},
	[OUTCOME_NEEDS_PERSON] = {"needs_person", 9},
};

const char *outcome_name(enum outcome o)
{
	return outcomes[o].name;
}

enum outcome outcome_parse(const char *s)
{
	for (int o = OUTCOME_OK; s && o < OUTCOMES; o++)
		if (strcmp(outcomes[o].name, s) == 0)
			return (enum outcome)o;
	return OUTCOME_NONE;
}

enum outcome outcome_worse(enum outcome a, enum outcome b)
{
	return outcomes[a].badness >= outcomes[b].badness ? a : b;
}
