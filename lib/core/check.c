/* See check.h.
 *
 * A poll takes its secrets, makes its call, and is judged; nothing is kept between polls but what
 * the answers said. Polls are spread: each check begins at an instant of its own, and no two
 * intervals are alike. What is known of an endpoint is either seen by this daemon (`sure`) or was
 * loaded: shown until the first answer, but no gate goes by it. */
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/check.h"
#include "core/event.h"
#include "core/gate.h"
#include "core/record.h"
#include "core/timer.h"
#include "kinds/http_answer.h"
#include "kinds/http_request.h"

#define SPREAD	      (50 * USEC_MSEC) /* a check, at the start */
#define JITTER	      0.1
#define UNWRITTEN_MAX 64

/* --- when --------------------------------------------------------------------------------- */

static double dice(struct core *core)
{
	uint64_t n = core->ports.random.next(core->ports.random.self);

	return (double)(n >> 11) / 9007199254740992.0; /* 2^53: from 0, below 1 */
}

bool check_may_poll(const struct check *c)
{
	return !c->gone && c->spec && c->core->store != STORE_STANDBY;
}

/* All of them begin within the interval, and a few of them at once. */
void check_poll_soon(struct check *c)
{
	struct core *core = c->core;
	usec_t span;

	if (!check_may_poll(c))
		return;
	span = MIN((usec_t)core->n_checks * SPREAD, c->spec->interval);
	c->interval = c->spec->interval;
	timer_set_boot(core, &c->timer, core_boot(core) + (usec_t)((double)span * dice(core)));
}

void check_poll_later(struct check *c)
{
	struct core *core = c->core;
	usec_t span, least;

	if (!check_may_poll(c))
		return;
	c->interval = c->spec->interval;
	span = (usec_t)((double)c->interval * (1 - JITTER + 2 * JITTER * dice(core)));
	least = core_boot(core) + c->interval / 10;
	timer_set_boot(core, &c->timer, MAX(c->polled_at + span, least));
}

/* --- what the answers say ----------------------------------------------------------------- */

enum check_state check_state_now(const struct check *c)
{
	return c->sure ? c->now.state : CHECK_UNKNOWN;
}

void check_write(struct check *c)
{
	struct core *core = c->core;

	if (core->store != STORE_READY || !core->loaded)
		return;
	for (size_t i = 0; i < c->n_unwritten; i++) {
		record_transition(core, c->name, c->environment, &c->unwritten[i]);
		free(c->unwritten[i].detail);
	}
	c->n_unwritten = 0;
}

/* A later row of the same instant replaces the earlier one. */
void check_to_write(struct check *c, const struct check_transition *t)
{
	struct check_transition *last = c->n_unwritten ? &c->unwritten[c->n_unwritten - 1] : NULL;

	if (last && last->at == t->at) {
		last->ended_at = t->ended_at;
		return;
	}
	if (c->n_unwritten == UNWRITTEN_MAX) {
		free(c->unwritten[0].detail);
		c->n_unwritten--;
		memmove(c->unwritten, c->unwritten + 1, c->n_unwritten * sizeof(*c->unwritten));
	}
	XGROW(c->unwritten, c->n_unwritten, c->cap_unwritten);
	c->unwritten[c->n_unwritten] = *t;
	c->unwritten[c->n_unwritten++].detail = xstrdup(t->detail);
}

void check_end_stretch(struct check *c, usec_t at)
{
	if (c->now.state == CHECK_UNKNOWN || c->now.ended_at)
		return;
	c->now.ended_at = MAX(at, c->now.at);
	check_to_write(c, &c->now);
}

static void tell(const struct check *c, const struct check_transition *before)
{
	struct core_notice n = {
		.check = c->name,
		.environment = c->environment,
		.priority = c->now.state == CHECK_DOWN ? LOG_WARNING : 0,
	};
	_cleanup_free_ char *was = NULL;
	char span[DURATION_MAX];

	if (before->state != CHECK_UNKNOWN)
		was = xasprintf("; it was %s for %s", check_state_name(before->state),
			format_duration(MAX(c->now.at - before->at, 0), span));
	core_notice(c->core, EVENT_CHECK_CHANGED, &n, "check %s%s%s is %s%s%s%s", c->name,
		c->environment ? " of " : "", c->environment ? c->environment : "",
		check_state_name(c->now.state), c->now.detail ? ": " : "",
		c->now.detail ? c->now.detail : "", was ? was : "");
}

