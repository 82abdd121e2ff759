/* When jobs are due. Slots derive from the last persisted one, never from "does now match?". */
#pragma once
#include "core/model.h"

struct job *job_find(const struct core *core, const char *name);
/* Finds or makes. */
struct job *job_get(struct core *core, const char *name);
void job_free(struct core *core, struct job *job);

/* After a load or a reload: decides from where slots count, and arms the timer. */
void job_schedule(struct core *core, struct job *job);
/* Turns every slot that has fallen due into a run or a record of why not. Only while leading. */
void job_slots_due(struct core *core, struct job *job);
/* Slots strictly after `after`: the next one in *ret; false when there is none. */
bool job_next_slot(const struct job *job, usec_t after, usec_t *ret);
/* False where the job has no slot at that instant. */
bool job_has_slot(const struct job *job, usec_t at);
/* A usual time of a cell, ms; -1 when unknown. */
int64_t job_usual(const struct job *job, const char *cell);
void job_set_usual(struct job *job, const char *cell, int64_t ms);
/* From where slots count that begin to count now: a clock that lags behind the server's would name
 * slots again that were there before. */
usec_t slots_now(const struct core *core);
