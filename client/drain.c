/* drain: the daemon answers when nothing runs any more. */
#include <unistd.h>
#include "client/client.h"

int command_drain(struct client *client)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	if (isatty(STDERR_FILENO))
		client_say("waiting until nothing runs; ^C leaves the daemon draining");
	int status = client_call(client, "Drain", client_parameters(client), &reply);
	if (status == STATUS_WELL && client->json)
		out_json(reply.parameters);
	return status;
}
