#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/model.h"
#include "tests/unit/model_due.h"
#include "tests/unit/model_gate.h"
#include "tests/unit/model_slots.h"

struct definition {
	char *hash;
	struct spec_job *job;
};

struct seen {
	struct seen *next;
	char key[];
};

struct model {
	struct sim *sim;
	struct spec_world world;
	struct definition *definitions;
	size_t n_definitions, cap_definitions;
	struct seen *seen[256];
	char **cancelled;
	size_t n_cancelled;
	bool clock_set;
	struct model_slots *slots;
	struct model_due *due;
};

#define broken(m, ...) sim_broken((m)->sim, __VA_ARGS__)

struct model *model_new(void)
{
	struct model *m = xnew(struct model);

	m->slots = model_slots_new();
	m->due = model_due_new();
	return m;
}

void model_free(struct model *m)
{
	for (size_t i = 0; i < m->n_definitions; i++) {
		free(m->definitions[i].hash);
		spec_job_unref(m->definitions[i].job);
	}
	free(m->definitions);
	for (size_t i = 0; i < ARRAY_SIZE(m->seen); i++)
		while (m->seen[i]) {
			struct seen *s = m->seen[i];

			m->seen[i] = s->next;
			free(s);
		}
	strv_free(m->cancelled);
	model_slots_free(m->slots);
	model_due_free(m->due);
	free(m);
}

void model_watch(struct model *m, struct sim *sim)
{
	m->sim = sim;
	sim_spec_world(sim, &m->world);
	model_slots_watch(m->slots, sim);
	model_due_watch(m->due, sim);
}

void model_cancelled(struct model *m, const char *ref)
{
	m->cancelled = strv_add(m->cancelled, &m->n_cancelled, xstrdup(ref));
}

void model_clock_set(struct model *m)
{
	m->clock_set = true;
	model_slots_clock_set(m->slots);
	model_due_clock_set(m->due);
}

void model_paused(struct model *m, const char *job, bool paused, usec_t asked)
{
	model_due_paused(m->due, job, paused, asked);
}

void model_slots_edited(struct model *m, const char *job)
{
	model_slots_touch(m->slots, job);
}

void model_configured(struct model *m, const struct model_job *jobs, size_t n)
{
	model_slots_configured(m->slots, jobs, n);
	model_due_configured(m->due, jobs, n);
}

void model_check_slots(struct model *m, const struct model_job *jobs, size_t n)
{
	model_slots_check(m->slots, jobs, n);
}

/* --- reading rows
 * ----------------------------------------------------------------------------------- */

static const struct spec_job *definition_of(struct model *m, const cJSON *run)
{
	const char *hash = json_string(run, "definition");
	_cleanup_free_ char *error = NULL;
	struct spec_job *job;

	for (size_t i = 0; i < m->n_definitions; i++)
		if (str_eq(m->definitions[i].hash, hash))
			return m->definitions[i].job;
	if (spec_job_from_definition(json_string(sim_row(m->sim, TABLE_DEFINITION, hash), "body"),
		    &m->world, &job, &error) < 0)
		broken(m, "a stored definition cannot be read: %s", error);
	XGROW(m->definitions, m->n_definitions, m->cap_definitions);
	m->definitions[m->n_definitions++] = (struct definition){xstrdup(hash), job};
	return job;
}

static const cJSON *cell_row(struct model *m, const char *run_id, unsigned index)
{
	char key[64];

	snprintf(key, sizeof(key), "%s %u", run_id, index);
	return sim_row(m->sim, TABLE_CELL, key);
}

static const cJSON *attempt_row(
	struct model *m, const char *run_id, unsigned cell, unsigned step, unsigned number)
{
	char key[96];

	snprintf(key, sizeof(key), "%s %u %u %u ", run_id, cell, step, number);
	return sim_row(m->sim, TABLE_ATTEMPT, key);
}

static bool is_part(const cJSON *run, unsigned index)
{
	const cJSON *only = json_get(run, "only_cells"), *item;

	if (!cJSON_IsObject(only))
		return true;
	cJSON_ArrayForEach(
		item, json_get(only, "cells")) if (item->valuedouble == index) return true;
	return false;
}

static bool row_is(const cJSON *row, const char *state)
{
	return str_eq(json_string(row, "state"), state);
}

static enum outcome outcome_of(const cJSON *row)
{
	return outcome_parse(json_string(row, "outcome"));
}

static const char *run_text(const cJSON *run)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s#%lld", json_string(run, "job"),
		(long long)json_int(run, "number", 0));
	return text;
}

