/* Rows to SQL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/text.h"
#include "daemon/pg/statement.h"

#define CHUNK_BYTES (1024 * 1024) /* of one statement's rows */
#define CHUNK_ROWS  2000

const char pg_schema_sql[] =
	"SELECT c.relname, a.attname, (a.attnotnull AND NOT a.atthasdef)::int,"
	" coalesce(a.attnum = ANY (i.indkey), false)::int"
	" FROM pg_catalog.pg_class c"
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'nightjar'"
	" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
	" AND NOT a.attisdropped AND a.attgenerated = ''"
	" LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary"
	" WHERE c.relkind IN ('r', 'p') ORDER BY c.oid, a.attnum";

/* --- the schema --------------------------------------------------------------------------- */

static void forget_columns(struct pg_schema *s)
{
	for (size_t t = 0; t < STORE_TABLES; t++) {
		for (unsigned i = 0; i < s->tables[t].n; i++)
			free(s->tables[t].columns[i].name);
		s->tables[t] = (struct pg_table){0};
	}
}

static struct pg_table *find_table(struct pg_schema *s, const char *name)
{
	for (size_t t = 0; t < STORE_TABLES; t++)
		if (str_eq(store_table_name((enum store_table)t), name))
			return &s->tables[t];
	return NULL;
}

void pg_schema_learn(struct pg_schema *s, const PGresult *res)
{
	forget_columns(s);
	for (int i = 0; i < PQntuples(res); i++) {
		struct pg_table *t = find_table(s, PQgetvalue(res, i, 0));
		bool required = PQgetvalue(res, i, 2)[0] == '1';

		if (!t || t->n == PG_COLUMNS_MAX)
			continue;
		t->columns[t->n] = (struct pg_column){
			.name = xstrdup(PQgetvalue(res, i, 1)), .required = required};
		if (required)
			t->required |= UINT64_C(1) << t->n;
		if (PQgetvalue(res, i, 3)[0] == '1')
			t->key |= UINT64_C(1) << t->n;
		t->n++;
	}
}

void pg_schema_reset(struct pg_schema *s)
{
	s->n = 0;
	s->basics = false;
}

void pg_schema_fini(struct pg_schema *s)
{
	forget_columns(s);
	free(s->prepared);
	*s = (struct pg_schema){0};
}

/* --- SQL ---------------------------------------------------------------------------------- */

static void put_columns(struct buf *b, const struct pg_table *t, uint64_t mask, const char *format,
	const char *between)
{
	bool first = true;

	for (unsigned i = 0; i < t->n; i++) {
		if (!(mask >> i & 1))
			continue;
		if (!first)
			buf_puts(b, between);
		first = false;
		for (const char *f = format; *f; f++) {
			if (*f == '@') /* names come from the catalogue of our own schema: no quotes
					*/
				buf_printf(b, "\"%s\"", t->columns[i].name);
			else
				buf_putc(b, *f);
		}
	}
}

static char *upsert_sql(const struct pg_table *t, const char *table, uint64_t mask)
{
	struct buf b = BUF_NULL;
	/* the content of a definition is its key */
	uint64_t changed = str_eq(table, "definition") ? 0 : mask & ~t->key;

	buf_printf(&b, "INSERT INTO nightjar.\"%s\" (", table);
	put_columns(&b, t, mask, "@", ", ");
	buf_puts(&b, ") SELECT ");
	put_columns(&b, t, mask, "@", ", ");
	buf_printf(&b, " FROM jsonb_populate_recordset(NULL::nightjar.\"%s\", $1::jsonb)", table);
	buf_puts(&b, " ON CONFLICT (");
	put_columns(&b, t, t->key, "@", ", ");
	if (changed == 0) {
		buf_puts(&b, ") DO NOTHING");
		return buf_steal(&b);
	}
	buf_puts(&b, ") DO UPDATE SET ");
	put_columns(&b, t, changed, "@ = EXCLUDED.@", ", ");
	return buf_steal(&b);
}

