#include <string.h>
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/cell.h"
#include "core/deadline.h"
#include "core/event.h"
#include "core/need.h"
#include "core/record.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/timer.h"

static void step_retry_fired(struct core *core, struct timer *t);

void cell_init(struct cell *cell, struct run *run, unsigned index)
{
	const struct spec_stage *stage;

	cell->run = run;
	cell->spec = spec_cell_at(run->def, index);
	cell->stage = &run->stages[cell->spec->stage];
	cell->part = true;
	list_init(&cell->todo);
	list_append(&run->todo, &cell->todo);
	stage = &run->def->stages[cell->spec->stage];
	cell->n_steps = stage->n_steps;
	cell->steps = xcalloc(stage->n_steps, sizeof(*cell->steps));
	for (size_t i = 0; i < stage->n_steps; i++) {
		cell->steps[i].cell = cell;
		cell->steps[i].spec = &stage->steps[i];
		cell->steps[i].index = (unsigned)i;
		cell->steps[i].retry.fire = step_retry_fired;
	}
}

static void step_fini(struct step *step)
{
	timer_clear(step->cell->run->core, &step->retry);
	for (size_t i = 0; i < step->n_attempts; i++)
		attempt_free(step->attempts[i]);
	free(step->attempts);
	free(step->reason);
	free(step->cancelled);
	cJSON_Delete(step->outputs);
}

void cell_fini(struct cell *cell)
{
	for (size_t i = 0; i < cell->n_steps; i++)
		step_fini(&cell->steps[i]);
	free(cell->steps);
	free(cell->reason);
	free(cell->stop_why);
}

bool outcome_is_failure(enum outcome o)
{
	switch (o) {
	case OUTCOME_FAILED:
	case OUTCOME_TIMED_OUT:
	case OUTCOME_TRANSIENT:
	case OUTCOME_NOT_READY:
	case OUTCOME_INTERRUPTED:
	case OUTCOME_NEEDS_PERSON:
		return true;
	default:
		return false;
	}
}

static struct step *current_step(struct cell *cell)
{
	return cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
}

static struct attempt *open_attempt(struct step *step)
{
	struct attempt *a = step->n_attempts ? step->attempts[step->n_attempts - 1] : NULL;

	return a && a->state != ATTEMPT_ENDED ? a : NULL;
}

/* --- the end of a cell -------------------------------------------------------------------- */

static void fail_fast(struct cell *cell)
{
	struct run *run = cell->run;
	_cleanup_free_ char *why = NULL;

	if (!run->def->stages[cell->spec->stage].fail_fast || cell->stage->fail_fast_done ||
		!outcome_is_failure(cell->outcome))
		return;
	cell->stage->fail_fast_done = true;
	why = xasprintf("%s ended %s (fail_fast)", cell->spec->name, outcome_name(cell->outcome));
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct cell *sibling = &run->cells[i];

		if (sibling->part && sibling->stage == cell->stage && sibling != cell)
			cell_stop(sibling, STOP_FAIL_FAST, why);
	}
}

static void set_reason(char **reason, const char *text)
{
	char *copy = xstrdup(text);

	free(*reason);
	*reason = copy;
}

static void cell_enter_ended(
	struct cell *cell, enum outcome outcome, bool blocked, const char *reason)
{
	struct core *core = cell->run->core;

	cell->state = LIFE_ENDED;
	cell->outcome = outcome;
	cell->blocked = blocked;
	set_reason(&cell->reason, reason);
	cell->ended_at = core_now(core);
	cell->run->n_open--;
	if (++cell->stage->n_ended == cell->stage->n_part)
		deadline_clear(core, &cell->stage->deadline);
	if (outcome == OUTCOME_OK && cell->started_at)
		job_set_usual(cell->run->job, cell->spec->name,
			(cell->ended_at - cell->started_at) / USEC_MSEC);
	record_cell(cell);
	cell_notice(cell, EVENT_CELL_ENDED, "%s/%s %s%s%s", cell->run->name, cell->spec->name,
		outcome_name(outcome), reason ? ": " : "", reason ? reason : "");
	needs_cell_ended(cell);
	fail_fast(cell);
	run_touch(cell->run);
}

