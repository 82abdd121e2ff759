#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/built.h"
#include "core/cell.h"
#include "core/check.h"
#include "core/deadline.h"
#include "core/event.h"
#include "core/lane.h"
#include "core/lock.h"
#include "core/metrics.h"
#include "core/operate.h"
#include "core/prune.h"
#include "core/record.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/timer.h"

/* A wall clock that moves so far from boot time was set. */
#define CLOCK_SET    USEC_MINUTE
#define SLOTS_A_TURN 32

/* --- made and freed
 * ---------------------------------------------------------------------------------- */

struct core *core_new(const struct core_ports *ports)
{
	struct core *core = xnew(struct core);

	core->ports = *ports;
	core->store_why = xstrdup("not connected yet");
	list_init(&core->runs);
	list_init(&core->ended);
	list_init(&core->dirty);
	list_init(&core->waiting);
	list_init(&core->lanes);
	list_init(&core->commit_waits);
	list_init(&core->units);
	list_init(&core->answers);
	list_init(&core->durables);
	list_init(&core->drains);
	core->started_at = core_now(core);
	core->wall_ahead = core->started_at - core_boot(core);
	return core;
}

/* Forgets every run; processes go on, and their callbacks find nobody. */
static void forget_runs(struct core *core)
{
	records_drop(core);
	operations_fail(core, CORE_E_NO_STORE, "the store went away before it was durable");
	while (!list_empty(&core->runs))
		run_free(list_entry(list_first(&core->runs), struct run, in_core));
	while (!list_empty(&core->ended))
		run_free(list_entry(list_first(&core->ended), struct run, in_core));
	for (size_t i = 0; i < core->n_jobs; i++) {
		run_free(core->jobs[i]->red);
		core->jobs[i]->red = NULL;
	}
	lanes_fini(core);
	core->loaded = false;
}

void core_free(struct core *core)
{
	if (!core)
		return;
	core->freeing = true;
	forget_runs(core);
	operations_end(core);
	for (size_t i = 0; i < core->n_jobs; i++)
		job_free(core, core->jobs[i]);
	free(core->jobs);
	locks_fini(core);
	built_fini(core);
	prune_fini(core);
	checks_fini(core);
	metrics_fini(core);
	heap_fini(&core->wall);
	heap_fini(&core->boot);
	spec_free(core->spec);
	free(core->store_why);
	free(core->holder);
	free(core);
}

/* --- configuration
 * ------------------------------------------------------------------------------------ */

/* A job that is gone keeps what is still active of it. */
static void drop_jobs(struct core *core)
{
	for (size_t i = 0; i < core->n_jobs; i++) {
		struct job *job = core->jobs[i];

		if (spec_job_by_name(core->spec, job->name))
			continue;
		spec_job_unref(job->spec);
		job->spec = NULL;
		job_schedule(core, job);
	}
}

void core_configure(struct core *core, struct spec *spec, const struct spec_world *world)
{
	struct spec *old = core->spec;

	core->spec = spec;
	core->world = *world;
	core->world.check_secrets = false; /* definitions only, from here on */
	for (size_t i = 0; i < spec->n_jobs; i++) {
		struct job *job = job_get(core, spec->jobs[i]->name);

		spec_job_unref(job->spec);
		job->spec = spec_job_ref(spec->jobs[i]);
	}
	drop_jobs(core);
	if (core->loaded)
		for (size_t i = 0; i < core->n_jobs; i++)
			job_schedule(core, core->jobs[i]);
	checks_configure(core);
	prune_schedule(core);
	core->places_changed = true;
	core_notice(core, EVENT_CONFIG_LOADED, NULL, "the configuration is loaded: %zu job%s",
		spec->n_jobs, spec->n_jobs == 1 ? "" : "s");
	spec_free(old);
}

/* --- the turn
 * -------------------------------------------------------------------------------------------- */

static bool advance_dirty(struct core *core)
{
	bool any = false;

	while (!list_empty(&core->dirty)) {
		struct run *run = list_entry(list_first(&core->dirty), struct run, dirty);

		list_remove(&run->dirty);
		run_advance(run);
		any = true;
	}
	return any;
}

