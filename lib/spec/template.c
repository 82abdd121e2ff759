/* ${scope.name} in strings: one scanner, which cuts a text into pieces, under expansion and search.
 */
#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "base/memory.h"
#include "spec/template.h"

#define RESULT_MAX    ((size_t)1 << 20) /* bytes of one result; of a tree: of all its strings */
#define REFERENCE_MAX 256		/* bytes between the braces */

struct piece {
	enum {
		PIECE_END,
		PIECE_TEXT,
		PIECE_REFERENCE,
	} type;
	const char *text; /* PIECE_TEXT: not terminated */
	size_t len;
	char scope[REFERENCE_MAX + 1]; /* PIECE_REFERENCE */
	const char *name;	       /* behind the first dot, inside `scope` */
};

static bool in_reference(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.' || c == '-';
}

/* No part between two dots is empty. */
static bool parts_are_full(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, ".");

		if (n == 0)
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

/* `*at` is behind "${"; afterwards behind "}". */
static int scan_reference(const char **at, struct piece *ret, char **ret_error)
{
	const char *s = *at;
	size_t n = 0;
	char *dot;

	while (in_reference(s[n]))
		n++;
	if (s[n] == '\0' || n > REFERENCE_MAX) {
		*ret_error = xasprintf("${%.*s is not closed by a }", (int)MIN(n, (size_t)40), s);
		return -EINVAL;
	}
	memcpy(ret->scope, s, n);
	ret->scope[n] = '\0';
	if (s[n] != '}' || !parts_are_full(ret->scope)) {
		*ret_error = xasprintf(
			"${%.40s is no reference: write ${scope.name}, and $$ for a dollar",
			ret->scope);
		return -EINVAL;
	}
	dot = strchr(ret->scope, '.');
	ret->name = dot ? dot + 1 : ret->scope + n;
	if (dot)
		*dot = '\0';
	ret->type = PIECE_REFERENCE;
	*at = s + n + 1;
	return 0;
}

/* Reads the next piece and moves `*at` behind it. */
static int scan(const char **at, struct piece *ret, char **ret_error)
{
	const char *s = *at;

	if (s[0] == '$' && s[1] == '{') {
		*at = s + 2;
		return scan_reference(at, ret, ret_error);
	}
	ret->type = s[0] ? PIECE_TEXT : PIECE_END;
	ret->text = s;
	if (s[0] == '$') {
		ret->len = 1;
		*at = s + (s[1] == '$' ? 2 : 1);
		return 0;
	}
	ret->len = strcspn(s, "$");
	*at = s + ret->len;
	return 0;
}

static int too_large(char **ret_error)
{
	*ret_error = xasprintf("it becomes larger than %zu bytes", RESULT_MAX);
	return -E2BIG;
}

static int append_and_wipe(struct buf *out, size_t room, char *take, char **ret_error)
{
	size_t len = take ? strlen(take) : 0;
	int r = 0;

	if (!take)
		return 0;
	if (len > room)
		r = too_large(ret_error);
	else
		buf_append(out, take, len);
	explicit_bzero(take, len); /* it may be a secret */
	free(take);
	return r;
}

static int append_value(struct buf *out, size_t room, const struct piece *p,
	template_lookup *lookup, void *context, char **ret_error)
{
	char *value;
	int r;

	r = lookup(context, p->scope, p->name, &value, ret_error);
	return r < 0 ? r : append_and_wipe(out, room, value, ret_error);
}

/* Expands into a result of at most `room` bytes. */
static int expand(const char *text, size_t room, template_lookup *lookup, void *context, char **ret,
	char **ret_error)
{
	_cleanup_buf_ struct buf out = BUF_NULL;
	struct piece p;
	int r;

	for (;;) {
		r = scan(&text, &p, ret_error);
		if (r < 0)
			return r;
		if (p.type == PIECE_END)
			break;
		if (p.type == PIECE_REFERENCE) {
			r = append_value(&out, room - out.len, &p, lookup, context, ret_error);
			if (r < 0)
				return r;
			continue;
		}
		if (p.len > room - out.len)
			return too_large(ret_error);
		buf_append(&out, p.text, p.len);
	}
	*ret = buf_steal(&out);
	return 0;
}

int template_expand(
	const char *text, template_lookup *lookup, void *context, char **ret, char **ret_error)
{
	return expand(text, RESULT_MAX, lookup, context, ret, ret_error);
}

static int expand_node(const struct node *in, size_t *room, template_lookup *lookup, void *context,
	struct node **ret, char **ret_error)
{
	_cleanup_node_ struct node *out = node_new(in->type, in->key, in->file, in->line);
	int r;

	switch (in->type) {
	case NODE_STRING: {
		char *text;

		r = expand(in->string, *room, lookup, context, &text, ret_error);
		if (r < 0)
			return r;
		free(out->string);
		out->string = text;
		*room -= strlen(text);
		break;
	}
	case NODE_INT:
		out->integer = in->integer;
		break;
	case NODE_FLOAT:
		out->real = in->real;
		break;
	case NODE_BOOL:
		out->boolean = in->boolean;
		break;
	case NODE_GROUP:
	case NODE_LIST:
		break;
	}
	for (size_t i = 0; i < in->n_children; i++) {
		struct node *child;

		r = expand_node(in->children[i], room, lookup, context, &child, ret_error);
		if (r < 0)
			return r;
		node_add(out, child);
	}
	*ret = TAKE_PTR(out);
	return 0;
}

int template_expand_tree(const struct node *in, template_lookup *lookup, void *context,
	struct node **ret, char **ret_error)
{
	size_t room = RESULT_MAX;

	return expand_node(in, &room, lookup, context, ret, ret_error);
}

int template_each(const char *text,
	int (*found)(void *context, const char *scope, const char *name), void *context,
	char **ret_error)
{
	struct piece p;
	int r;

	for (;;) {
		r = scan(&text, &p, ret_error);
		if (r < 0)
			return r;
		if (p.type == PIECE_END)
			return 0;
		if (p.type != PIECE_REFERENCE)
			continue;
		r = found(context, p.scope, p.name);
		if (r != 0)
			return r;
	}
}

int template_each_tree(const struct node *in,
	int (*found)(void *context, const char *scope, const char *name), void *context,
	char **ret_error)
{
	int r;

	if (in->type == NODE_STRING)
		return template_each(in->string, found, context, ret_error);
	for (size_t i = 0; i < in->n_children; i++) {
		r = template_each_tree(in->children[i], found, context, ret_error);
		if (r != 0)
			return r;
	}
	return 0;
}
