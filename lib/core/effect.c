#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "core/effect.h"

/* What a step writes to $NIGHTJAR_OUTPUT is the first artifact of every process. */
#define OUTPUT_FILE "output"
#define OUTPUT_CAP  ((size_t)64 * 1024)

#define KILL_AFTER_DEFAULT (10 * USEC_SEC)

static struct mask_set *mask_of(const struct action *action)
{
	struct mask_set *mask;

	if (!action->values)
		return NULL;
	mask = mask_set_new();
	for (size_t i = 0; action->secrets.names[i]; i++)
		mask_set_add_secret(mask, action->values[i], strlen(action->values[i]));
	mask_set_build(mask);
	return mask;
}

/* Secrets can be expanded from here on, until scope_close(). */
static void scope_open(struct action *action)
{
	struct scope *scope = &action->attempt->scope;

	scope->secret_names = (const char *const *)action->secrets.names;
	scope->secret_values = action->values;
	scope->n_secrets = action->values ? strv_length(action->secrets.names) : 0;
}

static void scope_close(struct action *action)
{
	struct scope *scope = &action->attempt->scope;

	scope->secret_names = NULL;
	scope->secret_values = NULL;
	scope->n_secrets = 0;
}

void effect_fill_place(struct action *action)
{
	const struct attempt *a = action->attempt;
	const struct run *run = a->step->cell->run;
	struct launch *l = &action->launch;

	memcpy(l->place.run_id, run->id, sizeof(l->place.run_id));
	l->place.cell = a->step->cell->spec->index;
	l->place.step = a->step->index;
	l->place.attempt = a->number;
	memcpy(l->place.action, action->name, sizeof(l->place.action));
	l->run_name = run->name;
	l->cell_name = a->step->cell->spec->name;
	l->step_name = a->step->spec->name;
	l->kind = a->kind->spec.name;
	l->epoch = action->epoch;
	l->repeatable = action->repeatable;
	l->log_cap = a->step->spec->log_cap;
	l->artifacts[0].path = OUTPUT_FILE;
	l->artifacts[0].cap = OUTPUT_CAP;
	l->n_artifacts = 1;
}

/* The kind's variables over the step's: a later one of the same name wins. */
static void lay_over(char ***env, char **take_more)
{
	size_t n = strv_length(*env);

	for (size_t i = 0; take_more && take_more[i]; i++) {
		size_t name = strcspn(take_more[i], "=") + 1, k = 0;

		while (k < n && strncmp((*env)[k], take_more[i], name) != 0)
			k++;
		if (k == n) {
			*env = strv_add(*env, &n, take_more[i]);
		} else {
			free((*env)[k]);
			(*env)[k] = take_more[i];
		}
	}
	free(take_more);
}

static int fill_files(struct action *action, char **ret_error)
{
	const struct attempt *a = action->attempt;
	const struct spec_step *spec = a->step->spec;
	struct launch *l = &action->launch;

	l->files = xcalloc(spec->n_files ? spec->n_files : 1, sizeof(*l->files));
	for (size_t i = 0; i < spec->n_files; i++) {
		const struct spec_file *f = &spec->files[i];
		struct launch_file *file = &l->files[l->n_files];
		int r;

		if (!spec_only_has(&f->only, a->scope.job, a->scope.cell))
			continue;
		r = scope_expand(&a->scope, f->content, &file->content, ret_error);
		if (r < 0)
			return r;
		file->len = strlen(file->content);
		file->name = xstrdup(f->name);
		file->env = xstrdup(f->env);
		l->n_files++;
	}
	return 0;
}

static int fill_cwd(struct action *action, struct kind_spawn *spawn, char **ret_error)
{
	const struct attempt *a = action->attempt;
	struct launch *l = &action->launch;

	if (a->step->spec->cwd)
		return scope_expand(&a->scope, a->step->spec->cwd, &l->cwd, ret_error);
	l->cwd = spawn->cwd ? TAKE_PTR(spawn->cwd) : xstrdup(a->directory);
	return 0;
}

static void fill_stop(struct action *action, const struct kind_spawn *spawn)
{
	const struct spec_step *spec = action->attempt->step->spec;
	struct launch *l = &action->launch;

	l->timeout = spec->timeout;
	l->kill_after = spec->kill_after    ? spec->kill_after
			: spawn->kill_after ? spawn->kill_after
					    : KILL_AFTER_DEFAULT;
	l->stop_signal = spawn->stop_signal;
	l->stop_group = spawn->stop_group;
}

