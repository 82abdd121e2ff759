/* Pass 2: the whole, once every value has its shape. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define SOCKET_PATH_MAX 107 /* of sockaddr_un */

static void append_part(struct buf *out, const char *before, const struct node *n)
{
	const char *name = node_string(n, "name");

	if (n)
		buf_printf(out, "%s%s", before, name ? name : "?");
}

char *at_text(const struct at *at)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	append_part(&out, "jobs.", at->job_node);
	append_part(&out, ".stages.", at->stage_node);
	append_part(&out, ".steps.", at->step_node);
	return buf_steal(&out);
}

void at_error(const struct at *at, const struct node *node, const char *format, ...)
{
	_cleanup_free_ char *where = at_text(at), *what = NULL;
	va_list ap;

	va_start(ap, format);
	what = xvasprintf(format, ap);
	va_end(ap);
	complain(at->l->complaints, node->file, node->line, "%s%s%s", where, *where ? ": " : "",
		what);
}

static void load_paths(struct loader *l)
{
	const struct spec_world *w = l->world;
	const struct node *socket = node_get(l->root, "socket");
	const struct node *secrets = node_get(l->root, "secrets");
	const char *state = node_string(l->root, "state");
	const char *directory = node_string(secrets, "directory");
	struct spec *s = l->spec;

	s->conninfo = xstrdup(node_string(node_get(l->root, "store"), "conninfo"));
	if (!s->conninfo)
		s->conninfo = xstrdup("");
	s->socket_path = read_string(socket, "socket", "path");
	s->operators = xstrdup(node_string(socket, "operators"));
	if (!state)
		state = w->default_state;
	s->state = xstrdup(state ? state : "/var/lib/nightjar");
	s->secrets_directory = xstrdup(directory ? directory : w->default_secrets_directory);
	if (strlen(s->socket_path) > SOCKET_PATH_MAX) {
		const struct node *n = node_get(socket, "path");

		complain(l->complaints, n->file, n->line,
			"socket.path: it has %zu bytes, a socket's path can have %d at most",
			strlen(s->socket_path), SOCKET_PATH_MAX);
	}
}

static void load_limits(struct loader *l)
{
	const struct node *history = node_get(l->root, "history");
	struct spec *s = l->spec;

	s->history_keep = read_duration(history, "history", "keep");
	s->history_logs = read_duration(history, "history", "logs");
	s->max_attempts = read_unsigned(l->root, "", "max_attempts");
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct spec_job *const *)a)->name, (*(struct spec_job *const *)b)->name);
}

static void load_jobs(struct loader *l)
{
	const struct node *jobs = node_get(l->root, "jobs");
	struct spec *s = l->spec;

	if (!jobs)
		return;
	if (jobs->n_children > SPEC_MAX_JOBS) {
		complain(l->complaints, jobs->file, jobs->line,
			"jobs: there are %zu, at most %d are allowed", jobs->n_children,
			SPEC_MAX_JOBS);
		return;
	}
	s->jobs = xcalloc(jobs->n_children, sizeof(*s->jobs));
	for (size_t i = 0; i < jobs->n_children; i++)
		s->jobs[s->n_jobs++] = load_job(l, jobs->children[i]);
	qsort(s->jobs, s->n_jobs, sizeof(*s->jobs), by_name);
}

static void warn_unused(struct loader *l, const char *what, const struct node *in, const bool *used)
{
	for (size_t i = 0; in && i < in->n_children; i++) {
		const struct node *n = in->children[i];
		const char *name = in->type == NODE_GROUP ? n->key : node_string(n, "name");

		if (!used[i] && name)
			complain_warning(l->complaints, n->file, n->line,
				"%ss.%s: nothing uses this %s", what, name, what);
	}
}

static bool *flags_for(const struct node *n)
{
	return n && n->n_children ? xcalloc(n->n_children, sizeof(bool)) : NULL;
}

static void load_all(struct loader *l)
{
	const struct node *locks = node_get(l->root, "locks");

	l->environments = node_get(l->root, "environments");
	l->sets = node_get(l->root, "sets");
	l->checks = node_get(l->root, "checks");
	l->lock_used = flags_for(locks);
	l->set_used = flags_for(l->sets);
	load_paths(l);
	load_limits(l);
	load_locks(l);
	load_environments(l);
	load_checks(l);
	load_jobs(l);
	if (l->stored)
		return;
	check_world_templates(l);
	load_notify(l);
	check_secrets(l);
	if (!l->locks_unclear)
		warn_unused(l, "lock", locks, l->lock_used);
	warn_unused(l, "set", l->sets, l->set_used);
}

static void loader_fini(struct loader *l)
{
	while (l->zones) {
		struct spec_zone *next = l->zones->next;

		zone_unref(l->zones);
		l->zones = next;
	}
	for (size_t i = 0; i < l->n_secrets_seen; i++)
		free(l->secrets_seen[i]);
	free(l->secrets_seen);
	free(l->secret_used);
	free(l->secret_at);
	free(l->secret_names);
	free(l->lock_used);
	free(l->set_used);
	node_free(l->root);
	spec_free(l->spec);
}

static void list_secrets(struct loader *l)
{
	const struct spec_world *w = l->world;

	if (!w->check_secrets || l->stored)
		return;
	l->secret_used = xcalloc(w->n_secrets, sizeof(*l->secret_used));
	l->secret_at = xcalloc(w->n_secrets, sizeof(*l->secret_at));
	l->secret_names = xcalloc(w->n_secrets, sizeof(*l->secret_names));
	for (size_t i = 0; i < w->n_secrets; i++)
		l->secret_names[i] = w->secrets[i].name;
}

int load_tree(const struct node *root, const struct spec_world *world, bool stored,
	struct complaints *complaints, struct spec **ret)
{
	_cleanup_(loader_fini) struct loader l = {
		.world = world,
		.complaints = complaints,
		.stored = stored,
		.root = node_copy(root),
		.spec = xnew(struct spec),
	};
	size_t errors = complaints->n_errors;

	list_secrets(&l);
	if (check_tree(&l))
		load_all(&l);
	if (complaints->n_errors > errors)
		return -EINVAL;
	*ret = TAKE_PTR(l.spec);
	return 0;
}

int spec_load(const struct node *root, const struct spec_world *world,
	struct complaints *complaints, struct spec **ret)
{
	int r = load_tree(root, world, false, complaints, ret);

	complaints_sort(complaints);
	return r;
}
