/* Reading dbt's artifacts. They are written once, at the end, and not atomically: one that is cut
 * off, or that an earlier invocation left, is no evidence, and the log's events stand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "kinds/dbt_results.h"

#define CLOCK_SLACK (2 * USEC_SEC)

static usec_t read_time(const cJSON *object, const char *key)
{
	const char *s = json_string(object, key);
	usec_t t;

	return s && instant_parse(s, &t) ? t : 0;
}

/* A count, or DBT_UNKNOWN; Postgres gives -1 for one it does not know. */
static int64_t read_count(const cJSON *object, const char *key)
{
	int64_t n = json_int(object, key, DBT_UNKNOWN);

	return n < 0 ? DBT_UNKNOWN : n;
}

static double read_number(const cJSON *object, const char *key)
{
	const cJSON *n = json_get(object, key);

	return cJSON_IsNumber(n) && isfinite(n->valuedouble) ? n->valuedouble : -1;
}

static bool is_ours(const cJSON *root, const char *invocation_id, usec_t since)
{
	const cJSON *metadata = json_get(root, "metadata");
	const char *id = json_string(metadata, "invocation_id");

	if (invocation_id)
		return str_eq(id, invocation_id);
	return id && read_time(metadata, "generated_at") >= since - CLOCK_SLACK;
}

/* The artifact's results, or why not. */
static enum dbt_artifact open_artifact(const char *data, size_t len, const char *invocation_id,
	usec_t since, cJSON **ret_root, const cJSON **ret_results)
{
	_cleanup_json_ cJSON *root = NULL;
	const cJSON *results;

	if (!data)
		return DBT_ARTIFACT_ABSENT;
	if (json_parse(data, len, &root) < 0)
		return DBT_ARTIFACT_UNREADABLE;
	results = json_get(root, "results");
	if (!cJSON_IsArray(results))
		return DBT_ARTIFACT_UNREADABLE;
	if (!is_ours(root, invocation_id, since))
		return DBT_ARTIFACT_FOREIGN;
	*ret_results = results;
	*ret_root = TAKE_PTR(root);
	return DBT_ARTIFACT_READ;
}

/* From the first step's start to the last one's end. */
static void read_timing(struct dbt_node *node, const cJSON *result)
{
	const cJSON *step;
	usec_t from = 0, to = 0;

	cJSON_ArrayForEach(step, json_get(result, "timing"))
	{
		usec_t started = read_time(step, "started_at");
		usec_t ended = read_time(step, "completed_at");

		if (started && (!from || started < from))
			from = started;
		to = MAX(to, ended);
	}
	if (from)
		node->started_at = from;
	if (to)
		node->ended_at = to;
}

static void read_result(struct dbt_nodes *nodes, const cJSON *result)
{
	const char *status = json_string(result, "status");
	const char *relation = json_string(result, "relation_name");
	const cJSON *answer = json_get(result, "adapter_response");
	struct dbt_node *node = dbt_nodes_get(nodes, json_string(result, "unique_id"));

	if (!node)
		return;
	dbt_node_set_status(nodes, node, status && *status ? status : "error");
	dbt_node_set_message(nodes, node, json_string(result, "message"));
	if (relation && *relation) {
		free(node->relation_name);
		node->relation_name = xstrndup(relation, 512);
	}
	node->execution_time = read_number(result, "execution_time");
	node->failures = read_count(result, "failures");
	node->rows_affected = read_count(answer, "rows_affected");
	node->bytes_processed = read_count(answer, "bytes_processed");
	read_timing(node, result);
}

/* Both artifacts are an array of results; what is in one differs. */
static enum dbt_artifact read_artifact(struct dbt_nodes *nodes, const char *data, size_t len,
	const char *invocation_id, usec_t since,
	void (*read_one)(struct dbt_nodes *nodes, const cJSON *result))
{
	_cleanup_json_ cJSON *root = NULL;
	const cJSON *results = NULL, *result;
	enum dbt_artifact rc = open_artifact(data, len, invocation_id, since, &root, &results);

	if (rc != DBT_ARTIFACT_READ)
		return rc;
	cJSON_ArrayForEach(result, results) read_one(nodes, result);
	return rc;
}

enum dbt_artifact dbt_results_read(struct dbt_nodes *nodes, const char *data, size_t len,
	const char *invocation_id, usec_t since)
{
	return read_artifact(nodes, data, len, invocation_id, since, read_result);
}

static void append_limit(struct buf *b, const cJSON *criteria, const char *name)
{
	const cJSON *limit = json_get(criteria, name);
	int64_t count = json_int(limit, "count", 0);
	const char *period = json_string(limit, "period");

	if (count > 0 && period)
		buf_printf(b, " (%s: %lld %s%s)", name, (long long)count, period,
			count == 1 ? "" : "s");
}

/* "last loaded 2d 3h before (error_after: 2 days)" */
static char *staleness(const struct dbt_node *node, const cJSON *result, const char *status)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	char span[DURATION_MAX];

	if (node->age >= 0 && node->age < 1e11)
		buf_printf(&b, "last loaded %s before",
			format_duration((usec_t)(node->age * 1e6), span));
	else
		buf_puts(&b, "stale");
	append_limit(&b, json_get(result, "criteria"),
		str_eq(status, "warn") ? "warn_after" : "error_after");
	return buf_steal(&b);
}

static void read_source(struct dbt_nodes *nodes, const cJSON *result)
{
	const char *status = json_string(result, "status");
	struct dbt_node *node = dbt_nodes_get(nodes, json_string(result, "unique_id"));
	_cleanup_free_ char *text = NULL;

	if (!node)
		return;
	dbt_node_set_status(nodes, node, status && *status ? status : "error");
	node->max_loaded_at = read_time(result, "max_loaded_at");
	node->age = read_number(result, "max_loaded_at_time_ago_in_s");
	read_timing(node, result);
	if (!str_eq(status, "error") && !str_eq(status, "warn"))
		return;
	text = staleness(node, result, status);
	dbt_node_set_message(nodes, node, text);
}

enum dbt_artifact dbt_sources_read(struct dbt_nodes *nodes, const char *data, size_t len,
	const char *invocation_id, usec_t since)
{
	return read_artifact(nodes, data, len, invocation_id, since, read_source);
}
