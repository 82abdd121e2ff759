/* From the keys of a metabase_sync step to databases and the tables expected of each.
 *
 * `databases` in all its forms becomes groups; `tables` says what was built or is listed; a group
 * takes what its `target` built and gives each schema the name under which it is served. */
#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/metabase_sync_plan.h"

/* --- small things ------------------------------------------------------------------------- */

static char **names_of(const struct node *n)
{
	char **names = xcalloc(1, sizeof(*names));
	size_t count = 0;

	if (n && n->type == NODE_STRING)
		return strv_add(names, &count, xstrdup(n->string));
	for (size_t i = 0; n && n->type == NODE_LIST && i < n->n_children; i++)
		if (n->children[i]->type == NODE_STRING)
			names = strv_add(names, &count, xstrdup(n->children[i]->string));
	return names;
}

static const char *renamed(const struct node *rename, const char *schema)
{
	for (size_t i = 0; rename && i < rename->n_children; i++) {
		const struct node *r = rename->children[i];

		if (r->type == NODE_STRING && str_eq(r->key, schema))
			return r->string;
	}
	return schema;
}

/* Finds it, or adds it without columns. */
static struct metabase_table *table_of(
	struct metabase_table **tables, size_t *n, const char *schema, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (str_eq((*tables)[i].schema, schema) && str_eq((*tables)[i].name, name))
			return &(*tables)[i];
	*tables = xrealloc(*tables, (*n + 1) * sizeof(**tables));
	(*tables)[*n] = (struct metabase_table){xstrdup(schema), xstrdup(name), NULL};
	return &(*tables)[(*n)++];
}

static void add_column(struct metabase_table *t, const char *column)
{
	size_t n = t->columns ? strv_length(t->columns) : 0;

	for (size_t i = 0; i < n; i++)
		if (str_eq(t->columns[i], column))
			return;
	t->columns = strv_add(t->columns, &n, xstrdup(column));
}

/* Cuts "a.b.c" before its last dot: the rest is returned. NULL: there is no such dot. */
static char *cut_last(char *text)
{
	char *dot = strrchr(text, '.');

	if (!dot || dot == text || !dot[1])
		return NULL;
	*dot = '\0';
	return dot + 1;
}

/* The schema is the part before the table: a database's name may stand in front of it. */
static const char *schema_in(const char *text)
{
	const char *dot = strrchr(text, '.');

	return dot ? dot + 1 : text;
}

/* --- tables and columns ------------------------------------------------------------------- */

static void take_built(struct sync_group *g, const struct node *group, const cJSON *built)
{
	const char *target = node_string(group, "target");
	const struct node *rename = node_get(group, "rename");
	const cJSON *relation;

	cJSON_ArrayForEach(relation, built)
	{
		const char *schema = json_string(relation, "schema");
		const char *name = json_string(relation, "name");

		if (!name || (target && !str_eq(json_string(relation, "target"), target)))
			continue;
		table_of(&g->tables, &g->n_tables, renamed(rename, schema ? schema : ""), name);
	}
}

static int take_listed(
	struct sync_group *g, const struct node *group, const struct node *list, char **ret_error)
{
	_cleanup_strv_ char **names = names_of(list);

	for (char **t = names; *t; t++) {
		_cleanup_free_ char *whole = xstrdup(*t);
		char *name = cut_last(*t);

		if (!name) {
			*ret_error = xasprintf(
				"metabase_sync.tables: \"%s\" is not \"schema.table\"", whole);
			return -EINVAL;
		}
		table_of(&g->tables, &g->n_tables,
			renamed(node_get(group, "rename"), schema_in(*t)), name);
	}
	return 0;
}

/* True where the group expects that table, or is made to. */
static bool take_column(struct sync_group *g, const struct node *group, const char *schema,
	const char *table, const char *column, bool make)
{
	const char *served = renamed(node_get(group, "rename"), schema);

	for (size_t i = 0; i < g->n_tables; i++) {
		if (!str_eq(g->tables[i].schema, served) || !str_eq(g->tables[i].name, table))
			continue;
		add_column(&g->tables[i], column);
		return true;
	}
	if (make)
		add_column(table_of(&g->tables, &g->n_tables, served, table), column);
	return make;
}

struct reading {
	const struct node *params;
	const struct node **nodes; /* of each group; NULL: it has no keys */
	struct sync_plan *plan;
};

static int read_column(struct reading *r, char *text, char **ret_error)
{
	_cleanup_free_ char *whole = xstrdup(text);
	char *column = cut_last(text), *table = column ? cut_last(text) : NULL;
	bool taken = false;

	if (!table) {
		*ret_error = xasprintf(
			"metabase_sync.columns: \"%s\" is not \"schema.table.column\"", whole);
		return -EINVAL;
	}
	for (int make = 0; make <= 1 && !taken; make++)
		for (size_t i = 0; i < r->plan->n_groups; i++)
			taken |= take_column(&r->plan->groups[i], r->nodes[i], schema_in(text),
				table, column, make);
	return 0;
}

static int read_columns(struct reading *r, char **ret_error)
{
	_cleanup_strv_ char **columns = names_of(node_get(r->params, "columns"));
	int error = 0;

	for (char **c = columns; *c && error == 0; c++)
		error = read_column(r, *c, ret_error);
	return error;
}