/* --- needs
 * -------------------------------------------------------------------------------------------- */

static bool is_bad(enum outcome o)
{
	return o == OUTCOME_FAILED || o == OUTCOME_TIMED_OUT || o == OUTCOME_TRANSIENT ||
	       o == OUTCOME_NOT_READY || o == OUTCOME_INTERRUPTED || o == OUTCOME_NEEDS_PERSON;
}

/* Two cells agree on every dimension that both have. */
static bool agree(const struct spec_job *def, const struct spec_cell *a, const struct spec_cell *b)
{
	const struct spec_stage *sa = &def->stages[a->stage], *sb = &def->stages[b->stage];

	for (size_t i = 0; i < sa->n_dimensions; i++)
		for (size_t k = 0; k < sb->n_dimensions; k++)
			if (str_eq(sa->dimensions[i], sb->dimensions[k]) &&
				!str_eq(a->values[i], b->values[k]))
				return false;
	return true;
}

static bool inside(
	const struct spec_only *only, const struct spec_stage *stage, const struct spec_cell *cell)
{
	for (size_t i = 0; i < only->n; i++)
		for (size_t d = 0; d < stage->n_dimensions; d++) {
			bool any = false;

			if (!str_eq(stage->dimensions[d], only->terms[i].dimension))
				continue;
			for (char **v = only->terms[i].values; *v; v++)
				any |= str_eq(*v, cell->values[d]);
			if (!any)
				return false;
		}
	return true;
}

struct verdict {
	bool open, blocked, unwanted;
};

struct tally {
	unsigned n, away, open, failed, not_ok;
};

static void tally_add(struct tally *t, struct model *m, const cJSON *run, const struct spec_cell *c)
{
	bool part = is_part(run, c->index);
	const cJSON *row = cell_row(m, json_string(run, "id"), c->index);
	const cJSON *prior = json_get(json_get(run, "only_cells"), "prior");
	const char *before = json_string(prior, c->name);
	enum outcome o = part ? outcome_of(row) : before ? outcome_parse(before) : OUTCOME_OK;

	if (!part && !str_eq(json_string(run, "trigger"), "retry")) {
		t->away++;
		return;
	}
	t->n++;
	if (part && !row_is(row, "ended")) {
		t->open++;
		return;
	}
	t->failed += is_bad(o);
	t->not_ok += o != OUTCOME_OK &&
		     !(o == OUTCOME_SKIPPED && part && !json_bool(row, "blocked", false));
}

static struct verdict verdict_of(
	struct model *m, const cJSON *run, const struct spec_job *def, const struct spec_cell *cell)
{
	const struct spec_stage *stage = &def->stages[cell->stage];
	struct verdict v = {0};

	for (size_t i = 0; i < stage->n_needs; i++) {
		const struct spec_need *need = &stage->needs[i];
		const struct spec_stage *other = &def->stages[need->stage];
		struct tally t = {0};

		for (size_t k = 0; k < other->n_cells; k++)
			if (inside(&need->only, other, &other->cells[k]) &&
				agree(def, cell, &other->cells[k]))
				tally_add(&t, m, run, &other->cells[k]);
		v.open |= t.open > 0;
		v.blocked |= need->when == WHEN_OK && t.not_ok > 0;
		v.unwanted |= t.n == 0 && t.away > 0;
		v.unwanted |= need->when == WHEN_FAILED && t.open == 0 && t.failed == 0;
	}
	return v;
}

/* --- effects
 * ---------------------------------------------------------------------------------------------- */

static void check_once(struct model *m, const char *key)
{
	unsigned char h = 0;
	struct seen *s;

	for (const char *p = key; *p; p++)
		h = (unsigned char)(h * 31 + *p);
	for (s = m->seen[h]; s; s = s->next)
		if (str_eq(s->key, key))
			broken(m, "an effect twice: %s", key);
	s = xmalloc(sizeof(*s) + strlen(key) + 1);
	memcpy(s->key, key, strlen(key) + 1);
	s->next = m->seen[h];
	m->seen[h] = s;
}

/* "x-${matrix.e}", "x-${run.number}" and literal names: all that the nights use. */
static char *lock_name(const char *template, const struct spec_job *def,
	const struct spec_cell *cell, const cJSON *run)
{
	const char *open = strstr(template, "${"), *value = NULL;
	char number[32];

	if (!open)
		return xstrdup(template);
	if (str_starts(open, "${matrix."))
		for (size_t d = 0; d < def->stages[cell->stage].n_dimensions; d++)
			if (open[9] == def->stages[cell->stage].dimensions[d][0])
				value = cell->values[d];
	snprintf(number, sizeof(number), "%lld", (long long)json_int(run, "number", 0));
	return xasprintf("%.*s%s", (int)(open - template), template, value ? value : number);
}

