/* Deadlines of runs and stages. A deadline counts everything but approvals: its clock stands still
 * while all that is open waits for a person's word, or for something that does. */
#pragma once
#include "core/model.h"

/* For run_new(): none of them counts yet. */
void deadlines_init(struct run *run);
/* They count for nothing any more. */
void deadlines_fini(struct run *run);
void deadline_clear(struct core *core, struct deadline *d);
/* The run, or a stage of it, begins. No-op where it has no deadline. */
void run_deadline_begin(struct run *run);
void stage_deadline_begin(struct stage *stage);
/* After a restart: those that count go on. */
void deadlines_resume(struct run *run);
/* What is open has changed: stops the clocks that are to stand still, and starts the others. */
void deadlines_look(struct run *run);

/* For the run's row: NULL where `deadline_at` says it all. */
cJSON *deadlines_to_json(const struct run *run);
void deadlines_from_json(struct run *run, const cJSON *json);
