/* A binary min-heap of embedded nodes ordered by an int64 key (an instant, µs). A node knows its
 * place, so that it can be moved or removed in O(log n). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t key;
	size_t place; /* 1-based; 0: in no heap */
};

struct heap {
	struct heap_node **nodes;
	size_t n, cap;
};

void heap_fini(struct heap *h);
/* Inserts the node, or moves it if it is already there. */
void heap_set(struct heap *h, struct heap_node *node, int64_t key);
/* No-op when the node is in no heap. */
void heap_remove(struct heap *h, struct heap_node *node);
/* The node with the least key, NULL when empty. */
struct heap_node *heap_first(const struct heap *h);
static inline bool heap_has(const struct heap_node *node)
{
	return node->place != 0;
}
