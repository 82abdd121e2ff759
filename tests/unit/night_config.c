#include <string.h>
#include "base/buf.h"
#include "base/memory.h"
#include "tests/unit/night_config.h"

#define PICK(sim, array) ((array)[sim_random(sim) % ARRAY_SIZE(array)])

static bool maybe(struct sim *sim, unsigned percent)
{
	return sim_random(sim) % 100 < percent;
}

static const char *schedule(struct sim *sim)
{
	static const char *const all[] = {"@hourly", "*/20 * * * *", "0 */3 * * *", "30 1 * * *",
		"0 6 * * *", "15 2,3 * * *", "*/30 0-6 * * *", "@daily", "45 * * * *", "@reboot",
		"7 2-5 * * *", NULL};

	return PICK(sim, all);
}

static const char *timezone_of(struct sim *sim)
{
	static const char *const all[] = {"UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata",
		"Australia/Lord_Howe", "America/Santiago"};

	return PICK(sim, all);
}

/* --- steps
 * ------------------------------------------------------------------------------------------- */

static void put_retry(struct sim *sim, struct buf *b)
{
	static const char *const on[] = {"['transient']", "['transient', 'interrupted']",
		"['failed', 'timed_out']", "['transient', 'timed_out', 'interrupted', 'failed']"};

	buf_printf(b,
		", 'retry': {'attempts': %d, 'delay': '%ds', 'factor': %s, 'jitter': %s, 'on': %s",
		(int)(1 + sim_random(sim) % 4), (int)(10 + sim_random(sim) % 300),
		maybe(sim, 50) ? "1" : "2", maybe(sim, 50) ? "0" : "0.5", PICK(sim, on));
	buf_puts(b, maybe(sim, 50) ? "}" : ", 'max_delay': '10m'}");
}

static void put_lock(struct sim *sim, struct buf *b)
{
	static const char *const names[] = {"warehouse", "env-${matrix.e}", "run-${run.number}"};
	const char *name = PICK(sim, names);

	if (maybe(sim, 50))
		buf_printf(b, ", 'lock': '%s'", name);
	else
		buf_printf(b, ", 'lock': {'name': '%s', 'shared': %s}", name,
			maybe(sim, 60) ? "true" : "false");
}

/* Nobody waits for ever: approvals expire. */
static void put_gate(struct sim *sim, struct buf *b, bool approval)
{
	bool check = maybe(sim, 15);

	approval |= maybe(sim, 8);
	if (!approval && !check)
		return;
	buf_printf(
		b, ", 'gate': {%s%s", check ? "'check': 'mb'" : "", check && approval ? ", " : "");
	if (approval)
		buf_printf(b, "'approval': {'expires': '%dm'}", (int)(10 + sim_random(sim) % 240));
	buf_printf(b, "}");
}

static void put_kind(struct sim *sim, struct buf *b, bool plans)
{
	static const char *const does[] = {"spawn http wait spawn", "spawn not_ready:2",
		"once http", "http wait once spawn", "wait spawn", "once",
		"spawn http not_ready:1 spawn", "http not_ready:9", "lane", "spawn lane spawn",
		"query lane http", "looks lane not_ready:1"};

	if (maybe(sim, 60))
		buf_puts(b, "'run': ['x'], 'transient_codes': [75]");
	else if (plans)
		buf_puts(b, "'made_up_plans': {'does': 'plan:p1 ask:p1 spawn'}");
	else
		buf_printf(b, "'made_up': {'does': '%s'}, 'ready_timeout': '1h'", PICK(sim, does));
}

