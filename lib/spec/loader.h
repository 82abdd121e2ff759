/* Inside lib/spec: how a tree becomes a struct spec.
 *
 *   check_keys.c     pass 1: shapes, by the table of keys; what is wrong is said and taken out
 *   check_values.c   pass 1: one function a type
 *   read.c           a key's value, or the default in its table
 *   load.c           pass 2: the whole; then what nothing uses
 *   load_world.c     pass 2: locks, environments, sets, checks
 *   load_job.c       pass 2: a job       load_stage.c  a stage       load_step.c  a step
 *   load_notify.c    pass 2: notify, heartbeat, mail
 *   merge.c          what a step inherits: env, secrets, files, retry
 *   matrix.c         a stage's cells     only.c        what narrows them
 *   check_needs.c    needs: rounds, and what they match
 *   check_changed.c  metabase_sync: the dbt cells that it learns from
 *   check_sync.c     metabase_sync: the forms of its databases, tables and columns
 *   check_templates.c  each ${...} has a meaning wherever the step runs
 *   check_secrets.c  each secret is there, for each environment
 *   definition.c     a job as JSON, and back
 *
 * After pass 1 every key that is present has the shape that the table says (a wrong name stays as
 * it is), free groups in their list form have become groups, and a required key may be missing. */
#pragma once
#include "spec/spec.h"

struct loader {
	const struct spec_world *world;
	struct complaints *complaints;
	struct node *root; /* our own copy */
	bool stored;	   /* a stored definition: nothing to warn of */
	struct spec *spec;
	const struct node *environments, *sets, *checks;
	bool *lock_used, *set_used;
	bool locks_unclear; /* a lock's name is known only when its step runs */
	struct spec_zone *zones;
	/* secrets: which references were looked at, by "ENVIRONMENT.NAME" */
	char **secrets_seen;
	size_t n_secrets_seen, cap_secrets_seen;
	bool *secret_used; /* in step with world->secrets */
	const struct node **secret_at;
	const char **secret_names;
};

/* Where pass 2 is, for messages. Members are NULL above the floor it is on. */
struct at {
	struct loader *l;
	const struct node *job_node, *stage_node, *step_node;
	struct spec_job *job;
	struct spec_stage *stage;
	struct spec_step *step;
};

/* "jobs.nightly.stages.build.steps.build"; the caller frees. */
char *at_text(const struct at *at);
/* An error at a node, behind at_text(). */
void at_error(const struct at *at, const struct node *node, const char *format, ...) _printf_(3, 4);
/* `, did you mean "x"?` or "": the caller frees. */
char *did_you_mean(const char *word, const char *const *candidates, size_t n);

/* check_keys.c, check_values.c */
struct path {
	const struct path *up; /* NULL: the top */
	const char *part;
};
/* A key of the fixed table or of a kind's; NULL: none such. */
const struct key *find_key(const struct loader *l, const char *section, const char *name);
/* False: nothing of it can be looked at. */
bool check_tree(struct loader *l);
void check_group(struct loader *l, const struct path *path, struct node *n, const char *section);
/* False: the value is of no use and is to be taken out. */
bool check_value(struct loader *l, const struct path *path, const struct key *key, struct node *n);
void path_error(struct loader *l, const struct path *path, const struct node *n, const char *format,
	...) _printf_(4, 5);

/* read.c: the value of a key, else its default in the table, else 0 or NULL. */
const char *read_text(const struct node *group, const char *section, const char *name);
char *read_string(const struct node *group, const char *section, const char *name);
bool read_bool(const struct node *group, const char *section, const char *name);
unsigned read_unsigned(const struct node *group, const char *section, const char *name);
double read_number(const struct node *group, const char *section, const char *name);
usec_t read_duration(const struct node *group, const char *section, const char *name);
uint64_t read_size(const struct node *group, const char *section, const char *name);
/* The index among the key's words. */
int read_word(const struct node *group, const char *section, const char *name);
int64_t *read_ints(const struct node *group, const char *name, size_t *ret_n);
/* A list of strings, NULL when absent. */
char **read_strings(const struct node *group, const char *name);
bool parse_size(const char *s, uint64_t *ret);

