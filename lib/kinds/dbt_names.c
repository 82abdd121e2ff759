/* What people call a node, and how many of a kind there are. */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/memory.h"
#include "kinds/dbt_nodes.h"

/* Behind the n-th dot; NULL: there are fewer. */
static const char *behind_dot(const char *s, unsigned n)
{
	while (s && n--) {
		s = strchr(s, '.');
		s = s ? s + 1 : NULL;
	}
	return s;
}

char *dbt_node_name(const struct dbt_node *node)
{
	const char *name = behind_dot(node->unique_id, 2), *dot;

	if (!name || !*name)
		return text_one_line(node->unique_id, strlen(node->unique_id), 200);
	dot = strchr(name, '.');
	if (dot && str_eq(node->resource_type, "unit_test"))
		return xasprintf("%.*s::%s", (int)(dot - name), name, dot + 1);
	if (dot && str_eq(node->resource_type, "test"))
		return xstrndup(name, (size_t)(dot - name)); /* the rest is a hash */
	return text_one_line(name, strlen(name), 200);
}

static const char *type_name(const struct dbt_node *node)
{
	if (str_eq(node->resource_type, "operation"))
		return "hook";
	if (str_eq(node->resource_type, "macro"))
		return "operation";
	if (str_eq(node->resource_type, "unit_test"))
		return "unit test";
	return node->resource_type ? node->resource_type : "node";
}

char *dbt_node_label(const struct dbt_node *node)
{
	_cleanup_free_ char *name = dbt_node_name(node), *both = NULL;

	both = xasprintf("%s %s", type_name(node), name);
	return text_one_line(both, strlen(both), 240);
}

static const char *const counted[] = {"model", "seed", "snapshot", "test", "unit_test"};

static void count_skipped(const struct dbt_nodes *nodes, size_t ret[ARRAY_SIZE(counted) + 1])
{
	for (size_t i = 0; i < nodes->n; i++) {
		const struct dbt_node *node = &nodes->items[i];
		size_t k = 0;

		if (node->state != DBT_SKIPPED)
			continue;
		while (k < ARRAY_SIZE(counted) && !str_eq(counted[k], node->resource_type))
			k++;
		ret[k]++;
	}
}

char *dbt_nodes_skipped(const struct dbt_nodes *nodes)
{
	static const char *const names[] = {
		"model", "seed", "snapshot", "test", "unit test", "other"};
	size_t n[ARRAY_SIZE(names)] = {0};
	_cleanup_buf_ struct buf b = BUF_NULL;

	if (!nodes->n_skipped)
		return NULL;
	count_skipped(nodes, n);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		if (n[k])
			buf_printf(&b, "%s%zu %s%s", b.len ? ", " : "", n[k], names[k],
				n[k] == 1 ? "" : "s");
	return b.len ? buf_steal(&b) : NULL;
}
