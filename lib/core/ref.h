/* What people call things: "nightly" (its last run), "nightly#128", and below a run a stage, a
 * cell, a step, an attempt: "nightly#128/build/staging/postgres/build.2", read by the run's own
 * definition. */
#pragma once
#include "core/model.h"

struct ref {
	char *job;
	uint64_t number; /* 0: the last one */
	char *path;	 /* behind the first slash; NULL: the whole run */
};

/* Returns false with a sentence in *ret_error (the caller frees). */
bool ref_parse(const char *text, struct ref *ret, char **ret_error);
void ref_fini(struct ref *ref);

/* What a path selects in a run. */
struct ref_target {
	const struct spec_stage *stage; /* NULL: all of it */
	char *values[64];		/* of its first n_values dimensions */
	size_t n_values;
	int step;	  /* -1: all */
	unsigned attempt; /* 0: all */
	char *parts;	  /* what values point into */
};
bool ref_resolve(const struct run *run, const char *path, struct ref_target *ret, char **ret_error);
void ref_target_fini(struct ref_target *t);
bool ref_target_has_cell(const struct ref_target *t, const struct cell *cell);
