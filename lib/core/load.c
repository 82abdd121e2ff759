/* Rows from the store, back into runs: after a start or a takeover, and for reading history. */
#include <errno.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/deadline.h"
#include "core/record.h"
#include "core/run.h"
#include "core/slot.h"

static enum life parse_life(const char *s)
{
	for (enum life l = LIFE_WAITING; l <= LIFE_ENDED; l++)
		if (str_eq(s, life_name(l)))
			return l;
	return LIFE_ENDED;
}

static enum trigger parse_trigger(const char *s)
{
	for (enum trigger t = TRIGGER_SCHEDULE; t <= TRIGGER_CATCH_UP; t++)
		if (str_eq(s, trigger_name(t)))
			return t;
	return TRIGGER_MANUAL;
}

/* --- status.json's object, as the store keeps it ------------------------------------------ */

static const char *const end_names[] = {
	[END_EXITED] = "exited",
	[END_SIGNALLED] = "signalled",
	[END_NOT_STARTED] = "not_started",
	[END_INTERRUPTED] = "interrupted",
};

cJSON *action_status_to_json(const struct action_status *s)
{
	cJSON *o = cJSON_CreateObject();

	json_set_string(o, "end", end_names[s->end]);
	json_set_int(o, "code", s->code);
	json_set_int(o, "signal", s->signal);
	json_set_string(o, "stop", stop_reason_name(s->stop));
	json_set_bool(o, "oom_killed", s->oom_killed);
	json_set_bool(o, "lease_over", s->lease_over);
	json_set_time(o, "started_at", s->started_at);
	json_set_time(o, "ended_at", s->ended_at);
	json_set_int(o, "max_rss", (int64_t)s->max_rss);
	json_set_int(o, "cpu_ms", (int64_t)s->cpu_ms);
	json_set_int(o, "output_bytes", (int64_t)s->output_bytes);
	json_set_int(o, "output_dropped", (int64_t)s->output_dropped);
	json_set_string(o, "message", s->message);
	return o;
}

void action_status_from_json(const cJSON *json, struct action_status *ret)
{
	const char *end = json_string(json, "end");

	*ret = (struct action_status){
		.end = END_INTERRUPTED,
		.code = (int)json_int(json, "code", 0),
		.signal = (int)json_int(json, "signal", 0),
		.stop = stop_reason_parse(json_string(json, "stop")),
		.oom_killed = json_bool(json, "oom_killed", false),
		.lease_over = json_bool(json, "lease_over", false),
		.started_at = json_time(json, "started_at"),
		.ended_at = json_time(json, "ended_at"),
		.max_rss = (uint64_t)json_int(json, "max_rss", 0),
		.cpu_ms = (uint64_t)json_int(json, "cpu_ms", 0),
		.output_bytes = (uint64_t)json_int(json, "output_bytes", 0),
		.output_dropped = (uint64_t)json_int(json, "output_dropped", 0),
		.message = xstrdup(json_string(json, "message")),
	};
	for (size_t i = 0; i < ARRAY_SIZE(end_names); i++)
		if (str_eq(end, end_names[i]))
			ret->end = (enum action_end)i;
}

/* --- a run's parts ------------------------------------------------------------------------ */

static void load_step(struct step *step, const cJSON *json)
{
	const cJSON *outputs = json_get(json, "outputs");

	step->state = parse_life(json_string(json, "state"));
	step->outcome = outcome_parse(json_string(json, "outcome"));
	step->reason = xstrdup(json_string(json, "reason"));
	step->blocked = json_bool(json, "blocked", false);
	step->cancelled = xstrdup(json_string(json, "cancelled"));
	if (outputs)
		step->outputs = cJSON_Duplicate(outputs, true);
}

static void load_cell(struct run *run, const cJSON *row)
{
	int64_t index = json_int(row, "index", -1);
	const cJSON *step;
	struct cell *cell;
	size_t i = 0;

	if (index < 0 || index >= run->def->n_cells)
		return;
	cell = &run->cells[index];
	cell->state = parse_life(json_string(row, "state"));
	cell->outcome = outcome_parse(json_string(row, "outcome"));
	cell->reason = xstrdup(json_string(row, "reason"));
	cell->blocked = json_bool(row, "blocked", false);
	cell->started_at = json_time(row, "started_at");
	cell->ended_at = json_time(row, "ended_at");
	cJSON_ArrayForEach(step, json_get(row, "steps"))
	{
		if (json_string(step, "stop")) {
			cell->stop = stop_reason_parse(json_string(step, "stop"));
			cell->stop_why = xstrdup(json_string(step, "stop_why"));
		}
		if (i < cell->n_steps)
			load_step(&cell->steps[i++], step);
	}
}

