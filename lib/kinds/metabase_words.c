/* What a Metabase lane says: reasons, progress and results. Names of Metabase's came masked and on
 * one line; those of a want are its step's own. */
#include <string.h>
#include "kinds/metabase_state.h"

enum {
	NAMED_MOST = 3,	    /* missing tables in a sentence */
	LISTED_MOST = 10,   /* databases in one */
	MISSING_MOST = 200, /* in a result */
};

/* "12m"; nothing below a minute, so that progress does not change with every second. */
static void put_since(struct buf *b, usec_t since, usec_t at)
{
	char span[DURATION_MAX];
	usec_t past = at - since;

	if (since > 0 && past >= USEC_MINUTE)
		buf_printf(b, " since %s", format_duration(past / USEC_MINUTE * USEC_MINUTE, span));
}

static void put_table(struct buf *b, const struct seen *s)
{
	if (*s->table->schema)
		buf_printf(b, "%s.", s->table->schema);
	buf_puts(b, s->table->name);
	if (s->state == SEEN_INCOMPLETE)
		buf_puts(b, " (its fields are still read)");
	else if (s->state == SEEN_SHORT && s->hidden)
		buf_puts(b, " (hidden for its name, so its columns are not read)");
	else if (s->state == SEEN_SHORT)
		buf_printf(b, " (without its column %s)", s->column);
}

/* --- what there is ------------------------------------------------------------------------ */

struct count {
	size_t there, total;
};

static struct count count_tables(const struct wish *w)
{
	struct count c = {.total = w->want->n_anywhere};

	for (size_t i = 0; i < w->n_parts; i++) {
		c.total += w->parts[i].n_seen;
		c.there += part_n_there(&w->parts[i]);
	}
	for (size_t i = 0; i < w->want->n_anywhere; i++)
		c.there += w->anywhere[i].state == SEEN_THERE;
	return c;
}

static size_t count_proved(const struct wish *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_parts; i++)
		n += w->parts[i].state == PART_PROVED;
	return n;
}

/* --- what is missing ---------------------------------------------------------------------- */

static void put_names(struct buf *b, const struct seen *seen, size_t n, size_t n_missing)
{
	size_t named = 0;

	for (size_t i = 0; i < n && named < NAMED_MOST; i++) {
		if (seen[i].state == SEEN_THERE)
			continue;
		buf_puts(b, named++ ? ", " : "");
		put_table(b, &seen[i]);
	}
	if (n_missing > named)
		buf_printf(b, " and %zu more", n_missing - named);
}

static size_t count_in(const struct seen *seen, size_t n, enum seen_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += seen[i].state == state;
	return count;
}

/* Where the sync was proved, Metabase has looked and does not see them. */
static void put_cause(struct buf *b, const struct part *p)
{
	if (count_in(p->seen, p->n_seen, SEEN_MISSING) == 0)
		return;
	if (p->db->user)
		buf_printf(b,
			"; its sync was proved, so the role %s may not read %s, or the name is "
			"wrong",
			p->db->user, p->n_seen - part_n_there(p) == 1 ? "it" : "them");
	else
		buf_puts(b, "; its sync was proved, so the user of its connection may not read "
			    "what is missing, or the name is wrong");
}

static void put_sync(struct buf *b, const struct metabase *l, const struct database *db, usec_t at)
{
	const struct trigger *t = &db->trigger;
	const struct task *row = t->open || db->awaited ? trigger_row(l, db) : NULL;
	const struct task *busy = tasks_busy(&l->tasks, at);
	const struct database *other = busy ? database_by_id(l, busy->database) : NULL;

	if (row && row->status == TASK_STARTED && task_is_live(&l->tasks, row)) {
		const struct task *step = tasks_step(&l->tasks, row);

		buf_puts(b, "its sync runs");
		put_since(b, row->started_at, at);
		if (step)
			buf_printf(b, ", step %s", step->name);
	} else if (busy && busy->database != db->id) {
		buf_printf(b, "its queue is busy with database %lld", (long long)busy->database);
		if (other)
			buf_printf(b, " (%s)", other->name);
		put_since(b, busy->started_at, at);
	} else if (t->open && t->posts > 1) {
		buf_printf(b, "a sync was asked for %u times and is not seen to begin", t->posts);
	} else if (t->open) {
		buf_puts(b, "a sync was asked for");
		put_since(b, t->at, at);
	} else if (db->trouble) {
		buf_puts(b, db->trouble);
	} else {
		buf_puts(b, "its sync is still to be asked for");
	}
}

