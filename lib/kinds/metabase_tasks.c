/* Metabase's task list. A row is written when its work begins and changed when it ends; one whose
 * Metabase was stopped stays `started` for ever, so no `started` row is believed for long. The rows
 * of a sync's steps are only known by their place: the same database, between it and the next. */
#include <stdio.h>
#include <string.h>
#include "base/instant.h"
#include "kinds/metabase_state.h"

enum {
	ROWS_MAX = 1000,
	SAID_MAX = 300,
};
#define BUSY_MOST (3 * USEC_HOUR)

static const struct {
	const char *name;
	enum task_kind kind;
} kinds_of_tasks[] = {
	{"sync", TASK_SYNC},
	{"sync-tables", TASK_TABLES},
	{"sync-fields", TASK_FIELDS},
	{"analyze", TASK_ANALYZE},
	{"field values scanning", TASK_SCAN},
};

static enum task_kind kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds_of_tasks); i++)
		if (str_eq(kinds_of_tasks[i].name, name))
			return kinds_of_tasks[i].kind;
	return str_starts(name, "sync-") ? TASK_STEP : TASK_OTHER;
}

static void task_fini(struct task *t)
{
	free(t->said);
	*t = (struct task){0};
}

void tasks_fini(struct tasks *t)
{
	for (size_t i = 0; i < t->n; i++)
		task_fini(&t->rows[i]);
	free(t->rows);
	*t = (struct tasks){0};
}

/* --- reading ------------------------------------------------------------------------------ */

/* Where the row is, or is to be. */
static size_t place_of(const struct tasks *t, int64_t id)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->rows[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static char *said_by(const cJSON *row, const struct mask_set *mask)
{
	const char *message = json_string(json_get(row, "task_details"), "message");

	return message && *message ? quote(mask, message, SAID_MAX) : NULL;
}

/* False: no row of a database's work. */
static bool task_read(const cJSON *row, const struct mask_set *mask, struct task *ret)
{
	const char *name = json_string(row, "task"), *status = json_string(row, "status");
	struct task t = {.id = json_int(row, "id", 0), .database = json_int(row, "db_id", 0)};

	if (t.id <= 0 || t.database <= 0 || !name || !status)
		return false;
	t.kind = kind_of(name);
	snprintf(t.name, sizeof(t.name), "%s", name);
	t.started_at = json_time(row, "started_at");
	t.ended_at = json_time(row, "ended_at");
	if (str_eq(status, "started"))
		t.status = TASK_STARTED;
	else if (str_eq(status, "success"))
		t.status = TASK_SUCCESS;
	else
		t.status = TASK_FAILED; /* and what is `unknown` */
	if (t.status == TASK_FAILED)
		t.said = said_by(row, mask);
	*ret = t;
	return true;
}

static bool put(struct tasks *t, struct task *take)
{
	size_t place = place_of(t, take->id);
	bool moved = true;

	if (place < t->n && t->rows[place].id == take->id) {
		moved = t->rows[place].status != take->status;
		task_fini(&t->rows[place]);
	} else {
		XGROW(t->rows, t->n, t->cap);
		memmove(t->rows + place + 1, t->rows + place, (t->n - place) * sizeof(*t->rows));
		t->n++;
	}
	t->rows[place] = *take;
	t->highest = MAX(t->highest, take->id);
	return moved;
}

static void drop_oldest(struct tasks *t)
{
	size_t n = t->n > ROWS_MAX ? t->n - ROWS_MAX : 0;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		task_fini(&t->rows[i]);
	memmove(t->rows, t->rows + n, (t->n - n) * sizeof(*t->rows));
	t->n -= n;
}

bool tasks_read(struct tasks *t, const cJSON *page, const struct mask_set *mask, bool *ret_moved)
{
	const cJSON *rows = json_get(page, "data"), *row;

	if (!cJSON_IsArray(rows))
		return false;
	cJSON_ArrayForEach(row, rows)
	{
		struct task task;

		if (task_read(row, mask, &task) && put(t, &task))
			*ret_moved = true;
	}
	drop_oldest(t);
	return true;
}

void tasks_died(struct tasks *t)
{
	t->dead = t->highest;
}

/* --- what they mean ----------------------------------------------------------------------- */

const struct task *tasks_sync(const struct tasks *t, int64_t database, int64_t above)
{
	for (size_t i = t->n; i-- > 0 && t->rows[i].id > above;)
		if (t->rows[i].database == database && t->rows[i].kind == TASK_SYNC)
			return &t->rows[i];
	return NULL;
}

bool task_is_live(const struct tasks *t, const struct task *task)
{
	if (task->status != TASK_STARTED || task->id <= t->dead)
		return false;
	for (size_t i = t->n; i-- > 0 && t->rows[i].id > task->id;)
		if (t->rows[i].database == task->database && t->rows[i].kind == task->kind)
			return false;
	return true;
}

static bool is_work_of_the_queue(const struct task *task)
{
	return task->kind == TASK_SYNC || task->kind == TASK_ANALYZE || task->kind == TASK_SCAN;
}

const struct task *tasks_busy(const struct tasks *t, usec_t at)
{
	for (size_t i = t->n; i-- > 0;) {
		const struct task *task = &t->rows[i];

		if (!is_work_of_the_queue(task))
			continue;
		if (!task_is_live(t, task))
			return NULL;
		return task->started_at && at - task->started_at > BUSY_MOST ? NULL : task;
	}
	return NULL;
}

const struct task *tasks_step(const struct tasks *t, const struct task *sync)
{
	for (size_t i = t->n; i-- > 0 && t->rows[i].id > sync->id;) {
		const struct task *task = &t->rows[i];

		if (task->database == sync->database && task->status == TASK_STARTED &&
			(task->kind == TASK_STEP || task->kind == TASK_TABLES ||
				task->kind == TASK_FIELDS))
			return task;
	}
	return NULL;
}

static bool is_between(const struct task *step, const struct task *sync)
{
	return !step->started_at || !sync->ended_at || step->started_at <= sync->ended_at;
}

static const struct task *step_of(
	const struct tasks *t, const struct task *sync, enum task_kind kind)
{
	for (size_t i = place_of(t, sync->id + 1); i < t->n; i++) {
		const struct task *task = &t->rows[i];

		if (task->database != sync->database)
			continue;
		if (task->kind == TASK_SYNC)
			return NULL;
		if (task->kind == kind && is_between(task, sync))
			return task;
	}
	return NULL;
}

enum steps tasks_steps(const struct tasks *t, const struct task *sync, const char **ret_step,
	const char **ret_said)
{
	static const struct {
		enum task_kind kind;
		const char *name;
	} needed[] = {{TASK_TABLES, "sync-tables"}, {TASK_FIELDS, "sync-fields"}};
	enum steps all = STEPS_WELL;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		const struct task *step = step_of(t, sync, needed[i].kind);

		if (step && step->status == TASK_SUCCESS)
			continue;
		if (all == STEPS_WELL || (step && step->status == TASK_FAILED)) {
			*ret_step = needed[i].name;
			*ret_said = step ? step->said : NULL;
		}
		if (step && step->status == TASK_FAILED)
			return STEPS_FAILED;
		all = STEPS_UNSEEN;
	}
	return all;
}
