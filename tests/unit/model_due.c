#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/model_due.h"
#include "tests/unit/model_gate.h"

/* What was asked for before a deadline, by a daemon that was then stopped, may still begin while
 * its lease lasts. */
#define SLACK (10 * USEC_SEC)

struct interval {
	usec_t from, to; /* after `from`, until `to`; USEC_INFINITY: still */
};

struct due_job {
	char name[8];
	struct model_job rules;
	struct interval paused[32];
	size_t n_paused;
	bool uncertain; /* somebody asked, and has not heard */
};

/* The record of a slot, as the store got it. */
struct record {
	char job[8];
	usec_t first, last, seen; /* seen: on the leader's clock */
	bool missed;
};

struct began {
	struct began *next;
	usec_t boot;
	int stage;
	char run_id[UUID_TEXT];
};

struct model_due {
	struct sim *sim;
	struct due_job jobs[8];
	size_t n_jobs;
	struct record *records;
	size_t n_records, cap_records;
	struct began *began[256];
	bool clock_set;
};

#define broken(d, ...) sim_broken((d)->sim, __VA_ARGS__)

struct model_due *model_due_new(void)
{
	return xnew(struct model_due);
}

void model_due_free(struct model_due *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(d->began); i++)
		while (d->began[i]) {
			struct began *b = d->began[i];

			d->began[i] = b->next;
			free(b);
		}
	free(d->records);
	free(d);
}

void model_due_watch(struct model_due *d, struct sim *sim)
{
	d->sim = sim;
}

void model_due_clock_set(struct model_due *d)
{
	d->clock_set = true;
}

static struct due_job *job_named(struct model_due *d, const char *name)
{
	struct due_job *job;

	for (size_t i = 0; i < d->n_jobs; i++)
		if (str_eq(d->jobs[i].name, name))
			return &d->jobs[i];
	if (d->n_jobs == ARRAY_SIZE(d->jobs))
		broken(d, "too many jobs for the model");
	job = &d->jobs[d->n_jobs++];
	snprintf(job->name, sizeof(job->name), "%s", name);
	return job;
}

void model_due_configured(struct model_due *d, const struct model_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		job_named(d, jobs[i].name)->rules = jobs[i];
}

/* --- paused ------------------------------------------------------------------------------- */

/* Asked at one time, answered well now: in between nobody knows. */
void model_due_paused(struct model_due *d, const char *name, bool paused, usec_t asked)
{
	struct due_job *job = job_named(d, name);
	int leader = sim_leader(d->sim);
	struct interval *last = job->n_paused ? &job->paused[job->n_paused - 1] : NULL;
	bool is_paused = last && last->to == USEC_INFINITY;

	if (!asked || leader < 0) {
		job->uncertain = true;
		return;
	}
	if (!paused && is_paused)
		last->to = asked;
	if (paused && !is_paused && job->n_paused < ARRAY_SIZE(job->paused))
		job->paused[job->n_paused++] =
			(struct interval){sim_host_now(d->sim, (unsigned)leader), USEC_INFINITY};
}

static void check_paused(struct model_due *d, const struct due_job *job, usec_t slot)
{
	for (size_t i = 0; i < job->n_paused && !job->uncertain && !d->clock_set; i++)
		if (slot > job->paused[i].from && slot <= job->paused[i].to)
			broken(d, "%s: a slot runs that passed while it was paused", job->name);
}

/* --- runs --------------------------------------------------------------------------------- */

struct batch {
	const cJSON *run;
	unsigned n;
};

/* Those that one look at the slots caught up. */
static void count_batch(void *arg, const cJSON *other)
{
	struct batch *b = arg;

	b->n += str_eq(json_string(other, "trigger"), "catch_up") &&
		str_eq(json_string(other, "job"), json_string(b->run, "job")) &&
		json_time(other, "created_at") == json_time(b->run, "created_at");
}

static void check_catch_up(struct model_due *d, const struct due_job *job, const cJSON *run)
{
	struct batch b = {.run = run};

	if (str_eq(job->rules.catch_up, "none"))
		broken(d, "%s: a missed slot runs, and catch_up is none", job->name);
	sim_each_row(d->sim, TABLE_RUN, count_batch, &b);
	if (b.n > (str_eq(job->rules.catch_up, "all") ? job->rules.catch_up_max : 1))
		broken(d, "%s: %u missed slots run at once, catch_up is %s, at most %u", job->name,
			b.n, job->rules.catch_up, job->rules.catch_up_max);
}

