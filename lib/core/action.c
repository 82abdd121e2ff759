#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "base/progress.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/effect.h"
#include "core/event.h"
#include "core/gate.h"
#include "core/lane.h"
#include "core/lock.h"
#include "core/record.h"
#include "core/timer.h"

#define OUTPUT_KEYS	256
#define KILL_AFTER_MOST (10 * USEC_MINUTE) /* what a kind may say where the step says none */
#define LEASE_RETRY	USEC_SEC
/* What may pass between an intent and its effect: a foreign deadline counts from the intent. */
#define INTENT_SLACK USEC_MINUTE
#define INTENT_OLD   (INTENT_SLACK - 15 * USEC_SEC)

/* --- made and dropped --------------------------------------------------------------------- */

static void wait_fired(struct core *core, struct timer *t);

struct action *action_new(struct attempt *a, const struct kind_command *cmd)
{
	struct action *action = xnew(struct action);

	action->core = a->step->cell->run->core;
	action->attempt = a;
	memcpy(action->name, cmd->action, sizeof(action->name));
	action->ordinal = (unsigned)a->n_actions;
	action->type = cmd->type;
	action->repeatable = cmd->repeatable;
	action->looks = cmd->looks;
	action->wait.fire = wait_fired;
	list_init(&action->commit.link);
	XGROW(a->actions, a->n_actions, a->cap_actions);
	a->actions[a->n_actions++] = action;
	return action;
}

static void wipe_values(struct action *action)
{
	for (size_t i = 0; action->values && action->secrets.names[i]; i++)
		wipe_free(action->values[i]);
	free(action->values);
	action->values = NULL;
}

/* What only its start and its watching need. */
static void action_cool(struct action *action)
{
	wipe_values(action);
	strv_free(action->secrets.names);
	action->secrets.names = NULL;
	free(action->secrets.environment);
	action->secrets.environment = NULL;
	free(action->secrets_error);
	action->secrets_error = NULL;
	launch_fini(&action->launch);
	kind_request_fini(&action->call.request);
	mask_set_free(action->call.mask);
	action->call.mask = NULL;
	kind_query_fini(&action->query.query);
	mask_set_free(action->query.mask);
	action->query.mask = NULL;
	if (action->want.kind && action->want.want)
		action->want.kind->want_free(action->want.want);
	free(action->want.key);
	action->want = (struct lane_want){0};
	mask_set_free(action->want_mask);
	action->want_mask = NULL;
}

static void action_free(struct action *action)
{
	action_cool(action);
	free(action->machine);
	free(action->hash);
	cJSON_Delete(action->status);
	cJSON_Delete(action->note);
	free(action);
}

bool action_is_out(const struct action *action)
{
	return action->launched;
}

void action_drop(struct action *action)
{
	timer_clear(action->core, &action->wait);
	commit_forget(&action->commit);
	lane_leave(action);
	action->attempt = NULL;
	if ((!action->launched && !action->secrets_pending) || action->core->freeing)
		action_free(action);
}

/* --- the intent
 * ------------------------------------------------------------------------------------- */

static void action_try_effect(struct action *action);

static void intent_durable(struct core *core, struct commit_wait *w, const char *error)
{
	struct action *action = container_of(w, struct action, commit);

	if (error) {
		attempt_action_failed(action->attempt, error);
		return;
	}
	action->durable = true;
	action_try_effect(action);
}

static void secrets_done(struct secrets_request *r, const char *error, char **take_values)
{
	struct action *action = container_of(r, struct action, secrets);

	action->secrets_pending = false;
	action->values = take_values;
	if (!action->attempt) {
		action_free(action);
		return;
	}
	if (action->ended) { /* stopped while they were on their way */
		wipe_values(action);
		return;
	}
	action->secrets_error = xstrdup(error);
	action_try_effect(action);
}

static void ask_for_secrets(struct action *action)
{
	const struct cell *cell = action->attempt->step->cell;
	struct secrets_request *r = &action->secrets;

	r->names = scope_secret_names(cell->run->def, cell->spec, action->attempt->step->spec);
	if (!r->names || !r->names[0])
		return;
	r->environment = xstrdup(cell->spec->environment);
	r->done = secrets_done;
	r->owner = action;
	action->secrets_pending = true;
	action->core->ports.secrets.fetch(action->core->ports.secrets.self, r);
}

