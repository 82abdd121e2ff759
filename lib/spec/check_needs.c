/* Needs: which stages, that they do not go round, and that they match something. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

/* --- loading ------------------------------------------------------------------------------ */

static const struct spec_stage *find_stage(
	const struct at *at, const struct node *n, const char *name)
{
	const struct spec_job *job = at->job;
	const char *names[64];
	size_t n_names = 0;
	_cleanup_free_ char *mend = NULL;

	for (size_t i = 0; i < job->n_stages; i++) {
		if (strcmp(job->stages[i].name, name) == 0)
			return &job->stages[i];
		if (n_names < ARRAY_SIZE(names))
			names[n_names++] = job->stages[i].name;
	}
	mend = did_you_mean(name, names, n_names);
	at_error(at, n, "needs: there is no stage \"%s\"%s", name, mend);
	return NULL;
}

/* The same stage once more, where the second adds nothing. */
static void check_twice(const struct at *at, const struct node *n, const struct spec_need *need)
{
	for (size_t i = 0; i < at->stage->n_needs; i++) {
		const struct spec_need *other = &at->stage->needs[i];

		if (other->stage == need->stage && other->when == need->when && !other->only.n &&
			!need->only.n) {
			at_error(at, n, "needs: stage \"%s\" is in the list twice",
				at->job->stages[need->stage].name);
			return;
		}
	}
}

static void load_need(struct at *at, const struct node *n)
{
	const char *name = n->type == NODE_STRING ? n->string : node_string(n, "stage");
	const struct spec_stage *stage = name ? find_stage(at, n, name) : NULL;
	struct spec_stage *mine = at->stage;
	struct spec_need need = {0};

	if (!stage)
		return;
	need.stage = stage->index;
	need.when = (enum spec_when)read_word(n, "need", "when");
	load_only(at, node_get(n, "only"), stage, &need.only);
	check_twice(at, n, &need);
	mine->needs = xrealloc(mine->needs, (mine->n_needs + 1) * sizeof(*mine->needs));
	mine->needs[mine->n_needs++] = need;
}

void load_needs(struct at *at)
{
	const struct node *list = node_get(at->stage_node, "needs");

	if (list && list->type != NODE_LIST)
		load_need(at, list);
	else
		for (size_t i = 0; list && i < list->n_children; i++)
			load_need(at, list->children[i]);
}

/* --- going round -------------------------------------------------------------------------- */

struct walk {
	struct at *at;
	enum { UNSEEN, ON_THE_WAY, SEEN } * state;
	unsigned *way;
	size_t n_way;
};

static void say_round(struct walk *w, unsigned back_at)
{
	const struct spec_job *job = w->at->job;
	_cleanup_buf_ struct buf text = BUF_NULL;
	const struct node *stages = node_get(w->at->job_node, "stages");
	struct at at = *w->at;
	size_t i = 0;

	while (w->way[i] != back_at)
		i++;
	at.stage_node = stages->children[back_at];
	for (; i < w->n_way; i++)
		buf_printf(&text, "%s -> ", job->stages[w->way[i]].name);
	at_error(&at, node_get(at.stage_node, "needs"), "needs go round: %s%s", buf_str(&text),
		job->stages[back_at].name);
}

static void walk(struct walk *w, unsigned stage)
{
	const struct spec_stage *s = &w->at->job->stages[stage];

	if (w->state[stage] == ON_THE_WAY)
		say_round(w, stage);
	if (w->state[stage] != UNSEEN)
		return;
	w->state[stage] = ON_THE_WAY;
	w->way[w->n_way++] = stage;
	for (size_t i = 0; i < s->n_needs; i++)
		walk(w, s->needs[i].stage);
	w->n_way--;
	w->state[stage] = SEEN;
}

static void check_rounds(struct at *at)
{
	size_t n = at->job->n_stages;
	struct walk w = {
		.at = at,
		.state = xcalloc(n, sizeof(*w.state)),
		.way = xcalloc(n, sizeof(*w.way)),
	};

	for (unsigned i = 0; i < n; i++)
		walk(&w, i);
	free(w.state);
	free(w.way);
}

static bool reaches(const struct spec_job *job, unsigned from, unsigned to, bool *seen)
{
	const struct spec_stage *s = &job->stages[from];

	for (size_t i = 0; i < s->n_needs; i++) {
		unsigned next = s->needs[i].stage;

		if (next == to)
			return true;
		if (seen[next])
			continue;
		seen[next] = true;
		if (reaches(job, next, to, seen))
			return true;
	}
	return false;
}

