/* The kind `http`: one call, judged by its answer.
 *
 * Happy path: begin -> the call -> an answer that is as expected -> done.
 * Failures: 429, 502, 503 and 504 are `transient`, as is a call that never left; any other answer
 * that was not expected is `failed`. A call that may have arrived and whose answer was lost is
 * `transient` where it may be repeated (GET and HEAD), else `failed`: it may have had its effect.
 * After a crash the core asks a person about such a one.
 *
 * Secrets may be in the URL, the headers, the body and what is expected: those are expanded when
 * the call goes out, and kept for its answer. */
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/exit.h"
#include "kinds/http_answer.h"
#include "kinds/http_request.h"
#include "kinds/kind_table.h"

struct http {
	char *method;
	bool repeatable;
	struct node *params; /* expanded with secrets; NULL until the call goes out */
	int64_t *codes;
	size_t n_codes;
};

static void *http_new(const struct kind_context *ctx)
{
	struct http *h = xnew(struct http);

	h->codes = http_codes(ctx->params, &h->n_codes);
	return h;
}

static void http_free(void *state)
{
	struct http *h = state;

	if (!h)
		return;
	free(h->method);
	free(h->codes);
	node_free(h->params);
	free(h);
}

/* --- the call ----------------------------------------------------------------------------- */

static int read_method(struct http *h, const struct kind_context *ctx, char **ret_error)
{
	const char *method = node_string(ctx->params, "method");
	int r = ctx->expand(ctx, method ? method : "GET", &h->method, ret_error);

	if (r == 0)
		r = http_method_check(h->method, ret_error);
	h->repeatable = http_method_is_safe(h->method);
	return r;
}

static void http_begin(struct http *h, const struct kind_context *ctx, struct kind_command *ret)
{
	if (read_method(h, ctx, &ret->reason) < 0) {
		ret->type = KIND_DONE;
		ret->outcome = OUTCOME_FAILED;
		return;
	}
	ret->type = KIND_HTTP;
	strcpy(ret->action, "call");
	ret->repeatable = h->repeatable;
}

static int http_request(void *state, const struct kind_context *ctx, const char *action,
	struct kind_request *ret, char **ret_error)
{
	struct http *h = state;
	int r;

	node_free(h->params);
	h->params = NULL;
	r = ctx->expand_tree(ctx, ctx->params, &h->params, ret_error);
	if (r < 0)
		return r;
	ret->timeout = ctx->timeout;
	return http_request_fill(h->params, h->method, ret, ret_error);
}

/* --- its answer --------------------------------------------------------------------------- */

static bool status_may_pass(int status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

static void judge_answer(struct http *h, const struct kind_event *event, struct kind_command *ret)
{
	struct http_wants wants = {
		.codes = h->codes,
		.n_codes = h->n_codes,
		.expect = node_get(h->params, "expect"),
		.text = node_string(h->params, "text"),
	};
	int status = event->http_status;

	if (http_answer_fits(
		    &wants, status, event->body, event->body_len, event->mask, &ret->reason))
		ret->outcome = OUTCOME_OK;
	else if (!http_status_fits(&wants, status) && status_may_pass(status))
		ret->outcome = OUTCOME_TRANSIENT;
	else
		ret->outcome = OUTCOME_FAILED;
}

static void judge_trouble(struct http *h, const struct kind_event *event, struct kind_command *ret)
{
	bool may_have_arrived = false;

	switch (event->http_trouble) {
	case HTTP_UNSENT:
		ret->outcome = OUTCOME_TRANSIENT;
		break;
	case HTTP_UNFIT:
		ret->outcome = OUTCOME_FAILED;
		break;
	case HTTP_TIMED_OUT:
		ret->outcome = OUTCOME_TIMED_OUT;
		may_have_arrived = true;
		break;
	case HTTP_LOST:
		ret->outcome = h->repeatable ? OUTCOME_TRANSIENT : OUTCOME_FAILED;
		may_have_arrived = true;
		break;
	}
	ret->reason = xasprintf("%s%s", event->http_error ? event->http_error : "no answer",
		may_have_arrived && !h->repeatable ? "; the call may have had its effect" : "");
}

static void http_next(void *state, const struct kind_context *ctx, const struct kind_event *event,
	struct kind_command *ret)
{
	if (event->type == KIND_BEGIN) {
		http_begin(state, ctx, ret);
		return;
	}
	if (event->note) {
		kind_done_from_note(event->note, ret);
		return;
	}
	ret->type = KIND_DONE;
	if (event->http_status)
		judge_answer(state, event, ret);
	else
		judge_trouble(state, event, ret);
	kind_note_done(ret);
}

const struct kind kind_http = {
	.spec = SPEC_HTTP,
	.new = http_new,
	.free = http_free,
	.next = http_next,
	.request = http_request,
};
