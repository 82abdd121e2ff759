/* The kind `terraform`: a plan, and the apply of exactly that plan.
 *
 * Happy path: begin -> init (where the attempt before did not) -> the workspace is there -> plan
 * into a private file -> show, for the names of what it would make -> (a person's word) -> apply of
 * that file -> done. A plan alone ends after the plan. Failures: errors are classed
 * (terraform_class.c). Look-ups that a sync of Metabase mends end the attempt as not_ready; the
 * next one first joins the lane for a proved sync of their databases, and where one still fails
 * after that, Metabase is asked for the table: a wrong name waits for nothing. A stale plan, and an
 * apply that was cut off, are planned again at once, a few times. A create whose answer was lost is
 * in doubt: it is looked for in Metabase, now or before the next apply. What an earlier apply has
 * left behind is never destroyed or replaced without a person. A stop is one SIGINT to terraform
 * alone and minutes of patience. No lock is ever forced. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/digest.h"
#include "base/memory.h"
#include "kinds/exit.h"
#include "kinds/kind_table.h"
#include "kinds/terraform_machine.h"
#include "kinds/terraform_show.h"

static void *terraform_new(const struct kind_context *ctx)
{
	struct terraform *t = xnew(struct terraform);

	t->memory = cJSON_CreateObject();
	return t;
}

static void terraform_free(void *state)
{
	struct terraform *t = state;

	if (!t)
		return;
	node_free(t->params);
	free(t->directory);
	free(t->data_directory);
	free(t->backend);
	terraform_log_fini(&t->log);
	cJSON_Delete(t->memory);
	free(t);
}

/* --- begin -------------------------------------------------------------------------------- */

/* Everything that can be wrong with the parameters is found here, before anything is started.
 * Options of the backend may hold secrets, which cannot be had here: then they are expanded for the
 * init alone. */
static int prepare(struct terraform *t, const struct kind_context *ctx, char **ret_error)
{
	_cleanup_node_ struct node *plain = node_new(NODE_GROUP, NULL, NULL, 0), *backend = NULL;
	const struct node *config = node_get(ctx->params, "backend_config");
	_cleanup_free_ char *url = NULL, *why = NULL, *no_metabase = NULL;
	int r;

	for (size_t i = 0; i < ctx->params->n_children; i++)
		if (ctx->params->children[i] != config)
			node_add(plain, node_copy(ctx->params->children[i]));
	if (argv_names_secret("terraform", plain, ret_error))
		return -EINVAL;
	r = ctx->expand_tree(ctx, plain, &t->params, ret_error);
	if (r < 0)
		return r;
	t->directory = terraform_command_directory(t->params, ret_error);
	if (!t->directory)
		return -EINVAL;
	if (config)
		t->backend_secret = argv_names_secret("backend_config", config, &why) ||
				    ctx->expand_tree(ctx, config, &backend, &why) < 0;
	t->backend = backend ? terraform_command_backend(backend) : NULL;
	t->data_directory = t->backend_secret ? xasprintf("%s/data", ctx->attempt_directory)
					      : terraform_command_data_directory(
							ctx, t->params, t->directory, t->backend);
	t->has_metabase = ctx->expand(ctx, "${metabase.url}", &url, &no_metabase) == 0;
	t->plan_only = str_eq(node_string(t->params, "action"), "plan");
	return 0;
}

static void begin(struct terraform *t, const struct kind_context *ctx, struct kind_command *ret)
{
	char *error = NULL;

	if (prepare(t, ctx, &error) < 0) {
		terraform_enter_done(ret, OUTCOME_FAILED, error);
		return;
	}
	terraform_carry(t, ctx->before);
	if (t->has_metabase && json_get(t->memory, "sync"))
		terraform_enter_sync(ret);
	else
		terraform_after_sync(t, ret);
}

/* --- what has ended ----------------------------------------------------------------------- */

static void on_synced(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	cJSON *rows = terraform_take_proof(t, ctx, event);
	const char *why = event->reason ? event->reason : "no reason given";

	switch (event->outcome) {
	case OUTCOME_OK:
		terraform_count(t, "rounds");
		terraform_after_sync(t, ret);
		break;
	case OUTCOME_NOT_READY:
	case OUTCOME_TRANSIENT: /* waiting for Metabase burns nothing */
		terraform_enter_end(t, OUTCOME_NOT_READY, xasprintf("Metabase: %s", why), ret);
		break;
	default:
		terraform_enter_end(t, OUTCOME_FAILED, xasprintf("Metabase: %s", why), ret);
		break;
	}
	ret->rows = rows;
}

