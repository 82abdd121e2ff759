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

#define KILL_AFTER (10 * USEC_MINUTE)
#define PLAN_CAP   ((size_t)64 * 1024 * 1024)
#define SHOW_CAP   ((size_t)64 * 1024 * 1024)
/* Where init keeps the options of the backend, in a data folder inside the attempt. */
#define BACKEND_FILE "data/terraform.tfstate"

static const char *const plan_files[TERRAFORM_PLANS_MAX + 1] = {
	"plan.out", "plan.out", "plan_2.out", "plan_3.out"};
static const char *const show_files[TERRAFORM_PLANS_MAX + 1] = {
	"show.json", "show.json", "show_2.json", "show_3.json"};

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

static unsigned plan_number(const struct terraform *t)
{
	return (unsigned)MAX(1, MIN(json_int(t->memory, "plans", 1), TERRAFORM_PLANS_MAX));
}

static struct terraform_command command_of(
	const struct terraform *t, const struct kind_context *ctx)
{
	return (struct terraform_command){
		.params = t->params,
		.directory = t->directory,
		.data_directory = t->data_directory,
		.attempt_directory = ctx->attempt_directory,
	};
}

/* --- what it does next -------------------------------------------------------------------- */

/* "apply", and "apply_2" of the second plan. */
static void name_action(struct kind_command *ret, const char *name, unsigned number)
{
	if (number > 1)
		snprintf(ret->action, sizeof(ret->action), "%s_%u", name, number);
	else
		snprintf(ret->action, sizeof(ret->action), "%s", name);
}

static void done(struct kind_command *ret, enum outcome outcome, char *take_reason)
{
	ret->type = KIND_DONE;
	ret->outcome = outcome;
	ret->reason = take_reason;
}

static void enter_spawn(struct terraform *t, const char *name, unsigned number, const char *lock,
	struct kind_command *ret)
{
	ret->type = KIND_SPAWN;
	name_action(ret, name, number);
	ret->repeatable = true;
	ret->lock = lock ? xasprintf("%s:%s", lock,
				   str_eq(lock, "terraform") ? t->data_directory : t->directory)
			 : NULL;
}

static void enter_sync(struct kind_command *ret)
{
	ret->type = KIND_JOIN;
	name_action(ret, "sync", 1);
	ret->repeatable = true;
}

static void enter_look(struct terraform *t, const char *after, struct kind_command *ret)
{
	json_set_string(t->memory, "after", after);
	ret->type = KIND_JOIN;
	name_action(ret, "look", (unsigned)terraform_count(t, "looks"));
	ret->repeatable = true;
}

/* Two inits of one directory would meet in its lock file, and in a cache of plugins. */
static void enter_init(struct terraform *t, struct kind_command *ret)
{
	enter_spawn(t, "init", (unsigned)terraform_count(t, "inits"), "terraform-init", ret);
}

static void enter_plan(struct terraform *t, struct kind_command *ret)
{
	terraform_forget(t, "hash");
	terraform_forget(t, "changes");
	terraform_forget(t, "show");
	terraform_count(t, "plans");
	enter_spawn(t, "plan", plan_number(t), "terraform", ret);
}

static void enter_show(struct terraform *t, struct kind_command *ret)
{
	enter_spawn(t, "show", plan_number(t), NULL, ret);
}

static void enter_apply(struct terraform *t, struct kind_command *ret)
{
	const cJSON *c;

	if (!json_bool(t->memory, "applied", false)) {
		terraform_forget(t, "foreseen");
		cJSON_ArrayForEach(c, json_get(t->memory, "changes"))
		{
			if (terraform_action_destroys(json_string(c, "action")))
				terraform_list_add(t, "foreseen", json_string(c, "address"));
		}
		json_set_bool(t->memory, "first", true);
	}
	json_set_bool(t->memory, "applied", true);
	enter_spawn(t, "apply", plan_number(t), "terraform", ret);
	ret->repeatable = false;
	ret->looks = true;
}

static void enter_ask(struct terraform *t, struct kind_command *ret)
{
	ret->type = KIND_ASK;
	name_action(ret, "approve", plan_number(t));
	ret->repeatable = true;
	ret->hash = xstrdup(json_string(t->memory, "hash"));
}

/* The attempt ends so; before it does, the plan's file goes: it holds every value. */
static void enter_end(
	struct terraform *t, enum outcome outcome, char *take_reason, struct kind_command *ret)
{
	cJSON *end = json_set(t->memory, "end", cJSON_CreateObject());

