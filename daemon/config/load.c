#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "daemon/config/file.h"
#include "daemon/config/load.h"
#include "daemon/config/read.h"
#include "kinds/kind.h"

#define NAME_LENGTH_MAX 64

void config_world_free(struct config_world *w)
{
	if (!w)
		return;
	config_world_fini(w);
	free(w);
}

/* --- secrets that are names --------------------------------------------------------------- */

struct names {
	const char **items;
	size_t n, cap;
};

static void names_fini(struct names *n)
{
	free(n->items);
}

static void names_add(struct names *names, const char *name)
{
	XGROW(names->items, names->n, names->cap);
	names->items[names->n++] = name;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_job_names(struct names *names, const struct spec_job *job)
{
	names_add(names, job->name);
	for (size_t i = 0; i < job->n_stages; i++) {
		const struct spec_stage *stage = &job->stages[i];

		names_add(names, stage->name);
		for (size_t k = 0; k < stage->n_steps; k++)
			names_add(names, stage->steps[k].name);
		for (size_t k = 0; k < stage->n_cells; k++)
			for (size_t d = 0; d < stage->n_dimensions; d++)
				names_add(names, stage->cells[k].values[d]);
	}
}

static void all_names(struct names *names, const struct spec *spec)
{
	size_t kept = 0;

	for (size_t i = 0; i < spec->n_jobs; i++)
		add_job_names(names, spec->jobs[i]);
	for (size_t i = 0; i < spec->n_locks; i++)
		names_add(names, spec->locks[i].name);
	for (size_t i = 0; i < spec->n_environments; i++)
		names_add(names, spec->environments[i].name);
	for (size_t i = 0; i < spec->n_checks; i++)
		names_add(names, spec->checks[i].name);
	if (names->n > 1)
		qsort(names->items, names->n, sizeof(*names->items), by_text);
	for (size_t i = 0; i < names->n; i++)
		if (kept == 0 || strcmp(names->items[kept - 1], names->items[i]) != 0)
			names->items[kept++] = names->items[i];
	names->n = kept;
}

static bool is_a_name(const struct names *names, int dir, const char *secret)
{
	_cleanup_free_ char *file = config_secret_file(dir, secret);
	char *value;
	size_t len;
	bool found;

	if (file_read(dir, file, NAME_LENGTH_MAX + 1, &value, &len) < 0)
		return false;
	value[strcspn(value, "\n")] = '\0';
	found = names->n && bsearch(&value, names->items, names->n, sizeof(*names->items), by_text);
	explicit_bzero(value, len);
	free(value);
	return found;
}

/* Names are never masked, so a secret that is one would be seen. */
static void warn_of_secret_names(
	const struct config_world *w, const struct spec *spec, struct complaints *complaints)
{
	_cleanup_(names_fini) struct names names = {0};
	int dir;

	if (w->spec.n_secrets == 0)
		return;
	dir = open(w->secrets_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	all_names(&names, spec);
	for (size_t i = 0; i < w->spec.n_secrets; i++)
		if (w->secrets[i].size <= NAME_LENGTH_MAX &&
			is_a_name(&names, dir, w->secrets[i].name))
			complain_warning(complaints, w->file, w->line,
				"secret %s: its value is also a name in this configuration, and "
				"names are "
				"never masked",
				w->secrets[i].name);
	close(dir);
}

/* --- the whole ---------------------------------------------------------------------------- */

static int load(
	const char *path, struct complaints *complaints, struct config_world *w, struct spec **ret)
{
	_cleanup_node_ struct node *root = NULL;
	_cleanup_(cleanup_spec_free) struct spec *spec = NULL;
	const struct spec_kind *specs;
	size_t n_specs;
	int r;

	specs = kind_specs(&n_specs);
	config_world_init(w, specs, n_specs);
	r = config_read_tree(path, complaints, &root);
	if (r < 0)
		return r;
	config_world_scan(w, root, complaints);
	r = spec_load(root, &w->spec, complaints, &spec);
	if (r < 0)
		return r;
	warn_of_secret_names(w, spec, complaints);
	if (complaints->n_errors)
		return -EINVAL;
	*ret = TAKE_PTR(spec);
	return 0;
}

int config_load(const char *path, struct complaints *complaints, struct spec **ret,
	struct config_world **ret_world)
{
	_cleanup_(cleanup_config_world_free) struct config_world *w = xnew(struct config_world);
	int r;

	r = load(path, complaints, w, ret);
	complaints_sort(complaints);
	if (r < 0)
		return r;
	*ret_world = TAKE_PTR(w);
	return 0;
}

void config_print_complaints(const struct complaints *complaints)
{
	for (size_t i = 0; i < complaints->n; i++) {
		_cleanup_free_ char *text = complaint_text(&complaints->items[i]);
		_cleanup_buf_ struct buf line = BUF_NULL;

		text_escape(&line, text, strlen(text));
		fprintf(stderr, "%s\n", buf_str(&line));
	}
}

int config_check(const char *path)
{
	_cleanup_(cleanup_config_world_free) struct config_world *w = NULL;
	_cleanup_(cleanup_spec_free) struct spec *spec = NULL;
	_cleanup_(complaints_fini) struct complaints complaints = {0};
	int r;

	r = config_load(path, &complaints, &spec, &w);
	config_print_complaints(&complaints);
	return r < 0;
}
