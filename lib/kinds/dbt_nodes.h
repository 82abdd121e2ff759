/* What is known of a dbt invocation's nodes (models, tests, seeds, sources, ...): fed by the log as
 * it comes and by the artifacts at the end, read for progress, outcome and rows. */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"

#define DBT_NODES_MAX	 50000 /* further ones are counted and not kept */
#define DBT_MESSAGE_MAX	 4096  /* bytes of one message */
#define DBT_MESSAGES_MAX 2000  /* so many messages are kept whole, the others cut short */
#define DBT_BUILT_MAX	 5000  /* relations in one note */
#define DBT_UNKNOWN	 INT64_MIN

enum dbt_state {
	DBT_KNOWN,
	DBT_RUNNING,
	DBT_OK,
	DBT_SKIPPED,
	DBT_FAILED,
};

struct dbt_node {
	char *unique_id;     /* "model.project.name" */
	char *resource_type; /* "model", "test", "source", ... */
	enum dbt_state state;
	char *status;  /* dbt's word; NULL: not ended */
	char *message; /* NULL: none */
	char *relation_name;
	double execution_time; /* seconds; below 0: unknown */
	int64_t failures;      /* these three: or DBT_UNKNOWN */
	int64_t rows_affected;
	int64_t bytes_processed;
	usec_t started_at, ended_at; /* 0: unknown */
	/* sources */
	usec_t max_loaded_at;
	double age; /* seconds; below 0: unknown */
};

struct dbt_nodes {
	struct dbt_node *items;
	size_t n, cap;
	uint32_t *slots; /* open addressing: index + 1, 0: free */
	size_t n_slots;
	size_t *running; /* indices, in the order they began */
	size_t n_running, cap_running;
	size_t n_done, n_failed, n_skipped; /* without hooks, which dbt's total leaves out */
	size_t n_messages;
	size_t n_dropped; /* beyond DBT_NODES_MAX */
};

void dbt_nodes_fini(struct dbt_nodes *nodes);
/* The node of that id, made if it is new; NULL for an id that cannot be one, or when the table is
 * full. Valid until the next call. */
struct dbt_node *dbt_nodes_get(struct dbt_nodes *nodes, const char *unique_id);
/* NULL: unknown. */
struct dbt_node *dbt_nodes_find(const struct dbt_nodes *nodes, const char *unique_id);
/* The one door for a node's state; `status` is dbt's word. Returns true if it is new. */
bool dbt_node_set_status(struct dbt_nodes *nodes, struct dbt_node *node, const char *status);
/* Bounded; keeps the lines. Empty or NULL changes nothing. */
void dbt_node_set_message(struct dbt_nodes *nodes, struct dbt_node *node, const char *message);

/* What a status word says; one that is not known is a failure. */
enum dbt_state dbt_state_of(const char *status);
/* Hooks and macros: not among the nodes dbt counts. */
bool dbt_node_is_hook(const struct dbt_node *node);
/* "mart_screener_data", "raw.orders", "top_a::test_1": the name people use. The caller frees. */
char *dbt_node_name(const struct dbt_node *node);
/* "model mart_screener_data", "hook ...", "operation ...". The caller frees. */
char *dbt_node_label(const struct dbt_node *node);
/* "4 models, 2 tests": the skipped ones; NULL: none. The caller frees. */
char *dbt_nodes_skipped(const struct dbt_nodes *nodes);

/* Rows for the store, of every node that has ended:
 * {"node_result": [...], "source_freshness": [...]}; NULL: none. `built`: the command makes
 * relations; else no row names one. */
cJSON *dbt_nodes_rows(const struct dbt_nodes *nodes, bool built);

/* [["schema","name"],...] of the models, seeds and snapshots that were built well, at most
 * DBT_BUILT_MAX: the note's "built". */
cJSON *dbt_nodes_built(const struct dbt_nodes *nodes);
