#include <stdlib.h>
#include "base/heap.h"
#include "base/memory.h"

void heap_fini(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->nodes[i]->place = 0;
	free(h->nodes);
	*h = (struct heap){0};
}

static void put(struct heap *h, size_t i, struct heap_node *node)
{
	h->nodes[i] = node;
	node->place = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_node *node)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (h->nodes[parent]->key <= node->key)
			break;
		put(h, i, h->nodes[parent]);
		i = parent;
	}
	put(h, i, node);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *node)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
			child++;
		if (node->key <= h->nodes[child]->key)
			break;
		put(h, i, h->nodes[child]);
		i = child;
	}
	put(h, i, node);
}

static void settle(struct heap *h, struct heap_node *node)
{
	size_t i = node->place - 1;

	if (i > 0 && h->nodes[(i - 1) / 2]->key > node->key)
		sift_up(h, i, node);
	else
		sift_down(h, i, node);
}

void heap_set(struct heap *h, struct heap_node *node, int64_t key)
{
	node->key = key;
	if (node->place == 0) {
		XGROW(h->nodes, h->n, h->cap);
		put(h, h->n++, node);
	}
	settle(h, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	struct heap_node *last;
	size_t i;

	if (node->place == 0)
		return;
	i = node->place - 1;
	node->place = 0;
	last = h->nodes[--h->n];
	if (last == node)
		return;
	put(h, i, last);
	settle(h, last);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->n ? h->nodes[0] : NULL;
}
