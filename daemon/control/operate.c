/* The methods that change something. Each is answered after its commit, by the core. */
#include <string.h>
#include "base/memory.h"
#include "daemon/control/methods.h"

static const char *string_of(const struct call *call, const char *name)
{
	return json_string(call->parameters, name);
}

void method_start_run(struct call *call)
{
	size_t n = 0;
	const struct core_only *only = call_only(call, &n);
	core_start(call->control->core, call_op(call), string_of(call, "job"), only, n);
}

void method_cancel_run(struct call *call)
{
	core_cancel(call->control->core, call_op(call), string_of(call, "ref"));
}

void method_approve(struct call *call)
{
	core_approve(call->control->core, call_op(call), string_of(call, "ref"),
		string_of(call, "plan"), true);
}

void method_reject(struct call *call)
{
	core_approve(call->control->core, call_op(call), string_of(call, "ref"),
		string_of(call, "plan"), false);
}

void method_retry_run(struct call *call)
{
	size_t n = 0;
	const struct core_only *only = call_only(call, &n);
	core_retry(call->control->core, call_op(call), string_of(call, "run"), only, n,
		json_bool(call->parameters, "dry_run", false));
}

void method_pause(struct call *call)
{
	core_pause(call->control->core, call_op(call), string_of(call, "job"), true);
}

void method_resume(struct call *call)
{
	core_pause(call->control->core, call_op(call), string_of(call, "job"), false);
}

void method_drain(struct call *call)
{
	core_drain(call->control->core, call_op(call));
}

/* --- reload ------------------------------------------------------------------------------- */

struct reload {
	struct control_reload ask;
	struct call *call;
};

static cJSON *complaint_list(const struct complaints *complaints)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; complaints && i < complaints->n; i++) {
		_cleanup_free_ char *text = complaint_text(&complaints->items[i]);
		_cleanup_free_ char *line = text_one_line(text, strlen(text), 1000);
		cJSON_AddItemToArray(list, cJSON_CreateString(line));
	}
	return list;
}

static void on_reloaded(
	struct control_reload *ask, bool refused, const struct complaints *complaints)
{
	struct reload *reload = container_of(ask, struct reload, ask);
	struct call *call = reload->call;
	free(reload);
	if (call->control)
		core_audit(call->control->core, call->who, "Reload", NULL, call->reason, true,
			refused ? "ConfigRefused" : "ok");
	cJSON *answer = cJSON_CreateObject();
	json_set(answer, refused ? "complaints" : "warnings", complaint_list(complaints));
	if (refused)
		call_error(call, NULL, "ConfigRefused", answer);
	else
		call_reply(call, answer);
	call_op_over(call);
}

void method_reload(struct call *call)
{
	struct reload *reload = xnew(struct reload);
	*reload = (struct reload){.ask.done = on_reloaded, .call = call};
	call->n_holds++; /* until on_reloaded() */
	const struct control_hooks *hooks = &call->control->hooks;
	hooks->reload(hooks->self, &reload->ask);
}
