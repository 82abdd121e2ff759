/* metrics: Prometheus's text format, as it is. */
#include <string.h>
#include "base/memory.h"
#include "client/client.h"

int command_metrics(struct client *client)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Metrics", NULL, &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	const char *text = json_string(reply.parameters, "metrics");
	_cleanup_free_ char *copy = xstrdup(text ? text : "");
	char *rest = copy;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		if (*line)
			out_line(stdout, line);
	return STATUS_WELL;
}
