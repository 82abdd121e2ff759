/* Happy path: some hours pass, now and then something is done to the world; then all faults end,
 * the schedules are taken away, and whatever is active must come to its end. Failures: the model's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/made_lane.h"
#include "tests/unit/model.h"
#include "tests/unit/night.h"
#include "tests/unit/night_config.h"
#include "tests/unit/night_gate.h"

struct night {
	struct sim *sim;
	struct model *model;
	struct night_config config;
	unsigned calm; /* 0: every fault there is; 2: none */
	usec_t ahead;  /* of the first machine's clock */
	bool down;     /* the health endpoint is */
};

/* --- children
 * ------------------------------------------------------------------------------------------ */

static struct sim_script child(
	struct sim *sim, const struct action_place *place, const char *cell, const char *step)
{
	const struct night *n = sim_context(sim);
	unsigned dice = (unsigned)(sim_random(sim) % 100);
	struct sim_script s = {
		.takes = USEC_SEC + (usec_t)(sim_random(sim) % (5 * USEC_MINUTE)),
		.output = "rows=5\n",
	};

	if (dice % 10 == 0)
		s.takes *= 10;
	if (dice < 60 + 20 * n->calm)
		return s;
	if (dice < 70)
		s.code = 1;
	else if (dice < 85)
		s.code = 75;
	else if (dice < 90)
		s.hangs = true;
	else if (dice < 93)
		s.dies = true;
	else if (dice < 95)
		s.never = "no such program";
	s.deaf = dice % 2 ? USEC_MINUTE : 0;
	return s;
}

static int health(struct sim *sim, const char *url)
{
	const struct night *n = sim_context(sim);

	return n->down ? 503 : 200;
}

/* --- people
 * ------------------------------------------------------------------------------------------------
 */

static struct core *some_core(struct night *n)
{
	int leader = sim_leader(n->sim);
	unsigned host = (unsigned)(sim_random(n->sim) % 2);

	if (leader >= 0 && sim_chance(n->sim, 950))
		host = (unsigned)leader;
	return sim_host_core(n->sim, host) ? sim_host_core(n->sim, host)
					   : sim_host_core(n->sim, 1 - host);
}

static struct sim_asked *ask(struct night *n, const char *what)
{
	sim_trace(n->sim, "somebody asks: %s", what);
	return sim_ask(n->sim, what);
}

/* Lets the answer come, or leaves it to come later. */
static char *hear(struct night *n, struct sim_asked *a, struct core *core)
{
	char *answer;

	core_run(core);
	for (int i = 0; i < 20 && !a->done; i++)
		sim_run_for(n->sim, USEC_SEC);
	if (!a->done) {
		a->detached = true;
		return NULL;
	}
	answer = a->error ? NULL : xstrdup(a->answer);
	free(a->answer);
	free(a);
	return answer;
}

static const char *some_job(struct night *n)
{
	return n->config.jobs[sim_random(n->sim) % n->config.n_jobs].name;
}

static void start(struct night *n)
{
	static const struct core_only onlys[] = {
		{"e", "a"}, {"e", "b"}, {"t", "x"}, {"e", "nobody"}};
	struct core *core = some_core(n);
	struct sim_asked *a;

	if (!core)
		return;
	a = ask(n, "start");
	core_start(
		core, &a->op, some_job(n), &onlys[sim_random(n->sim) % 4], sim_random(n->sim) % 2);
	free(hear(n, a, core));
}

static char *some_run(struct night *n)
{
	const char *job = some_job(n);
	int64_t last = json_int(sim_row(n->sim, TABLE_JOB, job), "last_number", 0);

	if (last == 0)
		return NULL;
	return xasprintf("%s#%lld", job,
		(long long)(last - (int64_t)(sim_random(n->sim) % (uint64_t)MIN(last, 3))));
}

static void retry(struct night *n)
{
	_cleanup_free_ char *run = some_run(n);
	struct core *core = some_core(n);
	struct sim_asked *a;

	if (!core || !run)
		return;
	a = ask(n, "retry");
	core_retry(core, &a->op, run, &(struct core_only){"e", "a"}, sim_chance(n->sim, 200),
		sim_chance(n->sim, 100));
	free(hear(n, a, core));
}

