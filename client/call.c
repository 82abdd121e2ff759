/* Calls, and what their errors mean for the exit status. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "base/text.h"
#include "client/client.h"

#define INTERFACE "org.nightjar.Scheduler."
#define SERVICE	  "org.varlink.service."

void client_say(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	_cleanup_free_ char *text = xvasprintf(format, ap);
	va_end(ap);
	_cleanup_buf_ struct buf clean = BUF_NULL;
	text_escape(&clean, text, strlen(text));
	fflush(stdout);
	fprintf(stderr, "nightjar: %s\n", buf_str(&clean));
}

int client_usage(const struct client *client, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	_cleanup_free_ char *text = xvasprintf(format, ap);
	va_end(ap);
	if (client->command)
		client_say("%s: %s; see `nightjar %s --help`", client->command->name, text,
			client->command->name);
	else
		client_say("%s; see `nightjar help`", text);
	return STATUS_USAGE;
}

static int open_failed(const struct client *client, int r)
{
	if (r == -EACCES || r == -EPERM) {
		client_say("%s: not allowed", client->socket);
		return STATUS_NOT_ALLOWED;
	}
	client_say("no daemon answers on %s: %s", client->socket, strerror(-r));
	return STATUS_NO_DAEMON;
}

static int broken(int r)
{
	if (r == -EBADMSG)
		client_say("what answers there does not speak varlink");
	else
		client_say("the daemon went away: %s", strerror(-r));
	return STATUS_NO_DAEMON;
}

static void say_complaints(const cJSON *parameters)
{
	const cJSON *line;
	cJSON_ArrayForEach(line, json_get(parameters, "complaints"))
	{
		if (cJSON_IsString(line))
			out_line(stderr, line->valuestring);
	}
	client_say("the configuration is refused, and the former one stays");
}

int client_error(const struct varlink_reply *reply)
{
	const char *error = reply->error;
	const char *message = json_string(reply->parameters, "message");
	if (str_eq(error, INTERFACE "ConfigRefused"))
		say_complaints(reply->parameters);
	else if (message)
		client_say("%s", message);
	else if (str_eq(error, SERVICE "MethodNotFound"))
		client_say("this daemon has no such method (an older version?)");
	else if (str_eq(error, SERVICE "InvalidParameter"))
		client_say("the daemon does not take that: %s",
			json_string(reply->parameters, "parameter")
				? json_string(reply->parameters, "parameter")
				: "a parameter");
	else
		client_say("%s", error);
	if (str_eq(error, INTERFACE "Usage") || str_eq(error, SERVICE "InvalidParameter"))
		return STATUS_USAGE;
	if (str_eq(error, INTERFACE "NotAllowed") || str_eq(error, SERVICE "PermissionDenied"))
		return STATUS_NOT_ALLOWED;
	return STATUS_FAILED;
}

static int begin(struct client *client, const char *method, cJSON *take_parameters, bool more)
{
	_cleanup_free_ char *full = xasprintf(INTERFACE "%s", method);
	if (!client->link) {
		int r = varlink_open(client->socket, &client->link);
		if (r < 0) {
			cJSON_Delete(take_parameters);
			return open_failed(client, r);
		}
	}
	int r = varlink_send(client->link, full, take_parameters, more);
	return r < 0 ? broken(r) : STATUS_WELL;
}

int client_stream(struct client *client, const char *method, cJSON *take_parameters)
{
	return begin(client, method, take_parameters, true);
}

int client_next(struct client *client, struct varlink_reply *ret)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	int r = varlink_receive(client->link, -1, &reply);
	if (r < 0)
		return broken(r);
	if (reply.error)
		return client_error(&reply);
	if (ret) {
		*ret = reply;
		reply = VARLINK_REPLY_NULL;
	}
	return STATUS_WELL;
}

int client_call(struct client *client, const char *method, cJSON *take_parameters,
	struct varlink_reply *ret)
{
	int status = begin(client, method, take_parameters, false);
	return status ? status : client_next(client, ret);
}

int client_ask(
	struct varlink *link, const char *method, cJSON *take_parameters, struct varlink_reply *ret)
{
	_cleanup_reply_ struct varlink_reply reply = VARLINK_REPLY_NULL;
	_cleanup_free_ char *full = xasprintf(INTERFACE "%s", method);
	int r = varlink_send(link, full, take_parameters, false);
	if (r >= 0)
		r = varlink_receive(link, -1, &reply);
	if (r < 0)
		return r;
	if (reply.error)
		return -EPROTO;
	*ret = reply;
	reply = VARLINK_REPLY_NULL;
	return 0;
}

cJSON *client_parameters(const struct client *client)
{
	cJSON *parameters = cJSON_CreateObject();
	if (client->reason)
		json_set_string(parameters, "reason", client->reason);
	return parameters;
}

bool client_add_only(const struct client *client, cJSON *parameters)
{
	if (client->n_only == 0)
		return true;
	cJSON *list = json_set(parameters, "only", cJSON_CreateArray());
	for (size_t i = 0; i < client->n_only; i++) {
		const char *equals = strchr(client->only[i], '=');
		if (!equals || equals == client->only[i]) {
			client_usage(client, "--only takes KEY=VALUE, not \"%s\"", client->only[i]);
			return false;
		}
		_cleanup_free_ char *key =
			xstrndup(client->only[i], (size_t)(equals - client->only[i]));
		cJSON *item = cJSON_CreateObject();
		json_set_string(item, "key", key);
		json_set_string(item, "value", equals + 1);
		cJSON_AddItemToArray(list, item);
	}
	return true;
}

bool client_add_number(const struct client *client, cJSON *parameters, const char *key)
{
	uint64_t n;
	if (!client->number)
		return true;
	if (!parse_u64(client->number, &n) || n < 1 || n > 1000) {
		client_usage(
			client, "-n takes a number from 1 to 1000, not \"%s\"", client->number);
		return false;
	}
	json_set_int(parameters, key, (int64_t)n);
	return true;
}
