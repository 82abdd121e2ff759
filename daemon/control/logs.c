/* Logs: what the attempts printed.
 *
 * Happy path: the core names the attempts' folders, oldest first, and each is read in pieces
 * through the log port; the next piece is asked for when the client has taken most of the last
 * one, so a slow reader costs a piece and holds nothing up. With `follow` the attempts that run
 * are read side by side, and when the run moves on (a notice says so) the core is asked for what
 * is new; the end comes with the run's.
 * Failures: a log that cannot be read says so in a line of its own, and the others go on. A client
 * that goes away cancels the reading; an answer of the core then finds nobody. */
#include <string.h>
#include "base/instant.h"
#include "base/memory.h"
#include "daemon/control/methods.h"
#include "daemon/loop/clock.h"

#define QUEUED_ENOUGH (64u << 10)
#define LIVE_MAX      16 /* attempts read side by side */

/* An attempt that the core has named. */
struct log_attempt {
	struct list link;
	struct log_reading *reading;
	char *name, *directory;
	char **actions;		  /* all that are known */
	size_t n_actions, n_read; /* of them, how many were asked for */
	bool ended;
	bool open;   /* the request is the log port's */
	bool paused; /* it has a piece, and its next one is not asked for yet */
	struct log_request request;
};

struct log_reading {
	struct list link; /* control.readings */
	struct call *call;
	struct list attempts; /* oldest first */
	size_t n_open;
	char *run; /* NULL until the core has answered */
	char *ref; /* then with the run's number, so that it stays the same run */
	bool follow, failed;
	bool active;  /* the run had not ended when the core was asked */
	bool looking; /* the core is being asked */
	bool stale;   /* and is to be asked again */
	bool missed;  /* it said more of an attempt than could be taken in */
};

static void read_on(struct log_reading *reading);

/* --- life --------------------------------------------------------------------------------- */

static void attempt_free(struct log_attempt *attempt)
{
	list_remove(&attempt->link);
	free(attempt->name);
	free(attempt->directory);
	strv_free(attempt->actions);
	free(attempt);
}

static void reading_free(struct log_reading *reading)
{
	const struct log_port *log = reading->call->control->log;
	list_for_each(node, &reading->attempts)
	{
		struct log_attempt *attempt = list_entry(node, struct log_attempt, link);
		if (attempt->open)
			log->cancel(log->self, &attempt->request);
		attempt_free(attempt);
	}
	list_remove(&reading->link);
	free(reading->run);
	free(reading->ref);
	free(reading);
}

static void on_gone(struct call *call)
{
	struct log_reading *reading = TAKE_PTR(call->stream);
	reading_free(reading);
}

/* The last reply names no attempt. */
static void finish(struct log_reading *reading)
{
	struct call *call = reading->call;
	cJSON *end = cJSON_CreateObject();
	json_set_null(end, "attempt");
	json_set(end, "lines", cJSON_CreateArray());
	json_set_null(end, "lost");
	call->stream = NULL;
	reading_free(reading);
	call_reply(call, end);
}

/* --- lines -------------------------------------------------------------------------------- */

static cJSON *piece_json(const struct log_attempt *attempt, uint64_t gap)
{
	cJSON *json = cJSON_CreateObject();
	json_set_string(json, "attempt", attempt->name);
	json_set(json, "lines", cJSON_CreateArray());
	json_set(json, "lost", gap ? cJSON_CreateNumber((double)gap) : NULL);
	return json;
}

static void add_line(
	cJSON *lines, const char *at, const char *stream, const char *text, bool partial)
{
	cJSON *line = cJSON_CreateObject();
	json_set_string(line, "at", at);
	json_set_string(line, "stream", stream);
	json_set_string(line, "text", text);
	json_set_bool(line, "partial", partial);
	cJSON_AddItemToArray(lines, line);
}

/* "INSTANT stdout|stderr F|P text", taken apart in place; what has another shape is left out. */
static void add_log_line(cJSON *lines, char *line)
{
	char *text = line, micro[INSTANT_MAX];
	const char *at = strsep(&text, " "), *stream = strsep(&text, " ");
	const char *flag = strsep(&text, " ");
	usec_t instant;
	if (!text || !instant_parse(at, &instant) || !utf8_is_valid(text, strlen(text)))
		return;
	if (!str_eq(stream, "stdout") && !str_eq(stream, "stderr"))
		return;
	add_line(lines, instant_format(instant, micro), stream, text, str_eq(flag, "P"));
}

