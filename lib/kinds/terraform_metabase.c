/* What a terraform step asks of its environment's Metabase: a proved sync for the look-ups that
 * failed, and looks at what is there: a table that is not, a thing that a lost answer may have
 * made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/metabase.h"
#include "kinds/terraform_machine.h"

#define LOOK_TIMEOUT (2 * USEC_MINUTE)
#define TABLE	     "data.metabase_table."

/* --- what failed -------------------------------------------------------------------------- */

static bool is_same(const cJSON *a, const cJSON *b)
{
	return cJSON_Compare(a, b, true);
}

static void add_database(cJSON *list, const cJSON *database)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		if (is_same(item, database))
			return;
	}
	cJSON_AddItemToArray(list, cJSON_Duplicate(database, true));
}

/* "data.metabase_table.x" in the values that an expression has; the caller frees. */
static char *table_in(const char *about)
{
	const char *at = about ? strstr(about, TABLE) : NULL;

	return at ? xstrndup(at, strcspn(at, ", ")) : NULL;
}

void terraform_note_lookups(struct terraform *t)
{
	cJSON *list = json_set(t->memory, "lookups", cJSON_CreateArray());

	for (size_t i = 0; i < t->log.n_errors; i++) {
		const struct terraform_error *e = &t->log.errors[i];
		bool column = str_starts(e->summary, "Invalid index");
		_cleanup_free_ char *base = column ? table_in(e->about) : NULL;
		cJSON *o;

		if (terraform_class(e) != TF_CLASS_NOT_READY)
			continue;
		o = cJSON_CreateObject();
		json_set_string(o, "address", e->address);
		json_set_string(o, "base", base);
		json_set_string(o, "each", e->each);
		json_set_string(o, "key", column ? e->key : NULL);
		cJSON_AddItemToArray(list, o);
	}
	if (t->log.n_more)
		cJSON_AddItemToArray(list, cJSON_CreateNull());
}

/* By the look-up's own address, or by that of what uses it. */
static bool is_about(const cJSON *lookup, const char *address)
{
	const char *base = json_string(lookup, "base"), *each = json_string(lookup, "each");
	_cleanup_free_ char *key = NULL;
	const char *at;

	if (!base)
		return str_eq(json_string(lookup, "address"), address);
	at = strstr(address, base);
	if (!at || (at != address && at[-1] != '.'))
		return false;
	at += strlen(base);
	if (*at != '[' || !each)
		return *at == '\0' || *at == '[';
	key = xasprintf("[\"%s\"]", each);
	return str_eq(at, key);
}

static void want_table(cJSON *wanted, const cJSON *table, const char *column)
{
	cJSON *o = cJSON_CreateObject();

	json_set_string(o, "schema", json_string(table, "schema"));
	json_set_string(o, "name", json_string(table, "name"));
	json_set_string(o, "column", column);
	json_set(o, "database", cJSON_Duplicate(json_get(table, "database"), true));
	cJSON_AddItemToArray(wanted, o);
}

/* Returns false where it is not known what the look-up is about. */
static bool want_for(cJSON *wanted, const cJSON *tables, const cJSON *lookup)
{
	const cJSON *table;
	bool any = false;

	cJSON_ArrayForEach(table, tables)
	{
		const char *address = json_string(table, "address");
		const cJSON *database = json_get(table, "database");

		if (!address || !is_about(lookup, address) || !database || cJSON_IsNull(database))
			continue;
		want_table(wanted, table, json_string(lookup, "key"));
		any = true;
	}
	return any;
}

void terraform_want_sync(struct terraform *t)
{
	const cJSON *tables = json_get(json_get(t->memory, "show"), "tables"), *item;
	cJSON *wanted = json_set(t->memory, "wanted", cJSON_CreateArray());
	cJSON *sync = json_set(t->memory, "sync", cJSON_CreateObject());
	cJSON *databases = json_set(sync, "databases", cJSON_CreateArray());
	bool all = false;

	cJSON_ArrayForEach(item, json_get(t->memory, "lookups"))
	{
		all |= !want_for(wanted, tables, item);
	}
	cJSON_ArrayForEach(item, wanted)
	{
		add_database(databases, json_get(item, "database"));
	}
	json_set_bool(sync, "all", all);
}

static char *database_text(const cJSON *database)
{
	if (cJSON_IsString(database))
		return xstrdup(database->valuestring);
	return xasprintf("database %lld", (long long)(database ? database->valuedouble : 0));
}

