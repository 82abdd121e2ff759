/* What a step inherits: env by key, secrets and files united, retry by field. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

/* --- levels ------------------------------------------------------------------------------- */

static void add_level(struct levels *v, const struct node *node, bool is_set, bool of_job)
{
	XGROW(v->items, v->n, v->cap);
	v->items[v->n++] =
		(struct level){.node = node, .set = is_set ? node : NULL, .of_job = of_job};
}

static void add_sets(struct levels *v, const struct at *at, const struct node *user, bool of_job)
{
	const struct node *use = node_get(user, "use");

	for (size_t i = 0; use && i < use->n_children; i++) {
		ssize_t set = find_named(at->l->sets, use->children[i]->string);

		if (set >= 0)
			add_level(v, at->l->sets->children[set], true, of_job);
	}
}

/* All sets are below the job, so that a job's own word stands over any set's. */
void levels_of(const struct at *at, struct levels *v)
{
	add_sets(v, at, at->job_node, true);
	add_sets(v, at, at->stage_node, false);
	add_level(v, at->job_node, false, true);
	add_level(v, at->stage_node, false, false);
	add_level(v, at->step_node, false, false);
}

const struct node *nearest(const struct at *at, const char *key)
{
	const struct node *nodes[] = {at->step_node, at->stage_node, at->job_node};

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		if (node_get(nodes[i], key))
			return node_get(nodes[i], key);
	return NULL;
}

/* --- env and secrets ---------------------------------------------------------------------- */

static size_t place_of(const struct node *const *nodes, size_t n, const char *key)
{
	size_t i = 0;

	while (i < n && strcmp(nodes[i]->key, key) != 0)
		i++;
	return i;
}

const struct node **merged_env(const struct levels *levels, size_t *ret_n)
{
	const struct node **nodes = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < levels->n; i++) {
		const struct node *env = node_get(levels->items[i].node, "env");

		for (size_t k = 0; env && k < env->n_children; k++) {
			size_t place = place_of(nodes, n, env->children[k]->key);

			if (place == n) {
				XGROW(nodes, n, cap);
				n++;
			}
			nodes[place] = env->children[k];
		}
	}
	*ret_n = n;
	return nodes;
}

static bool strv_has(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++)
		if (strcmp(v[i], s) == 0)
			return true;
	return false;
}

static void unite_secrets(struct at *at, const struct levels *levels)
{
	size_t n = 0;

	for (size_t i = 0; i < levels->n; i++) {
		const struct node *list = node_get(levels->items[i].node, "secrets");

		for (size_t k = 0; list && k < list->n_children; k++)
			if (!strv_has(at->step->secrets, list->children[k]->string))
				at->step->secrets = strv_add(
					at->step->secrets, &n, xstrdup(list->children[k]->string));
	}
}

static void merge_env(struct at *at, const struct levels *levels)
{
	size_t n;
	const struct node **nodes = merged_env(levels, &n);

	load_var_nodes(nodes, n, &at->step->env);
	for (size_t i = 0; i < n; i++)
		if (!at->l->stored && str_starts(nodes[i]->key, "NIGHTJAR_"))
			complain_warning(at->l->complaints, nodes[i]->file, nodes[i]->line,
				"env: %s is nightjar's own: this value never arrives",
				nodes[i]->key);
	for (size_t i = 0; i < n; i++)
		if (strv_has(at->step->secrets, nodes[i]->key))
			at_error(at, nodes[i],
				"\"%s\" is in env and in secrets: it can be in one of them only",
				nodes[i]->key);
	free(nodes);
}

/* --- files -------------------------------------------------------------------------------- */

static bool file_name_taken(const struct spec_step *step, const char *name)
{
	for (size_t i = 0; i < step->n_files; i++)
		if (step->files[i].name && strcmp(step->files[i].name, name) == 0)
			return true;
	return false;
}

/* The variable's name; with a number where several files take turns for it. */
static char *file_name(const struct spec_step *step, const char *env)
{
	char *name = xstrdup(env ? env : "file");

	for (unsigned i = 2; file_name_taken(step, name); i++) {
		free(name);
		name = xasprintf("%s-%u", env ? env : "file", i);
	}
	return name;
}

