/* One database of Metabase: when its sync is triggered, and when one is proved.
 *
 * Happy path: wanted -> the task list, for the baseline -> the request -> a row above the baseline
 * that ended, and so did its steps -> proved. Failures: a sync that runs already is waited for, as
 * it may have read the warehouse too early; a request of which nothing comes, while the queue is
 * not at another database, is made again, each time after twice the time; so is one whose row does
 * not move for long, or that a restart of Metabase has swallowed; a sync that failed is triggered
 * again a few times.
 *
 * All that is sent here may be sent again: at worst a sync runs twice. */
#include <stdio.h>
#include <string.h>
#include "kinds/metabase_state.h"

#define PATIENCE_FIRST	 (30 * USEC_SEC)
#define PATIENCE_MOST	 USEC_HOUR
#define PATIENCE_BUSY	 (20 * USEC_SEC) /* longer than a pause between two polls */
#define PATIENCE_RUNNING (30 * USEC_MINUTE)
#define AWAITED_MOST	 (30 * USEC_SEC)
#define RECENT		 (10 * USEC_MINUTE)
#define FAILURE_DELAY	 (5 * USEC_SEC)

enum {
	FAILURES_MOST = 3,
	ROUNDS_MOST = 12,
};

/* --- what is wanted ----------------------------------------------------------------------- */

static bool wants_round(const struct database *db, const struct wish *w, const struct part *p)
{
	return !w->want->look && p->state == PART_WAITING && p->synced_at && part_lacks(w, p) &&
	       db->rounds < ROUNDS_MOST;
}

/* Whether a trigger is wanted now. *ret_since: the task list must not be older. */
static bool is_wanted(const struct metabase *l, const struct database *db, usec_t at,
	usec_t *ret_since, usec_t *ret_until)
{
	bool wanted = false;

	*ret_since = db->fresh_at;
	for (size_t i = 0; i < l->n_wishes; i++) {
		const struct wish *w = l->wishes[i];

		for (size_t k = 0; wish_is_open(w) && k < w->n_parts; k++) {
			const struct part *p = &w->parts[k];

			if (p->db != db)
				continue;
			if (part_is_unsynced(w, p)) {
				*ret_since = MAX(*ret_since, w->joined_at);
				wanted = true;
			} else if (wants_round(db, w, p)) {
				wanted = wanted || at >= db->round_at;
				*ret_until = MIN(*ret_until, db->round_at);
			}
		}
	}
	return wanted;
}

const struct task *trigger_row(const struct metabase *l, const struct database *db)
{
	return tasks_sync(&l->tasks, db->id, db->trigger.open ? db->trigger.baseline : 0);
}

bool trigger_polls(const struct database *db)
{
	return db->trigger.open || db->awaited;
}

/* --- what comes next ---------------------------------------------------------------------- */

/* A sync that is under way, when one is wanted. One that is said to run for long may as well be
 * dead: then a request does no harm. */
static bool must_wait_for(
	struct metabase *l, struct database *db, const struct task *sync, usec_t at)
{
	if (!sync || !task_is_live(&l->tasks, sync)) {
		db->awaited = 0;
		return false;
	}
	if (db->awaited != sync->id) {
		bool recent = !sync->started_at || at - sync->started_at < RECENT;

		db->awaited = sync->id;
		db->awaited_until = recent ? at + AWAITED_MOST : at;
	}
	return at < db->awaited_until;
}

static enum call_type poll(const struct metabase *l, usec_t at, usec_t *ret_until)
{
	if (at >= l->poll_at)
		return CALL_SYNCS;
	*ret_until = MIN(*ret_until, l->poll_at);
	return CALL_NONE;
}

static enum call_type next_of_open(
	struct metabase *l, struct database *db, usec_t at, usec_t *ret_until)
{
	struct trigger *t = &db->trigger;
	const struct task *row;

	if (l->syncs_at < db->fresh_at)
		return CALL_SYNCS;
	row = trigger_row(l, db);
	if (row && row->status == TASK_SUCCESS) /* else it would not be open any more */
		return t->steps_read[0] ? CALL_FIELDS : CALL_TABLES;
	if (t->lost || at >= t->again_at)
		return CALL_TRIGGER;
	if (l->tasks_at < l->syncs_at)
		return CALL_TASKS;
	*ret_until = MIN(*ret_until, t->again_at);
	return poll(l, at, ret_until);
}

enum call_type trigger_next(struct metabase *l, struct database *db, usec_t at, usec_t *ret_until)
{
	usec_t since;

	if (db->trigger.open)
		return next_of_open(l, db, at, ret_until);
	if (!is_wanted(l, db, at, &since, ret_until)) {
		db->awaited = 0;
		return CALL_NONE;
	}
	if (at < db->not_before) {
		*ret_until = MIN(*ret_until, db->not_before);
		return CALL_NONE;
	}
	if (l->syncs_at < since)
		return CALL_SYNCS;
	if (must_wait_for(l, db, tasks_sync(&l->tasks, db->id, 0), at)) {
		*ret_until = MIN(*ret_until, db->awaited_until);
		return poll(l, at, ret_until);
	}
	return CALL_TRIGGER;
}

/* --- what happened ------------------------------------------------------------------------ */