static char *wanted_name(const cJSON *w)
{
	const char *schema = json_string(w, "schema"), *name = json_string(w, "name");
	const char *column = json_string(w, "column");

	return xasprintf("%s%s%s%s%s", schema ? schema : "", schema ? "." : "", name ? name : "?",
		column ? "." : "", column ? column : "");
}

char *terraform_wanted_text(const struct terraform *t)
{
	struct buf b = BUF_NULL;
	size_t n = 0;
	const cJSON *w;

	cJSON_ArrayForEach(w, json_get(t->memory, "wanted"))
	{
		_cleanup_free_ char *name = wanted_name(w);
		_cleanup_free_ char *database = database_text(json_get(w, "database"));

		if (n++ < 3)
			buf_printf(&b, "%s%s of %s", n > 1 ? ", " : "", name, database);
	}
	if (n > 3)
		buf_printf(&b, " and %zu more", n - 3);
	return b.len ? buf_steal(&b) : NULL;
}

/* By its name or its id. */
static bool is_database(const cJSON *of_result, const cJSON *database)
{
	if (cJSON_IsString(database))
		return str_eq(json_string(of_result, "name"), database->valuestring);
	return cJSON_IsNumber(database) &&
	       json_int(of_result, "id", -1) == (int64_t)database->valuedouble;
}

bool terraform_wanted_was_proved(const struct terraform *t)
{
	const cJSON *proved = json_get(t->memory, "proved"), *w;

	if (!proved || !cJSON_GetArraySize(json_get(t->memory, "wanted")))
		return false;
	cJSON_ArrayForEach(w, json_get(t->memory, "wanted"))
	{
		const cJSON *d;
		bool any = false;

		cJSON_ArrayForEach(d, proved)
		{
			any |= is_database(d, json_get(w, "database"));
		}
		if (!any || !json_string(w, "name"))
			return false;
	}
	return true;
}

/* --- the proof ---------------------------------------------------------------------------- */

static cJSON *sync_row(
	const cJSON *d, const struct kind_context *ctx, const struct kind_event *event)
{
	_cleanup_free_ char *number = xasprintf("%lld", (long long)json_int(d, "id", 0));
	const char *name = json_string(d, "name");
	usec_t since = json_time(d, "since");
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "database", name ? name : number);
	json_set_string(row, "environment", ctx->environment);
	json_set_string(row, "state", json_string(d, "state"));
	json_set_string(row, "reason", json_string(d, "reason"));
	json_set_time(row, "started_at", since ? since : event->at);
	json_set_time(row, "ended_at", json_time(d, "ended_at"));
	json_set_int(row, "tables", json_int(d, "expected", 0));
	json_set_int(row, "missing", cJSON_GetArraySize(json_get(d, "missing")));
	return row;
}

cJSON *terraform_take_proof(
	struct terraform *t, const struct kind_context *ctx, const struct kind_event *event)
{
	cJSON *proved = cJSON_CreateArray(), *rows = cJSON_CreateObject(), *syncs;
	const cJSON *d;

	syncs = json_set(rows, "sync", cJSON_CreateArray());
	cJSON_ArrayForEach(d, json_get(event->result, "databases"))
	{
		cJSON_AddItemToArray(syncs, sync_row(d, ctx, event));
		if (str_eq(json_string(d, "state"), "proved")) {
			cJSON *o = cJSON_CreateObject();

			json_set_string(o, "name", json_string(d, "name"));
			json_set_int(o, "id", json_int(d, "id", 0));
			cJSON_AddItemToArray(proved, o);
		}
	}
	json_set(t->memory, "proved", proved);
	return rows;
}

/* --- what is wanted of the lane ----------------------------------------------------------- */

static struct metabase_database *database_for(struct metabase_want *want, const cJSON *database)
{
	bool by_name = cJSON_IsString(database);
	struct metabase_database *d;

	for (size_t i = 0; i < want->n_databases; i++) {
		d = &want->databases[i];
		if (by_name ? str_eq(d->name, database->valuestring)
			    : !d->name && d->id == (int64_t)database->valuedouble)
			return d;
	}
	d = &want->databases[want->n_databases++];
	if (by_name)
		d->name = xstrdup(database->valuestring);
	else
		d->id = (int64_t)database->valuedouble;
	return d;
}

