/* The kinds `run` and `shell`: one process, judged by its exit code.
 *
 * Happy path: begin -> spawn -> the process exits with one of ok_codes -> done.
 * Failures: the exit code, a signal, a stop or no report at all name the outcome (exit.c); the last
 * line on standard error says why. An argument that reveals a secret ends the attempt before
 * anything is started. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/exit.h"
#include "kinds/kind_table.h"

struct run {
	char **argv;
	struct last_words stderr_words;
};

static void *run_new(const struct kind_context *ctx)
{
	return xnew(struct run);
}

static void run_free(void *state)
{
	struct run *r = state;

	if (!r)
		return;
	strv_free(r->argv);
	free(r);
}

static char **strings_of(const struct node *list)
{
	char **v = NULL;
	size_t n = 0;

	for (size_t i = 0; i < list->n_children; i++)
		if (list->children[i]->type == NODE_STRING)
			v = strv_add(v, &n, xstrdup(list->children[i]->string));
	return v;
}

static char **shell_argv(const char *text)
{
	char **v = NULL;
	size_t n = 0;

	v = strv_add(v, &n, xstrdup("/bin/sh"));
	v = strv_add(v, &n, xstrdup("-c"));
	return strv_add(v, &n, xstrdup(text));
}

/* Expanded here and not in spawn(): secrets cannot be had here, so none can get into argv. */
static int run_prepare(struct run *r, const struct kind_context *ctx, char **ret_error)
{
	_cleanup_node_ struct node *params = NULL;
	bool shell = ctx->params->type == NODE_STRING;
	int rc;

	if (argv_names_secret(shell ? "shell" : "run", ctx->params, ret_error))
		return -EINVAL;
	rc = ctx->expand_tree(ctx, ctx->params, &params, ret_error);
	if (rc < 0)
		return rc;
	r->argv = shell ? shell_argv(params->string) : strings_of(params);
	if (r->argv && *r->argv[0])
		return 0;
	*ret_error = xstrdup("run: the program's name is empty");
	return -EINVAL;
}

static void run_begin(struct run *r, const struct kind_context *ctx, struct kind_command *ret)
{
	char *error = NULL;

	if (run_prepare(r, ctx, &error) < 0) {
		ret->type = KIND_DONE;
		ret->outcome = OUTCOME_FAILED;
		ret->reason = error;
		return;
	}
	ret->type = KIND_SPAWN;
	strcpy(ret->action, "run");
	ret->repeatable = true;
}

static void run_ended(struct run *r, const struct kind_context *ctx,
	const struct action_status *status, struct kind_command *ret)
{
	_cleanup_free_ char *reason = NULL;
	char *words = NULL;

	ret->type = KIND_DONE;
	ret->outcome = kind_exit_outcome(ctx, status, &reason);
	ret->not_counted = status->end == END_NOT_STARTED && status->lease_over;
	if (status->end == END_EXITED && status->stop == STOP_NONE && reason)
		words = last_words_text(&r->stderr_words);
	ret->reason = words ? xasprintf("%s: %s", reason, words) : TAKE_PTR(reason);
	free(words);
	kind_note_done(ret);
}

static void run_next(void *state, const struct kind_context *ctx, const struct kind_event *event,
	struct kind_command *ret)
{
	if (event->type == KIND_BEGIN)
		run_begin(state, ctx, ret);
	else if (event->note)
		kind_done_from_note(event->note, ret);
	else
		run_ended(state, ctx, event->status, ret);
}

static int run_spawn(void *state, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	struct run *r = state;
	size_t n = 0;

	for (size_t i = 0; r->argv[i]; i++)
		ret->argv = strv_add(ret->argv, &n, xstrdup(r->argv[i]));
	ret->stop_group = true;
	return 0;
}

static bool run_line(void *state, enum stream stream, const char *text, size_t len, bool partial,
	char **ret_news)
{
	struct run *r = state;

	if (stream == STREAM_STDERR)
		last_words_feed(&r->stderr_words, text, len, partial);
	return false;
}

const struct kind kind_run = {
	.spec = SPEC_RUN,
	.new = run_new,
	.free = run_free,
	.next = run_next,
	.spawn = run_spawn,
	.line = run_line,
};

const struct kind kind_shell = {
	.spec = SPEC_SHELL,
	.new = run_new,
	.free = run_free,
	.next = run_next,
	.spawn = run_spawn,
	.line = run_line,
};
