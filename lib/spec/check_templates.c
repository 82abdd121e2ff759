/* Each ${...} has a meaning wherever its text is used: in every environment of the cells that run
 * the step. What a reference leads to (a var, a part of `data`) is followed, so that a secret
 * behind a var, or a dimension that this stage does not have, is found too. */
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"
#include "spec/template.h"

enum use {
	USE_STEP,	 /* anything */
	USE_ARGV,	 /* no secrets: it becomes an argument */
	USE_SHOWN,	 /* no secrets: people see it */
	USE_ENVIRONMENT, /* on its own: who will use it is not known */
	USE_CHECK,	 /* only what an environment has */
	USE_RULE,	 /* notify, heartbeat: secrets and run.* */
};

struct visit {
	const struct node *node;
	bool open; /* on the way: met again, it goes round */
};

struct context {
	struct loader *l;
	const struct at *at; /* NULL outside of jobs */
	const char *where;   /* then this */
	enum use use;
	const struct node *text; /* the outermost text, where complaints point */
	const char *environment; /* NULL: none */
	const struct node *entries;
	unsigned depth;	 /* 0 in the text itself */
	const char *via; /* the reference by which the present text was reached */
	struct visit *visits;
	size_t n_visits, cap_visits;
};

static void walk(struct context *c, const struct node *n);

static void __attribute__((format(printf, 4, 5)))
wrong(struct context *c, const char *space, const char *name, const char *format, ...)
{
	_cleanup_free_ char *place = c->at ? at_text(c->at) : xstrdup(c->where), *what = NULL;
	va_list ap;

	va_start(ap, format);
	what = xvasprintf(format, ap);
	va_end(ap);
	complain(c->l->complaints, c->text->file, c->text->line, "%s: ${%s.%s}%s%s%s: %s", place,
		space, name, c->depth ? " (through ${" : "", c->depth ? c->via : "",
		c->depth ? "})" : "", what);
}

/* --- following ---------------------------------------------------------------------------- */

/* What an environment holds is looked at on its own, where it is written; elsewhere only what
 * depends on who uses it is said. */
static bool said_there(const struct context *c)
{
	return c->depth > 0 && c->use != USE_ENVIRONMENT;
}

static struct visit *visit(struct context *c, const struct node *n)
{
	for (size_t i = 0; i < c->n_visits; i++)
		if (c->visits[i].node == n)
			return &c->visits[i];
	XGROW(c->visits, c->n_visits, c->cap_visits);
	c->visits[c->n_visits] = (struct visit){.node = n};
	return &c->visits[c->n_visits++];
}

static bool is_open(struct context *c, const struct node *n)
{
	for (size_t i = 0; i < c->n_visits; i++)
		if (c->visits[i].open && c->visits[i].node == n)
			return true;
	return false;
}

static void follow(struct context *c, const char *space, const char *name, const struct node *n)
{
	_cleanup_free_ char *via = NULL;
	const char *before = c->via;
	size_t visits = c->n_visits;

	if (is_open(c, n)) {
		if (!said_there(c))
			wrong(c, space, name, "it goes round");
		return;
	}
	visit(c, n);
	if (c->n_visits == visits)
		return; /* followed already */
	c->visits[visits].open = true;
	via = xasprintf("%s.%s", space, name);
	c->via = via;
	c->depth++;
	walk(c, n);
	c->depth--;
	c->via = before;
	c->visits[visits].open = false;
}