static struct step *step_at(struct run *run, const cJSON *row)
{
	int64_t cell = json_int(row, "cell", -1), step = json_int(row, "step", -1);

	if (cell < 0 || cell >= run->def->n_cells || step < 0 ||
		(size_t)step >= run->cells[cell].n_steps)
		return NULL;
	return &run->cells[cell].steps[step];
}

static void load_attempt(struct run *run, const cJSON *row)
{
	struct step *step = step_at(run, row);
	struct attempt *a;

	if (!step)
		return;
	a = attempt_new(step, (unsigned)json_int(row, "number", 1));
	a->state = str_eq(json_string(row, "state"), "ended") ? ATTEMPT_ENDED : ATTEMPT_INTENT;
	a->counted = json_bool(row, "counted", true);
	a->outcome = outcome_parse(json_string(row, "outcome"));
	a->reason = xstrdup(json_string(row, "reason"));
	a->has_exit = cJSON_IsNumber(json_get(row, "exit_code"));
	a->exit_code = (int)json_int(row, "exit_code", 0);
	a->signal = (int)json_int(row, "signal", 0);
	a->started_at = json_time(row, "started_at");
	a->ended_at = json_time(row, "ended_at");
	a->max_rss = (uint64_t)json_int(row, "max_rss", 0);
	a->cpu_ms = (uint64_t)json_int(row, "cpu_ms", 0);
	if (cJSON_IsObject(json_get(row, "progress")))
		a->progress = cJSON_Duplicate(json_get(row, "progress"), true);
	step->retry_at = json_time(row, "retry_at");
	if (step->retry_at)
		a->pause = MAX(step->retry_at - a->ended_at, 0);
}

static struct attempt *attempt_at(struct run *run, const cJSON *row)
{
	struct step *step = step_at(run, row);
	int64_t number = json_int(row, "attempt", -1);

	for (size_t i = 0; step && i < step->n_attempts; i++)
		if (step->attempts[i]->number == number)
			return step->attempts[i];
	return NULL;
}

static enum kind_command_type parse_type(const char *s)
{
	for (int t = KIND_SPAWN; t < KIND_DONE; t++)
		if (str_eq(s, action_type_name((enum kind_command_type)t)))
			return (enum kind_command_type)t;
	return KIND_WAIT;
}

static void load_action(struct run *run, const cJSON *row)
{
	struct attempt *a = attempt_at(run, row);
	const char *name = json_string(row, "name"), *state = json_string(row, "state");
	struct kind_command cmd = {
		.type = parse_type(json_string(row, "type")),
		.repeatable = json_bool(row, "repeatable", false),
	};
	struct action *action;

	if (!a || !name)
		return;
	strncpy(cmd.action, name, sizeof(cmd.action) - 1);
	action = action_new(a, &cmd);
	action->ended = str_eq(state, "ended");
	action->epoch = (uint64_t)json_int(row, "epoch", 0);
	action->machine = xstrdup(json_string(row, "machine"));
	action->intent_at = json_time(row, "intent_at");
	action->deadline_at = json_time(row, "deadline_at");
	action->started_at = json_time(row, "started_at");
	action->started = action->started_at != 0;
	action->ended_at = json_time(row, "ended_at");
	if (cJSON_IsObject(json_get(row, "status")))
		action->status = cJSON_Duplicate(json_get(row, "status"), true);
	if (json_get(row, "note") && !cJSON_IsNull(json_get(row, "note")))
		action->note = cJSON_Duplicate(json_get(row, "note"), true);
	action->waited = json_int(action->note, "waited_ms", -1) * USEC_MSEC;
	if (action->waited < 0)
		action->waited = MAX(action->ended_at - action->started_at, 0);
	if (json_string(action->note, "holds_up")) { /* as the kind noted it at the end */
		free(a->holds_up);
		a->holds_up = xstrdup(json_string(action->note, "holds_up"));
	}
}

static void load_plan(struct run *run, const cJSON *row)
{
	struct attempt *a = attempt_at(run, row);

	if (!a)
		return;
	cJSON_Delete(a->plan);
	a->plan = cJSON_Duplicate(row, true);
}

static void load_retried(struct run *run, const cJSON *retried)
{
	const cJSON *number;

	run->retried = xcalloc((size_t)cJSON_GetArraySize(retried) + 1, sizeof(*run->retried));
	cJSON_ArrayForEach(number, retried)
	{
		if (cJSON_IsNumber(number) && number->valuedouble >= 1)
			run->retried[run->n_retried++] = (uint64_t)number->valuedouble;
	}
}