struct company {
	struct model *m;
	unsigned n, of_stage, exclusive, shared;
	const char *run_id, *lock;
	unsigned stage;
};

static void count_one(void *arg, const struct action_place *p)
{
	struct company *c = arg;
	const cJSON *run = sim_row(c->m->sim, TABLE_RUN, p->run_id);
	const struct spec_job *def = definition_of(c->m, run);
	const struct spec_cell *cell = spec_cell_at(def, p->cell);
	const struct spec_step *step = &def->stages[cell->stage].steps[p->step];
	_cleanup_free_ char *lock =
		step->lock.name ? lock_name(step->lock.name, def, cell, run) : NULL;

	c->n++;
	c->of_stage += str_eq(p->run_id, c->run_id) && cell->stage == c->stage;
	if (c->lock && str_eq(lock, c->lock)) {
		c->exclusive += !step->lock.shared;
		c->shared += step->lock.shared;
	}
}

static void check_places(
	struct model *m, const struct action_place *p, const cJSON *run, const struct spec_job *def)
{
	const struct spec_cell *cell = spec_cell_at(def, p->cell);
	const struct spec_stage *stage = &def->stages[cell->stage];
	const struct spec_step *step = &stage->steps[p->step];
	_cleanup_free_ char *lock =
		step->lock.name ? lock_name(step->lock.name, def, cell, run) : NULL;
	struct company c = {.m = m, .run_id = p->run_id, .stage = cell->stage, .lock = lock};

	sim_each_effect(m->sim, count_one, &c);
	if (c.n > 4)
		broken(m, "%u effects at once, max_attempts is 4", c.n);
	if (stage->max_parallel && c.of_stage > stage->max_parallel)
		broken(m, "%s/%s: %u at once", run_text(run), stage->name, c.of_stage);
	if (lock && c.exclusive + (c.shared > 0) > (str_eq(lock, "warehouse") ? 2u : 1u))
		broken(m, "the lock %s is held %u times and read %u times", lock, c.exclusive,
			c.shared);
}

/* Why there may be an attempt after this one. */
static void check_retry(struct model *m, const struct action_place *p, const struct spec_step *step)
{
	unsigned counted = 0;
	const cJSON *before, *row;
	enum outcome o;

	for (unsigned n = 1; n < p->attempt; n++) {
		row = attempt_row(m, p->run_id, p->cell, p->step, n);
		if (!row || !row_is(row, "ended"))
			broken(m, "attempt %u begins before %u has ended", p->attempt, n);
		counted += json_bool(row, "counted", true);
	}
	if (p->attempt == 1)
		return;
	if (counted >= step->retry.attempts)
		broken(m, "attempt %u of step %s, though %u of %u counted", p->attempt, step->name,
			counted, step->retry.attempts);
	before = attempt_row(m, p->run_id, p->cell, p->step, p->attempt - 1);
	row = attempt_row(m, p->run_id, p->cell, p->step, p->attempt);
	o = outcome_of(before);
	if (!json_bool(before, "counted", true))
		return;
	if (!(step->retry.on & 1u << o))
		broken(m, "step %s is tried again after %s", step->name, outcome_name(o));
	if (!m->clock_set &&
		json_time(row, "started_at") + USEC_MSEC <
			json_time(before, "ended_at") +
				(usec_t)((double)step->retry.delay * (1 - step->retry.jitter)))
		broken(m, "step %s is tried again too soon", step->name);
}

static void check_step_order(struct model *m, const struct action_place *p, const cJSON *cell,
	const struct spec_stage *stage)
{
	const cJSON *steps = json_get(cell, "steps");
	bool failed = false;

	for (unsigned i = 0; i < p->step; i++) {
		const cJSON *s = cJSON_GetArrayItem(steps, (int)i);

		if (!row_is(s, "ended"))
			broken(m, "step %u before step %u has ended", p->step, i);
		failed |= is_bad(outcome_of(s));
	}
	if (stage->steps[p->step].when == WHEN_OK && failed)
		broken(m, "a step after a failed one");
	if (stage->steps[p->step].when == WHEN_FAILED && !failed)
		broken(m, "a step that waits for a failure, without one");
}

