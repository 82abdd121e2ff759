/* checks: the health endpoints and what they say, red ones first.
 *
 *   CHECK       ENVIRONMENT  STATE  SINCE   FOR     REASON
 *   metabase    production   down   06:12Z  4m 12s  connection refused
 *     holds up                                      nightly#128/apply/production
 *     before                 up     05:12Z  1h
 *   metabase    staging      up     05:12Z  1h 4m
 */
#include <string.h>
#include "base/memory.h"
#include "client/client.h"

enum colour colour_of_check(const char *state)
{
	if (str_eq(state, "up"))
		return GREEN;
	return str_eq(state, "down") ? RED : YELLOW;
}

static int rank(const cJSON *check)
{
	static const char *const states[] = {"down", "starting", "unknown"};
	size_t i = 0;
	while (i < ARRAY_SIZE(states) && !str_eq(json_string(check, "state"), states[i]))
		i++;
	return (int)i;
}

void each_check(const cJSON *checks, void (*each)(void *context, const cJSON *check), void *context)
{
	const cJSON *check;
	for (int i = 0; i <= 3; i++)
		cJSON_ArrayForEach(check, checks)
		{
			if (rank(check) == i)
				each(context, check);
		}
}

struct page {
	struct table table;
	usec_t now;
};

static void add_held(struct table *table, const cJSON *held)
{
	_cleanup_buf_ struct buf text = BUF_NULL;
	const cJSON *item;
	cJSON_ArrayForEach(item, held)
	{
		if (cJSON_IsString(item))
			buf_printf(&text, "%s%s", text.len ? ", " : "", item->valuestring);
	}
	if (text.len == 0)
		return;
	table_add(table, PLAIN, "  holds up");
	for (int i = 0; i < 4; i++)
		table_add(table, PLAIN, " ");
	table_add(table, PLAIN, buf_str(&text));
}

static void add_stretch(struct page *p, const cJSON *stretch, const char *name,
	const char *environment, enum colour colour)
{
	char at[WHEN_MAX], span[DURATION_MAX];
	const char *state = json_string(stretch, "state"), *reason = json_string(stretch, "reason");
	usec_t since = json_time(stretch, "at"), ended = json_time(stretch, "ended_at");
	if (!since)
		since = json_time(stretch, "since");

	table_add(&p->table, *name == ' ' ? DIM : BOLD, name);
	table_add(&p->table, PLAIN, environment);
	table_add(&p->table, colour, state);
	table_add(&p->table, PLAIN, when(since, p->now, at));
	table_add(&p->table, PLAIN,
		since ? format_duration(MAX((ended ? ended : p->now) - since, 0), span) : NULL);
	table_add(&p->table, PLAIN, reason ? reason : " ");
}

/* The first stretch is the present one, which the check's own line tells. */
static void add_check(void *context, const cJSON *check)
{
	struct page *p = context;
	const char *name = json_string(check, "name"),
		   *environment = json_string(check, "environment");
	const cJSON *past = json_get(check, "transitions"), *stretch;

	add_stretch(p, check, name ? name : "?", environment,
		colour_of_check(json_string(check, "state")));
	add_held(&p->table, json_get(check, "holds_up"));
	cJSON_ArrayForEach(stretch, past)
	{
		if (json_time(stretch, "ended_at"))
			add_stretch(p, stretch, "  before", " ", DIM);
	}
}

int command_checks(struct client *client)
{
	_cleanup_json_ cJSON *parameters = cJSON_CreateObject();
	if (!client_add_number(client, parameters, "limit"))
		return STATUS_USAGE;
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Checks", TAKE_PTR(parameters), &reply);
	if (status)
		return status;
	if (client->json) {
		out_json(reply.parameters);
		return STATUS_WELL;
	}
	static const char *const heading[] = {
		"CHECK", "ENVIRONMENT", "STATE", "SINCE", "FOR", "REASON"};
	struct page page = {.table = TABLE(ARRAY_SIZE(heading)), .now = out_now()};
	for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
		table_add(&page.table, DIM, heading[i]);
	each_check(json_get(reply.parameters, "checks"), add_check, &page);
	table_print(&page.table);
	table_fini(&page.table);
	return STATUS_WELL;
}