static void load_only(struct run *run, const cJSON *only)
{
	const cJSON *index, *prior = json_get(only, "prior");

	if (!cJSON_IsObject(only))
		return;
	for (unsigned i = 0; i < run->def->n_cells; i++)
		run->cells[i].part = false;
	cJSON_ArrayForEach(index, json_get(only, "cells"))
	{
		if (cJSON_IsNumber(index) && index->valuedouble >= 0 &&
			index->valuedouble < run->def->n_cells)
			run->cells[(unsigned)index->valuedouble].part = true;
	}
	if (cJSON_IsObject(prior))
		run->prior = cJSON_Duplicate(prior, true);
	if (cJSON_IsObject(json_get(only, "built")))
		run->built = cJSON_Duplicate(json_get(only, "built"), true);
	load_retried(run, json_get(only, "retried"));
}

/* What is not in rows but follows from them. */
static void derive_counts(struct run *run)
{
	for (size_t i = 0; i < run->def->n_stages; i++)
		run->stages[i].n_part = 0;
	run->n_open = 0;
	for (unsigned i = 0; i < run->def->n_cells; i++) {
		struct cell *cell = &run->cells[i];

		if (!cell->part) {
			run->narrowed = true;
			continue;
		}
		cell->stage->n_part++;
		if (cell->state == LIFE_ENDED)
			cell->stage->n_ended++;
		else
			run->n_open++;
		if (cell->started_at &&
			(!cell->stage->started_at || cell->started_at < cell->stage->started_at))
			cell->stage->started_at = cell->started_at;
		while (cell->current < cell->n_steps &&
			cell->steps[cell->current].state == LIFE_ENDED)
			cell->current++;
	}
}

/* --- the run ------------------------------------------------------------------------------ */

/* The job's present definition where it is the same one: shared, not built again. */
static struct spec_job *definition_of(
	struct core *core, struct job *job, const cJSON *row, const char *body, char **ret_error)
{
	const char *hash = json_string(row, "definition");
	struct spec_job *def;

	if (job->spec && str_eq(job->spec->hash, hash))
		return spec_job_ref(job->spec);
	list_for_each(node, &job->runs)
	{
		struct run *run = list_entry(node, struct run, in_job);

		if (str_eq(run->def->hash, hash))
			return spec_job_ref(run->def);
	}
	if (!body) {
		*ret_error = xstrdup("its definition is missing");
		return NULL;
	}
	if (spec_job_from_definition(body, &core->world, &def, ret_error) < 0)
		return NULL;
	return def;
}

static void load_head(struct run *run, const cJSON *row)
{
	const char *id = json_string(row, "id");

	strncpy(run->id, id, sizeof(run->id) - 1);
	run->number = (uint64_t)json_int(row, "number", 0);
	run->name = xasprintf("%s#%llu", run->job->name, (unsigned long long)run->number);
	run->trigger = parse_trigger(json_string(row, "trigger"));
	run->state = parse_life(json_string(row, "state"));
	run->outcome = outcome_parse(json_string(row, "outcome"));
	run->reason = xstrdup(json_string(row, "reason"));
	run->scheduled_for = json_time(row, "scheduled_for");
	run->created_at = json_time(row, "created_at");
	run->started_at = json_time(row, "started_at");
	run->ended_at = json_time(row, "ended_at");
	run->deadline.at = json_time(row, "deadline_at");
	deadlines_from_json(run, json_get(row, "deadlines"));
	run->retry_of = xstrdup(json_string(row, "retry_of"));
	run->retry_of_name = xstrdup(json_string(row, "retry_of_name"));
	run->commit = xstrdup(json_string(row, "commit"));
	run->who = xstrdup(json_string(row, "who"));
	run->why = xstrdup(json_string(row, "why"));
}

struct run *record_to_run(struct core *core, const cJSON *loaded, char **ret_error)
{
	const cJSON *row = json_get(loaded, "run"), *item;
	const char *job_name = json_string(row, "job");
	struct spec_job *def;
	struct job *job;
	struct run *run;

	if (!job_name || !json_string(row, "id")) {
		*ret_error = xstrdup("the row of the run is incomplete");
		return NULL;
	}
	job = job_get(core, job_name);
	def = definition_of(core, job, row, json_string(loaded, "definition"), ret_error);
	if (!def)
		return NULL;
	run = run_new(core, job, def);
	load_head(run, row);
	load_only(run, json_get(row, "only_cells"));
	cJSON_ArrayForEach(item, json_get(loaded, "cells")) load_cell(run, item);
	cJSON_ArrayForEach(item, json_get(loaded, "attempts")) load_attempt(run, item);
	cJSON_ArrayForEach(item, json_get(loaded, "actions")) load_action(run, item);
	cJSON_ArrayForEach(item, json_get(loaded, "plans")) load_plan(run, item);
	derive_counts(run);
	return run;
}
