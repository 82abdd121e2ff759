/* What a plan would change. */
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/terraform_changes.h"

void terraform_changes_fini(struct terraform_changes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->items[i].address);
		free(c->items[i].action);
	}
	free(c->items);
	*c = (struct terraform_changes){0};
}

struct terraform_change *terraform_change_find(struct terraform_changes *c, const char *address)
{
	for (size_t i = 0; address && i < c->n; i++)
		if (str_eq(c->items[i].address, address))
			return &c->items[i];
	return NULL;
}

/* How often its apply says that something has ended. */
static unsigned ends_of(const char *action)
{
	if (str_eq(action, "replace"))
		return 2;
	return str_eq(action, "create") || str_eq(action, "update") || str_eq(action, "delete");
}

struct terraform_change *terraform_change_add(
	struct terraform_changes *c, const char *address, const char *action)
{
	struct terraform_change *found = terraform_change_find(c, address);

	if (found || !address || !action || c->n >= TERRAFORM_CHANGES_MAX)
		return found;
	XGROW(c->items, c->n, c->cap);
	c->items[c->n] = (struct terraform_change){
		.address = xstrdup(address),
		.action = xstrdup(action),
		.to_do = ends_of(action),
	};
	return &c->items[c->n++];
}

size_t terraform_changes_total(const struct terraform_changes *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->items[i].to_do > 0;
	return n;
}

size_t terraform_changes_done(const struct terraform_changes *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->items[i].to_do > 0 && c->items[i].done >= c->items[i].to_do;
	return n;
}

static int by_address(const void *a, const void *b)
{
	const struct terraform_change *x = a, *y = b;

	return strcmp(x->address, y->address);
}

void terraform_changes_sort(struct terraform_changes *c)
{
	if (c->n)
		qsort(c->items, c->n, sizeof(*c->items), by_address);
}

cJSON *terraform_changes_to_json(const struct terraform_changes *c)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < c->n; i++) {
		cJSON *o = cJSON_CreateObject();

		json_set_string(o, "address", c->items[i].address);
		json_set_string(o, "action", c->items[i].action);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

void terraform_changes_from_json(struct terraform_changes *c, const cJSON *json)
{
	const cJSON *o;

	terraform_changes_fini(c);
	cJSON_ArrayForEach(o, json)
	{
		terraform_change_add(c, json_string(o, "address"), json_string(o, "action"));
	}
}

static const struct {
	const char *action, *key, *to_do, *done;
} words[] = {
	{"create", "add", "to add", "added"},
	{"update", "change", "to change", "changed"},
	{"delete", "destroy", "to destroy", "destroyed"},
	{"replace", "replace", "to replace", "replaced"},
};

static int64_t count(const cJSON *changes, const char *action)
{
	const cJSON *o;
	int64_t n = 0;

	cJSON_ArrayForEach(o, changes)
	{
		n += str_eq(json_string(o, "action"), action);
	}
	return n;
}

cJSON *terraform_changes_summary(const cJSON *changes)
{
	cJSON *o = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		json_set_int(o, words[i].key, count(changes, words[i].action));
	return o;
}

char *terraform_changes_text(const cJSON *changes, bool done)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		int64_t n = count(changes, words[i].action);

		if (n)
			buf_printf(&b, "%s%lld %s", b.len ? ", " : "", (long long)n,
				done ? words[i].done : words[i].to_do);
	}
	return buf_steal(&b);
}

bool terraform_action_destroys(const char *action)
{
	return str_eq(action, "delete") || str_eq(action, "replace");
}

cJSON *terraform_plan_row(
	const char *hash, const cJSON *changes, usec_t made_at, const char *environment)
{
	cJSON *row = cJSON_CreateObject();

	json_set_string(row, "hash", hash);
	json_set(row, "changes", cJSON_Duplicate(changes, true));
	json_set(row, "summary", terraform_changes_summary(changes));
	json_set_time(row, "made_at", made_at);
	json_set_string(row, "environment", environment);
	return row;
}