static void check_cancelled(struct model *m, const cJSON *run, const struct spec_stage *stage,
	const struct action_place *p)
{
	_cleanup_free_ char *ref =
		xasprintf("%s/%s/%s", run_text(run), stage->name, stage->steps[p->step].name);

	for (size_t i = 0; i < m->n_cancelled; i++) {
		size_t n = strlen(m->cancelled[i]);

		if (strncmp(ref, m->cancelled[i], n) == 0 && (ref[n] == '\0' || ref[n] == '/'))
			broken(m, "an effect of what was cancelled: %s", m->cancelled[i]);
	}
}

static void effect(void *self, const struct action_place *p, uint64_t epoch)
{
	struct model *m = self;
	const cJSON *run = sim_row(m->sim, TABLE_RUN, p->run_id), *action, *cell;
	const struct spec_job *def;
	const struct spec_stage *stage;
	struct verdict v;
	char key[128];

	snprintf(key, sizeof(key), "%s %u %u %u %s", p->run_id, p->cell, p->step, p->attempt,
		p->action);
	check_once(m, key);
	action = sim_row(m->sim, TABLE_ACTION, key);
	cell = cell_row(m, p->run_id, p->cell);
	if (!action || !row_is(action, "intent"))
		broken(m, "an effect without a durable intent: %s", key);
	if (epoch != sim_epoch(m->sim) || (uint64_t)json_int(action, "epoch", 0) != epoch)
		broken(m, "an effect of epoch %llu, while %llu is: %s", (unsigned long long)epoch,
			(unsigned long long)sim_epoch(m->sim), key);
	if (!row_is(run, "running") || !row_is(cell, "running") || !is_part(run, p->cell))
		broken(m, "an effect of what does not run: %s", key);
	def = definition_of(m, run);
	stage = &def->stages[spec_cell_at(def, p->cell)->stage];
	check_cancelled(m, run, stage, p);
	v = verdict_of(m, run, def, spec_cell_at(def, p->cell));
	if (v.open || v.blocked || v.unwanted)
		broken(m, "%s/%s runs before its needs allow it", run_text(run),
			json_string(cell, "name"));
	model_due_effect(m->due, run, def, p);
	check_step_order(m, p, cell, stage);
	check_retry(m, p, &stage->steps[p->step]);
	model_gate_effect(m->sim, p, &stage->steps[p->step]);
	check_places(m, p, run, def);
}

/* --- rows
 * -----------------------------------------------------------------------------------------------------
 */

struct rival {
	struct model *m;
	const cJSON *run;
};

static void check_rival(void *arg, const cJSON *row)
{
	struct rival *r = arg;

	if (row != r->run && row_is(row, "running") &&
		str_eq(json_string(row, "job"), json_string(r->run, "job")))
		broken(r->m, "%s runs beside another run of its job", run_text(r->run));
}

static void check_run_end(struct model *m, const cJSON *run)
{
	const struct spec_job *def = definition_of(m, run);
	enum outcome worst = OUTCOME_OK;

	for (unsigned i = 0; i < def->n_cells; i++) {
		const cJSON *row = cell_row(m, json_string(run, "id"), i);
		enum outcome o = outcome_of(row);

		if (!is_part(run, i))
			continue;
		if (!row_is(row, "ended"))
			broken(m, "%s has ended before %s", run_text(run),
				json_string(row, "name"));
		if (o == OUTCOME_SKIPPED)
			o = json_bool(row, "blocked", false) ? OUTCOME_FAILED : OUTCOME_OK;
		worst = outcome_worse(worst, o);
	}
	if (worst != outcome_of(run))
		broken(m, "%s is %s, its cells are %s", run_text(run), json_string(run, "outcome"),
			outcome_name(worst));
}

static int stage_of(struct model *m, const cJSON *cell)
{
	const cJSON *run = sim_row(m->sim, TABLE_RUN, json_string(cell, "run_id"));

	return (int)spec_stage_by_name(definition_of(m, run), json_string(cell, "stage"))->index;
}

static int rank(const cJSON *row)
{
	return row_is(row, "waiting") ? 1 : row_is(row, "ended") ? 3 : 2;
}

