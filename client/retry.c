/* retry RUN: prints the new run's name (a dry run: none), and on standard error its cells. */
#include "client/client.h"

static void print_cells(FILE *f, const cJSON *cells)
{
	const cJSON *cell;
	cJSON_ArrayForEach(cell, cells)
	{
		if (cJSON_IsString(cell))
			out_line(f, cell->valuestring);
	}
}

int command_retry(struct client *client)
{
	_cleanup_json_ cJSON *parameters = client_parameters(client);
	json_set_string(parameters, "run", client->words[0]);
	if (client->dry_run)
		json_set_bool(parameters, "dry_run", true);
	if (!client_add_only(client, parameters))
		return STATUS_USAGE;
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "RetryRun", TAKE_PTR(parameters), &reply);
	if (status)
		return status;
	const char *run = json_string(reply.parameters, "run");
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	if (run)
		out_line(stdout, run);
	print_cells(client->dry_run ? stdout : stderr, json_get(reply.parameters, "cells"));
	return STATUS_WELL;
}
