/* metabase_sync: the Metabase it asks, the dbt cells that "changed" learns from, and `target`. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

/* A dbt step that makes no table teaches nothing. */
static bool builds_tables(const struct spec_step *step)
{
	static const char *const idle[] = {"deps", "compile", "parse", "debug", "clean", "list",
		"ls", "test", "source_freshness"};
	const char *command = node_string(step->params, "command");

	if (!step->kind || strcmp(step->kind->name, "dbt") != 0)
		return false;
	for (size_t i = 0; command && i < ARRAY_SIZE(idle); i++)
		if (strcmp(idle[i], command) == 0)
			return false;
	return true;
}

static bool builds_in(
	const struct spec_stage *stage, const char *environment, const struct spec_step *before)
{
	bool builds = false;

	for (size_t i = 0; i < stage->n_steps && &stage->steps[i] != before; i++)
		builds = builds || builds_tables(&stage->steps[i]);
	for (size_t i = 0; builds && i < stage->n_cells; i++)
		if (str_eq(stage->cells[i].environment, environment))
			return true;
	return false;
}

/* In the needed stages, and in the steps before it in its own cell. */
static bool learns(const struct at *at, const char *environment)
{
	const struct spec_job *job = at->job;

	if (builds_in(at->stage, environment, at->step))
		return true;
	for (unsigned i = 0; i < job->n_stages; i++)
		if (stage_reaches(job, at->stage->index, i) &&
			builds_in(&job->stages[i], environment, NULL))
			return true;
	return false;
}

static void check_tables(struct at *at, const struct node *tables)
{
	const char *last = NULL;

	if (tables->type != NODE_STRING)
		return;
	if (strcmp(tables->string, "changed") != 0 && !has_reference(tables->string)) {
		at_error(at, tables,
			"metabase_sync.tables: \"%s\" is neither \"changed\" nor a list of "
			"\"schema.table\"",
			tables->string);
		return;
	}
	for (size_t i = 0; i < at->stage->n_cells; i++) {
		const char *e = at->stage->cells[i].environment;

		if (!only_has_cell(&at->step->only, at->stage, &at->stage->cells[i]))
			continue;
		if ((i > 0 && str_eq(e, last)) || learns(at, e)) {
			last = e;
			continue;
		}
		at_error(at, tables,
			"metabase_sync.tables: \"changed\" has no dbt cell to learn from: the cell "
			"%s "
			"needs none that builds%s%s",
			at->stage->cells[i].name, e ? " in environment " : "", e ? e : "");
		return;
	}
}

static bool builds_target(
	const struct spec_stage *stage, const struct spec_step *before, const char *target)
{
	bool builds = false;
	size_t d = 0;

	for (size_t i = 0; i < stage->n_steps && &stage->steps[i] != before; i++)
		builds = builds || builds_tables(&stage->steps[i]);
	if (!builds)
		return false;

	while (d < stage->n_dimensions && strcmp(stage->dimensions[d], "target") != 0)
		d++;
	for (size_t i = 0; d < stage->n_dimensions && i < stage->n_cells; i++)
		if (strcmp(stage->cells[i].values[d], target) == 0)
			return true;
	return false;
}

static void check_target(struct at *at, const struct node *n)
{
	if (has_reference(n->string) || builds_target(at->stage, at->step, n->string))
		return;
	for (unsigned i = 0; i < at->job->n_stages; i++)
		if (stage_reaches(at->job, at->stage->index, i) &&
			builds_target(&at->job->stages[i], NULL, n->string))
			return;
	at_error(at, n,
		"metabase_sync.databases: no dbt stage that this one needs has a cell with target "
		"= \"%s\"",
		n->string);
}

/* Each cell's environment says which Metabase is asked. */
static void check_metabase(struct at *at)
{
	for (size_t i = 0; i < at->stage->n_cells; i++) {
		const char *e = at->stage->cells[i].environment;
		ssize_t place = find_named(at->l->environments, e);

		if (!only_has_cell(&at->step->only, at->stage, &at->stage->cells[i]))
			continue;
		if (e && place < 0)
			continue; /* said already */
		if (e && at->l->spec->environments[place].metabase_url)
			continue;
		at_error(at, at->step_node, "metabase_sync: %s%s%s has no metabase",
			e ? "environment \"" : "the cell has no environment, and so it", e ? e : "",
			e ? "\"" : "");
		return;
	}
}

static void check_step(struct at *at)
{
	const struct node *params = at->step->params;
	const struct node *tables = node_get(params, "tables");
	const struct node *databases = node_get(params, "databases");

	if (!at->step->kind || strcmp(at->step->kind->name, "metabase_sync") != 0)
		return;
	check_metabase(at);
	if (!at->l->stored)
		check_sync(at);
	if (tables)
		check_tables(at, tables);
	if (node_string(databases, "target"))
		check_target(at, node_get(databases, "target"));
	for (size_t i = 0; databases && databases->type == NODE_LIST && i < databases->n_children;
		i++)
		if (node_string(databases->children[i], "target"))
			check_target(at, node_get(databases->children[i], "target"));
}

void check_changed(struct at *at)
{
	const struct node *stages = node_get(at->job_node, "stages");

	for (size_t i = 0; i < at->job->n_stages; i++) {
		at->stage = &at->job->stages[i];
		at->stage_node = stages->children[i];
		for (size_t k = 0; k < at->stage->n_steps; k++) {
			at->step = &at->stage->steps[k];
			at->step_node = node_get(at->stage_node, "steps")->children[k];
			check_step(at);
		}
	}
	at->stage = NULL;
	at->step = NULL;
	at->stage_node = at->step_node = NULL;
}