/* load.c: `stored`: a definition of a run, in which nothing is warned of and no secret sought. */
int load_tree(const struct node *root, const struct spec_world *world, bool stored,
	struct complaints *complaints, struct spec **ret);

/* load_world.c */
void load_locks(struct loader *l);
void load_environments(struct loader *l);
void load_checks(struct loader *l);
void load_var_nodes(const struct node *const *nodes, size_t n, struct spec_vars *vars);
void load_environment(const struct node *n, struct spec_environment *e);
void load_check(const struct node *n, struct spec_check *c);
/* The children of free groups and of lists with a key `name`. -1: none. */
ssize_t find_named(const struct node *group_or_list, const char *name);
/* Complains of a name that is not there. */
bool known_environment(const struct at *at, const struct node *where, const char *name);

/* load_job.c, load_stage.c, load_step.c, load_notify.c */
struct spec_job *load_job(struct loader *l, const struct node *n);
void load_stage(struct at *at, const struct node *n);
void load_step(struct at *at, const struct node *n);
void load_notify(struct loader *l);

/* merge.c: every level that a step inherits from, the weakest first: sets that the job uses, the
 * job, sets that the stage uses, the stage, the step. */
struct level {
	const struct node *node;
	const struct node *set; /* the set itself, where it is one */
	bool of_job;		/* what it narrows by may be a dimension of any stage of the job */
};
struct levels {
	struct level *items;
	size_t n, cap;
};
void levels_of(const struct at *at, struct levels *ret);
/* True for a set that stands at a weaker level already: its files count once. */
bool level_seen(const struct levels *levels, size_t i);
/* The merged env as the nodes that won, in the order of first mention. Freed with free(). */
const struct node **merged_env(const struct levels *levels, size_t *ret_n);
void merge_step(struct at *at, const struct levels *levels);
/* The key in the nearest of step, stage and job. */
const struct node *nearest(const struct at *at, const char *key);

/* matrix.c, only.c */
void expand_matrix(struct at *at);
void load_only(const struct at *at, const struct node *n, const struct spec_stage *stage,
	struct spec_only *ret);
bool only_has_cell(
	const struct spec_only *only, const struct spec_stage *stage, const struct spec_cell *cell);
/* The strings of a value that is a string or a list of them. */
size_t strings_of(const struct node *n, const char **ret, size_t max);

/* check_needs.c, check_changed.c, check_sync.c, check_templates.c, check_secrets.c */
void load_needs(struct at *at);
void check_needs(struct at *at);
void check_changed(struct at *at);
/* at->step is a metabase_sync. */
void check_sync(struct at *at);
/* True when stage `from` needs `to`, directly or through others. */
bool stage_reaches(const struct spec_job *job, unsigned from, unsigned to);
void check_step_templates(const struct at *at, const struct levels *levels);
void check_world_templates(struct loader *l);
/* A text outside of jobs, in which only secrets and run.* have a meaning. */
void check_rule_template(struct loader *l, const char *where, const struct node *n);
/* True when the text holds a reference. */
bool has_reference(const char *text);
/* With ${matrix.X} replaced; NULL when it refers to anything else. `stage` and `cell` may be NULL.
 */
char *expand_matrix_only(
	const char *text, const struct spec_stage *stage, const struct spec_cell *cell);
void secret_wanted(struct loader *l, const struct node *where, const char *context,
	const char *environment, const char *name);
void check_secrets(struct loader *l);

/* definition.c */
void make_definition(struct loader *l, struct spec_job *job, const struct node *n);

/* zones: shared and counted */
struct spec_zone {
	unsigned refs;
	char *name;
	struct zone *zone;
	struct spec_zone *next; /* in the loader's list, which holds one reference */
};
struct spec_zone *zone_find(const struct at *at, const struct node *where, const char *name);
struct spec_zone *zone_unref(struct spec_zone *z);

/* free.c */
void vars_fini(struct spec_vars *v);
void environment_fini(struct spec_environment *e);
void check_fini(struct spec_check *c);