/* Somebody set the wall clock: slots are looked at anew. */
static void watch_clock(struct core *core)
{
	usec_t ahead = core_now(core) - core_boot(core), by = ahead - core->wall_ahead;

	if (by < CLOCK_SET && by > -CLOCK_SET)
		return;
	core->wall_ahead = ahead;
	for (size_t i = 0; core->loaded && i < core->n_jobs; i++)
		job_schedule(core, core->jobs[i]);
}

/* What can be done now: what is due, what became ready, who gets a place; until nothing is left.
 * Then everything recorded goes out as one unit, and the clock is asked for the next time: at once
 * where more slots are due than a turn takes, so that the first of them begin meanwhile. */
void core_run(struct core *core)
{
	unsigned slots = SLOTS_A_TURN;
	bool any;

	if (core->running)
		return;
	core->running = true;
	watch_clock(core);
	do {
		any = timers_fire(core, &slots);
		any |= advance_dirty(core);
		any |= places_grant(core);
	} while (any);
	operations_drained(core);
	records_submit(core);
	operations_answer(core);
	timers_arm(core);
	core->running = false;
}

/* --- the store
 * ---------------------------------------------------------------------------------------------- */

static void load_job_row(struct core *core, const cJSON *row)
{
	const char *name = json_string(row, "name");
	struct job *job;

	if (!name)
		return;
	job = job_get(core, name);
	job->paused = json_bool(row, "paused", false);
	job->last_slot = json_time(row, "last_slot");
	free(job->schedule);
	free(job->timezone);
	free(job->boot_id);
	job->schedule = xstrdup(json_string(row, "schedule"));
	job->timezone = xstrdup(json_string(row, "timezone"));
	job->boot_id = xstrdup(json_string(row, "boot_id"));
	job->last_number = (uint64_t)json_int(row, "last_number", 0);
	job->last_outcome = outcome_parse(json_string(row, "last_outcome"));
	job->last_ended_at = json_time(row, "last_ended_at");
	job->judged = (uint64_t)json_int(row, "judged", 0);
	job->stored = true;
}

static void alarm_unloadable(struct core *core, const cJSON *loaded, const char *error)
{
	const cJSON *row = json_get(loaded, "run");
	const char *job = json_string(row, "job");

	core_notice(core, EVENT_ALARM, &(struct core_notice){.job = job},
		"%s#%lld cannot be taken up again: %s", job ? job : "?",
		(long long)json_int(row, "number", 0), error);
}

static void load_red(struct core *core, const cJSON *loaded)
{
	_cleanup_free_ char *error = NULL;
	struct run *run = record_to_run(core, loaded, &error);

	if (!run) {
		alarm_unloadable(core, loaded, error);
		return;
	}
	run->detached = true;
	run_free(run->job->red);
	run->job->red = run;
	run->job->judged = run->number;
}

static void load_run(struct core *core, const cJSON *loaded)
{
	_cleanup_free_ char *error = NULL;
	struct run *run = record_to_run(core, loaded, &error);

	if (run)
		run_enlist(run);
	else
		alarm_unloadable(core, loaded, error);
}

/* What is left of a span that ends at `until` by the wall clock, which may be wrong by now. */
static usec_t left_of(const struct core *core, usec_t until, usec_t span)
{
	return MIN(MAX(until - core_now(core), 0), MAX(span, 0));
}

/* A running step goes on where it was: an open attempt is resumed, a retry's time comes anew. */
static void resume_step(struct core *core, struct step *step)
{
	struct attempt *a = step->n_attempts ? step->attempts[step->n_attempts - 1] : NULL;

	if (step->state == LIFE_WAITING && a)
		step->state = LIFE_RUNNING;
	if (step->state != LIFE_RUNNING)
		return;
	if (a && a->state != ATTEMPT_ENDED)
		attempt_resume(a);
	else if (a)
		timer_set_boot(core, &step->retry,
			core_boot(core) +
				left_of(core, step->retry_at, step->retry_at - a->ended_at));
	else
		attempt_begin(step);
}

static void resume_run(struct core *core, struct run *run)
{
	deadlines_resume(run);
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct cell *cell = &run->cells[i];

		if (!cell->part || cell->state != LIFE_RUNNING)
			continue;
		if (cell->current < cell->n_steps) {
			struct step *step = &cell->steps[cell->current];

			resume_step(core, step);
			if (step->cancelled && step->state == LIFE_RUNNING)
				step_cancel(step, step->cancelled);
		}
		if (cell->stop)
			cell_stop(cell, cell->stop, cell->stop_why);
	}
	run_touch(run);
}