static void cancel(struct night *n)
{
	static const char *const refs[] = {"", "", "", "/g0", "/g0/s0", "/g0/s1", "/g1/s0"};
	_cleanup_free_ char *run = some_run(n), *ref = NULL, *answer = NULL;
	struct core *core = some_core(n);
	int leader = sim_leader(n->sim);
	bool recorded = leader >= 0 && core == sim_host_core(n->sim, (unsigned)leader);
	struct sim_asked *a;

	if (!core || !run)
		return;
	ref = xasprintf("%s%s", run, refs[sim_random(n->sim) % ARRAY_SIZE(refs)]);
	a = ask(n, "cancel");
	core_cancel(core, &a->op, ref);
	answer = hear(n, a, core);
	/* while the store is away it acts at once, and its record may be lost with the leadership
	 */
	if (answer && recorded)
		model_cancelled(n->model, ref);
}

static void approve_or_reject(struct night *n)
{
	struct core *core = some_core(n);
	_cleanup_free_ char *ref = core ? night_asking(n->sim, core) : NULL;
	struct sim_asked *a;

	if (!ref)
		return;
	a = ask(n, "approve or reject");
	core_approve(core, &a->op, ref, NULL, sim_chance(n->sim, 850));
	free(hear(n, a, core));
}

static void turn_health(struct night *n)
{
	n->down = !n->down;
	sim_trace(n->sim, "the health endpoint is %s", n->down ? "down" : "up");
}

static void pause_or_resume(struct night *n)
{
	struct core *core = some_core(n);
	const char *job = some_job(n);
	int leader = sim_leader(n->sim);
	bool pause = sim_chance(n->sim, 400);
	_cleanup_free_ char *answer = NULL;
	struct sim_asked *a;
	usec_t now;

	if (!core)
		return;
	a = ask(n, "pause or resume");
	now = leader < 0 ? 0 : sim_host_now(n->sim, (unsigned)leader);
	model_slots_edited(n->model, job);
	core_pause(core, &a->op, job, pause);
	answer = hear(n, a, core);
	model_paused(n->model, job, pause, answer ? now : 0);
}

static void configure(struct night *n, bool quiet)
{
	_cleanup_free_ char *text = night_config_text(&n->config, quiet);
	struct model_job jobs[NIGHT_JOBS];
	size_t count = night_config_jobs(&n->config, jobs);

	model_configured(n->model, jobs, count);
	sim_trace(n->sim, "configuration: %s", text);
	sim_configure(n->sim, text);
}

static void reload(struct night *n)
{
	bool slots;
	const char *job = night_config_edit(n->sim, &n->config, &slots);

	if (slots)
		model_slots_edited(n->model, job);
	configure(n, false);
}

/* As an upgrade does it: what runs is waited for, then the daemon begins anew. */
static void drain(struct night *n)
{
	unsigned host = (unsigned)(sim_random(n->sim) % 2);
	struct core *core = sim_host_core(n->sim, host);
	struct sim_asked *a;

	if (!core)
		return;
	a = ask(n, "drain");
	core_drain(core, &a->op);
	free(hear(n, a, core));
	for (int i = 0; i < 30; i++) {
		core = sim_host_core(n->sim, host);
		if (!core || core_is_drained(core))
			break;
		sim_run_for(n->sim, USEC_MINUTE);
	}
	sim_host_down(n->sim, host);
	sim_host_up(n->sim, host);
}

/* --- faults
 * ---------------------------------------------------------------------------------------------------
 */

static void crash(struct night *n)
{
	unsigned host = sim_chance(n->sim, 700) ? 0 : 1;

	sim_host_down(n->sim, host);
	if (sim_chance(n->sim, 300))
		sim_run_for(n->sim, (usec_t)(sim_random(n->sim) % (40 * USEC_MINUTE)));
	sim_host_up(n->sim, host);
}

static void reboot(struct night *n)
{
	unsigned host = sim_chance(n->sim, 700) ? 0 : 1;

	sim_host_reboot(n->sim, host);
	sim_run_for(n->sim, (usec_t)(sim_random(n->sim) % (10 * USEC_MINUTE)));
	sim_host_up(n->sim, host);
}

