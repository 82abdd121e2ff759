#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/built.h"
#include "core/cell.h"
#include "core/event.h"
#include "core/operate.h"
#include "core/record.h"
#include "core/ref.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/view.h"

/* --- answers
 * -------------------------------------------------------------------------------------- */

void op_answer(struct core *core, struct core_op *op, enum core_error error, char *take_message,
	cJSON *take_result)
{
	op->error = error;
	op->message = take_message;
	op->result = take_result;
	list_init(&op->link);
	list_append(&core->answers, &op->link);
}

static void op_finish(struct core_op *op)
{
	_cleanup_free_ char *message = op->message;

	list_remove(&op->link);
	op->done(op, op->error, message, op->result);
}

void operations_answer(struct core *core)
{
	while (!list_empty(&core->answers))
		op_finish(list_entry(list_first(&core->answers), struct core_op, link));
}

/* An operation whose rows are on their way. */
struct durable {
	struct commit_wait wait;
	struct list link;
	struct core_op *op;
	cJSON *result;
};

static void durable_committed(struct core *core, struct commit_wait *w, const char *error)
{
	struct durable *d = container_of(w, struct durable, wait);

	list_remove(&d->link);
	if (error)
		cJSON_Delete(d->result);
	op_answer(core, d->op, error ? CORE_E_NO_STORE : CORE_OK, xstrdup(error),
		error ? NULL : d->result);
	free(d);
}

void op_answer_durable(struct core *core, struct core_op *op, cJSON *take_result)
{
	struct durable *d = xnew(struct durable);

	d->op = op;
	d->result = take_result;
	list_init(&d->wait.link);
	list_append(&core->durables, &d->link);
	commit_wait(core, &d->wait, durable_committed);
}

void operations_fail(struct core *core, enum core_error error, const char *message)
{
	while (!list_empty(&core->durables)) {
		struct durable *d = list_entry(list_first(&core->durables), struct durable, link);

		list_remove(&d->link);
		commit_forget(&d->wait);
		op_answer(core, d->op, error, xstrdup(message), NULL);
		cJSON_Delete(d->result);
		free(d);
	}
	operations_answer(core);
}

void operations_end(struct core *core)
{
	while (!list_empty(&core->drains)) {
		struct core_op *op = list_entry(list_first(&core->drains), struct core_op, link);

		list_remove(&op->link);
		op_answer(core, op, CORE_E_REFUSED, xstrdup("the daemon ends"), NULL);
	}
	operations_fail(core, CORE_E_REFUSED, "the daemon ends");
}

bool op_store_refuses(struct core *core, struct core_op *op)
{
	if (core->store == STORE_STANDBY)
		op_answer(core, op, CORE_E_NOT_LEADER,
			xasprintf("another daemon leads: %s",
				core->holder ? core->holder : "unknown"),
			NULL);
	else if (core->store == STORE_AWAY || !core->loaded)
		op_answer(core, op, CORE_E_NO_STORE,
			xasprintf("the store is away: %s", core->store_why ? core->store_why : "?"),
			NULL);
	else
		return false;
	return true;
}

void op_note(struct core *core, struct core_op *op, const char *method, const char *subject)
{
	const char *who = op->who ? op->who : "somebody";

	record_audit(core, who, method, subject, op->reason, true, NULL);
	core_notice(core, EVENT_OPERATED, NULL, "%s: %s %s%s%s", who, method, subject,
		op->reason ? ": " : "", op->reason ? op->reason : "");
}

void core_audit(struct core *core, const char *who, const char *method, const char *subject,
	const char *reason, bool granted, const char *answer)
{
	core_notice(core, EVENT_OPERATED, NULL, "%s: %s %s %s%s%s", who, method,
		subject ? subject : "", granted ? "granted" : "denied", answer ? ": " : "",
		answer ? answer : "");
	/* What anybody may cause must not pile up while the store is away. */
	if (core->store == STORE_READY)
		record_audit(core, who, method, subject, reason, granted, answer);
}

/* --- jobs by name
 * ----------------------------------------------------------------------------------- */

static struct job *job_asked_for(struct core *core, struct core_op *op, const char *name)
{
	struct job *job = job_find(core, name);
	const char **names, *near;
	size_t n = 0;

