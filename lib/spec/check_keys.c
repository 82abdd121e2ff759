/* Pass 1: every group against the table of keys. */
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define DEPTH_MAX 40  /* a stored definition may have 64, and is a little deeper */
#define MAX_KEYS  128 /* of one section, kinds included */

static void path_append(struct buf *out, const struct path *path)
{
	if (!path)
		return;
	path_append(out, path->up);
	if (out->len && path->part[0] != '[')
		buf_putc(out, '.');
	buf_puts(out, path->part);
}

void path_error(
	struct loader *l, const struct path *path, const struct node *n, const char *format, ...)
{
	_cleanup_buf_ struct buf text = BUF_NULL;
	va_list ap;

	path_append(&text, path);
	if (text.len)
		buf_puts(&text, ": ");
	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	complain(l->complaints, n->file, n->line, "%s", buf_str(&text));
}

char *did_you_mean(const char *word, const char *const *candidates, size_t n)
{
	const char *near = text_nearest(word, candidates, n);

	return near ? xasprintf(", did you mean \"%s\"?", near) : xstrdup("");
}

static const struct key *find_in(
	const struct key *keys, size_t n, const char *section, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

const struct key *find_key(const struct loader *l, const char *section, const char *name)
{
	size_t n;
	const struct key *keys = spec_keys(&n);
	const struct key *found = find_in(keys, n, section, name);

	for (size_t i = 0; !found && i < l->world->n_kinds; i++)
		found = find_in(l->world->kinds[i].keys, l->world->kinds[i].n_keys, section, name);
	return found;
}

static void add_names(
	const struct key *keys, size_t n, const char *section, const char **names, size_t *n_names)
{
	for (size_t i = 0; i < n && *n_names < MAX_KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			names[(*n_names)++] = keys[i].name;
}

static size_t names_of(const struct loader *l, const char *section, const char **names)
{
	const struct spec_world *w = l->world;
	size_t n, n_names = 0;
	const struct key *keys = spec_keys(&n);

	add_names(keys, n, section, names, &n_names);
	for (size_t i = 0; i < w->n_kinds; i++) {
		add_names(w->kinds[i].keys, w->kinds[i].n_keys, section, names, &n_names);
		if (strcmp(section, "step") == 0 && n_names < MAX_KEYS)
			names[n_names++] = w->kinds[i].name;
	}
	return n_names;
}

/* The section, of those on the way from a job to a step, that has such a key. */
static const char *belongs_to(const char *name)
{
	static const char *const sections[] = {"job", "stage", "step", "", "retry", "gate"};
	size_t n;
	const struct key *keys = spec_keys(&n);

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (find_in(keys, n, sections[i], name))
			return sections[i];
	return NULL;
}

static char *all_names(const char **names, size_t n)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s%s", i ? ", " : "", names[i]);
	return buf_steal(&out);
}

static void unknown_key(
	struct loader *l, const struct path *path, const struct node *n, const char *section)
{
	const char *names[MAX_KEYS];
	size_t n_names = names_of(l, section, names);
	const char *what = spec_section_name(section), *home = belongs_to(n->key);
	_cleanup_free_ char *mend = did_you_mean(n->key, names, n_names);

	if (home) {
		path_error(l, path, n, "unknown key \"%s\" of %s: it is a key of %s", n->key, what,
			spec_section_name(home));
	} else if (!*mend && n_names <= 10) {
		_cleanup_free_ char *all = all_names(names, n_names);

		path_error(
			l, path, n, "unknown key \"%s\" of %s, which has: %s", n->key, what, all);
	} else {
		path_error(l, path, n, "unknown key \"%s\" of %s%s", n->key, what, mend);
	}
}

static const struct spec_kind *kind_named(const struct loader *l, const char *name)
{
	for (size_t i = 0; i < l->world->n_kinds; i++)
		if (strcmp(l->world->kinds[i].name, name) == 0)
			return &l->world->kinds[i];
	return NULL;
}

/* A value of the right shape that says nothing: the step has a kind, if a wrong one. */
static void blank(struct node *n, enum key_type type)
{
	for (size_t i = 0; i < n->n_children; i++)
		node_free(n->children[i]);
	if (n->type == NODE_STRING)
		free(n->string);
	n->n_children = 0;
	n->type = type == KEY_GROUP ? NODE_GROUP : NODE_STRING;
	if (n->type == NODE_STRING)
		n->string = xstrdup("");
}

/* A step's kind is a key whose section has the kind's name. */
static bool check_kind(
	struct loader *l, const struct path *path, const struct spec_kind *kind, struct node *n)
{
	const struct key key = {
		.section = "step",
		.name = kind->name,
		.type = kind->value,
		.into = kind->name,
	};

	if (!check_value(l, path, &key, n))
		blank(n, kind->value);
	return true;
}

static bool check_child(
	struct loader *l, const struct path *path, struct node *n, const char *section)
{
	const struct key *key = find_key(l, section, n->key);
	const struct spec_kind *kind = strcmp(section, "step") == 0 ? kind_named(l, n->key) : NULL;
	const struct path below = {.up = path, .part = n->key};

	if (key)
		return check_value(l, &below, key, n);
	if (kind)
		return check_kind(l, &below, kind, n);
	unknown_key(l, path, n, section);
	return true;
}

static void missing_keys(struct loader *l, const struct path *path, const struct node *n,
	const char *section, const struct key *keys, size_t n_keys)
{
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].required && strcmp(keys[i].section, section) == 0 &&
			!node_get(n, keys[i].name))
			path_error(l, path, n, "\"%s\" is missing: %s", keys[i].name, keys[i].doc);
}

void check_group(struct loader *l, const struct path *path, struct node *n, const char *section)
{
	size_t n_keys, kept = 0;
	const struct key *keys = spec_keys(&n_keys);

	missing_keys(l, path, n, section, keys, n_keys);
	for (size_t i = 0; i < l->world->n_kinds; i++)
		missing_keys(
			l, path, n, section, l->world->kinds[i].keys, l->world->kinds[i].n_keys);
	for (size_t i = 0; i < n->n_children; i++) {
		if (check_child(l, path, n->children[i], section))
			n->children[kept++] = n->children[i];
		else
			node_free(n->children[i]);
	}
	n->n_children = kept;
}

/* A job's definition must be JSON that our own strict reader takes again. False: too deep. */
static bool check_json(struct loader *l, const struct node *n, unsigned depth)
{
	for (size_t i = 0; i < n->n_children; i++) {
		const struct node *child = n->children[i];

		if (depth == DEPTH_MAX) {
			path_error(l, NULL, n, "groups and lists are nested more than %d deep",
				DEPTH_MAX);
			return false;
		}
		for (size_t k = 0; child->key && k < i; k++)
			if (strcmp(n->children[k]->key, child->key) == 0)
				path_error(l, NULL, child, "the key \"%s\" is given twice",
					child->key);
		if (!check_json(l, child, depth + 1))
			return false;
	}
	return true;
}

/* False: nothing of it can be looked at. */
bool check_tree(struct loader *l)
{
	if (l->root->type != NODE_GROUP) {
		path_error(l, NULL, l->root, "the configuration must be a group");
		return false;
	}
	if (!check_json(l, l->root, 0))
		return false;
	check_group(l, NULL, l->root, "");
	return true;
}
