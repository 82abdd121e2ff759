/* An attempt after a restart: its machine is built anew by replaying what is recorded, and what is
 * open is followed again. */
#include "base/json.h"
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/event.h"
#include "core/gate.h"
#include "core/lock.h"
#include "core/record.h"
#include "core/timer.h"

static bool is_ours(const struct action *action)
{
	return str_eq(action->machine, action->core->ports.machine);
}

/* Its own shim is asked; another machine's reports, or its deadline passes. */
static void resume_process(struct attempt *a, struct action *action, const struct kind_command *cmd)
{
	_cleanup_free_ char *error = NULL;

	if (!attempt_fill_locks(a, cmd, &error))
		core_notice(action->core, EVENT_ALARM, NULL, "%s: its lock cannot be named: %s",
			a->scope.run_name, error);
	place_take(action->core, a);
	if (is_ours(action)) {
		a->state = ATTEMPT_INTENT;
		action_find(action);
		return;
	}
	a->state = ATTEMPT_FOREIGN;
	timer_set_boot(action->core, &action->wait,
		core_boot(action->core) +
			MAX(action->deadline_at - core_server_now(action->core), 0));
}

static void resume_call(struct attempt *a, struct action *action)
{
	struct kind_event event = {
		.type = KIND_ANSWERED,
		.action = action->name,
		.http_error = "the daemon was restarted before the answer came",
	};

	if (action->repeatable || action->looks) {
		attempt_action_ended(a, &event);
		return;
	}
	action->ended = true;
	a->open = NULL;
	record_action(action);
	attempt_enter_ended(a, OUTCOME_NEEDS_PERSON,
		"the daemon was restarted before the answer came: the call may have had its "
		"effect");
}

/* It is harmless to ask again. */
static void resume_asking(struct attempt *a, struct action *action, const struct kind_command *cmd)
{
	_cleanup_free_ char *error = NULL;

	a->place.locks_only = true;
	if (!attempt_fill_locks(a, cmd, &error)) {
		attempt_action_failed(a, error);
		return;
	}
	place_take(action->core, a);
	a->state = ATTEMPT_INTENT;
	action_find(action);
}

static void resume_open(struct attempt *a, struct action *action, const struct kind_command *cmd)
{
	a->open = action;
	action->looks = cmd->looks;
	switch (action->type) {
	case KIND_SPAWN:
		resume_process(a, action, cmd);
		return;
	case KIND_HTTP:
		resume_call(a, action);
		return;
	case KIND_ASK:
		action->hash = xstrdup(cmd->hash);
		gate_resume(a, action);
		return;
	case KIND_JOIN:
	case KIND_QUERY:
		resume_asking(a, action, cmd);
		return;
	default:
		action_pause(action, cmd->wait);
		return;
	}
}

/* The event as the machine met it, from its record. */
static void replay_event(struct attempt *a, struct action *action, struct kind_command *ret)
{
	struct action_status status = {0};
	struct kind_event event = {
		.action = action->name,
		.at = action->ended_at,
		.note = action->note,
	};

	switch (action->type) {
	case KIND_SPAWN:
		event.type = KIND_ENDED;
		action_status_from_json(action->status, &status);
		event.status = &status;
		break;
	case KIND_HTTP:
	case KIND_QUERY:
		event.type = KIND_ANSWERED;
		break;
	case KIND_ASK:
		event.type = KIND_APPROVED;
		event.who = json_string(action->note, "by");
		break;
	case KIND_JOIN:
		event.type = KIND_SERVED;
		break;
	default:
		event.type = KIND_PASSED;
		break;
	}
	a->kind->next(a->machine, &a->ctx, &event, ret);
	action_status_fini(&status);
}

void attempt_resume(struct attempt *a)
{
	struct kind_command cmd = {0};
	size_t gates = attempt_n_gates(a);

	if (gates && !a->actions[gates - 1]->ended) {
		a->open = a->actions[gates - 1];
		gate_resume(a, a->open);
		return;
	}
	if (gates == a->n_actions && gate_begin(a))
		return;
	attempt_machine_begin(a, a->started_at, &cmd);
	for (size_t i = gates; i < a->n_actions; i++) {
		struct action *action = a->actions[i];

		if (cmd.type == KIND_DONE || !str_eq(cmd.action, action->name)) {
			kind_command_fini(&cmd);
			attempt_enter_ended(a, OUTCOME_NEEDS_PERSON,
				"its actions do not fit this version of nightjar: it cannot be "
				"followed");
			return;
		}
		action->type = cmd.type;
		if (!action->ended) {
			resume_open(a, action, &cmd);
			kind_command_fini(&cmd);
			return;
		}
		kind_command_fini(&cmd);
		cmd = (struct kind_command){0};
		replay_event(a, action, &cmd);
	}
	attempt_obey(a, &cmd);
	kind_command_fini(&cmd);
}
