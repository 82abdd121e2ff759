/* Which relations an invocation has really built, as its note keeps them for later steps. */
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/dbt_nodes.h"
#include "kinds/dbt_relation.h"

/* The last two parts of a name are kept, the ones before them forgotten. */
struct parts {
	char *schema, *name;
};

static void push(struct parts *p, const char *text, size_t len)
{
	free(p->schema);
	p->schema = p->name;
	p->name = xstrndup(text, len);
}

/* BigQuery quotes a whole path at once: `project.dataset.table`. */
static void push_path(struct parts *p, const char *path)
{
	for (;;) {
		size_t len = strcspn(path, ".");

		push(p, path, len);
		if (!path[len])
			return;
		path += len + 1;
	}
}

static char closing_of(char c)
{
	return c == '[' ? ']' : c == '"' || c == '`' ? c : '\0';
}

/* One quoted part; a doubled quote stands for itself. NULL: it is never closed. */
static const char *push_quoted(struct parts *p, const char *s)
{
	char closing = closing_of(*s), quote = *s;
	_cleanup_buf_ struct buf text = BUF_NULL;

	for (s++; *s; s++) {
		if (*s == closing && s[1] == closing)
			s++;
		else if (*s == closing)
			break;
		buf_putc(&text, *s);
	}
	if (!*s)
		return NULL;
	if (quote == '`')
		push_path(p, buf_str(&text));
	else
		push(p, buf_str(&text), text.len);
	return s + 1;
}

static const char *push_part(struct parts *p, const char *s)
{
	size_t len = strcspn(s, ".");

	if (closing_of(*s))
		return push_quoted(p, s);
	push(p, s, len);
	return s + len;
}

bool dbt_relation_parse(const char *text, char **ret_schema, char **ret_name)
{
	struct parts p = {0};
	const char *s = text;

	while (s) {
		s = push_part(&p, s);
		if (!s || !*s)
			break;
		s = *s == '.' ? s + 1 : NULL;
	}
	if (!s || !p.schema || !*p.schema || !*p.name) {
		free(p.schema);
		free(p.name);
		return false;
	}
	*ret_schema = p.schema;
	*ret_name = p.name;
	return true;
}

static bool is_built(const struct dbt_node *node)
{
	return str_eq(node->status, "success") && node->relation_name &&
	       (str_eq(node->resource_type, "model") || str_eq(node->resource_type, "seed") ||
		       str_eq(node->resource_type, "snapshot"));
}

cJSON *dbt_nodes_built(const struct dbt_nodes *nodes)
{
	cJSON *built = cJSON_CreateArray();
	size_t n = 0;

	for (size_t i = 0; i < nodes->n && n < DBT_BUILT_MAX; i++) {
		_cleanup_free_ char *schema = NULL, *name = NULL;
		cJSON *pair;

		if (!is_built(&nodes->items[i]) ||
			!dbt_relation_parse(nodes->items[i].relation_name, &schema, &name))
			continue;
		pair = cJSON_CreateArray();
		cJSON_AddItemToArray(pair, cJSON_CreateString(schema));
		cJSON_AddItemToArray(pair, cJSON_CreateString(name));
		cJSON_AddItemToArray(built, pair);
		n++;
	}
	return built;
}
