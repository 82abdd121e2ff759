#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/built.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/deadline.h"
#include "core/record.h"
#include "core/uuid.h"

/* A unit on its way, and who waits for it. */
struct flight {
	struct store_unit unit;
	struct core *core; /* NULL: nobody waits any more */
	struct list waits;
	struct list link;
};

static const char *const trigger_names[] = {
	[TRIGGER_SCHEDULE] = "schedule",
	[TRIGGER_MANUAL] = "manual",
	[TRIGGER_RETRY] = "retry",
	[TRIGGER_CATCH_UP] = "catch_up",
};

const char *trigger_name(enum trigger t)
{
	return trigger_names[t];
}

const char *life_name(enum life l)
{
	static const char *const names[] = {
		[LIFE_WAITING] = "waiting",
		[LIFE_RUNNING] = "running",
		[LIFE_ENDED] = "ended",
	};

	return names[l];
}

const char *store_table_name(enum store_table t)
{
	static const char *const names[STORE_TABLES] = {
		[TABLE_JOB] = "job",
		[TABLE_DEFINITION] = "definition",
		[TABLE_SLOT] = "slot",
		[TABLE_RUN] = "run",
		[TABLE_CELL] = "cell",
		[TABLE_ATTEMPT] = "attempt",
		[TABLE_ACTION] = "action",
		[TABLE_NODE_RESULT] = "node_result",
		[TABLE_SOURCE_FRESHNESS] = "source_freshness",
		[TABLE_SYNC] = "sync",
		[TABLE_PLAN] = "plan",
		[TABLE_CHECK_TRANSITION] = "check_transition",
		[TABLE_AUDIT] = "audit",
	};

	return names[t];
}

void store_unit_fini(struct store_unit *unit)
{
	for (size_t i = 0; i < unit->n; i++) {
		free(unit->rows[i].key);
		free(unit->rows[i].json);
	}
	free(unit->rows);
	unit->rows = NULL;
	unit->n = unit->cap = 0;
}

/* --- the unit ----------------------------------------------------------------------------- */

static struct flight *flight_new(void)
{
	struct flight *f = xnew(struct flight);

	list_init(&f->waits);
	list_init(&f->link);
	list_init(&f->unit.link);
	return f;
}

static void put_row(struct core *core, enum store_table table, char *take_key, cJSON *take_row)
{
	struct store_unit *u;

	if (!core->unit)
		core->unit = &flight_new()->unit;
	u = core->unit;
	XGROW(u->rows, u->n, u->cap);
	u->rows[u->n++] = (struct store_row){
		.table = table,
		.key = take_key,
		.json = json_print(take_row),
	};
	cJSON_Delete(take_row);
}

static void forget_waits(struct list *waits)
{
	list_for_each(node, waits) list_entry(node, struct commit_wait, link)->pending = false;
	while (!list_empty(waits))
		list_remove(list_first(waits));
}

/* Who waited may have left something to be done: an answer, a step that cannot begin. */
static void unit_done(struct store_unit *unit, const char *error)
{
	struct flight *f = container_of(unit, struct flight, unit);
	struct core *core = f->core;

	list_remove(&f->link);
	if (str_eq(error, STORE_LOST))
		forget_waits(&f->waits);
	while (!list_empty(&f->waits)) {
		struct commit_wait *w = list_entry(list_first(&f->waits), struct commit_wait, link);

		list_remove(&w->link);
		w->pending = false;
		w->committed(core, w, error);
	}
	store_unit_fini(unit);
	free(f);
	if (core)
		core->ports.clock.wake(core->ports.clock.self, 0, USEC_INFINITY);
}

void commit_wait(struct core *core, struct commit_wait *w,
	void (*committed)(struct core *core, struct commit_wait *w, const char *error))
{
	w->committed = committed;
	w->pending = true;
	list_append(&core->commit_waits, &w->link);
}

void commit_forget(struct commit_wait *w)
{
	if (!w->pending)
		return;
	w->pending = false;
	list_remove(&w->link);
}

static void move_all(struct list *from, struct list *to)
{
	while (!list_empty(from)) {
		struct list *node = list_first(from);

		list_remove(node);
		list_append(to, node);
	}
}