void trigger_posted(struct metabase *l, struct database *db, usec_t sent_at, bool lost, usec_t at)
{
	struct trigger *t = &db->trigger;

	if (!t->open)
		*t = (struct trigger){
			.open = true,
			.at = sent_at,
			.covers = sent_at,
			.baseline = l->tasks.highest,
			.patience = PATIENCE_FIRST,
		};
	t->posts++;
	t->lost = false;
	t->again_at = at + (lost ? t->patience / 4 : t->patience);
	t->patience = MIN(t->patience * 2, PATIENCE_MOST);
	l->pace = POLL_FIRST;
	l->poll_at = at + l->pace;
}

static void close_trigger(struct database *db, usec_t at)
{
	db->trigger.open = false;
	db->awaited = 0;
	db->fresh_at = at;
}

void trigger_failed(struct metabase *l, struct database *db, char *take_reason, usec_t at)
{
	_cleanup_free_ char *reason = take_reason, *whole = NULL;

	close_trigger(db, at);
	free(db->trouble);
	db->trouble = xstrdup(reason);
	db->failures++;
	db->not_before = at + FAILURE_DELAY * (usec_t)db->failures * db->failures;
	if (db->failures < FAILURES_MOST)
		return;
	whole = xasprintf("%s (%u times)", reason, db->failures);
	db->failures = 0;
	wishes_fail(l, db, true, OUTCOME_TRANSIENT, whole);
}

/* What was known of its tables was before. */
static void proved(struct metabase *l, struct database *db, usec_t at)
{
	bool first = false;

	for (size_t i = 0; i < l->n_wishes; i++) {
		struct wish *w = l->wishes[i];

		for (size_t k = 0; k < w->n_parts; k++) {
			struct part *p = &w->parts[k];

			if (p->db != db || !part_is_unsynced(w, p) ||
				w->joined_at > db->trigger.covers)
				continue;
			p->synced_at = at;
			p->since = db->trigger.at;
			first = true;
		}
	}
	db->rounds = first ? 1 : db->rounds + 1;
	db->round_at = at + MIN(PATIENCE_FIRST << (db->rounds - 1), PATIENCE_MOST);
	db->failures = 0;
	free(db->trouble);
	db->trouble = NULL;
	db->look_at = at;
	db->look_pace = POLL_FIRST;
	close_trigger(db, at);
}

static char *failure(const struct database *db, const char *what, const char *said)
{
	return xasprintf("Metabase could not sync %s: %s failed%s%s", db->name, what,
		said ? ": " : "", said ? said : "");
}

static void row_ended(struct metabase *l, struct database *db, const struct task *row, usec_t at)
{
	struct trigger *t = &db->trigger;
	const char *step = NULL, *said = NULL;

	if (row->status == TASK_FAILED) {
		trigger_failed(l, db, failure(db, "its sync", row->said), at);
		return;
	}
	switch (tasks_steps(&l->tasks, row, &step, &said)) {
	case STEPS_WELL:
		proved(l, db, at);
		break;
	case STEPS_FAILED: {
		_cleanup_free_ char *what = xasprintf("its step %s", step);

		trigger_failed(l, db, failure(db, what, said), at);
		break;
	}
	case STEPS_UNSEEN:
		if (t->steps_read[0] && t->steps_read[1])
			trigger_failed(l, db,
				xasprintf("the end of a sync's step %s cannot be seen in "
					  "Metabase's list of tasks (database %s)",
					step, db->name),
				at);
		break;
	}
}

/* The newest row of the database, and whether it ended. */
static int64_t mark_of(const struct tasks *t, int64_t database)
{
	for (size_t i = t->n; i-- > 0;)
		if (t->rows[i].database == database)
			return 2 * t->rows[i].id + (t->rows[i].status != TASK_STARTED);
	return 0;
}

static void row_runs(struct metabase *l, struct database *db, const struct task *row, usec_t at)
{
	struct trigger *t = &db->trigger;
	int64_t mark = mark_of(&l->tasks, db->id);

	if (mark == t->mark)
		return;
	t->mark = mark;
	t->again_at = MAX(t->again_at, at + MAX(t->patience, PATIENCE_RUNNING));
}

/* A queue that is at another database has not begun to read this one's warehouse. */
static void row_is_to_come(struct metabase *l, struct database *db, enum call_type page, usec_t at)
{
	const struct task *busy = tasks_busy(&l->tasks, at);

	if (page != CALL_TASKS || !busy)
		return;
	if (busy->database != db->id)
		db->trigger.covers = MAX(db->trigger.covers, l->call.sent_at);
	db->trigger.again_at = MAX(db->trigger.again_at, at + PATIENCE_BUSY);
}

void trigger_page_read(struct metabase *l, struct database *db, enum call_type page, usec_t at)
{
	struct trigger *t = &db->trigger;
	const struct task *row = trigger_row(l, db);

	if (!t->open)
		return;
	if (!row || (row->status == TASK_STARTED && !task_is_live(&l->tasks, row))) {
		row_is_to_come(l, db, page, at);
		return;
	}
	if (row->status == TASK_STARTED) {
		row_runs(l, db, row, at);
		return;
	}
	if (page == CALL_TABLES)
		t->steps_read[0] = true;
	if (page == CALL_FIELDS)
		t->steps_read[1] = true;
	row_ended(l, db, row, at);
}

void trigger_lost(struct database *db, usec_t at)
{
	db->fresh_at = at;
	db->awaited = 0;
	if (!db->trigger.open)
		return;
	db->trigger.lost = true;
	db->trigger.patience = PATIENCE_FIRST;
}