static void put_part(struct buf *b, const struct metabase *l, const struct part *p, usec_t at)
{
	size_t missing = p->n_seen - part_n_there(p);

	buf_puts(b, b->len ? "; " : "");
	if (missing && p->looked_at) {
		buf_printf(b, "Metabase lacks %zu of %zu tables of %s: ", missing, p->n_seen,
			p->db->name);
		put_names(b, p->seen, p->n_seen, missing);
	} else {
		buf_printf(b, "the sync of %s is not proved", p->db->name);
		if (missing) {
			buf_puts(b, ", which is to show ");
			put_names(b, p->seen, p->n_seen, missing);
		}
	}
	if (p->synced_at && missing) {
		put_cause(b, p);
	} else if (!p->synced_at) {
		buf_puts(b, "; ");
		put_sync(b, l, p->db, at);
	}
}

char *words_missing(const struct metabase *l, const struct wish *w, usec_t at)
{
	struct buf b = BUF_NULL;
	size_t anywhere =
		w->want->n_anywhere - count_in(w->anywhere, w->want->n_anywhere, SEEN_THERE);

	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].state == PART_WAITING &&
			(!w->parts[i].synced_at || w->parts[i].n_seen > part_n_there(&w->parts[i])))
			put_part(&b, l, &w->parts[i], at);
	if (anywhere) {
		buf_printf(&b, "%sno database of Metabase shows ", b.len ? "; " : "");
		put_names(&b, w->anywhere, w->want->n_anywhere, anywhere);
	}
	if (!b.len)
		buf_puts(
			&b, w->resolved ? "the time is over" : "Metabase has not answered in time");
	return buf_steal(&b);
}

static void put_hidden(struct buf *b, const struct seen *seen, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!seen[i].hidden || seen[i].state != SEEN_THERE)
			continue;
		buf_puts(b, b->len ? ", " : "");
		put_table(b, &seen[i]);
	}
}

char *words_hidden(const struct wish *w)
{
	_cleanup_buf_ struct buf b = BUF_NULL;

	for (size_t i = 0; i < w->n_parts; i++)
		put_hidden(&b, w->parts[i].seen, w->parts[i].n_seen);
	put_hidden(&b, w->anywhere, w->want->n_anywhere);
	if (!b.len)
		return NULL;
	return xasprintf(
		"there, but hidden by Metabase for the name, and without fields: %s", buf_str(&b));
}

char *words_no_such_database(const struct metabase *l, const struct metabase_database *wanted)
{
	struct buf b = BUF_NULL;
	const char **names = xcalloc(l->n_databases + 1, sizeof(*names));
	const char *near;
	size_t n = 0;

	for (size_t i = 0; i < l->n_databases; i++)
		if (l->databases[i]->listed && !l->databases[i]->sample)
			names[n++] = l->databases[i]->name;
	if (wanted->name)
		buf_printf(&b, "Metabase has no database %s", wanted->name);
	else
		buf_printf(&b, "Metabase has no database %lld", (long long)wanted->id);
	near = wanted->name ? text_nearest(wanted->name, names, n) : NULL;
	if (near)
		buf_printf(&b, "; did you mean %s?", near);
	buf_puts(&b, n ? " It has " : ": it has none at all");
	for (size_t i = 0; i < MIN(n, (size_t)LISTED_MOST); i++)
		buf_printf(&b, "%s%s", i ? ", " : "", names[i]);
	if (n > LISTED_MOST)
		buf_printf(&b, " and %zu more", n - LISTED_MOST);
	free(names);
	return buf_steal(&b);
}

/* --- results ------------------------------------------------------------------------------ */

static cJSON *missing_of(const struct seen *seen, size_t n)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < n && cJSON_GetArraySize(list) < MISSING_MOST; i++) {
		_cleanup_free_ char *name = NULL;

		if (seen[i].state == SEEN_THERE)
			continue;
		name = xasprintf("%s%s%s", seen[i].table->schema, *seen[i].table->schema ? "." : "",
			seen[i].table->name);
		cJSON_AddItemToArray(list, cJSON_CreateString(name));
	}
	return list;
}

static const char *state_word(const struct part *p)
{
	static const char *const words[] = {
		[PART_WAITING] = "waiting",
		[PART_PROVED] = "proved",
		[PART_FAILED] = "failed",
	};

	return words[p->state];
}

