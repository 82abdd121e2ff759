#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/attempt.h"
#include "core/cell.h"
#include "core/check.h"
#include "core/gate.h"
#include "core/record.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/view.h"
#include "time/instant.h"

#define DUE_MOST 5

/* --- a run, as `show` gives it ------------------------------------------------------------ */

static void set_slot(cJSON *o, const char *key, usec_t slot)
{
	char at[INSTANT_MAX];

	json_set_string(o, key, slot ? instant_format_slot(slot, at) : NULL);
}

cJSON *view_plan(const struct attempt *a)
{
	const cJSON *summary = json_get(a->plan, "summary"),
		    *changes = json_get(a->plan, "changes");
	cJSON *o;

	if (!a->plan)
		return NULL;
	o = cJSON_CreateObject();
	json_set_string(o, "hash", json_string(a->plan, "hash"));
	json_set(o, "summary", summary ? cJSON_Duplicate(summary, true) : NULL);
	json_set(o, "changes", changes ? cJSON_Duplicate(changes, true) : NULL);
	json_set_time(o, "made_at", json_time(a->plan, "made_at"));
	json_set_string(o, "decision", json_string(a->plan, "decision"));
	json_set_string(o, "decided_by", json_string(a->plan, "decided_by"));
	json_set_time(o, "decided_at", json_time(a->plan, "decided_at"));
	return o;
}

static cJSON *view_attempt(const struct attempt *a)
{
	cJSON *o = cJSON_CreateObject();
	_cleanup_free_ char *waits = attempt_waits_for(a), *gate = gate_waits_for(a);

	json_set_int(o, "number", a->number);
	json_set_string(o, "outcome", outcome_name(a->outcome));
	json_set_string(o, "reason", a->reason ? a->reason : waits);
	if (a->has_exit)
		json_set_int(o, "exit_code", a->exit_code);
	else
		json_set_null(o, "exit_code");
	if (a->signal)
		json_set_int(o, "signal", a->signal);
	else
		json_set_null(o, "signal");
	json_set_time(o, "started_at", a->started_at);
	json_set_time(o, "ended_at", a->ended_at);
	json_set(o, "max_rss", a->max_rss ? cJSON_CreateNumber((double)a->max_rss) : NULL);
	json_set(o, "cpu_ms", a->max_rss ? cJSON_CreateNumber((double)a->cpu_ms) : NULL);
	json_set(o, "progress", attempt_progress(a));
	json_set(o, "plan", view_plan(a));
	json_set_string(o, "waits_for", gate);
	return o;
}

static cJSON *view_step(const struct step *s)
{
	cJSON *o = cJSON_CreateObject(), *attempts;

	json_set_string(o, "name", s->spec->name);
	json_set_string(o, "kind", s->spec->kind->name);
	json_set_string(o, "state", life_name(s->state));
	json_set_string(o, "outcome", outcome_name(s->outcome));
	json_set_string(o, "reason", s->reason);
	json_set_time(o, "retry_at", s->retry_at);
	attempts = json_set(o, "attempts", cJSON_CreateArray());
	for (size_t i = 0; i < s->n_attempts; i++)
		cJSON_AddItemToArray(attempts, view_attempt(s->attempts[i]));
	return o;
}

static cJSON *view_matrix(const struct cell *cell)
{
	const struct spec_stage *stage = &cell->run->def->stages[cell->spec->stage];
	cJSON *matrix = cJSON_CreateObject();

	for (size_t i = 0; i < stage->n_dimensions; i++)
		json_set_string(matrix, stage->dimensions[i], cell->spec->values[i]);
	return matrix;
}

static cJSON *view_cell(const struct cell *cell)
{
	cJSON *o = cJSON_CreateObject(), *steps;
	_cleanup_free_ char *waits = cell->state == LIFE_WAITING ? cell_waits_for(cell) : NULL;

	json_set_string(o, "name", cell->spec->name);
	json_set_string(o, "stage", cell->run->def->stages[cell->spec->stage].name);
	json_set(o, "matrix", view_matrix(cell));
	json_set_string(o, "state", life_name(cell->state));
	json_set_string(o, "outcome", outcome_name(cell->outcome));
	json_set_string(o, "reason", cell->reason ? cell->reason : waits);
	json_set_time(o, "started_at", cell->started_at);
	json_set_time(o, "ended_at", cell->ended_at);
	steps = json_set(o, "steps", cJSON_CreateArray());
	for (size_t i = 0; i < cell->n_steps; i++)
		cJSON_AddItemToArray(steps, view_step(&cell->steps[i]));
	return o;
}

