/* The memory of a terraform step: into notes, back from them, and on to the next attempt. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/terraform_machine.h"

static void carry(struct terraform *t, const cJSON *from, const char *key)
{
	const cJSON *item = json_get(from, key);

	if (item)
		json_set(t->memory, key, cJSON_Duplicate(item, true));
}

void terraform_carry(struct terraform *t, const cJSON *before)
{
	static const char *const keys[] = {
		"init", "applied", "foreseen", "doubt", "sync", "rounds"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		carry(t, json_get(before, "memory"), keys[i]);
}

int64_t terraform_count(struct terraform *t, const char *key)
{
	int64_t n = json_int(t->memory, key, 0) + 1;

	json_set_int(t->memory, key, n);
	return n;
}

void terraform_forget(struct terraform *t, const char *key)
{
	cJSON_DeleteItemFromObjectCaseSensitive(t->memory, key);
}

bool terraform_list_has(const cJSON *list, const char *address)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		if (str_eq(cJSON_GetStringValue(item), address))
			return true;
	}
	return false;
}

void terraform_list_add(struct terraform *t, const char *key, const char *address)
{
	cJSON *list = json_get(t->memory, key);

	if (!list)
		list = json_set(t->memory, key, cJSON_CreateArray());
	if (!terraform_list_has(list, address))
		cJSON_AddItemToArray(list, cJSON_CreateString(address));
}

void terraform_note(struct terraform *t, struct kind_command *cmd)
{
	cJSON *note = cJSON_CreateObject(), *next = json_set(note, "next", cJSON_CreateObject());

	json_set_int(next, "type", cmd->type);
	json_set_string(next, "action", cmd->action);
	json_set_bool(next, "repeatable", cmd->repeatable);
	json_set_bool(next, "looks", cmd->looks);
	json_set_string(next, "lock", cmd->lock);
	json_set_string(next, "hash", cmd->hash);
	json_set_string(next, "outcome", outcome_name(cmd->outcome));
	json_set_string(next, "reason", cmd->reason);
	json_set_bool(next, "not_counted", cmd->not_counted);
	json_set(note, "memory", cJSON_Duplicate(t->memory, true));
	cmd->note = note;
}

static bool type_is_known(int64_t type)
{
	return type == KIND_SPAWN || type == KIND_JOIN || type == KIND_ASK || type == KIND_DONE;
}

bool terraform_recall(struct terraform *t, const cJSON *note, struct kind_command *cmd)
{
	const cJSON *next = json_get(note, "next"), *memory = json_get(note, "memory");
	const char *action = json_string(next, "action");
	int64_t type = json_int(next, "type", -1);

	if (!memory || !action || strlen(action) >= sizeof(cmd->action) || !type_is_known(type)) {
		cmd->type = KIND_DONE;
		cmd->outcome = OUTCOME_NEEDS_PERSON;
		cmd->reason = xstrdup("what was noted of it cannot be read: look before it is "
				      "tried again");
		return false;
	}
	cJSON_Delete(t->memory);
	t->memory = cJSON_Duplicate(memory, true);
	cmd->type = (enum kind_command_type)type;
	strcpy(cmd->action, action);
	cmd->repeatable = json_bool(next, "repeatable", false);
	cmd->looks = json_bool(next, "looks", false);
	cmd->lock = xstrdup(json_string(next, "lock"));
	cmd->hash = xstrdup(json_string(next, "hash"));
	cmd->outcome = outcome_parse(json_string(next, "outcome"));
	cmd->reason = xstrdup(json_string(next, "reason"));
	cmd->not_counted = json_bool(next, "not_counted", false);
	return true;
}