	json_set_string(end, "outcome", outcome_name(outcome));
	json_set_string(end, "reason", take_reason);
	free(take_reason);
	if (json_bool(t->memory, "file", false) ||
		(t->backend_secret && json_get(t->memory, "inits"))) {
		enter_spawn(t, "tidy", 1, NULL, ret);
		return;
	}
	done(ret, outcome, xstrdup(json_string(end, "reason")));
}

static void enter_ended(struct terraform *t, struct kind_command *ret)
{
	const cJSON *end = json_get(t->memory, "end");

	done(ret, outcome_parse(json_string(end, "outcome")), xstrdup(json_string(end, "reason")));
}

static void enter_not_ready(struct terraform *t, struct kind_command *ret)
{
	_cleanup_free_ char *what = terraform_wanted_text(t);

	enter_end(t, OUTCOME_NOT_READY,
		what ? xasprintf("terraform: Metabase does not have %s yet", what)
		     : xstrdup("terraform: look-ups in Metabase failed; it is to be synced first"),
		ret);
}

static void after_init(struct terraform *t, struct kind_command *ret)
{
	if (terraform_command_workspace(t->params))
		enter_spawn(
			t, "workspace", (unsigned)terraform_count(t, "selects"), "terraform", ret);
	else
		enter_plan(t, ret);
}

static void after_sync(struct terraform *t, struct kind_command *ret)
{
	if (json_bool(t->memory, "init", false) && !t->backend_secret)
		after_init(t, ret);
	else
		enter_init(t, ret);
}

/* The plan is good and its names are known: may it be applied? */
static void after_look(
	struct terraform *t, const struct kind_context *ctx, struct kind_command *ret)
{
	_cleanup_free_ char *unforeseen = terraform_unforeseen(t);

	if (ctx->approval)
		enter_ask(t, ret);
	else if (unforeseen)
		enter_end(t, OUTCOME_NEEDS_PERSON,
			xasprintf("terraform: after an apply that did not end well, the plan would "
				  "%s: look, then retry",
				unforeseen),
			ret);
	else
		enter_apply(t, ret);
}

static void after_show(
	struct terraform *t, const struct kind_context *ctx, struct kind_command *ret)
{
	char *unknowable = terraform_doubt_unknowable(t);

	if (unknowable)
		enter_end(t, OUTCOME_NEEDS_PERSON, xasprintf("terraform: %s", unknowable), ret);
	else if (terraform_doubt_planned(t))
		enter_look(t, "doubt", ret);
	else
		after_look(t, ctx, ret);
	free(unknowable);
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
		done(ret, OUTCOME_FAILED, error);
		return;
	}
	terraform_carry(t, ctx->before);
	if (t->has_metabase && json_get(t->memory, "sync"))
		enter_sync(ret);
	else
		after_sync(t, ret);
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
		after_sync(t, ret);
		break;
	case OUTCOME_NOT_READY:
	case OUTCOME_TRANSIENT: /* waiting for Metabase burns nothing */
		enter_end(t, OUTCOME_NOT_READY, xasprintf("Metabase: %s", why), ret);
		break;
	default:
		enter_end(t, OUTCOME_FAILED, xasprintf("Metabase: %s", why), ret);
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

	enter_end(t, outcome,
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
	bool again = plan_number(t) < TERRAFORM_PLANS_MAX;

	json_set_string(t->memory, "said", v.reason);
	if (v.class == TF_CLASS_LOGIN && t->has_metabase)
		enter_look(t, "login", ret);
	else if (v.class == TF_CLASS_STALE && again)
		enter_plan(t, ret);
	else if (v.class == TF_CLASS_INIT && again && !json_get(t->memory, "inits"))
		enter_init(t, ret);
	else
		enter_end(t, outcome_of(v.class), xstrdup(v.reason), ret);
	free(v.reason);
}

static void on_init_ended(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	json_set_bool(t->memory, "init", event->status->code == 0);
	if (event->status->code == 0)
		after_init(t, ret);
	else
		on_errors(t, ctx, event, ret);
}

