/* `overlap`, as a table that reads like the design:
 *
 *   "overlap is between slots: skip, queue (one waits, a further one is skipped), allow,
 * cancel_other. A start by hand of an active job is refused under skip and cancel_other, waits
 * under queue, starts under allow, and never costs a slot: a slot that finds a run started by hand
 * waits for it. retry RUN is a new run without a slot."
 *
 * Each row is a rule, what is active, and what becomes of each of the four that may arrive. */
#include <stdio.h>
#include <string.h>
#include "tests/unit/unit.h"
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"

enum active {
	NONE,
	BY_SLOT,	/* a scheduled run runs */
	BY_HAND,	/* a run started by hand runs */
	ONE_AND_WAITER, /* one runs, and a slot's run waits for it */
};

enum fate {
	STARTS,
	WAITS,
	SKIPPED,   /* a slot */
	REFUSED,   /* by hand */
	REPLACES,  /* what a slot had begun is cancelled */
	CANNOT_BE, /* nothing ever waits under allow */
};

static const struct rule {
	const char *overlap;
	enum active active;
	enum fate slot, late, by_hand, retry;
} rules[] = {
	/* clang-format off */
	/*              active          a slot     a late one  by hand   a retry */
	{"skip",         NONE,           STARTS,    STARTS,     STARTS,   STARTS},
	{"skip",         BY_SLOT,        SKIPPED,   SKIPPED,    REFUSED,  REFUSED},
	{"skip",         BY_HAND,        WAITS,     WAITS,      REFUSED,  REFUSED},
	{"skip",         ONE_AND_WAITER, SKIPPED,   SKIPPED,    REFUSED,  REFUSED},

	{"queue",        NONE,           STARTS,    STARTS,     STARTS,   STARTS},
	{"queue",        BY_SLOT,        WAITS,     WAITS,      WAITS,    WAITS},
	{"queue",        BY_HAND,        WAITS,     WAITS,      WAITS,    WAITS},
	{"queue",        ONE_AND_WAITER, SKIPPED,   WAITS,      WAITS,    WAITS},

	{"allow",        NONE,           STARTS,    STARTS,     STARTS,   STARTS},
	{"allow",        BY_SLOT,        STARTS,    STARTS,     STARTS,   STARTS},
	{"allow",        BY_HAND,        STARTS,    STARTS,     STARTS,   STARTS},
	{"allow",        ONE_AND_WAITER, CANNOT_BE, CANNOT_BE,  CANNOT_BE, CANNOT_BE},

	{"cancel_other", NONE,           STARTS,    STARTS,     STARTS,   STARTS},
	{"cancel_other", BY_SLOT,        REPLACES,  REPLACES,   REFUSED,  REFUSED},
	{"cancel_other", BY_HAND,        WAITS,     WAITS,      REFUSED,  REFUSED},
	{"cancel_other", ONE_AND_WAITER, REPLACES,  REPLACES,   REFUSED,  REFUSED},
	/* clang-format on */
};

/* --- the world of one row ----------------------------------------------------------------- */

static usec_t instant(const char *text)
{
	usec_t t = 0;

	assert_true(instant_parse(text, &t));
	return t;
}

/* The first run of a job fails at once, so that there is something to retry; the others go on. */
static struct sim_script first_fails(
	struct sim *sim, const struct action_place *p, const char *cell, const char *step)
{
	if (sim_count(sim, TABLE_RUN) == 1)
		return (struct sim_script){.code = 1};
	return (struct sim_script){.hangs = true};
}

static struct sim *world(const char *overlap)
{
	struct sim *sim = sim_new(&(struct sim_options){
		.seed = 7,
		.start = instant("2026-03-01T00:30:00Z"),
		.script = first_fails,
	});
	_cleanup_free_ char *config = xasprintf(
		"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 8, 'jobs': "
		"[{'name': 'j', 'schedule': '@hourly', 'overlap': '%s', 'stages': [{'name': 'a', "
		"'steps': [{'name': 's', 'run': ['x']}]}]}]}",
		overlap);
	_cleanup_free_ char *name = NULL;

	sim_configure(sim, config);
	name = sim_start(sim, "j", NULL);
	assert_string_equal(name, "j#1");
	sim_run_for(sim, USEC_MINUTE);
	assert_string_equal(sim_outcome(sim, "j#1", NULL), "failed");
	return sim;
}

static void next_slot(struct sim *sim)
{
	sim_run_for(sim, USEC_HOUR);
}

