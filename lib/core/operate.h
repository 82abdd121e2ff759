/* What admins ask for. Every operation is answered once: a refusal at the end of the turn, the rest
 * after its commit. */
#pragma once
#include "core/model.h"

/* Answers what is ready to be answered: refusals, and reads. */
void operations_answer(struct core *core);
/* Answers `drain` once nothing runs. */
void operations_drained(struct core *core);
/* Fails every operation that waits. */
void operations_fail(struct core *core, enum core_error error, const char *message);
/* The same at the daemon's own end: those that wait for the drain, too. */
void operations_end(struct core *core);

/* For the files that share the work: operate.c, approve.c, read.c. */
void op_answer(struct core *core, struct core_op *op, enum core_error error, char *take_message,
	cJSON *take_result);
/* Answers well with this result once what was recorded is durable. */
void op_answer_durable(struct core *core, struct core_op *op, cJSON *take_result);
/* Refuses it where the store is away or another daemon leads: true, and it is answered. */
bool op_store_refuses(struct core *core, struct core_op *op);
/* Who did what: for the audit table and the journal. */
void op_note(struct core *core, struct core_op *op, const char *method, const char *subject);
/* The run of a reference, from memory or else from the store; `found` is called with it, or op is
 * answered with the error. The run is borrowed for the call. */
void op_with_run(struct core *core, struct core_op *op, const char *ref_text, void *context,
	void (*found)(struct core *core, struct core_op *op, struct run *run, const char *path,
		void *context),
	void (*context_free)(void *context));