/* Waits without a row of their own ride on an empty unit, behind all earlier ones. */
void records_submit(struct core *core)
{
	struct flight *f;

	if (!core->unit && list_empty(&core->commit_waits))
		return;
	f = core->unit ? container_of(core->unit, struct flight, unit) : flight_new();
	core->unit = NULL;
	f->core = core;
	f->unit.done = unit_done;
	move_all(&core->commit_waits, &f->waits);
	list_append(&core->units, &f->link);
	core->ports.store.submit(core->ports.store.self, &f->unit);
}

void records_drop(struct core *core)
{
	while (!list_empty(&core->units)) {
		struct flight *f = list_entry(list_first(&core->units), struct flight, link);

		list_remove(&f->link);
		forget_waits(&f->waits);
		f->core = NULL;
	}
	forget_waits(&core->commit_waits);
	if (core->unit) {
		struct flight *f = container_of(core->unit, struct flight, unit);

		store_unit_fini(&f->unit);
		free(f);
		core->unit = NULL;
	}
}

/* --- rows --------------------------------------------------------------------------------- */

static void set_life(cJSON *row, enum life state, enum outcome outcome, const char *reason)
{
	json_set_string(row, "state", life_name(state));
	json_set_string(row, "outcome", outcome_name(outcome));
	json_set_string(row, "reason", reason);
}

void record_job(struct core *core, struct job *job)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "name", job->name);
	json_set_bool(row, "paused", job->paused);
	json_set_time(row, "last_slot", job->last_slot);
	json_set_string(row, "schedule", job->schedule);
	json_set_string(row, "timezone", job->timezone);
	json_set_int(row, "last_number", (int64_t)job->last_number);
	json_set_string(row, "last_outcome", outcome_name(job->last_outcome));
	json_set_time(row, "last_ended_at", job->last_ended_at);
	json_set_string(row, "boot_id", job->boot_id);
	put_row(core, TABLE_JOB, xstrdup(job->name), row);
}

void record_definition(struct core *core, const struct spec_job *def)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "hash", def->hash);
	json_set_string(row, "body", def->definition);
	put_row(core, TABLE_DEFINITION, xstrdup(def->hash), row);
}

void record_slot(struct core *core, const struct job *job, usec_t slot, const struct run *run,
	const char *reason, usec_t until, uint64_t count)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "job", job->name);
	json_set_time(row, "scheduled_for", slot);
	json_set_string(row, "fate", run ? "run" : "skipped");
	json_set_string(row, "run_id", run ? run->id : NULL);
	json_set_string(row, "reason", reason);
	json_set_time(row, "until", until);
	json_set_int(row, "count", (int64_t)count);
	put_row(core, TABLE_SLOT, xasprintf("%s %lld", job->name, (long long)slot), row);
}

/* NULL where every cell is part of the run; else the indices, and of a retry what else was so in
 * the older run, and which runs it goes back to. */
static cJSON *only_cells(const struct run *run)
{
	cJSON *only, *cells;

	if (!run->narrowed && !run->prior)
		return NULL;
	only = cJSON_CreateObject();
	cells = json_set(only, "cells", cJSON_CreateArray());
	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (run->cells[i].part)
			cJSON_AddItemToArray(cells, cJSON_CreateNumber(i));
	if (run->prior)
		json_set(only, "prior", cJSON_Duplicate(run->prior, true));
	if (run->built)
		json_set(only, "built", cJSON_Duplicate(run->built, true));
	if (run->n_retried) {
		cJSON *retried = json_set(only, "retried", cJSON_CreateArray());

		for (size_t i = 0; i < run->n_retried; i++)
			cJSON_AddItemToArray(retried, cJSON_CreateNumber((double)run->retried[i]));
	}
	return only;
}

void record_run(struct run *run)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "id", run->id);
	json_set_string(row, "job", run->job->name);
	json_set_int(row, "number", (int64_t)run->number);
	json_set_string(row, "trigger", trigger_name(run->trigger));
	set_life(row, run->state, run->outcome, run->reason);
	json_set_time(row, "scheduled_for", run->scheduled_for);
	json_set_time(row, "created_at", run->created_at);
	json_set_time(row, "started_at", run->started_at);
	json_set_time(row, "ended_at", run->ended_at);
	json_set_time(row, "deadline_at", run->deadline.at);
	json_set(row, "deadlines", deadlines_to_json(run));
	json_set_string(row, "retry_of", run->retry_of);
	json_set_string(row, "commit", run->commit);
	json_set_string(row, "who", run->who);
	json_set_string(row, "why", run->why);
	json_set(row, "only_cells", only_cells(run));
	json_set_string(row, "definition", run->def->hash);
	put_row(run->core, TABLE_RUN, xstrdup(run->id), row);
}

