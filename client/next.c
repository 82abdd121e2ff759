/* next [JOB] [-n N]; with --cron: next_cron.c */
#include "client/client.h"

static int from_cron(const struct client *client)
{
	if (client->n_words > 0)
		return client_usage(client, "--cron and a job do not go together");
	return next_cron(
		client->cron, client->timezone, client->after, client->number, client->json);
}

static void add_slot(struct table *table, const cJSON *slot)
{
	static const char *const keys[] = {"job", "utc", "local", "timezone"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		table_add(table, i == 0 ? BOLD : PLAIN, json_string(slot, keys[i]));
}

int command_next(struct client *client)
{
	if (client->cron)
		return from_cron(client);
	if (client->timezone || client->after)
		return client_usage(client, "--timezone and --after go with --cron");
	_cleanup_json_ cJSON *parameters = cJSON_CreateObject();
	if (client->n_words > 0)
		json_set_string(parameters, "job", client->words[0]);
	if (!client_add_number(client, parameters, "count"))
		return STATUS_USAGE;
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Next", TAKE_PTR(parameters), &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	_cleanup_table_ struct table table = TABLE(4);
	static const char *const heading[] = {"JOB", "UTC", "LOCAL", "ZONE"};
	for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
		table_add(&table, DIM, heading[i]);
	const cJSON *slot;
	cJSON_ArrayForEach(slot, json_get(reply.parameters, "slots")) add_slot(&table, slot);
	table_print(&table);
	return STATUS_WELL;
}
