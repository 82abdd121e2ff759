/* What Metabase lists: databases, the tables of one, the fields of one of those, and things such as
 * cards. Only what is compared is kept of an answer. A name is compared as it is, then without
 * regard to case, for some warehouses fold it; a table without a schema is one of a warehouse that
 * has none. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "kinds/metabase_state.h"

enum {
	NAME_MAX_SHOWN = 200,
	THINGS_MOST = 1000, /* found, of one wish */
};

/* --- databases ---------------------------------------------------------------------------- */

static char *name_of(const struct metabase *l, const cJSON *o, const char *key)
{
	const char *s = json_string(o, key);

	return s && *s ? quote(l->mask, s, NAME_MAX_SHOWN) : NULL;
}

static void put_database(struct metabase *l, const cJSON *row)
{
	int64_t id = json_int(row, "id", 0);
	struct database *db = database_by_id(l, id);

	if (id <= 0 || !json_string(row, "name"))
		return;
	if (!db) {
		db = xnew(struct database);
		db->id = id;
		XGROW(l->databases, l->n_databases, l->cap_databases);
		l->databases[l->n_databases++] = db;
	}
	free(db->raw);
	free(db->name);
	free(db->engine);
	free(db->user);
	db->raw = xstrdup(json_string(row, "name"));
	db->name = name_of(l, row, "name");
	if (!db->name)
		db->name = xasprintf("database %lld", (long long)id);
	db->engine = name_of(l, row, "engine");
	db->user = name_of(l, json_get(row, "details"), "user");
	db->sample = json_bool(row, "is_sample", false);
	db->listed = true;
}

bool databases_read(struct metabase *l, const cJSON *answer)
{
	const cJSON *rows = cJSON_IsArray(answer) ? answer : json_get(answer, "data"), *row;

	if (!cJSON_IsArray(rows))
		return false;
	for (size_t i = 0; i < l->n_databases; i++)
		l->databases[i]->listed = false;
	cJSON_ArrayForEach(row, rows) put_database(l, row);
	return true;
}

/* --- tables ------------------------------------------------------------------------------- */

struct listed {
	const char *schema, *name;
	int64_t id;
	bool complete, hidden;
};

struct listing {
	struct listed *rows; /* by name, without regard to case */
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static bool listing_read(const cJSON *answer, struct listing *ret)
{
	const cJSON *tables = json_get(answer, "tables"), *t;
	struct listing all = {0};

	if (!cJSON_IsArray(tables))
		return false;
	all.rows = xcalloc((size_t)cJSON_GetArraySize(tables) + 1, sizeof(*all.rows));
	cJSON_ArrayForEach(t, tables)
	{
		const char *name = json_string(t, "name"), *schema = json_string(t, "schema");
		const char *status = json_string(t, "initial_sync_status");
		int64_t id = json_int(t, "id", 0);

		if (!name || id <= 0 || !json_bool(t, "active", true))
			continue;
		all.rows[all.n++] = (struct listed){
			.schema = schema ? schema : "",
			.name = name,
			.id = id,
			.complete = str_eq(status, "complete"),
			.hidden = str_eq(json_string(t, "visibility_type"), "cruft"),
		};
	}
	qsort(all.rows, all.n, sizeof(*all.rows), by_name);
	*ret = all;
	return true;
}

/* 3: the very names, 1: without regard to case, 0: another table. */
static int likeness(const struct listed *row, const struct metabase_table *wanted)
{
	int like = 0;

	if (strcasecmp(row->name, wanted->name) != 0 ||
		(*row->schema && strcasecmp(row->schema, wanted->schema) != 0))
		return 0;
	like += strcmp(row->name, wanted->name) == 0;
	like += strcmp(row->schema, wanted->schema) == 0;
	return like + 1;
}

static const struct listed *find(const struct listing *all, const struct metabase_table *wanted)
{
	const struct listed *best = NULL;
	size_t low = 0, high = all->n;
	int best_like = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcasecmp(all->rows[middle].name, wanted->name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i < all->n && strcasecmp(all->rows[i].name, wanted->name) == 0; i++) {
		int like = likeness(&all->rows[i], wanted);

		if (like <= best_like)
			continue;
		best = &all->rows[i];
		best_like = like;
	}
	return best;
}

/* Metabase hides a table for its name, and then knows no fields of it. */
static enum seen_state state_of(
	const struct seen *s, const struct listed *row, bool fields_are_known)
{
	if (!row)
		return SEEN_MISSING;
	if (!row->complete)
		return SEEN_INCOMPLETE;
	if (!s->table->columns || !s->table->columns[0])
		return SEEN_THERE;
	if (fields_are_known && s->id == row->id)
		return s->state;
	return SEEN_FIELDS;
}

/* Fields that were seen before the sync say nothing of what it brought. */
static bool compare(struct seen *s, const struct listing *all, bool fields_are_known)
{
	const struct listed *row = find(all, s->table);
	enum seen_state before = s->state;
	bool known = fields_are_known && (before == SEEN_THERE || before == SEEN_SHORT);

	s->state = state_of(s, row, known);
	s->id = row ? row->id : 0;
	s->hidden = row && row->hidden;
	return s->state != before;
}

/* In `anywhere` the best state of all databases counts. */
static bool compare_anywhere(struct wish *w, struct database *db, const struct listing *all)
{
	bool moved = false;

	for (size_t i = 0; i < w->want->n_anywhere; i++) {
		struct seen now = {.table = w->anywhere[i].table, .db = db};

		if (w->anywhere[i].state >= SEEN_FIELDS)
			continue;
		compare(&now, all, false);
		if (now.state <= w->anywhere[i].state)
			continue;
		w->anywhere[i] = now;
		moved = true;
	}
	return moved;
}

bool tables_read(struct metabase *l, struct database *db, const cJSON *answer, usec_t sent_at,
	bool *ret_moved)
{
	struct listing all;

	if (!listing_read(answer, &all))
		return false;
	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		for (size_t k = 0; wish_is_open(w) && k < w->n_parts; k++) {
			struct part *p = &w->parts[k];
			bool known = p->synced_at && p->looked_at >= p->synced_at;

			if (p->db != db || p->state != PART_WAITING)
				continue;
			for (size_t j = 0; j < p->n_seen; j++)
				*ret_moved |= compare(&p->seen[j], &all, known);
			*ret_moved |= compare_anywhere(w, db, &all);
			p->looked_at = sent_at;
		}
	}
	free(all.rows);
	return true;
}

