/* One try of a step: the kind's machine, its actions, what follows.
 *
 * Happy path: attempt_begin -> the machine's first command -> locks and places -> the intent is
 * durable, the secrets are read -> the effect -> its end -> the machine's next command ... -> done.
 * Failures: a template or a secret that is not there ends the attempt as failed; a lease that is
 * over arms the action until there is one again; a stop before the effect ends it at once, one
 * after it waits for the effect's end; a daemon that dies anywhere is followed by attempt_resume().
 */
#pragma once
#include "core/model.h"

/* The step's next attempt. It may have ended when this returns. */
void attempt_begin(struct step *step);
/* For record_to_run(): an attempt in the step's list, not begun. */
struct attempt *attempt_new(struct step *step, unsigned number);
void attempt_free(struct attempt *a);
/* In resume.c: builds the machine anew from the recorded actions and goes on: follows what is
 * open. */
void attempt_resume(struct attempt *a);

/* For resume.c: the parts of an attempt's life that it takes up again.
 *
 * The machine's first command, as at `at`. */
void attempt_machine_begin(struct attempt *a, usec_t at, struct kind_command *ret);
/* Does what the machine said; what it noted has been kept already. */
void attempt_obey(struct attempt *a, const struct kind_command *cmd);
/* Names the locks of its next action. False with a sentence where a name cannot be had. */
bool attempt_fill_locks(struct attempt *a, const struct kind_command *cmd, char **ret_error);
/* Everything that ends an attempt comes here. */
void attempt_enter_ended(struct attempt *a, enum outcome outcome, const char *reason);
/* So many of its first actions are gates. */
size_t attempt_n_gates(const struct attempt *a);

/* From gate.c: all gates are open, the machine begins. */
void attempt_gates_open(struct attempt *a);
/* The open action, which is a gate, ends. */
void attempt_gate_ended(struct attempt *a);
/* The attempt ends with it, and the step with the attempt. */
void attempt_gate_shut(struct attempt *a, enum outcome outcome, const char *reason);

/* Its place was granted: the intent goes out. */
void attempt_granted(struct core *core, struct attempt *a);
/* Asks for its end. True if it has ended; else its end will come. */
bool attempt_stop(struct attempt *a, enum stop_reason reason, const char *why);
/* In retry.c, after the end: is there to be another, and when (µs from now)? */
bool attempt_is_retried(struct attempt *a, usec_t *ret_delay);
/* What it is doing, where that is waiting; NULL when it runs. The caller frees. */
char *attempt_waits_for(const struct attempt *a);
/* Live or as it was at the end; may be NULL. The caller frees. */
cJSON *attempt_progress(const struct attempt *a);
enum outcome stop_outcome(enum stop_reason reason);
