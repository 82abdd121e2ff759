/* A stage's matrix: each combination of its dimensions is a cell, without those excluded, with
 * those included. The last dimension changes fastest. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define MAX_COMBINATIONS ((size_t)10 * SPEC_MAX_CELLS) /* before any is excluded */

static void add_dimension(struct spec_stage *stage, const char *name)
{
	stage->dimensions = strv_add(stage->dimensions, &stage->n_dimensions, xstrdup(name));
}

/* The matrix says the dimensions; without one the first included cell does. */
static void load_dimensions(struct at *at)
{
	const struct node *n = node_get(at->stage_node, "matrix");
	const struct node *include = node_get(at->stage_node, "include");

	at->stage->dimensions = xcalloc(1, sizeof(char *));
	if (!n && include && include->n_children > 0)
		n = include->children[0];
	for (size_t i = 0; n && i < n->n_children; i++)
		add_dimension(at->stage, n->children[i]->key);
}

static char *cell_name(const struct spec_stage *stage, char *const *values)
{
	_cleanup_buf_ struct buf name = BUF_NULL;

	buf_puts(&name, stage->name);
	for (size_t d = 0; d < stage->n_dimensions; d++)
		buf_printf(&name, "/%s", values[d]);
	return buf_steal(&name);
}

/* The values are copied. */
static void add_cell(struct spec_stage *stage, size_t *cap, const char *const *values)
{
	struct spec_cell *cell;

	XGROW(stage->cells, stage->n_cells, *cap);
	cell = &stage->cells[stage->n_cells++];
	*cell = (struct spec_cell){0};
	cell->values = xcalloc(stage->n_dimensions + 1, sizeof(char *));
	for (size_t d = 0; d < stage->n_dimensions; d++)
		cell->values[d] = xstrdup(values[d]);
	cell->name = cell_name(stage, cell->values);
}

static bool says(const struct node *n, const char *value)
{
	if (n->type == NODE_STRING)
		return strcmp(n->string, value) == 0;
	for (size_t i = 0; i < n->n_children; i++)
		if (strcmp(n->children[i]->string, value) == 0)
			return true;
	return false;
}

static bool group_fits(
	const struct spec_stage *stage, const struct node *group, const char *const *values)
{
	size_t fits = 0;

	for (size_t d = 0; d < stage->n_dimensions; d++) {
		const struct node *n = node_get(group, stage->dimensions[d]);

		fits += n && says(n, values[d]);
	}
	return fits > 0 && fits == group->n_children;
}

static bool is_excluded(
	const struct spec_stage *stage, const struct node *exclude, const char *const *values)
{
	for (size_t i = 0; exclude && i < exclude->n_children; i++)
		if (group_fits(stage, exclude->children[i], values))
			return true;
	return false;
}

static size_t count_combinations(const struct node *matrix)
{
	size_t n = 1;

	for (size_t d = 0; d < matrix->n_children; d++)
		if (__builtin_mul_overflow(n, matrix->children[d]->n_children, &n))
			return SIZE_MAX;
	return matrix->n_children ? n : 0;
}

static void expand_combinations(struct at *at, const struct node *matrix, size_t *cap)
{
	const struct node *exclude = node_get(at->stage_node, "exclude");
	size_t n = count_combinations(matrix);
	const char **values = xcalloc(matrix->n_children + 1, sizeof(*values));

	for (size_t i = 0; i < n && at->stage->n_cells <= SPEC_MAX_CELLS; i++) {
		size_t rest = i;

		for (size_t d = matrix->n_children; d-- > 0;) {
			const struct node *list = matrix->children[d];

			values[d] = list->children[rest % list->n_children]->string;
			rest /= list->n_children;
		}
		if (!is_excluded(at->stage, exclude, values))
			add_cell(at->stage, cap, values);
	}
	free(values);
}

static bool cell_is_there(const struct spec_stage *stage, const char *const *values)
{
	for (size_t i = 0; i < stage->n_cells; i++) {
		size_t d = 0;

		while (d < stage->n_dimensions && strcmp(stage->cells[i].values[d], values[d]) == 0)
			d++;
		if (d == stage->n_dimensions)
			return true;
	}
	return false;
}