static char *update_sql(const struct pg_table *t, const char *table, uint64_t mask)
{
	struct buf b = BUF_NULL;
	uint64_t changed = mask & ~t->key;

	buf_printf(&b, "UPDATE nightjar.\"%s\" t SET ", table);
	put_columns(&b, t, changed ? changed : t->key, "@ = s.@", ", ");
	buf_printf(&b, " FROM jsonb_populate_recordset(NULL::nightjar.\"%s\", $1::jsonb) s WHERE ",
		table);
	put_columns(&b, t, t->key, "t.@ = s.@", " AND ");
	return buf_steal(&b);
}

static size_t find_prepared(struct pg_schema *s, enum store_table table, uint64_t mask)
{
	struct pg_prepared *p;

	for (size_t i = 0; i < s->n; i++)
		if (s->prepared[i].table == table && s->prepared[i].columns == mask)
			return i;
	XGROW(s->prepared, s->n, s->cap);
	p = &s->prepared[s->n];
	*p = (struct pg_prepared){.table = table, .columns = mask};
	p->is_update = (mask & s->tables[table].required) != s->tables[table].required;
	snprintf(p->name, sizeof(p->name), "nj_%d_%llx", (int)table, (unsigned long long)mask);
	return s->n++;
}

/* --- reading a row's keys ----------------------------------------------------------------- */

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

/* Behind the string that begins at p; NULL when it does not end. */
static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && !*++p)
			return NULL;
	return *p ? p + 1 : NULL;
}

/* Behind the value that begins at p. */
static const char *skip_value(const char *p)
{
	unsigned depth = 0;

	for (;;) {
		p += strcspn(p, depth ? "\"[]{}" : "\"[]{},");
		if (*p == '"') {
			p = skip_string(p);
			if (!p)
				return NULL;
		} else if (*p == '[' || *p == '{') {
			depth++;
			p++;
		} else if (depth > 0 && *p) {
			depth--;
			p++;
		} else {
			return *p == ',' || *p == '}' ? p : NULL;
		}
	}
}

static int find_column(const struct pg_table *t, const char *name, size_t len)
{
	for (unsigned i = 0; i < t->n; i++)
		if (strncmp(t->columns[i].name, name, len) == 0 && !t->columns[i].name[len])
			return (int)i;
	return -1;
}

/* The columns that the object names; 0 with a sentence. What is not JSON otherwise, the server
 * says. */
static uint64_t row_columns(const struct pg_table *t, const struct store_row *row, char **ret_error)
{
	const char *table = store_table_name(row->table);
	const char *p = skip_space(row->json);
	uint64_t mask = 0;

	for (bool first = true; *p == (first ? '{' : ','); first = false) {
		const char *name = skip_space(p + 1), *end;
		int column;

		if (*name != '"' || !(end = skip_string(name)))
			break;
		column = find_column(t, name + 1, (size_t)(end - name - 2));
		if (column < 0) {
			*ret_error = xasprintf(
				"%s has no column %.*s", table, (int)MIN(end - name, 80), name);
			return 0;
		}
		mask |= UINT64_C(1) << column;
		p = skip_space(end);
		p = *p == ':' ? skip_value(p + 1) : NULL;
		if (!p)
			break;
	}
	if (!p || *p != '}' || *skip_space(p + 1)) {
		*ret_error = xasprintf("a row of %s is no JSON object", table);
		return 0;
	}
	if ((mask & t->key) != t->key || t->key == 0) {
		*ret_error = xasprintf("a row of %s lacks its key", table);
		return 0;
	}
	return mask;
}

/* --- the batch ---------------------------------------------------------------------------- */

void pg_batch_clear(struct pg_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->items[i].melted);
	b->n = 0;
	b->bytes = 0;
	b->n_commands = 0;
	if (b->index)
		memset(b->index, 0, b->index_cap * sizeof(*b->index));
}

