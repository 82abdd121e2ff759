/* Reads for the socket that may need history: from memory where the thing is there, else from the
 * store's second connection.
 *
 * Happy path: op -> found in memory, answered in this turn; or op -> store_read -> answered.
 * Failures: the store is away: CORE_E_NO_STORE; the row is not there: CORE_E_NO_SUCH; what is read
 * does not fit this version: the sentence of record_to_run(). */
#include "base/json.h"
#include "base/memory.h"
#include "core/attempt.h"
#include "core/operate.h"
#include "core/record.h"
#include "core/ref.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/view.h"
#include "time/instant.h"

/* --- a run by reference ------------------------------------------------------------------- */

struct lookup {
	struct store_read read;
	struct core *core;
	struct core_op *op;
	struct ref ref;
	void *context;
	void (*found)(struct core *core, struct core_op *op, struct run *run, const char *path,
		void *context);
	void (*context_free)(void *context);
};

static void lookup_free(struct lookup *l)
{
	if (l->context_free)
		l->context_free(l->context);
	ref_fini(&l->ref);
	free(l->read.job);
	free(l);
}

static void lookup_found(struct lookup *l, struct run *run)
{
	l->found(l->core, l->op, run, l->ref.path, l->context);
	lookup_free(l);
}

static void lookup_failed(struct lookup *l, enum core_error error, char *take_message)
{
	op_answer(l->core, l->op, error, take_message, NULL);
	lookup_free(l);
}

static void lookup_done(struct store_read *read, const char *error, cJSON *take_result)
{
	struct lookup *l = container_of(read, struct lookup, read);
	struct core *core = l->core;
	_cleanup_json_ cJSON *result = take_result;
	_cleanup_free_ char *why = NULL;
	struct run *run;

	if (error) {
		lookup_failed(l, CORE_E_NO_STORE, xstrdup(error));
	} else if (!cJSON_IsObject(json_get(result, "run"))) {
		lookup_failed(l, CORE_E_NO_SUCH,
			l->ref.number ? xasprintf("%s has no run #%llu", l->ref.job,
						(unsigned long long)l->ref.number)
				      : xasprintf("%s has not run yet", l->ref.job));
	} else {
		run = record_to_run(core, result, &why);
		if (run) {
			run->detached = true;
			lookup_found(l, run);
			run_free(run);
		} else {
			lookup_failed(l, CORE_E_REFUSED, xasprintf("it cannot be read: %s", why));
		}
	}
	operations_answer(core);
}

static struct run *run_in_memory(struct core *core, const struct ref *ref)
{
	struct job *job = job_find(core, ref->job);
	_cleanup_free_ char *name = NULL;

	if (!job || !core->loaded)
		return NULL;
	if (ref->number == 0 && !list_empty(&job->runs))
		return list_entry(job->runs.prev, struct run, in_job);
	name = xasprintf("%s#%llu", ref->job,
		(unsigned long long)(ref->number ? ref->number : job->last_number));
	return run_by_name(core, name);
}

void op_with_run(struct core *core, struct core_op *op, const char *ref_text, void *context,
	void (*found)(struct core *core, struct core_op *op, struct run *run, const char *path,
		void *context),
	void (*context_free)(void *context))
{
	struct lookup *l = xnew(struct lookup);
	char *error = NULL;
	struct run *run;

	*l = (struct lookup){
		.core = core,
		.op = op,
		.context = context,
		.found = found,
		.context_free = context_free,
	};
	if (!ref_parse(ref_text, &l->ref, &error)) {
		lookup_failed(l, CORE_E_USAGE, error);
		return;
	}
	run = run_in_memory(core, &l->ref);
	if (run) {
		lookup_found(l, run);
		return;
	}
	l->read.type = l->ref.number ? READ_RUN : READ_LAST_RUN;
	l->read.job = xstrdup(l->ref.job);
	l->read.number = l->ref.number;
	l->read.done = lookup_done;
	core->ports.store.read(core->ports.store.self, &l->read);
}

/* --- show --------------------------------------------------------------------------------- */

static void show_found(
	struct core *core, struct core_op *op, struct run *run, const char *path, void *context)
{
	op_answer(core, op, CORE_OK, NULL, view_run(run, true));
}