static cJSON *steps_to_json(const struct cell *cell)
{
	cJSON *steps = cJSON_CreateArray();

	for (size_t i = 0; i < cell->n_steps; i++) {
		const struct step *s = &cell->steps[i];
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "name", s->spec->name);
		json_set_string(o, "kind", s->spec->kind->name);
		set_life(o, s->state, s->outcome, s->reason);
		json_set_bool(o, "blocked", s->blocked);
		if (s->outputs)
			json_set(o, "outputs", cJSON_Duplicate(s->outputs, true));
		if (s->cancelled)
			json_set_string(o, "cancelled", s->cancelled);
		if (i == cell->current && cell->stop) {
			json_set_string(o, "stop", stop_reason_name(cell->stop));
			json_set_string(o, "stop_why", cell->stop_why);
		}
		cJSON_AddItemToArray(steps, o);
	}
	return steps;
}

void record_cell(struct cell *cell)
{
	const struct spec_stage *stage = &cell->run->def->stages[cell->spec->stage];
	cJSON *row = cJSON_CreateObject(), *matrix;

	json_set_string(row, "run_id", cell->run->id);
	json_set_int(row, "index", cell->spec->index);
	json_set_string(row, "stage", stage->name);
	json_set_string(row, "name", cell->spec->name);
	matrix = json_set(row, "matrix", cJSON_CreateObject());
	for (size_t i = 0; i < stage->n_dimensions; i++)
		json_set_string(matrix, stage->dimensions[i], cell->spec->values[i]);
	set_life(row, cell->state, cell->outcome, cell->reason);
	json_set_bool(row, "blocked", cell->blocked);
	json_set_time(row, "started_at", cell->started_at);
	json_set_time(row, "ended_at", cell->ended_at);
	json_set(row, "steps", steps_to_json(cell));
	put_row(cell->run->core, TABLE_CELL, xasprintf("%s %u", cell->run->id, cell->spec->index),
		row);
}

/* The keys that every row below an attempt has. */
static void set_attempt_keys(cJSON *row, const struct attempt *a)
{
	json_set_string(row, "run_id", a->step->cell->run->id);
	json_set_int(row, "cell", a->step->cell->spec->index);
	json_set_int(row, "step", a->step->index);
}

static char *attempt_key(const struct attempt *a, const char *more)
{
	return xasprintf("%s %u %u %u %s", a->step->cell->run->id, a->step->cell->spec->index,
		a->step->index, a->number, more);
}

void record_attempt(struct attempt *a)
{
	cJSON *row = cJSON_CreateObject();

	set_attempt_keys(row, a);
	json_set_int(row, "number", a->number);
	json_set_string(row, "state", a->state == ATTEMPT_ENDED ? "ended" : "running");
	json_set_bool(row, "counted", a->counted);
	json_set_string(row, "outcome", outcome_name(a->outcome));
	json_set_string(row, "reason", a->reason);
	if (a->has_exit && !a->signal)
		json_set_int(row, "exit_code", a->exit_code);
	if (a->signal)
		json_set_int(row, "signal", a->signal);
	json_set_time(row, "started_at", a->started_at);
	json_set_time(row, "ended_at", a->ended_at);
	json_set_int(row, "max_rss", (int64_t)a->max_rss);
	json_set_int(row, "cpu_ms", (int64_t)a->cpu_ms);
	if (a->progress)
		json_set(row, "progress", cJSON_Duplicate(a->progress, true));
	json_set_time(row, "retry_at", a->state == ATTEMPT_ENDED ? a->step->retry_at : 0);
	put_row(a->step->cell->run->core, TABLE_ATTEMPT, attempt_key(a, ""), row);
}

const char *action_type_name(enum kind_command_type t)
{
	static const char *const names[] = {
		[KIND_SPAWN] = "process",
		[KIND_HTTP] = "http",
		[KIND_JOIN] = "lane",
		[KIND_QUERY] = "query",
		[KIND_WAIT] = "wait",
		[KIND_ASK] = "approval",
	};

	return names[t];
}