cJSON *view_run(const struct run *run, bool with_cells)
{
	cJSON *o = cJSON_CreateObject(), *cells;

	json_set_string(o, "job", run->job->name);
	json_set_int(o, "number", (int64_t)run->number);
	json_set_string(o, "name", run->name);
	json_set_string(o, "id", run->id);
	json_set_string(o, "trigger", trigger_name(run->trigger));
	json_set_string(o, "state", life_name(run->state));
	json_set_string(o, "outcome", outcome_name(run->outcome));
	json_set_string(o, "reason", run->reason);
	set_slot(o, "scheduled_for", run->scheduled_for);
	json_set_time(o, "created_at", run->created_at);
	json_set_time(o, "started_at", run->started_at);
	json_set_time(o, "ended_at", run->ended_at);
	json_set_string(o, "retry_of", run->retry_of_name);
	json_set_string(o, "commit", run->commit);
	json_set_string(o, "who", run->who);
	json_set_string(o, "why", run->why);
	if (!with_cells)
		return o;
	cells = json_set(o, "cells", cJSON_CreateArray());
	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (run->cells[i].part)
			cJSON_AddItemToArray(cells, view_cell(&run->cells[i]));
	return o;
}

cJSON *view_run_row(const cJSON *row)
{
	static const char *const texts[] = {
		"id", "trigger", "state", "outcome", "reason", "commit", "who", "why"};
	static const char *const times[] = {"created_at", "started_at", "ended_at"};
	cJSON *o = cJSON_CreateObject();
	const char *job = json_string(row, "job");
	int64_t number = json_int(row, "number", 0);
	_cleanup_free_ char *name = xasprintf("%s#%lld", job ? job : "?", (long long)number);

	json_set_string(o, "job", job);
	json_set_int(o, "number", number);
	json_set_string(o, "name", name);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		json_set_string(o, texts[i], json_string(row, texts[i]));
	set_slot(o, "scheduled_for", json_time(row, "scheduled_for"));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		json_set_time(o, times[i], json_time(row, times[i]));
	json_set_string(o, "retry_of", json_string(row, "retry_of_name"));
	return o;
}

/* --- status ------------------------------------------------------------------------------- */

static void set_ref(cJSON *o, const struct cell *cell)
{
	_cleanup_free_ char *ref = xasprintf("%s/%s", cell->run->name, cell->spec->name);

	json_set_string(o, "run", cell->run->name);
	json_set_string(o, "cell", ref);
}

static const struct attempt *last_attempt(const struct cell *cell)
{
	const struct attempt *last = NULL;

	for (size_t i = 0; i < cell->n_steps; i++)
		if (cell->steps[i].n_attempts)
			last = cell->steps[i].attempts[cell->steps[i].n_attempts - 1];
	return last;
}

static const struct attempt *failed_attempt(const struct cell *cell)
{
	for (size_t i = 0; i < cell->n_steps; i++)
		if (outcome_is_failure(cell->steps[i].outcome) && cell->steps[i].n_attempts)
			return cell->steps[i].attempts[cell->steps[i].n_attempts - 1];
	return last_attempt(cell);
}

static cJSON *view_red(const struct cell *cell)
{
	const struct attempt *a = failed_attempt(cell);
	cJSON *o = cJSON_CreateObject(), *holds;
	char **names = cell_holds_up(cell);

	set_ref(o, cell);
	json_set_string(o, "outcome", outcome_name(cell->outcome));
	json_set_time(o, "ended_at", cell->ended_at);
	json_set_int(o, "attempts", a ? a->number : 0);
	json_set_string(o, "reason", cell->reason);
	holds = json_set(o, "holds_up", cJSON_CreateArray());
	if (a && a->holds_up)
		cJSON_AddItemToArray(holds, cJSON_CreateString(a->holds_up));
	for (size_t i = 0; names && names[i]; i++)
		cJSON_AddItemToArray(holds, cJSON_CreateString(names[i]));
	strv_free(names);
	return o;
}

static void add_red(cJSON *red, const struct run *run)
{
	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (run->cells[i].part && outcome_is_failure(run->cells[i].outcome))
			cJSON_AddItemToArray(red, view_red(&run->cells[i]));
}

static const struct attempt *open_attempt_of(const struct cell *cell)
{
	const struct attempt *a = last_attempt(cell);

	return a && a->state != ATTEMPT_ENDED ? a : NULL;
}