static void intend(struct action *action)
{
	struct core *core = action->core;
	usec_t grace = action->attempt->step->spec->kill_after;

	free(action->machine);
	action->machine = xstrdup(core->ports.machine);
	action->epoch = core->epoch;
	action->intent_at = core_now(core);
	action->intent_boot = core_boot(core);
	action->deadline_at = core_server_now(core) + action->attempt->step->spec->timeout +
			      (grace ? grace : KILL_AFTER_MOST) + INTENT_SLACK;
	action->durable = false;
	record_action(action);
	commit_wait(core, &action->commit, intent_durable);
}

void action_intend(struct action *action)
{
	intend(action);
	ask_for_secrets(action);
}

void action_find(struct action *action)
{
	action->finding = true;
	action->durable = true;
	action->launched = false;
	ask_for_secrets(action);
	if (!action->secrets_pending)
		action_try_effect(action);
}

/* --- the effect
 * --------------------------------------------------------------------------------------- */

static void call_done(
	struct http_call *call, int status, const char *error, const char *body, size_t body_len);
static void query_done(struct query_call *call, const char *error, const char *text, size_t len);

/* Of those that do something: an attempt begins once. */
static bool is_first(const struct action *action)
{
	const struct attempt *a = action->attempt;

	for (size_t i = 0; i < a->n_actions && a->actions[i] != action; i++)
		if (a->actions[i]->type != KIND_WAIT && a->actions[i]->type != KIND_ASK)
			return false;
	return true;
}

static void began(struct action *action, usec_t at, bool adopted)
{
	const struct attempt *a = action->attempt;

	action->started = true;
	action->started_at = at;
	if (!a || (!adopted && !is_first(action)))
		return;
	attempt_notice(a, adopted ? EVENT_ACTION_ADOPTED : EVENT_ATTEMPT_STARTED, "%s/%s/%s.%u %s",
		a->scope.run_name, a->step->cell->spec->name, a->step->spec->name, a->number,
		adopted ? "still runs: followed again" : "begins");
}

static void call_out(struct action *action)
{
	struct http_port *http = &action->core->ports.http;

	began(action, core_now(action->core), false);
	action->call.done = call_done;
	action->call.owner = action;
	http->start(http->self, &action->call);
}

static void query_out(struct action *action)
{
	struct query_port *query = &action->core->ports.query;

	began(action, core_now(action->core), false);
	action->query.done = query_done;
	action->query.owner = action;
	query->start(query->self, &action->query);
}

static void join(struct action *action)
{
	struct mask_set *mask = TAKE_PTR(action->want_mask);
	struct lane_want want = action->want;

	action->want = (struct lane_want){0};
	began(action, action->finding ? action->intent_at : core_now(action->core),
		action->finding);
	lane_join(action, &want, mask);
}

static void launch(struct action *action)
{
	struct launcher_port *launcher = &action->core->ports.launcher;

	if (action->finding)
		launcher->find(launcher->self, &action->launch);
	else
		launcher->start(launcher->self, &action->launch);
}

static void go_out(struct action *action)
{
	action->attempt->state = ATTEMPT_RUNNING;
	if (action->type == KIND_JOIN) {
		join(action);
		return;
	}
	action->launched = true;
	action->core->n_running++;
	if (action->type == KIND_HTTP)
		call_out(action);
	else if (action->type == KIND_QUERY)
		query_out(action);
	else
		launch(action);
}

/* The lease is over: the same again when there may be one. */
static void arm(struct action *action)
{
	struct core *core = action->core;

	action->attempt->state = ATTEMPT_ARMED;
	timer_set_boot(core, &action->wait, core_boot(core) + LEASE_RETRY);
}

/* A lane asks for the lease itself; a query needs none of the right, but a daemon that ends has
 * none, and must not ask any more. */
static bool needs_lease(const struct action *action)
{
	return action->type == KIND_QUERY || (action->type != KIND_JOIN && !action->finding);
}

static bool may_go_out(struct action *action, usec_t lease)
{
	struct core *core = action->core;

	if (!needs_lease(action))
		return true;
	if (core_boot(core) >= lease) {
		arm(action);
		return false;
	}
	if (core_boot(core) - action->intent_boot > INTENT_OLD) {
		action->attempt->state = ATTEMPT_INTENT;
		intend(action);
		return false;
	}
	return true;
}

