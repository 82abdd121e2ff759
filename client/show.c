/* show RUN */
#include "client/run_tree.h"

int command_show(struct client *client)
{
	cJSON *parameters = cJSON_CreateObject();
	json_set_string(parameters, "ref", client->words[0]);
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "GetRun", parameters, &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	_cleanup_buf_ struct buf text = BUF_NULL;
	usec_t now = out_now();
	const cJSON *cell;
	run_tree_head(&text, reply.parameters, now);
	cJSON_ArrayForEach(cell, json_get(reply.parameters, "cells"))
		run_tree_cell(&text, cell, now);
	fputs(buf_str(&text), stdout);
	return STATUS_WELL;
}
