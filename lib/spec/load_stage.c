/* Pass 2: a stage: its cells, and the environment of each. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

static ssize_t environment_dimension(const struct spec_stage *stage)
{
	for (size_t d = 0; d < stage->n_dimensions; d++)
		if (strcmp(stage->dimensions[d], "environment") == 0)
			return (ssize_t)d;
	return -1;
}

static void not_both(struct at *at)
{
	const struct node *stage = node_get(at->stage_node, "environment");
	const struct node *job = node_get(at->job_node, "environment");

	if (stage)
		at_error(at, stage,
			"environment is a dimension of the matrix already: say it there or here, "
			"not both");
	else if (job)
		at_error(at, job,
			"environment is said by the job, and is a dimension of this stage's "
			"matrix: "
			"say it for the stages without that dimension only");
}

/* Names each unknown environment once, at the list of the matrix or at the included cell. */
static void check_values_known(struct at *at, size_t d)
{
	const struct node *list = node_get(node_get(at->stage_node, "matrix"), "environment");
	const struct node *include = node_get(at->stage_node, "include");

	for (size_t i = 0; list && i < list->n_children; i++)
		known_environment(at, list->children[i], list->children[i]->string);
	for (size_t i = 0; include && i < include->n_children; i++) {
		const struct node *n = node_get(include->children[i], "environment");

		if (n && n->type == NODE_STRING)
			known_environment(at, n, n->string);
	}
}

static void load_environment_of_cells(struct at *at)
{
	struct spec_stage *stage = at->stage;
	ssize_t d = environment_dimension(stage);
	const struct node *n = nearest(at, "environment");

	if (d >= 0) {
		not_both(at);
		check_values_known(at, (size_t)d);
	} else if (n) {
		known_environment(at, n, n->string);
	}
	for (size_t i = 0; i < stage->n_cells; i++) {
		const char *name = d >= 0 ? stage->cells[i].values[d] : n ? n->string : NULL;

		stage->cells[i].environment = xstrdup(name);
	}
}

static void number_cells(struct at *at)
{
	for (size_t i = 0; i < at->stage->n_cells; i++) {
		at->stage->cells[i].stage = at->stage->index;
		at->stage->cells[i].index = at->job->n_cells++;
	}
}

void load_stage(struct at *at, const struct node *n)
{
	struct spec_stage *stage = at->stage;
	const char *name = node_string(n, "name");

	at->stage_node = n;
	stage->name = xstrdup(name ? name : "?");
	stage->fail_fast = read_bool(n, "stage", "fail_fast");
	stage->max_parallel = read_unsigned(n, "stage", "max_parallel");
	stage->deadline = read_duration(n, "stage", "deadline");
	expand_matrix(at);
	load_environment_of_cells(at);
	number_cells(at);
}
