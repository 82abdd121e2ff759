#include <string.h>
#include "base/memory.h"
#include "core/cell.h"
#include "core/deadline.h"
#include "core/event.h"
#include "core/metrics.h"
#include "core/need.h"
#include "core/record.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/timer.h"
#include "core/uuid.h"
#include "time/instant.h"

/* --- made and freed ----------------------------------------------------------------------- */

struct run *run_new(struct core *core, struct job *job, struct spec_job *take_def)
{
	struct run *run = xnew(struct run);

	run->core = core;
	run->job = job;
	run->def = take_def;
	list_init(&run->in_core);
	list_init(&run->in_job);
	list_init(&run->dirty);
	list_init(&run->todo);
	run->stages = xcalloc(take_def->n_stages, sizeof(*run->stages));
	for (size_t i = 0; i < take_def->n_stages; i++) {
		run->stages[i].run = run;
		run->stages[i].n_part = (unsigned)take_def->stages[i].n_cells;
	}
	run->cells = xcalloc(take_def->n_cells, sizeof(*run->cells));
	for (unsigned i = 0; i < take_def->n_cells; i++)
		cell_init(&run->cells[i], run, i);
	run->n_open = take_def->n_cells;
	deadlines_init(run);
	return run;
}

void run_free(struct run *run)
{
	if (!run)
		return;
	list_remove(&run->in_core);
	list_remove(&run->in_job);
	list_remove(&run->dirty);
	commit_forget(&run->end);
	deadlines_fini(run);
	needs_forget(run);
	for (unsigned i = 0; i < run->def->n_cells; i++)
		cell_fini(&run->cells[i]);
	free(run->cells);
	free(run->stages);
	free(run->name);
	free(run->reason);
	free(run->retry_of);
	free(run->retry_of_name);
	free(run->retried);
	free(run->commit);
	free(run->who);
	free(run->why);
	cJSON_Delete(run->prior);
	cJSON_Delete(run->built);
	spec_job_unref(run->def);
	free(run);
}

void run_enlist(struct run *run)
{
	struct list *at = &run->job->runs;

	list_for_each(node, &run->job->runs)
	{
		if (list_entry(node, struct run, in_job)->number > run->number) {
			at = node;
			break;
		}
	}
	list_insert_before(at, &run->in_job);
	list_append(&run->core->runs, &run->in_core);
}

static const char *trigger_phrase(enum trigger t)
{
	switch (t) {
	case TRIGGER_SCHEDULE:
		return "its slot";
	case TRIGGER_CATCH_UP:
		return "a missed slot";
	case TRIGGER_RETRY:
		return "a retry";
	case TRIGGER_MANUAL:
		return "a start by hand";
	}
	return "";
}

struct run *run_create(struct core *core, struct job *job, enum trigger trigger, usec_t slot)
{
	struct run *run = run_new(core, job, spec_job_ref(job->spec));

	uuid_make(core, run->id);
	run->number = ++job->last_number;
	run->name = xasprintf("%s#%llu", job->name, (unsigned long long)run->number);
	run->trigger = trigger;
	run->scheduled_for = slot;
	run->created_at = core_now(core);
	run_enlist(run);
	record_job(core, job);
	record_definition(core, run->def);
	record_run(run);
	for (unsigned i = 0; i < run->def->n_cells; i++)
		record_cell(&run->cells[i]);
	run_notice(run, EVENT_RUN_CREATED, "%s is made for %s", run->name, trigger_phrase(trigger));
	run_touch(run);
	return run;
}

void run_narrowed(struct run *run)
{
	needs_forget(run);
	for (size_t i = 0; i < run->def->n_stages; i++)
		run->stages[i].n_part = 0;
	run->n_open = 0;
	run->narrowed = false;
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct cell *cell = &run->cells[i];

		if (cell->part) {
			cell->stage->n_part++;
			run->n_open++;
		} else {
			run->narrowed = true;
		}
	}
	record_run(run);
}

