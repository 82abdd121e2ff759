/* watch: one line an event, until ^C */
#include <string.h>
#include "base/memory.h"
#include "client/client.h"

static void print_event(const cJSON *event)
{
	char at[WHEN_MAX];
	const char *message = json_string(event, "message"), *run = json_string(event, "run");
	const char *cell = json_string(event, "cell"), *outcome = json_string(event, "outcome");
	int64_t lost = json_int(event, "lost", 0), priority = json_int(event, "priority", 6);
	usec_t now = out_now();

	if (lost > 0)
		out_text(
			YELLOW, "... %lld events were too many for this terminal", (long long)lost);
	if (lost > 0)
		putchar('\n');
	out_text(DIM, "%s", when_exactly(json_time(event, "at"), now, at));
	if (run && !(message && strstr(message, run)))
		out_text(BOLD, "  %s%s%s", run, cell ? "/" : "", cell ? cell : "");
	out_text(outcome					   ? colour_of_outcome(outcome)
		 : priority <= 4				   ? RED
		 : str_eq(json_string(event, "event"), "progress") ? DIM
								   : PLAIN,
		"  %s", message ? message : "");
	putchar('\n');
	fflush(stdout);
}

int command_watch(struct client *client)
{
	int status = client_stream(client, "Watch", NULL);
	while (status == STATUS_WELL) {
		_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
		status = client_next(client, &reply);
		if (status)
			break;
		if (client->json)
			out_json(reply.parameters);
		else
			print_event(reply.parameters);
		if (!reply.continues)
			break;
	}
	return status;
}
