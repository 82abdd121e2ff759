/* The lane over one Metabase: everything that attempts want of it, by one call at a time.
 *
 * Happy path: a member joins -> the list of databases -> the task list -> one trigger a database,
 * for all that want it -> the task list again and again, 1 to 15 s apart -> the tables -> the
 * member is served. Failures: a Metabase that is away is asked again at growing intervals until a
 * member's own time is over; one that was down has forgotten what it was asked; a call that hangs
 * is over in half a minute, and others come before it is made again; 401 leads to one new log-in.
 *
 * What each member waits for is in metabase_proof.c, a database's syncs in metabase_trigger.c. */
#include <string.h>
#include "kinds/metabase_state.h"

#define RETRY_FIRST  USEC_SEC
#define RETRY_MOST   (30 * USEC_SEC)
#define LOOK_RUNNING (5 * USEC_SEC)  /* while the sync still runs */
#define LOOK_FAILED  (30 * USEC_SEC) /* after one that failed: others come first */
#define READING_RATE (256 * 1024)    /* bytes a second that a lane may cost on average */

enum {
	PAGE_ROWS = 50,
	PAGE_LEAST = 10,
};

/* --- members ------------------------------------------------------------------------------ */

static void *metabase_new(const char *key)
{
	struct metabase *l = xnew(struct metabase);

	l->pace = POLL_FIRST;
	l->page = PAGE_ROWS;
	return l;
}

static void database_free(struct database *db)
{
	free(db->raw);
	free(db->name);
	free(db->engine);
	free(db->user);
	free(db->trouble);
	free(db);
}

static void metabase_free(void *lane)
{
	struct metabase *l = lane;

	if (!l)
		return;
	for (size_t i = 0; i < l->n_wishes; i++)
		wish_free(l->wishes[i]);
	free(l->wishes);
	for (size_t i = 0; i < l->n_databases; i++)
		database_free(l->databases[i]);
	free(l->databases);
	tasks_fini(&l->tasks);
	session_fini(&l->session);
	mask_set_free(l->mask);
	free(l->url);
	free(l->trouble);
	free(l);
}

static void metabase_join(void *lane, struct lane_member *m, usec_t at)
{
	struct metabase *l = lane;
	const struct metabase_want *want = m->want;

	if (!l->url) {
		l->url = metabase_base_url(want->url);
		session_init(&l->session, want);
	}
	XGROW(l->wishes, l->n_wishes, l->cap_wishes);
	l->wishes[l->n_wishes++] = wish_new(m, at);
	l->mask_stale = true;
	words_progress(l, l->wishes[l->n_wishes - 1], at);
}

static void metabase_leave(void *lane, struct lane_member *m, usec_t at)
{
	struct metabase *l = lane;

	for (size_t i = 0; i < l->n_wishes; i++) {
		if (l->wishes[i]->member != m)
			continue;
		wish_free(l->wishes[i]);
		l->wishes[i] = l->wishes[--l->n_wishes];
		l->mask_stale = true;
		return;
	}
}

struct database *database_by_id(const struct metabase *l, int64_t id)
{
	for (size_t i = 0; i < l->n_databases; i++)
		if (l->databases[i]->id == id)
			return l->databases[i];
	return NULL;
}

/* --- what comes next ---------------------------------------------------------------------- */

static usec_t soonest_deadline(const struct metabase *l)
{
	usec_t soonest = USEC_INFINITY;

	for (size_t i = 0; i < l->n_wishes; i++)
		if (wish_is_open(l->wishes[i]))
			soonest = MIN(soonest, l->wishes[i]->deadline);
	return soonest;
}

static bool any_open(const struct metabase *l)
{
	for (size_t i = 0; i < l->n_wishes; i++)
		if (wish_is_open(l->wishes[i]))
			return true;
	return false;
}

/* Everything that any member holds secret: an answer may quote it. */
static void make_mask(struct metabase *l)
{
	if (!l->mask_stale)
		return;
	mask_set_free(l->mask);
	l->mask = mask_set_new();
	for (size_t i = 0; i < l->n_wishes; i++) {
		const struct mask_set *mask = l->wishes[i]->member->mask;

		for (size_t k = 0; k < mask_set_count(mask); k++) {
			size_t len;
			const void *pattern = mask_set_pattern(mask, k, &len);

			mask_set_add_pattern(l->mask, pattern, len);
		}
	}
	if (l->session.id)
		mask_set_add_secret(l->mask, l->session.id, strlen(l->session.id));
	mask_set_build(l->mask);
	l->mask_stale = false;
}

static void tell_all(struct metabase *l, usec_t at)
{
	for (size_t i = 0; i < l->n_wishes; i++)
		if (wish_is_open(l->wishes[i]))
			words_progress(l, l->wishes[i], at);
}