static void cell_skip(struct cell *cell, bool blocked, const char *reason)
{
	for (size_t i = 0; i < cell->n_steps; i++) {
		struct step *s = &cell->steps[i];

		s->state = LIFE_ENDED;
		s->outcome = OUTCOME_SKIPPED;
		s->blocked = blocked;
		set_reason(&s->reason, reason);
	}
	cell_enter_ended(cell, OUTCOME_SKIPPED, blocked, reason);
}

/* A cell whose steps have all ended: the worst of them, and its reason. */
static void cell_conclude(struct cell *cell)
{
	enum outcome worst = OUTCOME_OK;
	const char *reason = NULL;
	bool any = false;

	for (size_t i = 0; i < cell->n_steps; i++) {
		const struct step *s = &cell->steps[i];

		if (s->outcome == OUTCOME_SKIPPED)
			continue;
		any = true;
		if (outcome_worse(worst, s->outcome) != worst) {
			worst = s->outcome;
			reason = s->reason;
		}
	}
	if (any)
		cell_enter_ended(cell, worst, false, reason);
	else
		cell_enter_ended(
			cell, OUTCOME_SKIPPED, false, "none of its steps is for this cell");
}

/* --- needs
 * ---------------------------------------------------------------------------------------- */

enum readiness {
	READY_WAIT,
	READY_GO,
	READY_BLOCKED,
	READY_NOT_WANTED,
};

static enum readiness need_readiness(const struct cell *cell, size_t k, char **ret_reason)
{
	const struct spec_job *def = cell->run->def;
	const struct spec_need *need = &def->stages[cell->spec->stage].needs[k];
	const char *stage = def->stages[need->stage].name;
	const struct need_sum *sum = need_sum(cell, k);

	if (sum->n == 0 && sum->n_away > 0) {
		*ret_reason = xasprintf("its need %s is narrowed away", stage);
		return READY_NOT_WANTED;
	}
	if (need->when == WHEN_OK && sum->n_not_ok > 0) {
		*ret_reason = xasprintf("needs %s, which ended %s", sum->bad->spec->name,
			outcome_name(sum->bad_outcome));
		return READY_BLOCKED;
	}
	if (sum->n_open > 0)
		return READY_WAIT;
	if (need->when == WHEN_FAILED && sum->n_failed == 0) {
		*ret_reason = xasprintf("nothing of %s failed", stage);
		return READY_NOT_WANTED;
	}
	return READY_GO;
}

static enum readiness cell_readiness(const struct cell *cell, char **ret_reason)
{
	const struct spec_stage *stage = &cell->run->def->stages[cell->spec->stage];
	enum readiness all = READY_GO;

	for (size_t i = 0; i < stage->n_needs; i++) {
		enum readiness r = need_readiness(cell, i, ret_reason);

		if (r == READY_BLOCKED || r == READY_NOT_WANTED)
			return r;
		if (r == READY_WAIT)
			all = READY_WAIT;
	}
	return all;
}

/* --- steps
 * ----------------------------------------------------------------------------------------- */

static void step_end(struct step *step, enum outcome outcome, bool blocked, const char *reason)
{
	step->state = LIFE_ENDED;
	step->outcome = outcome;
	step->blocked = blocked;
	step->retry_at = 0;
	set_reason(&step->reason, reason);
	timer_clear(step->cell->run->core, &step->retry);
}

/* The first of the steps before this one that did not go well; `failed`: that failed, which a
 * cancelled one did not. NULL: none. */
static const struct step *earlier_bad(const struct step *step, bool failed)
{
	for (const struct step *s = step->cell->steps; s < step; s++)
		if (outcome_is_failure(s->outcome) || (!failed && s->outcome == OUTCOME_CANCELLED))
			return s;
	return NULL;
}

