/* status: what on-call reads half asleep, worst first.
 *
 *   07:02Z  store ok  1 red  1 runs
 *   RED   nightly#128/build/production/postgres  failed 06:14Z, not retried: dbt: model ...
 *         holds up 4 models, sync/production
 *   WAIT  nightly#128/build/production/duckdb  since 07:00Z: the lock warehouse
 *   RUN   nightly#128/build/staging/bigquery  12m, 31 of 44 nodes, now stg_events; usually 14m
 *   CHK   metabase of production  down since 06:12Z: connection refused
 *   DUE   nightly  tomorrow 06:00Z */
#include <string.h>
#include "base/memory.h"
#include "client/client.h"

#define RED_MOST  20
#define WAIT_MOST 10
#define RUN_MOST  40

static void print_tag(enum colour colour, const char *tag)
{
	out_text(colour, "%-4s", tag);
	printf("  ");
}

/* A cell's name is shown with its run's, whichever way it comes. The caller frees. */
static char *subject_of(const cJSON *entry)
{
	const char *run = json_string(entry, "run"), *cell = json_string(entry, "cell");
	if (run && cell && !str_starts(cell, run))
		return xasprintf("%s/%s", run, cell);
	return xstrdup(cell ? cell : run ? run : "?");
}

static void print_subject(const cJSON *entry, int width)
{
	_cleanup_free_ char *subject = subject_of(entry);
	out_text(BOLD, "%s", subject);
	printf("%*s", MAX(width - (int)strlen(subject), 0) + 2, "");
}

static void print_header(const cJSON *status, usec_t now)
{
	char at[WHEN_MAX];
	const char *store = json_string(status, "store"),
		   *reason = json_string(status, "store_reason");
	const char *holder = json_string(status, "holder");
	int n_red = cJSON_GetArraySize(json_get(status, "red"));
	int n_waiting = cJSON_GetArraySize(json_get(status, "waiting"));
	int n_runs = cJSON_GetArraySize(json_get(status, "runs"));

	out_text(BOLD, "%s", when(now, now, at));
	out_text(str_eq(store, "ok") ? PLAIN : RED, "  store %s%s%s", store ? store : "unknown",
		reason ? ": " : "", reason ? reason : "");
	out_text(n_red ? RED : PLAIN, "  %d red", n_red);
	out_text(PLAIN, "  %d runs", n_runs);
	if (n_waiting)
		out_text(YELLOW, "  %d waiting", n_waiting);
	if (!json_bool(status, "leader", true))
		out_text(YELLOW, "  not the leader%s%s", holder ? ": that is " : "",
			holder ? holder : "");
	if (json_bool(status, "draining", false))
		out_text(YELLOW, "  draining");
	putchar('\n');
}

static void print_holds_up(const cJSON *list)
{
	const cJSON *item;
	const char *comma = "      holds up ";
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item))
			continue;
		out_text(PLAIN, "%s%s", comma, item->valuestring);
		comma = ", ";
	}
	if (str_eq(comma, ", "))
		putchar('\n');
}

static void print_red(const cJSON *red, int width, usec_t now)
{
	char at[WHEN_MAX];
	const char *outcome = json_string(red, "outcome"), *reason = json_string(red, "reason");
	int64_t attempts = json_int(red, "attempts", 0);
	usec_t ended = json_time(red, "ended_at");

	print_tag(RED, "RED");
	print_subject(red, width);
	out_text(RED, "%s", outcome ? outcome : "not ok");
	if (ended)
		out_text(PLAIN, " %s", when(ended, now, at));
	if (attempts == 1)
		out_text(PLAIN, ", not retried");
	else if (attempts > 1)
		out_text(PLAIN, ", after %lld attempts", (long long)attempts);
	out_text(PLAIN, "%s%s", reason ? ": " : "", reason ? reason : "");
	putchar('\n');
	print_holds_up(json_get(red, "holds_up"));
}

static bool wait_alike(const cJSON *a, const cJSON *b)
{
	return str_eq(json_string(a, "run"), json_string(b, "run")) &&
	       str_eq(json_string(a, "reason"), json_string(b, "reason")) &&
	       json_time(a, "since") / USEC_MINUTE == json_time(b, "since") / USEC_MINUTE;
}

static void print_waiting(const cJSON *waiting, int width, int n_alike, usec_t now)
{
	char at[WHEN_MAX];
	const char *reason = json_string(waiting, "reason");
	usec_t since = json_time(waiting, "since");

	print_tag(YELLOW, "WAIT");
	print_subject(waiting, width);
	if (since)
		out_text(PLAIN, "since %s%s", when(since, now, at), reason ? ": " : "");
	out_text(PLAIN, "%s", reason ? reason : "");
	if (n_alike > 1)
		out_text(DIM, " (and %d more)", n_alike - 1);
	putchar('\n');
}

static void print_running(const cJSON *running, int width, usec_t now)
{
	char span[DURATION_MAX];
	_cleanup_buf_ struct buf progress = BUF_NULL;
	usec_t started = json_time(running, "started_at");
	int64_t attempt = json_int(running, "attempt", 1), usual = json_int(running, "usual_ms", 0);

	print_tag(BLUE, "RUN");
	print_subject(running, width);
	if (started)
		out_text(PLAIN, "%s", format_duration(MAX(now - started, 0), span));
	else
		out_text(PLAIN, "starting");
	if (attempt > 1)
		out_text(YELLOW, ", attempt %lld", (long long)attempt);
	buf_progress(&progress, json_get(running, "progress"));
	out_text(PLAIN, "%s%s", progress.len ? ", " : "", buf_str(&progress));
	if (usual > 0)
		out_text(PLAIN, "; usually %s", format_duration(usual * USEC_MSEC, span));
	putchar('\n');
}

