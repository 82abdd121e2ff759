/* See http_answer.h. What is quoted is masked first and cut after that: half a secret would no
 * longer be known as one. */
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/http_answer.h"

enum {
	QUOTE_MAX = 200, /* of what came */
	VALUE_MAX = 100, /* of one value */
};

static char *quote(const struct mask_set *mask, const char *text, size_t max)
{
	_cleanup_free_ char *masked = mask_string(mask, text);

	return text_one_line(masked, strlen(masked), max);
}

/* ": what it said", or nothing where that is a page for a browser. The caller frees. */
static char *last_part(const struct mask_set *mask, const char *body)
{
	_cleanup_free_ char *said = NULL;
	const char *begin = body ? body + strspn(body, " \t\r\n") : "";

	if (*begin == '<' || *begin == '\0')
		return xstrdup("");
	said = quote(mask, begin, QUOTE_MAX);
	return xasprintf(": %s", said);
}

/* --- the status --------------------------------------------------------------------------- */

bool http_status_fits(const struct http_wants *w, int status)
{
	for (size_t i = 0; i < w->n_codes; i++)
		if (w->codes[i] == status)
			return true;
	return w->n_codes == 0 && status >= 200 && status <= 299;
}

static char *status_reason(
	const struct http_wants *w, int status, const char *body, const struct mask_set *mask)
{
	_cleanup_buf_ struct buf wanted = BUF_NULL;
	_cleanup_free_ char *said = last_part(mask, body);
	bool moved = status >= 300 && status <= 399;

	for (size_t i = 0; i < w->n_codes; i++)
		buf_printf(&wanted, "%s%lld", i ? " or " : "", (long long)w->codes[i]);
	if (w->n_codes == 0)
		buf_puts(&wanted, "2xx");
	return xasprintf("%d instead of %s%s%s", status, buf_str(&wanted),
		moved ? " (redirects are not followed)" : "", said);
}

/* --- the fields of a JSON answer ---------------------------------------------------------- */

struct comparison {
	const struct mask_set *mask;
	struct buf path;
	char *reason; /* the first difference; NULL: none */
};

static void differs(struct comparison *c, const struct node *want, const cJSON *got)
{
	_cleanup_json_ cJSON *json = node_to_json(want);
	_cleanup_free_ char *wanted_text = json_print(json), *got_text = NULL;
	_cleanup_free_ char *wanted = quote(c->mask, wanted_text, VALUE_MAX), *came = NULL;

	if (got) {
		got_text = json_print(got);
		came = quote(c->mask, got_text, VALUE_MAX);
	}
	c->reason = xasprintf("%s is %s, not %s", c->path.len ? buf_str(&c->path) : "the answer",
		came ? came : "missing", wanted);
}

static bool number_is(const cJSON *got, double want)
{
	return cJSON_IsNumber(got) && !(got->valuedouble < want) && !(got->valuedouble > want);
}

static bool value_is(const struct node *want, const cJSON *got)
{
	switch (want->type) {
	case NODE_STRING:
		return cJSON_IsString(got) && str_eq(got->valuestring, want->string);
	case NODE_INT:
		return number_is(got, (double)want->integer);
	case NODE_FLOAT:
		return number_is(got, want->real);
	case NODE_BOOL:
		return cJSON_IsBool(got) && cJSON_IsTrue(got) == want->boolean;
	case NODE_GROUP:
		return cJSON_IsObject(got);
	case NODE_LIST:
		return cJSON_IsArray(got) && (size_t)cJSON_GetArraySize(got) == want->n_children;
	}
	return false;
}

static void compare(struct comparison *c, const struct node *want, const cJSON *got)
{
	if (!value_is(want, got)) {
		differs(c, want, got);
		return;
	}
	if (want->type != NODE_GROUP && want->type != NODE_LIST)
		return;
	for (size_t i = 0; i < want->n_children && !c->reason; i++) {
		const struct node *child = want->children[i];
		size_t above = c->path.len;

		if (want->type == NODE_LIST) {
			buf_printf(&c->path, "[%zu]", i);
			compare(c, child, cJSON_GetArrayItem(got, (int)i));
		} else {
			buf_printf(&c->path, "%s%s", above ? "." : "", child->key);
			compare(c, child, json_get(got, child->key));
		}
		c->path.len = above;
		c->path.data[above] = '\0';
	}
}

static char *fields_reason(
	const struct node *expect, const char *body, size_t body_len, const struct mask_set *mask)
{
	_cleanup_json_ cJSON *json = NULL;
	struct comparison c = {.mask = mask};

	if (json_parse(body ? body : "", body_len, &json) < 0) {
		_cleanup_free_ char *said = last_part(mask, body);

		return xasprintf("the answer is no JSON%s", said);
	}
	compare(&c, expect, json);
	buf_fini(&c.path);
	return c.reason;
}

/* --- all of it ---------------------------------------------------------------------------- */

static char *text_reason(const char *text, const char *body, const struct mask_set *mask)
{
	_cleanup_free_ char *wanted = quote(mask, text, VALUE_MAX), *said = last_part(mask, body);

	return xasprintf("the answer does not hold \"%s\"%s", wanted, said);
}

bool http_answer_fits(const struct http_wants *w, int status, const char *body, size_t body_len,
	const struct mask_set *mask, char **ret_reason)
{
	char *reason = NULL;

	if (!http_status_fits(w, status))
		reason = status_reason(w, status, body, mask);
	else if (w->text && !memmem(body ? body : "", body_len, w->text, strlen(w->text)))
		reason = text_reason(w->text, body, mask);
	else if (w->expect)
		reason = fields_reason(w->expect, body, body_len, mask);
	if (reason)
		*ret_reason = reason;
	return !reason;
}