/* Stopped, killed, not started: no word of terraform's. */
static bool ended_early(const struct action_status *s)
{
	return s->end != END_EXITED || s->stop != STOP_NONE || s->oom_killed;
}

static void on_ended_early(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	_cleanup_free_ char *why = NULL;
	enum outcome outcome = kind_exit_outcome(ctx, event->status, &why);

	terraform_enter_end(t, outcome,
		xasprintf("terraform: %.*s %s", (int)strcspn(event->action, "_"), event->action,
			why ? why : "ended"),
		ret);
	ret->not_counted = event->status->end == END_NOT_STARTED && event->status->lease_over;
}

static enum outcome outcome_of(enum terraform_class class)
{
	switch (class) {
	case TF_CLASS_TRANSIENT:
	case TF_CLASS_LOST:
	case TF_CLASS_LOGIN:
	case TF_CLASS_STALE:
		return OUTCOME_TRANSIENT;
	case TF_CLASS_NOT_READY:
		return OUTCOME_NOT_READY;
	case TF_CLASS_HALTED:
		return OUTCOME_INTERRUPTED;
	case TF_CLASS_PERSON:
		return OUTCOME_NEEDS_PERSON;
	default:
		return OUTCOME_FAILED;
	}
}

/* Ends the attempt by what the errors come to, or goes on where something can still be done. */
static void on_errors(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	struct terraform_verdict v = terraform_judge(&t->log, event->status);
	bool again = terraform_plan_number(t) < TERRAFORM_PLANS_MAX;

	json_set_string(t->memory, "said", v.reason);
	if (v.class == TF_CLASS_LOGIN && t->has_metabase)
		terraform_enter_look(t, "login", ret);
	else if (v.class == TF_CLASS_STALE && again)
		terraform_enter_plan(t, ret);
	else if (v.class == TF_CLASS_INIT && again && !json_get(t->memory, "inits"))
		terraform_enter_init(t, ret);
	else
		terraform_enter_end(t, outcome_of(v.class), xstrdup(v.reason), ret);
	free(v.reason);
}

static void on_init_ended(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	json_set_bool(t->memory, "init", event->status->code == 0);
	if (event->status->code == 0)
		terraform_after_init(t, ret);
	else
		on_errors(t, ctx, event, ret);
}