/* A process that is to be found is found even where its start could not be filled in again: a
 * secret may be gone by now. Then nothing of it is read that would need masking. */
static void action_try_effect(struct action *action)
{
	struct core *core = action->core;
	usec_t lease = core->ports.store.lease(core->ports.store.self);
	bool to_find = action->finding && action->type == KIND_SPAWN;
	_cleanup_free_ char *error = NULL;
	int r;

	if (!action->durable || action->secrets_pending || !may_go_out(action, lease))
		return;
	action->launch.start_before = lease;
	error = xstrdup(action->secrets_error);
	r = error ? -ENOENT : effect_fill(action, &error);
	if (r < 0 && !to_find) {
		attempt_action_failed(action->attempt, error);
		return;
	}
	if (r < 0) {
		effect_fill_place(action);
		action->launch.n_artifacts = 0;
	}
	wipe_values(action);
	go_out(action);
	if (to_find && action->attempt->stop)
		action_stop(action, action->attempt->stop);
}

void action_pause(struct action *action, usec_t span)
{
	action->attempt->state = ATTEMPT_PAUSE;
	timer_set_boot(action->core, &action->wait, core_boot(action->core) + span);
}

static void wait_fired(struct core *core, struct timer *t)
{
	struct action *action = container_of(t, struct action, wait);
	struct kind_event event = {.type = KIND_PASSED, .action = action->name};

	if (action->attempt->state == ATTEMPT_ARMED) {
		action_try_effect(action);
		return;
	}
	if (action->attempt->state == ATTEMPT_ASKING ||
		action->attempt->state == ATTEMPT_CHECKING) {
		gate_timed_out(action->attempt);
		return;
	}
	if (action->type != KIND_WAIT)
		event.type = KIND_ENDED; /* a foreign one whose deadline passed */
	if (event.type == KIND_ENDED) {
		struct action_status status = {.end = END_INTERRUPTED, .ended_at = core_now(core)};

		event.status = &status;
		attempt_action_ended(action->attempt, &event);
		return;
	}
	attempt_action_ended(action->attempt, &event);
}

void action_stop(struct action *action, enum stop_reason reason)
{
	struct core *core = action->core;

	if (action->stop || !action->launched)
		return;
	action->stop = reason;
	if (action->type == KIND_SPAWN) {
		core->ports.launcher.stop(core->ports.launcher.self, &action->launch, reason);
		return;
	}
	if (action->type == KIND_QUERY) {
		core->ports.query.cancel(core->ports.query.self, &action->query);
		query_done(&action->query, "cancelled", NULL, 0);
		return;
	}
	core->ports.http.cancel(core->ports.http.self, &action->call);
	call_done(&action->call, 0, "cancelled", NULL, 0);
}

/* --- from the launcher and the http port
 * --------------------------------------------------------------- */

static struct action *action_of(struct launch *l)
{
	return container_of(l, struct action, launch);
}

void core_action_started(struct core *core, struct launch *l, usec_t at, bool adopted)
{
	began(action_of(l), at, adopted);
}

void core_action_commit(struct core *core, struct launch *l, const char *commit)
{
	struct action *action = action_of(l);
	struct run *run = action->attempt ? action->attempt->step->cell->run : NULL;

	if (!run || run->commit)
		return;
	run->commit = xstrdup(commit);
	record_run(run);
}

void attempt_tell_progress(const struct attempt *a)
{
	_cleanup_json_ cJSON *progress = attempt_progress(a);
	_cleanup_buf_ struct buf text = BUF_NULL;

	buf_progress(&text, progress);
	attempt_notice(a, EVENT_PROGRESS, "%s/%s/%s%s%s", a->scope.run_name,
		a->step->cell->spec->name, a->step->spec->name, text.len ? ": " : "",
		buf_str(&text));
}

