/* The kind `dbt`: one dbt command as a child, followed event by event.
 *
 * Happy path: begin -> spawn (its lock: the project, shared; alone for `deps`) -> events tell how
 * far it is -> exit 0 -> run_results.json of this invocation gives the rows -> done, ok. Failures:
 * exit 1 or 2 are read together with what failed (dbt_outcome.c). An artifact that is missing, cut
 * off or of another invocation is left aside and the log's events stand. A stop is a SIGINT to dbt
 * alone, so that it cancels its queries and writes what it has; dbt that does not end is killed
 * after the step's kill_after. Secrets never reach argv: what argv is made of is expanded where
 * none can be had. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/dbt_command.h"
#include "kinds/dbt_log.h"
#include "kinds/dbt_outcome.h"
#include "kinds/dbt_results.h"
#include "kinds/exit.h"
#include "kinds/kind_table.h"

enum {
	ARTIFACT_RESULTS,
	ARTIFACT_SOURCES,
	ARTIFACTS,
};

struct dbt {
	struct node *params; /* expanded, without a secret in them; NULL: not begun */
	struct dbt_log log;
	struct last_words stderr_words;
	/* after a replay, when the events are not to be had again */
	cJSON *told;
};

static void *dbt_new(const struct kind_context *ctx)
{
	return xnew(struct dbt);
}

static void dbt_free(void *state)
{
	struct dbt *d = state;

	if (!d)
		return;
	node_free(d->params);
	dbt_log_fini(&d->log);
	cJSON_Delete(d->told);
	free(d);
}

/* Everything that can be wrong with the parameters is found here, before anything is started. */
static int prepare(
	struct dbt *d, const struct kind_context *ctx, char **ret_project, char **ret_error)
{
	char **argv = NULL;
	char *project;
	int rc;

	if (argv_names_secret("dbt", ctx->params, ret_error))
		return -EINVAL;
	node_free(d->params);
	d->params = NULL;
	rc = ctx->expand_tree(ctx, ctx->params, &d->params, ret_error);
	if (rc < 0)
		return rc;
	project = dbt_command_project(d->params, ret_error);
	if (!project)
		return -EINVAL;
	rc = dbt_command_argv(d->params, &argv, ret_error);
	strv_free(argv);
	if (rc < 0)
		free(project);
	else
		*ret_project = project;
	return rc;
}

static void begin(struct dbt *d, const struct kind_context *ctx, struct kind_command *ret)
{
	_cleanup_free_ char *project = NULL;

	if (prepare(d, ctx, &project, &ret->reason) < 0) {
		ret->type = KIND_DONE;
		ret->outcome = OUTCOME_FAILED;
		return;
	}
	ret->type = KIND_SPAWN;
	strcpy(ret->action, "dbt");
	ret->repeatable = true;
	ret->lock = xasprintf("dbt:%s", project);
	ret->lock_shared = !dbt_command_writes(node_string(d->params, "command"));
}

static void read_artifacts(struct dbt *d, const struct kind_event *event)
{
	const struct artifact *a = event->artifacts;
	usec_t since = event->status->started_at;
	const char *id = d->log.invocation_id;

	if (event->n_artifacts > ARTIFACT_RESULTS)
		dbt_results_read(&d->log.nodes, a[ARTIFACT_RESULTS].data, a[ARTIFACT_RESULTS].len,
			id, since);
	if (event->n_artifacts > ARTIFACT_SOURCES)
		dbt_sources_read(&d->log.nodes, a[ARTIFACT_SOURCES].data, a[ARTIFACT_SOURCES].len,
			id, since);
}

static cJSON *dbt_progress(const void *state);
static char *dbt_holds_up(const void *state);

static void ended(struct dbt *d, const struct kind_context *ctx, const struct kind_event *event,
	struct kind_command *ret)
{
	bool builds = dbt_command_builds(node_string(d->params, "command"));
	_cleanup_free_ char *skipped = NULL;

