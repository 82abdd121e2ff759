/* One call: checked, allowed, run, answered once.
 *
 * Happy path: call_begin() parses the message, finds the method, checks its parameters and runs it;
 * a method that changes something first learns the name of who asks (on the pool: a name service
 * may be slow). The answer goes through finish(), which parts call and connection.
 * Failures: what is no varlink drops the client; what is wrong within a call is a varlink error.
 * A client that goes away, or a deadline, parts them too: the core still answers, into the void. */
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/control/call.h"

#define SERVICE	   "org.varlink.service"
#define REASON_MAX 500
#define ONLY_MAX   1000

/* --- life --------------------------------------------------------------------------------- */

static void call_release(struct call *call)
{
	if (--call->n_holds > 0)
		return;
	list_remove(&call->link);
	cJSON_Delete(call->parameters);
	free(call->who);
	free(call->reason);
	free(call->only);
	free(call);
}

static struct call *call_new(struct connection *c, cJSON *message)
{
	struct call *call = xnew(struct call);
	call->control = c->control;
	call->connection = c;
	call->uid = c->peer.uid;
	call->more = json_bool(message, "more", false);
	call->oneway = json_bool(message, "oneway", false);
	call->parameters = cJSON_DetachItemFromObjectCaseSensitive(message, "parameters");
	if (!cJSON_IsObject(call->parameters)) { /* missing or null */
		cJSON_Delete(call->parameters);
		call->parameters = cJSON_CreateObject();
	}
	call->n_holds = 1;
	list_append(&c->control->calls, &call->link);
	c->call = call;
	return call;
}

/* The last of it: from here on the connection is another call's. */
static void finish(struct call *call, cJSON *take_reply)
{
	_cleanup_json_ cJSON *reply = take_reply;
	struct connection *c = TAKE_PTR(call->connection);
	if (!c)
		return;
	bool oneway = call->oneway;
	c->unhurried = call_is_paced(call); /* somebody pages through a log */
	c->call = NULL;
	call_release(call);
	if (oneway)
		return connection_done(c);
	char *text = json_print(reply);
	connection_send(c, text, strlen(text), true);
}

void call_reply(struct call *call, cJSON *take_parameters)
{
	cJSON *reply = cJSON_CreateObject();
	json_set(reply, "parameters", take_parameters ? take_parameters : cJSON_CreateObject());
	finish(call, reply);
}

bool call_continue(struct call *call, cJSON *take_parameters)
{
	_cleanup_json_ cJSON *reply = cJSON_CreateObject();
	json_set(reply, "parameters", take_parameters);
	json_set_bool(reply, "continues", true);
	struct connection *c = call->connection;
	if (!c)
		return false;
	char *text = json_print(reply);
	connection_send(c, text, strlen(text), false);
	return c->state == CONNECTION_CALLING;
}

void call_error(struct call *call, const char *interface, const char *name, cJSON *take_parameters)
{
	_cleanup_free_ char *full =
		xasprintf("%s.%s", interface ? interface : CONTROL_INTERFACE, name);
	cJSON *reply = cJSON_CreateObject();
	json_set_string(reply, "error", full);
	json_set(reply, "parameters", take_parameters ? take_parameters : cJSON_CreateObject());
	finish(call, reply);
}

void call_error_message(struct call *call, const char *name, const char *message)
{
	cJSON *what = cJSON_CreateObject();
	json_set_string(what, "message", message ? message : name);
	call_error(call, NULL, name, what);
}

static void service_error(struct call *call, const char *name, const char *key, const char *value)
{
	cJSON *what = cJSON_CreateObject();
	if (key)
		json_set_string(what, key, value);
	call_error(call, SERVICE, name, what);
}

/* --- the core's answers ------------------------------------------------------------------- */

void call_core_error(struct call *call, enum core_error error, const char *message)
{
	static const char *const names[] = {
		[CORE_OK] = "Refused",
		[CORE_E_USAGE] = "Usage",
		[CORE_E_NO_SUCH] = "NoSuch",
		[CORE_E_REFUSED] = "Refused",
		[CORE_E_NO_STORE] = "NoStore",
		[CORE_E_NOT_LEADER] = "NotLeader",
		[CORE_E_NOT_THERE_YET] = "NotThereYet",
	};
	call_error_message(call, names[error], message);
}

void call_op_over(struct call *call)
{
	call_release(call);
}

static void on_op_done(
	struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	struct call *call = container_of(op, struct call, op);
	if (error == CORE_OK) {
		call_reply(call, take_result);
	} else {
		cJSON_Delete(take_result);
		call_core_error(call, error, message);
	}
	call_op_over(call);
}

