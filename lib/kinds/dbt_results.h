/* dbt's artifacts: run_results.json and sources.json, of this invocation and no other. */
#pragma once
#include "kinds/dbt_nodes.h"

#define DBT_RESULTS_CAP (64u << 20)

enum dbt_artifact {
	DBT_ARTIFACT_READ,
	DBT_ARTIFACT_ABSENT,	 /* no data */
	DBT_ARTIFACT_UNREADABLE, /* cut off, or no such JSON */
	DBT_ARTIFACT_FOREIGN,	 /* of another invocation */
};

/* Lays the results over the nodes. `invocation_id`: the log's; NULL when it was not seen, and then
 * the file counts if it was written no earlier than `since` (µs). Only DBT_ARTIFACT_READ changes
 * anything. */
enum dbt_artifact dbt_results_read(struct dbt_nodes *nodes, const char *data, size_t len,
	const char *invocation_id, usec_t since);
enum dbt_artifact dbt_sources_read(struct dbt_nodes *nodes, const char *data, size_t len,
	const char *invocation_id, usec_t since);
