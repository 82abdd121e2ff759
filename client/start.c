/* start JOB: prints the run's name; with --wait, wait.c. */
#include "base/memory.h"
#include "client/client.h"

int command_start(struct client *client)
{
	_cleanup_json_ cJSON *parameters = client_parameters(client);
	json_set_string(parameters, "job", client->words[0]);
	if (!client_add_only(client, parameters))
		return STATUS_USAGE;
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "StartRun", TAKE_PTR(parameters), &reply);
	if (status)
		return status;
	const char *run = json_string(reply.parameters, "run");
	if (!run) {
		client_say("the daemon did not name the run");
		return STATUS_FAILED;
	}
	if (client->wait)
		return client_wait(client, run);
	if (client->json)
		out_json(reply.parameters);
	else
		out_line(stdout, run);
	return STATUS_WELL;
}
