/* jobs */
#include "client/client.h"

static void add_job(struct table *table, const cJSON *job, usec_t now)
{
	char at[WHEN_MAX];
	const cJSON *last = json_get(job, "last");
	const char *outcome = json_string(last, "outcome"), *name = json_string(last, "name");
	const char *zone = json_string(job, "timezone");
	_cleanup_buf_ struct buf text = BUF_NULL;
	const cJSON *active;
	const char *schedule = json_string(job, "schedule");

	table_add(table, BOLD, json_string(job, "name"));
	buf_puts(&text, schedule ? schedule : "by hand");
	if (schedule && zone && !str_eq(zone, "UTC"))
		buf_printf(&text, " %s", zone);
	table_add(table, PLAIN, buf_str(&text));
	if (json_bool(job, "paused", false))
		table_add(table, YELLOW, "paused");
	else
		table_add(table, PLAIN, when(json_time(job, "next"), now, at));
	buf_clear(&text);
	cJSON_ArrayForEach(active, json_get(job, "active"))
	{
		if (cJSON_IsString(active))
			buf_printf(&text, "%s%s", text.len ? " " : "", active->valuestring);
	}
	table_add(table, BLUE, buf_str(&text));
	buf_clear(&text);
	if (cJSON_IsObject(last))
		buf_printf(&text, "%s%s%s %s", name ? name : "", name ? " " : "",
			outcome ? outcome : "", when(json_time(last, "ended_at"), now, at));
	table_add(table, colour_of_outcome(outcome), buf_str(&text));
}

int command_jobs(struct client *client)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "ListJobs", NULL, &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	_cleanup_table_ struct table table = TABLE(5);
	static const char *const heading[] = {"JOB", "SCHEDULE", "NEXT", "ACTIVE", "LAST"};
	for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
		table_add(&table, DIM, heading[i]);
	const cJSON *job;
	usec_t now = out_now();
	cJSON_ArrayForEach(job, json_get(reply.parameters, "jobs")) add_job(&table, job, now);
	table_print(&table);
	return STATUS_WELL;
}