struct run *run_by_id(const struct core *core, const char *id)
{
	list_for_each(node, &core->runs)
	{
		struct run *run = list_entry(node, struct run, in_core);

		if (str_eq(run->id, id))
			return run;
	}
	return NULL;
}

struct run *run_by_name(const struct core *core, const char *name)
{
	const char *hash = strrchr(name, '#');
	_cleanup_free_ char *job_name = NULL;
	struct job *job;

	if (!hash)
		return NULL;
	job_name = xstrndup(name, (size_t)(hash - name));
	job = job_find(core, job_name);
	if (!job)
		return NULL;
	list_for_each(node, &job->runs)
	{
		struct run *run = list_entry(node, struct run, in_job);

		if (str_eq(run->name, name))
			return run;
	}
	if (job->red && str_eq(job->red->name, name))
		return job->red;
	list_for_each(node, &core->ended)
	{
		struct run *run = list_entry(node, struct run, in_core);

		if (str_eq(run->name, name))
			return run;
	}
	return NULL;
}

/* --- overlap ------------------------------------------------------------------------------ */

static bool is_by_hand(enum trigger t)
{
	return t == TRIGGER_MANUAL || t == TRIGGER_RETRY;
}

/* The job's active runs, counted by what overlap asks: the last of each, or NULL. */
struct company {
	struct run *by_slot, *by_hand;
	struct run *waiting; /* by a slot, and not begun */
};

static struct company company_of(const struct job *job)
{
	struct company c = {0};

	list_for_each(node, &job->runs)
	{
		struct run *run = list_entry(node, struct run, in_job);

		if (is_by_hand(run->trigger)) {
			c.by_hand = run;
			continue;
		}
		c.by_slot = run;
		if (run->state == LIFE_WAITING)
			c.waiting = run;
	}
	return c;
}

static bool refuse(char **ret_reason, const struct run *run, const char *why)
{
	*ret_reason = xasprintf("%s %s", run->name, why);
	return false;
}

static bool hand_may_join(const struct job *job, const struct company *c, char **ret_reason)
{
	struct run *active = c->by_slot ? c->by_slot : c->by_hand;

	switch (job->spec->overlap) {
	case OVERLAP_ALLOW:
	case OVERLAP_QUEUE: /* it waits */
		return true;
	case OVERLAP_SKIP:
		return active ? refuse(ret_reason, active, "is active (overlap is skip)") : true;
	case OVERLAP_CANCEL_OTHER:
		return active ? refuse(ret_reason, active, "is active (overlap is cancel_other)")
			      : true;
	}
	return true;
}

static void cancel_those_by_slot(struct job *job)
{
	list_for_each(node, &job->runs)
	{
		struct run *run = list_entry(node, struct run, in_job);

		if (!is_by_hand(run->trigger))
			run_stop(
				run, STOP_CANCELLED, "a later slot came (overlap is cancel_other)");
	}
}

/* A slot that finds only runs started by hand waits for them; catch-up runs wait for each other. */
static bool slot_may_join(
	struct job *job, enum trigger trigger, const struct company *c, char **ret_reason)
{
	switch (job->spec->overlap) {
	case OVERLAP_ALLOW:
		return true;
	case OVERLAP_CANCEL_OTHER:
		cancel_those_by_slot(job);
		return true;
	case OVERLAP_QUEUE:
		if (c->waiting && trigger != TRIGGER_CATCH_UP)
			return refuse(ret_reason, c->waiting, "waits already (overlap is queue)");
		return true;
	case OVERLAP_SKIP:
		if (c->by_slot && !(trigger == TRIGGER_CATCH_UP && c->by_slot->trigger == trigger))
			return refuse(ret_reason, c->by_slot, "is still active (overlap is skip)");
		return true;
	}
	return true;
}

