/* Reading dbt's events. */
#include <stdlib.h>
#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "kinds/dbt_log.h"
#include "kinds/dbt_message.h"

#define TOTAL_MAX 10000000

struct event {
	const char *name, *level;
	const cJSON *info, *data, *node_info;
	const char *unique_id; /* NULL: about no node */
};

void dbt_log_fini(struct dbt_log *log)
{
	free(log->invocation_id);
	free(log->last_failure);
	for (size_t i = 0; i < log->n_errors; i++)
		free(log->errors[i]);
	dbt_nodes_fini(&log->nodes);
	buf_fini(&log->line);
	*log = (struct dbt_log){0};
}

/* "2026-11-21T08:01:21.952347", which is UTC; 0: unknown. */
static usec_t read_time(const char *s)
{
	_cleanup_free_ char *utc = NULL;
	usec_t t;

	if (!s || strlen(s) > 40)
		return 0;
	if (instant_parse(s, &t))
		return t;
	utc = xasprintf("%sZ", s);
	return instant_parse(utc, &t) ? t : 0;
}

static void read_total(struct dbt_log *log, int64_t total)
{
	if (total > 0 && total <= TOTAL_MAX)
		log->total = (size_t)total;
}

static void read_node(struct dbt_node *node, const struct event *e)
{
	const char *relation =
		json_string(json_get(e->node_info, "node_relation"), "relation_name");
	usec_t started = read_time(json_string(e->node_info, "node_started_at"));
	usec_t ended = read_time(json_string(e->node_info, "node_finished_at"));
	const cJSON *seconds = json_get(e->data, "execution_time");

	if (relation && *relation && !node->relation_name)
		node->relation_name = xstrndup(relation, 512);
	if (started)
		node->started_at = started;
	if (ended)
		node->ended_at = ended;
	if (cJSON_IsNumber(seconds))
		node->execution_time = seconds->valuedouble;
}

static bool on_concurrency(struct dbt_log *log, const struct event *e, char **ret_news)
{
	read_total(log, json_int(e->data, "node_count", 0));
	return true;
}

static bool on_start(struct dbt_log *log, const struct event *e, char **ret_news)
{
	struct dbt_node *node = dbt_nodes_get(&log->nodes, e->unique_id);

	if (!node || node->state >= DBT_RUNNING)
		return false;
	if (!dbt_node_is_hook(node))
		read_total(log, json_int(e->data, "total", 0));
	read_node(node, e);
	return dbt_node_set_status(&log->nodes, node, "started");
}

/* The word for how the node ended. node_status is "None" for unit tests, and data.status holds the
 * adapter's text for models ("SELECT 5"). */
static const char *end_status(const struct event *e)
{
	const char *status = json_string(e->node_info, "node_status");

	if (status && *status && !str_eq(status, "None") && dbt_state_of(status) != DBT_RUNNING)
		return status;
	status = json_string(e->data, "status");
	if (status && (dbt_state_of(status) >= DBT_OK && dbt_state_of(status) <= DBT_SKIPPED))
		return status;
	if (str_eq(status, "fail"))
		return status;
	return str_eq(e->level, "error") ? "error" : "success";
}

static bool on_end(struct dbt_log *log, const struct event *e, char **ret_news)
{
	struct dbt_node *node = dbt_nodes_get(&log->nodes, e->unique_id);
	const cJSON *failures = json_get(e->data, "num_failures");
	bool changed;

	if (!node)
		return false;
	read_node(node, e);
	if (cJSON_IsNumber(failures))
		node->failures = json_int(e->data, "num_failures", DBT_UNKNOWN);
	changed = dbt_node_set_status(&log->nodes, node, end_status(e));
	if (changed && node->state == DBT_FAILED) {
		_cleanup_free_ char *label = dbt_node_label(node);

		*ret_news = xasprintf("dbt: %s failed", label);
	}
	return changed;
}

static bool on_skip(struct dbt_log *log, const struct event *e, char **ret_news)
{
	struct dbt_node *node = dbt_nodes_get(&log->nodes, e->unique_id);

	if (!node)
		return false;
	read_node(node, e);
	return dbt_node_set_status(&log->nodes, node, "skipped");
}

/* "Failure in model x": the message comes in the next event. */
static bool on_failure(struct dbt_log *log, const struct event *e, char **ret_news)
{
	free(log->last_failure);
	log->last_failure = xstrdup(e->unique_id);
	return false;
}

static bool on_message(struct dbt_log *log, const struct event *e, char **ret_news)
{
	const char *id = e->unique_id ? e->unique_id : log->last_failure;
	const char *text = json_string(e->data, "msg");
	struct dbt_node *node = dbt_nodes_find(&log->nodes, id);
	_cleanup_free_ char *line = NULL, *label = NULL;

	if (!node || !text)
		return false;
	dbt_node_set_message(&log->nodes, node, text);
	line = dbt_message_line(text);
	label = dbt_node_label(node);
	if (line && node->state == DBT_FAILED)
		*ret_news = xasprintf("dbt: %s: %s", label, line);
	return false;
}

