#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/model_slots.h"

/* When slots may have begun to count anew. */
struct anew {
	usec_t boot; /* the world's clock */
	usec_t now;  /* of a machine */
};

struct schedule {
	char *expression, *timezone;
	struct cron *cron;
	struct zone *zone;
};

struct known_job {
	char *name;
	bool reboots;	  /* its schedule was once @reboot: any instant may be a slot */
	usec_t edited_at; /* boot; USEC_INFINITY: never */
	struct schedule schedules[24];
	size_t n_schedules;
};

struct model_slots {
	struct sim *sim;
	struct spec_world world;
	struct anew *anew;
	size_t n_anew, cap_anew;
	struct known_job jobs[8];
	size_t n_jobs;
	bool clock_set;
};

struct model_slots *model_slots_new(void)
{
	return xnew(struct model_slots);
}

void model_slots_free(struct model_slots *s)
{
	for (size_t i = 0; i < s->n_jobs; i++) {
		for (size_t k = 0; k < s->jobs[i].n_schedules; k++) {
			free(s->jobs[i].schedules[k].expression);
			free(s->jobs[i].schedules[k].timezone);
			cron_free(s->jobs[i].schedules[k].cron);
			zone_free(s->jobs[i].schedules[k].zone);
		}
		free(s->jobs[i].name);
	}
	free(s->anew);
	free(s);
}

void model_slots_watch(struct model_slots *s, struct sim *sim)
{
	s->sim = sim;
	sim_spec_world(sim, &s->world);
}

void model_slots_clock_set(struct model_slots *s)
{
	s->clock_set = true;
}

/* A clock that was ahead, and an edit after it was set back: slots count from that now, and what
 * had been recorded for times ahead of it is met again. */
static bool may_repeat(const struct model_slots *s, const struct known_job *job)
{
	return s->clock_set && job->edited_at != USEC_INFINITY;
}

static struct known_job *job_named(struct model_slots *s, const char *name)
{
	struct known_job *job;

	for (size_t i = 0; i < s->n_jobs; i++)
		if (str_eq(s->jobs[i].name, name))
			return &s->jobs[i];
	if (s->n_jobs == ARRAY_SIZE(s->jobs))
		sim_broken(s->sim, "too many jobs for the model");
	job = &s->jobs[s->n_jobs++];
	job->name = xstrdup(name);
	job->edited_at = USEC_INFINITY;
	return job;
}

void model_slots_anew(struct model_slots *s)
{
	const usec_t now[] = {
		sim_host_now(s->sim, 0), sim_host_now(s->sim, 1), sim_true_now(s->sim)};

	for (size_t i = 0; i < ARRAY_SIZE(now); i++) {
		XGROW(s->anew, s->n_anew, s->cap_anew);
		s->anew[s->n_anew++] = (struct anew){sim_boot(s->sim), now[i]};
	}
}

void model_slots_touch(struct model_slots *s, const char *name)
{
	usec_t boot = sim_boot(s->sim);

	for (size_t i = 0; i < s->n_jobs; i++)
		if (!name || str_eq(s->jobs[i].name, name))
			s->jobs[i].edited_at = MIN(s->jobs[i].edited_at, boot);
	model_slots_anew(s);
}

/* --- schedules
 * --------------------------------------------------------------------------------------------- */

static void job_has_schedule(
	struct model_slots *s, struct known_job *job, const struct model_job *now)
{
	struct schedule *new = &job->schedules[job->n_schedules];
	_cleanup_free_ char *error = NULL;
	void *bytes;
	size_t len;

	for (size_t i = 0; i < job->n_schedules; i++)
		if (str_eq(job->schedules[i].expression, now->schedule) &&
			str_eq(job->schedules[i].timezone, now->timezone))
			return;
	if (job->n_schedules == ARRAY_SIZE(job->schedules) ||
		s->world.zone_bytes(NULL, now->timezone, &bytes, &len) < 0 ||
		cron_parse(now->schedule, &new->cron, &error) < 0)
		sim_broken(s->sim, "the model cannot read %s", now->schedule);
	if (zone_parse(bytes, len, &new->zone) < 0)
		sim_broken(s->sim, "the model cannot read %s", now->timezone);
	free(bytes);
	new->expression = xstrdup(now->schedule);
	new->timezone = xstrdup(now->timezone);
	job->n_schedules++;
}

static usec_t next_slot(const struct schedule *sc, usec_t after)
{
	int64_t next;

	return cron_next(sc->cron, sc->zone, after / USEC_SEC, &next) == 0 ? next * USEC_SEC
									   : USEC_INFINITY;
}

/* May `to` be the record that follows `from` (0: none before it)? */
static bool may_follow(
	const struct model_slots *s, const struct known_job *job, usec_t from, usec_t to)
{
	for (size_t i = 0; i < job->n_schedules; i++) {
		const struct schedule *sc = &job->schedules[i];

		if (from && next_slot(sc, from) == to)
			return true;
		for (size_t k = 0; k < s->n_anew; k++)
			if ((s->anew[k].boot >= job->edited_at || !from) &&
				next_slot(sc, s->anew[k].now) == to)
				return true;
	}
	return false;
}

/* --- rows
 * ----------------------------------------------------------------------------------------------------
 */

void model_slots_row(struct model_slots *s, const cJSON *row)
{
	job_named(s, json_string(row, "job"));
}

