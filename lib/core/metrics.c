/* See metrics.h. The text is Prometheus's: HELP, TYPE, then a line a series, from memory alone. */
#include <string.h>
#include "base/buf.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/run.h"

#define SERIES_MAX 1000 /* jobs, checks, environments */

static const double lateness_bounds[METRICS_BUCKETS] = {
	0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 10, 60, 300};
static const double sync_bounds[METRICS_BUCKETS] = {
	1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 10800};

/* --- counting ----------------------------------------------------------------------------- */

static void observe(struct histogram *h, const double *bounds, usec_t span)
{
	double seconds = (double)MAX(span, 0) / USEC_SEC;
	size_t i = 0;

	while (i < METRICS_BUCKETS && seconds > bounds[i])
		i++;
	if (i < METRICS_BUCKETS)
		h->buckets[i]++;
	h->count++;
	h->sum += seconds;
}

void metrics_run_started(const struct run *run)
{
	if (run->trigger == TRIGGER_SCHEDULE && run->scheduled_for)
		observe(&run->core->metrics.lateness, lateness_bounds,
			run->started_at - run->scheduled_for);
}

void metrics_run_ended(const struct run *run)
{
	run->job->ended[run->outcome]++;
}

void metrics_attempt_ended(const struct attempt *a)
{
	struct metrics *m = &a->step->cell->run->core->metrics;
	const char *kind = a->step->spec->kind->name;
	size_t i = 0;

	while (i < m->n_kinds && !str_eq(m->kinds[i].kind, kind))
		i++;
	if (i == ARRAY_SIZE(m->kinds))
		return;
	if (i == m->n_kinds)
		m->kinds[m->n_kinds++].kind = kind;
	m->kinds[i].ended[a->outcome]++;
}

void metrics_slots_skipped(struct job *job, uint64_t n)
{
	job->skipped += n;
}

static struct metrics_sync *sync_of(struct metrics *m, const char *environment)
{
	for (size_t i = 0; i < m->n_syncs; i++)
		if (str_eq(m->syncs[i].environment, environment))
			return &m->syncs[i];
	if (m->n_syncs == SERIES_MAX)
		return NULL;
	XGROW(m->syncs, m->n_syncs, m->cap_syncs);
	m->syncs[m->n_syncs] = (struct metrics_sync){.environment = xstrdup(environment)};
	return &m->syncs[m->n_syncs++];
}

void metrics_sync(struct core *core, const cJSON *row)
{
	const char *environment = json_string(row, "environment");
	usec_t began = json_time(row, "started_at"), ended = json_time(row, "ended_at");
	struct metrics_sync *s;

	if (!str_eq(json_string(row, "state"), "proved") || !began || !ended)
		return;
	s = sync_of(&core->metrics, environment ? environment : "");
	if (s)
		observe(&s->took, sync_bounds, ended - began);
}

void metrics_fini(struct core *core)
{
	for (size_t i = 0; i < core->metrics.n_syncs; i++)
		free(core->metrics.syncs[i].environment);
	free(core->metrics.syncs);
	core->metrics = (struct metrics){0};
}

/* --- lines -------------------------------------------------------------------------------- */

/* Names of jobs, checks, environments, kinds and outcomes hold nothing that a label must escape. */
static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP nightjar_%s %s\n# TYPE nightjar_%s %s\n", name, help, name, type);
}

static void gauge(struct buf *b, const char *name, const char *help, double value)
{
	head(b, name, "gauge", help);
	buf_printf(b, "nightjar_%s %.17g\n", name, value);
}

static void put_histogram(struct buf *b, const char *name, const char *label, const char *value,
	const struct histogram *h, const double *bounds)
{
	_cleanup_free_ char *own = label ? xasprintf("%s=\"%s\"", label, value) : xstrdup("");
	const char *comma = label ? "," : "", *open = label ? "{" : "", *close = label ? "}" : "";
	uint64_t sum = 0;

	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		sum += h->buckets[i];
		buf_printf(b, "nightjar_%s_bucket{%s%sle=\"%g\"} %llu\n", name, own, comma,
			bounds[i], (unsigned long long)sum);
	}
	buf_printf(b, "nightjar_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, own, comma,
		(unsigned long long)h->count);
	buf_printf(b, "nightjar_%s_sum%s%s%s %.17g\n", name, open, own, close, h->sum);
	buf_printf(b, "nightjar_%s_count%s%s%s %llu\n", name, open, own, close,
		(unsigned long long)h->count);
}