static void row_seen(void *self, enum store_table table, const cJSON *row, int *mark)
{
	struct model *m = self;
	int before = *mark;

	if (table == TABLE_SLOT) {
		model_slots_row(m->slots, row);
		if (!before)
			model_due_slot(m->due, row);
		*mark = 1;
	}
	if (table != TABLE_RUN && table != TABLE_CELL && table != TABLE_ATTEMPT)
		return;
	*mark = rank(row);
	if (*mark < before)
		broken(m, "a row goes back to %s", json_string(row, "state"));
	if (table == TABLE_CELL && *mark == 2)
		model_due_began(m->due, json_string(row, "run_id"), stage_of(m, row));
	if (table != TABLE_RUN || before == *mark)
		return;
	if (!before)
		model_due_run(m->due, row);
	if (*mark == 2)
		model_due_began(m->due, json_string(row, "id"), -1);
	if (*mark == 2 && definition_of(m, row)->overlap != OVERLAP_ALLOW)
		sim_each_row(m->sim, TABLE_RUN, check_rival, &(struct rival){m, row});
	if (*mark == 3)
		check_run_end(m, row);
}

/* What somebody may still want to read, or a restarted daemon to find. */
static void folder_gone(void *self, const char *run_id)
{
	struct model *m = self;
	const cJSON *run = sim_row(m->sim, TABLE_RUN, run_id);

	if (run && sim_run_is_kept(m->sim, run))
		broken(m, "the folder of %s is gone, though it must stay", run_text(run));
}

static void slots_anew(void *self)
{
	model_slots_anew(((struct model *)self)->slots);
}

struct sim_watcher model_watcher(struct model *m)
{
	return (struct sim_watcher){
		.self = m,
		.row = row_seen,
		.effect = effect,
		.folder_gone = folder_gone,
		.slots_anew = slots_anew,
	};
}

/* --- the end
 * ------------------------------------------------------------------------------------------------------
 */

static bool no_step_is_for(const struct spec_stage *stage, const struct spec_cell *cell)
{
	for (size_t i = 0; i < stage->n_steps; i++)
		if (inside(&stage->steps[i].only, stage, cell) &&
			stage->steps[i].when != WHEN_FAILED)
			return false;
	return true;
}

static usec_t stage_began(
	struct model *m, const cJSON *run, const struct spec_job *def, unsigned stage)
{
	usec_t first = USEC_INFINITY;

	for (size_t i = 0; i < def->stages[stage].n_cells; i++) {
		usec_t at = json_time(
			cell_row(m, json_string(run, "id"), def->stages[stage].cells[i].index),
			"started_at");

		if (at)
			first = MIN(first, at);
	}
	return first;
}

static void check_cell(struct model *m, const cJSON *run, const struct spec_job *def, unsigned i)
{
	const struct spec_cell *spec = spec_cell_at(def, i);
	const cJSON *row = cell_row(m, json_string(run, "id"), i);
	struct verdict v = verdict_of(m, run, def, spec);
	bool blocked = json_bool(row, "blocked", false), began = json_time(row, "started_at") != 0;
	enum outcome o = outcome_of(row);

	model_due_cell(m->due, run, def, row, stage_began(m, run, def, spec->stage));
	if (o == OUTCOME_SKIPPED && !json_string(row, "reason"))
		broken(m, "%s/%s is skipped without a reason", run_text(run), spec->name);
	if (o == OUTCOME_SKIPPED && blocked && !v.blocked)
		broken(m, "%s/%s is blocked by nothing", run_text(run), spec->name);
	if (o == OUTCOME_SKIPPED && !blocked && !v.unwanted &&
		!no_step_is_for(&def->stages[spec->stage], spec))
		broken(m, "%s/%s is not wanted, though it is", run_text(run), spec->name);
	if (began && (v.blocked || v.unwanted))
		broken(m, "%s/%s ran against its needs", run_text(run), spec->name);
	if (o != OUTCOME_SKIPPED && !began && o != OUTCOME_CANCELLED && o != OUTCOME_TIMED_OUT)
		broken(m, "%s/%s is %s and never began", run_text(run), spec->name,
			outcome_name(o));
}

static void check_run(void *arg, const cJSON *run)
{
	struct model *m = arg;
	const struct spec_job *def = definition_of(m, run);

	if (!row_is(run, "ended"))
		broken(m, "%s has not ended", run_text(run));
	check_run_end(m, run);
	for (unsigned i = 0; i < def->n_cells; i++)
		if (is_part(run, i))
			check_cell(m, run, def, i);
}

static void check_attempt(void *arg, const cJSON *row)
{
	struct model *m = arg;

	if (!row_is(row, "ended") || outcome_of(row) == OUTCOME_NONE)
		broken(m, "an attempt has not ended");
}

void model_check_end(struct model *m)
{
	sim_each_row(m->sim, TABLE_RUN, check_run, m);
	sim_each_row(m->sim, TABLE_ATTEMPT, check_attempt, m);
	model_slots_check_runs(m->slots);
	model_due_check(m->due);
}
