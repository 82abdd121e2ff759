/* One table: every method, its right, its parameters, its function; and those that only read. */
#include <string.h>
#include "base/instant.h"
#include "base/memory.h"
#include "daemon/control/interfaces.h"
#include "daemon/control/methods.h"

#define RUNS_DEFAULT 20
#define NEXT_DEFAULT 10
#define PAST_DEFAULT 5
#define LIST_MAX     1000

/* A number of things wanted, from 1 to LIST_MAX. Answers and returns 0 where it is neither. */
static unsigned wanted(struct call *call, const char *name, unsigned otherwise)
{
	int64_t n = json_int(call->parameters, name, otherwise);
	if (n >= 1 && n <= LIST_MAX)
		return (unsigned)n;
	_cleanup_free_ char *message = xasprintf("%s is a number from 1 to %d", name, LIST_MAX);
	call_error_message(call, "Usage", message);
	return 0;
}

static void method_status(struct call *call)
{
	call_reply(call, core_view_status(call->control->core));
}

static void method_list_jobs(struct call *call)
{
	call_reply(call, core_view_jobs(call->control->core));
}

static void method_list_runs(struct call *call)
{
	unsigned limit = wanted(call, "limit", RUNS_DEFAULT);
	if (limit)
		core_list_runs(call->control->core, call_op(call),
			json_string(call->parameters, "job"), limit);
}

static void method_get_run(struct call *call)
{
	core_get_run(call->control->core, call_op(call), json_string(call->parameters, "ref"));
}

static void method_get_approval(struct call *call)
{
	core_get_approval(call->control->core, call_op(call), json_string(call->parameters, "ref"));
}

static void method_why(struct call *call)
{
	usec_t instant;
	if (!instant_parse(json_string(call->parameters, "instant"), &instant))
		return call_error_message(
			call, "Usage", "the instant is RFC 3339, such as 2026-03-29T06:00:00Z");
	core_why(call->control->core, call_op(call), json_string(call->parameters, "job"), instant);
}

static void method_next(struct call *call)
{
	unsigned count = wanted(call, "count", NEXT_DEFAULT);
	if (!count)
		return;
	const char *job = json_string(call->parameters, "job");
	cJSON *slots = core_view_next(call->control->core, job, count);
	if (slots)
		return call_reply(call, slots);
	_cleanup_free_ char *name = text_one_line(job, strlen(job), 80);
	_cleanup_free_ char *message = xasprintf("there is no job \"%s\"", name);
	call_error_message(call, "NoSuch", message);
}

static void method_checks(struct call *call)
{
	unsigned limit = wanted(call, "limit", PAST_DEFAULT);
	if (limit)
		core_list_checks(call->control->core, call_op(call), limit);
}

static void method_metrics(struct call *call)
{
	struct control *control = call->control;
	_cleanup_buf_ struct buf text = BUF_NULL;
	core_view_metrics(control->core, &text);
	if (control->hooks.metrics)
		control->hooks.metrics(control->hooks.self, &text);
	cJSON *reply = cJSON_CreateObject();
	json_set_string(reply, "metrics", buf_str(&text));
	call_reply(call, reply);
}

/* clang-format off */
static const struct method scheduler_methods[] = {
	{ .name = "Approve", .operate = true, .run = method_approve, .subject = "ref",
	  .params = { { "ref", PARAM_STRING, true }, { "plan", PARAM_STRING },
		      { "reason", PARAM_STRING } } },
	{ .name = "CancelRun", .operate = true, .run = method_cancel_run, .subject = "ref",
	  .params = { { "ref", PARAM_STRING, true }, { "reason", PARAM_STRING } } },
	{ .name = "Checks", .run = method_checks, .params = { { "limit", PARAM_INT } } },
	{ .name = "Drain", .operate = true, .patient = true, .run = method_drain,
	  .params = { { "reason", PARAM_STRING } } },
	{ .name = "GetApproval", .run = method_get_approval,
	  .params = { { "ref", PARAM_STRING, true } } },
	{ .name = "GetRun", .run = method_get_run,
	  .params = { { "ref", PARAM_STRING, true } } },
	{ .name = "ListJobs", .run = method_list_jobs },
	{ .name = "ListRuns", .run = method_list_runs,
	  .params = { { "job", PARAM_STRING }, { "limit", PARAM_INT } } },
	{ .name = "Logs", .run = method_logs, .stream = &logs_stream,
	  .params = { { "ref", PARAM_STRING, true }, { "follow", PARAM_BOOL },
		      { "failed", PARAM_BOOL } } },
	{ .name = "Metrics", .run = method_metrics },
	{ .name = "Next", .run = method_next,
	  .params = { { "job", PARAM_STRING }, { "count", PARAM_INT } } },
	{ .name = "Pause", .operate = true, .run = method_pause, .subject = "job",
	  .params = { { "job", PARAM_STRING, true }, { "reason", PARAM_STRING } } },
	{ .name = "Reject", .operate = true, .run = method_reject, .subject = "ref",
	  .params = { { "ref", PARAM_STRING, true }, { "plan", PARAM_STRING },
		      { "reason", PARAM_STRING } } },
	{ .name = "Reload", .operate = true, .patient = true, .run = method_reload },
	{ .name = "Resume", .operate = true, .run = method_resume, .subject = "job",
	  .params = { { "job", PARAM_STRING, true }, { "reason", PARAM_STRING } } },
	{ .name = "RetryRun", .operate = true, .run = method_retry_run, .subject = "run",
	  .params = { { "run", PARAM_STRING, true }, { "only", PARAM_ONLY },
		      { "dry_run", PARAM_BOOL }, { "reason", PARAM_STRING } } },
	{ .name = "StartRun", .operate = true, .run = method_start_run, .subject = "job",
	  .params = { { "job", PARAM_STRING, true }, { "only", PARAM_ONLY },
		      { "reason", PARAM_STRING } } },
	{ .name = "Status", .run = method_status },
	{ .name = "Watch", .run = method_watch, .stream = &watch_stream,
	  .params = { { "run", PARAM_STRING }, { "output", PARAM_BOOL } } },
	{ .name = "Why", .run = method_why,
	  .params = { { "job", PARAM_STRING, true }, { "instant", PARAM_STRING, true } } },
};

static const struct method service_methods[] = {
	{ .name = "GetInfo", .run = method_get_info },
	{ .name = "GetInterfaceDescription", .run = method_get_interface_description,
	  .params = { { "interface", PARAM_STRING, true } } },
};

const struct interface control_interfaces[] = {
	{ "org.varlink.service", interface_org_varlink_service, service_methods,
	  ARRAY_SIZE(service_methods) },
	{ CONTROL_INTERFACE, interface_org_nightjar_scheduler, scheduler_methods,
	  ARRAY_SIZE(scheduler_methods) },
};
const size_t n_control_interfaces = ARRAY_SIZE(control_interfaces);
/* clang-format on */
