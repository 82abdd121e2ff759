#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/event.h"
#include "core/gate.h"
#include "core/record.h"
#include "core/run.h"
#include "core/timer.h"

#define APPROVAL_ACTION "gate_approval"
#define CHECK_ACTION	"gate_check"

bool gate_is_action(const char *name)
{
	return str_eq(name, APPROVAL_ACTION) || str_eq(name, CHECK_ACTION);
}

static const struct action *action_named(const struct attempt *a, const char *name)
{
	for (size_t i = 0; i < a->n_actions; i++)
		if (str_eq(a->actions[i]->name, name))
			return a->actions[i];
	return NULL;
}

/* An action that is only waited in: it is out as soon as it is said. */
static struct action *wait_open(struct attempt *a, const struct kind_command *cmd)
{
	struct core *core = a->step->cell->run->core;
	struct action *action = action_new(a, cmd);

	a->open = action;
	action->epoch = core->epoch;
	action->intent_at = action->started_at = core_now(core);
	action->intent_boot = core_boot(core);
	action->started = true;
	return action;
}

/* --- a person's word ---------------------------------------------------------------------- */

/* Once a step: an earlier attempt may have been told. */
static bool is_approved(const struct step *step)
{
	for (size_t i = 0; i < step->n_attempts; i++) {
		const struct action *action = action_named(step->attempts[i], APPROVAL_ACTION);

		if (action && str_eq(json_string(action->note, "decision"), "approved"))
			return true;
	}
	return false;
}

char *gate_message(const struct attempt *a)
{
	const char *text = a->step->spec->gate.approval_message;
	_cleanup_free_ char *error = NULL;
	char *message;

	if (!text)
		return NULL;
	if (scope_expand(&a->scope, text, &message, &error) < 0)
		return xstrdup(text);
	return message;
}

static void note_decision(
	struct attempt *a, const char *decision, const char *who, usec_t now, const char *reason)
{
	struct action *action = a->open;

	action->note = cJSON_CreateObject();
	json_set_string(action->note, "decision", decision);
	json_set_string(action->note, "by", who);
	json_set_time(action->note, "at", now);
	json_set_string(action->note, "reason", reason);
	if (!a->plan)
		return;
	json_set_string(a->plan, "decision", decision);
	json_set_string(a->plan, "decided_by", who);
	json_set_time(a->plan, "decided_at", now);
	json_set_string(a->plan, "decision_reason", reason);
	record_plan(a);
}

static void approve(struct attempt *a, const char *who)
{
	struct action *action = a->open;
	struct kind_event event = {
		.type = KIND_APPROVED,
		.action = action->name,
		.who = who,
	};

	if (!gate_is_action(action->name)) {
		timer_clear(action->core, &action->wait);
		attempt_action_ended(a, &event);
		return;
	}
	attempt_gate_ended(a);
	if (!gate_begin(a))
		attempt_gates_open(a);
	run_touch(a->step->cell->run);
}

void gate_decide(struct attempt *a, bool approved, const char *who, const char *reason)
{
	_cleanup_free_ char *said = xasprintf("%s by %s%s%s", approved ? "approved" : "rejected",
		who, reason ? ": " : "", reason ? reason : "");

	note_decision(a, approved ? "approved" : "rejected", who, core_now(a->open->core), reason);
	attempt_notice_as(a, EVENT_APPROVED, approved ? OUTCOME_OK : OUTCOME_FAILED, "%s/%s/%s %s",
		a->scope.run_name, a->step->cell->spec->name, a->step->spec->name, said);
	if (approved)
		approve(a, who);
	else
		attempt_gate_shut(a, OUTCOME_FAILED, said);
}

static void enter_asking(struct attempt *a, usec_t left)
{
	struct action *action = a->open;

	a->state = ATTEMPT_ASKING;
	if (action->deadline_at)
		timer_set_boot(action->core, &action->wait, core_boot(action->core) + left);
	run_touch(a->step->cell->run);
}

/* The word for the very same plan holds: the attempt before may have come to nothing. NULL: it was
 * not given yet. */
