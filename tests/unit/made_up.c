#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/made_lane.h"
#include "tests/unit/made_up.h"

struct made_up {
	char *words[16];
	size_t n, next;
	char *text;
	unsigned attempt;
};

#define KEYS(its_name)                                                                             \
	{                                                                                          \
		{.section = its_name,                                                              \
			.name = "does",                                                            \
			.type = KEY_TEMPLATE,                                                      \
			.doc = "what it does"},                                                    \
			{.section = its_name,                                                      \
				.name = "says",                                                    \
				.type = KEY_TEMPLATE,                                              \
				.doc = "what it tells its lane"},                                  \
	}

static const struct key keys[] = KEYS("made_up"), plans_keys[] = KEYS("made_up_plans");

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
	if (event->type == KIND_SERVED)
		return event->outcome == OUTCOME_OK;
	return event->type != KIND_ANSWERED || event->http_status == 200;
}

static const char *argument(const char *word)
{
	const char *colon = strchr(word, ':');

	return colon ? colon + 1 : "";
}

/* The word whose action has just ended was a plan. */
static void note_plan(const struct made_up *m, const struct kind_event *event, cJSON *note)
{
	if (str_starts(event->action, "plan"))
		json_set_string(note, "hash", argument(m->words[m->next - 1]));
}

static cJSON *plan_rows(const char *hash, usec_t at)
{
	static const char change[] = "{'address':'metabase_card.a','action':'create'}";
	_cleanup_free_ char *text = xasprintf(
		"{'plan':[{'hash':'%s','changes':[%s],'summary':{'add':1,'change':0,'destroy':0,"
		"'replace':0}}]}",
		hash, change);
	cJSON *rows = NULL;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_parse(text, strlen(text), &rows);
	json_set_time(json_get(rows, "plan")->child, "made_at", at);
	return rows;
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
		note_plan(m, event, ret->note);
		if (json_string(ret->note, "hash") && !event->note)
			ret->rows = plan_rows(json_string(ret->note, "hash"), event->at);
	}
	if (!well) {
		bool served = event->type == KIND_SERVED;

		done(ret, served ? OUTCOME_NOT_READY : OUTCOME_TRANSIENT,
			served ? "its lane did not serve it" : "an action failed");
		return;
	}
	word = m->next < m->n ? m->words[m->next] : NULL;
	if (!word) {
		done(ret, OUTCOME_OK, NULL);
		return;
	}
	m->next++;
	if (str_eq(word, "told")) {
		if (m->attempt > 1 && (!ctx->before || json_bool(ctx->before, "well", true))) {
			done(ret, OUTCOME_FAILED, "nobody told of the attempt before");
			return;
		}
		made_up_next(state, ctx, &(struct kind_event){.type = KIND_BEGIN}, ret);
		return;
	}
	if (str_starts(word, "not_ready:")) {
		if (m->attempt <= (unsigned)(word[10] - '0')) {
			done(ret, OUTCOME_NOT_READY, "3 of 7 tables are missing");
			return;
		}
		made_up_next(state, ctx, &(struct kind_event){.type = KIND_BEGIN}, ret);
		return;
	}
	snprintf(ret->action, sizeof(ret->action), "%.*s%zu", (int)strcspn(word, ":"), word,
		m->next);
	ret->type = str_eq(word, "http")       ? KIND_HTTP
		    : str_eq(word, "wait")     ? KIND_WAIT
		    : str_eq(word, "lane")     ? KIND_JOIN
		    : str_eq(word, "query")    ? KIND_QUERY
		    : str_starts(word, "ask:") ? KIND_ASK
					       : KIND_SPAWN;
	if (ret->type == KIND_ASK)
		ret->hash = xstrdup(argument(word));
	ret->repeatable = !str_eq(word, "once") && !str_eq(word, "looks");
	ret->looks = str_eq(word, "looks");
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

static int made_up_join(void *state, const struct kind_context *ctx, const char *action,
	struct lane_want *ret, char **ret_error)
{
	const char *says = node_string(ctx->params, "says");
	_cleanup_free_ char *text = NULL;
	int r = ctx->expand(ctx, says ? says : "", &text, ret_error);

	if (r < 0)
		return r;
	ret->kind = &lane_made_up;
	ret->key = xstrdup(ctx->environment ? ctx->environment : "m");
	ret->want = made_want_new(text, str_eq(text, "never") ? 100000 : 3, ctx->timeout);
	return 0;
}

static int made_up_query(void *state, const struct kind_context *ctx, const char *action,
	struct kind_query *ret, char **ret_error)
{
	ret->conninfo = xstrdup("host=nowhere");
	ret->sql = "SELECT 1";
	ret->timeout = USEC_MINUTE;
	return 0;
}

#define MADE_UP(its_name, its_keys, it_plans)                                                      \
	{                                                                                          \
		.spec =                                                                            \
			{                                                                          \
				.name = its_name,                                                  \
				.value = KEY_GROUP,                                                \
				.doc = "a kind for tests",                                         \
				.keys = its_keys,                                                  \
				.n_keys = ARRAY_SIZE(its_keys),                                    \
				.takes_secrets = true,                                             \
			},                                                                         \
		.new = made_up_new, .free = made_up_free, .next = made_up_next,                    \
		.spawn = made_up_spawn, .request = made_up_request, .join = made_up_join,          \
		.query = made_up_query, .plans = it_plans,                                         \
	}

const struct kind kind_made_up = MADE_UP("made_up", keys, false);
const struct kind kind_made_up_plans = MADE_UP("made_up_plans", plans_keys, true);
