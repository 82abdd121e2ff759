/* Rows to the store and back. Each record_* adds the whole row of a thing to the unit being
 * collected; core_run() submits it at its end. */
#pragma once
#include "core/model.h"

void record_job(struct core *core, struct job *job);
void record_definition(struct core *core, const struct spec_job *def);
/* until and count: a flood of slots as one row; 0 and 1 for a single one. */
void record_slot(struct core *core, const struct job *job, usec_t slot, const struct run *run,
	const char *reason, usec_t until, uint64_t count);
void record_run(struct run *run);
void record_cell(struct cell *cell);
void record_attempt(struct attempt *a);
void record_action(struct action *a);
/* Rows that a kind gave, with the keys of the attempt added. */
void record_kind_rows(struct attempt *a, const cJSON *rows);
/* The plan that the attempt holds, with what was decided about it. */
void record_plan(struct attempt *a);
struct check_transition;
void record_transition(struct core *core, const char *check, const char *environment,
	const struct check_transition *t);
void record_audit(struct core *core, const char *who, const char *method, const char *subject,
	const char *reason, bool granted, const char *answer);

/* Waits for what has been recorded so far in this turn. */
void commit_wait(struct core *core, struct commit_wait *w,
	void (*committed)(struct core *core, struct commit_wait *w, const char *error));
void commit_forget(struct commit_wait *w);
/* Sends what has been collected. */
void records_submit(struct core *core);
/* Forgets what is in flight, without answers: the core is being emptied. */
void records_drop(struct core *core);

/* The other way, in load.c: a run from {"run","definition","cells","attempts","actions"}; NULL with
 * a sentence in *ret_error when it does not fit. Not in any list yet. */
struct run *record_to_run(struct core *core, const cJSON *loaded, char **ret_error);

const char *trigger_name(enum trigger t);
const char *life_name(enum life l);
/* "process", "http", "lane", "query", "wait", "approval". */
const char *action_type_name(enum kind_command_type t);
cJSON *action_status_to_json(const struct action_status *s);
void action_status_from_json(const cJSON *json, struct action_status *ret);