static const cJSON *word_for(const struct step *step, const char *hash)
{
	for (size_t i = 0; hash && i < step->n_attempts; i++) {
		const cJSON *plan = step->attempts[i]->plan;

		if (str_eq(json_string(plan, "hash"), hash) &&
			str_eq(json_string(plan, "decision"), "approved"))
			return plan;
	}
	return NULL;
}

static void approve_again(struct attempt *a, const cJSON *word)
{
	_cleanup_free_ char *who = xstrdup(json_string(word, "decided_by"));
	_cleanup_free_ char *reason = xstrdup(json_string(word, "decision_reason"));

	note_decision(a, "approved", who, json_time(word, "decided_at"), reason);
	approve(a, who);
}

void gate_ask(struct attempt *a, const struct kind_command *cmd)
{
	usec_t expires = a->step->spec->gate.approval_expires;
	const cJSON *word = word_for(a->step, cmd->hash);
	struct action *action = wait_open(a, cmd);
	_cleanup_free_ char *message = gate_message(a);

	action->hash = xstrdup(cmd->hash);
	if (word) {
		approve_again(a, word);
		return;
	}
	if (expires)
		action->deadline_at = action->started_at + expires;
	record_attempt(a);
	record_action(action);
	attempt_notice(a, EVENT_APPROVAL_AWAITED,
		"%s/%s/%s waits for approval%s%s (nightjar approve %s/%s)", a->scope.run_name,
		a->step->cell->spec->name, a->step->spec->name, message ? ": " : "",
		message ? message : "", a->scope.run_name, a->step->cell->spec->name);
	enter_asking(a, expires);
}

static bool begin_approval(struct attempt *a)
{
	struct kind_command ask = {.type = KIND_ASK, .action = APPROVAL_ACTION, .repeatable = true};

	if (!a->step->spec->gate.approval || a->kind->plans || is_approved(a->step))
		return false;
	gate_ask(a, &ask);
	return true;
}

static void approval_expired(struct attempt *a)
{
	char span[DURATION_MAX];
	_cleanup_free_ char *why = xasprintf("nobody approved it within %s",
		format_duration(a->step->spec->gate.approval_expires, span));

	note_decision(a, "expired", NULL, core_now(a->open->core), NULL);
	attempt_notice_as(a, EVENT_APPROVED, OUTCOME_NEEDS_PERSON, "%s/%s/%s expired: %s",
		a->scope.run_name, a->step->cell->spec->name, a->step->spec->name, why);
	attempt_gate_shut(a, OUTCOME_NEEDS_PERSON, why);
}

static char *describe_approval(const struct attempt *a)
{
	_cleanup_free_ char *message = gate_message(a);
	char since[INSTANT_MAX];

	return xasprintf("waits for approval since %s%s%s (nightjar approve %s/%s)",
		instant_format_slot(a->open->started_at, since), message ? ": " : "",
		message ? message : "", a->scope.run_name, a->step->cell->spec->name);
}

/* --- all of them -------------------------------------------------------------------------- */

bool gate_begin(struct attempt *a)
{
	if (begin_approval(a))
		return true;
	if (!a->step->spec->gate.check)
		return false;
	attempt_gate_shut(
		a, OUTCOME_FAILED, "gate: a check is not there yet in this version of nightjar");
	return true;
}

void gate_resume(struct attempt *a, struct action *action)
{
	usec_t left = action->deadline_at - core_now(action->core);
	usec_t most = a->step->spec->gate.approval_expires;

	enter_asking(a, MIN(MAX(left, 0), most));
}

void gate_timed_out(struct attempt *a)
{
	approval_expired(a);
}

char *gate_describe(const struct attempt *a)
{
	return describe_approval(a);
}

char *gate_waits_for(const struct attempt *a)
{
	return a->state == ATTEMPT_ASKING ? xstrdup("approval") : NULL;
}

/* --- checks ------------------------------------------------------------------------------- */

/* Nobody waits for one yet. */
void gates_check_changed(struct core *core, const char *check, const char *environment)
{
}