/* One group of `include`: a value for every dimension, and for no other. */
static bool whole_cell(struct at *at, const struct node *group, const char **values)
{
	const struct spec_stage *stage = at->stage;
	bool whole = true;

	for (size_t d = 0; d < stage->n_dimensions; d++) {
		const struct node *n = node_get(group, stage->dimensions[d]);

		if (n && n->type == NODE_STRING) {
			values[d] = n->string;
			continue;
		}
		whole = false;
		at_error(at, n ? n : group, "include: it gives whole cells, so \"%s\" must have %s",
			stage->dimensions[d], n ? "one value, not a list" : "a value");
	}
	for (size_t i = 0; i < group->n_children; i++) {
		const char *key = group->children[i]->key;
		_cleanup_free_ char *mend = NULL;
		size_t d = 0;

		while (d < stage->n_dimensions && strcmp(stage->dimensions[d], key) != 0)
			d++;
		if (d < stage->n_dimensions)
			continue;
		whole = false;
		mend = did_you_mean(
			key, (const char *const *)stage->dimensions, stage->n_dimensions);
		at_error(at, group->children[i], "include: the stage has no dimension \"%s\"%s",
			key, mend);
	}
	return whole;
}

static void add_included(struct at *at, size_t *cap)
{
	const struct node *include = node_get(at->stage_node, "include");
	const char **values = xcalloc(at->stage->n_dimensions + 1, sizeof(*values));

	for (size_t i = 0; include && i < include->n_children; i++) {
		const struct node *group = include->children[i];

		if (!whole_cell(at, group, values))
			continue;
		if (cell_is_there(at->stage, values)) {
			_cleanup_free_ char *name = cell_name(at->stage, (char *const *)values);

			at_error(at, group, "include: there is a cell %s already", name);
		} else {
			add_cell(at->stage, cap, values);
		}
		if (at->stage->n_cells > SPEC_MAX_CELLS)
			break;
	}
	free(values);
}

static bool is_value(struct at *at, const struct node *matrix, const char *dimension, const char *v)
{
	const struct node *list = node_get(matrix, dimension);

	return list && says(list, v);
}

static void check_excluded_value(struct at *at, const struct node *matrix,
	const struct node *dimension, const struct node *n)
{
	const struct node *list = node_get(matrix, dimension->key);
	const char *names[64];
	size_t n_names = strings_of(list, names, ARRAY_SIZE(names));
	_cleanup_free_ char *mend = NULL;

	if (is_value(at, matrix, dimension->key, n->string))
		return;
	mend = did_you_mean(n->string, names, n_names);
	at_error(at, n, "exclude: dimension \"%s\" has no value \"%s\"%s", dimension->key,
		n->string, mend);
}

static void check_exclude(struct at *at, const struct node *matrix)
{
	const struct node *exclude = node_get(at->stage_node, "exclude");

	for (size_t i = 0; exclude && i < exclude->n_children; i++) {
		const struct node *group = exclude->children[i];

		if (group->n_children == 0)
			at_error(at, group,
				"exclude: it says nothing: give a dimension and a value");
		for (size_t k = 0; k < group->n_children; k++) {
			const struct node *n = group->children[k];

			if (!node_get(matrix, n->key)) {
				_cleanup_free_ char *mend = did_you_mean(n->key,
					(const char *const *)at->stage->dimensions,
					at->stage->n_dimensions);

				at_error(at, n, "exclude: the stage has no dimension \"%s\"%s",
					n->key, mend);
				continue;
			}
			if (n->type == NODE_STRING)
				check_excluded_value(at, matrix, n, n);
			for (size_t v = 0; v < n->n_children; v++)
				check_excluded_value(at, matrix, n, n->children[v]);
		}
	}
}

static void expand_all(struct at *at, const struct node *matrix)
{
	const struct node *include = node_get(at->stage_node, "include");
	size_t cap = 0;

	if (include && include->n_children == 0)
		include = NULL;
	if (matrix && count_combinations(matrix) > MAX_COMBINATIONS) {
		at_error(at, matrix, "the matrix has more than %d cells", SPEC_MAX_CELLS);
		return;
	}
	if (matrix)
		expand_combinations(at, matrix, &cap);
	if (!matrix && !include)
		add_cell(at->stage, &cap, NULL);
	add_included(at, &cap);
	if (at->stage->n_cells > SPEC_MAX_CELLS)
		at_error(at, matrix ? matrix : include, "the stage has more than %d cells",
			SPEC_MAX_CELLS);
	else if (at->stage->n_cells == 0 && matrix && count_combinations(matrix) > 0)
		at_error(at, matrix, "no cell is left in the matrix");
}

void expand_matrix(struct at *at)
{
	const struct node *matrix = node_get(at->stage_node, "matrix");
	struct spec_stage *stage = at->stage;

	if (matrix && matrix->n_children == 0)
		matrix = NULL;
	load_dimensions(at);
	check_exclude(at, matrix);
	expand_all(at, matrix);
	if (stage->n_cells > 0) /* cells are kept for long */
		stage->cells = xrealloc(stage->cells, stage->n_cells * sizeof(*stage->cells));
}
