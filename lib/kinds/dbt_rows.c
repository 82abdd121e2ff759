/* Nodes as rows for the store; columns as in daemon/pg/schema.sql. */
#include "base/json.h"
#include "base/memory.h"
#include "kinds/dbt_nodes.h"

static void set_number(cJSON *row, const char *key, double value)
{
	json_set(row, key, value >= 0 ? cJSON_CreateNumber(value) : NULL);
}

static void set_count(cJSON *row, const char *key, int64_t value)
{
	if (value == DBT_UNKNOWN)
		json_set_null(row, key);
	else
		json_set_int(row, key, value);
}

static cJSON *node_row(const struct dbt_node *node, bool built)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "unique_id", node->unique_id);
	json_set_string(row, "resource_type", node->resource_type);
	json_set_string(row, "status", node->status);
	json_set_string(row, "message", node->message);
	json_set_string(row, "relation_name", built ? node->relation_name : NULL);
	set_number(row, "execution_time", node->execution_time);
	set_count(row, "failures", node->failures);
	set_count(row, "rows_affected", node->rows_affected);
	set_count(row, "bytes_processed", node->bytes_processed);
	json_set_time(row, "started_at", node->started_at);
	json_set_time(row, "ended_at", node->ended_at);
	return row;
}

static cJSON *source_row(const struct dbt_node *node)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "unique_id", node->unique_id);
	json_set_string(row, "status", node->status);
	json_set_time(row, "max_loaded_at", node->max_loaded_at);
	set_number(row, "age_seconds", node->age);
	json_set_string(row, "message", node->message);
	return row;
}

cJSON *dbt_nodes_rows(const struct dbt_nodes *nodes, bool built)
{
	cJSON *rows, *results = NULL, *sources = NULL;

	for (size_t i = 0; i < nodes->n; i++) {
		const struct dbt_node *node = &nodes->items[i];
		bool source = str_eq(node->resource_type, "source");
		cJSON **list = source ? &sources : &results;

		if (!node->status)
			continue;
		if (!*list)
			*list = cJSON_CreateArray();
		cJSON_AddItemToArray(*list, source ? source_row(node) : node_row(node, built));
	}
	if (!results && !sources)
		return NULL;
	rows = cJSON_CreateObject();
	if (results)
		json_set(rows, "node_result", results);
	if (sources)
		json_set(rows, "source_freshness", sources);
	return rows;
}
