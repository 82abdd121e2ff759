/* why JOB INSTANT */
#include <string.h>
#include "base/instant.h"
#include "base/memory.h"
#include "client/client.h"

/* RFC 3339, or without seconds and zone: then in UTC. */
static bool parse_slot(const char *text, usec_t *ret)
{
	if (instant_parse(text, ret))
		return true;
	_cleanup_free_ char *full =
		xasprintf("%s%s", text, strlen(text) == strlen("2026-03-29T06:00") ? ":00Z" : "Z");
	return instant_parse(full, ret);
}

int command_why(struct client *client)
{
	usec_t at;
	char slot[INSTANT_MAX];
	if (!parse_slot(client->words[1], &at))
		return client_usage(client,
			"INSTANT is RFC 3339 (2026-03-29T06:00:00Z) or 2026-03-29T06:00 in UTC");
	cJSON *parameters = cJSON_CreateObject();
	json_set_string(parameters, "job", client->words[0]);
	json_set_string(parameters, "instant", instant_format_slot(at, slot));
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Why", parameters, &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	const char *fate = json_string(reply.parameters, "fate");
	const char *reason = json_string(reply.parameters, "reason");
	const char *run = json_string(reply.parameters, "run");
	out_text(BOLD, "%s", client->words[0]);
	out_text(PLAIN, "  %s  ", slot);
	out_text(str_eq(fate, "skipped") ? YELLOW : PLAIN, "%s", fate ? fate : "unknown");
	out_text(PLAIN, "%s%s%s%s", run ? " " : "", run ? run : "", reason ? ": " : "",
		reason ? reason : "");
	putchar('\n');
	return STATUS_WELL;
}