/* One that can be sent. */
static void check_key(struct metabase *l)
{
	char *header = session_header(&l->session);

	if (!header && (l->session.api_key || !l->session.username))
		wishes_fail(l, NULL, false, OUTCOME_FAILED,
			l->session.api_key ? "the API key of Metabase is empty or holds what no "
					     "header can hold: look at metabase.api_key of the "
					     "environment"
					   : "nothing says who asks Metabase: the environment's "
					     "metabase has neither api_key nor username");
	wipe_free(header);
}

static bool metabase_next(void *lane, usec_t at, struct kind_request *ret,
	const struct mask_set **ret_mask, usec_t *ret_until)
{
	struct metabase *l = lane;
	struct call call = {.sent_at = at};
	usec_t until, deadline;

	wishes_settle(l, at);
	check_key(l);
	deadline = soonest_deadline(l);
	*ret_until = deadline;
	if (!any_open(l))
		return false;
	if (at < l->retry_at) {
		*ret_until = MIN(deadline, l->retry_at);
		return false;
	}
	until = call_choose(l, at, &call);
	if (call.type == CALL_NONE) {
		*ret_until = MIN(deadline, MAX(until, at + USEC_MSEC));
		return false;
	}
	make_mask(l);
	l->call = call;
	call_request(l, ret);
	if (deadline < USEC_INFINITY)
		ret->timeout = MIN(ret->timeout, MAX(deadline - at, USEC_SEC));
	*ret_mask = l->mask;
	return true;
}

/* --- answers ------------------------------------------------------------------------------ */

/* Others come before it is asked again. */
static void put_off(struct metabase *l, usec_t at)
{
	struct call *c = &l->call;

	if (c->type == CALL_LOOK)
		c->db->look_at = at + LOOK_FAILED;
	else if (c->type == CALL_SYNCS || c->type == CALL_TASKS)
		l->poll_at = at;
}

static void ask_later(struct metabase *l, char *take_reason, bool down, usec_t at)
{
	unsigned shift = MIN(l->troubles, 5U);

	free(l->trouble);
	l->trouble = take_reason;
	if (!l->away_since)
		l->away_since = at;
	l->was_down = l->was_down || down;
	l->retry_at = at + MIN(RETRY_FIRST << shift, RETRY_MOST);
	l->troubles++;
	put_off(l, at);
}

/* It answers again: what it was asked before a restart is forgotten. */
static void is_back(struct metabase *l)
{
	if (!l->was_down)
		return;
	tasks_died(&l->tasks);
	for (size_t i = 0; i < l->n_databases; i++)
		trigger_lost(l->databases[i], l->call.sent_at);
	l->pace = POLL_FIRST;
	l->was_down = false;
}

static void is_well(struct metabase *l)
{
	l->away_since = 0;
	l->troubles = 0;
	free(l->trouble);
	l->trouble = NULL;
}

static void fail_call(struct metabase *l, const char *reason)
{
	enum call_type type = l->call.type;

	if (type == CALL_COLUMNS)
		fields_gone(l, l->call.table);
	else
		wishes_fail(l, type == CALL_TRIGGER || type == CALL_LOOK ? l->call.db : NULL,
			type == CALL_TRIGGER, OUTCOME_FAILED, reason);
}

static usec_t pause_for(const struct kind_event *e, usec_t pace)
{
	return MAX(pace, (usec_t)(e->body_len * USEC_SEC / READING_RATE));
}

static bool page_answered(
	struct metabase *l, const struct kind_event *e, const cJSON *json, enum call_type type)
{
	bool moved = false;

	if (!tasks_read(&l->tasks, json, l->mask, &moved))
		return false;
	if (type == CALL_SYNCS) {
		l->syncs_at = l->call.sent_at;
		l->pace = MIN(l->pace * 3 / 2, POLL_MOST);
	}
	if (type == CALL_TASKS)
		l->tasks_at = l->call.sent_at;
	if (moved)
		l->pace = POLL_FIRST;
	l->poll_at = e->at + pause_for(e, l->pace);
	for (size_t i = 0; i < l->n_databases; i++)
		trigger_page_read(l, l->databases[i], type, e->at);
	return true;
}

static bool look_answered(struct metabase *l, const struct kind_event *e, const cJSON *json)
{
	struct database *db = l->call.db;
	bool moved = false;

	if (!tables_read(l, db, json, l->call.sent_at, &moved))
		return false;
	db->look_pace = moved ? POLL_FIRST : MIN(MAX(db->look_pace, POLL_FIRST) * 3 / 2, POLL_MOST);
	if (db->trigger.open)
		db->look_pace = MAX(db->look_pace, LOOK_RUNNING);
	db->look_at = e->at + pause_for(e, db->look_pace);
	return true;
}

static bool listing_answered(struct metabase *l, const cJSON *json, usec_t at)
{
	if (!databases_read(l, json))
		return false;
	l->listed_at = l->call.sent_at;
	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		if (wish_is_open(w) && !w->resolved && w->joined_at <= l->listed_at)
			wish_resolve(l, w, at);
	}
	return true;
}