static void ask_next(struct log_attempt *attempt)
{
	const struct log_port *log = attempt->reading->call->control->log;
	attempt->paused = false;
	log->next(log->self, &attempt->request);
}

static void on_chunk(
	struct log_request *request, const char *action, const char *text, size_t len, uint64_t gap)
{
	struct log_attempt *attempt = container_of(request, struct log_attempt, request);
	struct call *call = attempt->reading->call;
	cJSON *reply = piece_json(attempt, gap);
	cJSON *lines = json_get(reply, "lines");
	_cleanup_free_ char *copy = xstrndup(text, len);
	char *rest = copy;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		add_log_line(lines, line);
	attempt->paused = true;
	if (!call_continue(call, reply))
		return; /* the client is gone, and the reading with it */
	if (call->connection->queued <= QUEUED_ENOUGH)
		ask_next(attempt);
}

static void on_drained(struct call *call, size_t queued)
{
	struct log_reading *reading = call->stream;
	if (queued > QUEUED_ENOUGH)
		return;
	list_for_each(node, &reading->attempts)
	{
		struct log_attempt *attempt = list_entry(node, struct log_attempt, link);
		if (attempt->open && attempt->paused)
			return ask_next(attempt);
	}
}

const struct stream_ops logs_stream = {.paced = true, .drained = on_drained, .gone = on_gone};

static void on_all_read(struct log_request *request, const char *error)
{
	struct log_attempt *attempt = container_of(request, struct log_attempt, request);
	struct log_reading *reading = attempt->reading;
	attempt->open = false;
	reading->n_open--;
	reading->stale = reading->follow;
	if (error) {
		char now[INSTANT_MAX];
		cJSON *reply = piece_json(attempt, 0);
		add_line(json_get(reply, "lines"), instant_format(clock_now(), now), "nightjar",
			error, false);
		if (!call_continue(reading->call, reply))
			return;
	}
	on_drained(reading->call, reading->call->connection->queued);
	read_on(reading);
}

/* --- attempts ----------------------------------------------------------------------------- */

static void attempt_read(struct log_attempt *attempt)
{
	struct log_reading *reading = attempt->reading;
	const struct log_port *log = reading->call->control->log;
	attempt->request = (struct log_request){
		.directory = attempt->directory,
		.actions = (const char *const *)attempt->actions + attempt->n_read,
		.n_actions = attempt->n_actions - attempt->n_read,
		.follow = reading->follow && !attempt->ended,
		.on_chunk = on_chunk,
		.done = on_all_read,
	};
	attempt->n_read = attempt->n_actions;
	attempt->open = true;
	attempt->paused = false;
	reading->n_open++;
	log->start(log->self, &attempt->request);
}

static struct log_attempt *attempt_get(struct log_reading *reading, const char *name)
{
	list_for_each(node, &reading->attempts)
	{
		struct log_attempt *attempt = list_entry(node, struct log_attempt, link);
		if (str_eq(attempt->name, name))
			return attempt;
	}
	struct log_attempt *attempt = xnew(struct log_attempt);
	attempt->reading = reading;
	attempt->name = xstrdup(name);
	list_append(&reading->attempts, &attempt->link);
	return attempt;
}

/* Its actions point into the request while that is open: then nothing changes. */
static void attempt_update(struct log_reading *reading, const cJSON *found)
{
	const char *name = json_string(found, "name"), *directory = json_string(found, "directory");
	if (!name || !directory)
		return;
	struct log_attempt *attempt = attempt_get(reading, name);
	if (attempt->open) {
		size_t n = (size_t)cJSON_GetArraySize(json_get(found, "actions"));
		reading->missed |= n != attempt->n_actions;
		return;
	}
	free(attempt->directory);
	attempt->directory = xstrdup(directory);
	strv_free(TAKE_PTR(attempt->actions));
	attempt->n_actions = 0;
	const cJSON *action;
	cJSON_ArrayForEach(action, json_get(found, "actions"))
	{
		if (cJSON_IsString(action))
			attempt->actions = strv_add(attempt->actions, &attempt->n_actions,
				xstrdup(action->valuestring));
	}
	attempt->ended = json_bool(found, "ended", true);
}

/* REF names one attempt: then its end is the end. */
static bool is_one_ended_attempt(const struct log_reading *reading, const cJSON *found)
{
	const char *name = json_string(found, "name");
	return str_eq(name, reading->ref) && json_bool(found, "ended", false);
}

