#include "base/memory.h"
#include "core/ports.h"

static void wipe_strings(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		wipe_free(v[i]);
	free(v);
}

void launch_fini(struct launch *l)
{
	wipe_strings(l->argv);
	wipe_strings(l->env);
	strv_free(l->directories);
	strv_free(l->untouched);
	free(l->cwd);
	for (size_t i = 0; i < l->n_files; i++) {
		free(l->files[i].name);
		free(l->files[i].env);
		wipe_free(l->files[i].content);
	}
	free(l->files);
	mask_set_free(l->mask);
	l->argv = l->env = l->directories = l->untouched = NULL;
	l->cwd = NULL;
	l->files = NULL;
	l->n_files = 0;
	l->mask = NULL;
}
