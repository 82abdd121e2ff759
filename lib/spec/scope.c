/* The names in templates, their values, and the child's environment made of them.
 *
 * Values may refer to further values (a var to a secret, a tenant to a var). A lookup carries its
 * depth and a budget shared by all lookups below one expansion, so that texts which go round, or
 * fan out, end with a sentence. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "spec/scope.h"
#include "time/instant.h"

#define DEPTH_MAX    16
#define BUDGET	     10000
#define ENV_TEXT_MAX 131071 /* what Linux takes for one NAME=VALUE */

/* --- look-up ------------------------------------------------------------------------------ */

struct frame {
	const struct scope *scope;
	unsigned depth;
	unsigned *budget;
};

static int look_up(
	void *context, const char *space, const char *name, char **ret, char **ret_error);

/* A frame one level deeper; false when that is too deep, or there were too many. */
static bool descend(const struct frame *f, struct frame *ret)
{
	if (f->depth >= DEPTH_MAX || *f->budget == 0)
		return false;
	(*f->budget)--;
	*ret = (struct frame){.scope = f->scope, .depth = f->depth + 1, .budget = f->budget};
	return true;
}

static const struct spec_environment *cell_env(
	const struct spec_job *job, const struct spec_cell *cell)
{
	return cell->environment ? spec_environment_by_name(job, cell->environment) : NULL;
}

static const struct spec_environment *scope_env(const struct scope *s)
{
	return s->cell ? cell_env(s->job, s->cell) : s->environment;
}

static int no_environment(const char *space, const char *name, char **ret_error)
{
	*ret_error = xasprintf("${%s.%s}: the step has no environment", space, name);
	return -ENOENT;
}

/* A group or a list as compact JSON, its strings expanded; any other value as text. */
static int node_value(struct frame *f, const struct node *n, char **ret, char **ret_error)
{
	_cleanup_node_ struct node *expanded = NULL;
	_cleanup_json_ cJSON *json = NULL;
	int r;

	if (n->type == NODE_STRING)
		return template_expand(n->string, look_up, f, ret, ret_error);
	r = template_expand_tree(n, look_up, f, &expanded, ret_error);
	if (r < 0)
		return r;
	json = node_to_json(expanded);
	*ret = json_print(json);
	return 0;
}

static int value_of_var(struct frame *f, const struct spec_var *var, char **ret, char **ret_error)
{
	return var->group ? node_value(f, var->group, ret, ret_error)
			  : template_expand(var->value, look_up, f, ret, ret_error);
}

static const struct spec_var *find_var(const struct spec_vars *vars, const char *name)
{
	for (size_t i = 0; i < vars->n; i++)
		if (strcmp(vars->items[i].name, name) == 0)
			return &vars->items[i];
	return NULL;
}

static int look_up_vars(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct spec_environment *e = scope_env(f->scope);
	const struct spec_var *var;

	if (!e)
		return no_environment("vars", name, ret_error);
	var = find_var(&e->vars, name);
	if (!var) {
		*ret_error = xasprintf("${vars.%s}: environment %s has no such var", name, e->name);
		return -ENOENT;
	}
	return value_of_var(f, var, ret, ret_error);
}

/* The part of `n` that a dotted path names; a key may hold dots itself. NULL: none. */
static const struct node *find_path(const struct node *n, const char *path)
{
	for (size_t i = 0; n && n->type == NODE_GROUP && i < n->n_children; i++) {
		const struct node *child = n->children[i];
		size_t len = strlen(child->key);

		if (strncmp(path, child->key, len) != 0)
			continue;
		if (path[len] == '\0')
			return child;
		if (path[len] == '.') {
			const struct node *found = find_path(child, path + len + 1);

			if (found)
				return found;
		}
	}
	return NULL;
}

static int look_up_json(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct spec_environment *e = scope_env(f->scope);
	const struct node *n;

	if (!e)
		return no_environment("json", name, ret_error);
	n = find_path(e->data, name);
	if (!n) {
		*ret_error = xasprintf(
			"${json.%s}: the data of environment %s has no such part", name, e->name);
		return -ENOENT;
	}
	return node_value(f, n, ret, ret_error);
}

static const char *metabase_field(const struct spec_environment *e, const char *name)
{
	if (strcmp(name, "url") == 0)
		return e->metabase_url;
	if (strcmp(name, "api_key") == 0)
		return e->metabase_api_key;
	if (strcmp(name, "username") == 0)
		return e->metabase_username;
	if (strcmp(name, "password") == 0)
		return e->metabase_password;
	return NULL;
}

