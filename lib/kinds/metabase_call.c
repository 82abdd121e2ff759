/* The calls of a Metabase lane: what each is as a request, and what an answer without a result
 * means. Nothing here trusts an answer: each has a cap, and what is quoted of one is masked, cut
 * and without control characters.
 *
 * The caps: a page of the task list is below 2 MiB in practice, more where the tasks' logs are in
 * it; a table weighs 1 to 1.5 KB in a database's metadata without fields, so that 14,000 tables,
 * which exist, are some 20 MB. Memory for one answer is the price of one lane, whatever waits. */
#include <stdio.h>
#include <string.h>
#include "kinds/metabase_state.h"

#define MIB	  ((size_t)1024 * 1024)
#define QUOTE_MAX 200

static const struct {
	const char *method;
	usec_t timeout;
	size_t cap;
} calls[] = {
	[CALL_LOGIN] = {"POST", 30 * USEC_SEC, MIB},
	[CALL_DATABASES] = {"GET", USEC_MINUTE, 16 * MIB},
	[CALL_SYNCS] = {"GET", 30 * USEC_SEC, 16 * MIB},
	[CALL_TASKS] = {"GET", 30 * USEC_SEC, 16 * MIB},
	[CALL_TABLES] = {"GET", 30 * USEC_SEC, 16 * MIB},
	[CALL_FIELDS] = {"GET", 30 * USEC_SEC, 16 * MIB},
	/* It tests the connection to the warehouse first. */
	[CALL_TRIGGER] = {"POST", USEC_MINUTE, MIB},
	[CALL_LOOK] = {"GET", 2 * USEC_MINUTE, 64 * MIB},
	[CALL_COLUMNS] = {"GET", 30 * USEC_SEC, 16 * MIB},
	[CALL_THINGS] = {"GET", USEC_MINUTE, 64 * MIB},
};
#define SLOW (20 * USEC_SEC)

char *quote(const struct mask_set *mask, const char *text, size_t max)
{
	_cleanup_free_ char *masked = mask_string(mask, text);

	return text_one_line(masked, strlen(masked), max);
}

/* --- the request -------------------------------------------------------------------------- */

static char *path_of(const struct call *c)
{
	switch (c->type) {
	case CALL_LOGIN:
		return xstrdup("/api/session");
	case CALL_DATABASES:
		return xstrdup("/api/database");
	case CALL_SYNCS:
	case CALL_TASKS:
	case CALL_TABLES:
	case CALL_FIELDS:
		return xstrdup("/api/task");
	case CALL_TRIGGER:
		return xasprintf("/api/database/%lld/sync_schema", (long long)c->db->id);
	case CALL_LOOK:
		return xasprintf("/api/database/%lld/metadata", (long long)c->db->id);
	case CALL_COLUMNS:
		return xasprintf("/api/table/%lld/query_metadata", (long long)c->table);
	case CALL_THINGS:
		return xstrdup(things_path(c->thing));
	case CALL_NONE:
		break;
	}
	return xstrdup("/");
}

/* In this order the list is sorted unless asked otherwise: the latest begun first. A limit is only
 * taken together with an offset. */
static char *query_of(const struct metabase *l)
{
	static const char *const of_tasks[] = {
		[CALL_SYNCS] = "task=sync&",
		[CALL_TASKS] = "",
		[CALL_TABLES] = "task=sync-tables&",
		[CALL_FIELDS] = "task=sync-fields&",
	};

	switch (l->call.type) {
	case CALL_SYNCS:
	case CALL_TASKS:
	case CALL_TABLES:
	case CALL_FIELDS:
		return xasprintf("?%slimit=%u&offset=0", of_tasks[l->call.type], l->page);
	case CALL_LOOK:
		return xstrdup("?include_hidden=true&skip_fields=true&remove_inactive=true");
	case CALL_COLUMNS:
		return xstrdup("?include_hidden_fields=true");
	default:
		return xstrdup("");
	}
}

char *call_name(const struct call *c)
{
	_cleanup_free_ char *path = path_of(c);

	return xasprintf("%s %s", calls[c->type].method, path);
}