/* True if the step is not to run, with its outcome set. */
static bool step_is_skipped(struct step *step)
{
	const struct cell *cell = step->cell;
	const struct step *bad = earlier_bad(step, false);
	_cleanup_free_ char *reason = NULL;

	if (!spec_only_has(&step->spec->only, cell->run->def, cell->spec)) {
		step_end(step, OUTCOME_SKIPPED, false, "not for this cell (only)");
		return true;
	}
	if (cell->stop) {
		reason = xasprintf("the cell was stopped: %s", stop_reason_name(cell->stop));
		step_end(step, stop_outcome(cell->stop), false, reason);
		return true;
	}
	if (step->spec->when == WHEN_OK && bad) {
		reason = xasprintf("step %s is %s", bad->spec->name, outcome_name(bad->outcome));
		step_end(step, OUTCOME_SKIPPED, true, reason);
		return true;
	}
	if (step->spec->when == WHEN_FAILED && !earlier_bad(step, true)) {
		step_end(step, OUTCOME_SKIPPED, false, "no step before it failed");
		return true;
	}
	if (step->cancelled)
		step_end(step, OUTCOME_CANCELLED, false, step->cancelled);
	return step->cancelled;
}

static void step_begin(struct step *step)
{
	step->state = LIFE_RUNNING;
	attempt_begin(step);
}

/* Moves a running cell on: past ended and skipped steps, into the next one, or to its end. */
static void cell_proceed(struct cell *cell)
{
	struct step *step;
	bool skipped = false;

	while ((step = current_step(cell)) && step->state != LIFE_RUNNING) {
		if (step->state == LIFE_WAITING && !step_is_skipped(step)) {
			step_begin(step);
			if (step->state != LIFE_ENDED)
				break;
		} else {
			skipped = true;
		}
		cell->current++;
	}
	if (step && skipped)
		record_cell(cell);
	if (step)
		return;
	if (cell->state != LIFE_ENDED)
		cell_conclude(cell);
}

static void step_retry_fired(struct core *core, struct timer *t)
{
	struct step *step = container_of(t, struct step, retry);

	step->retry_at = 0;
	attempt_begin(step);
	cell_touch(step->cell);
}

void step_attempt_ended(struct step *step, struct attempt *a)
{
	usec_t delay;

	if (attempt_is_retried(a, &delay)) {
		struct core *core = step->cell->run->core;
		char span[DURATION_MAX];

		a->pause = delay;
		step->retry_at = core_now(core) + delay;
		timer_set_boot(core, &step->retry, core_boot(core) + delay);
		attempt_notice(a, EVENT_RETRY_SCHEDULED, "%s/%s/%s.%u %s: tried again in %s%s%s",
			step->cell->run->name, step->cell->spec->name, step->spec->name, a->number,
			outcome_name(a->outcome), format_duration(delay, span),
			a->reason ? ": " : "", a->reason ? a->reason : "");
	} else {
		step_end(step, a->outcome, false, a->reason);
	}
	record_attempt(a);
	record_cell(step->cell);
	cell_touch(step->cell);
}

/* --- the cells of a run
 * ----------------------------------------------------------------------------- */

static void cell_enter_running(struct cell *cell)
{
	struct core *core = cell->run->core;

	cell->state = LIFE_RUNNING;
	cell->started_at = core_now(core);
	if (cell->stage->started_at == 0) {
		cell->stage->started_at = cell->started_at;
		stage_deadline_begin(cell->stage);
	}
	cell_notice(cell, EVENT_CELL_STARTED, "%s/%s begins", cell->run->name, cell->spec->name);
	cell_proceed(cell);
	if (cell->state == LIFE_RUNNING)
		record_cell(cell);
}

