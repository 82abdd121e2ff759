/* cancel REF */
#include "client/client.h"

int command_cancel(struct client *client)
{
	cJSON *parameters = client_parameters(client);
	json_set_string(parameters, "ref", client->words[0]);
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "CancelRun", parameters, &reply);
	if (status == STATUS_WELL && client->json)
		out_json(reply.parameters);
	return status;
}
