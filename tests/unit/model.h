/* The rules of runs and slots once more, told independently of the core: this reads only what the
 * store's rows say, which effects are out, and the configuration. What it finds broken ends the
 * program with the seed. */
#pragma once
#include "tests/unit/sim.h"

struct model;

struct model *model_new(void);
void model_free(struct model *m);
/* To be put into sim_options before sim_new(); then the sim is told. */
struct sim_watcher model_watcher(struct model *m);
void model_watch(struct model *m, struct sim *sim);

/* From now on a job's slots may count anew: it was edited, paused, resumed. NULL: every job's. */
void model_slots_edited(struct model *m, const char *job);
/* A run, a stage or a step ("j#1/g0/s1") was cancelled, and that was answered. */
void model_cancelled(struct model *m, const char *ref);
/* A job was paused or resumed, asked for at that instant of the leader's clock and answered well
 * now; 0: nobody knows whether it was. */
void model_paused(struct model *m, const char *job, bool paused, usec_t asked);
/* The wall clock was set: durations by it say nothing. */
void model_clock_set(struct model *m);

/* All slots up to now have a record. The jobs as they are configured now. */
struct model_job {
	const char *name, *schedule, *timezone; /* schedule NULL: none */
	const char *catch_up;
	unsigned catch_up_max;
	usec_t catch_up_window, start_grace;
};
void model_configured(struct model *m, const struct model_job *jobs, size_t n);
void model_check_slots(struct model *m, const struct model_job *jobs, size_t n);
/* Everything has ended. */
void model_check_end(struct model *m);