static int read_tables(struct reading *r, const struct kind_context *ctx, char **ret_error)
{
	const struct node *tables = node_get(r->params, "tables");
	bool changed = tables && tables->type == NODE_STRING && str_eq(tables->string, "changed");
	_cleanup_json_ cJSON *built = changed && ctx->built ? ctx->built(ctx) : NULL;
	int error = 0;

	if (tables && tables->type == NODE_STRING && !changed) {
		*ret_error = xasprintf("metabase_sync.tables: \"%s\" is neither \"changed\" nor a "
				       "list of \"schema.table\"",
			tables->string);
		return -EINVAL;
	}
	for (size_t i = 0; i < r->plan->n_groups && error == 0; i++) {
		if (changed)
			take_built(&r->plan->groups[i], r->nodes[i], built);
		else
			error = take_listed(&r->plan->groups[i], r->nodes[i], tables, ret_error);
	}
	return error;
}

/* --- groups ------------------------------------------------------------------------------- */

static void add_group(struct reading *r, const struct node *names, const struct node *keys)
{
	struct sync_plan *plan = r->plan;
	struct sync_group *g = &plan->groups[plan->n_groups];
	const char *conninfo = node_string(keys, "conninfo");

	*g = (struct sync_group){.names = names_of(names), .conninfo = xstrdup(conninfo)};
	for (char **n = g->names; *n; n++)
		g->all = g->all || str_eq(*n, "*");
	r->nodes[plan->n_groups++] = keys;
}

/* A list holds either names or groups. */
static void read_groups(struct reading *r)
{
	const struct node *n = node_get(r->params, "databases");
	size_t most = n ? n->n_children + 1 : 1;

	r->plan->groups = xcalloc(most, sizeof(*r->plan->groups));
	r->nodes = xcalloc(most, sizeof(*r->nodes));
	if (!n)
		return;
	if (n->type == NODE_GROUP)
		add_group(r, node_get(n, "names"), n);
	else if (n->type == NODE_STRING || (n->n_children && n->children[0]->type == NODE_STRING))
		add_group(r, n, NULL);
	else
		for (size_t i = 0; i < n->n_children; i++)
			add_group(r, node_get(n->children[i], "names"), n->children[i]);
}

static int check_names(const struct sync_plan *plan, char **ret_error)
{
	bool good = plan->n_groups > 0;

	for (size_t i = 0; i < plan->n_groups; i++)
		good = good && plan->groups[i].names[0] && plan->groups[i].names[0][0];
	if (good)
		return 0;
	*ret_error = xstrdup("metabase_sync.databases: a name is empty, or none is given");
	return -EINVAL;
}

int sync_plan_read(const struct kind_context *ctx, struct sync_plan *ret, char **ret_error)
{
	_cleanup_node_ struct node *params = NULL;
	_cleanup_plan_ struct sync_plan plan = {0};
	struct reading r = {.plan = &plan};
	int error = ctx->expand_tree(ctx, ctx->params, &params, ret_error);

	if (error < 0)
		return error;
	r.params = params;
	read_groups(&r);
	error = check_names(&plan, ret_error);
	if (error == 0)
		error = read_tables(&r, ctx, ret_error);
	if (error == 0)
		error = read_columns(&r, ret_error);
	free(r.nodes);
	if (error < 0)
		return error;
	*ret = plan;
	plan = (struct sync_plan){0};
	return 0;
}

void sync_plan_fini(struct sync_plan *plan)
{
	for (size_t i = 0; i < plan->n_groups; i++) {
		strv_free(plan->groups[i].names);
		wipe_free(plan->groups[i].conninfo);
		metabase_tables_free(plan->groups[i].tables, plan->groups[i].n_tables);
	}
	free(plan->groups);
	*plan = (struct sync_plan){0};
}

size_t sync_plan_n_warehouses(const struct node *params)
{
	const struct node *n = node_get(params, "databases");
	size_t count = 0;

	if (node_string(n, "conninfo"))
		return 1;
	for (size_t i = 0; n && n->type == NODE_LIST && i < n->n_children; i++)
		count += node_string(n->children[i], "conninfo") != NULL;
	return count;
}

/* --- into a want -------------------------------------------------------------------------- */

static void add_tables(struct metabase_table **tables, size_t *n, const struct sync_group *g)
{
	for (size_t i = 0; i < g->n_tables; i++) {
		const struct metabase_table *from = &g->tables[i];
		struct metabase_table *to = table_of(tables, n, from->schema, from->name);

		for (char **c = from->columns; c && *c; c++)
			add_column(to, *c);
	}
}

static struct metabase_database *database_of(
	struct metabase_want *want, const struct kind_context *ctx, const char *name)
{
	int64_t usual = ctx->usual_sync ? ctx->usual_sync(ctx, name) : -1;

	for (size_t i = 0; i < want->n_databases; i++)
		if (str_eq(want->databases[i].name, name))
			return &want->databases[i];
	want->databases =
		xrealloc(want->databases, (want->n_databases + 1) * sizeof(*want->databases));
	want->databases[want->n_databases] = (struct metabase_database){
		.name = xstrdup(name),
		.usual = usual > 0 ? usual * USEC_MSEC : 0,
	};
	return &want->databases[want->n_databases++];
}

void sync_plan_databases(
	const struct sync_plan *plan, const struct kind_context *ctx, struct metabase_want *want)
{
	for (size_t i = 0; i < plan->n_groups; i++) {
		const struct sync_group *g = &plan->groups[i];

		if (g->all) {
			want->all = true;
			add_tables(&want->anywhere, &want->n_anywhere, g);
		}
		for (char **n = g->names; *n && !g->all; n++) {
			struct metabase_database *db = database_of(want, ctx, *n);

			add_tables(&db->tables, &db->n_tables, g);
		}
	}
}