static int look_up_metabase(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct spec_environment *e = scope_env(f->scope);
	const char *text;

	if (!e)
		return no_environment("metabase", name, ret_error);
	text = metabase_field(e, name);
	if (!text) {
		*ret_error = xasprintf(
			"${metabase.%s}: the metabase of environment %s has no such entry", name,
			e->name);
		return -ENOENT;
	}
	return template_expand(text, look_up, f, ret, ret_error);
}

static int look_up_matrix(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct scope *s = f->scope;
	const char *value = s->cell ? spec_cell_value(s->job, s->cell, name) : NULL;

	if (!value) {
		*ret_error = xasprintf("${matrix.%s}: the stage has no such dimension", name);
		return -ENOENT;
	}
	*ret = xstrdup(value);
	return 0;
}

static int look_up_secret(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct scope *s = f->scope;

	if (!s->secret_names || !s->secret_values) {
		*ret_error = xasprintf("${secret.%s}: a secret cannot be had here", name);
		return -EACCES;
	}
	for (size_t i = 0; i < s->n_secrets; i++) {
		if (strcmp(s->secret_names[i], name) == 0) {
			*ret = xstrdup(s->secret_values[i]);
			return 0;
		}
	}
	*ret_error = xasprintf("${secret.%s}: this step has no such secret", name);
	return -ENOENT;
}

static int look_up_run(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct scope *s = f->scope;
	char buf[INSTANT_MAX];

	if (strcmp(name, "name") == 0 && s->run_name)
		*ret = xstrdup(s->run_name);
	else if (strcmp(name, "number") == 0)
		*ret = xasprintf("%" PRIu64, s->run_number);
	else if (strcmp(name, "scheduled_for") == 0)
		*ret = xstrdup(instant_format_slot(s->scheduled_for, buf));
	else {
		*ret_error = xasprintf("${run.%s}: there are name, number and scheduled_for", name);
		return -ENOENT;
	}
	return 0;
}

static int look_up_attempt(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct scope *s = f->scope;

	if (strcmp(name, "number") == 0)
		*ret = xasprintf("%u", s->attempt);
	else if (strcmp(name, "directory") == 0 && s->attempt_directory)
		*ret = xstrdup(s->attempt_directory);
	else {
		*ret_error = xasprintf("${attempt.%s}: there are number and directory", name);
		return -ENOENT;
	}
	return 0;
}

/* `name` is STEP.KEY; the name of a step holds no dot. */
static int look_up_steps(struct frame *f, const char *name, char **ret, char **ret_error)
{
	const struct scope *s = f->scope;
	const char *dot = strchr(name, '.');
	_cleanup_free_ char *step = NULL;
	const char *value;

	if (!dot) {
		*ret_error = xasprintf("${steps.%s}: write ${steps.STEP.KEY}", name);
		return -EINVAL;
	}
	step = xstrndup(name, (size_t)(dot - name));
	value = s->step_output ? s->step_output(s->step_output_context, step, dot + 1) : NULL;
	if (!value) {
		*ret_error = xasprintf("${steps.%s}: step %s wrote no %s to $NIGHTJAR_OUTPUT", name,
			step, dot + 1);
		return -ENOENT;
	}
	*ret = xstrdup(value);
	return 0;
}

static int look_up_input(struct frame *f, const char *name, char **ret, char **ret_error)
{
	*ret_error = xasprintf("${input.%s}: inputs are not there yet", name);
	return -ENOSYS;
}

static const struct {
	const char *name;
	int (*look_up)(struct frame *f, const char *name, char **ret, char **ret_error);
} spaces[] = {
	{"attempt", look_up_attempt},
	{"input", look_up_input},
	{"json", look_up_json},
	{"matrix", look_up_matrix},
	{"metabase", look_up_metabase},
	{"run", look_up_run},
	{"secret", look_up_secret},
	{"steps", look_up_steps},
	{"vars", look_up_vars},
};

static int look_up(void *context, const char *space, const char *name, char **ret, char **ret_error)
{
	struct frame below;

	if (!descend(context, &below)) {
		*ret_error =
			xasprintf("${%s.%s}: it goes round, or refers to too much", space, name);
		return -ELOOP;
	}
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
		if (strcmp(spaces[i].name, space) == 0)
			return spaces[i].look_up(&below, name, ret, ret_error);
	*ret_error = xasprintf("${%s%s%s}: there is no such thing", space, *name ? "." : "", name);
	return -ENOENT;
}

