/* One effect within an attempt, from its intent to its end: a process, a call, a wait. */
#pragma once
#include "core/model.h"

struct action *action_new(struct attempt *a, const struct kind_command *cmd);
/* Frees it, or, where its process or a request is still out, leaves it to its callback. */
void action_drop(struct action *action);
/* Records the intent and asks for the secrets; the effect follows when both are there. */
void action_intend(struct action *action);
/* After a restart: the process is to be found, not started; what is harmless is asked again. */
void action_find(struct action *action);
/* Asks for the end of what is out. */
void action_stop(struct action *action, enum stop_reason reason);
/* A wait begins (or begins again). */
void action_pause(struct action *action, usec_t span);
/* True while a process or a call is out. */
bool action_is_out(const struct action *action);
/* What it wanted of its lane is had, or will not be. */
void action_served(
	struct action *action, enum outcome outcome, const char *reason, const cJSON *result);
/* How far it is has changed: tells the observer. */
void attempt_tell_progress(const struct attempt *a);

/* The attempt's side, in attempt.c: how an action ended. */
void attempt_action_ended(struct attempt *a, const struct kind_event *event);
/* It never came to the effect, for this reason. */
void attempt_action_failed(struct attempt *a, const char *reason);
