/* checks */
#include "client/client.h"

int command_checks(struct client *client)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Checks", NULL, &reply);
	if (status == STATUS_WELL)
		out_json(reply.parameters);
	return status;
}