static void make_active(struct sim *sim, enum active active)
{
	if (active == BY_SLOT)
		next_slot(sim);
	if (active == BY_HAND || active == ONE_AND_WAITER)
		free(sim_start(sim, "j", NULL));
	if (active == ONE_AND_WAITER)
		next_slot(sim);
}

static const char *state_of(struct sim *sim, const char *run)
{
	const char *state = json_string(sim_run_row(sim, run), "state");

	return state ? state : "";
}

static const char *fate_of_slot(struct sim *sim, const char *at)
{
	_cleanup_free_ char *key = xasprintf("j %lld", (long long)instant(at));

	return json_string(sim_row(sim, TABLE_SLOT, key), "fate");
}

static enum fate fate_of_newest(struct sim *sim, unsigned runs_before)
{
	_cleanup_free_ char *newest = xasprintf("j#%u", runs_before + 1);
	_cleanup_free_ char *other = xasprintf("j#%u", runs_before);
	bool replaced = str_eq(sim_outcome(sim, other, NULL), "cancelled");

	assert_int_equal(sim_count(sim, TABLE_RUN), runs_before + 1);
	if (replaced)
		return REPLACES;
	return str_eq(state_of(sim, newest), "running") ? STARTS : WAITS;
}

/* --- what arrives ------------------------------------------------------------------------- */

static enum fate slot_arrives(struct sim *sim, enum active active)
{
	unsigned before = sim_count(sim, TABLE_RUN);
	bool second = active == BY_SLOT || active == ONE_AND_WAITER;

	next_slot(sim);
	if (str_eq(fate_of_slot(sim, second ? "2026-03-01T02:00:00Z" : "2026-03-01T01:00:00Z"),
		    "skipped"))
		return SKIPPED;
	return fate_of_newest(sim, before);
}

/* The store was away at the slot's time, and for longer than start_grace. */
static enum fate late_slot_arrives(struct sim *sim, enum active active)
{
	unsigned before = sim_count(sim, TABLE_RUN);
	bool second = active == BY_SLOT || active == ONE_AND_WAITER;

	sim_store_away(sim);
	next_slot(sim);
	sim_store_back(sim);
	sim_run_for(sim, 5 * USEC_SEC);
	if (str_eq(fate_of_slot(sim, second ? "2026-03-01T02:00:00Z" : "2026-03-01T01:00:00Z"),
		    "skipped"))
		return SKIPPED;
	return fate_of_newest(sim, before);
}

static enum fate hand_arrives(struct sim *sim, bool retry)
{
	unsigned before = sim_count(sim, TABLE_RUN);
	_cleanup_free_ char *answer = retry ? sim_retry(sim, "j#1") : sim_start(sim, "j", NULL);

	sim_run_for(sim, USEC_SEC);
	if (str_starts(answer, "error: ")) {
		assert_int_equal(sim_count(sim, TABLE_RUN), before);
		assert_non_null(strstr(answer, "is active"));
		return REFUSED;
	}
	return fate_of_newest(sim, before);
}

static enum fate start_arrives(struct sim *sim, enum active active)
{
	return hand_arrives(sim, false);
}

static enum fate retry_arrives(struct sim *sim, enum active active)
{
	return hand_arrives(sim, true);
}

static void check(const struct rule *rule, const char *what, enum fate expected,
	enum fate (*arrives)(struct sim *sim, enum active active))
{
	static const char *const fates[] = {
		"starts", "waits", "skipped", "refused", "replaces", "cannot be"};
	struct sim *sim = world(rule->overlap);
	enum fate got;

	make_active(sim, rule->active);
	got = arrives(sim, rule->active);
	if (got != expected)
		fail_msg("%s, active %d, %s: %s, not %s", rule->overlap, rule->active, what,
			fates[got], fates[expected]);
	sim_free(sim);
}

static void what_arrives_meets_what_is_active_as_overlap_says(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].slot == CANNOT_BE)
			continue;
		check(&rules[i], "a slot", rules[i].slot, slot_arrives);
		check(&rules[i], "a late slot", rules[i].late, late_slot_arrives);
		check(&rules[i], "a start by hand", rules[i].by_hand, start_arrives);
		check(&rules[i], "a retry", rules[i].retry, retry_arrives);
	}
}

