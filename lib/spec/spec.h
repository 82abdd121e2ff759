/* A checked configuration, as structs. Everything that can be decided at load is decided here:
 * merged environments and retry policies, expanded matrices, resolved names. */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/complaint.h"
#include "base/outcome.h"
#include "base/text.h"
#include "spec/keys.h"
#include "spec/tree.h"
#include "time/cron.h"
#include "time/zone.h"

#define SPEC_MAX_CELLS 10000
#define SPEC_MAX_JOBS  10000

/* --- parts of a job ----------------------------------------------------------------------- */

struct spec_var {
	char *name;
	char *value;	    /* a template; NULL when `group` is set */
	struct node *group; /* becomes JSON, its strings are templates */
};

struct spec_vars {
	struct spec_var *items;
	size_t n, cap;
};

/* Values per dimension that something is narrowed to; terms are joined by AND, values by OR. */
struct spec_only {
	struct spec_only_term {
		char *dimension;
		char **values;
	} * terms;
	size_t n;
};

struct spec_file {
	struct spec_only only;
	char *content; /* a template */
	char *env;     /* the variable that holds its path; NULL: none */
	char *name;    /* its base name in the private folder */
};

struct spec_retry {
	unsigned attempts;
	usec_t delay, max_delay; /* max_delay 0: no bound */
	double factor, jitter;	 /* jitter: a fraction of the delay */
	unsigned on;		 /* bits 1u << enum outcome */
};

struct spec_lock_use {
	char *name; /* a template; NULL: none */
	bool shared;
};

struct spec_gate {
	char *check; /* a template; NULL: none */
	bool approval;
	char *approval_message;
	usec_t approval_expires; /* 0: never */
};

enum spec_when {
	WHEN_OK,
	WHEN_FAILED,
	WHEN_ENDED,
};

struct spec_step {
	char *name;
	const struct spec_kind *kind;
	struct node *params;  /* the value of the kind's key, templates unexpanded */
	char *cwd;	      /* a template; NULL: as the kind says */
	struct spec_vars env; /* step over stage over job over used sets; merged */
	char **secrets;	      /* names, united */
	struct spec_file *files;
	size_t n_files;
	struct spec_only only;
	enum spec_when when;
	usec_t timeout;
	usec_t kill_after; /* 0: as the kind says */
	struct spec_retry retry;
	struct spec_lock_use lock;
	struct spec_gate gate;
	usec_t ready_timeout;
	int64_t *ok_codes; /* never empty: 0 by default */
	size_t n_ok_codes;
	int64_t *transient_codes;
	size_t n_transient_codes;
	uint64_t log_cap; /* bytes an action */
};

struct spec_cell {
	unsigned index; /* within the job: over all stages, in order */
	unsigned stage;
	char **values;	   /* one for each dimension of the stage */
	char *name;	   /* "build/staging/postgres" */
	char *environment; /* NULL: none */
};

struct spec_need {
	unsigned stage;
	enum spec_when when;
	struct spec_only only; /* of the needed stage's dimensions */
};

struct spec_stage {
	char *name;
	unsigned index;
	char **dimensions; /* NULL-terminated, in the order written */
	size_t n_dimensions;
	struct spec_cell *cells;
	size_t n_cells;
	struct spec_need *needs;
	size_t n_needs;
	bool fail_fast;
	unsigned max_parallel; /* 0: no bound */
	usec_t deadline;       /* 0: none */
	struct spec_step *steps;
	size_t n_steps;
};

enum spec_catch_up {
	CATCH_UP_NONE,
	CATCH_UP_LAST,
	CATCH_UP_ALL,
};

enum spec_overlap {
	OVERLAP_SKIP,
	OVERLAP_QUEUE,
	OVERLAP_ALLOW,
	OVERLAP_CANCEL_OTHER,
};

struct spec_environment {
	char *name;
	struct spec_vars vars;
	struct node *data; /* NULL: none */
	char *metabase_url, *metabase_api_key, *metabase_username,
		*metabase_password; /* templates */
};

struct spec_check {
	char *name;
	char **environments;
	struct node *params; /* url, method, headers, body, expect, codes, text */
	usec_t interval, timeout;
	unsigned fall, rise;
};