/* --- jobs --------------------------------------------------------------------------------- */

static size_t jobs_shown(const struct core *core)
{
	return MIN(core->n_jobs, (size_t)SERIES_MAX);
}

static void put_runs(struct buf *b, const struct core *core)
{
	uint64_t others[OUTCOMES] = {0};

	head(b, "runs_total", "counter", "Runs that ended, by job and outcome, since the start.");
	for (size_t i = 0; i < core->n_jobs; i++) {
		const struct job *job = core->jobs[i];

		for (enum outcome o = OUTCOME_OK; o < OUTCOMES; o++) {
			if (i >= SERIES_MAX)
				others[o] += job->ended[o];
			else if (job->ended[o])
				buf_printf(b,
					"nightjar_runs_total{job=\"%s\",outcome=\"%s\"} %llu\n",
					job->name, outcome_name(o),
					(unsigned long long)job->ended[o]);
		}
	}
	for (enum outcome o = OUTCOME_OK; o < OUTCOMES; o++)
		if (others[o])
			buf_printf(b, "nightjar_runs_total{job=\"\",outcome=\"%s\"} %llu\n",
				outcome_name(o), (unsigned long long)others[o]);
}

static void put_job_times(struct buf *b, const struct core *core)
{
	head(b, "next_slot_timestamp_seconds", "gauge", "When a job is due next.");
	for (size_t i = 0; i < jobs_shown(core); i++)
		if (core->jobs[i]->next_slot != USEC_INFINITY && core->jobs[i]->next_slot)
			buf_printf(b, "nightjar_next_slot_timestamp_seconds{job=\"%s\"} %.17g\n",
				core->jobs[i]->name, (double)core->jobs[i]->next_slot / USEC_SEC);
	head(b, "last_run_timestamp_seconds", "gauge",
		"When a job's last run ended, and with which outcome.");
	for (size_t i = 0; i < jobs_shown(core); i++)
		if (core->jobs[i]->last_ended_at)
			buf_printf(b,
				"nightjar_last_run_timestamp_seconds{job=\"%s\",outcome=\"%s\"} "
				"%.17g\n",
				core->jobs[i]->name, outcome_name(core->jobs[i]->last_outcome),
				(double)core->jobs[i]->last_ended_at / USEC_SEC);
	head(b, "slots_skipped_total", "counter", "Slots that did not become a run, by job.");
	for (size_t i = 0; i < jobs_shown(core); i++)
		if (core->jobs[i]->skipped)
			buf_printf(b, "nightjar_slots_skipped_total{job=\"%s\"} %llu\n",
				core->jobs[i]->name, (unsigned long long)core->jobs[i]->skipped);
}

/* Within the next hour: what an upgrade would have to wait for. */
static unsigned jobs_due(const struct core *core)
{
	unsigned n = 0;

	for (size_t i = 0; i < core->n_jobs; i++)
		n += core->jobs[i]->next_slot &&
		     core->jobs[i]->next_slot - core_now(core) <= USEC_HOUR;
	return n;
}

/* --- the present -------------------------------------------------------------------------- */

