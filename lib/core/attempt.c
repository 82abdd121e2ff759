#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/built.h"
#include "core/cell.h"
#include "core/event.h"
#include "core/gate.h"
#include "core/lane.h"
#include "core/lock.h"
#include "core/metrics.h"
#include "core/record.h"
#include "core/run.h"
#include "core/timer.h"

#define REASON_MAX 600

/* --- made and freed
 * -------------------------------------------------------------------------------- */

static int ctx_expand(
	const struct kind_context *ctx, const char *text, char **ret, char **ret_error)
{
	const struct attempt *a = container_of(ctx, struct attempt, ctx);

	return scope_expand(&a->scope, text, ret, ret_error);
}

static int ctx_expand_tree(
	const struct kind_context *ctx, const struct node *in, struct node **ret, char **ret_error)
{
	const struct attempt *a = container_of(ctx, struct attempt, ctx);

	return scope_expand_tree(&a->scope, in, ret, ret_error);
}

static cJSON *ctx_built(const struct kind_context *ctx)
{
	return built_for(container_of(ctx, struct attempt, ctx));
}

static int64_t ctx_usual_sync(const struct kind_context *ctx, const char *database)
{
	const struct attempt *a = container_of(ctx, struct attempt, ctx);

	return built_usual_sync(
		a->step->cell->run->core, a->step->cell->spec->environment, database);
}

static const char *step_output(void *context, const char *step_name, const char *key)
{
	const struct cell *cell = ((const struct attempt *)context)->step->cell;

	for (size_t i = 0; i < cell->n_steps; i++)
		if (str_eq(cell->steps[i].spec->name, step_name))
			return json_string(cell->steps[i].outputs, key);
	return NULL;
}

static void fill_scope(struct attempt *a)
{
	const struct cell *cell = a->step->cell;
	const struct run *run = cell->run;

	a->scope = (struct scope){
		.job = run->def,
		.cell = cell->spec,
		.step = a->step->spec,
		.run_name = run->name,
		.run_number = run->number,
		.scheduled_for = run->scheduled_for ? run->scheduled_for : run->created_at,
		.attempt = a->number,
		.attempt_directory = a->directory,
		.output_path = a->output_path,
		.step_output = step_output,
		.step_output_context = a,
	};
	a->ctx = (struct kind_context){
		.params = a->step->spec->params,
		.attempt_directory = a->directory,
		.attempt = a->number,
		.ok_codes = a->step->spec->ok_codes,
		.n_ok_codes = a->step->spec->n_ok_codes,
		.transient_codes = a->step->spec->transient_codes,
		.n_transient_codes = a->step->spec->n_transient_codes,
		.timeout = a->step->spec->timeout,
		.environment = cell->spec->environment,
		.state_directory = run->core->ports.state,
		.approval = a->step->spec->gate.approval,
		.built = ctx_built,
		.usual_sync = ctx_usual_sync,
		.expand = ctx_expand,
		.expand_tree = ctx_expand_tree,
	};
}

struct attempt *attempt_new(struct step *step, unsigned number)
{
	struct core *core = step->cell->run->core;
	struct attempt *a = xnew(struct attempt);
	struct action_place place = {
		.cell = step->cell->spec->index,
		.step = step->index,
		.attempt = number,
	};

	memcpy(place.run_id, step->cell->run->id, sizeof(place.run_id));
	a->step = step;
	a->number = number;
	a->counted = true;
	a->kind = (core->ports.kind ? core->ports.kind : kind_by_name)(step->spec->kind->name);
	a->directory = core->ports.launcher.attempt_directory(core->ports.launcher.self, &place);
	a->output_path = xasprintf("%s/output", a->directory);
	list_init(&a->place.link);
	a->place.attempt = a;
	fill_scope(a);
	XGROW(step->attempts, step->n_attempts, step->cap_attempts);
	step->attempts[step->n_attempts++] = a;
	return a;
}

static void machine_free(struct attempt *a)
{
	if (a->machine)
		a->kind->free(a->machine);
	a->machine = NULL;
}

void attempt_free(struct attempt *a)
{
	place_release(a->step->cell->run->core, a);
	gate_leave(a);
	machine_free(a);
	for (size_t i = 0; i < a->n_actions; i++)
		action_drop(a->actions[i]);
	free(a->actions);
	cJSON_Delete(a->progress);
	cJSON_Delete(a->plan);
	free(a->directory);
	free(a->output_path);
	free(a->reason);
	free(a->holds_up);
	free(a->stop_why);
	free(a);
}