static int fill_launch(struct action *action, char **ret_error)
{
	struct attempt *a = action->attempt;
	struct launch *l = &action->launch;
	struct kind_spawn spawn = {0};
	int r;

	effect_fill_place(action);
	l->mask = mask_of(action);
	r = a->kind->spawn(a->machine, &a->ctx, action->name, &spawn, ret_error);
	if (r == 0)
		r = scope_environment(
			&a->scope, action->core->ports.unit_environment, &l->env, ret_error);
	if (r == 0)
		r = fill_files(action, ret_error);
	if (r == 0)
		r = fill_cwd(action, &spawn, ret_error);
	if (r == 0) {
		lay_over(&l->env, TAKE_PTR(spawn.env));
		l->argv = TAKE_PTR(spawn.argv);
		l->directories = TAKE_PTR(spawn.directories);
		l->untouched = TAKE_PTR(spawn.untouched);
		fill_stop(action, &spawn);
		for (size_t i = 0; i < spawn.n_artifacts; i++) {
			l->artifacts[l->n_artifacts].path = spawn.artifacts[i].path;
			l->artifacts[l->n_artifacts].remove = spawn.artifacts[i].remove;
			l->artifacts[l->n_artifacts++].cap = spawn.artifacts[i].cap;
		}
	}
	kind_spawn_fini(&spawn);
	return r;
}

static int not_here(const struct attempt *a, const char *what, char **ret_error)
{
	*ret_error = xasprintf("%s: no %s can be made here", a->kind->spec.name, what);
	return -ENOSYS;
}

static int fill_call(struct action *action, char **ret_error)
{
	struct attempt *a = action->attempt;

	if (!action->core->ports.http.start || !a->kind->request)
		return not_here(a, "HTTP calls", ret_error);
	action->call.mask = mask_of(action);
	return a->kind->request(
		a->machine, &a->ctx, action->name, &action->call.request, ret_error);
}

static int fill_query(struct action *action, char **ret_error)
{
	struct attempt *a = action->attempt;

	if (!action->core->ports.query.start || !a->kind->query)
		return not_here(a, "queries", ret_error);
	action->query.mask = mask_of(action);
	return a->kind->query(a->machine, &a->ctx, action->name, &action->query.query, ret_error);
}

/* What is left of the step's timeout, where an earlier daemon joined already. */
static usec_t time_left(const struct action *action)
{
	usec_t timeout = action->attempt->step->spec->timeout;
	usec_t gone = action->finding ? core_now(action->core) - action->intent_at : 0;

	return MAX(timeout - MAX(gone, 0), USEC_SEC);
}

static int fill_want(struct action *action, char **ret_error)
{
	struct attempt *a = action->attempt;
	int r;

	if (!a->kind->join)
		return not_here(a, "wishes", ret_error);
	action->want_mask = mask_of(action);
	a->ctx.timeout = time_left(action);
	r = a->kind->join(a->machine, &a->ctx, action->name, &action->want, ret_error);
	a->ctx.timeout = a->step->spec->timeout;
	return r;
}

static const struct mask_set *mask_made(const struct action *action)
{
	switch (action->type) {
	case KIND_HTTP:
		return action->call.mask;
	case KIND_QUERY:
		return action->query.mask;
	case KIND_JOIN:
		return action->want_mask;
	default:
		return action->launch.mask;
	}
}

static int fill_by_type(struct action *action, char **ret_error)
{
	switch (action->type) {
	case KIND_HTTP:
		return fill_call(action, ret_error);
	case KIND_QUERY:
		return fill_query(action, ret_error);
	case KIND_JOIN:
		return fill_want(action, ret_error);
	default:
		return fill_launch(action, ret_error);
	}
}

int effect_fill(struct action *action, char **ret_error)
{
	_cleanup_free_ char *error = NULL;
	int r;

	scope_open(action);
	r = fill_by_type(action, &error);
	scope_close(action);
	if (r < 0)
		*ret_error = mask_string(mask_made(action), error ? error : strerror(-r));
	return r;
}