static bool names_run(const cJSON *list, const char *run)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, list)
	{
		if (str_eq(json_string(item, "run"), run))
			return true;
	}
	return false;
}

/* An active run of which nothing runs or waits at the moment. */
static void print_quiet_run(const cJSON *status, const cJSON *run, usec_t now)
{
	char at[WHEN_MAX];
	const char *name = json_string(run, "name"), *reason = json_string(run, "reason");
	bool waits = str_eq(json_string(run, "state"), "waiting");
	usec_t started = json_time(run, "started_at");
	if (names_run(json_get(status, "running"), name) ||
		names_run(json_get(status, "waiting"), name))
		return;
	print_tag(waits ? YELLOW : BLUE, waits ? "WAIT" : "RUN");
	out_text(BOLD, "%s", name ? name : "?");
	if (started)
		out_text(PLAIN, "  since %s", when(started, now, at));
	out_text(PLAIN, "%s%s", reason ? "  " : "", reason ? reason : "");
	putchar('\n');
}

static void print_check(void *context, const cJSON *check)
{
	char at[WHEN_MAX];
	const char *name = json_string(check, "name"), *reason = json_string(check, "reason");
	const char *state = json_string(check, "state"),
		   *environment = json_string(check, "environment");
	enum colour colour = colour_of_check(state);
	usec_t since = json_time(check, "since");
	if (!name)
		return;
	print_tag(colour, "CHK");
	out_text(BOLD, "%s%s%s", name, environment ? " of " : "", environment ? environment : "");
	out_text(colour == GREEN ? PLAIN : colour, "  %s", state ? state : "unknown");
	if (since)
		out_text(PLAIN, " since %s", when(since, *(const usec_t *)context, at));
	out_text(PLAIN, "%s%s", reason ? ": " : "", reason ? reason : "");
	putchar('\n');
	print_holds_up(json_get(check, "holds_up"));
}

static void print_due(const cJSON *status, usec_t now)
{
	char at[WHEN_MAX];
	const cJSON *item;
	cJSON_ArrayForEach(item, json_get(status, "due"))
	{
		const char *job = json_string(item, "job");
		print_tag(DIM, "DUE");
		out_text(BOLD, "%s", job ? job : "?");
		out_text(PLAIN, "  %s", when(json_time(item, "at"), now, at));
		putchar('\n');
	}
	cJSON_ArrayForEach(item, json_get(status, "paused"))
	{
		print_tag(YELLOW, "OFF");
		out_text(BOLD, "%s", cJSON_IsString(item) ? item->valuestring : "?");
		out_text(PLAIN, "  paused");
		putchar('\n');
	}
}

static int width_of(const cJSON *list)
{
	const cJSON *item;
	int width = 0;
	cJSON_ArrayForEach(item, list)
	{
		_cleanup_free_ char *subject = subject_of(item);
		width = MAX(width, (int)strlen(subject));
	}
	return width;
}

static void print_more(int n)
{
	if (n <= 0)
		return;
	out_text(DIM, "      and %d more; see `nightjar show`", n);
	putchar('\n');
}

/* The first few of a list, and how many more there are. */
static void print_most(const cJSON *list, int most, usec_t now,
	void (*print)(const cJSON *item, int width, usec_t now))
{
	const cJSON *item;
	int n = 0, width = width_of(list);
	cJSON_ArrayForEach(item, list)
	{
		if (n++ == most)
			break;
		print(item, width, now);
	}
	print_more(cJSON_GetArraySize(list) - most);
}

/* The same, and those that wait alike are one line. */
static void print_all_waiting(const cJSON *list, usec_t now)
{
	const cJSON *first = list ? list->child : NULL;
	int n = 0, left = cJSON_GetArraySize(list), width = width_of(list);
	for (; first && n < WAIT_MOST; n++) {
		int n_alike = 1;
		const cJSON *next = first->next;
		for (; next && wait_alike(first, next); next = next->next)
			n_alike++;
		print_waiting(first, width, n_alike, now);
		left -= n_alike;
		first = next;
	}
	print_more(left);
}

static void print_status(const cJSON *status)
{
	usec_t now = json_time(status, "now");
	const cJSON *item;
	if (now == 0)
		now = out_now();
	print_header(status, now);
	print_most(json_get(status, "red"), RED_MOST, now, print_red);
	print_all_waiting(json_get(status, "waiting"), now);
	print_most(json_get(status, "running"), RUN_MOST, now, print_running);
	cJSON_ArrayForEach(item, json_get(status, "runs")) print_quiet_run(status, item, now);
	each_check(json_get(status, "checks"), print_check, &now);
	print_due(status, now);
}

int command_status(struct client *client)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int status = client_call(client, "Status", NULL, &reply);
	if (status)
		return status;
	if (client->json)
		out_json(reply.parameters);
	else
		print_status(reply.parameters);
	return STATUS_WELL;
}