/* --- its end
 * -------------------------------------------------------------------------------------------- */

enum outcome stop_outcome(enum stop_reason reason)
{
	switch (reason) {
	case STOP_TIMED_OUT:
		return OUTCOME_TIMED_OUT;
	case STOP_SHUTDOWN:
		return OUTCOME_INTERRUPTED;
	default:
		return OUTCOME_CANCELLED;
	}
}

/* Everything that ends an attempt comes here. */
void attempt_enter_ended(struct attempt *a, enum outcome outcome, const char *reason)
{
	struct core *core = a->step->cell->run->core;
	cJSON *progress = a->machine ? attempt_progress(a) : NULL;

	place_release(core, a);
	gate_leave(a);
	a->state = ATTEMPT_ENDED;
	if (a->open)
		lane_leave(a->open);
	a->open = NULL;
	a->outcome = outcome;
	a->reason = reason ? text_one_line(reason, strlen(reason), REASON_MAX) : NULL;
	a->ended_at = core_now(core);
	if (outcome == OUTCOME_NOT_READY || a->never_started)
		a->counted = false;
	if (a->machine) {
		cJSON_Delete(a->progress);
		a->progress = progress;
		a->holds_up = a->kind->holds_up ? a->kind->holds_up(a->machine) : NULL;
	}
	machine_free(a);
	metrics_attempt_ended(a);
	attempt_notice(a, EVENT_ATTEMPT_ENDED, "%s/%s/%s.%u %s%s%s", a->scope.run_name,
		a->step->cell->spec->name, a->step->spec->name, a->number, outcome_name(outcome),
		a->reason ? ": " : "", a->reason ? a->reason : "");
	step_attempt_ended(a->step, a);
}

/* --- the machine's commands
 * ------------------------------------------------------------------------------- */

bool attempt_fill_locks(struct attempt *a, const struct kind_command *cmd, char **ret_error)
{
	struct place *p = &a->place;

	p->locks[1].name = xstrdup(cmd->lock);
	p->locks[1].shared = cmd->lock_shared;
	p->locks[0].shared = a->step->spec->lock.shared;
	if (!a->step->spec->lock.name)
		return true;
	return scope_expand(&a->scope, a->step->spec->lock.name, &p->locks[0].name, ret_error) == 0;
}

static bool takes_no_place(enum kind_command_type type)
{
	return type == KIND_JOIN || type == KIND_QUERY;
}

static void obey_effect(struct attempt *a, const struct kind_command *cmd)
{
	_cleanup_free_ char *error = NULL;

	a->place.locks_only = takes_no_place(cmd->type);
	if (!attempt_fill_locks(a, cmd, &error)) {
		attempt_enter_ended(a, OUTCOME_FAILED, error);
		return;
	}
	a->open = action_new(a, cmd);
	a->state = ATTEMPT_PLACE;
	place_wait(a->step->cell->run->core, a);
}

static void obey_wait(struct attempt *a, const struct kind_command *cmd)
{
	struct action *action;

	action = action_new(a, cmd);
	a->open = action;
	action->epoch = a->step->cell->run->core->epoch;
	action->intent_at = action->started_at = core_now(action->core);
	action->started = true;
	record_attempt(a);
	record_action(action);
	action_pause(action, cmd->wait);
}

/* Does what the machine said; what it noted has been kept already. */
void attempt_obey(struct attempt *a, const struct kind_command *cmd)
{
	if (a->stop && (cmd->type != KIND_DONE || cmd->outcome != OUTCOME_OK)) {
		attempt_enter_ended(a, stop_outcome(a->stop), a->stop_why);
		return;
	}
	switch (cmd->type) {
	case KIND_SPAWN:
	case KIND_HTTP:
	case KIND_JOIN:
	case KIND_QUERY:
		obey_effect(a, cmd);
		return;
	case KIND_WAIT:
		obey_wait(a, cmd);
		return;
	case KIND_ASK:
		gate_ask(a, cmd);
		return;
	case KIND_DONE:
		a->counted = !cmd->not_counted;
		attempt_enter_ended(a, cmd->outcome, cmd->reason);
		return;
	}
}

