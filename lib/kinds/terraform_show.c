/* Reading what a plan file holds.
 *
 * A look-up that is put off until the apply is among the changes, with what is known of it. One
 * that failed while planning is nowhere but in the configuration, whose expressions are followed as
 * far as constants, variables and the databases that they name go. */
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "kinds/terraform_show.h"

#define DEPTH_MAX 16 /* of modules */

/* A module's part of the configuration, and where its variables come from. */
struct place {
	const cJSON *module, *call;
	const struct place *parent;
	const char *prefix; /* "module.x." */
	int depth;
};

struct show {
	const cJSON *plan, *changes;
	cJSON *ret;
};

/* --- things of Metabase ------------------------------------------------------------------- */

/* As metabase_thing has it; NULL: none of those. */
static const char *thing_type(const char *resource_type)
{
	static const char *const types[] = {
		"database", "collection", "card", "dashboard", "permissions_group"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_starts(resource_type ? resource_type : "", "metabase_") &&
			str_eq(resource_type + strlen("metabase_"), types[i]))
			return types[i];
	return NULL;
}

/* A card has its name inside a text of JSON. The caller frees; NULL: not known yet. */
static char *thing_name(const cJSON *values)
{
	const char *name = json_string(values, "name"), *text = json_string(values, "json");
	_cleanup_json_ cJSON *card = NULL;

	if (!name && text && json_parse(text, strlen(text), &card) == 0)
		name = json_string(card, "name");
	return xstrdup(name);
}

static void add_thing(cJSON *list, const char *address, const cJSON *resource, const cJSON *values,
	const cJSON *id)
{
	const char *type = thing_type(json_string(resource, "type"));
	_cleanup_free_ char *name = type ? thing_name(values) : NULL;
	cJSON *o = cJSON_CreateObject();

	if (address)
		json_set_string(o, "address", address);
	json_set_string(o, "type", type);
	json_set_string(o, "name", name);
	if (id)
		json_set(o, "id", cJSON_Duplicate(id, true));
	cJSON_AddItemToArray(list, o);
}

static bool creates(const cJSON *change)
{
	const cJSON *action;

	cJSON_ArrayForEach(action, json_get(change, "actions"))
	{
		if (str_eq(cJSON_GetStringValue(action), "create"))
			return true;
	}
	return false;
}

static void read_creates(struct show *s)
{
	cJSON *list = json_set(s->ret, "creates", cJSON_CreateArray());
	const cJSON *r;

	cJSON_ArrayForEach(r, s->changes)
	{
		const cJSON *change = json_get(r, "change");

		if (str_eq(json_string(r, "mode"), "managed") && creates(change))
			add_thing(list, json_string(r, "address"), r, json_get(change, "after"),
				NULL);
	}
}

static void read_known(struct show *s)
{
	cJSON *list = json_set(s->ret, "known", cJSON_CreateArray());
	const cJSON *r;

	cJSON_ArrayForEach(r, s->changes)
	{
		const cJSON *before = json_get(json_get(r, "change"), "before");
		const cJSON *id = json_get(before, "id");

		if (thing_type(json_string(r, "type")) && id &&
			str_eq(json_string(r, "mode"), "managed"))
			add_thing(list, NULL, r, before, id);
	}
}

/* --- expressions -------------------------------------------------------------------------- */

/* The value of a constant or a variable: borrowed, NULL where it is neither. */
static const cJSON *value_of(const struct show *s, const struct place *p, const cJSON *expression)
{
	const char *reference =
		cJSON_GetStringValue(cJSON_GetArrayItem(json_get(expression, "references"), 0));

	if (json_get(expression, "constant_value"))
		return json_get(expression, "constant_value");
	if (!reference || !str_starts(reference, "var."))
		return NULL;
	reference += strlen("var.");
	if (!p->parent)
		return json_get(json_get(json_get(s->plan, "variables"), reference), "value");
	return value_of(s, p->parent, json_get(json_get(p->call, "expressions"), reference));
}

static const char *string_of(const struct show *s, const struct place *p, const cJSON *expression)
{
	return cJSON_GetStringValue(value_of(s, p, expression));
}

static cJSON *database_id(const cJSON *value)
{
	if (cJSON_IsNumber(value) && value->valuedouble > 0)
		return cJSON_Duplicate(value, true);
	if (cJSON_IsString(value) && strtoll(value->valuestring, NULL, 10) > 0)
		return cJSON_CreateNumber((double)strtoll(value->valuestring, NULL, 10));
	return NULL;
}

/* Its name, or its id. The caller frees. */
static cJSON *database_at(const struct show *s, const char *address)
{
	const cJSON *r;

	cJSON_ArrayForEach(r, s->changes)
	{
		const cJSON *change = json_get(r, "change");
		const cJSON *values = cJSON_IsObject(json_get(change, "after"))
					      ? json_get(change, "after")
					      : json_get(change, "before");
		const char *name = json_string(values, "name");

		if (!str_eq(json_string(r, "address"), address))
			continue;
		return name ? cJSON_CreateString(name) : database_id(json_get(values, "id"));
	}
	return NULL;
}

/* The address that a reference begins with: "metabase_database.x" of "metabase_database.x.id",
 * with the key that it has or, where it goes by each.key, that of the look-up. */
static char *referred(const struct place *p, const char *reference, const char *key, bool by_each)
{
	const char *name = reference + strlen("metabase_database.");
	size_t len = strcspn(name, ".[");
	const char *end = name[len] == '[' ? strchr(name + len, ']') : NULL;

	if (end)
		return xasprintf("%s%.*s", p->prefix, (int)(end + 1 - reference), reference);
	return xasprintf(
		"%smetabase_database.%.*s%s", p->prefix, (int)len, name, by_each && key ? key : "");
}

