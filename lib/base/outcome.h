/* How a step, a cell or a run ended. */
#pragma once
#include <stdbool.h>

enum outcome {
	OUTCOME_NONE, /* not ended */
	OUTCOME_OK,
	OUTCOME_FAILED,
	OUTCOME_TRANSIENT,
	OUTCOME_NOT_READY,
	OUTCOME_TIMED_OUT,
	OUTCOME_INTERRUPTED,
	OUTCOME_CANCELLED,
	OUTCOME_NEEDS_PERSON,
	OUTCOME_SKIPPED,
	OUTCOMES,
};

/* NULL for OUTCOME_NONE. */
const char *outcome_name(enum outcome o);
/* OUTCOME_NONE for an unknown word. */
enum outcome outcome_parse(const char *s);
/* The worse of two, by: needs_person, failed, timed_out, not_ready, transient, interrupted,
 * cancelled, skipped, ok. */
enum outcome outcome_worse(enum outcome a, enum outcome b);