void model_due_run(struct model_due *d, const cJSON *run)
{
	const struct due_job *job = job_named(d, json_string(run, "job"));
	usec_t slot = json_time(run, "scheduled_for");
	usec_t late = json_time(run, "created_at") - slot;
	bool caught_up = str_eq(json_string(run, "trigger"), "catch_up");

	if (!slot)
		return;
	if (late < 0)
		broken(d, "%s: a slot runs before its time", job->name);
	if (!caught_up && late > job->rules.start_grace)
		broken(d, "%s: a slot runs later than start_grace", job->name);
	if (caught_up && late > job->rules.catch_up_window)
		broken(d, "%s: a slot is caught up later than catch_up_window", job->name);
	if (caught_up && late <= job->rules.start_grace)
		broken(d, "%s: a slot is caught up that was only late", job->name);
	if (caught_up)
		check_catch_up(d, job, run);
	check_paused(d, job, slot);
}

/* --- slots that were left out ------------------------------------------------------------- */

void model_due_slot(struct model_due *d, const cJSON *slot)
{
	int leader = sim_leader(d->sim);
	usec_t first = json_time(slot, "scheduled_for"), until = json_time(slot, "until");
	struct record *r;

	XGROW(d->records, d->n_records, d->cap_records);
	r = &d->records[d->n_records++];
	*r = (struct record){
		.first = first,
		.last = until ? until : first,
		.seen = sim_host_now(d->sim, leader < 0 ? 0 : (unsigned)leader),
		.missed = !json_string(slot, "run_id") &&
			  str_starts(json_string(slot, "reason"), "missed"),
	};
	snprintf(r->job, sizeof(r->job), "%s", json_string(slot, "job"));
}

/* A missed slot within the window is left out only for later ones. */
static void check_left_out(struct model_due *d, const struct record *r)
{
	const struct due_job *job = job_named(d, r->job);
	bool all = str_eq(job->rules.catch_up, "all");
	unsigned later = 0;

	if (str_eq(job->rules.catch_up, "none") || r->seen - r->last > job->rules.catch_up_window)
		return;
	for (size_t i = 0; i < d->n_records; i++)
		later += str_eq(d->records[i].job, r->job) && d->records[i].seen == r->seen &&
			 d->records[i].first > r->last;
	if (later < (all ? job->rules.catch_up_max : 1))
		broken(d,
			"%s: a missed slot is left out, and only %u later ones run: catch_up is %s",
			job->name, later, job->rules.catch_up);
}

void model_due_check(struct model_due *d)
{
	for (size_t i = 0; i < d->n_records && !d->clock_set; i++)
		if (d->records[i].missed)
			check_left_out(d, &d->records[i]);
}

/* --- deadlines ---------------------------------------------------------------------------- */

static struct began **place_of(struct model_due *d, const char *run_id, int stage)
{
	unsigned h = (unsigned)stage + 1;
	struct began **at;

	for (const char *p = run_id; *p; p++)
		h = h * 31 + (unsigned char)*p;
	for (at = &d->began[h % ARRAY_SIZE(d->began)]; *at; at = &(*at)->next)
		if ((*at)->stage == stage && str_eq((*at)->run_id, run_id))
			break;
	return at;
}

void model_due_began(struct model_due *d, const char *run_id, int stage)
{
	struct began **at = place_of(d, run_id, stage);

	if (*at)
		return;
	*at = xnew(struct began);
	(*at)->boot = sim_boot(d->sim);
	(*at)->stage = stage;
	snprintf((*at)->run_id, sizeof((*at)->run_id), "%s", run_id);
}

static void check_deadline(
	struct model_due *d, const char *run_id, int stage, usec_t deadline, const char *what)
{
	const struct began *b = *place_of(d, run_id, stage);

	if (deadline && b && !d->clock_set && sim_boot(d->sim) > b->boot + deadline + SLACK &&
		!model_gate_asked(d->sim, run_id)) /* its clock may have stood still */
		broken(d, "an effect though the deadline of its %s is over", what);
}

void model_due_effect(struct model_due *d, const cJSON *run, const struct spec_job *def,
	const struct action_place *p)
{
	const struct spec_stage *stage = &def->stages[spec_cell_at(def, p->cell)->stage];

	check_deadline(d, json_string(run, "id"), -1, def->deadline, "job");
	check_deadline(d, json_string(run, "id"), (int)stage->index, stage->deadline, "stage");
}

void model_due_cell(struct model_due *d, const cJSON *run, const struct spec_job *def,
	const cJSON *cell, usec_t stage_began)
{
	const char *reason = json_string(cell, "reason");
	const struct spec_stage *stage = spec_stage_by_name(def, json_string(cell, "stage"));
	usec_t ended = json_time(cell, "ended_at");

	if (!reason || d->clock_set)
		return;
	if (str_starts(reason, "the job's deadline") &&
		ended < json_time(run, "started_at") + def->deadline)
		broken(d, "a job's deadline came too soon");
	if (str_starts(reason, "the stage's deadline") && ended < stage_began + stage->deadline)
		broken(d, "the deadline of stage %s came too soon", stage->name);
}