void core_get_run(struct core *core, struct core_op *op, const char *ref)
{
	op_with_run(core, op, ref, NULL, show_found, NULL);
}

/* --- logs --------------------------------------------------------------------------------- */

struct log_wish {
	bool failed_only;
};

static void add_log(cJSON *attempts, const struct attempt *a)
{
	const struct cell *cell = a->step->cell;
	_cleanup_free_ char *name = xasprintf(
		"%s/%s/%s.%u", cell->run->name, cell->spec->name, a->step->spec->name, a->number);
	cJSON *o = cJSON_CreateObject(), *actions;

	json_set_string(o, "directory", a->directory);
	json_set_string(o, "name", name);
	json_set_string(o, "cell", cell->spec->name);
	json_set_string(o, "step", a->step->spec->name);
	json_set_int(o, "attempt", a->number);
	json_set_string(o, "outcome", outcome_name(a->outcome));
	json_set_bool(o, "ended", a->state == ATTEMPT_ENDED);
	actions = json_set(o, "actions", cJSON_CreateArray());
	for (size_t i = 0; i < a->n_actions; i++)
		if (a->actions[i]->type == KIND_SPAWN)
			cJSON_AddItemToArray(actions, cJSON_CreateString(a->actions[i]->name));
	cJSON_AddItemToArray(attempts, o);
}

static bool attempt_is_bad(const struct attempt *a)
{
	return a->state == ATTEMPT_ENDED && a->outcome != OUTCOME_OK;
}

static void add_step_logs(
	cJSON *attempts, const struct step *step, const struct ref_target *t, bool failed_only)
{
	for (size_t i = 0; i < step->n_attempts; i++) {
		const struct attempt *a = step->attempts[i];

		if (t->attempt && a->number != t->attempt)
			continue;
		if (failed_only && !attempt_is_bad(a))
			continue;
		add_log(attempts, a);
	}
}

/* One that is not there and will not come. */
static bool lacks_attempt(const struct run *run, const struct ref_target *t)
{
	if (t->attempt == 0 || run->state != LIFE_ENDED)
		return false;
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		const struct cell *cell = &run->cells[i];

		if (cell->part && ref_target_has_cell(t, cell) && t->step >= 0 &&
			cell->steps[t->step].n_attempts >= t->attempt)
			return false;
	}
	return true;
}

static void logs_found(
	struct core *core, struct core_op *op, struct run *run, const char *path, void *context)
{
	const struct log_wish *wish = context;
	struct ref_target t;
	char *error = NULL;
	cJSON *o, *attempts;

	if (!ref_resolve(run, path, &t, &error)) {
		op_answer(core, op, CORE_E_NO_SUCH, error, NULL);
		return;
	}
	if (lacks_attempt(run, &t)) {
		op_answer(core, op, CORE_E_NO_SUCH,
			xasprintf("%s: there was no attempt %u of it", run->name, t.attempt), NULL);
		ref_target_fini(&t);
		return;
	}
	o = cJSON_CreateObject();
	json_set_string(o, "run", run->name);
	json_set_bool(o, "active", run->state != LIFE_ENDED);
	attempts = json_set(o, "attempts", cJSON_CreateArray());
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		const struct cell *cell = &run->cells[i];

		if (!cell->part || !ref_target_has_cell(&t, cell))
			continue;
		for (size_t s = 0; s < cell->n_steps; s++)
			if (t.step < 0 || (size_t)t.step == s)
				add_step_logs(attempts, &cell->steps[s], &t, wish->failed_only);
	}
	ref_target_fini(&t);
	op_answer(core, op, CORE_OK, NULL, o);
}

void core_find_logs(struct core *core, struct core_op *op, const char *ref, bool failed_only)
{
	struct log_wish *wish = xnew(struct log_wish);

	wish->failed_only = failed_only;
	op_with_run(core, op, ref, wish, logs_found, free);
}

/* --- runs --------------------------------------------------------------------------------- */

/* A read with what its answer needs. */
struct reading {
	struct store_read read;
	struct core *core;
	struct core_op *op;
};

static struct reading *reading_new(
	struct core *core, struct core_op *op, enum store_read_type type, const char *job)
{
	struct reading *r = xnew(struct reading);