	if (job && job->spec)
		return job;
	names = xcalloc(core->n_jobs + 1, sizeof(*names));
	for (size_t i = 0; i < core->n_jobs; i++)
		if (core->jobs[i]->spec)
			names[n++] = core->jobs[i]->name;
	near = text_nearest(name, names, n);
	op_answer(core, op, CORE_E_NO_SUCH,
		near ? xasprintf("no job is called \"%s\"; did you mean \"%s\"?", name, near)
		     : xasprintf("no job is called \"%s\"", name),
		NULL);
	free(names);
	return NULL;
}

/* --- narrowing
 * ---------------------------------------------------------------------------------------- */

static void add_choice(struct buf *choices, const char *value)
{
	_cleanup_free_ char *needle = xasprintf("%s", value);
	const char *at = choices->len ? strstr(choices->data, needle) : NULL;
	size_t n = strlen(value);

	for (; at; at = strstr(at + 1, needle))
		if ((at == choices->data || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0'))
			return;
	buf_printf(choices, "%s%s", choices->len ? ", " : "", value);
}

/* All dimensions of the job, or all values of one of them. */
static char *name_choices(const struct spec_job *spec, const char *key)
{
	struct buf choices = BUF_NULL;

	for (size_t i = 0; i < spec->n_stages; i++) {
		const struct spec_stage *stage = &spec->stages[i];

		for (size_t d = 0; d < stage->n_dimensions; d++) {
			if (!key) {
				add_choice(&choices, stage->dimensions[d]);
				continue;
			}
			if (!str_eq(stage->dimensions[d], key))
				continue;
			for (size_t c = 0; c < stage->n_cells; c++)
				add_choice(&choices, stage->cells[c].values[d]);
		}
	}
	return buf_steal(&choices);
}

static bool is_choice(const char *choices, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = strstr(choices, word); at && n; at = strstr(at + 1, word))
		if ((at == choices || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0'))
			return true;
	return false;
}

/* NULL: all of it is known; else a sentence that names the choices. */
static char *only_problem(const struct spec_job *spec, const struct core_only *only, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *keys = name_choices(spec, NULL);
		_cleanup_free_ char *values = name_choices(spec, only[i].key);

		if (!is_choice(keys, only[i].key))
			return *keys ? xasprintf("%s has no dimension \"%s\"; it has: %s",
					       spec->name, only[i].key, keys)
				     : xasprintf("%s has no matrix to narrow", spec->name);
		if (!is_choice(values, only[i].value))
			return xasprintf("%s: no \"%s\"; choose from: %s", only[i].key,
				only[i].value, values);
	}
	return NULL;
}

static char *choice_left_open(const struct spec_job *spec, const struct core_only *only, size_t n)
{
	for (size_t k = 0; spec->choose && spec->choose[k]; k++) {
		_cleanup_free_ char *values = NULL;
		bool given = false;

		for (size_t i = 0; i < n; i++)
			given |= str_eq(only[i].key, spec->choose[k]);
		if (given)
			continue;
		values = name_choices(spec, spec->choose[k]);
		return xasprintf("%s must be told --only %s=..., one of: %s", spec->name,
			spec->choose[k], values);
	}
	return NULL;
}

/* Several values of one key add up; a stage without the dimension stays whole. */
static bool only_has_cell(
	const struct run *run, const struct cell *cell, const struct core_only *only, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = spec_cell_value(run->def, cell->spec, only[i].key);
		bool any = false;

		if (!value)
			continue;
		for (size_t k = 0; k < n; k++)
			any |= str_eq(only[k].key, only[i].key) && str_eq(only[k].value, value);
		if (!any)
			return false;
	}
	return true;
}

/* --- start
 * ------------------------------------------------------------------------------------------------
 */

static bool may_begin(struct core *core, struct core_op *op, struct job *job, enum trigger trigger)
{
	_cleanup_free_ char *reason = NULL;

	if (core->draining || core->shutting_down)
		reason = xstrdup("the daemon is draining");
	else if (memory_is_low())
		reason = xstrdup("the daemon is short of memory");
	else if (run_overlap_allows(core, job, trigger, &reason))
		return true;
	op_answer(core, op, CORE_E_REFUSED, TAKE_PTR(reason), NULL);
	return false;
}

static struct run *run_by_hand(
	struct core *core, struct core_op *op, struct job *job, enum trigger trigger)
{
	struct run *run = run_create(core, job, trigger, 0);

	run->who = xstrdup(op->who);
	run->why = xstrdup(op->reason);
	return run;
}

void core_start(struct core *core, struct core_op *op, const char *job_name,
	const struct core_only *only, size_t n_only)
{
	struct job *job;
	char *problem;
	struct run *run;
	cJSON *result;

	if (op_store_refuses(core, op))
		return;
	job = job_asked_for(core, op, job_name);
	if (!job)
		return;
	problem = only_problem(job->spec, only, n_only);
	if (!problem)
		problem = choice_left_open(job->spec, only, n_only);
	if (problem) {
		op_answer(core, op, CORE_E_USAGE, problem, NULL);
		return;
	}
	if (!may_begin(core, op, job, TRIGGER_MANUAL))
		return;
	run = run_by_hand(core, op, job, TRIGGER_MANUAL);
	for (unsigned i = 0; i < run->def->n_cells; i++)
		run->cells[i].part = only_has_cell(run, &run->cells[i], only, n_only);
	run_narrowed(run);
	op_note(core, op, "start", run->name);
	result = cJSON_CreateObject();
	json_set_string(result, "run", run->name);
	op_answer_durable(core, op, result);
}

/* --- cancel
 * -------------------------------------------------------------------------------------------------
 */

/* Of an attempt: only if that very one is under way. */
static bool cancel_step(struct step *step, unsigned attempt, const char *why)
{
	if (step->state == LIFE_ENDED || (attempt && attempt != step->n_attempts))
		return false;
	if (attempt && step->attempts[attempt - 1]->state == ATTEMPT_ENDED)
		return false;
	step_cancel(step, why);
	return true;
}

static unsigned cancel_cells(struct run *run, const struct ref_target *t, const char *why)
{
	unsigned n = 0;

	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct cell *cell = &run->cells[i];

		if (!cell->part || cell->state == LIFE_ENDED || !ref_target_has_cell(t, cell))
			continue;
		if (t->step >= 0) {
			n += cancel_step(&cell->steps[t->step], t->attempt, why);
			continue;
		}
		cell_stop(cell, STOP_CANCELLED, why);
		n++;
	}
	run_touch(run);
	return n;
}

