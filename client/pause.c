/* pause JOB, resume JOB */
#include "client/client.h"

static int set(struct client *client, const char *method)
{
	cJSON *parameters = client_parameters(client);
	json_set_string(parameters, "job", client->words[0]);
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, method, parameters, &reply);
	if (status == STATUS_WELL && client->json)
		out_json(reply.parameters);
	return status;
}

int command_pause(struct client *client)
{
	return set(client, "Pause");
}

int command_resume(struct client *client)
{
	return set(client, "Resume");
}