bool stage_reaches(const struct spec_job *job, unsigned from, unsigned to)
{
	bool *seen = xcalloc(job->n_stages, sizeof(*seen));
	bool found = reaches(job, from, to, seen);

	free(seen);
	return found;
}

/* --- matching ----------------------------------------------------------------------------- */

/* For each dimension of `mine` its place in `theirs`, -1 where they have none such. */
static ssize_t *shared_dimensions(const struct spec_stage *mine, const struct spec_stage *theirs)
{
	ssize_t *v = xcalloc(mine->n_dimensions + 1, sizeof(*v));

	for (size_t d = 0; d < mine->n_dimensions; d++) {
		v[d] = -1;
		for (size_t k = 0; k < theirs->n_dimensions; k++)
			if (strcmp(mine->dimensions[d], theirs->dimensions[k]) == 0)
				v[d] = (ssize_t)k;
	}
	return v;
}

/* The values in the dimensions that both have, as one text; `theirs` maps mine to theirs, NULL for
 * a cell of mine. */
static char *shared_values(const struct spec_stage *mine, const ssize_t *shared, bool is_mine,
	const struct spec_cell *cell)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	for (size_t d = 0; d < mine->n_dimensions; d++)
		if (shared[d] >= 0)
			buf_printf(&out, "%s/", cell->values[is_mine ? (ssize_t)d : shared[d]]);
	return buf_steal(&out);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **values_there(const struct spec_stage *mine, const struct spec_stage *theirs,
	const ssize_t *shared, const struct spec_only *only, size_t *ret_n)
{
	char **v = xcalloc(theirs->n_cells + 1, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < theirs->n_cells; i++)
		if (!only || only_has_cell(only, theirs, &theirs->cells[i]))
			v[n++] = shared_values(mine, shared, false, &theirs->cells[i]);
	qsort(v, n, sizeof(*v), compare);
	*ret_n = n;
	return v;
}

/* How many of my cells find one of theirs; *ret_without: the first that does not. */
static size_t count_matches(const struct spec_stage *mine, const struct spec_stage *theirs,
	const struct spec_only *only, const struct spec_cell **ret_without)
{
	ssize_t *shared = shared_dimensions(mine, theirs);
	size_t n, matches = 0;
	char **there = values_there(mine, theirs, shared, only, &n);

	*ret_without = NULL;
	for (size_t i = 0; i < mine->n_cells; i++) {
		_cleanup_free_ char *values = shared_values(mine, shared, true, &mine->cells[i]);

		if (bsearch(&values, there, n, sizeof(*there), compare))
			matches++;
		else if (!*ret_without)
			*ret_without = &mine->cells[i];
	}
	strv_free(there);
	free(shared);
	return matches;
}

/* Each cell finds one that agrees with it, and `only` leaves one to at least one cell. */
static void check_matches(struct at *at, const struct node *n, const struct spec_need *need)
{
	const struct spec_stage *theirs = &at->job->stages[need->stage];
	const struct spec_cell *without;

	if (theirs->n_cells == 0)
		return; /* said already */
	count_matches(at->stage, theirs, NULL, &without);
	if (without)
		at_error(at, n, "needs: no cell of \"%s\" matches the cell %s", theirs->name,
			without->name);
	else if (need->only.n && count_matches(at->stage, theirs, &need->only, &without) == 0)
		at_error(at, n, "needs: with this `only`, no cell of \"%s\" matches any cell",
			theirs->name);
}

static const struct node *need_node(const struct node *list, const char *stage, size_t *from)
{
	if (list->type != NODE_LIST)
		return list;
	for (; *from < list->n_children; (*from)++) {
		const struct node *n = list->children[*from];
		const char *name = n->type == NODE_STRING ? n->string : node_string(n, "stage");

		if (name && strcmp(name, stage) == 0) {
			(*from)++;
			return n;
		}
	}
	return list;
}

void check_needs(struct at *at)
{
	const struct node *stages = node_get(at->job_node, "stages");

	check_rounds(at);
	for (size_t i = 0; i < at->job->n_stages; i++) {
		struct spec_stage *stage = &at->job->stages[i];
		const struct node *list = node_get(stages->children[i], "needs");
		size_t from = 0;

		at->stage = stage;
		at->stage_node = stages->children[i];
		for (size_t k = 0; k < stage->n_needs; k++) {
			const char *name = at->job->stages[stage->needs[k].stage].name;

			check_matches(at, need_node(list, name, &from), &stage->needs[k]);
		}
	}
	at->stage = NULL;
	at->stage_node = NULL;
}
