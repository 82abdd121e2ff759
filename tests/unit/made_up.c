#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/made_up.h"

struct made_up {
	char *words[16];
	size_t n, next;
	char *text;
	unsigned attempt;
};

static const struct key keys[] = {
	{.section = "made_up", .name = "does", .type = KEY_TEMPLATE, .doc = "what it does"},
};

static void *made_up_new(const struct kind_context *ctx)
{
	struct made_up *m = xnew(struct made_up);
	char *rest;

	m->attempt = ctx->attempt;
	m->text = rest = xstrdup(node_string(ctx->params, "does"));
	for (char *word = strsep(&rest, " "); word; word = strsep(&rest, " "))
		m->words[m->n++] = word;
	return m;
}

static void made_up_free(void *state)
{
	struct made_up *m = state;

	free(m->text);
	free(m);
}

static void done(struct kind_command *ret, enum outcome outcome, const char *reason)
{
	ret->type = KIND_DONE;
	ret->outcome = outcome;
	ret->reason = xstrdup(reason);
}

/* What came back decides, and on replay what was noted of it. */
static bool went_well(const struct kind_event *event)
{
	if (event->note)
		return json_bool(event->note, "well", false);
	if (event->type == KIND_ENDED)
		return event->status->end == END_EXITED && event->status->code == 0;
	return event->type != KIND_ANSWERED || event->http_status == 200;
}

static void made_up_next(void *state, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	struct made_up *m = state;
	const char *word;
	bool well = event->type == KIND_BEGIN || went_well(event);

	if (event->type != KIND_BEGIN) {
		ret->note = cJSON_CreateObject();
		json_set_bool(ret->note, "well", well);
	}
	if (!well) {
		done(ret, OUTCOME_TRANSIENT, "an action failed");
		return;
	}
	word = m->next < m->n ? m->words[m->next] : NULL;
	if (!word) {
		done(ret, OUTCOME_OK, NULL);
		return;
	}
	m->next++;
	if (str_starts(word, "not_ready:")) {
		if (m->attempt <= (unsigned)(word[10] - '0')) {
			done(ret, OUTCOME_NOT_READY, "3 of 7 tables are missing");
			return;
		}
		made_up_next(state, ctx, &(struct kind_event){.type = KIND_BEGIN}, ret);
		return;
	}
	snprintf(ret->action, sizeof(ret->action), "%s%zu", word, m->next);
	ret->type = str_eq(word, "http")   ? KIND_HTTP
		    : str_eq(word, "wait") ? KIND_WAIT
					   : KIND_SPAWN;
	ret->repeatable = !str_eq(word, "once");
	ret->wait = 10 * USEC_SEC;
}

static int made_up_spawn(void *state, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error)
{
	size_t n = 0;

	ret->argv = strv_add(NULL, &n, xstrdup("/usr/bin/true"));
	return 0;
}

static int made_up_request(void *state, const struct kind_context *ctx, const char *action,
	struct kind_request *ret, char **ret_error)
{
	ret->url = xasprintf("http://127.0.0.1%s/%s", ctx->attempt_directory, action);
	ret->method = xstrdup("POST");
	return 0;
}

const struct kind kind_made_up = {
	.spec =
		{
			.name = "made_up",
			.value = KEY_GROUP,
			.doc = "a kind for tests",
			.keys = keys,
			.n_keys = ARRAY_SIZE(keys),
		},
	.new = made_up_new,
	.free = made_up_free,
	.next = made_up_next,
	.spawn = made_up_spawn,
	.request = made_up_request,
};
