/* A job as JSON with all that it refers to, and back by the same code that loads a file. */
#include <errno.h>
#include <string.h>
#include "base/digest.h"
#include "base/json.h"
#include "base/memory.h"
#include "spec/loader.h"

#define DEFINITION_VERSION 1

/* --- what a job refers to ----------------------------------------------------------------- */

struct refers {
	bool *environments, *sets, *checks, *locks; /* in step with the loader's nodes */
};

static size_t count(const struct node *n)
{
	return n ? n->n_children : 0;
}

static void mark(bool *flags, const struct node *in, const char *name)
{
	ssize_t i = find_named(in, name);

	if (i >= 0)
		flags[i] = true;
}

static void mark_sets(struct loader *l, struct refers *r, const struct node *user)
{
	const struct node *use = node_get(user, "use");

	for (size_t i = 0; i < count(use); i++)
		mark(r->sets, l->sets, use->children[i]->string);
}

static void mark_lock(struct loader *l, struct refers *r, const struct spec_step *step)
{
	_cleanup_free_ char *name = NULL;

	if (!step->lock.name || has_reference(step->lock.name))
		return;
	name = expand_matrix_only(step->lock.name, NULL, NULL);
	mark(r->locks, node_get(l->root, "locks"), name);
}

static void mark_checks(struct loader *l, struct refers *r, const struct spec_stage *stage,
	const struct spec_step *step)
{
	for (size_t i = 0; step->gate.check && i < stage->n_cells; i++) {
		_cleanup_free_ char *name =
			expand_matrix_only(step->gate.check, stage, &stage->cells[i]);

		if (name && only_has_cell(&step->only, stage, &stage->cells[i]))
			mark(r->checks, l->checks, name);
	}
}

static void mark_stage(struct loader *l, struct refers *r, const struct spec_stage *stage)
{
	for (size_t i = 0; i < stage->n_cells; i++)
		mark(r->environments, l->environments, stage->cells[i].environment);
	for (size_t i = 0; i < stage->n_steps; i++) {
		mark_lock(l, r, &stage->steps[i]);
		mark_checks(l, r, stage, &stage->steps[i]);
	}
}

/* A check brings the environments that it is made for. */
static void mark_check_environments(struct loader *l, struct refers *r)
{
	for (size_t i = 0; i < l->spec->n_checks; i++) {
		char **names = l->spec->checks[i].environments;

		for (size_t k = 0; r->checks[i] && names && names[k]; k++)
			mark(r->environments, l->environments, names[k]);
	}
}

static void find_refers(
	struct loader *l, struct refers *r, const struct spec_job *job, const struct node *n)
{
	const struct node *stages = node_get(n, "stages");

	r->environments = xcalloc(count(l->environments), sizeof(bool));
	r->sets = xcalloc(count(l->sets), sizeof(bool));
	r->checks = xcalloc(count(l->checks), sizeof(bool));
	r->locks = xcalloc(count(node_get(l->root, "locks")), sizeof(bool));
	mark_sets(l, r, n);
	for (size_t i = 0; i < count(stages); i++)
		mark_sets(l, r, stages->children[i]);
	for (size_t i = 0; i < job->n_stages; i++)
		mark_stage(l, r, &job->stages[i]);
	mark_check_environments(l, r);
}

/* --- to JSON ------------------------------------------------------------------------------ */

static cJSON *marked_group(const struct node *in, const bool *flags)
{
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < count(in); i++)
		if (flags[i])
			json_set(json, in->children[i]->key, node_to_json(in->children[i]));
	return json;
}

static cJSON *marked_list(const struct node *in, const bool *flags)
{
	cJSON *json = cJSON_CreateArray();

	for (size_t i = 0; i < count(in); i++)
		if (flags[i])
			cJSON_AddItemToArray(json, node_to_json(in->children[i]));
	return json;
}

/* Names alone: how many places there are is always today's word. */
static cJSON *marked_locks(const struct node *in, const bool *flags)
{
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < count(in); i++)
		if (flags[i])
			json_set_int(json, in->children[i]->key, 1);
	return json;
}

