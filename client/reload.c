/* reload: warnings go to standard error, as from nightjard --check. */
#include "client/client.h"

int command_reload(struct client *client)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Reload", NULL, &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	const cJSON *warning;
	cJSON_ArrayForEach(warning, json_get(reply.parameters, "warnings"))
	{
		if (cJSON_IsString(warning))
			out_line(stderr, warning->valuestring);
	}
	return STATUS_WELL;
}
