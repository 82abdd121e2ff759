/* A run from its definition to its outcome. */
#pragma once
#include "core/model.h"

/* May a run with this trigger join the job's active ones now? If not, *ret_reason says why (the
 * caller frees). Under cancel_other it cancels those that make way. */
bool run_overlap_allows(
	struct core *core, struct job *job, enum trigger trigger, char **ret_reason);

/* Makes a run of all cells by the job's current definition, in the state waiting, recorded; it
 * starts by itself as soon as it may. slot 0: none. To narrow it, change `part` of its cells and
 * call run_narrowed() in the same turn. */
struct run *run_create(struct core *core, struct job *job, enum trigger trigger, usec_t slot);
void run_narrowed(struct run *run);
/* For record_to_run(): a run with its cells and steps, in no list. Takes no number. */
struct run *run_new(struct core *core, struct job *job, struct spec_job *take_def);
/* Puts a loaded run among the active ones, oldest first. */
void run_enlist(struct run *run);
/* NULL is fine. */
void run_free(struct run *run);

/* Something of it changed: core_run() looks at it again. */
void run_touch(struct run *run);
/* Does what can be done: starts it, its cells, ends it. */
void run_advance(struct run *run);
/* Cancels what has not ended. */
void run_stop(struct run *run, enum stop_reason reason, const char *why);

struct run *run_by_id(const struct core *core, const char *id);
struct run *run_by_name(const struct core *core, const char *name); /* all that memory has */