void core_action_line(struct core *core, struct launch *l, enum stream stream, usec_t at,
	const char *text, size_t len, bool partial)
{
	struct attempt *a = action_of(l)->attempt;
	_cleanup_free_ char *news = NULL;
	bool changed = false, is_new = at >= core->started_at;

	if (!a || !a->machine)
		return;
	if (a->kind->line)
		changed = a->kind->line(a->machine, stream, text, len, partial, &news);
	if (!is_new)
		return;
	if (news)
		attempt_notice(a, EVENT_NEWS, "%s/%s: %s", a->scope.run_name,
			a->step->cell->spec->name, news);
	if (changed)
		attempt_tell_progress(a);
	if (!a->kind->line || len == 0 || text[0] != '{')
		attempt_output(a, text);
}

void core_action_gap(struct core *core, struct launch *l, uint64_t bytes)
{
	const struct attempt *a = action_of(l)->attempt;

	if (a)
		attempt_notice(a, EVENT_NEWS, "%s/%s: %llu bytes of its output were not followed",
			a->scope.run_name, a->step->cell->spec->name, (unsigned long long)bytes);
}

/* Lines KEY=VALUE of $NIGHTJAR_OUTPUT; a later line of the same key wins. */
static void read_outputs(struct step *step, const struct artifact *file)
{
	const char *p = file->data, *end = p + file->len;
	int n = 0;

	if (!file->data || !utf8_is_valid(file->data, file->len))
		return;
	for (; p < end && n < OUTPUT_KEYS; n++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((eol ? eol : end) - p);
		const char *eq = memchr(p, '=', len);

		if (eq) {
			_cleanup_free_ char *key = xstrndup(p, (size_t)(eq - p));
			_cleanup_free_ char *value = xstrndup(eq + 1, len - (size_t)(eq - p) - 1);

			if (variable_is_valid(key)) {
				if (!step->outputs)
					step->outputs = cJSON_CreateObject();
				json_set_string(step->outputs, key, value);
			}
		}
		p = eol ? eol + 1 : end;
	}
}

/* Another daemon may wait for it. Where the store is away the adapter keeps it until it is there.
 */
static void report_forgotten(struct action *action, const struct action_status *status)
{
	struct core *core = action->core;
	_cleanup_json_ cJSON *json = action_status_to_json(status);

	if (core->store != STORE_READY && core->ports.store.report)
		core->ports.store.report(core->ports.store.self, &action->launch.place, json);
	action_free(action);
}

void core_action_ended(struct core *core, struct launch *l, const struct action_status *status,
	const struct artifact *artifacts, size_t n_artifacts)
{
	struct action *action = action_of(l);
	struct kind_event event = {
		.type = KIND_ENDED,
		.action = action->name,
		.status = status,
	};

	action->launched = false;
	core->n_running--;
	if (!action->attempt) {
		report_forgotten(action, status);
		return;
	}
	if (n_artifacts > 0) {
		read_outputs(action->attempt->step, &artifacts[0]);
		event.artifacts = artifacts + 1;
		event.n_artifacts = n_artifacts - 1;
	}
	action_cool(action);
	attempt_action_ended(action->attempt, &event);
}

/* An answer, or none: it has come in. */
static void answered(struct action *action, struct kind_event *event, struct mask_set *take_mask)
{
	event->type = KIND_ANSWERED;
	event->action = action->name;
	event->mask = take_mask;
	action->launched = false;
	action->core->n_running--;
	if (!action->attempt) {
		action_free(action);
	} else {
		action_cool(action);
		attempt_action_ended(action->attempt, event);
	}
	mask_set_free(take_mask);
}

static void call_done(
	struct http_call *call, int status, const char *error, const char *body, size_t body_len)
{
	struct kind_event event = {
		.http_status = status,
		.http_trouble = call->trouble,
		.http_error = error,
		.body = body,
		.body_len = body_len,
	};

	answered(call->owner, &event, TAKE_PTR(call->mask));
}

static void query_done(struct query_call *call, const char *error, const char *text, size_t len)
{
	struct kind_event event = {
		.http_status = error ? 0 : 200,
		.http_trouble = call->trouble,
		.http_error = error,
		.body = text,
		.body_len = len,
	};

	answered(call->owner, &event, TAKE_PTR(call->mask));
}

void action_served(
	struct action *action, enum outcome outcome, const char *reason, const cJSON *result)
{
	struct kind_event event = {
		.type = KIND_SERVED,
		.action = action->name,
		.outcome = outcome,
		.reason = reason,
		.result = result,
	};

	action_cool(action);
	attempt_action_ended(action->attempt, &event);
}
