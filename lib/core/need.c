/* Happy path: when the first cell asks, each need of each stage is counted once: its waiters, the
 * cells of its stage, fall into groups by the values of the dimensions that both stages have, and
 * so do the cells needed. From then on the end of a cell moves one sum of each need that asks after
 * it, and its waiters are looked at again only where no other cell is open, or where it is the
 * first that did not end well. */
#include <string.h>
#include "base/buf.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/cell.h"
#include "core/need.h"

#define NONE UINT32_MAX

struct need_group {
	struct need_sum sum;
	unsigned waiters; /* the first, by its place in the stage; NONE: none */
};

struct need {
	struct need_group *groups;
	size_t n_groups, cap_groups;
	unsigned *of_waiter, *of_needed; /* a cell's group, by its place in its stage */
	unsigned *next;			 /* a waiter's next one in its group */
};

static unsigned place_in_stage(const struct spec_stage *stage, const struct spec_cell *cell)
{
	return (unsigned)(cell - stage->cells);
}

/* --- groups ------------------------------------------------------------------------------- */

/* Groups by their keys, while they are made. */
struct keys {
	struct need *need;
	char **of_group;
	size_t n, cap;
	unsigned *slots; /* open addressing */
	size_t mask;
};

static size_t hash(const char *key)
{
	uint64_t h = 14695981039346656037u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 1099511628211u;
	return (size_t)(h ^ h >> 32);
}

static unsigned *slot_of(const struct keys *keys, const char *key)
{
	size_t i = hash(key) & keys->mask;

	while (keys->slots[i] != NONE && !str_eq(keys->of_group[keys->slots[i]], key))
		i = (i + 1) & keys->mask;
	return &keys->slots[i];
}

static void keys_init(struct keys *keys, struct need *need, size_t most)
{
	size_t n = 16;

	while (n < 2 * most)
		n *= 2;
	*keys = (struct keys){.need = need, .mask = n - 1};
	keys->slots = xcalloc(n, sizeof(*keys->slots));
	memset(keys->slots, 0xff, n * sizeof(*keys->slots));
}

static void keys_fini(struct keys *keys)
{
	for (size_t i = 0; i < keys->n; i++)
		free(keys->of_group[i]);
	free(keys->of_group);
	free(keys->slots);
}

/* The values of the dimensions that both stages have, in the waiting one's order. */
static char *key_of(const struct spec_job *def, const struct spec_stage *waiting,
	const struct spec_stage *needed, const struct spec_cell *cell)
{
	struct buf key = BUF_NULL;

	for (size_t d = 0; d < waiting->n_dimensions; d++) {
		const char *name = waiting->dimensions[d];

		if (needed->n_cells && spec_cell_value(def, &needed->cells[0], name))
			buf_printf(&key, "%s/", spec_cell_value(def, cell, name));
	}
	return buf_steal(&key);
}

static unsigned group_get(struct keys *keys, char *take_key)
{
	unsigned *slot = slot_of(keys, take_key);
	struct need *need = keys->need;

	if (*slot != NONE) {
		free(take_key);
		return *slot;
	}
	*slot = (unsigned)need->n_groups;
	XGROW(need->groups, need->n_groups, need->cap_groups);
	need->groups[need->n_groups++] = (struct need_group){.waiters = NONE};
	keys->of_group = strv_add(keys->of_group, &keys->n, take_key);
	return *slot;
}

/* --- counting ----------------------------------------------------------------------------- */

/* The outcome that counts for a cell that is no part of the run: the older run's, in a retry. */
static enum outcome prior_outcome(const struct run *run, const struct cell *cell)
{
	const char *o = json_string(run->prior, cell->spec->name);

	return o ? outcome_parse(o) : OUTCOME_OK;
}

static bool is_well(const struct cell *c, enum outcome o)
{
	return o == OUTCOME_OK || (o == OUTCOME_SKIPPED && c->part && !c->blocked);
}

static void count_ended(struct need_sum *sum, const struct cell *c, enum outcome o)
{
	if (outcome_is_failure(o))
		sum->n_failed++;
	if (is_well(c, o))
		return;
	if (sum->n_not_ok++ == 0) {
		sum->bad = c;
		sum->bad_outcome = o;
	}
}