static void want_databases(
	struct terraform *t, const struct kind_context *ctx, struct metabase_want *want)
{
	const cJSON *sync = json_get(t->memory, "sync"), *d;
	const cJSON *list = json_get(sync, "databases");

	want->all = json_bool(sync, "all", false) || !cJSON_GetArraySize(list);
	if (want->all)
		return;
	want->databases = xcalloc((size_t)cJSON_GetArraySize(list), sizeof(*want->databases));
	cJSON_ArrayForEach(d, list)
	{
		struct metabase_database *database = database_for(want, d);
		int64_t ms = ctx->usual_sync && database->name
				     ? ctx->usual_sync(ctx, database->name)
				     : -1;

		database->usual = ms > 0 ? ms * USEC_MSEC : 0;
	}
}

static void want_tables(struct terraform *t, struct metabase_want *want)
{
	const cJSON *list = json_get(t->memory, "wanted"), *w;
	size_t n = (size_t)cJSON_GetArraySize(list);

	want->databases = xcalloc(n + 1, sizeof(*want->databases));
	cJSON_ArrayForEach(w, list)
	{
		const char *schema = json_string(w, "schema"), *column = json_string(w, "column");
		struct metabase_database *d = database_for(want, json_get(w, "database"));
		struct metabase_table *table;
		size_t n_columns = 0;

		if (!d->tables)
			d->tables = xcalloc(n, sizeof(*d->tables));
		table = &d->tables[d->n_tables++];
		table->schema = xstrdup(schema ? schema : "");
		table->name = xstrdup(json_string(w, "name"));
		if (column)
			table->columns = strv_add(NULL, &n_columns, xstrdup(column));
	}
}

/* --- things that may be there ------------------------------------------------------------- */

static const cJSON *create_at(const struct terraform *t, const char *address)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, json_get(json_get(t->memory, "show"), "creates"))
	{
		if (str_eq(json_string(c, "address"), address))
			return c;
	}
	return NULL;
}

bool terraform_doubt_planned(const struct terraform *t)
{
	const cJSON *address;

	cJSON_ArrayForEach(address, json_get(t->memory, "doubt"))
	{
		if (create_at(t, cJSON_GetStringValue(address)))
			return true;
	}
	return false;
}

char *terraform_doubt_unknowable(const struct terraform *t)
{
	const cJSON *address;

	cJSON_ArrayForEach(address, json_get(t->memory, "doubt"))
	{
		const char *where = cJSON_GetStringValue(address);
		const cJSON *c = create_at(t, where);

		if (c && (!t->has_metabase || !json_string(c, "type") || !json_string(c, "name")))
			return xasprintf("%s may have been made by an apply that was cut off, and "
					 "the state does not know it: look, then import it or "
					 "retry",
				where);
	}
	return NULL;
}

static const char *thing_type(const char *type)
{
	static const char *const types[] = {
		"database", "collection", "card", "dashboard", "permissions_group"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(types[i], type))
			return types[i];
	return NULL;
}

static void want_things(struct terraform *t, struct metabase_want *want)
{
	const cJSON *doubt = json_get(t->memory, "doubt"), *address;

	want->things = xcalloc((size_t)cJSON_GetArraySize(doubt) + 1, sizeof(*want->things));
	cJSON_ArrayForEach(address, doubt)
	{
		const cJSON *c = create_at(t, cJSON_GetStringValue(address));
		const char *type = thing_type(json_string(c, "type"));

		if (type && json_string(c, "name"))
			want->things[want->n_things++] = (struct metabase_thing){
				.type = type, .name = xstrdup(json_string(c, "name"))};
	}
}

/* One lane for each Metabase, whoever asks. */
int terraform_join(struct terraform *t, const struct kind_context *ctx, bool look,
	struct lane_want *ret, char **ret_error)
{
	const char *after = json_string(t->memory, "after");
	struct metabase_want *want = xnew(struct metabase_want);
	int r = metabase_want_from(ctx, want, ret_error);

	if (r < 0) {
		metabase_want_free(want);
		return r;
	}
	want->look = look;
	want->timeout = look ? LOOK_TIMEOUT : ctx->ready_left ? ctx->ready_left : USEC_HOUR;
	if (!look)
		want_databases(t, ctx, want);
	else if (str_eq(after, "names"))
		want_tables(t, want);
	else if (str_eq(after, "doubt"))
		want_things(t, want);
	ret->kind = &lane_metabase;
	ret->key = metabase_key(want);
	ret->want = want;
	return 0;
}