static char *definition_text(struct loader *l, const struct refers *r, const struct node *n)
{
	_cleanup_json_ cJSON *json = cJSON_CreateObject();

	json_set_int(json, "version", DEFINITION_VERSION);
	json_set(json, "job", node_to_json(n));
	json_set(json, "environments", marked_group(l->environments, r->environments));
	json_set(json, "sets", marked_group(l->sets, r->sets));
	json_set(json, "checks", marked_list(l->checks, r->checks));
	json_set(json, "locks", marked_locks(node_get(l->root, "locks"), r->locks));
	return json_print(json);
}

static void copy_environments(struct loader *l, const struct refers *r, struct spec_job *job)
{
	job->environments = xcalloc(count(l->environments), sizeof(*job->environments));
	for (size_t i = 0; i < count(l->environments); i++)
		if (r->environments[i])
			load_environment(l->environments->children[i],
				&job->environments[job->n_environments++]);
	job->environments =
		xrealloc(job->environments, job->n_environments * sizeof(*job->environments));
}

static void copy_checks(struct loader *l, const struct refers *r, struct spec_job *job)
{
	job->checks = xcalloc(count(l->checks), sizeof(*job->checks));
	for (size_t i = 0; i < count(l->checks); i++)
		if (r->checks[i])
			load_check(l->checks->children[i], &job->checks[job->n_checks++]);
	job->checks = xrealloc(job->checks, job->n_checks * sizeof(*job->checks));
}

void make_definition(struct loader *l, struct spec_job *job, const struct node *n)
{
	struct refers r;

	find_refers(l, &r, job, n);
	copy_environments(l, &r, job);
	copy_checks(l, &r, job);
	job->definition = definition_text(l, &r, n);
	digest_hex(job->definition, strlen(job->definition), job->hash);
	free(r.environments);
	free(r.sets);
	free(r.checks);
	free(r.locks);
}

/* --- and back ----------------------------------------------------------------------------- */

static void move(cJSON *from, const char *name, cJSON *to)
{
	cJSON *item = json_get(from, name);

	if (item)
		json_set(to, name, cJSON_DetachItemViaPointer(from, item));
}

/* The definition in the shape of a whole configuration. */
static cJSON *as_configuration(cJSON *definition)
{
	cJSON *root = cJSON_CreateObject(), *jobs = cJSON_CreateArray();
	cJSON *job = json_get(definition, "job");
	static const char *const parts[] = {"environments", "sets", "checks", "locks"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		move(definition, parts[i], root);
	if (job)
		cJSON_AddItemToArray(jobs, cJSON_DetachItemViaPointer(definition, job));
	json_set(root, "jobs", jobs);
	return root;
}

static int refuse(char **ret_error, const char *why)
{
	*ret_error = xasprintf("the stored definition cannot be used: %s", why);
	return -EINVAL;
}

static int load_definition(
	const cJSON *root, const struct spec_world *world, struct spec **ret, char **ret_error)
{
	_cleanup_node_ struct node *tree = node_from_json(root, NULL);
	_cleanup_(complaints_fini) struct complaints complaints = {0};
	int r = load_tree(tree, world, true, &complaints, ret);

	for (size_t i = 0; r < 0 && i < complaints.n; i++)
		if (!complaints.items[i].is_warning)
			return refuse(ret_error, complaints.items[i].message);
	return r;
}

int spec_job_from_definition(const char *definition, const struct spec_world *world,
	struct spec_job **ret, char **ret_error)
{
	_cleanup_json_ cJSON *json = NULL, *root = NULL;
	_cleanup_(cleanup_spec_free) struct spec *spec = NULL;
	int r;

	if (json_parse(definition, strlen(definition), &json) < 0 || !cJSON_IsObject(json))
		return refuse(ret_error, "it is no JSON object");
	if (json_int(json, "version", 0) != DEFINITION_VERSION)
		return refuse(ret_error, "its version is not known");
	root = as_configuration(json);
	r = load_definition(root, world, &spec, ret_error);
	if (r < 0)
		return r;
	if (spec->n_jobs != 1)
		return refuse(ret_error, "it holds no job");
	*ret = spec_job_ref(spec->jobs[0]);
	return 0;
}
