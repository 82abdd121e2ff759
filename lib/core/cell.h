/* Cells and their steps: what is ready, what is skipped and why, what follows an attempt. */
#pragma once
#include "core/model.h"

void cell_init(struct cell *cell, struct run *run, unsigned index);
void cell_fini(struct cell *cell);
/* Something that it waits for changed: cells_advance() looks at it again. */
void cell_touch(struct cell *cell);
/* Of the cells touched, starts those of the run whose needs have ended, skips those that can or
 * need not run, and moves the running ones to their next step. */
void cells_advance(struct run *run);
/* Ends what has not ended: at once where nothing runs, else by stopping the attempt. */
void cell_stop(struct cell *cell, enum stop_reason reason, const char *why);
/* Ends this step alone, now or, where it has not begun, when its turn comes: the cell goes on as
 * `when` of the later steps says. No-op where it has ended. */
void step_cancel(struct step *step, const char *why);
/* What follows the end of its last attempt. */
void step_attempt_ended(struct step *step, struct attempt *a);

/* failed, timed_out, transient, not_ready, interrupted or needs_person. */
bool outcome_is_failure(enum outcome o);
/* What waits for this cell and cannot go on when it fails: "sync/production", ... NULL-terminated;
 * the caller frees with strv_free. */
char **cell_holds_up(const struct cell *cell);
/* Why a cell that has not started waits, for readers; the caller frees. */
char *cell_waits_for(const struct cell *cell);
/* The machine goes down: interrupts what runs, its kind's way; the retry policy decides later. */
void cell_interrupt(struct cell *cell);
