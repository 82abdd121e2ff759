/* What the shim leaves in an action's folder: see status.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "daemon/proc/status.h"

enum { MESSAGE_MAX = 1024 };

void shim_started_fini(struct shim_started *s)
{
	free(s->boot_id);
	*s = (struct shim_started){0};
}

int shim_started_parse(const char *text, size_t len, struct shim_started *ret)
{
	_cleanup_json_ cJSON *json = NULL;
	int64_t pid, start_time;

	if (json_parse(text, len, &json) < 0 || !json_string(json, "boot_id"))
		return -EBADMSG;
	pid = json_int(json, "pid", 0);
	start_time = json_int(json, "start_time", 0);
	if (pid < 1 || pid > INT32_MAX || start_time < 0)
		return -EBADMSG;
	*ret = (struct shim_started){
		.boot_id = xstrdup(json_string(json, "boot_id")),
		.pid = pid,
		.start_time = start_time,
		.at = json_time(json, "at"),
	};
	return 0;
}

static bool end_parse(const char *s, enum action_end *ret)
{
	static const char *const names[] = {
		[END_EXITED] = "exited",
		[END_SIGNALLED] = "signalled",
		[END_NOT_STARTED] = "not_started",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(s, names[i])) {
			*ret = i;
			return true;
		}
	return false;
}

static uint64_t get_count(const cJSON *json, const char *key)
{
	int64_t value = json_int(json, key, 0);

	return value > 0 ? value : 0;
}

int status_parse(const char *text, size_t len, struct action_status *ret)
{
	_cleanup_json_ cJSON *json = NULL;
	enum action_end end;
	const char *message;

	if (json_parse(text, len, &json) < 0 || json_int(json, "version", 0) < 1 ||
		!end_parse(json_string(json, "end"), &end))
		return -EBADMSG;
	message = json_string(json, "message");
	*ret = (struct action_status){
		.end = end,
		.code = json_int(json, "code", 0),
		.signal = json_int(json, "signal", 0),
		.stop = json_string(json, "stop") ? stop_reason_parse(json_string(json, "stop"))
						  : STOP_NONE,
		.oom_killed = json_bool(json, "oom_killed", false),
		.lease_over = json_bool(json, "lease_over", false),
		.started_at = json_time(json, "started_at"),
		.ended_at = json_time(json, "ended_at"),
		.max_rss = get_count(json, "max_rss"),
		.cpu_ms = get_count(json, "cpu_ms"),
		.output_bytes = get_count(json, "output_bytes"),
		.output_dropped = get_count(json, "output_dropped"),
		.message = message ? text_one_line(message, strlen(message), MESSAGE_MAX) : NULL,
	};
	return 0;
}
