/* runs [JOB] [-n N] */
#include "client/client.h"

static void add_run(struct table *table, const cJSON *run, usec_t now)
{
	char at[WHEN_MAX], span[DURATION_MAX];
	usec_t started = json_time(run, "started_at"), ended = json_time(run, "ended_at");
	const char *outcome = json_string(run, "outcome"), *reason = json_string(run, "reason");

	table_add(table, BOLD, json_string(run, "name"));
	table_add(table, outcome ? colour_of_outcome(outcome) : BLUE,
		outcome ? outcome : json_string(run, "state"));
	table_add(table, PLAIN, json_string(run, "trigger"));
	table_add(table, PLAIN, when(json_time(run, "scheduled_for"), now, at));
	table_add(table, PLAIN, when(started, now, at));
	table_add(table, PLAIN,
		started ? format_duration((ended ? ended : now) - started, span) : NULL);
	table_add(table, PLAIN, reason ? reason : "");
}

int command_runs(struct client *client)
{
	_cleanup_json_ cJSON *parameters = cJSON_CreateObject();
	if (client->n_words > 0)
		json_set_string(parameters, "job", client->words[0]);
	if (!client_add_number(client, parameters, "limit"))
		return STATUS_USAGE;
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "ListRuns", TAKE_PTR(parameters), &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	_cleanup_table_ struct table table = TABLE(7);
	static const char *const heading[] = {
		"RUN", "OUTCOME", "TRIGGER", "SLOT", "STARTED", "TOOK", "REASON"};
	for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
		table_add(&table, DIM, heading[i]);
	const cJSON *run;
	usec_t now = out_now();
	cJSON_ArrayForEach(run, json_get(reply.parameters, "runs")) add_run(&table, run, now);
	table_print(&table);
	return STATUS_WELL;
}
