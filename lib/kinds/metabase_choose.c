/* Which call comes next, over all members of a Metabase lane: the log-in and the lists that all
 * else rests on, then what moves a sync, then columns and tables, the one that is due for longest
 * first. */
#include "kinds/metabase_state.h"

static bool must_list(const struct metabase *l)
{
	for (size_t i = 0; i < l->n_wishes; i++)
		if (wish_is_open(l->wishes[i]) && !l->wishes[i]->resolved)
			return true;
	return false;
}

static const char *next_thing(const struct metabase *l)
{
	for (size_t i = 0; i < l->n_wishes; i++) {
		const char *type = wish_is_open(l->wishes[i]) ? things_next(l->wishes[i]) : NULL;

		if (type)
			return type;
	}
	return NULL;
}

static usec_t trigger_choose(struct metabase *l, usec_t at, struct call *ret)
{
	usec_t until = USEC_INFINITY;

	for (size_t i = 0; i < l->n_databases; i++) {
		ret->type = trigger_next(l, l->databases[i], at, &until);
		ret->db = l->databases[i];
		if (ret->type != CALL_NONE)
			return at;
	}
	return until;
}

/* When a list of the database's tables is due for that part; USEC_INFINITY: it is not. */
static usec_t look_due(const struct wish *w, const struct part *p)
{
	bool tables = p->n_seen > 0 || w->want->n_anywhere > 0;

	if (!wish_is_open(w) || p->state != PART_WAITING || !tables)
		return USEC_INFINITY;
	if (w->want->look)
		return p->looked_at < w->joined_at ? p->db->look_at : USEC_INFINITY;
	if (p->synced_at)
		return part_lacks(w, p) ? p->db->look_at : USEC_INFINITY;
	return p->db->trigger.open && p->db->trigger.mark ? p->db->look_at : USEC_INFINITY;
}

/* The look that has been due for longest. */
static usec_t look_choose(struct metabase *l, usec_t at, struct call *ret)
{
	usec_t soonest = USEC_INFINITY;

	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		for (size_t k = 0; k < w->n_parts; k++) {
			usec_t due = look_due(w, &w->parts[k]);

			if (due >= soonest)
				continue;
			soonest = due;
			ret->db = w->parts[k].db;
		}
	}
	ret->type = soonest <= at ? CALL_LOOK : CALL_NONE;
	return soonest;
}

static usec_t fields_due(const struct seen *s)
{
	if (s->state == SEEN_FIELDS)
		return 0;
	return s->state == SEEN_SHORT ? s->fields_at : USEC_INFINITY;
}

static usec_t columns_of(struct seen *seen, size_t n, struct database *db, struct call *ret)
{
	usec_t soonest = USEC_INFINITY;

	for (size_t i = 0; i < n; i++) {
		if (fields_due(&seen[i]) >= soonest)
			continue;
		soonest = fields_due(&seen[i]);
		ret->db = db ? db : seen[i].db;
		ret->table = seen[i].id;
	}
	return soonest;
}

/* Columns are asked for once the sync is proved. */
static usec_t columns_choose(struct metabase *l, usec_t at, struct call *ret)
{
	usec_t soonest = USEC_INFINITY;

	for (size_t i = 0; i < l->n_wishes && soonest > at; i++) {
		struct wish *w = l->wishes[i];
		bool all_synced = true;

		for (size_t k = 0; wish_is_open(w) && k < w->n_parts && soonest > at; k++) {
			struct part *p = &w->parts[k];

			if (p->state == PART_WAITING && (w->want->look || p->synced_at))
				soonest = MIN(soonest, columns_of(p->seen, p->n_seen, p->db, ret));
			else
				all_synced = all_synced && p->state != PART_WAITING;
		}
		if (wish_is_open(w) && w->resolved && all_synced && soonest > at)
			soonest = MIN(
				soonest, columns_of(w->anywhere, w->want->n_anywhere, NULL, ret));
	}
	ret->type = soonest <= at ? CALL_COLUMNS : CALL_NONE;
	return soonest;
}

usec_t call_choose(struct metabase *l, usec_t at, struct call *ret)
{
	usec_t until;

	if (session_needs_login(&l->session)) {
		ret->type = at >= l->session.login_at ? CALL_LOGIN : CALL_NONE;
		return l->session.login_at;
	}
	if (must_list(l)) {
		ret->type = CALL_DATABASES;
		return at;
	}
	ret->thing = next_thing(l);
	if (ret->thing) {
		ret->type = CALL_THINGS;
		return at;
	}
	until = trigger_choose(l, at, ret);
	if (ret->type == CALL_NONE)
		until = MIN(until, columns_choose(l, at, ret));
	if (ret->type == CALL_NONE)
		until = MIN(until, look_choose(l, at, ret));
	return until;
}