static void put_step(struct sim *sim, struct buf *b, unsigned n, unsigned dimensions)
{
	static const char *const whens[] = {"ok", "failed", "ended"};
	bool plans = maybe(sim, 15);

	buf_printf(b, "%s{'name': 's%u', ", n ? ", " : "", n);
	put_kind(sim, b, plans);
	put_gate(sim, b, plans);
	buf_printf(b, ", 'timeout': '%dm', 'kill_after': '10s'", (int)(5 + sim_random(sim) % 60));
	if (maybe(sim, 50))
		put_retry(sim, b);
	if (dimensions > 0 && maybe(sim, 30))
		put_lock(sim, b);
	if (n > 0 && maybe(sim, 40))
		buf_printf(b, ", 'when': '%s'", PICK(sim, whens));
	if (dimensions > 0 && maybe(sim, 10))
		buf_puts(b, ", 'only': {'e': ['a']}");
	if (maybe(sim, 20))
		buf_puts(b, ", 'secrets': ['PASS']");
	buf_puts(b, "}");
}

/* --- stages
 * ------------------------------------------------------------------------------------------- */

static void put_needs(struct sim *sim, struct buf *b, unsigned n, const unsigned *dimensions)
{
	static const char *const whens[] = {"ok", "ok", "failed", "ended"};
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (maybe(sim, 30))
			continue;
		buf_printf(b, "%s{'stage': 'g%u', 'when': '%s'", any ? ", " : ", 'needs': [", i,
			PICK(sim, whens));
		if (dimensions[i] > 0 && maybe(sim, 20))
			buf_puts(b, ", 'only': {'e': ['b']}");
		buf_puts(b, "}");
		any = true;
	}
	if (any)
		buf_puts(b, "]");
}

static void put_stage(struct sim *sim, struct buf *b, unsigned n, unsigned *dimensions)
{
	unsigned steps = 1 + (unsigned)(sim_random(sim) % 3);

	dimensions[n] = (unsigned)(sim_random(sim) % 3);
	buf_printf(b, "%s{'name': 'g%u'", n ? ", " : "", n);
	put_needs(sim, b, n, dimensions);
	if (dimensions[n] == 1)
		buf_puts(b, ", 'matrix': {'e': ['a', 'b']}");
	if (dimensions[n] == 2)
		buf_puts(b, ", 'matrix': {'e': ['a', 'b'], 't': ['x', 'y']}");
	if (maybe(sim, 30))
		buf_puts(b, ", 'fail_fast': true");
	if (maybe(sim, 30))
		buf_printf(b, ", 'max_parallel': %d", (int)(1 + sim_random(sim) % 3));
	if (maybe(sim, 15))
		buf_printf(b, ", 'deadline': '%dm'", (int)(10 + sim_random(sim) % 120));
	buf_puts(b, ", 'steps': [");
	for (unsigned i = 0; i < steps; i++)
		put_step(sim, b, i, dimensions[n]);
	buf_puts(b, "]}");
}

static char *stages(struct sim *sim)
{
	unsigned n = 1 + (unsigned)(sim_random(sim) % 4), dimensions[4] = {0};
	struct buf b = BUF_NULL;

	for (unsigned i = 0; i < n; i++)
		put_stage(sim, &b, i, dimensions);
	return buf_steal(&b);
}

/* --- jobs
 * --------------------------------------------------------------------------------------------- */

static char *head(struct sim *sim, struct night_job *job)
{
	static const char *const overlaps[] = {"skip", "queue", "allow", "cancel_other"};
	static const char *const catch_ups[] = {"none", "last", "all"};
	struct buf b = BUF_NULL;

	job->catch_up = PICK(sim, catch_ups);
	job->catch_up_max = 1 + (unsigned)(sim_random(sim) % 5);
	job->window_hours = 1 + (unsigned)(sim_random(sim) % 30);
	job->grace_minutes = 1 + (unsigned)(sim_random(sim) % 30);
	buf_printf(&b,
		", 'overlap': '%s', 'catch_up': '%s', 'catch_up_window': '%uh', 'catch_up_max': "
		"%u, 'start_grace': '%um'",
		PICK(sim, overlaps), job->catch_up, job->window_hours, job->catch_up_max,
		job->grace_minutes);
	if (maybe(sim, 30))
		buf_printf(&b, ", 'deadline': '%dm'", (int)(20 + sim_random(sim) % 200));
	return buf_steal(&b);
}