static cJSON *view_running(const struct cell *cell, const struct attempt *a)
{
	int64_t usual = job_usual(cell->run->job, cell->spec->name);
	cJSON *o = cJSON_CreateObject();

	set_ref(o, cell);
	json_set_string(o, "step", a->step->spec->name);
	json_set_int(o, "attempt", a->number);
	json_set_time(o, "started_at", a->started_at);
	json_set(o, "progress", attempt_progress(a));
	if (usual >= 0)
		json_set_int(o, "usual_ms", usual);
	else
		json_set_null(o, "usual_ms");
	return o;
}

static char *why_cell_waits(const struct cell *cell, usec_t *ret_since)
{
	const struct step *step =
		cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
	const struct attempt *a = open_attempt_of(cell);
	char at[INSTANT_MAX];

	if (cell->state == LIFE_WAITING) {
		*ret_since = cell->run->created_at;
		return cell_waits_for(cell);
	}
	if (a) {
		*ret_since = a->state == ATTEMPT_PLACE ? a->place.since
			     : a->open		       ? a->open->started_at
						       : 0;
		if (!*ret_since)
			*ret_since = a->started_at;
		return attempt_waits_for(a);
	}
	if (step && step->retry_at && step->n_attempts) {
		const struct attempt *last = step->attempts[step->n_attempts - 1];

		*ret_since = last->ended_at;
		return xasprintf("tried again at %s after %s%s%s",
			instant_format_slot(step->retry_at, at), outcome_name(last->outcome),
			last->reason ? ": " : "", last->reason ? last->reason : "");
	}
	return NULL;
}

static void add_cell_status(const struct cell *cell, cJSON *waiting, cJSON *running)
{
	const struct attempt *a = open_attempt_of(cell);
	_cleanup_free_ char *why = NULL;
	usec_t since = 0;
	cJSON *o;

	why = why_cell_waits(cell, &since);
	if (!why) {
		if (a)
			cJSON_AddItemToArray(running, view_running(cell, a));
		return;
	}
	o = cJSON_CreateObject();
	set_ref(o, cell);
	json_set_time(o, "since", since);
	json_set_string(o, "reason", why);
	cJSON_AddItemToArray(waiting, o);
}

static int by_next_slot(const void *a, const void *b)
{
	const struct job *x = *(struct job *const *)a, *y = *(struct job *const *)b;

	if (x->next_slot != y->next_slot)
		return x->next_slot < y->next_slot ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The soonest few, kept sorted while walking. */
static void add_due(const struct core *core, cJSON *due)
{
	struct job *soonest[DUE_MOST + 1];
	size_t n = 0;

	for (size_t i = 0; i < core->n_jobs; i++) {
		if (core->jobs[i]->next_slot == USEC_INFINITY)
			continue;
		soonest[n++] = core->jobs[i];
		qsort(soonest, n, sizeof(soonest[0]), by_next_slot);
		n = MIN(n, (size_t)DUE_MOST);
	}
	for (size_t i = 0; i < n; i++) {
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "job", soonest[i]->name);
		set_slot(o, "at", soonest[i]->next_slot);
		cJSON_AddItemToArray(due, o);
	}
}

static void set_store(cJSON *o, const struct core *core)
{
	json_set_time(o, "now", core_now(core));
	json_set_string(o, "store", core->store == STORE_AWAY ? "away" : "ok");
	json_set_string(o, "store_reason", core->store_why);
	json_set_bool(o, "leader", core->store != STORE_STANDBY && core->loaded);
	json_set_string(o, "holder", core->holder);
	json_set_bool(o, "draining", core->draining);
}

cJSON *core_view_status(const struct core *core)
{
	cJSON *o = cJSON_CreateObject(), *red, *waiting, *runs, *running, *paused;

	set_store(o, core);
	red = json_set(o, "red", cJSON_CreateArray());
	waiting = json_set(o, "waiting", cJSON_CreateArray());
	runs = json_set(o, "runs", cJSON_CreateArray());
	running = json_set(o, "running", cJSON_CreateArray());
	list_for_each(node, &core->runs)
	{
		const struct run *run = list_entry(node, struct run, in_core);

		cJSON_AddItemToArray(runs, view_run(run, false));
		add_red(red, run);
		for (unsigned i = 0; i < run->def->n_cells; i++)
			if (run->cells[i].part && run->cells[i].state != LIFE_ENDED)
				add_cell_status(&run->cells[i], waiting, running);
	}
	add_due(core, json_set(o, "due", cJSON_CreateArray()));
	paused = json_set(o, "paused", cJSON_CreateArray());
	for (size_t i = 0; i < core->n_jobs; i++) {
		if (core->jobs[i]->red)
			add_red(red, core->jobs[i]->red);
		if (core->jobs[i]->paused)
			cJSON_AddItemToArray(paused, cJSON_CreateString(core->jobs[i]->name));
	}
	json_set(o, "checks", checks_view(core));
	return o;
}