bool run_overlap_allows(struct core *core, struct job *job, enum trigger trigger, char **ret_reason)
{
	struct company c = company_of(job);

	return is_by_hand(trigger) ? hand_may_join(job, &c, ret_reason)
				   : slot_may_join(job, trigger, &c, ret_reason);
}

/* Runs of a job go one after another, oldest first, unless overlap is allow. */
static bool may_start(const struct run *run)
{
	const struct job *job = run->job;

	if (job->spec && job->spec->overlap == OVERLAP_ALLOW)
		return true;
	return list_first(&job->runs) == &run->in_job;
}

/* --- its life ----------------------------------------------------------------------------- */

void run_touch(struct run *run)
{
	if (!run->detached && list_empty(&run->dirty))
		list_append(&run->core->dirty, &run->dirty);
}

static void run_enter_running(struct run *run)
{
	struct core *core = run->core;

	run->state = LIFE_RUNNING;
	run->started_at = core_now(core);
	run_deadline_begin(run);
	record_run(run);
	metrics_run_started(run);
	run_notice(run, EVENT_RUN_STARTED, "%s begins", run->name);
}

static void end_durable(struct core *core, struct commit_wait *w, const char *error)
{
	run_free(container_of(w, struct run, end));
}

/* Until the store can tell of its end, readers would find it running there. NULL: no-op. */
static void run_retire(struct run *run)
{
	if (!run)
		return;
	run->detached = true;
	list_append(&run->core->ended, &run->in_core);
	commit_wait(run->core, &run->end, end_durable);
}

static void keep_or_retire(struct run *run)
{
	struct job *job = run->job;

	list_remove(&run->in_core);
	list_remove(&run->in_job);
	list_remove(&run->dirty);
	if (!list_empty(&job->runs))
		run_touch(list_entry(list_first(&job->runs), struct run, in_job));
	if (run->outcome == OUTCOME_CANCELLED || run->number < job->judged) {
		run_retire(run); /* it says nothing about the job, or a later run did */
		return;
	}
	job->judged = run->number;
	run_retire(TAKE_PTR(job->red));
	if (run->outcome == OUTCOME_OK) {
		run_retire(run);
		return;
	}
	job->red = run;
	run->detached = true;
}

static enum outcome worst_of_cells(const struct run *run)
{
	enum outcome worst = OUTCOME_OK;

	for (unsigned i = 0; i < run->def->n_cells; i++) {
		const struct cell *c = &run->cells[i];

		if (!c->part)
			continue;
		if (c->outcome == OUTCOME_SKIPPED)
			worst = outcome_worse(worst, c->blocked ? OUTCOME_FAILED : OUTCOME_OK);
		else
			worst = outcome_worse(worst, c->outcome);
	}
	return worst;
}

static void run_enter_ended(struct run *run)
{
	struct core *core = run->core;
	char span[DURATION_MAX];

	run->state = LIFE_ENDED;
	run->outcome = worst_of_cells(run);
	run->ended_at = core_now(core);
	deadlines_fini(run);
	record_run(run);
	run->job->last_outcome = run->outcome;
	run->job->last_ended_at = run->ended_at;
	record_job(core, run->job);
	metrics_run_ended(run);
	run_notice(run, EVENT_RUN_ENDED, "%s ended %s after %s", run->name,
		outcome_name(run->outcome),
		format_duration(
			run->ended_at - (run->started_at ? run->started_at : run->ended_at), span));
	keep_or_retire(run);
}

void run_advance(struct run *run)
{
	if (run->state == LIFE_WAITING && run->n_open > 0) {
		if (!may_start(run) || run->core->draining)
			return;
		run_enter_running(run);
	}
	cells_advance(run);
	if (run->n_open == 0 && run->state != LIFE_ENDED)
		run_enter_ended(run);
	else
		deadlines_look(run);
}

void run_stop(struct run *run, enum stop_reason reason, const char *why)
{
	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (run->cells[i].part)
			cell_stop(&run->cells[i], reason, why);
	run_touch(run);
}