struct core_op *call_op_with(
	struct call *call, void (*done)(struct core_op *, enum core_error, const char *, cJSON *))
{
	call->n_holds++;
	call->op = (struct core_op){.done = done, .who = call->who, .reason = call->reason};
	list_init(&call->op.link);
	return &call->op;
}

struct core_op *call_op(struct call *call)
{
	return call_op_with(call, on_op_done);
}

/* --- checking ----------------------------------------------------------------------------- */

static bool only_is_valid(const cJSON *list)
{
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > ONLY_MAX)
		return false;
	const cJSON *item;
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != 2 ||
			!json_string(item, "key") || !json_string(item, "value"))
			return false;
	}
	return true;
}

static bool value_is_valid(enum param_type type, const cJSON *value)
{
	switch (type) {
	case PARAM_STRING:
		return cJSON_IsString(value);
	case PARAM_BOOL:
		return cJSON_IsBool(value);
	case PARAM_INT:
		return cJSON_IsNumber(value) && value->valuedouble >= -9e15 &&
		       value->valuedouble <= 9e15 &&
		       (double)(int64_t)value->valuedouble == value->valuedouble;
	case PARAM_ONLY:
		return only_is_valid(value);
	case PARAM_NONE:
		break;
	}
	return false;
}

static const struct param *param_find(const struct method *method, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(method->params) && method->params[i].name; i++)
		if (str_eq(method->params[i].name, name))
			return &method->params[i];
	return NULL;
}

/* The name of the first parameter that is unknown, missing or of another type; NULL: all well. A
 * misspelt parameter is no parameter left out: it would start everything. */
static const char *wrong_parameter(const struct call *call)
{
	const cJSON *value;
	cJSON_ArrayForEach(value, call->parameters)
	{
		const struct param *param = param_find(call->method, value->string);
		if (!param)
			return value->string;
		if (!cJSON_IsNull(value) && !value_is_valid(param->type, value))
			return value->string;
	}
	for (size_t i = 0; i < ARRAY_SIZE(call->method->params); i++) {
		const struct param *param = &call->method->params[i];
		const cJSON *given = param->name ? json_get(call->parameters, param->name) : NULL;
		if (param->required && (!given || cJSON_IsNull(given)))
			return param->name;
	}
	return NULL;
}

struct core_only *call_only(struct call *call, size_t *ret_n)
{
	const cJSON *list = json_get(call->parameters, "only"), *item;
	size_t n = 0;
	free(call->only);
	call->only = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*call->only));
	cJSON_ArrayForEach(item, list)
	{
		call->only[n++] = (struct core_only){
			.key = json_string(item, "key"),
			.value = json_string(item, "value"),
		};
	}
	*ret_n = n;
	return call->only;
}

static void take_reason(struct call *call)
{
	const char *said = json_string(call->parameters, "reason");
	if (said && *said)
		call->reason = text_one_line(said, strlen(said), REASON_MAX);
}

/* --- allowed, and run --------------------------------------------------------------------- */

static void run(struct call *call)
{
	struct control *control = call->control;
	call->method->run(call);
	if (control->core && control->hooks.kick)
		control->hooks.kick(control->hooks.self);
}

/* What was not allowed leaves a trace, but nobody may flood the store with traces. */
static bool audit_has_room(struct control *control)
{
	uint64_t now = uv_now(control->loop);
	if (now - control->audit.window >= 60000) {
		control->audit.window = now;
		control->audit.n = 0;
	}
	if (control->audit.n >= AUDIT_PER_MINUTE) {
		control->audit.dropped++;
		return false;
	}
	control->audit.n++;
	return true;
}

static void deny(struct call *call)
{
	struct control *control = call->control;
	_cleanup_free_ char *answer = xstrdup("NotAllowed");
	if (call->who && control->audit.dropped > 0) {
		free(answer);
		answer = xasprintf(
			"NotAllowed, and %u before it that have no row", control->audit.dropped);
		control->audit.dropped = 0;
	}
	if (call->who) {
		const char *subject = call->method->subject
					      ? json_string(call->parameters, call->method->subject)
					      : NULL;
		_cleanup_free_ char *line =
			subject ? text_one_line(subject, strlen(subject), REASON_MAX) : NULL;
		core_audit(control->core, call->who, call->method->name, line, call->reason, false,
			answer);
		if (control->hooks.kick)
			control->hooks.kick(control->hooks.self);
	}
	call_error_message(call, "NotAllowed", "operating is for root and the group of operators");
}

static bool may_operate(const struct call *call)
{
	return peer_may_operate(&call->connection->peer, call->control->operators);
}

