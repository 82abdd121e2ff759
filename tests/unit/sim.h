/* The core's world in memory, with a seed: a clock that moves when nothing else can, a store that
 * keeps rows and fences, one or two machines with a daemon each, whose processes do as the test's
 * script says, and a made-up step kind that uses everything the port can carry. A crash drops a
 * core and keeps the world.
 *
 *   sim.c           time, machines, operations, looking
 *   sim_store.c     rows, commits, leadership
 *   sim_launcher.c  processes, calls, secrets
 *   sim_faults.c    stopped, asleep, crashed anywhere
 *   sim_prune.c     what is old goes
 *   sim_world.h     what these three share */
#pragma once
#include "core/core.h"

struct sim;

/* What a process does: called once for each start. Fields not set: exits with 0 after 1 s. */
struct sim_script {
	usec_t takes;
	int code;
	enum stop_reason stop; /* it ends as if stopped so */
	bool hangs;	       /* until it is stopped, or its timeout */
	bool dies;	       /* its shim is killed: nothing says how it ended */
	const char *never;     /* it cannot be started, and why */
	usec_t deaf;	       /* so long it goes on after a stop */
	const char *output;    /* what it writes to $NIGHTJAR_OUTPUT */
};

/* Somebody who looks on: the model of the rules. */
struct sim_watcher {
	void *self;
	/* A row as a commit left it; *mark is the watcher's, 0 in a new row. */
	void (*row)(void *self, enum store_table table, const cJSON *row, int *mark);
	/* An effect goes out: a process, or a call. */
	void (*effect)(void *self, const struct action_place *place, uint64_t epoch);
	/* What the processes of a run left on a machine is removed. */
	void (*folder_gone)(void *self, const char *run_id);
	/* Slots of every job may count from now on. */
	void (*slots_anew)(void *self);
};

struct sim_options {
	uint64_t seed;
	usec_t start; /* the wall clock at the beginning */
	struct sim_script (*script)(struct sim *sim, const struct action_place *place,
		const char *cell, const char *step);
	/* What a call that belongs to no action is answered with, such as a check's: a status of
	 * HTTP, 0 for no answer. NULL: 200. */
	int (*answer)(struct sim *sim, const char *url);
	void *context;
	struct sim_watcher watcher;
	enum sim_trace {
		SIM_TRACE_NONE,
		SIM_TRACE_LAST, /* tells how it came to a broken rule */
		SIM_TRACE_ALL,	/* tells everything on standard output */
	} trace;
	void (*broken)(uint64_t seed); /* called first when a rule is broken; may be NULL */
	unsigned faults; /* of 1000 commits, calls, starts, secrets so many go wrong */
};