int scope_lookup(
	void *scope, const char *name_space, const char *name, char **ret_value, char **ret_error)
{
	unsigned budget = BUDGET;
	struct frame f = {.scope = scope, .budget = &budget};

	return look_up(&f, name_space, name, ret_value, ret_error);
}

int scope_expand(const struct scope *scope, const char *text, char **ret, char **ret_error)
{
	unsigned budget = BUDGET;
	struct frame f = {.scope = scope, .budget = &budget};

	return template_expand(text, look_up, &f, ret, ret_error);
}

int scope_expand_tree(
	const struct scope *scope, const struct node *in, struct node **ret, char **ret_error)
{
	unsigned budget = BUDGET;
	struct frame f = {.scope = scope, .budget = &budget};

	return template_expand_tree(in, look_up, &f, ret, ret_error);
}

/* --- which secrets a step may read -------------------------------------------------------- */

struct search {
	const struct spec_environment *environment; /* NULL: none */
	char **names;
	size_t n;
	unsigned depth, budget;
};

static void search_add(struct search *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->names[i], name) == 0)
			return;
	s->names = strv_add(s->names, &s->n, xstrdup(name));
}

static int search_found(void *context, const char *space, const char *name);

/* Bad syntax is said where the text is expanded, and at load. */
static void search_text(struct search *s, const char *text)
{
	_cleanup_free_ char *error = NULL;

	if (text)
		template_each(text, search_found, s, &error);
}

static void search_tree(struct search *s, const struct node *n)
{
	_cleanup_free_ char *error = NULL;

	if (n)
		template_each_tree(n, search_found, s, &error);
}

static void search_var(struct search *s, const struct spec_var *var)
{
	if (!var)
		return;
	search_text(s, var->value);
	search_tree(s, var->group);
}

static void search_vars(struct search *s, const struct spec_vars *vars)
{
	for (size_t i = 0; i < vars->n; i++)
		search_var(s, &vars->items[i]);
}

static int search_found(void *context, const char *space, const char *name)
{
	struct search *s = context;

	if (strcmp(space, "secret") == 0) {
		search_add(s, name);
		return 0;
	}
	if (!s->environment || s->depth >= DEPTH_MAX || s->budget == 0)
		return 0;
	s->depth++;
	s->budget--;
	if (strcmp(space, "json") == 0)
		search_tree(s, find_path(s->environment->data, name));
	else if (strcmp(space, "metabase") == 0)
		search_text(s, metabase_field(s->environment, name));
	else if (strcmp(space, "vars") == 0)
		search_var(s, find_var(&s->environment->vars, name));
	s->depth--;
	return 0;
}

