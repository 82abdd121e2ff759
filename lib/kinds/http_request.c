/* See http_request.h. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/http_request.h"

#define ANSWER_CAP ((size_t)1024 * 1024)
#define SLOW	   (5 * USEC_MINUTE)

enum {
	METHOD_MAX = 16,
};

/* --- the method --------------------------------------------------------------------------- */

int http_method_check(const char *method, char **ret_error)
{
	size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (len > 0 && len <= METHOD_MAX && !method[len])
		return 0;
	*ret_error = xstrdup("http: the method must be a word like GET or POST");
	return -EINVAL;
}

bool http_method_is_safe(const char *method)
{
	return str_eq(method, "GET") || str_eq(method, "HEAD");
}

/* --- headers and body --------------------------------------------------------------------- */

/* A string as it is, other values as JSON has them. The caller frees. */
static char *text_of(const struct node *n)
{
	_cleanup_json_ cJSON *json = NULL;

	if (n->type == NODE_STRING)
		return xstrdup(n->string);
	json = node_to_json(n);
	return json_print(json);
}

static bool header_is_sound(const char *name, const char *value)
{
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("()<>@,;:\\\"/[]?={}", *p))
			return false;
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return *name;
}

static int add_headers(const struct node *headers, struct kind_request *ret, char **ret_error)
{
	size_t n = 0;

	for (size_t i = 0; headers && i < headers->n_children; i++) {
		const struct node *h = headers->children[i];
		_cleanup_free_ char *value = text_of(h);

		if (!header_is_sound(h->key, value)) {
			*ret_error = xasprintf(
				"http: the header %s is not one that can be sent", h->key);
			return -EINVAL;
		}
		ret->headers = strv_add(ret->headers, &n, xasprintf("%s: %s", h->key, value));
	}
	return 0;
}

static bool has_header(const struct node *headers, const char *name)
{
	for (size_t i = 0; headers && i < headers->n_children; i++)
		if (strcasecmp(headers->children[i]->key, name) == 0)
			return true;
	return false;
}

static void add_body(const char *body, const struct node *headers, struct kind_request *ret)
{
	_cleanup_json_ cJSON *json = NULL;
	size_t n = ret->headers ? strv_length(ret->headers) : 0;
	const char *type = "text/plain; charset=utf-8";

	if (!body)
		return;
	ret->body = xstrdup(body);
	if (has_header(headers, "Content-Type"))
		return;
	if (json_parse(body, strlen(body), &json) == 0)
		type = "application/json";
	ret->headers = strv_add(ret->headers, &n, xasprintf("Content-Type: %s", type));
}

/* --- all of it ---------------------------------------------------------------------------- */

int http_request_fill(
	const struct node *params, const char *method, struct kind_request *ret, char **ret_error)
{
	const struct node *headers = node_get(params, "headers");
	int r = add_headers(headers, ret, ret_error);

	if (r < 0)
		return r;
	add_body(node_string(params, "body"), headers, ret);
	ret->url = xstrdup(node_string(params, "url"));
	ret->method = xstrdup(method);
	ret->slow = SLOW;
	ret->cap = ANSWER_CAP;
	return 0;
}

int64_t *http_codes(const struct node *params, size_t *ret_n)
{
	const struct node *codes = node_get(params, "codes");
	int64_t *list = xcalloc(codes ? codes->n_children + 1 : 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; codes && i < codes->n_children; i++)
		if (codes->children[i]->type == NODE_INT)
			list[n++] = codes->children[i]->integer;
	*ret_n = n;
	return list;
}
