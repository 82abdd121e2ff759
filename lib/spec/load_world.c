/* Pass 2: what jobs refer to: locks, environments, sets, checks. */
#include <inttypes.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "spec/loader.h"

ssize_t find_named(const struct node *in, const char *name)
{
	for (size_t i = 0; in && name && i < in->n_children; i++) {
		const char *its = in->type == NODE_GROUP ? in->children[i]->key
							 : node_string(in->children[i], "name");

		if (its && strcmp(its, name) == 0)
			return (ssize_t)i;
	}
	return -1;
}

static char *environment_mend(const struct loader *l, const char *name)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; l->environments && i < l->environments->n_children; i++)
		if (n < ARRAY_SIZE(names))
			names[n++] = l->environments->children[i]->key;
	return did_you_mean(name, names, n);
}

bool known_environment(const struct at *at, const struct node *where, const char *name)
{
	_cleanup_free_ char *mend = NULL;

	if (find_named(at->l->environments, name) >= 0)
		return true;
	mend = environment_mend(at->l, name);
	at_error(at, where, "there is no environment \"%s\"%s", name, mend);
	return false;
}

void load_locks(struct loader *l)
{
	const struct node *locks = node_get(l->root, "locks");
	size_t n = locks ? locks->n_children : 0;

	l->spec->locks = n ? xcalloc(n, sizeof(*l->spec->locks)) : NULL;
	for (size_t i = 0; i < n; i++)
		l->spec->locks[l->spec->n_locks++] = (struct spec_lock){
			.name = xstrdup(locks->children[i]->key),
			.places = (unsigned)locks->children[i]->integer,
		};
}

static char *scalar_text(const struct node *n)
{
	if (n->type == NODE_INT)
		return xasprintf("%" PRId64, n->integer);
	if (n->type == NODE_FLOAT) {
		_cleanup_json_ cJSON *json = node_to_json(n);

		return json_print(json);
	}
	return xstrdup(n->type == NODE_BOOL ? (n->boolean ? "true" : "false") : n->string);
}

static void load_var(const struct node *n, struct spec_var *ret)
{
	ret->name = xstrdup(n->key);
	if (n->type == NODE_GROUP || n->type == NODE_LIST)
		ret->group = node_copy(n);
	else
		ret->value = scalar_text(n);
}

void load_var_nodes(const struct node *const *nodes, size_t n, struct spec_vars *vars)
{
	vars->items = n ? xcalloc(n, sizeof(*vars->items)) : NULL;
	vars->n = vars->cap = n;
	for (size_t i = 0; i < n; i++)
		load_var(nodes[i], &vars->items[i]);
}

void load_environment(const struct node *n, struct spec_environment *e)
{
	const struct node *vars = node_get(n, "vars"), *metabase = node_get(n, "metabase");

	e->name = xstrdup(n->key);
	if (vars)
		load_var_nodes(
			(const struct node *const *)vars->children, vars->n_children, &e->vars);
	e->data = node_copy(node_get(n, "data"));
	e->metabase_url = xstrdup(node_string(metabase, "url"));
	e->metabase_api_key = xstrdup(node_string(metabase, "api_key"));
	e->metabase_username = xstrdup(node_string(metabase, "username"));
	e->metabase_password = xstrdup(node_string(metabase, "password"));
}

static void check_metabase(struct loader *l, const struct node *environment)
{
	const struct node *m = node_get(environment, "metabase");
	bool key = node_get(m, "api_key"), user = node_get(m, "username"),
	     password = node_get(m, "password");

	if (!m)
		return;
	if (key && (user || password))
		complain(l->complaints, m->file, m->line,
			"environments.%s.metabase: either api_key, or username and password, not "
			"both",
			environment->key);
	else if (!key && !(user && password))
		complain(l->complaints, m->file, m->line,
			"environments.%s.metabase: it needs api_key, or username and password",
			environment->key);
}

void load_environments(struct loader *l)
{
	size_t n = l->environments ? l->environments->n_children : 0;
	struct spec *s = l->spec;

	s->environments = n ? xcalloc(n, sizeof(*s->environments)) : NULL;
	for (size_t i = 0; i < n; i++) {
		load_environment(
			l->environments->children[i], &s->environments[s->n_environments++]);
		check_metabase(l, l->environments->children[i]);
	}
}

void load_check(const struct node *n, struct spec_check *c)
{
	static const char *const params[] = {
		"url", "method", "headers", "body", "expect", "codes", "text"};
	const char *name = node_string(n, "name");

	c->name = xstrdup(name ? name : "?");
	c->environments = read_strings(n, "environments");
	c->params = node_new(NODE_GROUP, NULL, n->file, n->line);
	for (size_t i = 0; i < ARRAY_SIZE(params); i++)
		if (node_get(n, params[i]))
			node_add(c->params, node_copy(node_get(n, params[i])));
	c->interval = read_duration(n, "check", "interval");
	c->timeout = read_duration(n, "check", "timeout");
	c->fall = read_unsigned(n, "check", "fall");
	c->rise = read_unsigned(n, "check", "rise");
}

static void check_environments(struct loader *l, const struct node *check)
{
	const struct node *list = node_get(check, "environments");
	const char *name = node_string(check, "name");

	for (size_t i = 0; list && i < list->n_children; i++) {
		const struct node *n = list->children[i];
		_cleanup_free_ char *mend = NULL;

		if (find_named(l->environments, n->string) >= 0)
			continue;
		mend = environment_mend(l, n->string);
		complain(l->complaints, n->file, n->line,
			"checks.%s: there is no environment \"%s\"%s", name ? name : "?", n->string,
			mend);
	}
}

void load_checks(struct loader *l)
{
	size_t n = l->checks ? l->checks->n_children : 0;
	struct spec *s = l->spec;

	s->checks = n ? xcalloc(n, sizeof(*s->checks)) : NULL;
	for (size_t i = 0; i < n; i++) {
		load_check(l->checks->children[i], &s->checks[s->n_checks++]);
		check_environments(l, l->checks->children[i]);
	}
}