static char *nothing_to_cancel(const struct ref_target *t, const char *ref)
{
	if (t->attempt)
		return xasprintf("%s does not run: it has ended already, or not begun", ref);
	return xasprintf("%s has ended already", ref);
}

static struct run *active_run(struct core *core, const struct ref *ref)
{
	struct job *job = job_find(core, ref->job);
	struct run *last = NULL;

	if (!job)
		return NULL;
	list_for_each(node, &job->runs)
	{
		struct run *run = list_entry(node, struct run, in_job);

		if (ref->number == 0 || run->number == ref->number)
			last = run;
	}
	return last;
}

void core_cancel(struct core *core, struct core_op *op, const char *ref_text)
{
	_cleanup_free_ char *error = NULL, *why = NULL;
	struct ref_target target;
	struct run *run;
	struct ref ref;

	if (core->store == STORE_STANDBY) {
		op_store_refuses(core, op);
		return;
	}
	if (!ref_parse(ref_text, &ref, &error)) {
		op_answer(core, op, CORE_E_USAGE, TAKE_PTR(error), NULL);
		return;
	}
	run = active_run(core, &ref);
	if (!run) {
		op_answer(core, op, CORE_E_NO_SUCH, xasprintf("%s: no such active run", ref_text),
			NULL);
	} else if (!ref_resolve(run, ref.path, &target, &error)) {
		op_answer(core, op, CORE_E_NO_SUCH, TAKE_PTR(error), NULL);
	} else {
		why = xasprintf("cancelled by %s%s%s", op->who ? op->who : "somebody",
			op->reason ? ": " : "", op->reason ? op->reason : "");
		if (cancel_cells(run, &target, why) == 0) {
			op_answer(core, op, CORE_E_REFUSED, nothing_to_cancel(&target, ref_text),
				NULL);
		} else {
			op_note(core, op, "cancel", ref_text);
			if (core->store == STORE_READY)
				op_answer_durable(core, op, cJSON_CreateObject());
			else /* it acts at once; its record follows */
				op_answer(core, op, CORE_OK, NULL, cJSON_CreateObject());
		}
		ref_target_fini(&target);
	}
	ref_fini(&ref);
}