/* The part that a dotted path names; a key may hold dots itself. */
static const struct node *find_path(const struct node *n, const char *path)
{
	for (size_t i = 0; n && n->type == NODE_GROUP && i < n->n_children; i++) {
		const struct node *child = n->children[i], *found;
		size_t len = strlen(child->key);

		if (strncmp(path, child->key, len) != 0)
			continue;
		if (path[len] == '\0')
			return child;
		found = path[len] == '.' ? find_path(child, path + len + 1) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

/* --- one name space each ------------------------------------------------------------------ */

static const char *no_environment(const struct context *c)
{
	return c->use == USE_CHECK ? "the check names no environments"
				   : "the stage has no environment";
}

static void resolve_entry(
	struct context *c, const char *space, const char *name, const char *key, const char *what)
{
	const struct node *group = node_get(c->entries, key), *n;

	if (!c->environment) {
		wrong(c, space, name, "%s", no_environment(c));
		return;
	}
	n = find_path(group, name);
	if (n) {
		follow(c, space, name, n);
	} else if (!said_there(c)) {
		const char *names[64];
		size_t n_names = 0;
		_cleanup_free_ char *mend = NULL;

		for (size_t i = 0; group && !strchr(name, '.') && i < group->n_children; i++)
			if (n_names < ARRAY_SIZE(names))
				names[n_names++] = group->children[i]->key;
		mend = did_you_mean(name, names, n_names);
		wrong(c, space, name, "environment \"%s\" has no such %s%s", c->environment, what,
			mend);
	}
}

static void resolve_vars(struct context *c, const char *space, const char *name)
{
	resolve_entry(c, space, name, "vars", "var");
}

static void resolve_json(struct context *c, const char *space, const char *name)
{
	resolve_entry(c, space, name, "data", "part of its data");
}

static void resolve_metabase(struct context *c, const char *space, const char *name)
{
	resolve_entry(c, space, name, "metabase", "entry of its metabase");
}

static void resolve_matrix(struct context *c, const char *space, const char *name)
{
	const struct spec_stage *stage = c->at ? c->at->stage : NULL;
	_cleanup_free_ char *mend = NULL;

	if (c->use == USE_ENVIRONMENT)
		return;
	for (size_t d = 0; stage && d < stage->n_dimensions; d++)
		if (strcmp(stage->dimensions[d], name) == 0)
			return;
	if (!stage) {
		wrong(c, space, name, "there is no matrix here");
		return;
	}
	mend = did_you_mean(name, (const char *const *)stage->dimensions, stage->n_dimensions);
	wrong(c, space, name, "the stage has no dimension \"%s\"%s", name, mend);
}

static void resolve_secret(struct context *c, const char *space, const char *name)
{
	_cleanup_free_ char *place = NULL;

	if (strchr(name, '.')) {
		wrong(c, space, name,
			"the name of a secret holds no dot; the environment's own is taken by "
			"itself");
		return;
	}
	if (c->use == USE_ARGV || c->use == USE_SHOWN) {
		wrong(c, space, name, "%s",
			c->use == USE_ARGV
				? "everybody on the machine can see arguments: give it in env, "
				  "secrets or files"
				: "a secret cannot be a part of what people see");
		return;
	}
	if (said_there(c))
		return;
	place = c->at ? at_text(c->at) : xstrdup(c->where);
	secret_wanted(c->l, c->text, place, c->environment, name);
}

static void resolve_words(struct context *c, const char *space, const char *name,
	const char *const *words, size_t n_words, bool meaningful)
{
	_cleanup_free_ char *mend = NULL;

	if (!meaningful) {
		wrong(c, space, name, "it has no meaning here");
		return;
	}
	for (size_t i = 0; i < n_words; i++)
		if (strcmp(words[i], name) == 0)
			return;
	mend = did_you_mean(name, words, n_words);
	wrong(c, space, name, "there is no such thing%s", mend);
}

static void resolve_run(struct context *c, const char *space, const char *name)
{
	static const char *const words[] = {"name", "number", "scheduled_for"};

	resolve_words(c, space, name, words, ARRAY_SIZE(words), c->use != USE_CHECK);
}

static void resolve_attempt(struct context *c, const char *space, const char *name)
{
	static const char *const words[] = {"number", "directory"};

	resolve_words(c, space, name, words, ARRAY_SIZE(words),
		c->use != USE_CHECK && c->use != USE_RULE);
}

static void resolve_input(struct context *c, const char *space, const char *name)
{
	/* What inputs there will be is not known yet. */
}

static void resolve_steps(struct context *c, const char *space, const char *name)
{
	const struct spec_stage *stage = c->at ? c->at->stage : NULL;
	const char *dot = strchr(name, '.');
	_cleanup_free_ char *step = xstrndup(name, dot ? (size_t)(dot - name) : strlen(name));
	const char *names[64];
	size_t n_names = 0;
	_cleanup_free_ char *mend = NULL;

	if (c->use == USE_ENVIRONMENT)
		return;
	if (!stage) {
		wrong(c, space, name, "it has no meaning here");
		return;
	}
	if (!dot) {
		wrong(c, space, name, "write ${steps.STEP.KEY}");
		return;
	}
	for (size_t i = 0; i < stage->n_steps && &stage->steps[i] != c->at->step; i++) {
		if (strcmp(stage->steps[i].name, step) == 0)
			return;
		if (n_names < ARRAY_SIZE(names))
			names[n_names++] = stage->steps[i].name;
	}
	mend = did_you_mean(step, names, n_names);
	wrong(c, space, name, "no step \"%s\" comes before this one in the stage%s", step, mend);
}

static const struct {
	const char *name;
	void (*resolve)(struct context *c, const char *space, const char *name);
} spaces[] = {
	{"attempt", resolve_attempt},
	{"input", resolve_input},
	{"json", resolve_json},
	{"matrix", resolve_matrix},
	{"metabase", resolve_metabase},
	{"run", resolve_run},
	{"secret", resolve_secret},
	{"steps", resolve_steps},
	{"vars", resolve_vars},
};

/* A reference to nothing, or to nothing in it, was said in pass 1. */
static int found(void *context, const char *space, const char *name)
{
	struct context *c = context;
	bool of_environment = strcmp(space, "vars") == 0 || strcmp(space, "json") == 0 ||
			      strcmp(space, "metabase") == 0;

	if (*name && c->use == USE_RULE && of_environment)
		wrong(c, space, name, "it has no meaning here, outside of any environment");
	else
		for (size_t i = 0; *name && i < ARRAY_SIZE(spaces); i++)
			if (strcmp(spaces[i].name, space) == 0)
				spaces[i].resolve(c, space, name);
	return 0;
}

static void walk(struct context *c, const struct node *n)
{
	const struct node *before = c->text;

	if (!n)
		return;
	if (c->depth == 0)
		c->text = n;
	if (n->type == NODE_STRING) {
		_cleanup_free_ char *error = NULL;

		template_each(n->string, found, c, &error);
	}
	for (size_t i = 0; i < n->n_children; i++)
		walk(c, n->children[i]);
	c->text = before;
}

static void walk_for(struct context *c, enum use use, const struct node *n)
{
	if (c->use != use)
		c->n_visits = 0; /* what was well for one use may not be for another */
	c->use = use;
	walk(c, n);
}

/* --- a step ------------------------------------------------------------------------------- */

static const struct node *entries_of(const struct loader *l, const char *environment)
{
	ssize_t i = find_named(l->environments, environment);

	return i >= 0 ? l->environments->children[i] : NULL;
}

/* Values of the environment's vars enter every step. */
static void walk_vars(struct context *c, const struct node *step)
{
	const struct node *vars = node_get(c->entries, "vars");

	c->text = step;
	c->use = USE_STEP;
	for (size_t i = 0; vars && i < vars->n_children; i++)
		follow(c, "vars", vars->children[i]->key, vars->children[i]);
}

static void walk_secrets(struct context *c, const struct levels *levels)
{
	_cleanup_free_ char *where = at_text(c->at);

	for (size_t i = 0; i < levels->n; i++) {
		const struct node *list = node_get(levels->items[i].node, "secrets");

		for (size_t k = 0; list && k < list->n_children; k++)
			secret_wanted(c->l, list->children[k], where, c->environment,
				list->children[k]->string);
	}
}

static bool may_be_secret(const struct spec_kind *kind, const char *key)
{
	bool secret = kind->takes_secrets;

	for (size_t i = 0; key && i < kind->n_keys; i++)
		if (strcmp(kind->keys[i].name, key) == 0)
			secret |= kind->keys[i].secret;
	return secret;
}

static void walk_params(struct context *c, const struct spec_kind *kind, const struct node *params)
{
	if (!params || params->type != NODE_GROUP) {
		walk_for(c, kind->takes_secrets ? USE_STEP : USE_ARGV, params);
		return;
	}
	for (size_t i = 0; i < params->n_children; i++) {
		const struct node *value = params->children[i];

		walk_for(c, may_be_secret(kind, value->key) ? USE_STEP : USE_ARGV, value);
	}
}

static void walk_step(struct context *c, const struct levels *levels)
{
	const struct at *at = c->at;
	const struct node *n = at->step_node, *lock = node_get(n, "lock");
	const struct spec_kind *kind = at->step->kind;
	size_t n_env;
	const struct node **env = merged_env(levels, &n_env);

	walk_vars(c, n);
	walk_secrets(c, levels);
	for (size_t i = 0; i < n_env; i++)
		walk_for(c, USE_STEP, env[i]);
	walk_for(c, USE_STEP, node_get(n, "cwd"));
	if (kind)
		walk_params(c, kind, node_get(n, kind->name));
	walk_for(c, USE_SHOWN, lock && lock->type == NODE_GROUP ? node_get(lock, "name") : lock);
	walk_for(c, USE_SHOWN, node_get(node_get(node_get(n, "gate"), "approval"), "message"));
	free(env);
}

static bool in_environment(const struct at *at, const struct spec_only *also, const char *e)
{
	for (size_t i = 0; i < at->stage->n_cells; i++) {
		const struct spec_cell *cell = &at->stage->cells[i];

		if (str_eq(cell->environment, e) &&
			only_has_cell(&at->step->only, at->stage, cell) &&
			(!also || only_has_cell(also, at->stage, cell)))
			return true;
	}
	return false;
}

static void walk_files(struct context *c, const struct levels *levels)
{
	size_t file = 0;

	for (size_t i = 0; i < levels->n; i++) {
		const struct node *files = node_get(levels->items[i].node, "files");

		if (level_seen(levels, i))
			continue;
		for (size_t k = 0; files && k < files->n_children; k++, file++)
			if (in_environment(c->at, &c->at->step->files[file].only, c->environment))
				walk_for(c, USE_STEP, node_get(files->children[k], "content"));
	}
}

static void check_in(const struct at *at, const struct levels *levels, const char *environment)
{
	struct context c = {
		.l = at->l,
		.at = at,
		.environment = environment,
		.entries = entries_of(at->l, environment),
	};

	if (environment && !c.entries)
		return; /* unknown: said already */
	if (!in_environment(at, NULL, environment))
		return;
	walk_step(&c, levels);
	walk_files(&c, levels);
	free(c.visits);
}

void check_step_templates(const struct at *at, const struct levels *levels)
{
	bool none = at->stage->n_cells == 0 || !at->stage->cells[0].environment;
	const struct node *all = at->l->environments;

	/* All cells of a stage have an environment, or none has. */
	if (none)
		check_in(at, levels, NULL);
	for (size_t i = 0; !none && all && i < all->n_children; i++)
		check_in(at, levels, all->children[i]->key);
}

/* --- outside of jobs ---------------------------------------------------------------------- */

static void check_environment(struct loader *l, const struct node *e)
{
	_cleanup_free_ char *where = xasprintf("environments.%s", e->key);
	struct context c = {
		.l = l,
		.where = where,
		.use = USE_ENVIRONMENT,
		.environment = e->key,
		.entries = e,
	};
	static const char *const parts[] = {"vars", "data", "metabase"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct node *group = node_get(e, parts[i]);

		for (size_t k = 0; group && k < group->n_children; k++) {
			c.n_visits = 0;
			visit(&c, group->children[k])->open = true;
			walk(&c, group->children[k]);
		}
	}
	free(c.visits);
}

static void check_check(struct loader *l, const struct node *n, const char *environment)
{
	const char *name = node_string(n, "name");
	_cleanup_free_ char *where = xasprintf("checks.%s", name ? name : "?");
	static const char *const parts[] = {"url", "method", "headers", "body", "expect", "text"};
	struct context c = {
		.l = l,
		.where = where,
		.use = USE_CHECK,
		.environment = environment,
		.entries = entries_of(l, environment),
	};

	if (environment && !c.entries)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		walk(&c, node_get(n, parts[i]));
	free(c.visits);
}

void check_world_templates(struct loader *l)
{
	for (size_t i = 0; l->environments && i < l->environments->n_children; i++)
		check_environment(l, l->environments->children[i]);
	for (size_t i = 0; l->checks && i < l->checks->n_children; i++) {
		const struct node *n = l->checks->children[i], *list = node_get(n, "environments");

		if (!list || list->n_children == 0)
			check_check(l, n, NULL);
		for (size_t k = 0; list && k < list->n_children; k++)
			check_check(l, n, list->children[k]->string);
	}
}

void check_rule_template(struct loader *l, const char *where, const struct node *n)
{
	struct context c = {.l = l, .where = where, .use = USE_RULE};

	walk(&c, n);
	free(c.visits);
}

/* --- small things ------------------------------------------------------------------------- */

static int stop_at_first(void *context, const char *space, const char *name)
{
	return 1;
}

bool has_reference(const char *text)
{
	_cleanup_free_ char *error = NULL;

	return template_each(text, stop_at_first, NULL, &error) != 0;
}

struct cell_scope {
	const struct spec_stage *stage;
	const struct spec_cell *cell;
};

static int look_up_value(
	void *context, const char *space, const char *name, char **ret_value, char **ret_error)
{
	const struct cell_scope *s = context;

	for (size_t d = 0; strcmp(space, "matrix") == 0 && s->stage && d < s->stage->n_dimensions;
		d++) {
		if (strcmp(s->stage->dimensions[d], name) == 0) {
			*ret_value = xstrdup(s->cell->values[d]);
			return 0;
		}
	}
	*ret_error = xstrdup("it is not of the matrix");
	return -ENOENT;
}

char *expand_matrix_only(
	const char *text, const struct spec_stage *stage, const struct spec_cell *cell)
{
	struct cell_scope s = {.stage = stage, .cell = cell};
	_cleanup_free_ char *error = NULL;
	char *value;

	return template_expand(text, look_up_value, &s, &value, &error) < 0 ? NULL : value;
}
