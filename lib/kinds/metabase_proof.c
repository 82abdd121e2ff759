/* What each member wants of a Metabase, what of it is there, and who is served.
 *
 * Happy path: its databases are found by their names -> each one's sync is proved -> each expected
 * table and column is seen in a list that was asked for after that -> served. Failures: a name that
 * is none fails at once; at the end of its time a member is told what is missing, or that Metabase
 * is away. */
#include <string.h>
#include "kinds/metabase_state.h"

/* --- wishes ------------------------------------------------------------------------------- */

static struct seen *seen_new(const struct metabase_table *tables, size_t n)
{
	struct seen *seen = xcalloc(n + 1, sizeof(*seen));

	for (size_t i = 0; i < n; i++)
		seen[i].table = &tables[i];
	return seen;
}

static void seen_free(struct seen *seen, size_t n)
{
	for (size_t i = 0; seen && i < n; i++)
		free(seen[i].column);
	free(seen);
}

struct wish *wish_new(struct lane_member *m, usec_t at)
{
	struct wish *w = xnew(struct wish);

	w->member = m;
	w->want = m->want;
	w->joined_at = at;
	if (__builtin_add_overflow(at, w->want->timeout, &w->deadline) || w->want->timeout < 0)
		w->deadline = USEC_INFINITY;
	w->anywhere = seen_new(w->want->anywhere, w->want->n_anywhere);
	return w;
}

void wish_free(struct wish *w)
{
	for (size_t i = 0; i < w->n_parts; i++) {
		free(w->parts[i].reason);
		seen_free(w->parts[i].seen, w->parts[i].n_seen);
	}
	free(w->parts);
	seen_free(w->anywhere, w->want->n_anywhere);
	free(w->found);
	free(w);
}

bool wish_is_open(const struct wish *w)
{
	return !w->member->served;
}

/* --- names to databases ------------------------------------------------------------------- */

static size_t count_named(
	const struct metabase *l, const struct metabase_database *wanted, struct database **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_databases; i++) {
		struct database *db = l->databases[i];

		if (!db->listed ||
			(wanted->name ? !str_eq(db->raw, wanted->name) : db->id != wanted->id))
			continue;
		*ret = db;
		n++;
	}
	return n;
}

static void add_part(struct wish *w, const struct metabase_database *wanted, struct database *db)
{
	struct part *p = &w->parts[w->n_parts++];

	*p = (struct part){.wanted = wanted, .db = db};
	if (wanted) {
		p->seen = seen_new(wanted->tables, wanted->n_tables);
		p->n_seen = wanted->n_tables;
	}
}

static bool has_part(const struct wish *w, const struct database *db)
{
	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].db == db)
			return true;
	return false;
}

static void resolve_one(struct metabase *l, struct wish *w, const struct metabase_database *wanted)
{
	struct database *db = NULL;
	size_t n = count_named(l, wanted, &db);
	struct part *p;

	add_part(w, wanted, n == 1 ? db : NULL);
	p = &w->parts[w->n_parts - 1];
	if (n == 1)
		return;
	p->state = PART_FAILED;
	p->reason = n == 0 ? words_no_such_database(l, wanted)
			   : xasprintf("Metabase has %zu databases named %s: rename or remove all "
				       "but one",
				     n, wanted->name);
}

void wish_resolve(struct metabase *l, struct wish *w, usec_t at)
{
	const struct metabase_want *want = w->want;

	w->parts = xcalloc(
		want->n_databases + (want->all ? l->n_databases : 0) + 1, sizeof(*w->parts));
	for (size_t i = 0; i < want->n_databases; i++)
		resolve_one(l, w, &want->databases[i]);
	for (size_t i = 0; want->all && i < l->n_databases; i++)
		if (l->databases[i]->listed && !l->databases[i]->sample &&
			!has_part(w, l->databases[i]))
			add_part(w, NULL, l->databases[i]);
	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].db)
			w->parts[i].db->look_at = at;
	things_find_databases(l, w);
	w->resolved = true;
}

/* --- what is there ------------------------------------------------------------------------ */

static bool is_there(const struct seen *s)
{
	return s->state == SEEN_THERE;
}

size_t part_n_there(const struct part *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_seen; i++)
		n += is_there(&p->seen[i]);
	return n;
}

bool part_is_unsynced(const struct wish *w, const struct part *p)
{
	return wish_is_open(w) && !w->want->look && p->state == PART_WAITING && !p->synced_at;
}

static bool part_is_complete(const struct part *p)
{
	return p->n_seen == 0 || (p->looked_at >= p->synced_at && part_n_there(p) == p->n_seen);
}

static bool anywhere_is_complete(const struct wish *w)
{
	for (size_t i = 0; i < w->want->n_anywhere; i++)
		if (!is_there(&w->anywhere[i]))
			return false;
	return true;
}