static cJSON *database_of(
	const struct show *s, const struct place *p, const cJSON *resource, const char *key)
{
	const cJSON *expression = json_get(json_get(resource, "expressions"), "db_id");
	const cJSON *value = value_of(s, p, expression), *reference;
	bool by_each = false;

	if (value)
		return database_id(value);
	cJSON_ArrayForEach(reference, json_get(expression, "references"))
	{
		by_each |= str_starts(cJSON_GetStringValue(reference) ?: "", "each.");
	}
	if (by_each && !str_starts(cJSON_GetStringValue(cJSON_GetArrayItem(
					   json_get(expression, "references"), 0))
					   ?: "",
			       "metabase_database."))
		expression = json_get(resource, "for_each_expression");
	cJSON_ArrayForEach(reference, json_get(expression, "references"))
	{
		const char *text = cJSON_GetStringValue(reference);

		if (str_starts(text ? text : "", "metabase_database.")) {
			_cleanup_free_ char *address = referred(p, text, key, by_each);

			return database_at(s, address);
		}
	}
	return NULL;
}

/* --- look-ups ----------------------------------------------------------------------------- */

static void add_table(struct show *s, const char *address, const char *schema, const char *name,
	cJSON *take_database)
{
	cJSON *o = cJSON_CreateObject();

	json_set_string(o, "address", address);
	json_set_string(o, "schema", schema);
	json_set_string(o, "name", name);
	json_set(o, "database", take_database);
	cJSON_AddItemToArray(json_get(s->ret, "tables"), o);
}

/* Of one instance of it; `values` (may be NULL) is what the plan knows already. */
static void read_table(struct show *s, const struct place *p, const cJSON *resource,
	const char *address, const char *key, const cJSON *values)
{
	const cJSON *expressions = json_get(resource, "expressions");
	const char *schema = json_string(values, "schema"), *name = json_string(values, "name");
	cJSON *database = database_of(s, p, resource, key);

	add_table(s, address, schema ? schema : string_of(s, p, json_get(expressions, "schema")),
		name ? name : string_of(s, p, json_get(expressions, "name")),
		database ? database : database_id(json_get(values, "db_id")));
}

/* "[...]" behind the address of a resource, "" behind that of the only instance, else NULL. */
static const char *instance_key(const char *address, const char *resource)
{
	size_t len = strlen(resource);

	if (!address || strncmp(address, resource, len) != 0)
		return NULL;
	return address[len] == '[' || address[len] == '\0' ? address + len : NULL;
}

static bool read_put_off(
	struct show *s, const struct place *p, const cJSON *resource, const char *full)
{
	bool any = false;
	const cJSON *r;

	cJSON_ArrayForEach(r, s->changes)
	{
		const char *address = json_string(r, "address");
		const char *key = instance_key(address, full);

		if (!key)
			continue;
		any = true;
		read_table(s, p, resource, address, key, json_get(json_get(r, "change"), "after"));
	}
	return any;
}

/* One instance for each of the databases that its for_each goes over. */
static void read_each(
	struct show *s, const struct place *p, const cJSON *resource, const char *full)
{
	const cJSON *r, *reference;
	const char *over = NULL;
	_cleanup_free_ char *base = NULL;

	cJSON_ArrayForEach(
		reference, json_get(json_get(resource, "for_each_expression"), "references"))
	{
		if (str_starts(cJSON_GetStringValue(reference) ?: "", "metabase_database."))
			over = cJSON_GetStringValue(reference);
	}
	if (!over)
		return;
	base = referred(p, over, NULL, false);
	cJSON_ArrayForEach(r, s->changes)
	{
		const char *key = instance_key(json_string(r, "address"), base);
		_cleanup_free_ char *address = key ? xasprintf("%s%s", full, key) : NULL;

		if (address)
			read_table(s, p, resource, address, key, NULL);
	}
}

static void read_module(struct show *s, const struct place *p)
{
	const cJSON *r, *call;

	cJSON_ArrayForEach(r, json_get(p->module, "resources"))
	{
		_cleanup_free_ char *full =
			xasprintf("%s%s", p->prefix, json_string(r, "address") ?: "");

		if (!str_eq(json_string(r, "mode"), "data") ||
			!str_eq(json_string(r, "type"), "metabase_table") ||
			read_put_off(s, p, r, full))
			continue;
		if (json_get(r, "for_each_expression"))
			read_each(s, p, r, full);
		else
			read_table(s, p, r, full, "", NULL);
	}
	cJSON_ArrayForEach(call, json_get(p->module, "module_calls"))
	{
		_cleanup_free_ char *prefix = xasprintf("%smodule.%s.", p->prefix, call->string);
		struct place inner = {json_get(call, "module"), call, p, prefix, p->depth + 1};

		if (inner.depth < DEPTH_MAX)
			read_module(s, &inner);
	}
}

cJSON *terraform_show_read(const char *data, size_t len)
{
	_cleanup_json_ cJSON *plan = NULL;
	struct show s = {0};
	struct place root = {.prefix = ""};

	if (!data || json_parse(data, len, &plan) < 0 || !json_get(plan, "configuration"))
		return NULL;
	s = (struct show){.plan = plan, .changes = json_get(plan, "resource_changes")};
	s.ret = cJSON_CreateObject();
	json_set(s.ret, "tables", cJSON_CreateArray());
	read_creates(&s);
	read_known(&s);
	root.module = json_get(json_get(plan, "configuration"), "root_module");
	read_module(&s, &root);
	return s.ret;
}
