#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/check.h"
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

static void pass(struct attempt *a)
{
	attempt_gate_ended(a);
	if (!gate_begin(a))
		attempt_gates_open(a);
	run_touch(a->step->cell->run);
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

static char *describe_approval(const struct attempt *a)
{
	_cleanup_free_ char *message = gate_message(a);

	return xasprintf("waits for approval%s%s (nightjar approve %s/%s)", message ? ": " : "",
		message ? message : "", a->scope.run_name, a->step->cell->spec->name);
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

	gate_leave(a);
	if (!gate_is_action(action->name)) {
		timer_clear(action->core, &action->wait);
		attempt_action_ended(a, &event);
		return;
	}
	pass(a);
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
	a->step->cell->run->n_asking++;
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
	_cleanup_free_ char *what = describe_approval(a);

	action->hash = xstrdup(cmd->hash);
	if (word) {
		approve_again(a, word);
		return;
	}
	if (expires)
		action->deadline_at = action->started_at + expires;
	record_attempt(a);
	record_action(action);
	attempt_notice(a, EVENT_APPROVAL_AWAITED, "%s/%s/%s %s", a->scope.run_name,
		a->step->cell->spec->name, a->step->spec->name, what);
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

/* --- a check ------------------------------------------------------------------------------ */

/* What is spent waiting for what is not ready, all rounds together: at the gate, in a lane, and
 * between an attempt that was not ready and the next one. */
static usec_t not_ready_in(const struct attempt *a)
{
	usec_t sum = a->outcome == OUTCOME_NOT_READY ? a->pause : 0;

	for (size_t i = 0; i < a->n_actions; i++) {
		const struct action *action = a->actions[i];

		if (action->ended &&
			(action->type == KIND_JOIN || str_eq(action->name, CHECK_ACTION)))
			sum += MIN(action->waited,
				a->step->spec->timeout + a->step->spec->ready_timeout);
	}
	return sum;
}

usec_t gate_ready_left(const struct attempt *a)
{
	usec_t left = a->step->spec->ready_timeout;

	for (size_t i = 0; i < a->step->n_attempts; i++)
		left -= not_ready_in(a->step->attempts[i]);
	return MAX(left, 0);
}

static bool check_is_up(const struct attempt *a)
{
	const struct cell *cell = a->step->cell;

	return check_state(cell->run->core, cell->run, a->check, cell->spec->environment) ==
	       CHECK_UP;
}

static void enter_checking(struct attempt *a, usec_t left)
{
	const struct cell *cell = a->step->cell;
	struct action *action = a->open;

	a->state = ATTEMPT_CHECKING;
	check_watch(action->core, cell->run, a->check, cell->spec->environment);
	timer_set_boot(action->core, &action->wait, core_boot(action->core) + left);
	run_touch(cell->run);
}

static bool begin_check(struct attempt *a)
{
	struct kind_command wait = {.type = KIND_WAIT, .action = CHECK_ACTION, .repeatable = true};
	const char *name = a->step->spec->gate.check;
	_cleanup_free_ char *error = NULL;
	usec_t left = gate_ready_left(a);

	if (!name || action_named(a, CHECK_ACTION))
		return false;
	if (scope_expand(&a->scope, name, &a->check, &error) < 0) {
		attempt_gate_shut(a, OUTCOME_FAILED, error);
		return true;
	}
	if (check_is_up(a)) {
		free(TAKE_PTR(a->check));
		return false;
	}
	wait_open(a, &wait);
	record_attempt(a);
	record_action(a->open);
	enter_checking(a, left);
	return true;
}

static void note_check(struct attempt *a, const char *reason)
{
	struct action *action = a->open;

	action->note = cJSON_CreateObject();
	json_set_null(action->note, "by");
	json_set_time(action->note, "at", core_now(action->core));
	json_set_string(action->note, "reason", reason);
	json_set_int(action->note, "waited_ms",
		(core_boot(action->core) - action->intent_boot) / USEC_MSEC);
}

static void check_went_up(struct attempt *a)
{
	_cleanup_free_ char *why = xasprintf("%s is up", a->check);

	note_check(a, why);
	gate_leave(a);
	pass(a);
}

static void check_timed_out(struct attempt *a)
{
	struct core *core = a->step->cell->run->core;
	_cleanup_free_ char *what =
		check_describe(core, a->check, a->step->cell->spec->environment);
	char span[DURATION_MAX];
	_cleanup_free_ char *why = xasprintf("%s; waited for it, %s in all", what ? what : a->check,
		format_duration(a->step->spec->ready_timeout, span));

	note_check(a, why);
	attempt_gate_shut(a, OUTCOME_NOT_READY, why);
}

/* The open attempt of the cell, where its gate waits for that check. */
static struct attempt *checking_in(
	const struct cell *cell, const char *check, const char *environment)
{
	struct step *step = cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
	struct attempt *a = step && step->n_attempts ? step->attempts[step->n_attempts - 1] : NULL;

	if (!a || a->state != ATTEMPT_CHECKING || !str_eq(a->check, check))
		return NULL;
	return !environment || str_eq(environment, cell->spec->environment) ? a : NULL;
}

/* Who has waited may be the last that wanted the check: its own words may go with it. */
void gates_check_changed(struct core *core, const char *check_name, const char *environment_name)
{
	_cleanup_free_ char *check = xstrdup(check_name), *environment = xstrdup(environment_name);

	list_for_each(node, &core->runs)
	{
		struct run *run = list_entry(node, struct run, in_core);

		for (unsigned i = 0; i < run->def->n_cells; i++) {
			struct attempt *a = checking_in(&run->cells[i], check, environment);

			if (a && check_is_up(a))
				check_went_up(a);
		}
	}
}

static char *describe_check(const struct attempt *a)
{
	const struct cell *cell = a->step->cell;
	_cleanup_free_ char *what =
		check_describe(cell->run->core, a->check, cell->spec->environment);

	return xasprintf("waits for a check: %s", what ? what : a->check);
}

/* --- all of them -------------------------------------------------------------------------- */

bool gate_begin(struct attempt *a)
{
	return begin_approval(a) || begin_check(a);
}

static usec_t left_of(const struct core *core, usec_t until, usec_t most)
{
	return MIN(MAX(until - core_now(core), 0), most);
}

/* What it has waited before, by the wall clock, counts. */
static void resume_check(struct attempt *a, struct action *action)
{
	usec_t left = gate_ready_left(a),
	       waited = left - left_of(action->core, action->started_at + left, left);
	_cleanup_free_ char *error = NULL;

	action->intent_boot = core_boot(action->core) - waited;
	if (scope_expand(&a->scope, a->step->spec->gate.check, &a->check, &error) < 0) {
		attempt_gate_shut(a, OUTCOME_FAILED, error);
		return;
	}
	enter_checking(a, left - waited);
	if (check_is_up(a))
		check_went_up(a);
}

void gate_resume(struct attempt *a, struct action *action)
{
	if (str_eq(action->name, CHECK_ACTION))
		resume_check(a, action);
	else
		enter_asking(a, left_of(action->core, action->deadline_at,
					a->step->spec->gate.approval_expires));
}

void gate_leave(struct attempt *a)
{
	struct run *run = a->step->cell->run;

	if (a->state == ATTEMPT_CHECKING)
		check_unwatch(run->core, a->check, a->step->cell->spec->environment);
	else if (a->state == ATTEMPT_ASKING)
		run->n_asking--;
	else
		return;
	a->state = ATTEMPT_INTENT;
	free(TAKE_PTR(a->check));
}

void gate_timed_out(struct attempt *a)
{
	if (a->state == ATTEMPT_CHECKING)
		check_timed_out(a);
	else
		approval_expired(a);
}

char *gate_describe(const struct attempt *a)
{
	return a->state == ATTEMPT_CHECKING ? describe_check(a) : describe_approval(a);
}

char *gate_waits_for(const struct attempt *a)
{
	if (a->state == ATTEMPT_CHECKING)
		return xasprintf("check:%s", a->check);
	return a->state == ATTEMPT_ASKING ? xstrdup("approval") : NULL;
}