static void a_waiter_by_hand_costs_no_slot(void **state)
{
	struct sim *sim = world("queue");

	next_slot(sim);			 /* j#2 runs */
	free(sim_start(sim, "j", NULL)); /* j#3 waits */
	next_slot(sim);			 /* j#4 waits as well */
	assert_string_equal(fate_of_slot(sim, "2026-03-01T02:00:00Z"), "run");
	assert_string_equal(state_of(sim, "j#4"), "waiting");
	next_slot(sim);
	assert_string_equal(fate_of_slot(sim, "2026-03-01T03:00:00Z"), "skipped");
	sim_free(sim);
}

/* --- slots that were missed --------------------------------------------------------------- */

static const struct missed {
	const char *keys;
	unsigned hours, minutes;  /* the store is away from 00:31 for so long */
	unsigned runs;		  /* made of the slots 01:00, 02:00, ... */
	const char *first, *last; /* their slots */
	unsigned skipped;
} misses[] = {
	{"'catch_up': 'none'", 3, 40, 0, NULL, NULL, 4},
	{"'catch_up': 'last'", 3, 40, 1, "04:00", "04:00", 3},
	{"'catch_up': 'last', 'catch_up_window': '5m'", 3, 40, 0, NULL, NULL, 4},
	{"'catch_up': 'all'", 3, 40, 4, "01:00", "04:00", 0},
	{"'catch_up': 'all', 'catch_up_max': 2", 3, 40, 2, "03:00", "04:00", 2},
	{"'catch_up': 'all', 'catch_up_max': 100, 'catch_up_window': '200h'", 149, 40, 100, "03:00",
		"06:00", 50},
	{"'catch_up': 'all', 'catch_up_max': 1000, 'catch_up_window': '2000h'", 1999, 40, 1000,
		"17:00", "08:00", 1000},
	{"'catch_up': 'all', 'catch_up_window': '2h'", 3, 40, 2, "03:00", "04:00", 2},
	/* a start up to start_grace late is simply late: then the others are not the last */
	{"'catch_up': 'none', 'start_grace': '15m'", 3, 40, 1, "04:00", "04:00", 3},
	{"'catch_up': 'last', 'start_grace': '15m'", 3, 40, 1, "04:00", "04:00", 3},
	{"'catch_up': 'none', 'start_grace': '10m'", 3, 40, 0, NULL, NULL, 4},
	{"'catch_up': 'none', 'start_grace': '24h'", 3, 40, 4, "01:00", "04:00", 0},
	{"'catch_up': 'all', 'start_grace': '15m'", 3, 40, 4, "01:00", "04:00", 0},
};

struct slots_seen {
	unsigned runs, skipped;
	char first[8], last[8];
};

static void see_slot(void *arg, const char *job, const char *at, const char *fate, const cJSON *row)
{
	struct slots_seen *seen = arg;

	if (!str_eq(fate, "run")) {
		seen->skipped += (unsigned)json_int(row, "count", 1);
		return;
	}
	snprintf(seen->runs++ ? seen->last : seen->first, 6, "%s", at + 11);
	if (seen->runs == 1)
		memcpy(seen->last, seen->first, sizeof(seen->last));
}

static void missed_slots_are_caught_up_as_catch_up_says(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(misses); i++) {
		const struct missed *m = &misses[i];
		struct slots_seen seen = {0};
		struct sim *sim = sim_new(
			&(struct sim_options){.seed = 7, .start = instant("2026-03-01T00:31:00Z")});
		_cleanup_free_ char *config = xasprintf(
			"{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': 8, "
			"'jobs': [{'name': 'j', 'schedule': '@hourly', 'overlap': 'allow', %s, "
			"'stages': [{'name': 'a', 'steps': [{'name': 's', 'run': ['x']}]}]}]}",
			m->keys);

		sim_configure(sim, config);
		sim_store_away(sim);
		sim_run_for(sim, m->hours * USEC_HOUR + m->minutes * USEC_MINUTE);
		sim_store_back(sim);
		sim_settle(sim);
		sim_each_slot(sim, see_slot, &seen);
		if (seen.runs != m->runs || seen.skipped != m->skipped)
			fail_msg("%s: %u runs and %u skipped", m->keys, seen.runs, seen.skipped);
		if (m->runs) {
			assert_string_equal(seen.first, m->first);
			assert_string_equal(seen.last, m->last);
		}
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_arrives_meets_what_is_active_as_overlap_says),
		cmocka_unit_test(a_waiter_by_hand_costs_no_slot),
		cmocka_unit_test(missed_slots_are_caught_up_as_catch_up_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
