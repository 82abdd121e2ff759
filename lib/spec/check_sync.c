/* metabase_sync: the forms of its databases, tables and columns. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define ALL "*"

/* --- names of tables ---------------------------------------------------------------------- */

/* "a.b.c" has three parts; more dots belong to the first one. None may be empty. */
static bool has_parts(const char *text, unsigned n)
{
	unsigned found = 1;

	for (const char *p = text; *p; p++) {
		if (*p != '.')
			continue;
		if (p == text || p[-1] == '.' || !p[1])
			return false;
		found++;
	}
	return *text && found >= n;
}

static bool is_repeated(const struct node *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (str_eq(list->children[k]->string, list->children[i]->string))
			return true;
	return false;
}

static void check_name(
	struct at *at, const struct node *n, const char *key, const char *form, unsigned parts)
{
	if (!has_reference(n->string) && !has_parts(n->string, parts))
		at_error(at, n, "metabase_sync.%s: \"%s\" is not \"%s\"", key, n->string, form);
}

static void check_names_of(struct at *at, const char *key, const char *form, unsigned parts)
{
	const struct node *n = node_get(at->step->params, key);

	if (n && n->type == NODE_STRING && parts > 2) /* of `tables` it is a word */
		check_name(at, n, key, form, parts);
	if (!n || n->type != NODE_LIST)
		return;
	for (size_t i = 0; i < n->n_children; i++) {
		const struct node *child = n->children[i];

		check_name(at, child, key, form, parts);
		if (is_repeated(n, i))
			at_error(at, child, "metabase_sync.%s: \"%s\" is in the list twice", key,
				child->string);
	}
}

/* --- databases ---------------------------------------------------------------------------- */

/* What was met so far: a database belongs to one group. */
struct databases {
	struct at *at;
	const struct node **names;
	size_t n, cap;
};

static void check_database(struct databases *d, const struct node *n)
{
	if (!*n->string) {
		at_error(d->at, n, "metabase_sync.databases: a name is empty");
		return;
	}
	for (size_t i = 0; i < d->n; i++) {
		const char *other = d->names[i]->string;

		if (str_eq(other, n->string))
			at_error(d->at, n, "metabase_sync.databases: \"%s\" is named twice",
				n->string);
		else if (str_eq(other, ALL) || str_eq(n->string, ALL))
			at_error(d->at, n,
				"metabase_sync.databases: \"*\" is all of them: it stands alone");
		else
			continue;
		return;
	}
	XGROW(d->names, d->n, d->cap);
	d->names[d->n++] = n;
}

static void check_databases(struct databases *d, const struct node *n)
{
	if (n->type == NODE_STRING)
		check_database(d, n);
	else if (n->n_children == 0)
		at_error(d->at, n, "metabase_sync.databases: it names none");
	for (size_t i = 0; n->type == NODE_LIST && i < n->n_children; i++)
		check_database(d, n->children[i]);
}

static void check_rename(struct at *at, const struct node *rename)
{
	for (size_t i = 0; rename && i < rename->n_children; i++) {
		const struct node *n = rename->children[i];

		if (n->type != NODE_STRING || !*n->string)
			at_error(at, n,
				"metabase_sync.databases: rename.%s: it needs the schema under "
				"which it is served",
				n->key);
	}
}

static void check_group_of(struct databases *d, const struct node *n)
{
	const struct node *names = node_get(n, "names"), *conninfo = node_get(n, "conninfo");

	if (names)
		check_databases(d, names);
	check_rename(d->at, node_get(n, "rename"));
	if (conninfo && !*conninfo->string)
		at_error(d->at, conninfo, "metabase_sync.databases: the conninfo is empty");
}

static void check_list(struct databases *d, const struct node *list)
{
	bool groups = list->n_children && list->children[0]->type == NODE_GROUP;

	for (size_t i = 0; i < list->n_children; i++) {
		const struct node *n = list->children[i];

		if ((n->type == NODE_GROUP) != groups) {
			at_error(d->at, n,
				"metabase_sync.databases: a list holds names or groups, not both");
			return;
		}
		if (groups)
			check_group_of(d, n);
	}
	if (!groups)
		check_databases(d, list);
}

void check_sync(struct at *at)
{
	const struct node *n = node_get(at->step->params, "databases");
	struct databases d = {.at = at};

	if (n && n->type == NODE_LIST)
		check_list(&d, n);
	else if (n && n->type == NODE_GROUP)
		check_group_of(&d, n);
	else if (n)
		check_databases(&d, n);
	free(d.names);
	check_names_of(at, "tables", "schema.table", 2);
	check_names_of(at, "columns", "schema.table.column", 3);
}