static void allow_or_deny(struct call *call)
{
	if (!call->connection)
		return; /* gone before anything was done: nothing is */
	if (may_operate(call))
		run(call);
	else
		deny(call);
}

static void ask_name(struct work *work)
{
	struct call *call = container_of(work, struct call, naming);
	call->who = peer_name(call->uid);
}

static void on_name(struct work *work)
{
	struct call *call = container_of(work, struct call, naming);
	if (call->connection)
		call->connection->who = xstrdup(call->who);
	allow_or_deny(call);
	call_release(call);
}

static void operate(struct call *call)
{
	struct connection *c = call->connection;
	take_reason(call);
	if (!may_operate(call) && !audit_has_room(call->control))
		return deny(call);
	if (!c->who && c->peer.uid == 0)
		c->who = peer_name(0); /* asks nobody */
	if (c->who) {
		call->who = xstrdup(c->who);
		return allow_or_deny(call);
	}
	call->n_holds++;
	work_start(&call->naming, call->control->loop, &call->control->open, ask_name, on_name);
}

static const struct interface *interface_find(const char *full, size_t len)
{
	for (size_t i = 0; i < n_control_interfaces; i++)
		if (strlen(control_interfaces[i].name) == len &&
			memcmp(control_interfaces[i].name, full, len) == 0)
			return &control_interfaces[i];
	return NULL;
}

static const struct method *method_find(const struct interface *interface, const char *name)
{
	for (size_t i = 0; i < interface->n_methods; i++)
		if (str_eq(interface->methods[i].name, name))
			return &interface->methods[i];
	return NULL;
}

static void dispatch(struct call *call, const char *full)
{
	const char *dot = strrchr(full, '.');
	size_t len = dot ? (size_t)(dot - full) : strlen(full);
	const struct interface *interface = interface_find(full, len);
	if (!interface) {
		_cleanup_free_ char *name = xstrndup(full, len);
		return service_error(call, "InterfaceNotFound", "interface", name);
	}
	call->method = dot ? method_find(interface, dot + 1) : NULL;
	if (!call->method)
		return service_error(call, "MethodNotFound", "method", full);
	const char *wrong = wrong_parameter(call);
	if (wrong)
		return service_error(call, "InvalidParameter", "parameter", wrong);
	if (call->method->stream && !call->more)
		return service_error(call, "ExpectedMore", NULL, NULL);
	if (call->oneway && !call->method->operate)
		return call_reply(call, NULL); /* nobody would hear it */
	if (!call->control->core && !str_eq(interface->name, SERVICE))
		return call_error_message(call, "Refused", "the daemon is still starting");
	if (!call->method->stream && !call->method->patient)
		connection_deadline(call->connection,
			call->method->operate ? OPERATE_DEADLINE_MS : READ_DEADLINE_MS);
	if (call->method->operate)
		operate(call);
	else
		run(call);
}

static bool is_flag(const cJSON *message, const char *key)
{
	const cJSON *value = json_get(message, key);
	return !value || cJSON_IsBool(value) || cJSON_IsNull(value);
}

int call_begin(struct connection *c, const char *text, size_t len)
{
	_cleanup_json_ cJSON *message = NULL;
	int r = json_parse(text, len, &message);
	if (r < 0)
		return r;
	const char *method = json_string(message, "method");
	const cJSON *parameters = json_get(message, "parameters");
	if (!cJSON_IsObject(message) || !method || !is_flag(message, "more") ||
		!is_flag(message, "oneway") || json_bool(message, "upgrade", false))
		return -EBADMSG;
	if (parameters && !cJSON_IsObject(parameters) && !cJSON_IsNull(parameters))
		return -EBADMSG;
	dispatch(call_new(c, message), method);
	return 0;
}

/* --- for the connection ------------------------------------------------------------------- */

bool call_is_stream(const struct call *call)
{
	return call->method && call->method->stream;
}

bool call_is_paced(const struct call *call)
{
	return call_is_stream(call) && call->method->stream->paced;
}

void call_client_gone(struct call *call)
{
	call->connection = NULL;
	if (call_is_stream(call) && call->stream)
		call->method->stream->gone(call);
	call_release(call);
}

void call_drained(struct call *call, size_t queued)
{
	if (call_is_stream(call) && call->stream && call->method->stream->drained)
		call->method->stream->drained(call, queued);
}

void call_late(struct call *call)
{
	if (call->method->operate)
		call_error_message(call, "NoStore",
			"no answer from the store so far: what was asked may still happen");
	else
		call_error_message(call, "NoStore", "no answer from the store in time");
}

void call_forget(struct call *call)
{
	list_remove(&call->link);
	call->control = NULL;
}