static void load_usual(struct core *core, const cJSON *item)
{
	const char *job = json_string(item, "job"), *cell = json_string(item, "cell");

	if (job && cell && job_find(core, job))
		job_set_usual(job_find(core, job), cell, json_int(item, "ms", 0));
}

static void load_all(struct core *core, const cJSON *loaded)
{
	const cJSON *item;

	forget_runs(core);
	cJSON_ArrayForEach(item, json_get(loaded, "jobs")) load_job_row(core, item);
	cJSON_ArrayForEach(item, json_get(loaded, "usual")) load_usual(core, item);
	built_fini(core);
	built_load_usual(core, json_get(loaded, "usual_syncs"));
	cJSON_ArrayForEach(item, json_get(loaded, "red")) load_red(core, item);
	cJSON_ArrayForEach(item, json_get(loaded, "runs")) load_run(core, item);
	core->server_now = json_time(loaded, "now");
	core->server_now_boot = core_boot(core);
	core->loaded = true;
	list_for_each(node, &core->runs) resume_run(core, list_entry(node, struct run, in_core));
}

void core_store_ready(struct core *core, uint64_t epoch, const cJSON *loaded)
{
	core->epoch = epoch;
	core->store = STORE_READY;
	free(core->store_why);
	free(core->holder);
	core->store_why = core->holder = NULL;
	core->places_changed = true;
	core_notice(core, EVENT_STORE_READY, NULL,
		"the store is ready; this daemon leads, epoch %llu", (unsigned long long)epoch);
	if (loaded)
		load_all(core, loaded);
	checks_load(core, json_get(loaded, "checks"));
	for (size_t i = 0; i < core->n_jobs; i++)
		job_schedule(core, core->jobs[i]);
	list_for_each(node, &core->runs) run_touch(list_entry(node, struct run, in_core));
}

void core_store_away(struct core *core, const char *why)
{
	char *copy = xstrdup(why);

	if (core->store == STORE_READY)
		core_notice(core, EVENT_STORE_AWAY, NULL, "the store is away: %s", why);
	core->store = STORE_AWAY;
	free(core->store_why);
	core->store_why = copy;
}

void core_store_lost(struct core *core, const char *holder)
{
	char *copy = xstrdup(holder);

	core_notice(core, EVENT_LEADER_LOST, NULL, "another daemon leads: %s",
		holder ? holder : "unknown");
	core->store = STORE_STANDBY;
	free(core->holder);
	core->holder = copy;
	forget_runs(core);
	checks_stop(core);
	for (size_t i = 0; i < core->n_jobs; i++)
		job_schedule(core, core->jobs[i]);
}

void core_store_report(struct core *core, const cJSON *row)
{
	const char *id = json_string(row, "run_id"), *name = json_string(row, "action");
	int64_t cell = json_int(row, "cell", -1), step = json_int(row, "step", -1);
	struct run *run = id ? run_by_id(core, id) : NULL;
	struct action_status status;
	struct kind_event event = {.type = KIND_ENDED, .status = &status};
	struct attempt *a = NULL;
	struct step *s;

	if (!run || cell < 0 || cell >= run->def->n_cells || step < 0 ||
		(size_t)step >= run->cells[cell].n_steps)
		return;
	s = &run->cells[cell].steps[step];
	if (s->n_attempts)
		a = s->attempts[s->n_attempts - 1];
	if (!a || a->state != ATTEMPT_FOREIGN || a->number != json_int(row, "attempt", -1) ||
		!str_eq(a->open->name, name))
		return;
	timer_clear(core, &a->open->wait);
	event.action = a->open->name;
	action_status_from_json(json_get(row, "status"), &status);
	attempt_action_ended(a, &event);
	action_status_fini(&status);
}

unsigned core_n_running(const struct core *core)
{
	return core->n_running;
}

void core_shutdown(struct core *core)
{
	core->shutting_down = true;
	list_for_each(node, &core->runs)
	{
		struct run *run = list_entry(node, struct run, in_core);

		for (unsigned i = 0; i < run->def->n_cells; i++)
			cell_interrupt(&run->cells[i]);
	}
}