struct record {
	usec_t first, last;
	int64_t count;
};

struct records {
	struct model_slots *s;
	const char *job;
	struct record *items;
	size_t n, cap;
	usec_t most;
};

static void collect(void *arg, const cJSON *row)
{
	struct records *r = arg;
	usec_t first = json_time(row, "scheduled_for"), until = json_time(row, "until");

	if (!str_eq(json_string(row, "job"), r->job) || MAX(first, until) > r->most)
		return; /* from when the clock was wrong by years */
	XGROW(r->items, r->n, r->cap);
	r->items[r->n++] = (struct record){first, until ? until : first, json_int(row, "count", 1)};
}

static int by_time(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static void check_count(
	const struct model_slots *s, const struct known_job *job, const struct record *r)
{
	for (size_t i = 0; i < job->n_schedules; i++) {
		usec_t at = r->first;
		int64_t n = 1;

		while (at < r->last && n <= r->count) {
			at = next_slot(&job->schedules[i], at);
			n++;
		}
		if (at == r->last && n == r->count)
			return;
	}
	sim_broken(
		s->sim, "%s: a flood of %lld slots counts wrong", job->name, (long long)r->count);
}

static bool is_paused(const struct model_slots *s, const char *job)
{
	return json_bool(sim_row(s->sim, TABLE_JOB, job), "paused", false);
}

static void check_up_to_now(struct model_slots *s, const struct known_job *job,
	const struct model_job *now, usec_t last)
{
	int leader = sim_leader(s->sim);
	usec_t wall = sim_host_now(s->sim, (unsigned)leader);
	const struct schedule *sc = NULL;
	usec_t from = MAX(last, sim_pruned_before(s->sim));

	for (size_t i = 0; i < job->n_schedules; i++)
		if (str_eq(job->schedules[i].expression, now->schedule) &&
			str_eq(job->schedules[i].timezone, now->timezone))
			sc = &job->schedules[i];
	for (size_t i = 0; i < s->n_anew; i++)
		if (!last || s->anew[i].boot >= job->edited_at)
			from = MAX(from, s->anew[i].now);
	if (next_slot(sc, from) <= wall)
		sim_broken(s->sim, "%s: a slot passed without a record", job->name);
}

static void check_job(struct model_slots *s, const struct model_job *now)
{
	struct known_job *job = job_named(s, now->name);
	struct records r = {.s = s, .job = now->name};
	usec_t last = 0;

	r.most = MAX(sim_host_now(s->sim, 0), sim_host_now(s->sim, 1)) + 3 * USEC_DAY;
	sim_each_row(s->sim, TABLE_SLOT, collect, &r);
	if (r.n)
		qsort(r.items, r.n, sizeof(*r.items), by_time);
	for (size_t i = 0; i < r.n; i++) {
		if (!may_repeat(s, job) && last >= sim_pruned_before(s->sim) &&
			!may_follow(s, job, last, r.items[i].first))
			sim_broken(s->sim, "%s: the slot %lld does not follow %lld", now->name,
				(long long)(r.items[i].first / USEC_SEC),
				(long long)(last / USEC_SEC));
		check_count(s, job, &r.items[i]);
		last = MAX(last, r.items[i].last);
	}
	free(r.items);
	if (now->schedule && !is_paused(s, now->name))
		check_up_to_now(s, job, now, last);
}

void model_slots_configured(struct model_slots *s, const struct model_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct known_job *job = job_named(s, jobs[i].name);

		if (str_eq(jobs[i].schedule, "@reboot"))
			job->reboots = true;
		else if (jobs[i].schedule)
			job_has_schedule(s, job, &jobs[i]);
	}
}

void model_slots_check(struct model_slots *s, const struct model_job *jobs, size_t n)
{
	for (size_t i = 0; i < n && sim_leader(s->sim) >= 0; i++)
		if (jobs[i].schedule && !job_named(s, jobs[i].name)->reboots)
			check_job(s, &jobs[i]);
}

/* --- a slot and its run
 * ----------------------------------------------------------------------------------------- */

struct pair {
	struct model_slots *s;
	const cJSON *run;
};

static void check_pair(void *arg, const cJSON *other)
{
	struct pair *p = arg;

	if (other != p->run && str_eq(json_string(other, "job"), json_string(p->run, "job")) &&
		json_time(other, "scheduled_for") == json_time(p->run, "scheduled_for"))
		sim_broken(p->s->sim, "%s: two runs for one slot", json_string(other, "job"));
}

static void check_run(void *arg, const cJSON *run)
{
	struct model_slots *s = arg;
	usec_t slot = json_time(run, "scheduled_for");
	_cleanup_free_ char *key = NULL;

	if (!slot || may_repeat(s, job_named(s, json_string(run, "job"))))
		return;
	key = xasprintf("%s %lld", json_string(run, "job"), (long long)slot);
	if (!str_eq(json_string(sim_row(s->sim, TABLE_SLOT, key), "run_id"),
		    json_string(run, "id")))
		sim_broken(s->sim, "%s#%lld: its slot knows nothing of it", json_string(run, "job"),
			(long long)json_int(run, "number", 0));
	sim_each_row(s->sim, TABLE_RUN, check_pair, &(struct pair){s, run});
}

void model_slots_check_runs(struct model_slots *s)
{
	sim_each_row(s->sim, TABLE_RUN, check_run, s);
}