void record_action(struct action *action)
{
	struct attempt *a = action->attempt;
	cJSON *row = cJSON_CreateObject();

	set_attempt_keys(row, a);
	json_set_int(row, "attempt", a->number);
	json_set_string(row, "name", action->name);
	json_set_int(row, "ordinal", action->ordinal);
	json_set_string(row, "type", action_type_name(action->type));
	json_set_string(row, "state",
		action->ended	  ? "ended"
		: action->started ? "started"
				  : "intent");
	json_set_bool(row, "repeatable", action->repeatable);
	json_set_int(row, "epoch", (int64_t)action->epoch);
	json_set_string(row, "machine", action->machine);
	json_set_time(row, "intent_at", action->intent_at);
	json_set_time(row, "deadline_at", action->deadline_at);
	json_set_time(row, "started_at", action->started_at);
	json_set_time(row, "ended_at", action->ended_at);
	json_set(row, "status", action->status ? cJSON_Duplicate(action->status, true) : NULL);
	json_set(row, "note", action->note ? cJSON_Duplicate(action->note, true) : NULL);
	put_row(action->core, TABLE_ACTION, attempt_key(a, action->name), row);
}

/* A kind's rows by table, and what tells two rows of one attempt apart. */
static const struct {
	enum store_table table;
	const char *key;
} kind_tables[] = {
	{TABLE_NODE_RESULT, "unique_id"},
	{TABLE_SOURCE_FRESHNESS, "unique_id"},
	{TABLE_SYNC, "database"},
};

void record_plan(struct attempt *a)
{
	cJSON *row = cJSON_Duplicate(a->plan, true);

	set_attempt_keys(row, a);
	json_set_int(row, "attempt", a->number);
	put_row(a->step->cell->run->core, TABLE_PLAN, attempt_key(a, ""), row);
}

/* Kept for readers, too: the last one of the attempt is the one that counts, and what was decided
 * of the one before says nothing about it. */
static void keep_plan(struct attempt *a, const cJSON *item)
{
	static const char *const decided[] = {
		"decision", "decided_by", "decided_at", "decision_reason"};

	cJSON_Delete(a->plan);
	a->plan = cJSON_Duplicate(item, true);
	json_set_string(a->plan, "environment", a->step->cell->spec->environment);
	for (size_t i = 0; i < ARRAY_SIZE(decided); i++)
		json_set_null(a->plan, decided[i]);
	record_plan(a);
}

void record_kind_rows(struct attempt *a, const cJSON *rows)
{
	const char *environment = a->step->cell->spec->environment;
	const cJSON *plan;

	built_learn(a->step->cell->run->core, environment, json_get(rows, "sync"));
	cJSON_ArrayForEach(plan, json_get(rows, "plan")) keep_plan(a, plan);
	for (size_t i = 0; i < ARRAY_SIZE(kind_tables); i++) {
		enum store_table table = kind_tables[i].table;
		const cJSON *item;

		cJSON_ArrayForEach(item, json_get(rows, store_table_name(table)))
		{
			const char *id = json_string(item, kind_tables[i].key);
			cJSON *row = cJSON_Duplicate(item, true);

			if (table == TABLE_SYNC)
				metrics_sync(a->step->cell->run->core, row);
			set_attempt_keys(row, a);
			json_set_int(row, "attempt", a->number);
			if (table == TABLE_SYNC)
				json_set_string(row, "environment", environment);
			put_row(a->step->cell->run->core, table, attempt_key(a, id ? id : ""), row);
		}
	}
}

void record_transition(struct core *core, const char *check, const char *environment,
	const struct check_transition *t)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "name", check);
	json_set_string(row, "environment", environment ? environment : "");
	json_set_time(row, "at", t->at);
	json_set_string(row, "state", check_state_name(t->state));
	json_set_string(row, "detail", t->detail);
	json_set_time(row, "ended_at", t->ended_at);
	put_row(core, TABLE_CHECK_TRANSITION,
		xasprintf("%s %s %lld", check, environment ? environment : "", (long long)t->at),
		row);
}

void record_audit(struct core *core, const char *who, const char *method, const char *subject,
	const char *reason, bool granted, const char *answer)
{
	cJSON *row = cJSON_CreateObject();
	char id[UUID_TEXT];

	uuid_make(core, id);
	json_set_string(row, "id", id);
	json_set_time(row, "at", core_now(core));
	json_set_string(row, "who", who);
	json_set_string(row, "method", method);
	json_set_string(row, "subject", subject);
	json_set_string(row, "reason", reason);
	json_set_bool(row, "granted", granted);
	json_set_string(row, "answer", answer);
	put_row(core, TABLE_AUDIT, xstrdup(id), row);
}
