/* The table of a dbt invocation's nodes, by unique_id. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/dbt_nodes.h"

#define ID_MAX	 1024
#define CUT_DOWN 200 /* bytes of a message beyond DBT_MESSAGES_MAX */

void dbt_nodes_fini(struct dbt_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		struct dbt_node *node = &nodes->items[i];

		free(node->unique_id);
		free(node->resource_type);
		free(node->status);
		free(node->message);
		free(node->relation_name);
	}
	free(nodes->items);
	free(nodes->slots);
	free(nodes->running);
	*nodes = (struct dbt_nodes){0};
}

static uint64_t hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h ^ h >> 32;
}

/* The slot that holds the id, or the free one where it belongs. */
static uint32_t *slot_of(const struct dbt_nodes *nodes, const char *unique_id)
{
	size_t mask = nodes->n_slots - 1;

	for (size_t i = hash(unique_id) & mask;; i = (i + 1) & mask) {
		uint32_t *slot = &nodes->slots[i];

		if (!*slot || strcmp(nodes->items[*slot - 1].unique_id, unique_id) == 0)
			return slot;
	}
}

/* At most half full, so that slot_of() always ends. */
static void make_room(struct dbt_nodes *nodes)
{
	if (nodes->n * 2 < nodes->n_slots)
		return;
	free(nodes->slots);
	nodes->n_slots = nodes->n_slots ? nodes->n_slots * 2 : 64;
	nodes->slots = xcalloc(nodes->n_slots, sizeof(*nodes->slots));
	for (size_t i = 0; i < nodes->n; i++)
		*slot_of(nodes, nodes->items[i].unique_id) = (uint32_t)i + 1;
}

struct dbt_node *dbt_nodes_find(const struct dbt_nodes *nodes, const char *unique_id)
{
	uint32_t slot;

	if (!unique_id || !nodes->n_slots)
		return NULL;
	slot = *slot_of(nodes, unique_id);
	return slot ? &nodes->items[slot - 1] : NULL;
}

static struct dbt_node *add(struct dbt_nodes *nodes, const char *unique_id)
{
	const char *dot = strchr(unique_id, '.');
	struct dbt_node *node;

	make_room(nodes);
	XGROW(nodes->items, nodes->n, nodes->cap);
	node = &nodes->items[nodes->n];
	*node = (struct dbt_node){
		.unique_id = xstrdup(unique_id),
		.resource_type = dot ? xstrndup(unique_id, (size_t)(dot - unique_id)) : NULL,
		.execution_time = -1,
		.failures = DBT_UNKNOWN,
		.rows_affected = DBT_UNKNOWN,
		.bytes_processed = DBT_UNKNOWN,
		.age = -1,
	};
	*slot_of(nodes, unique_id) = (uint32_t)++nodes->n;
	return node;
}

struct dbt_node *dbt_nodes_get(struct dbt_nodes *nodes, const char *unique_id)
{
	struct dbt_node *node = dbt_nodes_find(nodes, unique_id);

	if (node || !unique_id || !*unique_id || strlen(unique_id) > ID_MAX)
		return node;
	if (nodes->n >= DBT_NODES_MAX) {
		nodes->n_dropped++;
		return NULL;
	}
	return add(nodes, unique_id);
}

enum dbt_state dbt_state_of(const char *status)
{
	static const struct {
		const char *word;
		enum dbt_state state;
	} words[] = {
		{"success", DBT_OK},
		{"pass", DBT_OK},
		{"warn", DBT_OK},
		{"no-op", DBT_OK},
		{"reused", DBT_OK},
		{"skipped", DBT_SKIPPED},
		{"started", DBT_RUNNING},
		{"compiling", DBT_RUNNING},
		{"executing", DBT_RUNNING},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i].word, status))
			return words[i].state;
	return DBT_FAILED;
}

bool dbt_node_is_hook(const struct dbt_node *node)
{
	return str_eq(node->resource_type, "operation") || str_eq(node->resource_type, "macro");
}

static void running_add(struct dbt_nodes *nodes, size_t index)
{
	XGROW(nodes->running, nodes->n_running, nodes->cap_running);
	nodes->running[nodes->n_running++] = index;
}

static void running_remove(struct dbt_nodes *nodes, size_t index)
{
	for (size_t i = 0; i < nodes->n_running; i++) {
		if (nodes->running[i] != index)
			continue;
		nodes->n_running--;
		memmove(&nodes->running[i], &nodes->running[i + 1],
			(nodes->n_running - i) * sizeof(*nodes->running));
		return;
	}
}

/* Adds (by = 1) or takes away (by = -1) what the node's state counts for. */
static void count(struct dbt_nodes *nodes, const struct dbt_node *node, int by)
{
	size_t step = (size_t)by;

	if (node->state == DBT_FAILED)
		nodes->n_failed += step;
	if (dbt_node_is_hook(node))
		return;
	if (node->state == DBT_SKIPPED)
		nodes->n_skipped += step;
	if (node->state >= DBT_OK)
		nodes->n_done += step;
}

bool dbt_node_set_status(struct dbt_nodes *nodes, struct dbt_node *node, const char *status)
{
	enum dbt_state state = dbt_state_of(status);
	size_t index = (size_t)(node - nodes->items);
	bool is_new = state != node->state;

	count(nodes, node, -1);
	if (node->state == DBT_RUNNING)
		running_remove(nodes, index);
	node->state = state;
	if (state == DBT_RUNNING)
		running_add(nodes, index);
	count(nodes, node, 1);
	free(node->status);
	node->status = state == DBT_RUNNING ? NULL : xstrndup(status, 64);
	return is_new;
}

void dbt_node_set_message(struct dbt_nodes *nodes, struct dbt_node *node, const char *message)
{
	size_t max = DBT_MESSAGE_MAX, len;

	if (!message || !message[strspn(message, " \t\r\n")])
		return;
	if (!node->message)
		nodes->n_messages++;
	if (nodes->n_messages > DBT_MESSAGES_MAX)
		max = CUT_DOWN;
	len = strnlen(message, max);
	while (len && message[len] && ((unsigned char)message[len] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	free(node->message);
	node->message = xstrndup(message, len);
}