static void on_workspace_ended(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	_cleanup_free_ char *words = last_words_text(&t->log.words);

	if (event->status->code == 0)
		enter_plan(t, ret);
	else if (t->log.n_errors)
		on_errors(t, ctx, event, ret);
	else
		enter_end(t, OUTCOME_FAILED,
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
		enter_end(t, OUTCOME_OK, xstrdup(t->plan_only ? "no drift" : "nothing to change"),
			ret);
	else if (!t->plan_only)
		enter_show(t, ret);
	else if (ctx->approval)
		enter_ask(t, ret);
	else
		enter_end(t, OUTCOME_OK,
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
		enter_end(t, OUTCOME_NEEDS_PERSON,
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
		enter_show(t, ret);
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
		enter_look(t, "names", ret);
	else if (json_int(t->memory, "rounds", 0) >= TERRAFORM_ROUNDS_MAX)
		enter_end(t, OUTCOME_FAILED,
			xasprintf("%s, though Metabase has been synced %d times",
				json_string(t->memory, "said"), TERRAFORM_ROUNDS_MAX),
			ret);
	else
		enter_not_ready(t, ret);
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
		after_show(t, ctx, ret);
	}
}

/* --- apply -------------------------------------------------------------------------------- */

static void on_applied(struct terraform *t, struct kind_command *ret)
{
	const cJSON *changes = json_get(t->memory, "changes");
	_cleanup_free_ char *text = terraform_changes_text(changes, true);

	enter_end(t, OUTCOME_OK, xstrdup(*text ? text : "outputs changed"), ret);
}

/* Nobody told it to end, and it could not say how far it was: the state tells, once planned again.
 */
static void on_apply_cut(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	_cleanup_free_ char *why = NULL;

	terraform_doubt(t, true);
	if (plan_number(t) < TERRAFORM_PLANS_MAX) {
		enter_plan(t, ret);
		return;
	}
	kind_exit_outcome(ctx, event->status, &why);
	enter_end(t, OUTCOME_NEEDS_PERSON,
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
		enter_look(t, "doubt", ret);
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
		enter_end(t, OUTCOME_FAILED, missing, ret);
	else if (is_away(event->outcome))
		enter_not_ready(t, ret);
	else if (event->outcome != OUTCOME_OK)
		enter_end(
			t, OUTCOME_FAILED, xasprintf("%s; Metabase: %s", said, event->reason), ret);
	else if (json_int(t->memory, "rounds", 0) >= TERRAFORM_ROUNDS_MAX)
		enter_end(t, OUTCOME_FAILED, xasprintf("%s, though Metabase has it", said), ret);
	else
		enter_not_ready(t, ret);
}

static void on_looked_for_doubt(struct terraform *t, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	const char *said = json_string(t->memory, "said");
	char *twin = terraform_found_twin(t, event->result);

	if (event->outcome != OUTCOME_OK)
		enter_end(t, is_away(event->outcome) ? OUTCOME_TRANSIENT : OUTCOME_NEEDS_PERSON,
			xasprintf("terraform: what an earlier apply may have made could not be "
				  "looked for: Metabase: %s",
				event->reason ? event->reason : "no reason given"),
			ret);
	else if (twin)
		enter_end(t, OUTCOME_NEEDS_PERSON, TAKE_PTR(twin), ret);
	else if (json_bool(t->memory, "lost", false))
		enter_end(t, OUTCOME_TRANSIENT, xstrdup(said), ret);
	else
		after_look(t, ctx, ret);
	free(twin);
}

/* The provider says the same of a wrong password and of a Metabase that starts. */
static void on_looked_for_login(
	struct terraform *t, const struct kind_event *event, struct kind_command *ret)
{
	const char *said = json_string(t->memory, "said");
	bool answers = event->outcome == OUTCOME_OK;

	enter_end(t, answers || is_away(event->outcome) ? OUTCOME_TRANSIENT : OUTCOME_FAILED,
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
		enter_end(t, OUTCOME_OK,
			xasprintf("drift: %s", *text ? text : "outputs would change"), ret);
	else
		enter_apply(t, ret);
}

/* --- the machine -------------------------------------------------------------------------- */

/* "plan" and "plan_2" alike. */
static bool is_named(const char *action, const char *name)
{
	size_t len = strlen(name);

	return action && strncmp(action, name, len) == 0 &&
	       (action[len] == '\0' || action[len] == '_');
}

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

	if (is_named(event->action, "sync")) {
		on_synced(t, ctx, event, ret);
	} else if (is_named(event->action, "look")) {
		on_looked(t, ctx, event, ret);
	} else if (is_named(event->action, "approve")) {
		on_approved(t, ret);
	} else if (is_named(event->action, "tidy")) {
		enter_ended(t, ret);
	} else if (is_named(event->action, "apply")) {
		on_apply_ended(t, ctx, event, ret);
	} else if (ended_early(event->status)) {
		json_set_bool(t->memory, "file", !is_named(event->action, "init"));
		on_ended_early(t, ctx, event, ret);
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
			if (is_named(event->action, processes[i].name))
				processes[i].ended(t, ctx, event, ret);
	}
}

/* The next process is followed afresh; what an end says stays. */
static void follow(struct terraform *t, const struct kind_command *cmd)
{
	bool applies = is_named(cmd->action, "apply");

	if (cmd->type == KIND_DONE || is_named(cmd->action, "tidy"))
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

/* --- processes ---------------------------------------------------------------------------- */

static void add_artifact(struct kind_spawn *s, const char *path, size_t cap, bool remove)
{
	s->artifacts[s->n_artifacts].path = path;
	s->artifacts[s->n_artifacts].cap = cap;
	s->artifacts[s->n_artifacts++].remove = remove;
}

static char **tidy_argv(unsigned plan)
{
	char **v = NULL;
	size_t n = 0;

	v = strv_add(v, &n, xstrdup("/bin/rm"));
	v = strv_add(v, &n, xstrdup("-f"));
	v = strv_add(v, &n, xstrdup(BACKEND_FILE));
	v = strv_add(v, &n, xstrdup(plan_files[plan]));
	return strv_add(v, &n, xstrdup(show_files[plan]));
}

static int fill_argv(struct terraform *t, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	struct terraform_command c = command_of(t, ctx);
	const char *plan = plan_files[plan_number(t)], *show = show_files[plan_number(t)];

	if (is_named(action, "init"))
		return terraform_command_init(&c, &ret->argv, ret_error);
	if (is_named(action, "workspace"))
		return terraform_command_select(&c, &ret->argv, ret_error);
	if (is_named(action, "plan")) {
		add_artifact(ret, plan, PLAN_CAP, t->plan_only);
		return terraform_command_plan(&c, plan, &ret->argv, ret_error);
	}
	if (is_named(action, "show")) {
		add_artifact(ret, show, SHOW_CAP, true);
		if (json_get(t->memory, "lookups"))
			add_artifact(ret, plan, 0, true);
		return terraform_command_show(&c, plan, show, &ret->argv, ret_error);
	}
	add_artifact(ret, plan, 0, true);
	return terraform_command_apply(&c, plan, &ret->argv, ret_error);
}

/* What the backend needs is expanded for the init, and stands in its environment alone. */
static int fill_env(struct terraform *t, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	struct terraform_command c = command_of(t, ctx);
	_cleanup_node_ struct node *config = NULL;
	char *backend = NULL;
	int r = 0;

	if (t->backend_secret && is_named(action, "init")) {
		r = ctx->expand_tree(
			ctx, node_get(ctx->params, "backend_config"), &config, ret_error);
		backend = r == 0 ? terraform_command_backend(config) : NULL;
	}
	if (r == 0)
		ret->env = terraform_command_env(&c, backend ? backend : t->backend);
	wipe_free(backend);
	return r;
}

static int terraform_spawn(void *state, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	struct terraform *t = state;
	size_t n = 0;
	int r;

	ret->untouched = strv_add(NULL, &n, xstrdup(plan_files[plan_number(t)]));
	ret->untouched = strv_add(ret->untouched, &n, xstrdup(BACKEND_FILE));
	if (is_named(action, "tidy")) {
		ret->argv = tidy_argv(plan_number(t));
		ret->cwd = xstrdup(ctx->attempt_directory);
		return 0;
	}
	r = fill_argv(t, ctx, action, ret, ret_error);
	if (r == 0)
		r = fill_env(t, ctx, action, ret, ret_error);
	ret->cwd = xstrdup(t->directory);
	ret->stop_signal = SIGINT;
	ret->kill_after = KILL_AFTER;
	return r;
}

static int terraform_kind_join(void *state, const struct kind_context *ctx, const char *action,
	struct lane_want *ret, char **ret_error)
{
	return terraform_join(state, ctx, is_named(action, "look"), ret, ret_error);
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

	if (is_named(t->action, "init"))
		return xstrdup("initialises");
	if (is_named(t->action, "plan") && t->log.n_refreshed)
		return xasprintf("plans, %zu resources looked at", t->log.n_refreshed);
	if (is_named(t->action, "plan") || is_named(t->action, "workspace"))
		return xstrdup("plans");
	if (is_named(t->action, "look"))
		return xstrdup("looks in Metabase");
	if (is_named(t->action, "sync"))
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