static void take_found(struct log_reading *reading, const cJSON *result)
{
	const char *run = json_string(result, "run");
	const cJSON *found;
	if (!reading->run && run) {
		const char *below = strchr(reading->ref, '/');
		char *ref = xasprintf("%s%s", run, below ? below : "");
		free(reading->ref);
		reading->ref = ref;
		reading->run = xstrdup(run);
	}
	reading->active = json_bool(result, "active", false);
	cJSON_ArrayForEach(found, json_get(result, "attempts"))
	{
		attempt_update(reading, found);
		if (is_one_ended_attempt(reading, found))
			reading->active = false;
	}
}

static void on_found(
	struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	_cleanup_json_ cJSON *result = take_result;
	struct call *call = container_of(op, struct call, op);
	struct log_reading *reading = call->stream;
	if (!reading)
		return call_op_over(call);
	reading->looking = false;
	if (error != CORE_OK && !reading->run) {
		call->stream = NULL;
		reading_free(reading);
		call_core_error(call, error, message);
		return call_op_over(call);
	}
	if (error == CORE_OK)
		take_found(reading, result);
	read_on(reading);
	call_op_over(call);
}

static void look(struct log_reading *reading)
{
	struct call *call = reading->call;
	reading->looking = true;
	reading->stale = reading->missed = false;
	core_find_logs(
		call->control->core, call_op_with(call, on_found), reading->ref, reading->failed);
	if (call->control->hooks.kick)
		call->control->hooks.kick(call->control->hooks.self);
}

/* Reads what can be read: ended attempts one by one, then those that run side by side. */
static void read_on(struct log_reading *reading)
{
	list_for_each(node, &reading->attempts)
	{
		struct log_attempt *attempt = list_entry(node, struct log_attempt, link);
		bool side_by_side = reading->follow && !attempt->ended;
		if (attempt->open || attempt->n_read == attempt->n_actions)
			continue;
		if (reading->n_open >= (side_by_side ? LIVE_MAX : 1))
			break;
		attempt_read(attempt);
	}
	if (reading->looking)
		return;
	if (reading->stale && (reading->active || reading->missed))
		deferred_ask(
			&reading->call->control->looks); /* the core may be at work right now */
	else if (reading->n_open == 0 && !(reading->follow && reading->active))
		finish(reading);
}

/* --- the run moves on --------------------------------------------------------------------- */

/* Output of an attempt that was read to its end: there is an action more. */
static bool is_more_of_one(const struct log_reading *reading, const struct core_notice *notice)
{
	_cleanup_free_ char *name = NULL;
	if (!notice->cell || !notice->step)
		return false;
	name = xasprintf("%s/%s/%s.%u", notice->run, notice->cell, notice->step, notice->attempt);
	list_for_each(node, &reading->attempts)
	{
		const struct log_attempt *attempt = list_entry(node, struct log_attempt, link);
		if (str_eq(attempt->name, name))
			return !attempt->open;
	}
	return false;
}

static bool moves_on(const struct log_reading *reading, const struct core_notice *notice)
{
	if (!reading->follow || !reading->run || !str_eq(reading->run, notice->run))
		return false;
	switch (notice->event) {
	case EVENT_ATTEMPT_STARTED:
	case EVENT_ATTEMPT_ENDED:
	case EVENT_CELL_ENDED:
	case EVENT_RUN_ENDED:
		return true;
	case EVENT_OUTPUT:
		return is_more_of_one(reading, notice);
	default:
		return false;
	}
}

void logs_notice(struct control *control, const struct core_notice *notice)
{
	list_for_each(node, &control->readings)
	{
		struct log_reading *reading = list_entry(node, struct log_reading, link);
		if (reading->stale || !moves_on(reading, notice))
			continue;
		reading->stale = true;
		deferred_ask(&control->looks);
	}
}

void logs_look(void *arg)
{
	struct control *control = arg;
	list_for_each(node, &control->readings)
	{
		struct log_reading *reading = list_entry(node, struct log_reading, link);
		if (reading->stale && !reading->looking)
			look(reading);
	}
}

void method_logs(struct call *call)
{
	if (!call->control->log)
		return call_error_message(call, "NotThereYet", "there is no log to read here");
	struct log_reading *reading = xnew(struct log_reading);
	reading->call = call;
	reading->follow = json_bool(call->parameters, "follow", false);
	reading->failed = json_bool(call->parameters, "failed", false);
	reading->ref = xstrdup(json_string(call->parameters, "ref"));
	list_init(&reading->attempts);
	list_append(&call->control->readings, &reading->link);
	call->stream = reading;
	look(reading);
}