static void on_workspace_ended(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{

	if (event->status->code == 0)
		terraform_enter_plan(t, ret);
	else if (t->log.n_errors)
		on_errors(t, ctx, event, ret);
	else
		terraform_enter_end(t, OUTCOME_FAILED,
			xasprintf("terraform: there is no workspace \"%s\"",
				terraform_command_workspace(t->params)),
			ret);
}

/* --- plan --------------------------------------------------------------------------------- */

static void take_hash(struct terraform *t, const struct kind_event *event)
{
	_cleanup_free_ char *changes = NULL;
	char hex[DIGEST_HEX];

	if (event->n_artifacts && event->artifacts[0].data) {
		digest_hex(event->artifacts[0].data, event->artifacts[0].len, hex);
	} else {
		changes = json_print(json_get(t->memory, "changes"));
		digest_hex(changes, strlen(changes), hex);
	}
	json_set_string(t->memory, "hash", hex);
}

static cJSON *plan_rows(
	struct terraform *t, const struct kind_context *ctx, const struct kind_event *event)
{
	cJSON *rows = cJSON_CreateObject(), *list = json_set(rows, "plan", cJSON_CreateArray());
	usec_t at = event->status->ended_at ? event->status->ended_at : event->at;

	cJSON_AddItemToArray(list, terraform_plan_row(json_string(t->memory, "hash"),
					   json_get(t->memory, "changes"), at, ctx->environment));
	return rows;
}

static void on_planned(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	_cleanup_free_ char *text = NULL;
	bool any = event->status->code == 2;
	cJSON *rows;

	terraform_changes_sort(&t->log.changes);
	json_set(t->memory, "changes", terraform_changes_to_json(&t->log.changes));
	take_hash(t, event);
	rows = plan_rows(t, ctx, event);
	text = terraform_changes_text(json_get(t->memory, "changes"), false);
	if (!any)
		terraform_enter_end(t, OUTCOME_OK,
			xstrdup(t->plan_only ? "no drift" : "nothing to change"), ret);
	else if (!t->plan_only)
		terraform_enter_show(t, ret);
	else if (ctx->approval)
		terraform_enter_ask(t, ret);
	else
		terraform_enter_end(t, OUTCOME_OK,
			xasprintf("drift: %s", *text ? text : "outputs would change"), ret);
	ret->rows = rows;
}

static void on_plan_ended(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	int code = event->status->code;
	struct terraform_verdict v = {0};

	json_set_bool(t->memory, "file", !t->plan_only);
	if (code == TERRAFORM_ERRORED) {
		json_set_bool(t->memory, "file", false);
		terraform_enter_end(t, OUTCOME_NEEDS_PERSON,
			xasprintf("terraform: %s/errored.tfstate holds a state that could not be "
				  "saved: `terraform state push errored.tfstate`, remove it, then "
				  "retry",
				t->directory),
			ret);
		return;
	}
	if ((code == 0 || code == 2) && !t->log.n_errors) {
		on_planned(t, ctx, event, ret);
		return;
	}
	v = terraform_judge(&t->log, event->status);
	if (v.class == TF_CLASS_NOT_READY) {
		json_set_string(t->memory, "said", v.reason);
		terraform_note_lookups(t);
		terraform_enter_show(t, ret);
	} else {
		on_errors(t, ctx, event, ret);
	}
	free(v.reason);
}

/* Look-ups failed: what is to be synced, or, where that was done, what is not there at all. */
static void on_not_ready(struct terraform *t, struct kind_command *ret)
{
	terraform_want_sync(t);
	if (t->has_metabase && terraform_wanted_was_proved(t))
		terraform_enter_look(t, "names", ret);
	else if (json_int(t->memory, "rounds", 0) >= TERRAFORM_ROUNDS_MAX)
		terraform_enter_end(t, OUTCOME_FAILED,
			xasprintf("%s, though Metabase has been synced %d times",
				json_string(t->memory, "said"), TERRAFORM_ROUNDS_MAX),
			ret);
	else
		terraform_enter_not_ready(t, ret);
}

static void take_show(struct terraform *t, const struct kind_event *event)
{
	cJSON *show =
		event->status->code == 0 && event->n_artifacts
			? terraform_show_read(event->artifacts[0].data, event->artifacts[0].len)
			: NULL;

	json_set(t->memory, "show", show ? show : cJSON_CreateObject());
}

/* A plan that failed is shown for its look-ups alone, and its file is gone with that. */
static void on_shown(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	take_show(t, event);
	if (json_get(t->memory, "lookups")) {
		json_set_bool(t->memory, "file", false);
		on_not_ready(t, ret);
	} else {
		terraform_after_show(t, ctx, ret);
	}
}

/* --- apply -------------------------------------------------------------------------------- */

static void on_applied(struct terraform *t, struct kind_command *ret)
{
	const cJSON *changes = json_get(t->memory, "changes");
	_cleanup_free_ char *text = terraform_changes_text(changes, true);

	terraform_enter_end(t, OUTCOME_OK, xstrdup(*text ? text : "outputs changed"), ret);
}

/* Nobody told it to end, and it could not say how far it was: the state tells, once planned again.
 */
static void on_apply_cut(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	_cleanup_free_ char *why = NULL;

	terraform_doubt(t, true);
	if (terraform_plan_number(t) < TERRAFORM_PLANS_MAX) {
		terraform_enter_plan(t, ret);
		return;
	}
	kind_exit_outcome(ctx, event->status, &why);
	terraform_enter_end(t, OUTCOME_NEEDS_PERSON,
		xasprintf("terraform: apply was cut off again and again: %s", why ? why : "ended"),
		ret);
}

/* An answer to a create was lost: Metabase is asked, where the name is known. */
static bool can_look_for_doubt(const struct terraform *t)
{
	_cleanup_free_ char *unknowable = terraform_doubt_unknowable(t);

	return !unknowable && terraform_doubt_planned(t);
}

static void on_apply_errors(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	struct terraform_verdict v = terraform_judge(&t->log, event->status);

	terraform_doubt(t, false);
	json_set_string(t->memory, "said", v.reason);
	if (v.class == TF_CLASS_STALE && json_bool(t->memory, "first", false))
		json_set_bool(t->memory, "applied", false); /* it changed nothing */
	if (v.class == TF_CLASS_NOT_READY) {
		terraform_note_lookups(t);
		on_not_ready(t, ret);
	} else if (v.class == TF_CLASS_LOST && can_look_for_doubt(t)) {
		json_set_bool(t->memory, "lost", true);
		terraform_enter_look(t, "doubt", ret);
	} else {
		on_errors(t, ctx, event, ret);
	}
	free(v.reason);
}

static void on_apply_ended(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	const struct action_status *s = event->status;

	json_set_bool(t->memory, "file", false);
	if (s->end == END_EXITED && s->code == 0) {
		on_applied(t, ret);
	} else if (s->end == END_NOT_STARTED) {
		if (json_bool(t->memory, "first", false))
			json_set_bool(t->memory, "applied", false);
		on_ended_early(t, ctx, event, ret);
	} else if (s->stop != STOP_NONE) {
		terraform_doubt(t, s->end != END_EXITED);
		on_ended_early(t, ctx, event, ret);
	} else if (s->end != END_EXITED || s->oom_killed) {
		on_apply_cut(t, ctx, event, ret);
	} else {
		on_apply_errors(t, ctx, event, ret);
	}
}

/* --- looks -------------------------------------------------------------------------------- */

static bool is_away(enum outcome outcome)
{
	return outcome == OUTCOME_TRANSIENT || outcome == OUTCOME_NOT_READY;
}

static void on_looked_for_names(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	const char *said = json_string(t->memory, "said");
	char *missing = event->outcome == OUTCOME_OK
				? terraform_missing_tables(t, ctx, event->result)
				: NULL;

	if (missing)
		terraform_enter_end(t, OUTCOME_FAILED, missing, ret);
	else if (is_away(event->outcome))
		terraform_enter_not_ready(t, ret);
	else if (event->outcome != OUTCOME_OK)
		terraform_enter_end(
			t, OUTCOME_FAILED, xasprintf("%s; Metabase: %s", said, event->reason), ret);
	else if (json_int(t->memory, "rounds", 0) >= TERRAFORM_ROUNDS_MAX)
		terraform_enter_end(
			t, OUTCOME_FAILED, xasprintf("%s, though Metabase has it", said), ret);
	else
		terraform_enter_not_ready(t, ret);
}

static void on_looked_for_doubt(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	const char *said = json_string(t->memory, "said");
	char *twin = terraform_found_twin(t, event->result);

	if (event->outcome != OUTCOME_OK)
		terraform_enter_end(t,
			is_away(event->outcome) ? OUTCOME_TRANSIENT : OUTCOME_NEEDS_PERSON,
			xasprintf("terraform: what an earlier apply may have made could not be "
				  "looked for: Metabase: %s",
				event->reason ? event->reason : "no reason given"),
			ret);
	else if (twin)
		terraform_enter_end(t, OUTCOME_NEEDS_PERSON, TAKE_PTR(twin), ret);
	else if (json_bool(t->memory, "lost", false))
		terraform_enter_end(t, OUTCOME_TRANSIENT, xstrdup(said), ret);
	else
		terraform_after_look(t, ctx, ret);
	free(twin);
}

/* The provider says the same of a wrong password and of a Metabase that starts. */
static void on_looked_for_login(
	struct terraform *t, const struct kind_event *event, struct kind_command *ret)
{
	const char *said = json_string(t->memory, "said");
	bool answers = event->outcome == OUTCOME_OK;

	terraform_enter_end(t,
		answers || is_away(event->outcome) ? OUTCOME_TRANSIENT : OUTCOME_FAILED,
		answers ? xasprintf("%s; Metabase answers by now", said)
			: xasprintf("%s; Metabase: %s", said,
				  event->reason ? event->reason : "no reason given"),
		ret);
}

static void on_looked(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	const char *after = json_string(t->memory, "after");

	if (str_eq(after, "names"))
		on_looked_for_names(t, ctx, event, ret);
	else if (str_eq(after, "doubt"))
		on_looked_for_doubt(t, ctx, event, ret);
	else
		on_looked_for_login(t, event, ret);
}

static void on_approved(struct terraform *t, struct kind_command *ret)
{
	_cleanup_free_ char *text = terraform_changes_text(json_get(t->memory, "changes"), false);

	if (t->plan_only)
		terraform_enter_end(t, OUTCOME_OK,
			xasprintf("drift: %s", *text ? text : "outputs would change"), ret);
	else
		terraform_enter_apply(t, ret);
}

/* --- the machine -------------------------------------------------------------------------- */

static void on_event(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	static const struct {
		const char *name;
		void (*ended)(struct terraform *t, const struct kind_context *ctx,
			const struct kind_event *event, struct kind_command *ret);
	} processes[] = {
		{"init", on_init_ended},
		{"workspace", on_workspace_ended},
		{"plan", on_plan_ended},
		{"show", on_shown},
	};

	if (terraform_is_action(event->action, "sync")) {
		on_synced(t, ctx, event, ret);
	} else if (terraform_is_action(event->action, "look")) {
		on_looked(t, ctx, event, ret);
	} else if (terraform_is_action(event->action, "approve")) {
		on_approved(t, ret);
	} else if (terraform_is_action(event->action, "tidy")) {
		terraform_enter_ended(t, ret);
	} else if (terraform_is_action(event->action, "apply")) {
		on_apply_ended(t, ctx, event, ret);
	} else if (ended_early(event->status)) {
		json_set_bool(t->memory, "file", !terraform_is_action(event->action, "init"));
		on_ended_early(t, ctx, event, ret);
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
			if (terraform_is_action(event->action, processes[i].name))
				processes[i].ended(t, ctx, event, ret);
	}
}

/* The next process is followed afresh; what an end says stays. */
static void follow(struct terraform *t, const struct kind_command *cmd)
{
	bool applies = terraform_is_action(cmd->action, "apply");

	if (cmd->type == KIND_DONE || terraform_is_action(cmd->action, "tidy"))
		return;
	strcpy(t->action, cmd->action);
	if (cmd->type == KIND_SPAWN)
		terraform_log_begin(
			&t->log, applies, applies ? json_get(t->memory, "changes") : NULL);
}

static cJSON *terraform_progress(const void *state);

static void terraform_next(void *state, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	struct terraform *t = state;

	if (event->type == KIND_BEGIN) {
		begin(t, ctx, ret);
	} else if (event->note) {
		terraform_recall(t, event->note, ret);
	} else {
		on_event(t, ctx, event, ret);
		if (ret->type == KIND_DONE)
			json_set(t->memory, "progress", terraform_progress(t));
		terraform_note(t, ret);
	}
	follow(t, ret);
}

/* --- its effects -------------------------------------------------------------------------- */

static int terraform_kind_join(void *state, const struct kind_context *ctx, const char *action,
	struct lane_want *ret, char **ret_error)
{
	return terraform_join(state, ctx, terraform_is_action(action, "look"), ret, ret_error);
}

static bool terraform_line(void *state, enum stream stream, const char *text, size_t len,
	bool partial, char **ret_news)
{
	struct terraform *t = state;

	return terraform_log_text(&t->log, stream, text, len, partial, ret_news);
}

/* --- for readers -------------------------------------------------------------------------- */

static char *progress_text(const struct terraform *t)
{
	_cleanup_free_ char *changes =
		terraform_changes_text(json_get(t->memory, "changes"), false);

	if (terraform_is_action(t->action, "init"))
		return xstrdup("initialises");
	if (terraform_is_action(t->action, "plan") && t->log.n_refreshed)
		return xasprintf("plans, %zu resources looked at", t->log.n_refreshed);
	if (terraform_is_action(t->action, "plan") || terraform_is_action(t->action, "workspace"))
		return xstrdup("plans");
	if (terraform_is_action(t->action, "look"))
		return xstrdup("looks in Metabase");
	if (terraform_is_action(t->action, "sync"))
		return xstrdup("waits for Metabase to sync");
	return *changes ? xasprintf("plan: %s", changes) : NULL;
}

static cJSON *terraform_progress(const void *state)
{
	const struct terraform *t = state;
	_cleanup_free_ char *text = NULL;
	cJSON *p;

	if (json_get(t->memory, "progress"))
		return cJSON_Duplicate(json_get(t->memory, "progress"), true);
	if (t->log.applies)
		return terraform_log_progress(&t->log);
	text = progress_text(t);
	if (!text)
		return NULL;
	p = cJSON_CreateObject();
	json_set_string(p, "text", text);
	return p;
}

const struct kind kind_terraform = {
	.spec = SPEC_TERRAFORM,
	.new = terraform_new,
	.free = terraform_free,
	.next = terraform_next,
	.spawn = terraform_spawn,
	.join = terraform_kind_join,
	.plans = true,
	.line = terraform_line,
	.progress = terraform_progress,
};
