/* The rules of what falls due: how late a slot's run may be, how many missed ones are caught up and
 * which, that a paused job's slots pass; and that deadlines end what they are for. */
#pragma once
#include "tests/unit/model.h"

struct model_due;

struct model_due *model_due_new(void);
void model_due_free(struct model_due *d);
void model_due_watch(struct model_due *d, struct sim *sim);
void model_due_configured(struct model_due *d, const struct model_job *jobs, size_t n);
/* The wall clock was set: of what compares it over time nothing can be said. */
void model_due_clock_set(struct model_due *d);
/* A row as a commit left it, for the first time. */
void model_due_slot(struct model_due *d, const cJSON *slot);
void model_due_run(struct model_due *d, const cJSON *run);
void model_due_paused(struct model_due *d, const char *job, bool paused, usec_t asked);
/* Everything has ended: were the right ones left out? */
void model_due_check(struct model_due *d);

/* A run, or (stage >= 0) the first cell of a stage, is seen to run. */
void model_due_began(struct model_due *d, const char *run_id, int stage);
/* An effect: is the deadline of its run, of its stage over? */
void model_due_effect(struct model_due *d, const cJSON *run, const struct spec_job *def,
	const struct action_place *p);
/* A cell that has ended: if by a deadline, then not before its time. */
void model_due_cell(struct model_due *d, const cJSON *run, const struct spec_job *def,
	const cJSON *cell, usec_t stage_began);