bool part_lacks(const struct wish *w, const struct part *p)
{
	return !part_is_complete(p) || !anywhere_is_complete(w);
}

static bool fields_are_asked(const struct seen *seen, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (seen[i].state == SEEN_FIELDS)
			return false;
	return true;
}

/* Of a look: nothing is left to be asked. */
static bool part_is_seen(const struct wish *w, const struct part *p)
{
	bool must_look = p->n_seen > 0 || w->want->n_anywhere > 0;

	return !must_look || (p->looked_at >= w->joined_at && fields_are_asked(p->seen, p->n_seen));
}

static void settle_part(struct wish *w, struct part *p, usec_t at)
{
	bool proved;

	if (p->state != PART_WAITING)
		return;
	if (w->want->look)
		proved = part_is_seen(w, p) && part_n_there(p) == p->n_seen;
	else
		proved = p->synced_at && !part_lacks(w, p);
	if (!proved)
		return;
	p->state = PART_PROVED;
	p->ended_at = at;
}

static bool look_is_over(const struct wish *w)
{
	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].state == PART_WAITING && !part_is_seen(w, &w->parts[i]))
			return false;
	return fields_are_asked(w->anywhere, w->want->n_anywhere);
}

/* --- who is served ------------------------------------------------------------------------ */

void wish_serve(struct metabase *l, struct wish *w, enum outcome outcome, char *take_reason)
{
	struct lane_member *m = w->member;

	if (m->served) {
		free(take_reason);
		return;
	}
	m->outcome = outcome;
	m->reason = take_reason;
	m->result = words_result(w);
	m->served = true;
	l->mask_stale = true;
}

static bool concerns(const struct wish *w, const struct database *db, bool unsynced)
{
	for (size_t i = 0; i < w->n_parts; i++) {
		const struct part *p = &w->parts[i];

		if (p->db == db && p->state == PART_WAITING &&
			(!unsynced || part_is_unsynced(w, p)))
			return true;
	}
	return false;
}

void wishes_fail(struct metabase *l, const struct database *db, bool unsynced, enum outcome outcome,
	const char *reason)
{
	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		if (!wish_is_open(w) || (db && !concerns(w, db, unsynced)))
			continue;
		for (size_t k = 0; k < w->n_parts; k++) {
			struct part *p = &w->parts[k];

			if (db && p->db == db && p->state == PART_WAITING && !p->reason)
				p->reason = xstrdup(reason);
			if (db && p->db == db && outcome == OUTCOME_FAILED)
				p->state = PART_FAILED;
		}
		wish_serve(l, w, outcome, xstrdup(reason));
	}
}

static const struct part *failed_part(const struct wish *w)
{
	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].state == PART_FAILED)
			return &w->parts[i];
	return NULL;
}

/* All of a Metabase that has none, as on a tenant's first night. */
static bool wants_nothing(const struct wish *w)
{
	return w->want->all && w->n_parts == 0;
}

static bool is_proved(const struct wish *w)
{
	if (wants_nothing(w))
		return true;
	for (size_t i = 0; i < w->n_parts; i++)
		if (w->parts[i].state != PART_PROVED)
			return false;
	return anywhere_is_complete(w);
}

/* Why the sync of one of its databases does not come about, where that is known. */
static const char *trouble_of(const struct metabase *l, const struct wish *w)
{
	for (size_t i = 0; i < w->n_parts && !l->trouble; i++)
		if (part_is_unsynced(w, &w->parts[i]) && w->parts[i].db->trouble)
			return w->parts[i].db->trouble;
	return l->trouble;
}

static void settle(struct metabase *l, struct wish *w, usec_t at)
{
	const struct part *failed;

	for (size_t i = 0; i < w->n_parts; i++)
		settle_part(w, &w->parts[i], at);
	failed = w->want->look ? NULL : failed_part(w);
	if (failed)
		wish_serve(l, w, OUTCOME_FAILED, xstrdup(failed->reason));
	else if (w->resolved && !things_next(w) && (w->want->look ? look_is_over(w) : is_proved(w)))
		wish_serve(l, w, OUTCOME_OK,
			wants_nothing(w) ? xstrdup("Metabase has no database yet: nothing to sync")
					 : words_hidden(w));
	else if (at >= w->deadline && trouble_of(l, w))
		wish_serve(l, w, OUTCOME_TRANSIENT, xstrdup(trouble_of(l, w)));
	else if (at >= w->deadline)
		wish_serve(l, w, OUTCOME_NOT_READY, words_missing(l, w, at));
}

void wishes_settle(struct metabase *l, usec_t at)
{
	for (size_t i = 0; i < l->n_wishes; i++)
		if (wish_is_open(l->wishes[i]))
			settle(l, l->wishes[i], at);
}