/* Mostly nothing is removed, so that at the end every rule can be checked over the whole night. */
static const char *history(struct sim *sim)
{
	static const char *const all[] = {"", "", "'history': {'keep': '3h', 'logs': '2h'}, ",
		"'history': {'keep': '1h', 'logs': '90m'}, ", "'history': {'logs': '10m'}, "};

	return maybe(sim, 30) ? PICK(sim, all) : "";
}

void night_config_make(struct sim *sim, struct night_config *c)
{
	*c = (struct night_config){
		.n_jobs = 1 + sim_random(sim) % NIGHT_JOBS, .history = history(sim)};
	for (size_t i = 0; i < c->n_jobs; i++) {
		struct night_job *job = &c->jobs[i];

		job->name[0] = (char)('j' + i);
		job->schedule = schedule(sim);
		job->timezone = timezone_of(sim);
		job->head = head(sim, job);
		job->stages = stages(sim);
		job->configured = true;
	}
}

void night_config_fini(struct night_config *c)
{
	for (size_t i = 0; i < c->n_jobs; i++) {
		free(c->jobs[i].head);
		free(c->jobs[i].stages);
	}
}

const char *night_config_edit(struct sim *sim, struct night_config *c, bool *ret_slots)
{
	struct night_job *job = &c->jobs[sim_random(sim) % c->n_jobs];

	*ret_slots = true;
	switch (sim_random(sim) % 6) {
	case 0:
		job->configured = !job->configured;
		break;
	case 1:
		job->schedule = schedule(sim);
		break;
	case 2:
		job->timezone = timezone_of(sim);
		break;
	case 3:
		c->history = *c->history ? history(sim) : "";
		*ret_slots = false;
		break;
	case 4:
		c->endpoint++;
		*ret_slots = false;
		break;
	default:
		free(job->stages);
		job->stages = stages(sim);
		*ret_slots = false;
	}
	return job->name;
}

char *night_config_text(const struct night_config *c, bool quiet)
{
	struct buf b = BUF_NULL;
	bool any = false;

	buf_puts(&b, "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 4, "
		     "'locks': {'warehouse': 2}, ");
	buf_printf(&b,
		"'checks': [{'name': 'mb', 'url': 'http://mb/health/%u', 'interval': '2m', "
		"'fall': 2, 'rise': 1}], ",
		c->endpoint);
	buf_printf(&b, "%s'jobs': [", c->history);
	for (size_t i = 0; i < c->n_jobs; i++) {
		const struct night_job *job = &c->jobs[i];

		if (!job->configured)
			continue;
		buf_printf(&b, "%s{'name': '%s'", any ? ", " : "", job->name);
		if (job->schedule && !quiet)
			buf_printf(&b, ", 'schedule': '%s', 'timezone': '%s'", job->schedule,
				job->timezone);
		buf_printf(&b, "%s, 'stages': [%s]}", job->head, job->stages);
		any = true;
	}
	if (!any)
		buf_puts(&b, "{'name': 'other', 'stages': [{'name': 'a', 'steps': "
			     "[{'name': 's', 'run': ['x']}]}]}");
	buf_puts(&b, "]}");
	return buf_steal(&b);
}

size_t night_config_jobs(const struct night_config *c, struct model_job *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_jobs; i++)
		if (c->jobs[i].configured)
			ret[n++] = (struct model_job){
				.name = c->jobs[i].name,
				.schedule = c->jobs[i].schedule,
				.timezone = c->jobs[i].timezone,
				.catch_up = c->jobs[i].catch_up,
				.catch_up_max = c->jobs[i].catch_up_max,
				.catch_up_window = c->jobs[i].window_hours * USEC_HOUR,
				.start_grace = c->jobs[i].grace_minutes * USEC_MINUTE,
			};
	return n;
}