/* Its gates' notes are none of the machine's. */
static const cJSON *last_note_of(const struct attempt *a)
{
	for (size_t i = a->n_actions; i > 0; i--)
		if (a->actions[i - 1]->note && !gate_is_action(a->actions[i - 1]->name))
			return a->actions[i - 1]->note;
	return NULL;
}

/* What the attempt before noted last. One that never started noted nothing: what was in doubt
 * before it still is. */
static const cJSON *last_note(const struct attempt *a)
{
	const cJSON *note = NULL;

	for (size_t i = a->number - 1; i > 0 && !note; i--)
		note = last_note_of(a->step->attempts[i - 1]);
	return note;
}

void attempt_machine_begin(struct attempt *a, usec_t at, struct kind_command *ret)
{
	struct kind_event begin = {.type = KIND_BEGIN, .at = at};

	a->ctx.before = last_note(a);
	a->ctx.ready_left = gate_ready_left(a);
	a->machine = a->kind->new (&a->ctx);
	a->kind->next(a->machine, &a->ctx, &begin, ret);
}

void attempt_gates_open(struct attempt *a)
{
	struct kind_command cmd = {0};

	attempt_machine_begin(a, core_server_now(a->step->cell->run->core), &cmd);
	attempt_obey(a, &cmd);
	kind_command_fini(&cmd);
}

void attempt_begin(struct step *step)
{
	struct core *core = step->cell->run->core;
	struct attempt *a = attempt_new(step, (unsigned)step->n_attempts + 1);

	a->started_at = core_now(core);
	if (!gate_begin(a))
		attempt_gates_open(a);
}

size_t attempt_n_gates(const struct attempt *a)
{
	size_t n = 0;

	while (n < a->n_actions && gate_is_action(a->actions[n]->name))
		n++;
	return n;
}

void attempt_granted(struct core *core, struct attempt *a)
{
	a->state = ATTEMPT_INTENT;
	if (a->n_actions == attempt_n_gates(a) + 1) /* what it waited until then is no part of it */
		a->started_at = core_now(core);
	record_attempt(a);
	action_intend(a->open);
}

/* --- the end of an action
 * ---------------------------------------------------------------------------------- */

static void take_status(struct attempt *a, struct action *action, const struct action_status *s)
{
	cJSON_Delete(action->status);
	action->status = action_status_to_json(s);
	if (s->started_at)
		action->started_at = s->started_at;
	a->has_exit = s->end == END_EXITED;
	a->exit_code = s->code;
	a->signal = s->end == END_SIGNALLED ? s->signal : 0;
	a->max_rss = MAX(a->max_rss, s->max_rss);
	a->cpu_ms += s->cpu_ms;
}

static bool was_never_started(const struct action_status *s)
{
	return s && s->end == END_NOT_STARTED && (s->lease_over || !s->message);
}

static void end_open_action(struct attempt *a, const struct kind_event *event)
{
	struct action *action = a->open;
	struct core *core = action->core;

	action->ended = true;
	action->ended_at = core_now(core);
	action->waited = core_boot(core) - action->intent_boot;
	if (event->status) {
		take_status(a, action, event->status);
		if (event->status->ended_at)
			action->ended_at = event->status->ended_at;
	}
	a->open = NULL;
	place_release(core, a);
}

/* Who stopped it may be an earlier daemon: what the shim was told still holds. A timeout may be the
 * action's own. */
static void take_stop(struct attempt *a, const struct action_status *s)
{
	if (!s || a->stop || (s->stop != STOP_CANCELLED && s->stop != STOP_FAIL_FAST))
		return;
	a->stop = s->stop;
	if (!a->step->cell->stop && !a->step->cancelled)
		a->step->cell->stop = s->stop;
	a->stop_why = xasprintf("it was stopped: %s", stop_reason_name(s->stop));
}

/* What the machine notes joins what is there already: a person's word. */
static void keep_note(struct action *action, cJSON *take_note)
{
	if (!action->note) {
		action->note = take_note;
		return;
	}
	while (take_note && take_note->child) {
		cJSON *item = cJSON_DetachItemViaPointer(take_note, take_note->child);

		json_set(action->note, item->string, item);
	}
	cJSON_Delete(take_note);
}

