/* approve REF, reject REF */
#include "client/client.h"

static int decide(struct client *client, const char *method)
{
	cJSON *parameters = client_parameters(client);
	json_set_string(parameters, "ref", client->words[0]);
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, method, parameters, &reply);
	if (status == STATUS_WELL && client->json)
		out_json(reply.parameters);
	return status;
}

int command_approve(struct client *client)
{
	return decide(client, "Approve");
}

int command_reject(struct client *client)
{
	return decide(client, "Reject");
}
