/* What the warehouse itself says of the tables that Metabase is to see: is each one there, and may
 * the role read it as which Metabase connects? What it may not read will never appear. */
#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/metabase_sync_plan.h"

#define QUERY_TIMEOUT USEC_MINUTE
#define QUERY_CAP     ((size_t)1024 * 1024)

enum {
	NAMED_MOST = 3, /* tables in a sentence */
	WORD_MAX = 200,
	MEND_MAX = 4000,
};

/* Of [{"database","role","schema","name"}], those with which something is wrong. By the catalogue
 * alone: it may be read by everybody. Of a role that is not known there nothing can be said. */
static const char sql[] =
	"SELECT coalesce(json_agg(w), '[]') FROM ("
	" SELECT x.database, x.role, x.schema, x.name, c.oid IS NOT NULL AS there,"
	"  coalesce(has_schema_privilege(r.oid, n.oid, 'USAGE'), true) AS enters,"
	"  coalesce(has_table_privilege(r.oid, c.oid, 'SELECT')"
	"   OR has_any_column_privilege(r.oid, c.oid, 'SELECT'), true) AS reads"
	" FROM json_to_recordset($1::json)"
	"  AS x(database text, role text, schema text, name text)"
	" LEFT JOIN pg_namespace n ON n.nspname = x.schema"
	" LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = x.name"
	"  AND c.relkind IN ('r', 'v', 'm', 'p', 'f')"
	" LEFT JOIN pg_roles r ON r.rolname = x.role) w"
	" WHERE NOT (there AND enters AND reads)";

/* --- asking ------------------------------------------------------------------------------- */

static const struct sync_group *warehouse_at(const struct sync_plan *plan, size_t index)
{
	for (size_t i = 0; i < plan->n_groups; i++)
		if (plan->groups[i].conninfo && index-- == 0)
			return &plan->groups[i];
	return NULL;
}

static const char *role_of(const cJSON *databases, const char *name)
{
	const cJSON *d;

	cJSON_ArrayForEach(d, databases)
	{
		if (str_eq(json_string(d, "name"), name))
			return json_string(d, "user");
	}
	return NULL;
}

static void add_checks(
	cJSON *checks, const struct sync_group *g, const char *database, const char *role)
{
	for (size_t i = 0; i < g->n_tables; i++) {
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "database", database);
		json_set_string(o, "role", role);
		json_set_string(o, "schema", g->tables[i].schema);
		json_set_string(o, "name", g->tables[i].name);
		cJSON_AddItemToArray(checks, o);
	}
}

int sync_warehouse_query(const struct sync_plan *plan, size_t index, const cJSON *databases,
	struct kind_query *ret, char **ret_error)
{
	const struct sync_group *g = warehouse_at(plan, index);
	_cleanup_json_ cJSON *checks = cJSON_CreateArray();
	const cJSON *d;
	size_t n = 0;

	if (!g || !*g->conninfo) {
		*ret_error = xstrdup("metabase_sync.databases: a conninfo is empty");
		return -EINVAL;
	}
	for (char **name = g->names; *name && !g->all; name++)
		add_checks(checks, g, *name, role_of(databases, *name));
	/* Which of all is to hold a table is not said: only whether it is there can be. */
	cJSON_ArrayForEach(d, databases)
	{
		if (g->all && d == databases->child)
			add_checks(checks, g, "Metabase", NULL);
	}
	ret->conninfo = xstrdup(g->conninfo);
	ret->sql = sql;
	ret->values = strv_add(NULL, &n, json_print(checks));
	ret->timeout = QUERY_TIMEOUT;
	ret->cap = QUERY_CAP;
	return 0;
}

/* --- the verdict -------------------------------------------------------------------------- */

static char *word(const cJSON *row, const char *key, const struct mask_set *mask)
{
	const char *text = json_string(row, key);
	_cleanup_free_ char *masked = mask_string(mask, text ? text : "?");

	return text_one_line(masked, strlen(masked), WORD_MAX);
}

