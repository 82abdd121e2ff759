/* A person's word: who may give it to what, and what they should see before they do.
 *
 * Happy path: REF -> the one attempt below it that waits for a word -> its gate is told, all in one
 * unit -> answered when that is durable. Failures: nothing waits there, or several do; the plan is
 * another by now; the store is away. */
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/gate.h"
#include "core/operate.h"
#include "core/ref.h"
#include "core/slot.h"
#include "core/view.h"

/* --- what waits --------------------------------------------------------------------------- */

struct asking {
	struct attempt **attempts;
	size_t n, cap;
};

static struct attempt *asking_of(const struct cell *cell, const struct ref_target *t)
{
	struct step *step = cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
	struct attempt *a = step && step->n_attempts ? step->attempts[step->n_attempts - 1] : NULL;

	if (!a || a->state != ATTEMPT_ASKING || !cell->part || !ref_target_has_cell(t, cell))
		return NULL;
	if ((t->step >= 0 && (unsigned)t->step != step->index) ||
		(t->attempt && t->attempt != a->number))
		return NULL;
	return a;
}

static void asking_find(struct asking *all, struct run *run, const struct ref_target *t)
{
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct attempt *a = asking_of(&run->cells[i], t);

		if (!a)
			continue;
		XGROW(all->attempts, all->n, all->cap);
		all->attempts[all->n++] = a;
	}
}

static char *ref_of(const struct attempt *a)
{
	return xasprintf(
		"%s/%s/%s", a->scope.run_name, a->step->cell->spec->name, a->step->spec->name);
}

/* The active run that is meant: without a number the last one in which anything waits. */
static struct run *run_meant(struct core *core, const struct ref *ref)
{
	struct job *job = job_find(core, ref->job);
	struct run *last = NULL, *waiting = NULL;

	if (!job)
		return NULL;
	list_for_each(node, &job->runs)
	{
		struct run *run = list_entry(node, struct run, in_job);
		struct asking all = {0};

		if (ref->number && run->number != ref->number)
			continue;
		last = run;
		asking_find(&all, run, &(struct ref_target){.step = -1});
		if (all.n)
			waiting = run;
		free(all.attempts);
	}
	return waiting ? waiting : last;
}

/* Everything below the reference that waits: at least one, or the operation is answered. */
static bool asking_below(
	struct core *core, struct core_op *op, const char *ref_text, struct asking *ret)
{
	_cleanup_free_ char *error = NULL;
	struct asking all = {0};
	struct ref_target target;
	struct ref ref;
	struct run *run;

	if (!ref_parse(ref_text, &ref, &error)) {
		op_answer(core, op, CORE_E_USAGE, TAKE_PTR(error), NULL);
		return false;
	}
	run = run_meant(core, &ref);
	if (!run) {
		op_answer(core, op, CORE_E_NO_SUCH, xasprintf("%s: no such active run", ref_text),
			NULL);
	} else if (!ref_resolve(run, ref.path, &target, &error)) {
		op_answer(core, op, CORE_E_NO_SUCH, TAKE_PTR(error), NULL);
	} else {
		asking_find(&all, run, &target);
		ref_target_fini(&target);
		if (all.n == 0)
			op_answer(core, op, CORE_E_REFUSED,
				xasprintf("%s does not wait for approval", ref_text), NULL);
	}
	ref_fini(&ref);
	*ret = all;
	return all.n > 0;
}

/* --- the word ----------------------------------------------------------------------------- */

static char *name_all(const char *ref, const struct asking *all)
{
	struct buf text = BUF_NULL;

	buf_printf(&text, "%s: several steps wait for approval; choose one: ", ref);
	for (size_t i = 0; i < all->n; i++) {
		_cleanup_free_ char *one = ref_of(all->attempts[i]);

		buf_printf(&text, "%s%s", i ? ", " : "", one);
	}
	return buf_steal(&text);
}

static void decide(struct core *core, struct core_op *op, struct attempt *a, bool approved)
{
	_cleanup_free_ char *ref = ref_of(a);
	cJSON *result = cJSON_CreateObject();

	op_note(core, op, approved ? "approve" : "reject", ref);
	gate_decide(a, approved, op->who ? op->who : "somebody", op->reason);
	json_set_string(result, "ref", ref);
	op_answer_durable(core, op, result);
}

void core_approve(
	struct core *core, struct core_op *op, const char *ref, const char *hash, bool approved)
{
	struct asking all;