static void enter(struct check *c, enum check_state state, const char *detail)
{
	struct check_transition before = c->now;
	usec_t at = c->checked_at;

	c->sure = true;
	if (state == c->now.state)
		return;
	check_end_stretch(c, at);
	c->now = (struct check_transition){
		.state = state,
		.at = at == before.at ? at + 1 : at,
		.detail = xstrdup(detail),
	};
	check_to_write(c, &c->now);
	check_write(c);
	tell(c, &before);
	free(before.detail);
}

static void answered_well(struct check *c)
{
	c->bad = 0;
	c->good++;
	if (!c->sure || c->good >= c->spec->rise)
		enter(c, CHECK_UP, NULL);
}

static void answered_badly(struct check *c)
{
	c->good = 0;
	c->bad++;
	if (c->bad >= c->spec->fall || (!c->sure && c->now.state == CHECK_DOWN))
		enter(c, CHECK_DOWN, c->reason);
}

static void answered_starting(struct check *c)
{
	c->good = c->bad = 0;
	enter(c, CHECK_STARTING, NULL);
}

enum verdict {
	WELL,
	BAD,
	STARTING,
};

/* The last thing done with an answer: what waits may cease to, and the check be gone. */
static void conclude(struct check *c, enum verdict verdict, char *take_reason)
{
	struct core *core = c->core;
	enum check_state before = check_state_now(c);

	free(c->reason);
	c->reason = take_reason;
	c->checked_at = core_now(core);
	if (verdict == WELL)
		answered_well(c);
	else if (verdict == STARTING)
		answered_starting(c);
	else
		answered_badly(c);
	check_poll_later(c);
	if (check_state_now(c) != before)
		gates_check_changed(core, c->name, c->environment);
}

/* --- one poll ----------------------------------------------------------------------------- */

static void wipe_values(struct secrets_request *r, char **values)
{
	for (size_t i = 0; values && r->names[i]; i++)
		wipe_free(values[i]);
	free(values);
}

/* What only a poll needs. */
void check_poll_fini(struct check *c)
{
	strv_free(c->secrets.names);
	free(c->secrets.environment);
	c->secrets = (struct secrets_request){0};
	kind_request_fini(&c->call.request);
	mask_set_free(c->call.mask);
	node_free(c->params);
	c->call = (struct http_call){0};
	c->params = NULL;
}

/* Metabase: 503 {"status":"initializing","progress":0.4}, or in words. */
static bool is_starting(int status, const char *body, size_t len, double *ret_progress)
{
	_cleanup_json_ cJSON *json = NULL;
	const cJSON *progress;

	if (status != 503)
		return false;
	if (json_parse(body, len, &json) < 0)
		return strstr(body, "still initializing") != NULL;
	if (!str_eq(json_string(json, "status"), "initializing"))
		return false;
	progress = json_get(json, "progress");
	if (cJSON_IsNumber(progress))
		*ret_progress = MIN(MAX(progress->valuedouble, 0.0), 1.0);
	return true;
}

static enum verdict judge(struct check *c, int status, const char *error, const char *body,
	size_t body_len, char **ret_reason)
{
	struct http_wants wants = {
		.expect = node_get(c->params, "expect"),
		.text = node_string(c->params, "text"),
	};
	_cleanup_free_ int64_t *codes = http_codes(c->params, &wants.n_codes);

	wants.codes = codes;
	c->progress = -1;
	if (status == 0) {
		*ret_reason = xstrdup(error ? error : "no answer");
		return BAD;
	}
	if (http_answer_fits(&wants, status, body, body_len, c->call.mask, ret_reason))
		return WELL;
	return is_starting(status, body, body_len, &c->progress) ? STARTING : BAD;
}

