/* What the names in templates mean for one attempt of one step. */
#pragma once
#include "spec/spec.h"
#include "spec/template.h"

struct scope {
	const struct spec_job *job;
	const struct spec_cell *cell;
	const struct spec_step *step;
	/* Where there is no cell: of a check. NULL: none */
	const struct spec_environment *environment;
	const char *run_name; /* "nightly#128" */
	uint64_t run_number;
	usec_t scheduled_for; /* 0: no slot: ${run.scheduled_for} is the run's creation instant then
			       */
	unsigned attempt;
	const char *attempt_directory;
	const char *output_path; /* of $NIGHTJAR_OUTPUT */
	/* Secrets by name, in step with each other. NULL: not to be had yet, and a reference to one
	 * is an error. */
	const char *const *secret_names;
	char *const *secret_values;
	size_t n_secrets;
	/* ${steps.STEP.KEY}: NULL when that step wrote none. */
	const char *(*step_output)(void *context, const char *step, const char *key);
	void *step_output_context;
};

/* A template_lookup over a struct scope. */
int scope_lookup(
	void *scope, const char *name_space, const char *name, char **ret_value, char **ret_error);
/* Expands one text, or a tree, in this scope. */
int scope_expand(const struct scope *scope, const char *text, char **ret, char **ret_error);
int scope_expand_tree(
	const struct scope *scope, const struct node *in, struct node **ret, char **ret_error);

/* The names of all secrets that this step's attempt may read: those it names, and those in its
 * env, files, params and cwd, in its environment's vars, in the data and metabase entries that
 * these refer to, and in the whole metabase of one whose kind asks it. Sorted, NULL-terminated, to
 * be freed with strv_free. */
char **scope_secret_names(
	const struct spec_job *job, const struct spec_cell *cell, const struct spec_step *step);

/* The same of a check: those in its params, and in what these refer to. */
char **scope_check_secret_names(
	const struct spec_environment *environment, const struct node *params);

/* The child's whole environment, "NAME=VALUE", NULL-terminated: `unit` (PATH, HOME, LANG, TZ as
 * the daemon has them), NIGHTJAR_*, the environment's vars, the named secrets, then env, merged as
 * design part "What decides". */
int scope_environment(const struct scope *scope, char *const *unit, char ***ret, char **ret_error);