/* False: it is not what such a call is answered with. */
static bool read_answer(struct metabase *l, const struct kind_event *e, const cJSON *json)
{
	struct call *c = &l->call;

	switch (c->type) {
	case CALL_DATABASES:
		return listing_answered(l, json, e->at);
	case CALL_SYNCS:
	case CALL_TASKS:
	case CALL_TABLES:
	case CALL_FIELDS:
		return page_answered(l, e, json, c->type);
	case CALL_TRIGGER:
		trigger_posted(l, c->db, c->sent_at, false, e->at);
		return true;
	case CALL_LOOK:
		return look_answered(l, e, json);
	case CALL_COLUMNS:
		return fields_read(l, c->db, c->table, json, e->at);
	case CALL_THINGS:
		return things_read(l, c->thing, json, c->sent_at);
	case CALL_LOGIN:
	case CALL_NONE:
		break;
	}
	return true;
}

static void answered_well(struct metabase *l, const struct kind_event *e)
{
	_cleanup_json_ cJSON *json = NULL;
	_cleanup_free_ char *name = call_name(&l->call);

	if (json_parse(e->body ? e->body : "", e->body_len, &json) < 0 ||
		(l->call.type == CALL_TRIGGER && !cJSON_IsObject(json))) {
		ask_later(l,
			xasprintf("Metabase (%s): its answer is no JSON that can be read", name),
			false, e->at);
		return;
	}
	l->session.proved = true;
	is_back(l);
	if (read_answer(l, e, json))
		is_well(l);
	else
		ask_later(l,
			xasprintf("Metabase (%s): its answer is none that a Metabase gives", name),
			false, e->at);
}

static void login_answered(struct metabase *l, const struct kind_event *e)
{
	_cleanup_json_ cJSON *json = NULL;
	char *reason = NULL;

	(void)json_parse(e->body ? e->body : "", e->body_len, &json);
	switch (session_logged_in(&l->session, e->http_status, json, e->at, &reason)) {
	case SESSION_GOOD:
		l->mask_stale = true;
		is_well(l);
		break;
	case SESSION_LATER:
		is_well(l);
		l->trouble = reason;
		l->away_since = e->at;
		break;
	case SESSION_REFUSED:
		wishes_fail(l, NULL, false, OUTCOME_FAILED, reason);
		free(reason);
		break;
	case SESSION_STRANGE:
		ask_later(l,
			xstrdup("Metabase (POST /api/session): its answer is none that a "
				"Metabase gives"),
			false, e->at);
		break;
	}
}

static bool takes_smaller_pages(struct metabase *l, const struct kind_event *e)
{
	enum call_type type = l->call.type;

	if (e->http_status || e->http_trouble != HTTP_UNFIT || l->page <= PAGE_LEAST ||
		type < CALL_SYNCS || type > CALL_FIELDS)
		return false;
	l->page = PAGE_LEAST;
	return true;
}

/* What a trigger's answer says of its database alone. */
static bool trigger_answered_ill(
	struct metabase *l, const struct kind_event *e, enum answer answer, const char *reason)
{
	bool may_have_arrived = (e->http_status == 0 && e->http_trouble != HTTP_UNSENT) ||
				e->http_status == 502 || e->http_status == 504;

	if (l->call.type != CALL_TRIGGER)
		return false;
	if (answer == ANSWER_LATER && may_have_arrived)
		trigger_posted(l, l->call.db, l->call.sent_at, true, e->at);
	if (answer == ANSWER_SICK || e->http_status == 500) {
		trigger_failed(l, l->call.db, xstrdup(reason), e->at);
		return true;
	}
	return false;
}

static void judge(struct metabase *l, const struct kind_event *e)
{
	_cleanup_free_ char *reason = NULL;
	bool down = false;
	enum answer answer = call_judge(l, e, &reason, &down);

	if (answer == ANSWER_GOOD) {
		answered_well(l, e);
		return;
	}
	if (answer == ANSWER_EXPIRED) {
		if (!session_expired(&l->session, &reason))
			wishes_fail(l, NULL, false, OUTCOME_FAILED, reason);
		return;
	}
	if (takes_smaller_pages(l, e) || trigger_answered_ill(l, e, answer, reason))
		return;
	if (answer == ANSWER_LATER)
		ask_later(l, TAKE_PTR(reason), down, e->at);
	else
		fail_call(l, reason);
}

static bool is_login_answer(const struct metabase *l, const struct kind_event *e)
{
	int s = e->http_status;

	return l->call.type == CALL_LOGIN && (s == 200 || s == 400 || s == 401 || s == 403);
}

static void metabase_answered(void *lane, const struct kind_event *e)
{
	struct metabase *l = lane;

	if (is_login_answer(l, e))
		login_answered(l, e);
	else
		judge(l, e);
	l->call.type = CALL_NONE;
	wishes_settle(l, e->at);
	tell_all(l, e->at);
}

const struct lane_kind lane_metabase = {
	.name = "metabase",
	.new = metabase_new,
	.free = metabase_free,
	.want_free = metabase_want_free,
	.join = metabase_join,
	.leave = metabase_leave,
	.next = metabase_next,
	.answered = metabase_answered,
};