/* A job with all it refers to: what a run keeps. Shared and counted. */
struct spec_job {
	unsigned refs;
	char *name;
	const char *file;
	unsigned line;
	char *schedule; /* as written; NULL: by hand only */
	struct cron *cron;
	char *timezone;
	struct zone *zone;
	struct spec_zone *zone_holder; /* shares the zone between the jobs of one load */
	usec_t start_grace;
	enum spec_catch_up catch_up;
	usec_t catch_up_window;
	unsigned catch_up_max;
	enum spec_overlap overlap;
	usec_t deadline; /* 0: none */
	char **choose;	 /* manual.choose: dimensions that a start by hand must give */
	struct spec_stage *stages;
	size_t n_stages;
	unsigned n_cells;		       /* over all stages */
	struct spec_environment *environments; /* those it refers to */
	size_t n_environments;
	struct spec_check *checks;
	size_t n_checks;
	/* The definition as JSON text, from which spec_job_from_definition() makes the same job,
	 * and its SHA-256. */
	char *definition;
	char hash[65];
};

struct spec_job *spec_job_ref(struct spec_job *job);
struct spec_job *spec_job_unref(struct spec_job *job); /* returns NULL */
DEFINE_CLEANUP(struct spec_job *, spec_job_unref)

const struct spec_stage *spec_stage_by_name(const struct spec_job *job, const char *name);
const struct spec_environment *spec_environment_by_name(
	const struct spec_job *job, const char *name);
/* By the cell's index within the job. */
struct spec_cell *spec_cell_at(const struct spec_job *job, unsigned index);
/* The cell's value of that dimension; NULL if its stage has none such. */
const char *spec_cell_value(
	const struct spec_job *job, const struct spec_cell *cell, const char *dimension);
/* True if the cell is inside `only`. A dimension that its stage does not have does not narrow. */
bool spec_only_has(
	const struct spec_only *only, const struct spec_job *job, const struct spec_cell *cell);
/* True if two cells agree on every dimension that both of their stages have. */
bool spec_cells_join(
	const struct spec_job *job, const struct spec_cell *a, const struct spec_cell *b);
void spec_only_fini(struct spec_only *only);

/* --- the whole ---------------------------------------------------------------------------- */

struct spec_lock {
	char *name;
	unsigned places;
};

struct spec {
	char *conninfo;
	char *socket_path;
	char *operators; /* a group's name; NULL: root alone */
	char *state;	 /* the folder */
	char *secrets_directory;
	usec_t history_keep, history_logs; /* 0: for ever */
	unsigned max_attempts;
	struct spec_lock *locks;
	size_t n_locks;
	struct spec_environment *environments;
	size_t n_environments;
	struct spec_check *checks;
	size_t n_checks;
	struct node *notify; /* checked, kept for the adapter that sends */
	struct node *heartbeat;
	struct node *mail;
	struct spec_job **jobs; /* sorted by name */
	size_t n_jobs;
};

/* What checking needs from outside; lib/ reads no file itself. */
struct spec_world {
	void *context;
	/* TZif bytes of a zone by its IANA name, to be freed by the caller; -ENOENT. */
	int (*zone_bytes)(void *context, const char *name, void **ret, size_t *ret_len);
	/* Every secret there is: file names as they are in the directory, sorted. NULL: they are
	 * not checked (a stored definition). */
	const struct secret_info {
		char *name;
		size_t size;
		bool world_readable;
	} * secrets;
	size_t n_secrets;
	bool check_secrets;
	const char *default_state,
		*default_secrets_directory; /* from the environment; may be NULL */
	const struct spec_kind *kinds;
	size_t n_kinds;
};

/* Checks all of the tree, collecting everything that is wrong. Returns 0 with *ret set, or -EINVAL
 * when there was at least one error (warnings are no errors). The tree stays the caller's. */
int spec_load(const struct node *root, const struct spec_world *world,
	struct complaints *complaints, struct spec **ret);
void spec_free(struct spec *spec);
DEFINE_CLEANUP(struct spec *, spec_free)

struct spec_job *spec_job_by_name(const struct spec *spec, const char *name);
/* The places of a lock; 1 for a name that is not listed (it came from a template). */
unsigned spec_lock_places(const struct spec *spec, const char *name);

/* A job from a run's stored definition. 0, or -EINVAL with a sentence (the caller frees). */
int spec_job_from_definition(const char *definition, const struct spec_world *world,
	struct spec_job **ret, char **ret_error);

/* The name of the file that holds secret `name` for `environment` (NULL: none): ENV.NAME wins over
 * NAME, and once any environment has its own NAME the bare one is no fallback. NULL: there is
 * none. `names` is sorted. */
char *spec_secret_file(
	const char *const *names, size_t n_names, const char *environment, const char *name);