struct sim *sim_new(const struct sim_options *o);
void sim_free(struct sim *sim);
void *sim_context(struct sim *sim);
struct core *sim_core(struct sim *sim); /* of the first machine */
uint64_t sim_random(struct sim *sim);
bool sim_chance(struct sim *sim, unsigned of_1000);
usec_t sim_now(const struct sim *sim);
void sim_set_faults(struct sim *sim, unsigned of_1000);
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A rule is broken: says so with the seed, and ends the program. */
_Noreturn void sim_broken(const struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Loads a configuration from JSON text (single quotes stand for double ones); asserts that it is
 * right. */
void sim_configure(struct sim *sim, const char *json);
/* The core loses everything in memory and comes back from the store. */
void sim_crash(struct sim *sim);
/* The store goes away and comes back. */
void sim_store_away(struct sim *sim);
void sim_store_back(struct sim *sim);
/* Effects are not allowed, though commits go through: as when renewals are late. */
void sim_lease_over(struct sim *sim, bool over);
/* So long it takes to read secrets from now on. */
void sim_secrets_take(struct sim *sim, usec_t span);
/* Moves the wall clock alone. */
void sim_jump(struct sim *sim, usec_t by);

/* The same of one of two machines, 0 or 1; the second one has a daemon from sim_host_up() on. */
void sim_host_up(struct sim *sim, unsigned host);
void sim_host_down(struct sim *sim, unsigned host);
void sim_host_reboot(struct sim *sim, unsigned host); /* it is down then, and its processes died */
void sim_host_away(struct sim *sim, unsigned host);
void sim_host_back(struct sim *sim, unsigned host);
void sim_host_renews(struct sim *sim, unsigned host, bool renews);
void sim_host_jump(struct sim *sim, unsigned host, usec_t by);
/* The daemon does nothing, and time goes on; its machine's processes go on, too. */
void sim_host_stop(struct sim *sim, unsigned host);
void sim_host_go_on(struct sim *sim, unsigned host);
/* So long the whole machine does nothing: runs the rest of the world meanwhile. */
void sim_host_sleep(struct sim *sim, unsigned host, usec_t span);
bool sim_host_is_up(const struct sim *sim, unsigned host);
bool sim_host_leads(const struct sim *sim, unsigned host);
struct core *sim_host_core(const struct sim *sim, unsigned host);
usec_t sim_host_now(const struct sim *sim, unsigned host);
uint64_t sim_epoch(const struct sim *sim);
usec_t sim_boot(const struct sim *sim);	    /* the world's own clock */
usec_t sim_true_now(const struct sim *sim); /* the store's clock */
void sim_spec_world(struct sim *sim, struct spec_world *ret);
int sim_leader(const struct sim *sim); /* -1: nobody leads and is connected */

/* Runs until the wall clock shows `until`, or nothing is left to happen (false). */
bool sim_run_until(struct sim *sim, usec_t until);
bool sim_run_for(struct sim *sim, usec_t span);
/* Runs until no run is active; asserts that it comes to that within a week. */
void sim_settle(struct sim *sim);

/* Starts a job by hand; only: "key=value" or NULL. Settles nothing. Returns the run's name, or
 * the error's message with "error: " before it; the caller frees. */
char *sim_start(struct sim *sim, const char *job, const char *only);
char *sim_retry(struct sim *sim, const char *run);
char *sim_retry_only(struct sim *sim, const char *run, const char *only);
char *sim_cancel(struct sim *sim, const char *ref);
/* The step's ref, or the error. */
char *sim_approve(struct sim *sim, const char *ref, const char *hash);
char *sim_get_approval(struct sim *sim, const char *ref); /* as JSON, or the error */
char *sim_reject(struct sim *sim, const char *ref);
char *sim_pause(struct sim *sim, const char *job, bool paused);

/* An operation that nobody waits for; answered at the latest when its daemon dies. */
struct sim_asked {
	struct core_op op;
	struct sim *sim;
	const char *what;
	bool done, detached;
	enum core_error error;
	char *answer;
};
struct sim_asked *sim_ask(struct sim *sim, const char *what);
unsigned sim_open_operations(const struct sim *sim);

/* A row of the store by its key ("nightly#1" for a run), NULL if there is none. */
const cJSON *sim_row(const struct sim *sim, enum store_table table, const char *key);
const cJSON *sim_run_row(struct sim *sim, const char *run);
const cJSON *sim_cell_row(struct sim *sim, const char *run, const char *cell);
/* "ok", "failed", ... of a cell; "" while it has not ended. */
const char *sim_outcome(struct sim *sim, const char *run, const char *cell);
const char *sim_reason(struct sim *sim, const char *run, const char *cell);
unsigned sim_count(struct sim *sim, enum store_table table);
/* Every row of a table, in the order of their making. */
void sim_each_row(const struct sim *sim, enum store_table table,
	void (*each)(void *arg, const cJSON *row), void *arg);
/* How often processes of that cell were started; NULL: all. */
unsigned sim_starts(struct sim *sim, const char *cell);
/* The most processes that ran at once, of cells whose name begins so. */
unsigned sim_most_at_once(struct sim *sim, const char *prefix);
/* What runs now: processes and calls. */
void sim_each_effect(const struct sim *sim,
	void (*each)(void *arg, const struct action_place *place), void *arg);
/* What is older may be gone from the store; 0: nothing was removed. */
usec_t sim_pruned_before(const struct sim *sim);
/* Runs that stay whatever their age: open ones, and of their job the last, ... */
bool sim_run_is_kept(const struct sim *sim, const cJSON *run);
/* Every row of the table slot: calls back with job, instant, fate. */
void sim_each_slot(struct sim *sim,
	void (*each)(
		void *arg, const char *job, const char *at, const char *fate, const cJSON *row),
	void *arg);
