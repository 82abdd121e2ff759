/* What is counted since the start, for Prometheus: a few integers, touched where things happen.
 *
 * How many series there are is bounded: jobs, checks and environments beyond the first thousand
 * are not told apart. */
#pragma once
#include "core/metrics_state.h"
#include "core/model.h"

void metrics_run_started(const struct run *run);
void metrics_run_ended(const struct run *run);
void metrics_attempt_ended(const struct attempt *a);
void metrics_slots_skipped(struct job *job, uint64_t n);
/* A row of the table sync, as its kind gave it. */
void metrics_sync(struct core *core, const cJSON *row);
void metrics_fini(struct core *core);