static void away(struct night *n)
{
	unsigned host = (unsigned)(sim_random(n->sim) % 3);
	usec_t span = sim_chance(n->sim, 500) ? 20 * USEC_SEC : 3 * USEC_HOUR;

	if (host != 1)
		sim_host_away(n->sim, 0);
	if (host != 0)
		sim_host_away(n->sim, 1);
	sim_run_for(n->sim, (usec_t)(sim_random(n->sim) % (uint64_t)span));
	if (sim_chance(n->sim, 300))
		cancel(n);
	sim_host_back(n->sim, 0);
	sim_host_back(n->sim, 1);
}

/* The store answers everything but the renewals. */
static void late(struct night *n)
{
	int leader = sim_leader(n->sim);

	if (leader < 0)
		return;
	sim_host_renews(n->sim, (unsigned)leader, false);
	sim_run_for(n->sim, (usec_t)(sim_random(n->sim) % (60 * USEC_SEC)));
	sim_host_renews(n->sim, (unsigned)leader, true);
}

/* For a moment, for longer than a lease, for so long that another one leads. */
static usec_t some_pause(struct night *n)
{
	static const usec_t most[] = {5 * USEC_SEC, 20 * USEC_SEC, 10 * USEC_MINUTE, 2 * USEC_HOUR};

	return (usec_t)(sim_random(n->sim) % (uint64_t)most[sim_random(n->sim) % ARRAY_SIZE(most)]);
}

static unsigned some_host(struct night *n)
{
	int leader = sim_leader(n->sim);

	return leader >= 0 && sim_chance(n->sim, 700) ? (unsigned)leader
						      : (unsigned)(sim_random(n->sim) % 2);
}

static void stopped(struct night *n)
{
	unsigned host = some_host(n);

	sim_host_stop(n->sim, host);
	sim_run_for(n->sim, some_pause(n));
	sim_host_go_on(n->sim, host);
}

static void asleep(struct night *n)
{
	sim_host_sleep(n->sim, some_host(n), some_pause(n));
}

static void jump_to(struct night *n, usec_t ahead)
{
	model_clock_set(n->model);
	sim_host_jump(n->sim, 0, ahead - n->ahead);
	n->ahead = ahead;
}

static void jump(struct night *n)
{
	static const usec_t to[] = {USEC_HOUR, -USEC_HOUR, USEC_DAY, -USEC_DAY, 0, 0};

	jump_to(n, to[sim_random(n->sim) % ARRAY_SIZE(to)]);
}

static void wrong_by_years(struct night *n)
{
	usec_t ahead = n->ahead, by = 3650 * USEC_DAY;

	model_slots_edited(n->model, NULL);
	jump_to(n, ahead + (sim_chance(n->sim, 500) ? by : -by));
	if (sim_chance(n->sim, 200))
		crash(n);
	sim_run_for(n->sim, USEC_MINUTE);
	model_slots_edited(n->model, NULL);
	jump_to(n, ahead);
	model_slots_edited(n->model, NULL);
}

/* --- the night
 * ------------------------------------------------------------------------------------------------
 */

static const struct deed {
	unsigned weight;
	bool fault;
	void (*do_it)(struct night *n);
} deeds[] = {
	{30, false, start},
	{15, false, retry},
	{12, false, cancel},
	{25, false, approve_or_reject},
	{10, false, turn_health},
	{8, false, pause_or_resume},
	{10, false, reload},
	{3, true, drain},
	{20, true, crash},
	{4, true, reboot},
	{14, true, away},
	{8, true, late},
	{10, true, stopped},
	{5, true, asleep},
	{6, true, jump},
	{1, true, wrong_by_years},
};

static void do_something(struct night *n)
{
	unsigned all = 0, dice;

	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++)
		all += deeds[i].weight;
	dice = (unsigned)(sim_random(n->sim) % all);
	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		if (dice < deeds[i].weight) {
			if (!deeds[i].fault || n->calm == 0)
				deeds[i].do_it(n);
			return;
		}
		dice -= deeds[i].weight;
	}
}

static void count_open(void *arg, const cJSON *row)
{
	unsigned *n = arg;

	*n += json_time(row, "ended_at") == 0;
}

/* Whoever led, and whatever was lost: the check is in one state. */
static void check_transitions(struct night *n)
{
	unsigned open = 0;

	sim_each_row(n->sim, TABLE_CHECK_TRANSITION, count_open, &open);
	if (open != 1)
		sim_broken(n->sim, "%u stretches of the check last", open);
}