static void cell_advance(struct cell *cell)
{
	_cleanup_free_ char *reason = NULL;

	if (cell->state == LIFE_RUNNING) {
		cell_proceed(cell);
		return;
	}
	switch (cell_readiness(cell, &reason)) {
	case READY_WAIT:
		return;
	case READY_GO:
		cell_enter_running(cell);
		return;
	case READY_BLOCKED:
		cell_skip(cell, true, reason);
		return;
	case READY_NOT_WANTED:
		cell_skip(cell, false, reason);
		return;
	}
}

void cells_advance(struct run *run)
{
	while (!list_empty(&run->todo)) {
		struct cell *cell = list_entry(list_first(&run->todo), struct cell, todo);

		list_remove(&cell->todo);
		if (cell->part && cell->state != LIFE_ENDED)
			cell_advance(cell);
	}
}

void cell_touch(struct cell *cell)
{
	if (list_empty(&cell->todo))
		list_append(&cell->run->todo, &cell->todo);
	run_touch(cell->run);
}

void cell_stop(struct cell *cell, enum stop_reason reason, const char *why)
{
	enum outcome outcome = stop_outcome(reason);
	struct step *step = current_step(cell);
	struct attempt *a;

	if (cell->state == LIFE_ENDED)
		return;
	if (!cell->stop) {
		cell->stop = reason;
		cell->stop_why = xstrdup(why);
	}
	a = step ? open_attempt(step) : NULL;
	if (a && !attempt_stop(a, reason, why)) {
		record_cell(cell);
		return; /* its end will come */
	}
	for (size_t i = cell->current; i < cell->n_steps; i++)
		if (cell->steps[i].state != LIFE_ENDED)
			step_end(&cell->steps[i], outcome, false, why);
	cell->current = (unsigned)cell->n_steps;
	cell_enter_ended(cell, outcome, false, why);
}

void step_cancel(struct step *step, const char *why)
{
	struct attempt *a = open_attempt(step);

	if (step->state == LIFE_ENDED)
		return;
	if (!step->cancelled)
		step->cancelled = xstrdup(why);
	if (a)
		attempt_stop(a, STOP_CANCELLED, why);
	else if (step->state == LIFE_RUNNING) /* it waits to be tried again */
		step_end(step, OUTCOME_CANCELLED, false, why);
	record_cell(step->cell);
	cell_touch(step->cell);
}

void cell_interrupt(struct cell *cell)
{
	struct step *step = current_step(cell);
	struct attempt *a = step ? open_attempt(step) : NULL;

	if (cell->state == LIFE_RUNNING && a && a->state == ATTEMPT_RUNNING)
		action_stop(a->open, STOP_SHUTDOWN);
}

/* --- for readers
 * -------------------------------------------------------------------------------------- */

char **cell_holds_up(const struct cell *cell)
{
	const struct run *run = cell->run;
	char **names = NULL;
	size_t n = 0;

	for (unsigned i = 0; i < run->def->n_cells && n < 8; i++) {
		const struct cell *other = &run->cells[i];
		const struct spec_stage *stage = &run->def->stages[other->spec->stage];

		if (!other->part || other == cell)
			continue;
		for (size_t k = 0; k < stage->n_needs; k++) {
			const struct spec_need *need = &stage->needs[k];

			if (need->when != WHEN_OK || need->stage != cell->spec->stage ||
				!spec_only_has(&need->only, run->def, cell->spec) ||
				!spec_cells_join(run->def, other->spec, cell->spec))
				continue;
			names = strv_add(names, &n, xstrdup(other->spec->name));
			break;
		}
	}
	return names;
}

char *cell_waits_for(const struct cell *cell)
{
	const struct spec_stage *stage = &cell->run->def->stages[cell->spec->stage];

	for (size_t i = 0; i < stage->n_needs; i++)
		if (need_sum(cell, i)->n_open > 0)
			return xasprintf(
				"waits for %s", cell->run->def->stages[stage->needs[i].stage].name);
	return xstrdup("waits for its run to begin");
}