void call_request(struct metabase *l, struct kind_request *ret)
{
	enum call_type type = l->call.type;
	_cleanup_free_ char *path = path_of(&l->call), *query = query_of(l);
	char *header = type == CALL_LOGIN ? NULL : session_header(&l->session);
	size_t n = 0;

	ret->url = xasprintf("%s%s%s", l->url, path, query);
	ret->method = xstrdup(calls[type].method);
	ret->headers = strv_add(ret->headers, &n, xstrdup("Accept: application/json"));
	if (header)
		ret->headers = strv_add(ret->headers, &n, header);
	if (str_eq(ret->method, "POST"))
		ret->headers =
			strv_add(ret->headers, &n, xstrdup("Content-Type: application/json"));
	if (type == CALL_LOGIN)
		ret->body = session_login_body(&l->session);
	else if (type == CALL_TRIGGER)
		ret->body = xstrdup("{}");
	ret->timeout = calls[type].timeout;
	ret->slow = MIN(SLOW, calls[type].timeout);
	if (type == CALL_LOOK)
		ret->slow = USEC_MINUTE; /* it is made whole before its first byte comes */
	ret->cap = calls[type].cap;
}

/* --- an answer that is none --------------------------------------------------------------- */

/* ": what it said", or nothing where that is a page for a browser. */
static char *last_part(const struct kind_event *e)
{
	const char *body = e->body ? e->body + strspn(e->body, " \t\r\n") : "";
	_cleanup_free_ char *said = NULL;

	if (*body == '<' || *body == '\0')
		return xstrdup("");
	said = quote(e->mask, body, QUOTE_MAX);
	return xasprintf(": %s", said);
}

static enum answer judge_trouble(
	const struct metabase *l, const struct kind_event *e, char **ret_reason, bool *ret_down)
{
	_cleanup_free_ char *name = call_name(&l->call);
	const char *why = e->http_error ? e->http_error : "no answer";

	if (e->http_trouble == HTTP_UNSENT) {
		*ret_down = true;
		*ret_reason = xasprintf("Metabase does not answer: %s", why);
		return ANSWER_LATER;
	}
	*ret_reason = xasprintf("Metabase (%s): %s", name, why);
	return e->http_trouble == HTTP_UNFIT ? ANSWER_FAILED : ANSWER_LATER;
}

static bool holds(const struct kind_event *e, const char *text)
{
	return e->body && memmem(e->body, e->body_len, text, strlen(text));
}

static enum answer judge_503(
	const struct metabase *l, const struct kind_event *e, char **ret_reason, bool *ret_down)
{
	_cleanup_free_ char *said = last_part(e);

	if (l->call.type == CALL_TRIGGER && holds(e, "sync-disabled")) {
		*ret_reason = xstrdup("this Metabase does no syncs: they are switched off in its "
				      "own configuration");
		return ANSWER_FAILED;
	}
	*ret_down = holds(e, "still initializing");
	*ret_reason = *ret_down ? xstrdup("Metabase is still starting")
				: xasprintf("Metabase answers %d%s", e->http_status, said);
	return ANSWER_LATER;
}

static char *refusal(const struct metabase *l, const struct kind_event *e)
{
	_cleanup_free_ char *name = call_name(&l->call), *said = last_part(e);
	const char *mend = "";

	if (e->http_status == 403)
		mend = l->session.api_key ? "; the API key must be one of the group Administrators"
					  : "; the user must be one of the group Administrators";
	else if (e->http_status >= 300 && e->http_status <= 399)
		mend = "; redirects are not followed: metabase.url of the environment must be "
		       "the address that answers";
	else if (e->http_status == 404 && !l->call.db)
		mend = "; is metabase.url of the environment that of a Metabase?";
	return xasprintf("Metabase (%s) answers %d%s%s", name, e->http_status, said, mend);
}

enum answer call_judge(
	const struct metabase *l, const struct kind_event *e, char **ret_reason, bool *ret_down)
{
	int status = e->http_status;
	_cleanup_free_ char *said = NULL;

	*ret_down = false;
	if (status == 0)
		return judge_trouble(l, e, ret_reason, ret_down);
	if (status >= 200 && status <= 299)
		return ANSWER_GOOD;
	if (status == 401)
		return ANSWER_EXPIRED;
	if (status == 502 || status == 503 || status == 504)
		return judge_503(l, e, ret_reason, ret_down);
	said = last_part(e);
	if (status == 422 && l->call.type == CALL_TRIGGER) {
		*ret_reason = xasprintf("Metabase cannot reach the warehouse of %s (422)%s",
			l->call.db->name, said);
		return ANSWER_SICK;
	}
	if (status == 408 || status == 429 || status >= 500) {
		_cleanup_free_ char *name = call_name(&l->call);

		*ret_reason = xasprintf("Metabase (%s) answers %d%s", name, status, said);
		return ANSWER_LATER;
	}
	*ret_reason = refusal(l, e);
	return ANSWER_FAILED;
}
