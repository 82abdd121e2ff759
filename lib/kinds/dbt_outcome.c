/* From what failed to an outcome and the one line that on-call reads. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/dbt_message.h"
#include "kinds/dbt_outcome.h"

#define REASON_MAX 500
#define MORE_NAMES 3

/* Everything that went wrong: nodes first, then what belongs to none. */
struct failures {
	size_t n, n_nodes, n_passing;
	const struct dbt_node *node; /* the one to name: the first that no retry helps */
	const char *error;	     /* or this, when it is no node's */
};

static bool may_pass(enum dbt_class c)
{
	return c == DBT_CLASS_TRANSIENT || c == DBT_CLASS_CAPPED;
}

/* The first that no retry helps is the one to name; till then, the first. */
static void add_failure(
	struct failures *f, bool passing, const struct dbt_node *node, const char *error)
{
	if (f->n == 0 || (!passing && f->n == f->n_passing)) {
		f->node = node;
		f->error = error;
	}
	f->n++;
	f->n_nodes += node != NULL;
	f->n_passing += passing;
}

/* explained: only nodes with a message. What was running when dbt was stopped ends in error too,
 * but without one. */
static bool counts_as_failure(const struct dbt_node *node, bool explained)
{
	return node->state == DBT_FAILED && (node->message || !explained);
}

static struct failures collect(const struct dbt_log *log, bool explained)
{
	struct failures f = {0};

	for (size_t i = 0; i < log->nodes.n; i++) {
		const struct dbt_node *node = &log->nodes.items[i];

		if (counts_as_failure(node, explained))
			add_failure(&f,
				!str_eq(node->status, "fail") &&
					may_pass(dbt_message_class(node->message)),
				node, NULL);
	}
	for (size_t i = 0; i < log->n_errors; i++)
		add_failure(&f, may_pass(dbt_message_class(log->errors[i])), NULL, log->errors[i]);
	return f;
}

/* What went wrong with one node, in words. */
static char *describe(const struct dbt_node *node)
{
	_cleanup_free_ char *line = dbt_message_line(node->message);
	bool counts = str_eq(node->resource_type, "test") && node->failures != DBT_UNKNOWN;

	if (str_eq(node->status, "fail") && counts)
		return xasprintf("%lld row%s%s%s%s", (long long)node->failures,
			node->failures == 1 ? "" : "s", line ? " (" : "", line ? line : "",
			line ? ")" : "");
	if (line)
		return TAKE_PTR(line);
	return xasprintf("status \"%s\"", node->status ? node->status : "unknown");
}

static void append_others(
	struct buf *b, const struct dbt_nodes *nodes, const struct failures *f, bool explained)
{
	size_t named = 0, left = f->n_nodes - (f->node ? 1 : 0);

	if (!left)
		return;
	buf_printf(b, "; and %zu more: ", left);
	for (size_t i = 0; i < nodes->n && named < MORE_NAMES; i++) {
		_cleanup_free_ char *name = NULL;

		if (!counts_as_failure(&nodes->items[i], explained) || &nodes->items[i] == f->node)
			continue;
		name = dbt_node_name(&nodes->items[i]);
		buf_printf(b, "%s%s", named++ ? ", " : "", name);
	}
	if (named < left)
		buf_puts(b, ", ...");
}

static char *failure_reason(const struct dbt_log *log, const struct failures *f, bool explained)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_free_ char *label = NULL, *what = NULL;

	if (f->node) {
		label = dbt_node_label(f->node);
		what = describe(f->node);
		buf_printf(&b, "dbt: %s: %s", label, what);
	} else {
		what = dbt_message_line_with_header(f->error);
		buf_printf(&b, "dbt: %s", what ? what : "failed");
	}
	append_others(&b, &log->nodes, f, explained);
	return text_one_line(b.data, b.len, REASON_MAX);
}

/* dbt named nothing: a usage error, a traceback, no dbt at all. */
static enum outcome unnamed(const struct dbt_log *log, const struct action_status *status,
	const struct last_words *stderr_words, char **ret_reason)
{
	_cleanup_free_ char *words = last_words_text(stderr_words);

	if (!words)
		words = last_words_text(&log->words);
	if (!words && log->nodes.n_skipped)
		words = xasprintf("%zu nodes were skipped", log->nodes.n_skipped);
	if (words)
		*ret_reason = xasprintf("dbt: exit code %d: %s", status->code, words);
	else
		*ret_reason = xasprintf("dbt: exit code %d", status->code);
	return may_pass(dbt_message_class(words)) ? OUTCOME_TRANSIENT : OUTCOME_FAILED;
}

/* Where a stop met it: what still runs, or what ended without a word. */
static void append_position(struct buf *b, const struct dbt_log *log)
{
	const struct dbt_nodes *nodes = &log->nodes;
	const struct dbt_node *in = NULL;
	size_t done = nodes->n_done;

	if (nodes->n_running)
		in = &nodes->items[nodes->running[0]];
	for (size_t i = 0; i < nodes->n; i++)
		if (nodes->items[i].state == DBT_FAILED && !nodes->items[i].message) {
			in = in ? in : &nodes->items[i];
			done -= dbt_node_is_hook(&nodes->items[i]) ? 0 : 1;
		}
	if (log->total)
		buf_printf(b, ", %zu of %zu nodes done", done, log->total);
	if (in) {
		_cleanup_free_ char *name = dbt_node_name(in);

		buf_printf(b, ", in %s", name);
	}
}

/* Stopped, or gone: how far it was, and what had failed till then. */
static enum outcome ended_early(const struct kind_context *ctx, const struct dbt_log *log,
	const struct action_status *status, char **ret_reason)
{
	_cleanup_free_ char *why = NULL, *failed = NULL;
	_cleanup_buf_ struct buf b = BUF_NULL;
	enum outcome outcome = kind_exit_outcome(ctx, status, &why);
	struct failures f = collect(log, true);

	buf_printf(&b, "dbt: %s", why ? why : "ended");
	append_position(&b, log);
	if (f.node) {
		failed = failure_reason(log, &f, true);
		buf_printf(&b, "; before that: %s", failed + strlen("dbt: "));
	}
	*ret_reason = text_one_line(b.data, b.len, REASON_MAX);
	return outcome;
}

enum outcome dbt_outcome(const struct kind_context *ctx, const struct dbt_log *log,
	const struct action_status *status, const struct last_words *stderr_words,
	char **ret_reason)
{
	struct failures f;

	if (status->end == END_EXITED && status->code == 0) {
		*ret_reason = NULL; /* a stop that came too late stopped nothing */
		return OUTCOME_OK;
	}
	if (status->end != END_EXITED || status->stop != STOP_NONE || status->oom_killed)
		return ended_early(ctx, log, status, ret_reason);
	/* dbt also says so when it gives up because the warehouse is gone; then with an error */
	if (log->keyboard_interrupt && !log->n_errors) {
		*ret_reason = xstrdup("dbt: interrupted by a SIGINT that nightjar did not send");
		return OUTCOME_INTERRUPTED;
	}
	f = collect(log, log->keyboard_interrupt);
	if (!f.n)
		return unnamed(log, status, stderr_words, ret_reason);
	*ret_reason = failure_reason(log, &f, log->keyboard_interrupt);
	return f.n == f.n_passing ? OUTCOME_TRANSIENT : OUTCOME_FAILED;
}