	read_artifacts(d, event);
	dbt_log_explain_operation(&d->log);
	ret->type = KIND_DONE;
	ret->outcome = dbt_outcome(ctx, &d->log, event->status, &d->stderr_words, &ret->reason);
	ret->not_counted = event->status->end == END_NOT_STARTED && event->status->lease_over;
	ret->rows = dbt_nodes_rows(&d->log.nodes, builds);
	ret->note = cJSON_CreateObject();
	kind_note_done(ret);
	skipped = dbt_holds_up(d);
	json_set_string(ret->note, "invocation_id", d->log.invocation_id);
	json_set_string(ret->note, "holds_up", skipped);
	json_set(ret->note, "progress", dbt_progress(d));
	if (builds)
		json_set(ret->note, "built", dbt_nodes_built(&d->log.nodes));
}

static void dbt_next(void *state, const struct kind_context *ctx, const struct kind_event *event,
	struct kind_command *ret)
{
	struct dbt *d = state;

	if (event->type == KIND_BEGIN) {
		begin(d, ctx, ret);
	} else if (event->note) {
		cJSON_Delete(d->told);
		d->told = cJSON_Duplicate(event->note, true);
		kind_done_from_note(event->note, ret);
	} else {
		ended(d, ctx, event, ret);
	}
}

static int dbt_spawn(void *state, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	struct dbt *d = state;
	size_t n = 0;
	int rc = dbt_command_argv(d->params, &ret->argv, ret_error);

	if (rc < 0)
		return rc;
	ret->cwd = dbt_command_project(d->params, ret_error);
	if (!ret->cwd)
		return -EINVAL;
	ret->env = dbt_command_env(d->params, ret->cwd, ctx->attempt_directory);
	ret->directories = strv_add(ret->directories, &n, xstrdup("target"));
	ret->directories = strv_add(ret->directories, &n, xstrdup("logs"));
	ret->stop_signal = SIGINT;
	ret->artifacts[ARTIFACT_RESULTS].path = "target/run_results.json";
	ret->artifacts[ARTIFACT_RESULTS].cap = DBT_RESULTS_CAP;
	ret->artifacts[ARTIFACT_SOURCES].path = "target/sources.json";
	ret->artifacts[ARTIFACT_SOURCES].cap = DBT_RESULTS_CAP;
	ret->n_artifacts = ARTIFACTS;
	return 0;
}

static bool dbt_line(void *state, enum stream stream, const char *text, size_t len, bool partial,
	char **ret_news)
{
	struct dbt *d = state;

	if (stream == STREAM_STDOUT)
		return dbt_log_text(&d->log, text, len, partial, ret_news);
	last_words_feed(&d->stderr_words, text, len, partial);
	return false;
}

static cJSON *dbt_progress(const void *state)
{
	const struct dbt *d = state;
	const struct dbt_nodes *nodes = &d->log.nodes;
	cJSON *p;

	if (d->told)
		return cJSON_Duplicate(json_get(d->told, "progress"), true);
	if (!d->log.total && !nodes->n)
		return NULL;
	p = cJSON_CreateObject();
	json_set_int(p, "done", (int64_t)nodes->n_done);
	if (d->log.total)
		json_set_int(p, "total", (int64_t)MAX(d->log.total, nodes->n_done));
	else
		json_set_null(p, "total");
	if (nodes->n_running) {
		_cleanup_free_ char *now = dbt_node_name(&nodes->items[nodes->running[0]]);

		json_set_string(p, "now", now);
	} else {
		json_set_null(p, "now");
	}
	json_set_int(p, "failed", (int64_t)nodes->n_failed);
	json_set_int(p, "skipped", (int64_t)nodes->n_skipped);
	return p;
}

static char *dbt_holds_up(const void *state)
{
	const struct dbt *d = state;

	if (d->told)
		return xstrdup(json_string(d->told, "holds_up"));
	return dbt_nodes_skipped(&d->log.nodes);
}

const struct kind kind_dbt = {
	.spec = SPEC_DBT,
	.new = dbt_new,
	.free = dbt_free,
	.next = dbt_next,
	.spawn = dbt_spawn,
	.line = dbt_line,
	.progress = dbt_progress,
	.holds_up = dbt_holds_up,
};