void core_summarize(const struct core *core, char *buf, size_t size)
{
	unsigned n_runs = 0;

	list_for_each(node, &core->runs) n_runs++;
	snprintf(buf, size, "store %s%s; %u run%s, %u action%s",
		core->store == STORE_AWAY ? "away" : "ok",
		core->store == STORE_STANDBY ? ", standby" : "", n_runs, n_runs == 1 ? "" : "s",
		core->n_running, core->n_running == 1 ? "" : "s");
}

/* --- jobs and slots ----------------------------------------------------------------------- */

static const char *overlap_name(enum spec_overlap o)
{
	static const char *const names[] = {
		[OVERLAP_SKIP] = "skip",
		[OVERLAP_QUEUE] = "queue",
		[OVERLAP_ALLOW] = "allow",
		[OVERLAP_CANCEL_OTHER] = "cancel_other",
	};

	return names[o];
}

static cJSON *view_last(const struct job *job)
{
	_cleanup_free_ char *name = NULL;
	cJSON *o;

	if (!job->last_ended_at)
		return NULL;
	o = cJSON_CreateObject();
	if (list_empty(&job->runs))
		name = xasprintf("%s#%llu", job->name, (unsigned long long)job->last_number);
	json_set_string(o, "name", name);
	json_set_string(o, "outcome", outcome_name(job->last_outcome));
	json_set_time(o, "ended_at", job->last_ended_at);
	return o;
}

static cJSON *view_job(const struct job *job)
{
	cJSON *o = cJSON_CreateObject(), *active;

	json_set_string(o, "name", job->name);
	json_set_string(o, "schedule", job->spec->schedule);
	json_set_string(o, "timezone", job->spec->timezone);
	json_set_bool(o, "paused", job->paused);
	set_slot(o, "next", job->next_slot == USEC_INFINITY ? 0 : job->next_slot);
	json_set_string(o, "overlap", overlap_name(job->spec->overlap));
	active = json_set(o, "active", cJSON_CreateArray());
	list_for_each(node, &job->runs) cJSON_AddItemToArray(
		active, cJSON_CreateString(list_entry(node, struct run, in_job)->name));
	json_set(o, "last", view_last(job));
	return o;
}

cJSON *core_view_jobs(const struct core *core)
{
	cJSON *o = cJSON_CreateObject(), *jobs = json_set(o, "jobs", cJSON_CreateArray());

	for (size_t i = 0; i < core->n_jobs; i++)
		if (core->jobs[i]->spec)
			cJSON_AddItemToArray(jobs, view_job(core->jobs[i]));
	return o;
}

static cJSON *view_slot(const struct job *job, usec_t slot)
{
	cJSON *o = cJSON_CreateObject();
	char at[INSTANT_MAX];

	json_set_string(o, "job", job->name);
	set_slot(o, "utc", slot);
	json_set_string(o, "local",
		instant_format_local(slot, zone_offset(job->spec->zone, slot / USEC_SEC), at));
	json_set_string(o, "timezone", job->spec->timezone);
	return o;
}

static int by_slot(const void *a, const void *b)
{
	return strcmp(
		json_string(*(cJSON *const *)a, "utc"), json_string(*(cJSON *const *)b, "utc"));
}

static void add_slots(const struct core *core, const struct job *job, unsigned n, cJSON ***slots,
	size_t *n_slots, size_t *cap)
{
	usec_t slot = core_now(core);

	while (n-- > 0 && job->spec && !job->paused && job_next_slot(job, slot, &slot)) {
		*slots = xgrow(*slots, *n_slots, cap, sizeof(**slots));
		(*slots)[(*n_slots)++] = view_slot(job, slot);
	}
}

cJSON *core_view_next(const struct core *core, const char *job_name, unsigned n)
{
	cJSON *o, *array, **slots = NULL;
	size_t n_slots = 0, cap = 0;

	if (job_name && (!job_find(core, job_name) || !job_find(core, job_name)->spec))
		return NULL;
	for (size_t i = 0; i < core->n_jobs; i++)
		if (!job_name || str_eq(core->jobs[i]->name, job_name))
			add_slots(core, core->jobs[i], n, &slots, &n_slots, &cap);
	if (n_slots)
		qsort(slots, n_slots, sizeof(*slots), by_slot);
	o = cJSON_CreateObject();
	array = json_set(o, "slots", cJSON_CreateArray());
	for (size_t i = 0; i < n_slots; i++) {
		if (i < n)
			cJSON_AddItemToArray(array, slots[i]);
		else
			cJSON_Delete(slots[i]);
	}
	free(slots);
	return o;
}
