/* Looking things up in a loaded configuration. */
#include <string.h>
#include "base/memory.h"
#include "spec/spec.h"

struct spec_job *spec_job_by_name(const struct spec *spec, const char *name)
{
	size_t low = 0, high = spec->n_jobs;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(spec->jobs[middle]->name, name);

		if (order == 0)
			return spec->jobs[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

unsigned spec_lock_places(const struct spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_locks; i++)
		if (strcmp(spec->locks[i].name, name) == 0)
			return spec->locks[i].places;
	return 1;
}

const struct spec_stage *spec_stage_by_name(const struct spec_job *job, const char *name)
{
	for (size_t i = 0; i < job->n_stages; i++)
		if (strcmp(job->stages[i].name, name) == 0)
			return &job->stages[i];
	return NULL;
}

const struct spec_environment *spec_environment_by_name(
	const struct spec_job *job, const char *name)
{
	for (size_t i = 0; name && i < job->n_environments; i++)
		if (strcmp(job->environments[i].name, name) == 0)
			return &job->environments[i];
	return NULL;
}

struct spec_cell *spec_cell_at(const struct spec_job *job, unsigned index)
{
	for (size_t i = 0; i < job->n_stages; i++) {
		const struct spec_stage *s = &job->stages[i];

		if (index < s->n_cells)
			return &s->cells[index];
		index -= (unsigned)s->n_cells;
	}
	return NULL;
}

const char *spec_cell_value(
	const struct spec_job *job, const struct spec_cell *cell, const char *dimension)
{
	const struct spec_stage *s = &job->stages[cell->stage];

	for (size_t d = 0; d < s->n_dimensions; d++)
		if (strcmp(s->dimensions[d], dimension) == 0)
			return cell->values[d];
	return NULL;
}

bool spec_cells_join(
	const struct spec_job *job, const struct spec_cell *a, const struct spec_cell *b)
{
	const struct spec_stage *s = &job->stages[a->stage];

	for (size_t d = 0; d < s->n_dimensions; d++) {
		const char *other = spec_cell_value(job, b, s->dimensions[d]);

		if (other && strcmp(other, a->values[d]) != 0)
			return false;
	}
	return true;
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(names[middle], name);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* True if any environment has its own: a file "ENVIRONMENT.NAME". */
static bool has_own(const char *const *names, size_t n, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < n; i++) {
		size_t l = strlen(names[i]);

		if (l > len + 1 && names[i][l - len - 1] == '.' &&
			strcmp(names[i] + l - len, name) == 0)
			return true;
	}
	return false;
}

char *spec_secret_file(
	const char *const *names, size_t n_names, const char *environment, const char *name)
{
	_cleanup_free_ char *own = environment ? xasprintf("%s.%s", environment, name) : NULL;

	if (own && has_name(names, n_names, own))
		return TAKE_PTR(own);
	if (environment && has_own(names, n_names, name))
		return NULL;
	return has_name(names, n_names, name) ? xstrdup(name) : NULL;
}
