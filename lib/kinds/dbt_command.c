/* How dbt is called. Nothing but `dbt deps` writes into a project: target and log folders are the
 * attempt's own, and the anonymous statistics, which leave a .user.yml behind, are off. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/dbt_command.h"

struct argv {
	char **v;
	size_t n;
};

static void add(struct argv *a, const char *word)
{
	a->v = strv_add(a->v, &a->n, xstrdup(word));
}

static const struct node *get(const struct node *params, const char *key, enum node_type type)
{
	const struct node *n = node_get(params, key);

	return n && n->type == type ? n : NULL;
}

bool dbt_command_writes(const char *command)
{
	return str_eq(command, "deps") || str_eq(command, "clean");
}

bool dbt_command_builds(const char *command)
{
	static const char *const words[] = {"build", "run", "seed", "snapshot", "clone", "retry"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i], command))
			return true;
	return false;
}

/* "source_freshness" and "source freshness" alike; what is no pair is one word with dashes. */
static int add_command(struct argv *a, const char *command, char **ret_error)
{
	static const char *const pairs[] = {"source", "docs"};
	_cleanup_free_ char *word = xstrdup(command);

	if (!word || !*word || strspn(word, "abcdefghijklmnopqrstuvwxyz_- ") != strlen(word) ||
		strchr("_- ", *word)) {
		*ret_error =
			xasprintf("dbt: \"%s\" is no command of dbt's", command ? command : "");
		return -EINVAL;
	}
	for (char *c = word; *c; c++)
		if (*c == '_' || *c == ' ')
			*c = '-';
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		size_t len = strlen(pairs[i]);

		if (str_starts(word, pairs[i]) && word[len] == '-') {
			word[len] = '\0';
			add(a, word);
			add(a, word + len + 1);
			return 0;
		}
	}
	add(a, word);
	return 0;
}

static void add_option(struct argv *a, const char *option, const char *value)
{
	if (!value || !*value)
		return;
	add(a, option);
	add(a, value);
}

static int add_word(struct argv *a, const char *option, const char *word, char **ret_error)
{
	if (*word == '-') {
		*ret_error = xasprintf("dbt: %s: %s would be read as an option", option + 2, word);
		return -EINVAL;
	}
	add(a, word);
	return 0;
}

static int add_split(struct argv *a, const char *option, const char *words, char **ret_error)
{
	_cleanup_free_ char *copy = xstrdup(words);
	char *rest = copy, *word;
	int rc = 0;

	while (rc == 0 && (word = strsep(&rest, " \t\r\n")))
		if (*word)
			rc = add_word(a, option, word, ret_error);
	return rc;
}

/* dbt takes a list of words after --select and --exclude: here a text of several, or a list. */
static int add_words(struct argv *a, const char *option, const struct node *words, char **ret_error)
{
	size_t before = a->n;
	int rc = 0;

	if (!words)
		return 0;
	add(a, option);
	if (words->type == NODE_STRING)
		rc = add_split(a, option, words->string, ret_error);
	for (size_t i = 0; rc == 0 && i < words->n_children; i++)
		if (words->children[i]->type == NODE_STRING)
			rc = add_split(a, option, words->children[i]->string, ret_error);
	if (rc == 0 && a->n == before + 1) { /* no word: no option */
		a->n = before;
		free(a->v[before]);
		a->v[before] = NULL;
	}
	return rc;
}

/* From libconfig a group, or a list of { key; value; } where a key is no name of libconfig's. */
static cJSON *vars_json(const struct node *vars)
{
	_cleanup_json_ cJSON *object = NULL;

	if (vars->type == NODE_GROUP)
		return node_to_json(vars);
	object = cJSON_CreateObject();
	for (size_t i = 0; i < vars->n_children; i++) {
		const struct node *value = node_get(vars->children[i], "value");
		const char *key = node_string(vars->children[i], "key");

		if (key && value)
			json_set(object, key, node_to_json(value));
	}
	return TAKE_PTR(object);
}

static void add_vars(struct argv *a, const struct node *vars)
{
	_cleanup_json_ cJSON *json = NULL;
	_cleanup_free_ char *text = NULL;

	if (!vars || !vars->n_children)
		return;
	json = vars_json(vars);
	text = json_print(json);
	add_option(a, "--vars", text);
}

static void add_flags(struct argv *a, const struct node *params)
{
	const struct node *threads = get(params, "threads", NODE_INT);
	const struct node *full = get(params, "full_refresh", NODE_BOOL);
	const struct node *defer = get(params, "defer", NODE_BOOL);
	_cleanup_free_ char *number = NULL;

	if (threads) {
		number = xasprintf("%lld", (long long)threads->integer);
		add_option(a, "--threads", number);
	}
	if (full && full->boolean)
		add(a, "--full-refresh");
	add_option(a, "--state", node_string(params, "state"));
	if (defer)
		add(a, defer->boolean ? "--defer" : "--no-defer");
}

static void add_rest(struct argv *a, const struct node *args)
{
	for (size_t i = 0; args && i < args->n_children; i++)
		if (args->children[i]->type == NODE_STRING)
			add(a, args->children[i]->string);
}

int dbt_command_argv(const struct node *params, char ***ret_argv, char **ret_error)
{
	const char *executable = node_string(params, "executable");
	struct argv a = {0};
	int rc;

	add(&a, executable && *executable ? executable : "dbt");
	rc = add_command(&a, node_string(params, "command"), ret_error);
	if (rc == 0)
		rc = add_words(&a, "--select", node_get(params, "select"), ret_error);
	if (rc == 0)
		rc = add_words(&a, "--exclude", node_get(params, "exclude"), ret_error);
	if (rc < 0) {
		strv_free(a.v);
		return rc;
	}
	add_option(&a, "--target", node_string(params, "target"));
	add_vars(&a, node_get(params, "vars"));
	add_flags(&a, params);
	add_option(&a, "--log-format", "json");
	add(&a, "--no-use-colors");
	add_rest(&a, node_get(params, "args"));
	*ret_argv = a.v;
	return 0;
}

char *dbt_command_project(const struct node *params, char **ret_error)
{
	const char *project = node_string(params, "project");
	size_t len = project ? strlen(project) : 0;

	if (!len || *project != '/') {
		*ret_error = xasprintf("dbt: project must be an absolute path, not \"%s\"",
			project ? project : "");
		return NULL;
	}
	while (len > 1 && project[len - 1] == '/')
		len--;
	return xstrndup(project, len);
}

char **dbt_command_env(
	const struct node *params, const char *project, const char *attempt_directory)
{
	const char *profiles = node_string(params, "profiles");
	struct argv e = {0};

	e.v = strv_add(e.v, &e.n, xasprintf("DBT_TARGET_PATH=%s/target", attempt_directory));
	e.v = strv_add(e.v, &e.n, xasprintf("DBT_LOG_PATH=%s/logs", attempt_directory));
	e.v = strv_add(e.v, &e.n, xasprintf("DBT_PROJECT_DIR=%s", project));
	if (profiles && *profiles)
		e.v = strv_add(e.v, &e.n, xasprintf("DBT_PROFILES_DIR=%s", profiles));
	e.v = strv_add(e.v, &e.n, xstrdup("DBT_SEND_ANONYMOUS_USAGE_STATS=false"));
	/* no events beside those that --log-format asks for */
	e.v = strv_add(e.v, &e.n, xstrdup("DBT_QUIET=false"));
	e.v = strv_add(e.v, &e.n, xstrdup("DBT_LOG_LEVEL=info"));
	e.v = strv_add(e.v, &e.n, xstrdup("PYTHONUNBUFFERED=1"));
	return e.v;
}