	if (op_store_refuses(core, op) || !asking_below(core, op, ref, &all))
		return;
	if (all.n > 1)
		op_answer(core, op, CORE_E_USAGE, name_all(ref, &all), NULL);
	else if (hash && !str_eq(hash, all.attempts[0]->open->hash))
		op_answer(core, op, CORE_E_REFUSED,
			xasprintf("%s waits with another plan by now: look at that one first", ref),
			NULL);
	else
		decide(core, op, all.attempts[0], approved);
	free(all.attempts);
}

/* --- what a person should see before it ---------------------------------------------------- */

#define ELSEWHERE_MOST 10

/* The answer while it is put together: one read of the store a plan, one after the other. */
struct showing {
	struct store_read read;
	struct core *core;
	struct core_op *op;
	cJSON *result;
	cJSON *at;		     /* the approval that the next read is for */
	struct action_place *places; /* in step with the approvals */
	size_t next;
};

static cJSON *view_asked(const struct attempt *a)
{
	_cleanup_free_ char *ref = ref_of(a), *message = gate_message(a);
	cJSON *o = cJSON_CreateObject();

	json_set_string(o, "ref", ref);
	json_set_string(o, "message", message);
	json_set_time(o, "since", a->open->started_at);
	json_set_time(o, "expires_at", a->open->deadline_at);
	json_set_string(o, "commit", a->step->cell->run->commit);
	json_set_string(o, "hash", a->open->hash);
	json_set(o, "plan", view_plan(a));
	json_set(o, "elsewhere", a->plan ? NULL : cJSON_CreateArray());
	return o;
}

static struct action_place place_of(const struct attempt *a)
{
	struct action_place place = {
		.cell = a->step->cell->spec->index,
		.step = a->step->index,
		.attempt = a->number,
	};

	memcpy(place.run_id, a->step->cell->run->id, sizeof(place.run_id));
	return place;
}

static cJSON *view_elsewhere(const cJSON *row)
{
	const char *run = json_string(row, "run"), *cell = json_string(row, "cell_name");
	_cleanup_free_ char *ref = xasprintf("%s/%s", run ? run : "?", cell ? cell : "?");
	cJSON *o = cJSON_CreateObject();

	json_set_string(o, "ref", ref);
	json_set_string(o, "environment", json_string(row, "environment"));
	json_set_string(o, "same", json_bool(row, "same_changes", false) ? "plan" : "commit");
	json_set_string(o, "outcome", json_string(row, "outcome"));
	json_set_time(o, "ended_at", json_time(row, "ended_at"));
	json_set_string(o, "decided_by", json_string(row, "decided_by"));
	return o;
}

static void showing_over(struct showing *s)
{
	op_answer(s->core, s->op, CORE_OK, NULL, s->result);
	free(s->places);
	free(s);
}

static void showing_next(struct showing *s);

/* Without its store the daemon says what it knows: where else it went is not known then. */
static void plans_read(struct store_read *read, const char *error, cJSON *take_result)
{
	struct showing *s = container_of(read, struct showing, read);
	struct core *core = s->core;
	_cleanup_json_ cJSON *result = take_result;
	const cJSON *row;

	if (!error) {
		cJSON *list = json_set(s->at, "elsewhere", cJSON_CreateArray());

		cJSON_ArrayForEach(row, json_get(result, "plans"))
			cJSON_AddItemToArray(list, view_elsewhere(row));
	}
	showing_next(s);
	operations_answer(core);
}

static void showing_next(struct showing *s)
{
	cJSON *approvals = json_get(s->result, "approvals");

	while ((s->at = cJSON_GetArrayItem(approvals, (int)s->next))) {
		struct action_place place = s->places[s->next++];

		if (cJSON_IsArray(json_get(s->at, "elsewhere")))
			continue;
		s->read = (struct store_read){
			.type = READ_PLANS,
			.limit = ELSEWHERE_MOST,
			.place = place,
			.done = plans_read,
		};
		s->core->ports.store.read(s->core->ports.store.self, &s->read);
		return;
	}
	showing_over(s);
}

void core_get_approval(struct core *core, struct core_op *op, const char *ref)
{
	struct showing *s;
	struct asking all;
	cJSON *approvals;

	if (!core->loaded && op_store_refuses(core, op)) /* nothing is known here */
		return;
	if (!asking_below(core, op, ref, &all))
		return;
	s = xnew(struct showing);
	s->core = core;
	s->op = op;
	s->result = cJSON_CreateObject();
	s->places = xcalloc(all.n, sizeof(*s->places));
	approvals = json_set(s->result, "approvals", cJSON_CreateArray());
	for (size_t i = 0; i < all.n; i++) {
		cJSON_AddItemToArray(approvals, view_asked(all.attempts[i]));
		s->places[i] = place_of(all.attempts[i]);
	}
	free(all.attempts);
	showing_next(s);
}
