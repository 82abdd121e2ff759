/* Gates: what a step waits for before its attempt's machine begins, holding no lock and no place:
 * a person's word (once a step), then a check (each attempt).
 *
 * Happy path: attempt_begin -> gate_begin -> an action for each gate, recorded like any other, so
 * that a restart goes on waiting -> gate_passed -> the machine begins. Failures: ready_timeout ends
 * the attempt as not_ready, an approval that expires as needs_person, a rejected one as failed; a
 * stop ends it at once.
 *
 * Approvals that a kind asks for itself (KIND_ASK) wait here as well. */
#pragma once
#include "core/model.h"

/* The attempt's next gate: true while it waits for one; false: none is left, the machine begins. */
bool gate_begin(struct attempt *a);
/* After a restart: the open action of a gate is waited for again. */
void gate_resume(struct attempt *a, struct action *action);
/* KIND_ASK: waits for a person's word on `hash`. */
void gate_ask(struct attempt *a, const struct kind_command *cmd);
/* The word that it waits for. `who`: as in core_op. */
void gate_decide(struct attempt *a, bool approved, const char *who, const char *reason);
/* The time for which it might wait is over. */
void gate_timed_out(struct attempt *a);
/* A check went up (or its definition changed): those that wait for it are looked at. */
void gates_check_changed(struct core *core, const char *check_name, const char *environment_name);
/* Of ready_timeout, what earlier attempts and this one's gates have left; never negative. */
usec_t gate_ready_left(const struct attempt *a);
/* It ended, or is forgotten: it waits for nothing any more. */
void gate_leave(struct attempt *a);
/* The actions that gates make are named so; the machine is not told of them. */
bool gate_is_action(const char *name);
/* What it waits for, as people say it; the caller frees. */
char *gate_describe(const struct attempt *a);
/* "approval", "check:NAME"; NULL: it waits for neither. The caller frees. */
char *gate_waits_for(const struct attempt *a);
/* What a person is asked, as the step's definition says; NULL: nothing. The caller frees. */
char *gate_message(const struct attempt *a);