	r->core = core;
	r->op = op;
	r->read.type = type;
	r->read.job = xstrdup(job);
	return r;
}

static void reading_answer(struct reading *r, const char *error, cJSON *take_result)
{
	struct core *core = r->core;

	op_answer(core, r->op, error ? CORE_E_NO_STORE : CORE_OK, xstrdup(error), take_result);
	free(r->read.job);
	free(r);
	operations_answer(core);
}

/* Memory knows a run better than the store, which may be a commit behind. */
static cJSON *view_newest(const struct core *core, const cJSON *row)
{
	cJSON *o = view_run_row(row);
	const struct run *run = core->loaded ? run_by_name(core, json_string(o, "name")) : NULL;

	if (!run)
		return o;
	cJSON_Delete(o);
	return view_run(run, false);
}

static void runs_read(struct store_read *read, const char *error, cJSON *take_result)
{
	struct reading *r = container_of(read, struct reading, read);
	_cleanup_json_ cJSON *result = take_result;
	cJSON *o, *runs;
	const cJSON *row;

	if (error) {
		reading_answer(r, error, NULL);
		return;
	}
	o = cJSON_CreateObject();
	runs = json_set(o, "runs", cJSON_CreateArray());
	cJSON_ArrayForEach(row, json_get(result, "runs"))
		cJSON_AddItemToArray(runs, view_newest(r->core, row));
	reading_answer(r, NULL, o);
}

void core_list_runs(struct core *core, struct core_op *op, const char *job, unsigned limit)
{
	struct reading *r;

	if (job && !job_find(core, job)) {
		op_answer(
			core, op, CORE_E_NO_SUCH, xasprintf("no job is called \"%s\"", job), NULL);
		return;
	}
	r = reading_new(core, op, READ_RUNS, job);
	r->read.limit = limit;
	r->read.done = runs_read;
	core->ports.store.read(core->ports.store.self, &r->read);
}

/* --- why ---------------------------------------------------------------------------------- */

static cJSON *fate(
	const char *job, usec_t at, const char *what, const char *reason, const char *run)
{
	cJSON *o = cJSON_CreateObject();
	char text[INSTANT_MAX];

	json_set_string(o, "job", job);
	json_set_string(o, "scheduled_for", instant_format_slot(at, text));
	json_set_string(o, "fate", what);
	json_set_string(o, "reason", reason);
	json_set_string(o, "run", run);
	return o;
}

static cJSON *fate_without_record(struct core *core, const struct job *job, usec_t at)
{
	if (!job->spec)
		return fate(job->name, at, "never", "the job is not configured", NULL);
	if (!job_has_slot(job, at))
		return fate(job->name, at, "never", "its schedule has no slot then", NULL);
	if (job->paused)
		return fate(job->name, at, "never", "the job is paused", NULL);
	if (at > core_now(core))
		return fate(job->name, at, "waiting", "it is still to come", NULL);
	if (at > job->last_slot)
		return fate(
			job->name, at, "waiting", "it is just due, or the store was away", NULL);
	return fate(job->name, at, "never",
		"no record: before the job was configured so, or while it was paused", NULL);
}

static void slot_read(struct store_read *read, const char *error, cJSON *take_result)
{
	struct reading *r = container_of(read, struct reading, read);
	_cleanup_json_ cJSON *result = take_result;
	const cJSON *row = json_get(result, "slot");
	struct job *job = job_find(r->core, read->job);
	cJSON *o = NULL;

	if (!error && cJSON_IsObject(row))
		o = fate(read->job, read->at, json_string(row, "fate"), json_string(row, "reason"),
			json_string(row, "run_name"));
	else if (!error && job)
		o = fate_without_record(r->core, job, read->at);
	reading_answer(r, error, o);
}

void core_why(struct core *core, struct core_op *op, const char *name, usec_t instant)
{
	struct reading *r;

	if (!job_find(core, name)) {
		op_answer(
			core, op, CORE_E_NO_SUCH, xasprintf("no job is called \"%s\"", name), NULL);
		return;
	}
	r = reading_new(core, op, READ_SLOT, name);
	r->read.at = instant;
	r->read.done = slot_read;
	core->ports.store.read(core->ports.store.self, &r->read);
}