static void search_metabase(struct search *s)
{
	static const char *const fields[] = {"url", "api_key", "username", "password"};

	for (size_t i = 0; s->environment && i < ARRAY_SIZE(fields); i++)
		search_text(s, metabase_field(s->environment, fields[i]));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **search_names(struct search *s)
{
	if (!s->names)
		return xcalloc(1, sizeof(char *));
	qsort(s->names, s->n, sizeof(*s->names), by_name);
	return s->names;
}

char **scope_check_secret_names(
	const struct spec_environment *environment, const struct node *params)
{
	struct search s = {.environment = environment, .budget = BUDGET};

	search_tree(&s, params);
	return search_names(&s);
}

char **scope_secret_names(
	const struct spec_job *job, const struct spec_cell *cell, const struct spec_step *step)
{
	struct search s = {.environment = cell_env(job, cell), .budget = BUDGET};

	for (size_t i = 0; step->secrets && step->secrets[i]; i++)
		search_add(&s, step->secrets[i]);
	if (s.environment)
		search_vars(&s, &s.environment->vars);
	search_vars(&s, &step->env);
	search_tree(&s, step->params);
	search_text(&s, step->cwd);
	if (step->kind && step->kind->asks_metabase)
		search_metabase(&s);
	for (size_t i = 0; i < step->n_files; i++)
		if (spec_only_has(&step->files[i].only, job, cell))
			search_text(&s, step->files[i].content);
	return search_names(&s);
}

/* --- the child's environment -------------------------------------------------------------- */

struct env {
	char **items;
	size_t n;
};

static void env_free(struct env *e)
{
	for (size_t i = 0; i < e->n; i++) {
		explicit_bzero(e->items[i], strlen(e->items[i]));
		free(e->items[i]);
	}
	free(e->items);
}

/* Replaces what has that name. Linux bounds one entry, and says no more than E2BIG. */
static int env_set(struct env *e, const char *name, const char *value, char **ret_error)
{
	size_t len = strlen(name), total = len + 1 + strlen(value);
	char *entry;

	if (total > ENV_TEXT_MAX) {
		*ret_error = xasprintf(
			"env %s: %zu bytes, but a variable with its name can have %d at most", name,
			total, ENV_TEXT_MAX);
		return -E2BIG;
	}
	entry = xasprintf("%s=%s", name, value);
	for (size_t i = 0; i < e->n; i++) {
		if (strncmp(e->items[i], entry, len + 1) == 0) {
			explicit_bzero(e->items[i], strlen(e->items[i]));
			free(e->items[i]);
			e->items[i] = entry;
			return 0;
		}
	}
	e->items = strv_add(e->items, &e->n, entry);
	return 0;
}

static int env_set_unit(struct env *e, char *const *unit, char **ret_error)
{
	static const char *const names[] = {"PATH", "HOME", "LANG", "TZ"};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]);

		for (size_t k = 0; unit && unit[k]; k++) {
			if (strncmp(unit[k], names[i], len) != 0 || unit[k][len] != '=')
				continue;
			r = env_set(e, names[i], unit[k] + len + 1, ret_error);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int env_set_vars(struct env *e, const struct scope *scope, const struct spec_vars *vars,
	const char *what, char **ret_error)
{
	for (size_t i = 0; i < vars->n; i++) {
		const struct spec_var *var = &vars->items[i];
		_cleanup_free_ char *error = NULL;
		unsigned budget = BUDGET;
		struct frame f = {.scope = scope, .budget = &budget};
		char *value;
		int r;

		r = value_of_var(&f, var, &value, &error);
		if (r < 0) {
			*ret_error = xasprintf("%s %s: %s", what, var->name, error);
			return r;
		}
		r = env_set(e, var->name, value, ret_error);
		explicit_bzero(value, strlen(value));
		free(value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int env_set_secrets(struct env *e, const struct scope *scope, char **ret_error)
{
	for (size_t i = 0; scope->step->secrets && scope->step->secrets[i]; i++) {
		const char *name = scope->step->secrets[i];
		char *value;
		int r;

		r = scope_lookup((void *)scope, "secret", name, &value, ret_error);
		if (r < 0)
			return r;
		r = env_set(e, name, value, ret_error);
		explicit_bzero(value, strlen(value));
		free(value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* NIGHTJAR_*: over all. */
static int env_set_own(struct env *e, const struct scope *scope, char **ret_error)
{
	const struct spec_stage *stage = &scope->job->stages[scope->cell->stage];
	char attempt[16];
	const struct {
		const char *name, *value;
	} own[] = {
		{"NIGHTJAR_JOB", scope->job->name},
		{"NIGHTJAR_RUN", scope->run_name},
		{"NIGHTJAR_STAGE", stage->name},
		{"NIGHTJAR_CELL", scope->cell->name},
		{"NIGHTJAR_STEP", scope->step->name},
		{"NIGHTJAR_ATTEMPT", attempt},
		{"NIGHTJAR_OUTPUT", scope->output_path},
	};
	int r;

	snprintf(attempt, sizeof(attempt), "%u", scope->attempt);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		r = own[i].value ? env_set(e, own[i].name, own[i].value, ret_error) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int scope_environment(const struct scope *scope, char *const *unit, char ***ret, char **ret_error)
{
	const struct spec_environment *environment = scope_env(scope);
	_cleanup_(env_free) struct env e = {0};
	int r;

	r = env_set_unit(&e, unit, ret_error);
	if (r >= 0 && environment)
		r = env_set_vars(&e, scope, &environment->vars, "var", ret_error);
	if (r >= 0)
		r = env_set_secrets(&e, scope, ret_error);
	if (r >= 0)
		r = env_set_vars(&e, scope, &scope->step->env, "env", ret_error);
	if (r >= 0)
		r = env_set_own(&e, scope, ret_error);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(e.items);
	e.n = 0;
	return 0;
}
