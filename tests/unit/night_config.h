/* The random configuration of a night, which may be edited. */
#pragma once
#include "tests/unit/model.h"

#define NIGHT_JOBS 3

struct night_job {
	char name[8];
	const char *schedule, *timezone; /* schedule NULL: by hand only */
	const char *catch_up;
	unsigned catch_up_max, window_hours, grace_minutes;
	char *head; /* what stays as it is, these four as well */
	char *stages;
	bool configured;
};

struct night_config {
	struct night_job jobs[NIGHT_JOBS];
	const char *history;
	unsigned endpoint; /* of the check that some steps wait for */
	size_t n_jobs;
};

void night_config_make(struct sim *sim, struct night_config *ret);
void night_config_fini(struct night_config *c);
/* Changes one job; returns its name. *ret_slots: its slots count anew. */
const char *night_config_edit(struct sim *sim, struct night_config *c, bool *ret_slots);
/* As JSON; quiet: nothing is scheduled. The caller frees. */
char *night_config_text(const struct night_config *c, bool quiet);
size_t night_config_jobs(const struct night_config *c, struct model_job *ret);
