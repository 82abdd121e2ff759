/* Who asks a Metabase: an API key, or a user who logs in once for all that the lane asks.
 *
 * Happy path: the key, or one log-in whose session serves every call. Failures: a session that was
 * good and is refused now has expired: a new log-in, once; a throttled log-in is waited for, for
 * each try made meanwhile counts as well; a wrong password is never tried twice. */
#include <stdio.h>
#include <string.h>
#include "kinds/metabase_state.h"

enum {
	SESSION_MAX = 256,
	THROTTLED_MAX = 5,
};

void session_init(struct session *s, const struct metabase_want *want)
{
	*s = (struct session){
		.api_key = xstrdup(want->api_key),
		.username = xstrdup(want->username),
		.password = xstrdup(want->password),
	};
}

void session_fini(struct session *s)
{
	wipe_free(s->api_key);
	wipe_free(s->username);
	wipe_free(s->password);
	wipe_free(s->id);
	*s = (struct session){0};
}

bool session_needs_login(const struct session *s)
{
	return !s->api_key && !s->id;
}

char *session_login_body(const struct session *s)
{
	_cleanup_json_ cJSON *body = cJSON_CreateObject();

	json_set_string(body, "username", s->username ? s->username : "");
	json_set_string(body, "password", s->password ? s->password : "");
	return json_print(body);
}

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

char *session_header(const struct session *s)
{
	const char *value = s->api_key ? s->api_key : s->id;

	if (!value || !*value || !is_printable(value))
		return NULL;
	return xasprintf("%s: %s", s->api_key ? "X-API-Key" : "X-Metabase-Session", value);
}

/* The seconds of "... You must wait 15 seconds ..."; 0: the text says none. */
static unsigned throttle_seconds(const char *text)
{
	const char *at = text ? strstr(text, "wait ") : NULL;
	unsigned seconds = 0;

	if (!text || !strstr(text, "Too many attempts"))
		return 0;
	if (!at || sscanf(at, "wait %5u", &seconds) != 1)
		return 60;
	return MIN(MAX(seconds, 1U), 3600U);
}

static enum session_verdict refused(
	struct session *s, const cJSON *answer, usec_t at, char **ret_reason)
{
	const cJSON *errors = json_get(answer, "errors");
	unsigned seconds = throttle_seconds(json_string(errors, "username"));
	const char *other = json_string(errors, "_error");

	if (seconds && s->throttled < THROTTLED_MAX) {
		s->throttled++;
		s->login_at = at + (seconds + 1) * USEC_SEC;
		*ret_reason = xasprintf(
			"its log-in is throttled for %u s after too many that failed", seconds);
		return SESSION_LATER;
	}
	if (seconds)
		*ret_reason = xstrdup("Metabase goes on throttling the log-in: somebody tries "
				      "with a wrong password");
	else if (other && strstr(other, "disabled"))
		*ret_reason = xstrdup("Metabase says that the user's account is disabled: look at "
				      "metabase.username of the environment");
	else
		*ret_reason = xstrdup("Metabase refuses the user or the password: look at "
				      "metabase.username and metabase.password of the environment");
	return SESSION_REFUSED;
}

enum session_verdict session_logged_in(
	struct session *s, int status, const cJSON *answer, usec_t at, char **ret_reason)
{
	const char *id = json_string(answer, "id");

	if (status == 400 || status == 401 || status == 403)
		return refused(s, answer, at, ret_reason);
	if (status != 200 || !id || !*id || strlen(id) > SESSION_MAX || !is_printable(id))
		return SESSION_STRANGE;
	wipe_free(s->id);
	s->id = xstrdup(id);
	s->throttled = 0;
	s->proved = false;
	return SESSION_GOOD;
}

bool session_expired(struct session *s, char **ret_reason)
{
	if (s->api_key) {
		*ret_reason = xstrdup("Metabase refuses the API key (401): look at "
				      "metabase.api_key of the environment, or make a new key in "
				      "Metabase's settings");
		return false;
	}
	if (!s->proved) {
		*ret_reason = xstrdup("Metabase refuses the session of a log-in that it has just "
				      "accepted (401)");
		return false;
	}
	wipe_free(s->id);
	s->id = NULL;
	s->proved = false;
	return true;
}