static void count_first(struct need_sum *sum, const struct run *run, const struct cell *c)
{
	if (!c->part && run->trigger != TRIGGER_RETRY) {
		sum->n_away++;
		return;
	}
	sum->n++;
	if (c->part && c->state != LIFE_ENDED)
		sum->n_open++;
	else
		count_ended(sum, c, c->part ? c->outcome : prior_outcome(run, c));
}

static void need_make(struct need *need, const struct run *run, const struct spec_stage *waiting,
	const struct spec_need *spec)
{
	const struct spec_stage *needed = &run->def->stages[spec->stage];
	struct keys keys;

	keys_init(&keys, need, waiting->n_cells);
	need->of_waiter = xcalloc(waiting->n_cells, sizeof(unsigned));
	need->next = xcalloc(waiting->n_cells, sizeof(unsigned));
	need->of_needed = xcalloc(needed->n_cells, sizeof(unsigned));
	for (size_t i = waiting->n_cells; i-- > 0;) { /* so that the lists begin with the first */
		unsigned g =
			group_get(&keys, key_of(run->def, waiting, needed, &waiting->cells[i]));

		need->of_waiter[i] = g;
		need->next[i] = need->groups[g].waiters;
		need->groups[g].waiters = (unsigned)i;
	}
	for (size_t i = 0; i < needed->n_cells; i++) {
		const struct spec_cell *cell = &needed->cells[i];
		_cleanup_free_ char *key = key_of(run->def, waiting, needed, cell);
		unsigned g = *slot_of(&keys, key);

		need->of_needed[i] = spec_only_has(&spec->only, run->def, cell) ? g : NONE;
		if (need->of_needed[i] != NONE)
			count_first(&need->groups[g].sum, run, &run->cells[cell->index]);
	}
	keys_fini(&keys);
}

static void needs_make(struct run *run)
{
	for (size_t s = 0; s < run->def->n_stages; s++) {
		const struct spec_stage *spec = &run->def->stages[s];

		run->stages[s].needs = xcalloc(spec->n_needs + 1, sizeof(struct need));
		for (size_t k = 0; k < spec->n_needs; k++)
			need_make(&run->stages[s].needs[k], run, spec, &spec->needs[k]);
	}
}

const struct need_sum *need_sum(const struct cell *cell, size_t k)
{
	struct run *run = cell->run;
	const struct spec_stage *stage = &run->def->stages[cell->spec->stage];
	const struct need *need;

	if (!cell->stage->needs)
		needs_make(run);
	need = &cell->stage->needs[k];
	return &need->groups[need->of_waiter[place_in_stage(stage, cell->spec)]].sum;
}

void needs_forget(struct run *run)
{
	for (size_t s = 0; s < run->def->n_stages; s++) {
		struct need *needs = TAKE_PTR(run->stages[s].needs);

		for (size_t k = 0; needs && k < run->def->stages[s].n_needs; k++) {
			free(needs[k].groups);
			free(needs[k].of_waiter);
			free(needs[k].of_needed);
			free(needs[k].next);
		}
		free(needs);
	}
}

/* --- the end of a cell -------------------------------------------------------------------- */

static void touch_waiters(struct run *run, const struct spec_stage *stage, const struct need *need,
	const struct need_group *group)
{
	for (unsigned i = group->waiters; i != NONE; i = need->next[i])
		cell_touch(&run->cells[stage->cells[i].index]);
}

static void need_cell_ended(struct need *need, const struct spec_stage *waiting,
	const struct cell *cell, unsigned place)
{
	struct need_group *group;
	unsigned before;

	if (need->of_needed[place] == NONE)
		return;
	group = &need->groups[need->of_needed[place]];
	before = group->sum.n_not_ok;
	group->sum.n_open--;
	count_ended(&group->sum, cell, cell->outcome);
	if (group->sum.n_open == 0 || (before == 0 && group->sum.n_not_ok > 0))
		touch_waiters(cell->run, waiting, need, group);
}

void needs_cell_ended(const struct cell *cell)
{
	const struct spec_job *def = cell->run->def;
	unsigned place = place_in_stage(&def->stages[cell->spec->stage], cell->spec);

	for (size_t s = 0; cell->stage->needs && s < def->n_stages; s++) {
		const struct spec_stage *waiting = &def->stages[s];

		for (size_t k = 0; k < waiting->n_needs; k++)
			if (waiting->needs[k].stage == cell->spec->stage)
				need_cell_ended(
					&cell->run->stages[s].needs[k], waiting, cell, place);
	}
}
