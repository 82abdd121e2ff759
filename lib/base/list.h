/* Intrusive doubly linked list, circular, with the head as sentinel. A node that is in no list
 * points at itself, so removal is safe and repeatable. */
#pragma once
#include <stdbool.h>
#include "base/cleanup.h"

struct list {
	struct list *prev, *next;
};

#define LIST_NULL(l) ((struct list){&(l), &(l)})

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

#define list_append(head, node) list_insert_before((head), (node))

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* Walks the nodes; the current one may be removed (and freed) on the way. */
#define list_for_each(node, head)                                                                  \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head);          \
		node = node##_next, node##_next = node->next)
