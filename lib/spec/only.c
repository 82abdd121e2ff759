/* `only`: which cells something is narrowed to. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define MAX_CANDIDATES 64

size_t strings_of(const struct node *n, const char **ret, size_t max)
{
	size_t count = 0;

	if (n && n->type == NODE_STRING && max > 0)
		ret[count++] = n->string;
	for (size_t i = 0; n && i < n->n_children && count < max; i++)
		ret[count++] = n->children[i]->string;
	return count;
}

static ssize_t dimension_of(const struct spec_stage *stage, const char *name)
{
	for (size_t d = 0; d < stage->n_dimensions; d++)
		if (strcmp(stage->dimensions[d], name) == 0)
			return (ssize_t)d;
	return -1;
}

static void add_candidate(const char **names, size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(names[i], name) == 0)
			return;
	if (*n < MAX_CANDIDATES)
		names[(*n)++] = name;
}

/* True if a cell of the stage has that value; else its values are added to the candidates. */
static bool has_value(const struct spec_stage *stage, size_t d, const char *value,
	const char **names, size_t *n_names)
{
	for (size_t i = 0; i < stage->n_cells; i++) {
		if (strcmp(stage->cells[i].values[d], value) == 0)
			return true;
		add_candidate(names, n_names, stage->cells[i].values[d]);
	}
	return false;
}

/* In that stage, or in any of the job where it is NULL. */
static bool known_value(const struct at *at, const struct spec_stage *stage, const char *dimension,
	const char *value, const char **names, size_t *n_names)
{
	for (size_t i = 0; i < at->job->n_stages; i++) {
		const struct spec_stage *s = stage ? stage : &at->job->stages[i];
		ssize_t d = dimension_of(s, dimension);

		if (d >= 0 && has_value(s, (size_t)d, value, names, n_names))
			return true;
		if (stage)
			break;
	}
	return false;
}

static bool known_dimension(const struct at *at, const struct spec_stage *stage, const char *name,
	const char **names, size_t *n_names)
{
	for (size_t i = 0; i < at->job->n_stages; i++) {
		const struct spec_stage *s = stage ? stage : &at->job->stages[i];

		if (dimension_of(s, name) >= 0)
			return true;
		for (size_t d = 0; d < s->n_dimensions; d++)
			add_candidate(names, n_names, s->dimensions[d]);
		if (stage)
			break;
	}
	return false;
}

static char *scope_text(const struct spec_stage *stage)
{
	return stage ? xasprintf("stage \"%s\" has no", stage->name) : xstrdup("no stage has a");
}

/* What is not known is said and left out. */
static void add_value(const struct at *at, const struct spec_stage *stage, const struct node *where,
	struct spec_only_term *term, size_t *n_values)
{
	const char *names[MAX_CANDIDATES] = {0};
	size_t n_names = 0;
	_cleanup_free_ char *mend = NULL, *scope = NULL;

	if (known_value(at, stage, term->dimension, where->string, names, &n_names)) {
		term->values = strv_add(term->values, n_values, xstrdup(where->string));
		return;
	}
	mend = did_you_mean(where->string, names, n_names);
	scope = scope_text(stage);
	at_error(at, where, "only: %s cell with %s = \"%s\"%s", scope, term->dimension,
		where->string, mend);
}

static bool check_dimension(
	const struct at *at, const struct node *n, const struct spec_stage *stage)
{
	const char *names[MAX_CANDIDATES] = {0};
	size_t n_names = 0;
	_cleanup_free_ char *mend = NULL, *scope = NULL;

	if (known_dimension(at, stage, n->key, names, &n_names))
		return true;
	mend = did_you_mean(n->key, names, n_names);
	scope = scope_text(stage);
	at_error(at, n, "only: %s dimension \"%s\"%s", scope, n->key, mend);
	return false;
}

/* False: nothing of it is known. */
static bool load_term(const struct at *at, const struct node *n, const struct spec_stage *stage,
	struct spec_only_term *ret)
{
	struct spec_only_term term = {0};
	size_t n_values = 0;

	if (!check_dimension(at, n, stage))
		return false;
	term.dimension = xstrdup(n->key);
	if (n->type == NODE_STRING)
		add_value(at, stage, n, &term, &n_values);
	for (size_t i = 0; i < n->n_children; i++)
		add_value(at, stage, n->children[i], &term, &n_values);
	if (n_values == 0) {
		if (n->type == NODE_LIST && n->n_children == 0)
			at_error(at, n, "only: %s: the list is empty", n->key);
		free(term.dimension);
		return false;
	}
	*ret = term;
	return true;
}

void load_only(const struct at *at, const struct node *n, const struct spec_stage *stage,
	struct spec_only *ret)
{
	size_t count = n ? n->n_children : 0;

	ret->terms = count ? xcalloc(count, sizeof(*ret->terms)) : NULL;
	for (size_t i = 0; i < count; i++)
		ret->n += load_term(at, n->children[i], stage, &ret->terms[ret->n]);
}

static bool term_has(const struct spec_only_term *term, const struct spec_stage *stage,
	const struct spec_cell *cell)
{
	ssize_t d = dimension_of(stage, term->dimension);

	if (d < 0)
		return true;
	for (size_t i = 0; term->values[i]; i++)
		if (strcmp(term->values[i], cell->values[d]) == 0)
			return true;
	return false;
}

bool only_has_cell(
	const struct spec_only *only, const struct spec_stage *stage, const struct spec_cell *cell)
{
	for (size_t i = 0; i < only->n; i++)
		if (!term_has(&only->terms[i], stage, cell))
			return false;
	return true;
}

bool spec_only_has(
	const struct spec_only *only, const struct spec_job *job, const struct spec_cell *cell)
{
	return only_has_cell(only, &job->stages[cell->stage], cell);
}