/* As SQL writes it: bare where it can be. */
static void put_identifier(struct buf *b, const char *name)
{
	size_t bare = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (*name && !name[bare] && !(*name >= '0' && *name <= '9')) {
		buf_puts(b, name);
		return;
	}
	buf_putc(b, '"');
	for (const char *p = name; *p; p++) {
		if (*p == '"')
			buf_putc(b, '"');
		buf_putc(b, *p);
	}
	buf_putc(b, '"');
}

static void put_grant(struct buf *b, const cJSON *row, const struct mask_set *mask)
{
	_cleanup_free_ char *schema = word(row, "schema", mask), *name = word(row, "name", mask);
	_cleanup_free_ char *role = word(row, "role", mask);

	if (b->len > MEND_MAX)
		return;
	if (!json_bool(row, "enters", true)) {
		_cleanup_buf_ struct buf usage = BUF_NULL;

		buf_puts(&usage, "GRANT USAGE ON SCHEMA ");
		put_identifier(&usage, schema);
		buf_puts(&usage, " TO ");
		put_identifier(&usage, role);
		buf_puts(&usage, "; ");
		if (!b->len || !strstr(buf_str(b), buf_str(&usage)))
			buf_puts(b, buf_str(&usage));
	}
	if (json_bool(row, "reads", true))
		return;
	buf_puts(b, "GRANT SELECT ON ");
	put_identifier(b, schema);
	buf_putc(b, '.');
	put_identifier(b, name);
	buf_puts(b, " TO ");
	put_identifier(b, role);
	buf_puts(b, "; ");
}

static bool is_there(const cJSON *row)
{
	return json_bool(row, "there", true);
}

/* Of the rows that are so: "a.b, a.c and 4 more". */
static size_t put_tables(struct buf *b, const cJSON *rows, bool there, const struct mask_set *mask)
{
	const cJSON *row;
	size_t n = 0;

	cJSON_ArrayForEach(row, rows)
	{
		_cleanup_free_ char *schema = word(row, "schema", mask);
		_cleanup_free_ char *name = word(row, "name", mask);

		if (is_there(row) != there)
			continue;
		if (n < NAMED_MOST)
			buf_printf(b, "%s%s.%s", n ? ", " : "", schema, name);
		n++;
	}
	if (n > NAMED_MOST)
		buf_printf(b, " and %zu more", n - NAMED_MOST);
	return n;
}

static const cJSON *first_of(const cJSON *rows, bool there)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, rows)
	{
		if (is_there(row) == there)
			return row;
	}
	return NULL;
}

static char *missing(const cJSON *rows, const cJSON *first, const struct mask_set *mask)
{
	_cleanup_free_ char *database = word(first, "database", mask);
	_cleanup_buf_ struct buf tables = BUF_NULL;
	size_t n = put_tables(&tables, rows, false, mask);

	return xasprintf("the warehouse of %s has no table %s: %s", database, buf_str(&tables),
		n == 1 ? "the name is wrong, or it was not built"
		       : "the names are wrong, or they were not built");
}

static char *unreadable(
	const cJSON *rows, const cJSON *first, const struct mask_set *mask, char **ret_mend)
{
	const cJSON *row;
	_cleanup_free_ char *role = word(first, "role", mask);
	_cleanup_free_ char *database = word(first, "database", mask);
	_cleanup_buf_ struct buf tables = BUF_NULL, mend = BUF_NULL;

	put_tables(&tables, rows, true, mask);
	cJSON_ArrayForEach(row, rows)
	{
		if (is_there(row))
			put_grant(&mend, row, mask);
	}
	if (mend.len)
		mend.data[--mend.len] = '\0';
	*ret_mend = buf_steal(&mend);
	return xasprintf("the role %s of %s may not read %s, which Metabase will therefore never "
			 "show; to mend it: %s",
		role, database, buf_str(&tables), *ret_mend);
}

char *sync_warehouse_verdict(const cJSON *answer, const struct mask_set *mask, char **ret_mend)
{
	const cJSON *absent = first_of(answer, false), *there = first_of(answer, true);

	*ret_mend = NULL;
	if (absent)
		return missing(answer, absent, mask);
	return there ? unreadable(answer, there, mask, ret_mend) : NULL;
}