/* --- what a look found -------------------------------------------------------------------- */

/* The name that was probably meant, among what dbt has built here. */
static char *nearest_built(const struct kind_context *ctx, const char *name)
{
	_cleanup_json_ cJSON *built = ctx->built ? ctx->built(ctx) : NULL;
	char **names = NULL, *nearest;
	size_t n = 0;
	const cJSON *o;

	cJSON_ArrayForEach(o, built)
	{
		const char *schema = json_string(o, "schema"), *table = json_string(o, "name");

		if (table)
			names = strv_add(names, &n,
				xasprintf(
					"%s%s%s", schema ? schema : "", schema ? "." : "", table));
	}
	nearest = xstrdup(text_nearest(name, (const char *const *)names, n));
	strv_free(names);
	return nearest;
}

char *terraform_missing_tables(
	const struct terraform *t, const struct kind_context *ctx, const cJSON *result)
{
	const cJSON *d;

	cJSON_ArrayForEach(d, json_get(result, "databases"))
	{
		const char *missing =
			cJSON_GetStringValue(cJSON_GetArrayItem(json_get(d, "missing"), 0));
		const char *user = json_string(d, "user"), *name = json_string(d, "name");
		int more = cJSON_GetArraySize(json_get(d, "missing")) - 1;
		_cleanup_free_ char *near = missing ? nearest_built(ctx, missing) : NULL;
		_cleanup_free_ char *others = more > 0 ? xasprintf(" (and %d more)", more) : NULL;

		if (!missing)
			continue;
		if (near && str_eq(near, missing)) {
			free(near);
			near = NULL;
		}
		return xasprintf("terraform: Metabase's database %s has no %s%s, and has just been "
				 "synced: is the name right%s%s%s, and may %s read it?",
			name ? name : "?", missing, others ? others : "",
			near ? " (did you mean " : "", near ? near : "", near ? "?)" : "",
			user ? user : "its role");
	}
	return NULL;
}

/* In the state before, or made in this very attempt. */
static int64_t count_known(const struct terraform *t, const char *type, const char *name)
{
	const cJSON *k;
	int64_t n = 0;

	cJSON_ArrayForEach(k, json_get(json_get(t->memory, "show"), "known"))
	{
		n += str_eq(json_string(k, "type"), type) && str_eq(json_string(k, "name"), name);
	}
	return n;
}

static bool id_is_known(const struct terraform *t, const char *type, int64_t id)
{
	const cJSON *k;

	cJSON_ArrayForEach(k, json_get(json_get(t->memory, "show"), "known"))
	{
		const cJSON *known = json_get(k, "id");
		int64_t n = cJSON_IsString(known) ? strtoll(known->valuestring, NULL, 10)
						  : json_int(k, "id", -1);

		if (str_eq(json_string(k, "type"), type) && n == id)
			return true;
	}
	return false;
}

/* One more than the state knows of. */
static char *twin_of(
	const struct terraform *t, const char *address, const cJSON *create, const cJSON *result)
{
	const char *type = json_string(create, "type"), *name = json_string(create, "name");
	const cJSON *f, *twin = NULL;
	int64_t n = 0;

	cJSON_ArrayForEach(f, json_get(result, "found"))
	{
		if (!str_eq(json_string(f, "type"), type) || !str_eq(json_string(f, "name"), name))
			continue;
		n++;
		if (!id_is_known(t, type, json_int(f, "id", -1)))
			twin = f;
	}
	if (!twin || n <= count_known(t, type, name))
		return NULL;
	return xasprintf(
		"terraform: the answer to the create of %s was lost, and Metabase has a %s "
		"\"%s\" (id %lld) that the state does not know: if it is that one, "
		"`terraform import '%s' %lld` mends it, then retry",
		address, type, name, (long long)json_int(twin, "id", 0), address,
		(long long)json_int(twin, "id", 0));
}

char *terraform_found_twin(const struct terraform *t, const cJSON *result)
{
	const cJSON *address;

	cJSON_ArrayForEach(address, json_get(t->memory, "doubt"))
	{
		const char *where = cJSON_GetStringValue(address);
		const cJSON *create = create_at(t, where);
		char *twin = create && json_string(create, "name")
				     ? twin_of(t, where, create, result)
				     : NULL;

		if (twin)
			return twin;
	}
	return NULL;
}
