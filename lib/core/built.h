/* What dbt has really built: read from the notes of attempts, for the steps that come after. */
#pragma once
#include "core/model.h"

/* As kind_context's `built`. The caller frees. */
cJSON *built_for(const struct attempt *a);
/* What an older run's cells have built, and what it had from the runs before it: {cell name:
 * [["schema","name"],...]}, for run.built of its retry. NULL: nothing. */
cJSON *built_so_far(const struct run *old);

/* How long a sync of that database usually takes, ms; -1: unknown. */
int64_t built_usual_sync(const struct core *core, const char *environment, const char *database);
/* From the load. */
void built_load_usual(struct core *core, const cJSON *list);
/* Rows of syncs that a kind gave: those that were proved are learnt from. */
void built_learn(struct core *core, const char *environment, const cJSON *sync_rows);
void built_fini(struct core *core);