static void all_faults_end(struct night *n)
{
	struct model_job jobs[NIGHT_JOBS];
	size_t count = night_config_jobs(&n->config, jobs);

	sim_trace(n->sim, "all faults end");
	sim_set_faults(n->sim, 0);
	n->calm = 2;
	n->down = false;
	for (unsigned i = 0; i < 2; i++) {
		sim_host_renews(n->sim, i, true);
		sim_host_back(n->sim, i);
	}
	sim_host_up(n->sim, 0);
	if (n->ahead)
		jump_to(n, 0);
	sim_run_for(n->sim, 2 * USEC_MINUTE);
	model_check_slots(n->model, jobs, count);
	configure(n, true);
	sim_settle(n->sim);
	sim_run_for(n->sim, 5 * USEC_MINUTE); /* the check is asked twice */
	if (sim_open_operations(n->sim))
		sim_broken(n->sim, "an operation is not answered");
	model_check_end(n->model);
	check_transitions(n);
}

static char *what_memory_says(struct night *n)
{
	unsigned leader = (unsigned)sim_leader(n->sim);
	_cleanup_json_ cJSON *status = core_view_status(sim_host_core(n->sim, leader));
	_cleanup_json_ cJSON *jobs = core_view_jobs(sim_host_core(n->sim, leader));
	_cleanup_free_ char *a = NULL, *b = NULL;
	cJSON *check;

	cJSON_DeleteItemFromObjectCaseSensitive(status, "now");
	cJSON_ArrayForEach(check, json_get(status, "checks"))
		cJSON_DeleteItemFromObjectCaseSensitive(check, "checked_at");
	a = json_print(status);
	b = json_print(jobs);
	return xasprintf("%s\n%s", a, b);
}

/* A new daemon reads from the store what the old one knew. */
static void compare_memory_and_store(struct night *n)
{
	_cleanup_free_ char *before = what_memory_says(n), *after = NULL;
	unsigned leader = (unsigned)sim_leader(n->sim);

	sim_host_down(n->sim, leader);
	sim_host_up(n->sim, leader);
	sim_run_for(n->sim, USEC_SEC);
	after = what_memory_says(n);
	if (!str_eq(before, after))
		sim_broken(n->sim, "memory says\n%s\nthe store says\n%s", before, after);
}

static usec_t first_hour(uint64_t seed)
{
	static const char *const days[] = {"2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z",
		"2026-03-07T22:00:00Z", "2026-11-01T00:00:00Z", "2026-06-30T12:00:00Z",
		"2027-12-31T18:00:00Z", "2026-04-04T10:00:00Z"};
	usec_t t = 0;

	instant_parse(days[seed % ARRAY_SIZE(days)], &t);
	return t;
}

/* Each member of a lane was served once, or left. */
static void check_lanes(uint64_t seed)
{
	if (made_lane_counts.joined == made_lane_counts.left)
		return;
	printf("seed %llu: %u joined lanes, and %u left them\n", (unsigned long long)seed,
		made_lane_counts.joined, made_lane_counts.left);
	exit(1);
}

void night_play(uint64_t seed, enum sim_trace trace, void (*broken)(uint64_t seed))
{
	struct night n = {.model = model_new()};
	usec_t end;

	n.calm = seed % 4 == 0;
	n.sim = sim_new(&(struct sim_options){
		.seed = seed,
		.start = first_hour(seed),
		.script = child,
		.answer = health,
		.context = &n,
		.watcher = model_watcher(n.model),
		.trace = trace,
		.broken = broken,
		.faults = n.calm ? 0 : 4,
	});
	model_watch(n.model, n.sim);
	night_config_make(n.sim, &n.config);
	configure(&n, false);
	if (!n.calm && sim_chance(n.sim, 400))
		sim_host_up(n.sim, 1);
	end = sim_boot(n.sim) + USEC_HOUR + (usec_t)(sim_random(n.sim) % (10 * USEC_HOUR));
	while (sim_boot(n.sim) < end) {
		sim_run_for(n.sim, (usec_t)(sim_random(n.sim) % (40 * USEC_MINUTE)));
		do_something(&n);
		for (unsigned i = 0; i < 2; i++)
			if (sim_host_core(n.sim, i))
				night_check_gates(n.sim, sim_host_core(n.sim, i));
	}
	all_faults_end(&n);
	compare_memory_and_store(&n);
	sim_free(n.sim);
	check_lanes(seed);
	model_free(n.model);
	night_config_fini(&n.config);
}
