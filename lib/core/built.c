#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/built.h"

#define RELATIONS_MAX 20000 /* of one answer, or carried into a retry */

/* --- relations, each once ------------------------------------------------------------------- */

struct relation {
	const char *schema, *name, *target; /* borrowed; target NULL: none */
};

struct relations {
	struct relation *items;
	size_t n, cap;
};

static void add(struct relations *r, const cJSON *pair, const char *target)
{
	const cJSON *schema = cJSON_GetArrayItem(pair, 0), *name = cJSON_GetArrayItem(pair, 1);

	if (!cJSON_IsString(schema) || !cJSON_IsString(name))
		return;
	XGROW(r->items, r->n, r->cap);
	r->items[r->n++] = (struct relation){schema->valuestring, name->valuestring, target};
}

static void add_list(struct relations *r, const cJSON *list, const char *target)
{
	const cJSON *pair;

	cJSON_ArrayForEach(pair, list) add(r, pair, target);
}

static int by_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int by_all(const void *a, const void *b)
{
	const struct relation *x = a, *y = b;
	int c = by_text(x->schema, y->schema);

	if (c == 0)
		c = by_text(x->name, y->name);
	return c ? c : by_text(x->target, y->target);
}

static void sort_out(struct relations *r)
{
	size_t n = 0;

	if (r->n == 0)
		return;
	qsort(r->items, r->n, sizeof(*r->items), by_all);
	for (size_t i = 1; i < r->n; i++)
		if (by_all(&r->items[n], &r->items[i]) != 0)
			r->items[++n] = r->items[i];
	r->n = MIN(n + 1, (size_t)RELATIONS_MAX);
}

static cJSON *relations_view(struct relations *r)
{
	cJSON *list = cJSON_CreateArray();

	sort_out(r);
	for (size_t i = 0; i < r->n; i++) {
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "schema", r->items[i].schema);
		json_set_string(o, "name", r->items[i].name);
		json_set_string(o, "target", r->items[i].target);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

/* --- what a cell has built ------------------------------------------------------------------ */

static void add_step(struct relations *r, const struct step *step, const char *target)
{
	if (!str_eq(step->spec->kind->name, "dbt"))
		return;
	for (size_t i = 0; i < step->n_attempts; i++) {
		const struct attempt *a = step->attempts[i];

		for (size_t k = 0; k < a->n_actions; k++)
			add_list(r, json_get(a->actions[k]->note, "built"), target);
	}
}

/* The steps before `until`, and what older runs did in this cell. */
static void add_cell(struct relations *r, const struct cell *cell, size_t until, const char *target)
{
	for (size_t i = 0; i < until; i++)
		add_step(r, &cell->steps[i], target);
	add_list(r, json_get(cell->run->built, cell->spec->name), target);
}

/* --- the cells that it needs ---------------------------------------------------------------- */

struct walk {
	const struct cell *from;
	struct relations relations;
	bool *seen; /* by cell */
};

/* A cell without an environment, such as that of `deps`, is passed through. */
static bool passes(const struct walk *w, const struct spec_cell *cell)
{
	return !cell->environment || str_eq(cell->environment, w->from->spec->environment);
}

static void walk_needs(struct walk *w, const struct cell *cell);

static void visit(struct walk *w, const struct cell *cell)
{
	const struct spec_job *def = cell->run->def;

	if (w->seen[cell->spec->index] || !passes(w, cell->spec))
		return;
	w->seen[cell->spec->index] = true;
	if (str_eq(cell->spec->environment, w->from->spec->environment))
		add_cell(&w->relations, cell, cell->n_steps,
			spec_cell_value(def, cell->spec, "target"));
	walk_needs(w, cell);
}

static void walk_needs(struct walk *w, const struct cell *cell)
{
	const struct run *run = cell->run;
	const struct spec_stage *stage = &run->def->stages[cell->spec->stage];

	for (size_t i = 0; i < stage->n_needs; i++) {
		const struct spec_need *need = &stage->needs[i];
		const struct spec_stage *needed = &run->def->stages[need->stage];

		for (size_t k = 0; k < needed->n_cells; k++) {
			const struct spec_cell *other = &needed->cells[k];

			if (spec_only_has(&need->only, run->def, other) &&
				spec_cells_join(run->def, cell->spec, other))
				visit(w, &run->cells[other->index]);
		}
	}
}

cJSON *built_for(const struct attempt *a)
{
	const struct cell *cell = a->step->cell;
	struct walk w = {
		.from = cell,
		.seen = xcalloc(cell->run->def->n_cells, sizeof(bool)),
	};
	cJSON *list;

	w.seen[cell->spec->index] = true;
	add_cell(&w.relations, cell, a->step->index,
		spec_cell_value(cell->run->def, cell->spec, "target"));
	walk_needs(&w, cell);
	list = relations_view(&w.relations);
	free(w.relations.items);
	free(w.seen);
	return list;
}

/* --- carried into a retry ------------------------------------------------------------------- */

static cJSON *pairs_of(const struct relations *r, size_t most)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < r->n && i < most; i++) {
		cJSON *pair = cJSON_CreateArray();

		cJSON_AddItemToArray(pair, cJSON_CreateString(r->items[i].schema));
		cJSON_AddItemToArray(pair, cJSON_CreateString(r->items[i].name));
		cJSON_AddItemToArray(list, pair);
	}
	return list;
}