static bool in_one_cell(
	const struct spec_stage *stage, const struct spec_file *a, const struct spec_file *b)
{
	for (size_t i = 0; i < stage->n_cells; i++)
		if (only_has_cell(&a->only, stage, &stage->cells[i]) &&
			only_has_cell(&b->only, stage, &stage->cells[i]))
			return true;
	return false;
}

static void check_file_variable(struct at *at, const struct node *n, const struct spec_file *f)
{
	const struct spec_step *step = at->step;

	if (!f->env)
		return;
	for (size_t i = 0; i < step->n_files; i++)
		if (step->files[i].env && strcmp(step->files[i].env, f->env) == 0 &&
			in_one_cell(at->stage, &step->files[i], f))
			at_error(at, n, "files: two files want the variable %s in the same cell",
				f->env);
	for (size_t i = 0; i < step->env.n; i++)
		if (strcmp(step->env.items[i].name, f->env) == 0)
			at_error(at, n,
				"files: \"%s\" is in env too: it can be in one of them only",
				f->env);
	if (strv_has(step->secrets, f->env))
		at_error(at, n, "files: \"%s\" is in secrets too: it can be in one of them only",
			f->env);
}

/* Said where it is written, so that it is said once and not for each step. */
static void load_file_only(
	const struct at *at, const struct level *level, const struct node *n, struct spec_only *ret)
{
	struct at where = *at;

	if (level->node != at->step_node)
		where.step_node = NULL;
	if (level->of_job)
		where.stage_node = NULL;
	load_only(&where, n, level->of_job ? NULL : at->stage, ret);
}

static void add_file(struct at *at, const struct level *level, const struct node *n)
{
	struct spec_step *step = at->step;
	struct spec_file f = {
		.content = xstrdup(node_string(n, "content")),
		.env = xstrdup(node_string(n, "env")),
	};

	if (!f.content)
		f.content = xstrdup("");
	load_file_only(at, level, node_get(n, "only"), &f.only);
	check_file_variable(at, n, &f);
	f.name = file_name(step, f.env);
	step->files = xrealloc(step->files, (step->n_files + 1) * sizeof(*step->files));
	step->files[step->n_files++] = f;
}

bool level_seen(const struct levels *levels, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (levels->items[k].node == levels->items[i].node)
			return true;
	return false;
}

static void unite_files(struct at *at, const struct levels *levels)
{
	for (size_t i = 0; i < levels->n; i++) {
		const struct node *files = node_get(levels->items[i].node, "files");

		if (level_seen(levels, i))
			continue; /* a set that the job and the stage both use */
		for (size_t k = 0; files && k < files->n_children; k++)
			add_file(at, &levels->items[i], files->children[k]);
	}
}

/* --- retry -------------------------------------------------------------------------------- */

/* The group that says the field: the step's, the stage's, the job's, or none. */
static const struct node *retry_with(const struct at *at, const char *field)
{
	const struct node *nodes[] = {at->step_node, at->stage_node, at->job_node};

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		if (node_get(node_get(nodes[i], "retry"), field))
			return node_get(nodes[i], "retry");
	return NULL;
}

static unsigned outcomes_of(const struct node *list)
{
	unsigned bits = 0;

	if (!list)
		return 1u << OUTCOME_TRANSIENT;
	for (size_t i = 0; i < list->n_children; i++)
		bits |= 1u << outcome_parse(list->children[i]->string);
	return bits;
}

static void merge_retry(struct at *at)
{
	struct spec_retry *r = &at->step->retry;

	r->attempts = read_unsigned(retry_with(at, "attempts"), "retry", "attempts");
	r->delay = read_duration(retry_with(at, "delay"), "retry", "delay");
	r->factor = read_number(retry_with(at, "factor"), "retry", "factor");
	r->max_delay = read_duration(retry_with(at, "max_delay"), "retry", "max_delay");
	r->jitter = read_number(retry_with(at, "jitter"), "retry", "jitter");
	r->on = outcomes_of(node_get(retry_with(at, "on"), "on"));
	if (r->jitter > 1)
		at_error(at, node_get(retry_with(at, "jitter"), "jitter"),
			"retry.jitter: %g is too large, it is a fraction of the delay, at most 1",
			r->jitter);
}

void merge_step(struct at *at, const struct levels *levels)
{
	unite_secrets(at, levels);
	merge_env(at, levels);
	unite_files(at, levels);
	merge_retry(at);
}