static void put_present(struct buf *b, const struct core *core)
{
	uint64_t runs[2] = {0}, cells[2] = {0};

	list_for_each(node, &core->runs)
	{
		const struct run *run = list_entry(node, struct run, in_core);

		if (run->state != LIFE_ENDED)
			runs[run->state == LIFE_RUNNING]++;
		for (unsigned i = 0; i < run->def->n_cells; i++)
			if (run->cells[i].part && run->cells[i].state != LIFE_ENDED)
				cells[run->cells[i].state == LIFE_RUNNING]++;
	}
	head(b, "runs", "gauge", "Active runs, by state.");
	buf_printf(b,
		"nightjar_runs{state=\"waiting\"} %llu\nnightjar_runs{state=\"running\"} %llu\n",
		(unsigned long long)runs[0], (unsigned long long)runs[1]);
	head(b, "cells", "gauge", "Cells of active runs, by state; a running one may wait.");
	buf_printf(b,
		"nightjar_cells{state=\"waiting\"} %llu\nnightjar_cells{state=\"running\"} %llu\n",
		(unsigned long long)cells[0], (unsigned long long)cells[1]);
	gauge(b, "actions", "Processes and calls under way.", core->n_running);
	gauge(b, "places_taken", "Of max_attempts.", core->n_places);
	gauge(b, "jobs_due", "Jobs with a slot within the next hour.", jobs_due(core));
	gauge(b, "jobs", "Jobs that are configured.", (double)core->spec->n_jobs);
}

static void put_store(struct buf *b, const struct core *core)
{
	gauge(b, "store_up", "1 while the store answers.", core->store != STORE_AWAY);
	gauge(b, "leader", "1 while this daemon may act.",
		core->store != STORE_STANDBY && core->loaded);
	gauge(b, "epoch", "The epoch in which this daemon leads, or last did.",
		(double)core->epoch);
	gauge(b, "draining", "1 while nothing more is started.", core->draining);
	gauge(b, "start_timestamp_seconds", "When this daemon began.",
		(double)core->started_at / USEC_SEC);
}

static void put_attempts(struct buf *b, const struct core *core)
{
	head(b, "attempts_total", "counter",
		"Attempts that ended, by step kind and outcome, since the start.");
	for (size_t i = 0; i < core->metrics.n_kinds; i++)
		for (enum outcome o = OUTCOME_OK; o < OUTCOMES; o++)
			if (core->metrics.kinds[i].ended[o])
				buf_printf(b,
					"nightjar_attempts_total{kind=\"%s\",outcome=\"%s\"} "
					"%llu\n",
					core->metrics.kinds[i].kind, outcome_name(o),
					(unsigned long long)core->metrics.kinds[i].ended[o]);
}

/* --- checks ------------------------------------------------------------------------------- */

static void put_check(struct buf *b, const struct check *c, const char *name, double value)
{
	buf_printf(b, "nightjar_%s{check=\"%s\",environment=\"%s\"} %.17g\n", name, c->name,
		c->environment ? c->environment : "", value);
}

static void put_checks(struct buf *b, const struct core *core)
{
	size_t n = MIN(core->n_checks, (size_t)SERIES_MAX);

	head(b, "check_state", "gauge", "0 unknown, 1 up, 2 down, 3 starting.");
	for (size_t i = 0; i < n; i++)
		put_check(b, core->checks[i], "check_state", core->checks[i]->now.state);
	head(b, "check_since_timestamp_seconds", "gauge", "Since when it is so.");
	for (size_t i = 0; i < n; i++)
		if (core->checks[i]->now.at)
			put_check(b, core->checks[i], "check_since_timestamp_seconds",
				(double)core->checks[i]->now.at / USEC_SEC);
}

/* --- all of it ---------------------------------------------------------------------------- */

void core_view_metrics(const struct core *core, struct buf *out)
{
	const struct metrics *m = &core->metrics;

	put_store(out, core);
	put_present(out, core);
	put_runs(out, core);
	put_job_times(out, core);
	put_attempts(out, core);
	put_checks(out, core);
	head(out, "slot_lateness_seconds", "histogram", "How long after its slot a run began.");
	put_histogram(out, "slot_lateness_seconds", NULL, NULL, &m->lateness, lateness_bounds);
	head(out, "sync_duration_seconds", "histogram",
		"From the trigger of a Metabase sync to its proof, by environment.");
	for (size_t i = 0; i < m->n_syncs; i++)
		put_histogram(out, "sync_duration_seconds", "environment", m->syncs[i].environment,
			&m->syncs[i].took, sync_bounds);
}