static cJSON *part_json(const struct part *p)
{
	cJSON *o = cJSON_CreateObject();
	const struct database *db = p->db;

	json_set_string(o, "name", db ? db->name : p->wanted->name);
	if (db)
		json_set_int(o, "id", db->id);
	else
		json_set_null(o, "id");
	json_set_string(o, "state", state_word(p));
	json_set_string(o, "reason", p->reason);
	json_set_time(o, "since", p->since);
	json_set_time(o, "ended_at", p->ended_at);
	json_set_int(o, "tables", (int64_t)part_n_there(p));
	json_set_int(o, "expected", (int64_t)p->n_seen);
	json_set(o, "missing", missing_of(p->seen, p->n_seen));
	json_set_string(o, "user", db ? db->user : NULL);
	json_set_string(o, "engine", db ? db->engine : NULL);
	return o;
}

cJSON *words_result(const struct wish *w)
{
	cJSON *result = cJSON_CreateObject();
	cJSON *databases = json_set(result, "databases", cJSON_CreateArray());
	cJSON *list = json_set(result, "found", cJSON_CreateArray());

	for (size_t i = 0; i < w->n_parts; i++)
		cJSON_AddItemToArray(databases, part_json(&w->parts[i]));
	for (size_t i = 0; i < w->n_found; i++) {
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "type", w->found[i].thing->type);
		json_set_string(o, "name", w->found[i].thing->name);
		json_set_int(o, "id", w->found[i].id);
		cJSON_AddItemToArray(list, o);
	}
	return result;
}

/* --- progress ----------------------------------------------------------------------------- */

/* The part that a sentence is about: the first that still waits. */
static const struct part *first_waiting(const struct wish *w)
{
	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].state == PART_WAITING)
			return &w->parts[i];
	return NULL;
}

static void put_usual(struct buf *b, const struct wish *w)
{
	char span[DURATION_MAX];
	usec_t most = 0;

	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].state == PART_WAITING && w->parts[i].wanted)
			most = MAX(most, w->parts[i].wanted->usual);
	if (most > 0)
		buf_printf(b, "; usually takes %s", format_duration(most, span));
}

static void put_waiting(struct buf *b, const struct metabase *l, const struct wish *w, usec_t at)
{
	const struct part *p = first_waiting(w);

	if (!p)
		return;
	buf_puts(b, "; ");
	if (w->n_parts > 1)
		buf_printf(b, "%s: ", p->db->name);
	if (!p->synced_at) {
		put_sync(b, l, p->db, at);
		return;
	}
	buf_puts(b, p->db->rounds > 1 ? "syncs were proved without bringing "
				      : "its sync was proved, still to be seen: ");
	if (p->n_seen > part_n_there(p))
		put_names(b, p->seen, p->n_seen, p->n_seen - part_n_there(p));
	else
		put_names(b, w->anywhere, w->want->n_anywhere,
			w->want->n_anywhere -
				count_in(w->anywhere, w->want->n_anywhere, SEEN_THERE));
}

static char *progress_text(
	const struct metabase *l, const struct wish *w, struct count c, usec_t at)
{
	struct buf b = BUF_NULL;

	buf_puts(&b, "waits for Metabase");
	if (c.total)
		buf_printf(&b, ": %zu of %zu tables", c.there, c.total);
	else if (w->n_parts > 1)
		buf_printf(&b, ": %zu of %zu databases", count_proved(w), w->n_parts);
	if (l->trouble) {
		buf_printf(&b, "; %s", l->trouble);
		put_since(&b, l->away_since, at);
	} else {
		put_waiting(&b, l, w, at);
	}
	put_usual(&b, w);
	return buf_steal(&b);
}

static cJSON *progress_of_part(const struct metabase *l, const struct part *p, usec_t at)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	cJSON *o = part_json(p);

	if (p->state == PART_WAITING && !p->synced_at)
		put_sync(&b, l, p->db, at);
	else if (p->state == PART_WAITING)
		buf_puts(&b, "its sync was proved");
	json_set_string(o, "text", b.len ? buf_str(&b) : NULL);
	return o;
}

void words_progress(const struct metabase *l, struct wish *w, usec_t at)
{
	struct lane_member *m = w->member;
	struct count c = count_tables(w);
	_cleanup_free_ char *text = progress_text(l, w, c, at);
	_cleanup_json_ cJSON *progress = cJSON_CreateObject();
	cJSON *databases;

	json_set_int(progress, "done", (int64_t)(c.total ? c.there : count_proved(w)));
	json_set_int(progress, "total", (int64_t)(c.total ? c.total : w->n_parts));
	json_set_string(progress, "text", text);
	databases = json_set(progress, "databases", cJSON_CreateArray());
	for (size_t i = 0; i < w->n_parts; i++)
		cJSON_AddItemToArray(databases, progress_of_part(l, &w->parts[i], at));
	if (m->progress && cJSON_Compare(m->progress, progress, true))
		return;
	cJSON_Delete(m->progress);
	m->progress = TAKE_PTR(progress);
	m->progressed = true;
}
