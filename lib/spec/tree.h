/* The neutral tree: what a configuration says, whoever read it. daemon/config makes one from
 * libconfig, a run's stored definition is one as JSON; lib/spec checks either in the same way. */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

enum node_type {
	NODE_GROUP, /* children with keys, in the order written */
	NODE_LIST,  /* children without; libconfig's arrays and lists alike */
	NODE_STRING,
	NODE_INT,
	NODE_FLOAT,
	NODE_BOOL,
};

struct node {
	enum node_type type;
	char *key; /* NULL in a list */
	union {
		char *string;
		int64_t integer;
		double real;
		bool boolean;
	};
	struct node **children;
	size_t n_children;
	size_t cap_children;
	const char *file; /* interned by node_file(); NULL where there is none */
	unsigned line;
};

struct node *node_new(enum node_type type, const char *key, const char *file, unsigned line);
void node_free(struct node *n);
DEFINE_CLEANUP(struct node *, node_free)
#define _cleanup_node_ _cleanup_(cleanup_node_free)
/* Takes the child. */
void node_add(struct node *parent, struct node *child);
/* One copy of each file name for the life of the process. */
const char *node_file(const char *name);
struct node *node_copy(const struct node *n);
/* The child with that key; NULL when absent or when n is NULL or no group. */
struct node *node_get(const struct node *n, const char *key);
/* A string child's text, NULL when absent or no string. */
const char *node_string(const struct node *n, const char *key);
const char *node_type_name(enum node_type type);

/* To JSON and back: a group is an object, a list an array. From JSON a list and an array are one.
 */
cJSON *node_to_json(const struct node *n);
struct node *node_from_json(const cJSON *json, const char *file);
