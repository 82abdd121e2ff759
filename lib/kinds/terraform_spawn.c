/* The processes of a terraform attempt: their arguments, environment and files. */
#include <signal.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/terraform_machine.h"

#define KILL_AFTER (10 * USEC_MINUTE)
#define PLAN_CAP   ((size_t)64 * 1024 * 1024)
#define SHOW_CAP   ((size_t)64 * 1024 * 1024)
/* Where init keeps the options of the backend, in a data folder inside the attempt. */
#define BACKEND_FILE "data/terraform.tfstate"

static const char *const plan_files[TERRAFORM_PLANS_MAX + 1] = {
	"plan.out", "plan.out", "plan_2.out", "plan_3.out"};
static const char *const show_files[TERRAFORM_PLANS_MAX + 1] = {
	"show.json", "show.json", "show_2.json", "show_3.json"};

unsigned terraform_plan_number(const struct terraform *t)
{
	return (unsigned)MAX(1, MIN(json_int(t->memory, "plans", 1), TERRAFORM_PLANS_MAX));
}

static struct terraform_command terraform_command_of(
	const struct terraform *t, const struct kind_context *ctx)
{
	return (struct terraform_command){
		.params = t->params,
		.directory = t->directory,
		.data_directory = t->data_directory,
		.attempt_directory = ctx->attempt_directory,
	};
}

/* "plan" and "plan_2" alike. */
bool terraform_is_action(const char *action, const char *name)
{
	size_t len = strlen(name);

	return action && strncmp(action, name, len) == 0 &&
	       (action[len] == '\0' || action[len] == '_');
}

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
	struct terraform_command c = terraform_command_of(t, ctx);
	const char *plan = plan_files[terraform_plan_number(t)],
		   *show = show_files[terraform_plan_number(t)];

	if (terraform_is_action(action, "init"))
		return terraform_command_init(&c, &ret->argv, ret_error);
	if (terraform_is_action(action, "workspace"))
		return terraform_command_select(&c, &ret->argv, ret_error);
	if (terraform_is_action(action, "plan")) {
		add_artifact(ret, plan, PLAN_CAP, t->plan_only);
		return terraform_command_plan(&c, plan, &ret->argv, ret_error);
	}
	if (terraform_is_action(action, "show")) {
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
	struct terraform_command c = terraform_command_of(t, ctx);
	_cleanup_node_ struct node *config = NULL;
	char *backend = NULL;
	int r = 0;

	if (t->backend_secret && terraform_is_action(action, "init")) {
		r = ctx->expand_tree(
			ctx, node_get(ctx->params, "backend_config"), &config, ret_error);
		backend = r == 0 ? terraform_command_backend(config) : NULL;
	}
	if (r == 0)
		ret->env = terraform_command_env(&c, backend ? backend : t->backend);
	wipe_free(backend);
	return r;
}

int terraform_spawn(void *state, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	struct terraform *t = state;
	size_t n = 0;
	int r;

	ret->untouched = strv_add(NULL, &n, xstrdup(plan_files[terraform_plan_number(t)]));
	ret->untouched = strv_add(ret->untouched, &n, xstrdup(BACKEND_FILE));
	if (terraform_is_action(action, "tidy")) {
		ret->argv = tidy_argv(terraform_plan_number(t));
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