void attempt_action_ended(struct attempt *a, const struct kind_event *event)
{
	struct action *action = a->open;
	struct run *run = a->step->cell->run;
	struct kind_event now = *event;
	struct kind_command cmd = {0};

	now.at = core_server_now(run->core);
	end_open_action(a, event);
	take_stop(a, event->status);
	if (was_never_started(event->status)) {
		record_action(action);
		a->never_started = true;
		attempt_enter_ended(a, a->stop ? stop_outcome(a->stop) : OUTCOME_INTERRUPTED,
			a->stop ? a->stop_why
			: event->status->lease_over
				? "never started: the time in which it might start was over"
				: "never started: the daemon or its shim died before");
		run_touch(run);
		return;
	}
	if (event->status && event->status->end == END_INTERRUPTED && !action->repeatable &&
		!action->looks) {
		record_action(action);
		attempt_enter_ended(a, OUTCOME_NEEDS_PERSON,
			"it was interrupted, and may have had its effect: look before it is "
			"tried again");
		run_touch(run);
		return;
	}
	a->kind->next(a->machine, &a->ctx, &now, &cmd);
	keep_note(action, TAKE_PTR(cmd.note));
	record_action(action);
	if (cmd.rows)
		record_kind_rows(a, cmd.rows);
	attempt_obey(a, &cmd);
	kind_command_fini(&cmd);
	run_touch(run);
}

void attempt_action_failed(struct attempt *a, const char *reason)
{
	struct action *action = a->open;
	struct run *run = a->step->cell->run;
	_cleanup_free_ char *why = xstrdup(reason);
	struct action_status status = {
		.end = END_NOT_STARTED,
		.message = why,
	};
	struct kind_event event = {.type = KIND_ENDED, .status = &status};

	end_open_action(a, &event);
	record_action(action);
	attempt_enter_ended(a, OUTCOME_FAILED, why);
	run_touch(run);
}

void attempt_gate_ended(struct attempt *a)
{
	struct action *action = a->open;

	timer_clear(action->core, &action->wait);
	action->ended = true;
	action->ended_at = core_now(action->core);
	action->waited = core_boot(action->core) - action->intent_boot;
	a->open = NULL;
	record_action(action);
}

void attempt_gate_shut(struct attempt *a, enum outcome outcome, const char *reason)
{
	if (a->open)
		attempt_gate_ended(a);
	a->final = true;
	attempt_enter_ended(a, outcome, reason);
}

bool attempt_stop(struct attempt *a, enum stop_reason reason, const char *why)
{
	if (a->state == ATTEMPT_ENDED)
		return true;
	if (!a->stop) {
		a->stop = reason;
		a->stop_why = xstrdup(why);
	}
	if (a->state == ATTEMPT_RUNNING && a->open->type != KIND_JOIN) {
		action_stop(a->open, reason);
		return a->state == ATTEMPT_ENDED;
	}
	if (a->state == ATTEMPT_FOREIGN ||
		(a->open && a->open->finding && a->open->type == KIND_SPAWN))
		return false; /* its process may run: action_stop() once it is found */
	if (a->open) {
		struct action *action = a->open;

		timer_clear(action->core, &action->wait);
		commit_forget(&action->commit);
		action->ended = true;
		action->ended_at = core_now(action->core);
		if (a->state != ATTEMPT_PLACE)
			record_action(action);
	}
	attempt_enter_ended(a, stop_outcome(a->stop), a->stop_why);
	return true;
}

/* --- for readers
 * -----------------------------------------------------------------------------------------------
 */

char *attempt_waits_for(const struct attempt *a)
{
	switch (a->state) {
	case ATTEMPT_PLACE:
		return place_describe(a->step->cell->run->core, a);
	case ATTEMPT_ARMED:
		return xstrdup("waits for the store: effects need its lease");
	case ATTEMPT_FOREIGN:
		return xstrdup("runs on another machine: waits for its report");
	case ATTEMPT_PAUSE:
		return xstrdup("waits");
	case ATTEMPT_ASKING:
	case ATTEMPT_CHECKING:
		return gate_describe(a);
	default:
		return NULL;
	}
}

cJSON *attempt_progress(const struct attempt *a)
{
	const cJSON *lane = a->open ? lane_progress(a->open) : NULL;

	if (lane)
		return cJSON_Duplicate(lane, true);
	if (a->machine && a->kind->progress)
		return a->kind->progress(a->machine);
	return a->progress ? cJSON_Duplicate(a->progress, true) : NULL;
}
