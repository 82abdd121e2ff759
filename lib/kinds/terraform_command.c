/* How terraform is called: with nothing that OpenTofu does not know, nothing in argv that is a
 * secret, and nothing of a stray environment. An empty TF_CLI_ARGS, TF_LOG or TF_WORKSPACE is none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/digest.h"
#include "base/json.h"
#include "base/memory.h"
#include "kinds/terraform_command.h"

struct argv {
	char **v;
	size_t n;
};

static void add(struct argv *a, char *take)
{
	a->v = strv_add(a->v, &a->n, take);
}

static const char *executable(const struct node *params)
{
	const char *name = node_string(params, "executable");

	return name && *name ? name : "terraform";
}

char *terraform_command_directory(const struct node *params, char **ret_error)
{
	const char *directory = node_string(params, "directory");
	size_t len = directory ? strlen(directory) : 0;

	if (!len || *directory != '/') {
		*ret_error = xasprintf("terraform: directory must be an absolute path, not \"%s\"",
			directory ? directory : "");
		return NULL;
	}
	while (len > 1 && directory[len - 1] == '/')
		len--;
	return xstrndup(directory, len);
}

const char *terraform_command_workspace(const struct node *params)
{
	const char *name = node_string(params, "workspace");

	return name && *name && !str_eq(name, "default") ? name : NULL;
}

char *terraform_command_data_directory(const struct kind_context *ctx, const struct node *params,
	const char *directory, const char *backend)
{
	const char *workspace = terraform_command_workspace(params);
	_cleanup_free_ char *key =
		xasprintf("%s\n%s\n%s\n%s", directory, ctx->environment ? ctx->environment : "",
			workspace ? workspace : "", backend ? backend : "");
	char hex[DIGEST_HEX];

	digest_hex(key, strlen(key), hex);
	return xasprintf("%s/terraform/%.24s",
		ctx->state_directory ? ctx->state_directory : ctx->attempt_directory, hex);
}

/* --- backend_config ----------------------------------------------------------------------- */

/* As a shell would quote it, which is how terraform reads these variables. */
static void add_quoted(struct buf *b, const char *s)
{
	buf_putc(b, '\'');
	for (; *s; s++)
		if (*s == '\'')
			buf_puts(b, "'\\''");
		else
			buf_putc(b, *s);
	buf_putc(b, '\'');
}

static void add_backend(struct buf *b, const char *key, const struct node *value)
{
	_cleanup_json_ cJSON *json = node_to_json(value);
	char *text = value->type == NODE_STRING ? xstrdup(value->string) : json_print(json);
	char *option = xasprintf("-backend-config=%s=%s", key, text);

	if (b->len)
		buf_putc(b, '\n');
	add_quoted(b, option);
	wipe_free(option);
	wipe_free(text);
}

char *terraform_command_backend(const struct node *config)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; config && i < config->n_children; i++) {
		const struct node *n = config->children[i];

		if (config->type == NODE_GROUP)
			add_backend(&b, n->key, n);
		else if (node_string(n, "key") && node_get(n, "value"))
			add_backend(&b, node_string(n, "key"), node_get(n, "value"));
	}
	return b.len ? buf_steal(&b) : NULL;
}

/* --- argument lists ----------------------------------------------------------------------- */

static void add_head(struct argv *a, const struct terraform_command *c, const char *command)
{
	add(a, xstrdup(executable(c->params)));
	add(a, xasprintf("-chdir=%s", c->directory));
	add(a, xstrdup(command));
}

int terraform_command_init(const struct terraform_command *c, char ***ret, char **ret_error)
{
	struct argv a = {0};

	add_head(&a, c, "init");
	add(&a, xstrdup("-input=false"));
	add(&a, xstrdup("-no-color"));
	*ret = a.v;
	return 0;
}

int terraform_command_select(const struct terraform_command *c, char ***ret, char **ret_error)
{
	const char *name = terraform_command_workspace(c->params);
	struct argv a = {0};

	if (*name == '-') {
		*ret_error = xasprintf("terraform: workspace: %s would be read as an option", name);
		return -EINVAL;
	}
	add_head(&a, c, "workspace");
	add(&a, xstrdup("select"));
	add(&a, xstrdup("-no-color"));
	add(&a, xstrdup(name));
	*ret = a.v;
	return 0;
}