/* An error that belongs to no node. The exception of a Ctrl-C has no words. */
static bool on_error(struct dbt_log *log, const struct event *e, char **ret_news)
{
	const char *text = json_string(e->data, "exc");
	_cleanup_free_ char *line = NULL;

	if (!text)
		text = json_string(e->info, "msg");
	line = dbt_message_line_with_header(text);
	if (!line)
		return false;
	if (log->n_errors < DBT_ERRORS_MAX)
		log->errors[log->n_errors++] = xstrndup(text, DBT_MESSAGE_MAX);
	*ret_news = xasprintf("dbt: %s", line);
	return false;
}

static bool on_summary(struct dbt_log *log, const struct event *e, char **ret_news)
{
	log->keyboard_interrupt = json_bool(e->data, "keyboard_interrupt", false);
	return false;
}

typedef bool handler(struct dbt_log *log, const struct event *e, char **ret_news);

static const struct {
	const char *name;
	handler *handle;
} handlers[] = {
	{"ConcurrencyLine", on_concurrency},
	{"LogStartLine", on_start},
	{"LogHookStartLine", on_start},
	{"LogHookEndLine", on_end},
	{"SkippingDetails", on_skip},
	{"LogSkipBecauseError", on_skip},
	{"RunResultFailure", on_failure},
	{"RunResultError", on_message},
	{"MainEncounteredError", on_error},
	{"RunningOperationCaughtError", on_error},
	{"RunningOperationUncaughtError", on_error},
	{"EndOfRunSummary", on_summary},
	/* one of a model's batches, not the model */
	{"LogBatchResult", NULL},
};

static handler *handler_of(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (str_eq(handlers[i].name, name))
			return handlers[i].handle;
	/* LogModelResult, LogTestResult, LogSeedResult, LogSnapshotResult, LogFreshnessResult, ...
	 */
	if (len > 9 && str_starts(name, "Log") && strcmp(name + len - 6, "Result") == 0)
		return on_end;
	return NULL;
}

static void read_invocation(struct dbt_log *log, const cJSON *info)
{
	const char *id = json_string(info, "invocation_id");

	if (!log->invocation_id && id && *id && strlen(id) <= 64)
		log->invocation_id = xstrdup(id);
}

/* False when it is no event of dbt's. */
static bool read_event(
	struct dbt_log *log, const char *text, size_t len, bool *ret_changed, char **ret_news)
{
	_cleanup_json_ cJSON *json = NULL;
	struct event e = {0};
	handler *handle;

	if (!len || text[0] != '{' || json_parse(text, len, &json) < 0)
		return false;
	e.info = json_get(json, "info");
	e.name = json_string(e.info, "name");
	if (!e.name)
		return false;
	e.data = json_get(json, "data");
	e.level = json_string(e.info, "level");
	e.node_info = json_get(e.data, "node_info");
	e.unique_id = json_string(e.node_info, "unique_id");
	read_invocation(log, e.info);
	log->n_events++;
	handle = handler_of(e.name);
	if (handle)
		*ret_changed = handle(log, &e, ret_news);
	return true;
}

void dbt_log_explain_operation(struct dbt_log *log)
{
	for (size_t i = 0; i < log->nodes.n && log->n_errors; i++) {
		struct dbt_node *node = &log->nodes.items[i];

		if (node->state != DBT_FAILED || node->message ||
			!str_eq(node->resource_type, "macro"))
			continue;
		dbt_node_set_message(&log->nodes, node, log->errors[0]);
		while (log->n_errors)
			free(log->errors[--log->n_errors]);
	}
}

bool dbt_log_text(struct dbt_log *log, const char *text, size_t len, bool partial, char **ret_news)
{
	bool changed = false;

	if (log->line.len + len > DBT_LINE_MAX)
		log->too_long = true;
	if (!log->too_long)
		buf_append(&log->line, text, len);
	if (partial)
		return false;
	if (log->too_long) {
		log->n_unread++;
	} else if (!read_event(log, buf_str(&log->line), log->line.len, &changed, ret_news)) {
		log->n_unread += log->line.len > 0;
		last_words_feed(&log->words, buf_str(&log->line), log->line.len, false);
	}
	if (log->line.cap > DBT_LINE_MAX / 4)
		buf_fini(&log->line);
	buf_clear(&log->line);
	log->too_long = false;
	return changed;
}

void dbt_log_feed(struct dbt_log *log, const void *data, size_t len)
{
	const char *at = data, *end = at + len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);
		_cleanup_free_ char *news = NULL;

		dbt_log_text(log, at, n, !newline, &news);
		at += n + (newline != NULL);
	}
}