/* --- retry
 * -----------------------------------------------------------------------------------------------------
 */

struct retry_wish {
	struct core_only *only;
	size_t n_only;
	bool dry_run;
};

static void retry_wish_free(void *context)
{
	struct retry_wish *w = context;

	for (size_t i = 0; i < w->n_only; i++) {
		free((char *)w->only[i].key);
		free((char *)w->only[i].value);
	}
	free(w->only);
	free(w);
}

/* Mostly it is where it was. */
static const struct cell *cell_named(const struct run *run, const char *name, unsigned hint)
{
	if (hint < run->def->n_cells && str_eq(run->cells[hint].spec->name, name))
		return &run->cells[hint];
	for (unsigned i = 0; i < run->def->n_cells; i++)
		if (str_eq(run->cells[i].spec->name, name))
			return &run->cells[i];
	return NULL;
}

/* Not ok: what a retry runs again. Blocked ones, too. */
static enum outcome outcome_in(const struct run *run, const struct cell *cell)
{
	if (!cell->part) {
		const char *prior = json_string(run->prior, cell->spec->name);

		return prior ? outcome_parse(prior) : OUTCOME_OK;
	}
	if (cell->outcome == OUTCOME_SKIPPED)
		return cell->blocked ? OUTCOME_SKIPPED : OUTCOME_OK;
	return cell->outcome;
}

/* Is it a retry of the old run, or of a retry of it, and so on? */
static bool goes_back_to(const struct run *run, const struct run *old)
{
	for (size_t i = 0; i < run->n_retried; i++)
		if (run->retried[i] == old->number)
			return true;
	return false;
}

static bool retry_is_active(const struct job *job, const struct run *old, const struct run **ret)
{
	list_for_each(node, &job->runs)
	{
		const struct run *run = list_entry(node, struct run, in_job);

		if (run->number == old->number || goes_back_to(run, old)) {
			*ret = run;
			return true;
		}
	}
	return false;
}

/* The names of the cells that would run, for the answer. */
static cJSON *retry_cells(
	const struct run *old, const struct spec_job *spec, const struct retry_wish *w)
{
	cJSON *cells = cJSON_CreateArray();
	struct run view = {.def = (struct spec_job *)spec};

	for (unsigned i = 0; i < spec->n_cells; i++) {
		struct cell cell = {.spec = spec_cell_at(spec, i)};
		const struct cell *was = cell_named(old, cell.spec->name, i);

		if (was && outcome_in(old, was) != OUTCOME_OK &&
			only_has_cell(&view, &cell, w->only, w->n_only))
			cJSON_AddItemToArray(cells, cJSON_CreateString(cell.spec->name));
	}
	return cells;
}

static void make_retry(struct core *core, struct core_op *op, struct run *old, cJSON *cells)
{
	struct run *run = run_by_hand(core, op, old->job, TRIGGER_RETRY);
	cJSON *result = cJSON_CreateObject();
	const cJSON *next = cells->child; /* in the order of the run's cells */

	run->retry_of = xstrdup(old->id);
	run->retry_of_name = xstrdup(old->name);
	run->retried = xcalloc(old->n_retried + 1, sizeof(*run->retried));
	for (size_t i = 0; i < old->n_retried; i++)
		run->retried[run->n_retried++] = old->retried[i];
	run->retried[run->n_retried++] = old->number;
	run->built = built_so_far(old);
	run->prior = cJSON_CreateObject();
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct cell *cell = &run->cells[i];
		const struct cell *was = cell_named(old, cell->spec->name, i);
		enum outcome before = was ? outcome_in(old, was) : OUTCOME_OK;

		cell->part = next && str_eq(next->valuestring, cell->spec->name);
		if (cell->part)
			next = next->next;
		if (!cell->part && before != OUTCOME_OK)
			json_set_string(run->prior, cell->spec->name, outcome_name(before));
	}
	run_narrowed(run);
	op_note(core, op, "retry", old->name);
	json_set_string(result, "run", run->name);
	json_set(result, "cells", cells);
	op_answer_durable(core, op, result);
}