/* --- fields ------------------------------------------------------------------------------- */

static bool has_field(const cJSON *fields, const char *name)
{
	const cJSON *f;

	cJSON_ArrayForEach(f, fields)
	{
		const char *s = json_string(f, "name");

		if (s && strcasecmp(s, name) == 0 && json_bool(f, "active", true))
			return true;
	}
	return false;
}

static void compare_fields(struct seen *s, const cJSON *fields, usec_t again_at)
{
	free(s->column);
	s->column = NULL;
	for (char **c = s->table->columns; *c; c++) {
		if (has_field(fields, *c))
			continue;
		s->column = xstrdup(*c);
		s->state = SEEN_SHORT;
		s->fields_at = again_at;
		return;
	}
	s->state = SEEN_THERE;
}

static bool waits_for_fields(const struct seen *s, int64_t table)
{
	return s->id == table && (s->state == SEEN_FIELDS || s->state == SEEN_SHORT);
}

bool fields_read(
	struct metabase *l, struct database *db, int64_t table, const cJSON *answer, usec_t at)
{
	const cJSON *fields = json_get(answer, "fields");

	if (!cJSON_IsArray(fields))
		return false;
	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		for (size_t k = 0; wish_is_open(w) && k < w->n_parts; k++)
			for (size_t j = 0; w->parts[k].db == db && j < w->parts[k].n_seen; j++)
				if (waits_for_fields(&w->parts[k].seen[j], table))
					compare_fields(
						&w->parts[k].seen[j], fields, at + db->look_pace);
		for (size_t j = 0; wish_is_open(w) && j < w->want->n_anywhere; j++)
			if (waits_for_fields(&w->anywhere[j], table))
				compare_fields(&w->anywhere[j], fields, at + db->look_pace);
	}
	return true;
}

void fields_gone(struct metabase *l, int64_t table)
{
	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		for (size_t k = 0; k < w->n_parts; k++)
			for (size_t j = 0; j < w->parts[k].n_seen; j++)
				if (waits_for_fields(&w->parts[k].seen[j], table))
					w->parts[k].seen[j].state = SEEN_MISSING;
		for (size_t j = 0; j < w->want->n_anywhere; j++)
			if (waits_for_fields(&w->anywhere[j], table))
				w->anywhere[j].state = SEEN_MISSING;
	}
}

/* --- things ------------------------------------------------------------------------------- */

static const struct {
	const char *type, *path;
} thing_types[] = {
	{"collection", "/api/collection"},
	{"card", "/api/card"},
	{"dashboard", "/api/dashboard"},
	{"permissions_group", "/api/permissions/group"},
};

const char *things_path(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(thing_types); i++)
		if (str_eq(thing_types[i].type, type))
			return thing_types[i].path;
	return NULL;
}

static void found(struct wish *w, const struct metabase_thing *thing, int64_t id)
{
	if (id <= 0 || w->n_found >= THINGS_MOST)
		return;
	XGROW(w->found, w->n_found, w->cap_found);
	w->found[w->n_found++] = (struct found){.thing = thing, .id = id};
}

static void find_thing(struct wish *w, const char *type, const char *name, int64_t id)
{
	for (size_t i = 0; i < w->want->n_things; i++) {
		const struct metabase_thing *thing = &w->want->things[i];

		if (str_eq(thing->type, type) && str_eq(thing->name, name))
			found(w, thing, id);
	}
}

void things_find_databases(const struct metabase *l, struct wish *w)
{
	for (size_t i = 0; i < l->n_databases; i++)
		if (l->databases[i]->listed)
			find_thing(w, "database", l->databases[i]->raw, l->databases[i]->id);
}

static bool wants_type(const struct wish *w, const char *type)
{
	for (size_t i = 0; i < w->want->n_things; i++)
		if (str_eq(w->want->things[i].type, type))
			return true;
	return false;
}

const char *things_next(const struct wish *w)
{
	for (size_t i = 0; w->want->n_things && i < ARRAY_SIZE(thing_types); i++)
		if (!(w->things_read & 1U << i) && wants_type(w, thing_types[i].type))
			return thing_types[i].type;
	return NULL;
}

static unsigned bit_of(const char *type)
{
	unsigned i = 0;

	while (i < ARRAY_SIZE(thing_types) && !str_eq(thing_types[i].type, type))
		i++;
	return 1U << i;
}

bool things_read(struct metabase *l, const char *type, const cJSON *answer, usec_t sent_at)
{
	const cJSON *rows = cJSON_IsArray(answer) ? answer : json_get(answer, "data"), *row;

	if (!cJSON_IsArray(rows))
		return false;
	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		if (!wish_is_open(w) || w->joined_at > sent_at || (w->things_read & bit_of(type)))
			continue;
		w->things_read |= bit_of(type);
		cJSON_ArrayForEach(row, rows)
		{
			const char *name = json_string(row, "name");

			if (name && !json_bool(row, "archived", false))
				find_thing(w, type, name, json_int(row, "id", 0));
		}
	}
	return true;
}
