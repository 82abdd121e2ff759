/* Happy path: the files become tokens (source.c), the tokens are checked (syntax.c) and written
 * out again for libconfig, each on a line of its own, so that a setting's line is the number of
 * its token, which knows file and line; libconfig's settings become nodes.
 * Failures: a file that cannot be read and a syntax error leave no tree; a value with a trap in it
 * is complained of and replaced, so that everything else is checked too. */
#include <errno.h>
#include <libconfig.h>
#include <string.h>
#include "base/buf.h"
#include "base/memory.h"
#include "daemon/config/read.h"
#include "daemon/config/token.h"

struct written {
	struct buf text;
	const struct token **lines; /* the first token of each line */
	size_t n, cap;
};

static void written_fini(struct written *w)
{
	buf_fini(&w->text);
	free(w->lines);
}

static void write_string(struct buf *out, const char *s)
{
	buf_putc(out, '"');
	for (; *s; s++) {
		if (*s == '\n')
			buf_puts(out, "\\n");
		else if (*s == '\r')
			buf_puts(out, "\\r");
		else if (*s == '"' || *s == '\\')
			buf_printf(out, "\\%c", *s);
		else
			buf_putc(out, *s);
	}
	buf_putc(out, '"');
}

/* libconfig looks one token ahead and takes the line from there: what can follow a value stands on
 * the value's line. */
static bool ends_something(int type)
{
	return type == ',' || type == ';' || type == ')' || type == ']' || type == '}';
}

static void write_token(struct written *w, const struct token *t)
{
	if (w->n == 0 || !ends_something(t->type)) {
		if (w->n)
			buf_putc(&w->text, '\n');
		XGROW(w->lines, w->n, w->cap);
		w->lines[w->n++] = t;
	}
	if (t->type == TOKEN_STRING)
		write_string(&w->text, t->text);
	else if (t->text)
		buf_puts(&w->text, t->text);
	else
		buf_putc(&w->text, (char)t->type);
}

static const struct token *token_at(const struct written *w, unsigned line)
{
	return w->n == 0 ? NULL : w->lines[line == 0 ? 0 : MIN((size_t)line, w->n) - 1];
}

static enum node_type type_of(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_GROUP:
		return NODE_GROUP;
	case CONFIG_TYPE_STRING:
		return NODE_STRING;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return NODE_INT;
	case CONFIG_TYPE_FLOAT:
		return NODE_FLOAT;
	case CONFIG_TYPE_BOOL:
		return NODE_BOOL;
	default:
		return NODE_LIST;
	}
}

static struct node *make_node(const struct written *w, const config_setting_t *s);

static void add_children(const struct written *w, struct node *n, const config_setting_t *s)
{
	int count = config_setting_length(s);

	for (int i = 0; i < count; i++) {
		const config_setting_t *child = config_setting_get_elem(s, (unsigned)i);
		const char *name = config_setting_name(child);

		if (!name || name[0] != DUPLICATE_MARK)
			node_add(n, make_node(w, child));
	}
}

static struct node *make_node(const struct written *w, const config_setting_t *s)
{
	const struct token *t = token_at(w, config_setting_source_line(s));
	struct node *n =
		node_new(type_of(s), config_setting_name(s), t ? t->file : NULL, t ? t->line : 0);

	switch (n->type) {
	case NODE_STRING:
		n->string = xstrdup(config_setting_get_string(s));
		break;
	case NODE_INT:
		n->integer = config_setting_get_int64(s);
		break;
	case NODE_FLOAT:
		n->real = config_setting_get_float(s);
		break;
	case NODE_BOOL:
		n->boolean = config_setting_get_bool(s);
		break;
	case NODE_GROUP:
	case NODE_LIST:
		add_children(w, n, s);
		break;
	}
	return n;
}

static int parse(const struct written *w, struct complaints *complaints, struct node **ret)
{
	config_t config;
	int r = 0;

	config_init(&config);
	if (config_read_string(&config, buf_str(&w->text))) {
		*ret = make_node(w, config_root_setting(&config));
	} else {
		const struct token *t = token_at(w, (unsigned)config_error_line(&config));

		complain(complaints, t ? t->file : NULL, t ? t->line : 0, "%s",
			config_error_text(&config));
		r = -EINVAL;
	}
	config_destroy(&config);
	return r;
}

int config_read_tree(const char *path, struct complaints *complaints, struct node **ret)
{
	_cleanup_(written_fini) struct written w = {0};
	_cleanup_(tokens_fini) struct tokens tokens = {0};
	struct node *root;
	int r;

	r = source_read(path, complaints, &tokens);
	if (r < 0)
		return r;
	r = syntax_check(&tokens, complaints);
	if (r < 0)
		return r;
	for (size_t i = 0; tokens.items[i].type != TOKEN_END; i++)
		write_token(&w, &tokens.items[i]);
	r = parse(&w, complaints, &root);
	if (r < 0)
		return r;
	root->file = node_file(path);
	root->line = 1;
	*ret = root;
	return 0;
}
