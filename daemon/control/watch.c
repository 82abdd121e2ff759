/* Watch: notices as they come.
 *
 * Happy path: the first reply says that nothing is missed from here on; each notice is one more.
 * Failures: a client that does not read loses notices, and the next one that it gets says how
 * many; the others lose nothing. */
#include <string.h>
#include "base/memory.h"
#include "daemon/control/methods.h"
#include "daemon/loop/clock.h"

#define WATCH_QUEUED_MAX (256u << 10)

struct watcher {
	struct list link; /* control.watchers */
	struct call *call;
	const char *run; /* the parameters'; NULL: all */
	bool output;
	int64_t lost;
};

static cJSON *notice_json(const struct core_notice *notice)
{
	cJSON *json = cJSON_CreateObject();
	json_set_time(json, "at", clock_now());
	json_set_string(json, "event", core_event_table[notice->event].name);
	json_set_int(json, "priority", notice->priority);
	json_set_string(json, "message", notice->message ? notice->message : "");
	json_set_string(json, "job", notice->job);
	json_set_string(json, "run", notice->run);
	json_set_string(json, "cell", notice->cell);
	json_set_string(json, "step", notice->step);
	json_set(json, "attempt", notice->attempt ? cJSON_CreateNumber(notice->attempt) : NULL);
	json_set_string(json, "outcome", notice->outcome);
	json_set_string(json, "check", notice->check);
	json_set_string(json, "environment", notice->environment);
	return json;
}

static bool wants(const struct watcher *watcher, const struct core_notice *notice)
{
	if (notice->event == EVENT_OUTPUT && !watcher->output)
		return false;
	return !watcher->run || !notice->run || str_eq(watcher->run, notice->run);
}

static void tell(struct watcher *watcher, const cJSON *json)
{
	if (watcher->call->connection->queued > WATCH_QUEUED_MAX) {
		watcher->lost++;
		return;
	}
	cJSON *copy = cJSON_Duplicate(json, true);
	json_set(copy, "lost", watcher->lost ? cJSON_CreateNumber((double)watcher->lost) : NULL);
	watcher->lost = 0;
	call_continue(watcher->call, copy); /* may free the watcher */
}

void control_notice(struct control *control, const struct core_notice *notice)
{
	_cleanup_json_ cJSON *json = NULL;
	if (!control)
		return;
	logs_notice(control, notice);
	list_for_each(node, &control->watchers)
	{
		struct watcher *watcher = list_entry(node, struct watcher, link);
		if (!wants(watcher, notice))
			continue;
		if (!json)
			json = notice_json(notice);
		tell(watcher, json);
	}
}

static void on_gone(struct call *call)
{
	struct watcher *watcher = TAKE_PTR(call->stream);
	list_remove(&watcher->link);
	free(watcher);
}

const struct stream_ops watch_stream = {.gone = on_gone};

void method_watch(struct call *call)
{
	struct watcher *watcher = xnew(struct watcher);
	*watcher = (struct watcher){
		.call = call,
		.run = json_string(call->parameters, "run"),
		.output = json_bool(call->parameters, "output", false),
	};
	list_append(&call->control->watchers, &watcher->link);
	call->stream = watcher;

	cJSON *hello = cJSON_CreateObject();
	json_set_time(hello, "at", clock_now());
	json_set_string(hello, "event", "watching");
	json_set_int(hello, "priority", 6);
	json_set_string(hello, "message", "watching from here on");
	static const char *const unknown[] = {
		"job", "run", "cell", "step", "attempt", "outcome", "check", "environment", "lost"};
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		json_set_null(hello, unknown[i]);
	call_continue(call, hello);
}