cJSON *built_so_far(const struct run *old)
{
	cJSON *built = NULL;
	size_t left = RELATIONS_MAX;

	for (unsigned i = 0; i < old->def->n_cells; i++) {
		struct relations r = {0};

		add_cell(&r, &old->cells[i], old->cells[i].n_steps, NULL);
		sort_out(&r);
		if (r.n > 0 && left > 0) {
			if (!built)
				built = cJSON_CreateObject();
			json_set(built, old->cells[i].spec->name, pairs_of(&r, left));
			left -= MIN(left, r.n);
		}
		free(r.items);
	}
	return built;
}

/* --- how long syncs take -------------------------------------------------------------------- */

static struct usual_sync *usual_at(
	const struct core *core, const char *environment, const char *database)
{
	for (size_t i = 0; i < core->n_usual_syncs; i++) {
		struct usual_sync *u = &core->usual_syncs[i];

		if (str_eq(u->database, database) && str_eq(u->environment, environment))
			return u;
	}
	return NULL;
}

int64_t built_usual_sync(const struct core *core, const char *environment, const char *database)
{
	const struct usual_sync *u = usual_at(core, environment, database);

	return u ? u->ms : -1;
}

static void learn(struct core *core, const char *environment, const char *database, int64_t ms)
{
	struct usual_sync *u = usual_at(core, environment, database);

	if (!database || ms < 0)
		return;
	if (!u && core->n_usual_syncs >= USUAL_SYNCS_MAX)
		return;
	if (!u) {
		XGROW(core->usual_syncs, core->n_usual_syncs, core->cap_usual_syncs);
		u = &core->usual_syncs[core->n_usual_syncs++];
		*u = (struct usual_sync){xstrdup(environment), xstrdup(database), ms};
	}
	u->ms = ms;
}

void built_load_usual(struct core *core, const cJSON *list)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) learn(core, json_string(item, "environment"),
		json_string(item, "database"), json_int(item, "ms", -1));
}

/* Half of what was known and half of the new one: near enough to a median until the next load. */
void built_learn(struct core *core, const char *environment, const cJSON *sync_rows)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, sync_rows)
	{
		const char *database = json_string(row, "database");
		usec_t from = json_time(row, "started_at"), to = json_time(row, "ended_at");
		int64_t before = built_usual_sync(core, environment, database);
		int64_t ms = (to - from) / USEC_MSEC;

		if (str_eq(json_string(row, "state"), "proved") && from && to >= from)
			learn(core, environment, database, before < 0 ? ms : (before + ms) / 2);
	}
}

void built_fini(struct core *core)
{
	for (size_t i = 0; i < core->n_usual_syncs; i++) {
		free(core->usual_syncs[i].environment);
		free(core->usual_syncs[i].database);
	}
	free(core->usual_syncs);
	core->usual_syncs = NULL;
	core->n_usual_syncs = core->cap_usual_syncs = 0;
}
