/* The core's world in memory, with a seed: a clock that moves when nothing else can, a store that
 * keeps rows, a launcher whose processes do as the test's script says, and a made-up step kind that
 * uses everything the port can carry. A crash drops the core and keeps the world. */
#pragma once
#include "core/core.h"

struct sim;

/* What a process does: called once for each start. Fields not set: exits with 0 after 1 s. */
struct sim_script {
	usec_t takes;
	int code;
	enum stop_reason stop; /* it ends as if stopped so */
	bool hangs;            /* until it is stopped */
	const char *output;    /* what it writes to $NIGHTJAR_OUTPUT */
};

struct sim_options {
	uint64_t seed;
	usec_t start;                 /* the wall clock at the beginning */
	struct sim_script (*script)(struct sim *sim, const struct action_place *place,
		const char *cell, const char *step);
	void *context;
};

struct sim *sim_new(const struct sim_options *o);
void sim_free(struct sim *sim);
void *sim_context(struct sim *sim);
struct core *sim_core(struct sim *sim);
uint64_t sim_random(struct sim *sim);
usec_t sim_now(const struct sim *sim);

/* Loads a configuration from JSON text (single quotes stand for double ones); asserts that it is right. */
void sim_configure(struct sim *sim, const char *json);
/* The core loses everything in memory and comes back from the store. */
void sim_crash(struct sim *sim);
/* The store goes away and comes back. */
void sim_store_away(struct sim *sim);
void sim_store_back(struct sim *sim);
/* Moves the wall clock alone. */
void sim_jump(struct sim *sim, usec_t by);

/* Runs until the wall clock shows `until`, or nothing is left to happen (false). */
bool sim_run_until(struct sim *sim, usec_t until);
/* Runs until no run is active; asserts that it comes to that within a week. */
void sim_settle(struct sim *sim);

/* Starts a job by hand; only: "key=value" or NULL. Settles nothing. Returns the run's name, or
 * the error's message with "error: " before it; the caller frees. */
char *sim_start(struct sim *sim, const char *job, const char *only);
char *sim_retry(struct sim *sim, const char *run);
char *sim_cancel(struct sim *sim, const char *ref);
char *sim_pause(struct sim *sim, const char *job, bool paused);

/* A row of the store by its key ("nightly#1" for a run), NULL if there is none. */
const cJSON *sim_run_row(struct sim *sim, const char *run);
const cJSON *sim_cell_row(struct sim *sim, const char *run, const char *cell);
/* "ok", "failed", ... of a cell; "" while it has not ended. */
const char *sim_outcome(struct sim *sim, const char *run, const char *cell);
const char *sim_reason(struct sim *sim, const char *run, const char *cell);
unsigned sim_count(struct sim *sim, enum store_table table);
/* How often processes of that cell were started; NULL: all. */
unsigned sim_starts(struct sim *sim, const char *cell);
/* The most processes that ran at once, of cells whose name begins so. */
unsigned sim_most_at_once(struct sim *sim, const char *prefix);
/* Every row of the table slot: calls back with job, instant, fate. */
void sim_each_slot(struct sim *sim, void (*each)(void *arg, const char *job, const char *at,
	const char *fate, const cJSON *row), void *arg);
