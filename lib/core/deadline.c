#include "base/json.h"
#include "base/memory.h"
#include "core/cell.h"
#include "core/deadline.h"
#include "core/record.h"
#include "core/run.h"
#include "core/timer.h"

/* --- when they pass ----------------------------------------------------------------------- */

static usec_t span_of(const struct stage *stage)
{
	return stage->run->def->stages[stage - stage->run->stages].deadline;
}

static void run_fired(struct core *core, struct timer *t)
{
	struct run *run = container_of(t, struct run, deadline.timer);
	char span[DURATION_MAX];
	_cleanup_free_ char *why = xasprintf(
		"the job's deadline of %s passed", format_duration(run->def->deadline, span));

	run_stop(run, STOP_TIMED_OUT, why);
}

static void stage_fired(struct core *core, struct timer *t)
{
	struct stage *stage = container_of(t, struct stage, deadline.timer);
	struct run *run = stage->run;
	char span[DURATION_MAX];
	_cleanup_free_ char *why = xasprintf(
		"the stage's deadline of %s passed", format_duration(span_of(stage), span));

	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (run->cells[i].part && run->cells[i].stage == stage)
			cell_stop(&run->cells[i], STOP_TIMED_OUT, why);
}

/* --- begun and ended ---------------------------------------------------------------------- */

void deadlines_init(struct run *run)
{
	run->deadline.timer.fire = run_fired;
	for (size_t i = 0; i < run->def->n_stages; i++)
		run->stages[i].deadline.timer.fire = stage_fired;
}

void deadline_clear(struct core *core, struct deadline *d)
{
	timer_clear(core, &d->timer);
	d->held = false;
}

void deadlines_fini(struct run *run)
{
	deadline_clear(run->core, &run->deadline);
	for (size_t i = 0; i < run->def->n_stages; i++)
		deadline_clear(run->core, &run->stages[i].deadline);
}

static void begin(struct core *core, struct deadline *d, usec_t span)
{
	d->at = core_now(core) + span;
	timer_set_boot(core, &d->timer, core_boot(core) + span);
}

void run_deadline_begin(struct run *run)
{
	if (run->def->deadline)
		begin(run->core, &run->deadline, run->def->deadline);
}

void stage_deadline_begin(struct stage *stage)
{
	if (!span_of(stage))
		return;
	begin(stage->run->core, &stage->deadline, span_of(stage));
	record_run(stage->run);
}

/* The wall clock may be wrong by now: never more than the whole span. */
static void resume(struct core *core, struct deadline *d, usec_t span)
{
	if (!d->held)
		timer_set_boot(core, &d->timer,
			core_boot(core) + MIN(MAX(d->at - core_now(core), 0), span));
}

void deadlines_resume(struct run *run)
{
	if (run->deadline.at)
		resume(run->core, &run->deadline, run->def->deadline);
	for (size_t i = 0; i < run->def->n_stages; i++) {
		struct stage *stage = &run->stages[i];

		if (!span_of(stage) || !stage->started_at || stage->n_ended == stage->n_part)
			continue;
		if (!stage->deadline.at)
			stage->deadline.at = stage->started_at + span_of(stage);
		resume(run->core, &stage->deadline, span_of(stage));
	}
}

/* --- approvals ---------------------------------------------------------------------------- */

static bool is_asking(const struct cell *cell)
{
	const struct step *s = cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;

	return s && s->n_attempts && s->attempts[s->n_attempts - 1]->state == ATTEMPT_ASKING;
}

/* What waits for other cells waits, in the end, for those that run. */
static bool run_is_asking(const struct run *run)
{
	if (run->n_asking == 0)
		return false;
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		const struct cell *cell = &run->cells[i];

		if (cell->part && cell->state == LIFE_RUNNING && !is_asking(cell))
			return false;
	}
	return true;
}

/* All that is open of it, and of what that waits for. In doubt time counts: every open cell of a
 * needed stage is looked at, not only those that a cell waits for. */
static bool stage_is_asking(const struct stage *stage)
{
	const struct run *run = stage->run;
	const struct spec_stage *spec = &run->def->stages[stage - run->stages];
	bool asks = false, waits = false;

	for (size_t i = 0; i < spec->n_cells; i++) {
		const struct cell *cell = &run->cells[spec->cells[i].index];

		if (!cell->part || cell->state == LIFE_ENDED)
			continue;
		waits |= cell->state == LIFE_WAITING;
		asks |= is_asking(cell);
		if (cell->state == LIFE_RUNNING && !is_asking(cell))
			return false;
	}
	for (size_t i = 0; waits && i < spec->n_needs; i++) {
		const struct stage *needed = &run->stages[spec->needs[i].stage];

		if (needed->n_ended == needed->n_part)
			continue;
		if (!stage_is_asking(needed))
			return false;
		waits = false;
		asks = true;
	}
	return asks && !waits;
}

/* True if it was changed. */
static bool look(struct core *core, struct deadline *d, bool asking)
{
	usec_t boot = core_boot(core);

	if (d->held == asking || (!d->held && !heap_has(&d->timer.node)))
		return false;
	d->held = asking;
	if (asking) {
		d->left = MAX(d->timer.node.key - boot, 0);
		timer_clear(core, &d->timer);
	} else {
		d->at = core_now(core) + d->left;
		timer_set_boot(core, &d->timer, boot + d->left);
	}
	return true;
}

void deadlines_look(struct run *run)
{
	bool changed = false;

	if (run->state != LIFE_RUNNING)
		return;
	if (run->def->deadline)
		changed = look(run->core, &run->deadline, run_is_asking(run));
	for (size_t i = 0; i < run->def->n_stages; i++) {
		struct stage *stage = &run->stages[i];

		if (span_of(stage))
			changed |= look(run->core, &stage->deadline,
				run->n_asking > 0 && stage_is_asking(stage));
	}
	if (changed)
		record_run(run);
}

/* --- to the store and back ---------------------------------------------------------------- */

static void set_left(cJSON *o, const struct deadline *d)
{
	if (d->held)
		json_set_int(o, "left_ms", d->left / USEC_MSEC);
}

cJSON *deadlines_to_json(const struct run *run)
{
	cJSON *o = cJSON_CreateObject(), *stages = json_set(o, "stages", cJSON_CreateObject());

	set_left(o, &run->deadline);
	for (size_t i = 0; i < run->def->n_stages; i++) {
		const struct deadline *d = &run->stages[i].deadline;
		cJSON *one;

		if (!d->at)
			continue;
		one = json_set(stages, run->def->stages[i].name, cJSON_CreateObject());
		json_set_time(one, "at", d->at);
		set_left(one, d);
	}
	if (stages->child || run->deadline.held)
		return o;
	cJSON_Delete(o);
	return NULL;
}

static void get_left(struct deadline *d, const cJSON *o)
{
	d->left = json_int(o, "left_ms", -1) * USEC_MSEC;
	d->held = d->left >= 0;
}

void deadlines_from_json(struct run *run, const cJSON *json)
{
	const cJSON *stages = json_get(json, "stages");

	if (!cJSON_IsObject(json))
		return;
	get_left(&run->deadline, json);
	for (size_t i = 0; i < run->def->n_stages; i++) {
		const cJSON *one = json_get(stages, run->def->stages[i].name);

		if (!one)
			continue;
		run->stages[i].deadline.at = json_time(one, "at");
		get_left(&run->stages[i].deadline, one);
	}
}