static void retry_found(
	struct core *core, struct core_op *op, struct run *old, const char *path, void *context)
{
	const struct retry_wish *w = context;
	const struct run *active = NULL;
	struct job *job = old->job;
	char *problem = NULL;
	cJSON *cells;

	if (op_store_refuses(core, op))
		return;
	if (path)
		problem = xasprintf("retry takes a run; narrow it with --only");
	else if (!job->spec)
		problem = xasprintf("%s is no longer configured", job->name);
	else if (!w->dry_run && retry_is_active(job, old, &active))
		problem = xasprintf("%s is active", active->name);
	if (problem) {
		op_answer(core, op, CORE_E_REFUSED, problem, NULL);
		return;
	}
	problem = only_problem(job->spec, w->only, w->n_only);
	if (problem) {
		op_answer(core, op, CORE_E_USAGE, problem, NULL);
		return;
	}
	cells = retry_cells(old, job->spec, w);
	if (cJSON_GetArraySize(cells) == 0) {
		cJSON_Delete(cells);
		op_answer(core, op, CORE_E_REFUSED,
			xasprintf("%s has no cell that is not ok", old->name), NULL);
	} else if (w->dry_run) {
		cJSON *result = cJSON_CreateObject();

		json_set_null(result, "run");
		json_set(result, "cells", cells);
		op_answer(core, op, CORE_OK, NULL, result);
	} else if (!may_begin(core, op, job, TRIGGER_RETRY)) {
		cJSON_Delete(cells);
	} else {
		make_retry(core, op, old, cells);
	}
}

void core_retry(struct core *core, struct core_op *op, const char *run,
	const struct core_only *only, size_t n_only, bool dry_run)
{
	struct retry_wish *w;

	if (op_store_refuses(core, op))
		return;
	w = xnew(struct retry_wish);
	w->dry_run = dry_run;
	w->n_only = n_only;
	w->only = xcalloc(n_only ? n_only : 1, sizeof(*w->only));
	for (size_t i = 0; i < n_only; i++)
		w->only[i] = (struct core_only){xstrdup(only[i].key), xstrdup(only[i].value)};
	op_with_run(core, op, run, w, retry_found, retry_wish_free);
}

/* --- pause, drain
 * ------------------------------------------------------------------------------------------------
 */

/* Slots that pass while a job is paused are no misses: on resume they count from then. */
void core_pause(struct core *core, struct core_op *op, const char *name, bool paused)
{
	struct job *job;

	if (op_store_refuses(core, op))
		return;
	job = job_asked_for(core, op, name);
	if (!job)
		return;
	if (job->paused != paused) {
		job->paused = paused;
		job->last_slot = slots_now(core);
		record_job(core, job);
		job_schedule(core, job);
	}
	op_note(core, op, paused ? "pause" : "resume", name);
	op_answer_durable(core, op, cJSON_CreateObject());
}

void core_drain(struct core *core, struct core_op *op)
{
	core->draining = true;
	if (core->store == STORE_READY)
		op_note(core, op, "drain", "");
	list_init(&op->link);
	list_append(&core->drains, &op->link);
}

/* An intent that is, or will be, durable: its effect follows as soon as it may. */
static bool is_about_to_act(const struct cell *cell)
{
	const struct step *s = cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
	const struct attempt *a = s && s->n_attempts ? s->attempts[s->n_attempts - 1] : NULL;

	return a && (a->state == ATTEMPT_INTENT || a->state == ATTEMPT_ARMED);
}

static bool nothing_runs(const struct core *core)
{
	if (core->n_running > 0 || core->unit || !list_empty(&core->units))
		return false;
	list_for_each(node, &core->runs)
	{
		const struct run *run = list_entry(node, struct run, in_core);

		for (unsigned i = 0; i < run->def->n_cells; i++)
			if (is_about_to_act(&run->cells[i]))
				return false;
	}
	return true;
}

void operations_drained(struct core *core)
{
	if (!core->draining || !nothing_runs(core))
		return;
	while (!list_empty(&core->drains)) {
		struct core_op *op = list_entry(list_first(&core->drains), struct core_op, link);

		list_remove(&op->link);
		op_answer(core, op, CORE_OK, NULL, cJSON_CreateObject());
	}
}

bool core_is_drained(const struct core *core)
{
	return core->draining && list_empty(&core->drains) && nothing_runs(core);
}