static void call_done(
	struct http_call *call, int status, const char *error, const char *body, size_t body_len)
{
	struct check *c = container_of(call, struct check, call);
	char *reason = NULL;
	enum verdict verdict = judge(c, status, error, body, body_len, &reason);

	c->calling = false;
	check_poll_fini(c);
	conclude(c, verdict, reason);
}

static struct mask_set *mask_of(const struct secrets_request *r, char *const *values)
{
	struct mask_set *mask;

	if (!values)
		return NULL;
	mask = mask_set_new();
	for (size_t i = 0; r->names[i]; i++)
		mask_set_add_secret(mask, values[i], strlen(values[i]));
	mask_set_build(mask);
	return mask;
}

static int fill_call(struct check *c, char *const *values, char **ret_error)
{
	struct scope scope = {
		.environment = c->scope,
		.secret_names = (const char *const *)c->secrets.names,
		.secret_values = values,
		.n_secrets = values ? strv_length(c->secrets.names) : 0,
	};
	const char *method;
	int r = scope_expand_tree(&scope, c->spec->params, &c->params, ret_error);

	if (r < 0)
		return r;
	if (!c->core->ports.http.start) {
		*ret_error = xstrdup("no HTTP calls can be made here");
		return -ENOSYS;
	}
	method = node_string(c->params, "method");
	method = method ? method : "GET";
	r = http_method_check(method, ret_error);
	if (r == 0)
		r = http_request_fill(c->params, method, &c->call.request, ret_error);
	c->call.request.timeout = c->spec->timeout;
	return r;
}

static void call_out(struct check *c, char **take_values)
{
	struct http_port *http = &c->core->ports.http;
	_cleanup_free_ char *error = NULL;
	int r;

	c->call.mask = mask_of(&c->secrets, take_values);
	c->call.done = call_done;
	c->call.owner = c;
	r = fill_call(c, take_values, &error);
	wipe_values(&c->secrets, take_values);
	if (r < 0) {
		char *masked = mask_string(c->call.mask, error ? error : strerror(-r));

		check_poll_fini(c);
		conclude(c, BAD, masked);
		return;
	}
	c->calling = true;
	http->start(http->self, &c->call);
}

static void secrets_done(struct secrets_request *r, const char *error, char **take_values)
{
	struct check *c = container_of(r, struct check, secrets);

	c->asking = false;
	if (!c->stale && !error) {
		call_out(c, take_values);
		return;
	}
	wipe_values(r, take_values);
	check_poll_fini(c);
	if (c->gone)
		check_remove(c);
	else if (c->stale)
		check_poll_soon(c);
	else
		conclude(c, BAD, xstrdup(error));
}

static void ask_for_secrets(struct check *c)
{
	struct secrets_port *secrets = &c->core->ports.secrets;

	c->secrets.environment = xstrdup(c->environment);
	c->secrets.done = secrets_done;
	c->secrets.owner = c;
	c->asking = true;
	c->stale = false;
	secrets->fetch(secrets->self, &c->secrets);
}

/* What may have an effect there needs the lease; asking does not. */
static bool is_allowed(const struct check *c)
{
	const struct core *core = c->core;
	const char *method = node_string(c->spec->params, "method");

	return !method || http_method_is_safe(method) ||
	       core_boot(core) < core->ports.store.lease(core->ports.store.self);
}

void check_poll_now(struct core *core, struct timer *t)
{
	struct check *c = container_of(t, struct check, timer);

	if (c->asking || c->calling)
		return;
	c->polled_at = core_boot(core);
	if (!is_allowed(c)) {
		check_poll_later(c);
		return;
	}
	c->secrets.names = scope_check_secret_names(c->scope, c->spec->params);
	if (c->secrets.names[0])
		ask_for_secrets(c);
	else
		call_out(c, NULL);
}

/* Secrets that are on their way come, and are not used. */
void check_poll_cancel(struct check *c)
{
	struct http_port *http = &c->core->ports.http;

	timer_clear(c->core, &c->timer);
	if (c->calling && !c->core->freeing)
		http->cancel(http->self, &c->call);
	c->calling = false;
	c->stale = c->asking;
	if (!c->asking)
		check_poll_fini(c);
}
