/* The neutral tree: making it, walking it, and JSON both ways. */
#include <math.h>
#include <string.h>
#include "base/memory.h"
#include "spec/tree.h"

struct node *node_new(enum node_type type, const char *key, const char *file, unsigned line)
{
	struct node *n = xnew(struct node);

	n->type = type;
	n->key = xstrdup(key);
	n->file = file;
	n->line = line;
	return n;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_children; i++)
		node_free(n->children[i]);
	free(n->children);
	if (n->type == NODE_STRING)
		free(n->string);
	free(n->key);
	free(n);
}

void node_add(struct node *parent, struct node *child)
{
	if (parent->n_children == parent->cap_children) {
		parent->cap_children = parent->cap_children ? parent->cap_children * 2 : 4;
		parent->children = xrealloc(
			parent->children, parent->cap_children * sizeof(*parent->children));
	}
	parent->children[parent->n_children++] = child;
}

const char *node_file(const char *name)
{
	/* Names live as long as the process: jobs point at them over reloads. */
	static char **names;
	static size_t n_names;

	if (!name)
		return NULL;
	for (size_t i = 0; i < n_names; i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	names = strv_add(names, &n_names, xstrdup(name));
	return names[n_names - 1];
}

static void copy_value(struct node *to, const struct node *from)
{
	switch (from->type) {
	case NODE_STRING:
		to->string = xstrdup(from->string);
		break;
	case NODE_INT:
		to->integer = from->integer;
		break;
	case NODE_FLOAT:
		to->real = from->real;
		break;
	case NODE_BOOL:
		to->boolean = from->boolean;
		break;
	case NODE_GROUP:
	case NODE_LIST:
		break;
	}
}

struct node *node_copy(const struct node *n)
{
	struct node *copy;

	if (!n)
		return NULL;
	copy = node_new(n->type, n->key, n->file, n->line);
	copy_value(copy, n);
	if (n->n_children) {
		copy->cap_children = n->n_children; /* exact: copies are kept for long */
		copy->children = xcalloc(n->n_children, sizeof(*copy->children));
	}
	for (size_t i = 0; i < n->n_children; i++)
		copy->children[copy->n_children++] = node_copy(n->children[i]);
	return copy;
}

struct node *node_get(const struct node *n, const char *key)
{
	if (!n || n->type != NODE_GROUP)
		return NULL;
	for (size_t i = 0; i < n->n_children; i++)
		if (strcmp(n->children[i]->key, key) == 0)
			return n->children[i];
	return NULL;
}

const char *node_string(const struct node *n, const char *key)
{
	const struct node *child = node_get(n, key);

	return child && child->type == NODE_STRING ? child->string : NULL;
}

const char *node_type_name(enum node_type type)
{
	static const char *const names[] = {
		[NODE_GROUP] = "a group",
		[NODE_LIST] = "a list",
		[NODE_STRING] = "a string",
		[NODE_INT] = "a whole number",
		[NODE_FLOAT] = "a number",
		[NODE_BOOL] = "a boolean",
	};

	return names[type];
}

static cJSON *children_to_json(const struct node *n)
{
	cJSON *json = n->type == NODE_GROUP ? cJSON_CreateObject() : cJSON_CreateArray();

	for (size_t i = 0; json && i < n->n_children; i++) {
		cJSON *item = node_to_json(n->children[i]);

		if (n->type == NODE_GROUP)
			cJSON_AddItemToObject(json, n->children[i]->key, item);
		else
			cJSON_AddItemToArray(json, item);
	}
	return json;
}

cJSON *node_to_json(const struct node *n)
{
	switch (n->type) {
	case NODE_STRING:
		return cJSON_CreateString(n->string);
	case NODE_INT:
		return cJSON_CreateNumber((double)n->integer);
	case NODE_FLOAT:
		return cJSON_CreateNumber(n->real);
	case NODE_BOOL:
		return cJSON_CreateBool(n->boolean);
	case NODE_GROUP:
	case NODE_LIST:
		break;
	}
	return children_to_json(n);
}

static void scalar_from_json(struct node *n, const cJSON *json)
{
	if (cJSON_IsBool(json)) {
		n->type = NODE_BOOL;
		n->boolean = cJSON_IsTrue(json);
	} else if (!cJSON_IsNumber(json)) {
		n->type = NODE_STRING; /* a null has no other shape here */
		n->string = xstrdup(json->valuestring ? json->valuestring : "");
	} else if (nearbyint(json->valuedouble) == json->valuedouble &&
		   fabs(json->valuedouble) <= 0x1p53) {
		n->type = NODE_INT;
		n->integer = (int64_t)json->valuedouble;
	} else {
		n->type = NODE_FLOAT;
		n->real = json->valuedouble;
	}
}

struct node *node_from_json(const cJSON *json, const char *file)
{
	struct node *n = node_new(NODE_LIST, json->string, node_file(file), 0);

	if (cJSON_IsObject(json))
		n->type = NODE_GROUP;
	else if (!cJSON_IsArray(json))
		scalar_from_json(n, json);
	for (const cJSON *child = json->child; child; child = child->next)
		node_add(n, node_from_json(child, file));
	return n;
}
