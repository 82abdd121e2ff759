#include <string.h>
#include "base/memory.h"
#include "core/ref.h"

bool ref_parse(const char *text, struct ref *ret, char **ret_error)
{
	size_t run_len = strcspn(text, "/");
	_cleanup_free_ char *run = xstrndup(text, run_len);
	char *hash = strchr(run, '#');
	uint64_t number = 0;

	if (hash) {
		*hash = '\0';
		if (!parse_u64(hash + 1, &number) || number == 0) {
			*ret_error = xasprintf("%s: a run is written JOB#NUMBER", text);
			return false;
		}
	}
	if (!name_is_valid(run)) {
		*ret_error = xasprintf("%s: no job can be called so", text);
		return false;
	}
	*ret = (struct ref){
		.job = TAKE_PTR(run),
		.number = number,
		.path = text[run_len] && text[run_len + 1] ? xstrdup(text + run_len + 1) : NULL,
	};
	return true;
}

void ref_fini(struct ref *ref)
{
	free(ref->job);
	free(ref->path);
	*ref = (struct ref){0};
}

void ref_target_fini(struct ref_target *t)
{
	free(t->parts);
	*t = (struct ref_target){0};
}

static bool value_exists(const struct spec_stage *stage, size_t dimension, const char *value)
{
	for (size_t i = 0; i < stage->n_cells; i++)
		if (str_eq(stage->cells[i].values[dimension], value))
			return true;
	return false;
}

/* "build.2" is the second attempt of the step build; a step's name holds no dot. */
static bool resolve_step(const struct spec_stage *stage, char *part, struct ref_target *t)
{
	char *dot = strrchr(part, '.');
	uint64_t attempt = 0;

	if (dot) {
		*dot = '\0';
		if (!parse_u64(dot + 1, &attempt) || attempt == 0 || attempt > UINT32_MAX)
			return false;
	}
	for (size_t i = 0; i < stage->n_steps; i++)
		if (str_eq(stage->steps[i].name, part)) {
			t->step = (int)i;
			t->attempt = (unsigned)attempt;
			return true;
		}
	if (dot)
		*dot = '.';
	return false;
}

static bool resolve_below_stage(struct ref_target *t, char *rest, char **ret_error)
{
	for (char *part = strsep(&rest, "/"); part; part = strsep(&rest, "/")) {
		if (*part == '\0')
			continue;
		if (t->step < 0 && t->n_values < t->stage->n_dimensions &&
			t->n_values < ARRAY_SIZE(t->values) &&
			value_exists(t->stage, t->n_values, part)) {
			t->values[t->n_values++] = part;
			continue;
		}
		if (t->step < 0 && resolve_step(t->stage, part, t))
			continue;
		*ret_error = xasprintf("stage %s has no %s \"%s\"", t->stage->name,
			t->n_values < t->stage->n_dimensions ? t->stage->dimensions[t->n_values]
							     : "step",
			part);
		return false;
	}
	return true;
}

bool ref_resolve(const struct run *run, const char *path, struct ref_target *ret, char **ret_error)
{
	struct ref_target t = {.step = -1};
	char *rest;
	char *stage;

	if (!path) {
		*ret = t;
		return true;
	}
	t.parts = rest = xstrdup(path);
	stage = strsep(&rest, "/");
	t.stage = spec_stage_by_name(run->def, stage);
	if (!t.stage)
		*ret_error = xasprintf("%s has no stage \"%s\"", run->name, stage);
	if (!t.stage || !resolve_below_stage(&t, rest, ret_error)) {
		ref_target_fini(&t);
		return false;
	}
	*ret = t;
	return true;
}

bool ref_target_has_cell(const struct ref_target *t, const struct cell *cell)
{
	if (!t->stage)
		return true;
	if (cell->spec->stage != t->stage->index)
		return false;
	for (size_t i = 0; i < t->n_values; i++)
		if (!str_eq(cell->spec->values[i], t->values[i]))
			return false;
	return true;
}