/* A list of texts, or one text. */
static void add_each(struct argv *a, const char *option, const struct node *list)
{
	if (list && list->type == NODE_STRING)
		add(a, xasprintf("%s%s", option, list->string));
	for (size_t i = 0; list && i < list->n_children; i++)
		if (list->children[i]->type == NODE_STRING)
			add(a, xasprintf("%s%s", option, list->children[i]->string));
}

/* In whole seconds, rounded up. */
static void add_lock_timeout(struct argv *a, const struct node *params)
{
	const char *text = node_string(params, "lock_timeout");
	usec_t span;

	if (text && parse_duration(text, &span) && span > 0)
		add(a, xasprintf("-lock-timeout=%llds",
			       (long long)((span + USEC_SEC - 1) / USEC_SEC)));
}

/* What an apply that could not write its state has left there is looked for first. */
static void add_guard(struct argv *a, const struct terraform_command *c)
{
	add(a, xstrdup("/bin/sh"));
	add(a, xstrdup("-c"));
	add(a, xasprintf("if [ -e \"$0/errored.tfstate\" ]; then exit %d; fi; exec \"$@\"",
		       TERRAFORM_ERRORED));
	add(a, xstrdup(c->directory));
}

int terraform_command_plan(
	const struct terraform_command *c, const char *plan, char ***ret, char **ret_error)
{
	struct argv a = {0};

	add_guard(&a, c);
	add_head(&a, c, "plan");
	add(&a, xstrdup("-json"));
	add(&a, xstrdup("-input=false"));
	add(&a, xstrdup("-detailed-exitcode"));
	add(&a, xasprintf("-out=%s/%s", c->attempt_directory, plan));
	add_lock_timeout(&a, c->params);
	add_each(&a, "-var-file=", node_get(c->params, "var_files"));
	add_each(&a, "-target=", node_get(c->params, "targets"));
	add_each(&a, "", node_get(c->params, "args"));
	*ret = a.v;
	return 0;
}

int terraform_command_apply(
	const struct terraform_command *c, const char *plan, char ***ret, char **ret_error)
{
	struct argv a = {0};

	add_head(&a, c, "apply");
	add(&a, xstrdup("-json"));
	add(&a, xstrdup("-input=false"));
	add_lock_timeout(&a, c->params);
	add(&a, xasprintf("%s/%s", c->attempt_directory, plan));
	*ret = a.v;
	return 0;
}

int terraform_command_show(const struct terraform_command *c, const char *plan, const char *to,
	char ***ret, char **ret_error)
{
	struct argv a = {0};

	add(&a, xstrdup("/bin/sh"));
	add(&a, xstrdup("-c"));
	add(&a, xstrdup("exec \"$@\" >\"$0\""));
	add(&a, xasprintf("%s/%s", c->attempt_directory, to));
	add_head(&a, c, "show");
	add(&a, xstrdup("-json"));
	add(&a, xstrdup("-no-color"));
	add(&a, xasprintf("%s/%s", c->attempt_directory, plan));
	*ret = a.v;
	return 0;
}

char **terraform_command_env(const struct terraform_command *c, const char *backend)
{
	static const char *const all[] = {"TF_INPUT=0", "TF_IN_AUTOMATION=1",
		"CHECKPOINT_DISABLE=1", "TF_LOG=", "TF_LOG_CORE=", "TF_LOG_PROVIDER=",
		"TF_LOG_PATH=", "TF_WORKSPACE=", "TF_CLI_ARGS=", "TF_CLI_ARGS_plan=",
		"TF_CLI_ARGS_apply=", "TF_CLI_ARGS_show=", "TF_CLI_ARGS_workspace="};
	struct argv e = {0};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		add(&e, xstrdup(all[i]));
	add(&e, xasprintf("TF_DATA_DIR=%s", c->data_directory));
	add(&e, xasprintf("TF_CLI_ARGS_init=%s", backend ? backend : ""));
	return e.v;
}