void pg_batch_fini(struct pg_batch *b)
{
	pg_batch_clear(b);
	free(b->items);
	free(b->index);
	free(b->commands);
	*b = (struct pg_batch){0};
}

static const char *item_json(const struct pg_item *i)
{
	return i->melted ? i->melted : i->row->json;
}

/* Without a key a row is itself alone. */
static const char *row_key(const struct store_row *row)
{
	return row->key ? row->key : row->json;
}

static uint64_t hash_row(const struct store_row *row)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ row->table;

	for (const char *p = row_key(row); *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

/* The place in the index where the row is, or belongs. */
static size_t *index_place(struct pg_batch *b, const struct store_row *row)
{
	size_t at = hash_row(row) & (b->index_cap - 1);

	for (; b->index[at]; at = (at + 1) & (b->index_cap - 1)) {
		const struct store_row *other = b->items[b->index[at] - 1].row;

		if (other->table == row->table && str_eq(row_key(other), row_key(row)))
			break;
	}
	return &b->index[at];
}

static void index_grow(struct pg_batch *b)
{
	if (b->index_cap >= 2 * (b->n + 1))
		return;
	b->index_cap = b->index_cap ? 2 * b->index_cap : 256;
	free(b->index);
	b->index = xcalloc(b->index_cap, sizeof(*b->index));
	for (size_t i = 0; i < b->n; i++)
		*index_place(b, b->items[i].row) = i + 1;
}

/* The older object and then the newer one, as one object: the last of two same keys counts. */
static char *melt(const char *older, const char *newer)
{
	const char *end = strrchr(older, '}'), *begin = strchr(newer, '{') + 1;

	return xasprintf("%.*s,%s", (int)(end - older), older, begin);
}

static void add_row(struct pg_batch *b, const struct store_row *row, uint64_t columns)
{
	size_t *place;
	struct pg_item *item;

	index_grow(b);
	place = index_place(b, row);
	b->bytes += strlen(row->json) + 1;
	if (!*place) {
		XGROW(b->items, b->n, b->cap);
		b->items[b->n] =
			(struct pg_item){.row = row, .table = row->table, .columns = columns};
		*place = ++b->n;
		return;
	}
	item = &b->items[*place - 1];
	if ((item->columns & ~columns) == 0) {
		free(TAKE_PTR(item->melted));
	} else {
		char *melted = melt(item_json(item), row->json);

		free(item->melted);
		item->melted = melted;
	}
	item->row = row;
	item->columns |= columns;
}

char *pg_batch_add(struct pg_batch *b, const struct pg_schema *s, const struct store_unit *unit)
{
	_cleanup_free_ uint64_t *columns = xcalloc(unit->n + 1, sizeof(*columns));

	for (size_t i = 0; i < unit->n; i++) {
		const struct store_row *row = &unit->rows[i];
		char *error = NULL;

		columns[i] = row_columns(&s->tables[row->table], row, &error);
		if (error)
			return error;
	}
	for (size_t i = 0; i < unit->n; i++)
		add_row(b, &unit->rows[i], columns[i]);
	return NULL;
}

/* --- sending ------------------------------------------------------------------------------ */

static void note_command(
	struct pg_batch *b, enum pg_command_type type, size_t prepared, size_t rows)
{
	XGROW(b->commands, b->n_commands, b->commands_cap);
	b->commands[b->n_commands++] =
		(struct pg_command){.type = type, .prepared = prepared, .rows = rows};
}

static bool send_prepare(struct pg_batch *b, struct pg_schema *s, PGconn *db, size_t prepared)
{
	const struct pg_prepared *p = &s->prepared[prepared];
	const struct pg_table *t = &s->tables[p->table];
	const char *table = store_table_name(p->table);
	_cleanup_free_ char *sql =
		p->is_update ? update_sql(t, table, p->columns) : upsert_sql(t, table, p->columns);

	note_command(b, COMMAND_PREPARE, prepared, 0);
	return PQsendPrepare(db, p->name, sql, 0, NULL);
}

static bool send_chunk(struct pg_batch *b, struct pg_schema *s, PGconn *db, size_t prepared,
	struct buf *rows, size_t n)
{
	const char *value;

	buf_putc(rows, ']');
	value = buf_str(rows);
	note_command(b, COMMAND_ROWS, prepared, n);
	return PQsendQueryPrepared(db, s->prepared[prepared].name, 1, &value, NULL, NULL, 0);
}

/* All rows from `first` on of its table and columns. */
static bool send_rows(struct pg_batch *b, struct pg_schema *s, PGconn *db, size_t first)
{
	const struct pg_item *like = &b->items[first];
	size_t prepared = find_prepared(s, like->table, like->columns), n = 0;
	_cleanup_buf_ struct buf rows = BUF_NULL;

	if (!s->prepared[prepared].ready && !send_prepare(b, s, db, prepared))
		return false;
	for (size_t i = first; i < b->n; i++) {
		struct pg_item *item = &b->items[i];

		if (item->sent || item->table != like->table || item->columns != like->columns)
			continue;
		item->sent = true;
		buf_putc(&rows, n ? ',' : '[');
		buf_puts(&rows, item_json(item));
		n++;
		if (rows.len < CHUNK_BYTES && n < CHUNK_ROWS)
			continue;
		if (!send_chunk(b, s, db, prepared, &rows, n))
			return false;
		buf_clear(&rows);
		n = 0;
	}
	return n == 0 || send_chunk(b, s, db, prepared, &rows, n);
}

static bool send_basics(struct pg_batch *b, const struct pg_schema *s, PGconn *db)
{
	if (s->basics)
		return true;
	for (size_t i = 0; i < 3; i++)
		note_command(b, COMMAND_BASICS, 0, 0);
	return PQsendPrepare(db, "nj_begin", "BEGIN", 0, NULL) &&
	       PQsendPrepare(db, "nj_fence", "SELECT nightjar.fence($1)", 0, NULL) &&
	       PQsendPrepare(db, "nj_commit", "COMMIT", 0, NULL);
}

static bool send_basic(
	struct pg_batch *b, PGconn *db, const char *name, int n, const char *const *value)
{
	note_command(b, COMMAND_OTHER, 0, 0);
	return PQsendQueryPrepared(db, name, n, value, NULL, NULL, 0);
}

bool pg_batch_send(struct pg_batch *b, struct pg_schema *s, PGconn *db, uint64_t epoch)
{
	char text[24];
	const char *value = text;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)epoch);
	b->n_commands = 0;
	if (!send_basics(b, s, db) || !send_basic(b, db, "nj_begin", 0, NULL) ||
		!send_basic(b, db, "nj_fence", 1, &value))
		return false;
	/* Tables in their order, so that what is referred to comes first. */
	for (int t = 0; t < STORE_TABLES; t++)
		for (size_t i = 0; i < b->n; i++)
			if (!b->items[i].sent && (int)b->items[i].table == t &&
				!send_rows(b, s, db, i))
				return false;
	return send_basic(b, db, "nj_commit", 0, NULL);
}

bool pg_batch_result(struct pg_batch *b, struct pg_schema *s, unsigned index, const PGresult *res)
{
	const struct pg_command *c;

	if (index >= b->n_commands)
		return true;
	c = &b->commands[index];
	switch (c->type) {
	case COMMAND_BASICS:
		s->basics = true;
		return true;
	case COMMAND_PREPARE:
		s->prepared[c->prepared].ready = true;
		return true;
	case COMMAND_ROWS:
		return !s->prepared[c->prepared].is_update ||
		       (size_t)atoll(PQcmdTuples((PGresult *)res)) >= c->rows;
	default:
		return true;
	}
}
