/* What comes next in a terraform attempt: each function gives the command for one thing to do, or
 * chooses between two. */
#include <stdio.h>
#include "base/memory.h"
#include "kinds/terraform_changes.h"
#include "kinds/terraform_machine.h"

/* "apply", and "apply_2" of the second plan. */
static void name_action(struct kind_command *ret, const char *name, unsigned number)
{
	if (number > 1)
		snprintf(ret->action, sizeof(ret->action), "%s_%u", name, number);
	else
		snprintf(ret->action, sizeof(ret->action), "%s", name);
}

void terraform_enter_done(struct kind_command *ret, enum outcome outcome, char *take_reason)
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

void terraform_enter_sync(struct kind_command *ret)
{
	ret->type = KIND_JOIN;
	name_action(ret, "sync", 1);
	ret->repeatable = true;
}

void terraform_enter_look(struct terraform *t, const char *after, struct kind_command *ret)
{
	json_set_string(t->memory, "after", after);
	ret->type = KIND_JOIN;
	name_action(ret, "look", (unsigned)terraform_count(t, "looks"));
	ret->repeatable = true;
}

/* Two inits of one directory would meet in its lock file, and in a cache of plugins. */
void terraform_enter_init(struct terraform *t, struct kind_command *ret)
{
	enter_spawn(t, "init", (unsigned)terraform_count(t, "inits"), "terraform-init", ret);
}

void terraform_enter_plan(struct terraform *t, struct kind_command *ret)
{
	terraform_forget(t, "hash");
	terraform_forget(t, "changes");
	terraform_forget(t, "show");
	terraform_count(t, "plans");
	enter_spawn(t, "plan", terraform_plan_number(t), "terraform", ret);
}

void terraform_enter_show(struct terraform *t, struct kind_command *ret)
{
	enter_spawn(t, "show", terraform_plan_number(t), NULL, ret);
}

void terraform_enter_apply(struct terraform *t, struct kind_command *ret)
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
	enter_spawn(t, "apply", terraform_plan_number(t), "terraform", ret);
	ret->repeatable = false;
	ret->looks = true;
}

void terraform_enter_ask(struct terraform *t, struct kind_command *ret)
{
	ret->type = KIND_ASK;
	name_action(ret, "approve", terraform_plan_number(t));
	ret->repeatable = true;
	ret->hash = xstrdup(json_string(t->memory, "hash"));
}

/* The attempt ends so; before it does, the plan's file goes: it holds every value. */
void terraform_enter_end(
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
	terraform_enter_done(ret, outcome, xstrdup(json_string(end, "reason")));
}

void terraform_enter_ended(struct terraform *t, struct kind_command *ret)
{
	const cJSON *end = json_get(t->memory, "end");

	terraform_enter_done(ret, outcome_parse(json_string(end, "outcome")),
		xstrdup(json_string(end, "reason")));
}

void terraform_enter_not_ready(struct terraform *t, struct kind_command *ret)
{
	_cleanup_free_ char *what = terraform_wanted_text(t);

	terraform_enter_end(t, OUTCOME_NOT_READY,
		what ? xasprintf("terraform: Metabase does not have %s yet", what)
		     : xstrdup("terraform: look-ups in Metabase failed; it is to be synced first"),
		ret);
}

void terraform_after_init(struct terraform *t, struct kind_command *ret)
{
	if (terraform_command_workspace(t->params))
		enter_spawn(
			t, "workspace", (unsigned)terraform_count(t, "selects"), "terraform", ret);
	else
		terraform_enter_plan(t, ret);
}

void terraform_after_sync(struct terraform *t, struct kind_command *ret)
{
	if (json_bool(t->memory, "init", false) && !t->backend_secret)
		terraform_after_init(t, ret);
	else
		terraform_enter_init(t, ret);
}

/* The plan is good and its names are known: may it be applied? */
void terraform_after_look(
	struct terraform *t, const struct kind_context *ctx, struct kind_command *ret)
{
	_cleanup_free_ char *unforeseen = terraform_unforeseen(t);

	if (ctx->approval)
		terraform_enter_ask(t, ret);
	else if (unforeseen)
		terraform_enter_end(t, OUTCOME_NEEDS_PERSON,
			xasprintf("terraform: after an apply that did not end well, the plan would "
				  "%s: look, then retry",
				unforeseen),
			ret);
	else
		terraform_enter_apply(t, ret);
}

void terraform_after_show(
	struct terraform *t, const struct kind_context *ctx, struct kind_command *ret)
{
	char *unknowable = terraform_doubt_unknowable(t);

	if (unknowable)
		terraform_enter_end(
			t, OUTCOME_NEEDS_PERSON, xasprintf("terraform: %s", unknowable), ret);
	else if (terraform_doubt_planned(t))
		terraform_enter_look(t, "doubt", ret);
	else
		terraform_after_look(t, ctx, ret);
	free(unknowable);
}
