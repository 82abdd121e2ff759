/* libconfig's grammar, for the sake of its errors: libconfig says "syntax error" and a line near
 * it, this says what is wrong and where.
 *
 *   settings: { NAME = value [; or ,] }
 *   value:    STRING... | INT | FLOAT | BOOL | [ simple, ... ] | ( value, ... ) | { settings }
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/config/token.h"

#define DEPTH_MAX 64

struct parser {
	struct token *t; /* the next one */
	const struct token *first;
	struct complaints *complaints;
	unsigned depth, n_renamed;
};

static int parse_settings(struct parser *p, const struct token *open);
static int parse_value(struct parser *p, const struct token *list);

/* --- saying it ---------------------------------------------------------------------------- */

/* A missing quote lets a string run up to the next quote, lines below; what follows is stuck to it.
 */
static const struct token *runaway_string(const struct parser *p, const struct token *t)
{
	const struct token *before = t > p->first ? t - 1 : NULL;

	if (!before || before->type != TOKEN_STRING || before->end == before->line)
		return NULL;
	return t->file == before->file && t->line == before->end ? before : NULL;
}

static int fail(struct parser *p, const struct token *at, const char *format, ...) _printf_(3, 4);
static int fail(struct parser *p, const struct token *at, const char *format, ...)
{
	const struct token *string = runaway_string(p, at);
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (!string)
		string = runaway_string(p, p->t);
	if (string) {
		complain(p->complaints, string->file, string->line,
			"syntax error: this string goes on to line %u: is its closing quote "
			"missing?",
			string->end);
		return -EINVAL;
	}
	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	complain(p->complaints, at->file, at->line, "syntax error: %s", text);
	return -EINVAL;
}

static const char *shown(const struct token *t, char buf[64])
{
	if (t->type == TOKEN_END)
		return "the end of the file";
	if (t->type == TOKEN_STRING)
		snprintf(buf, 64, "\"%.40s\"", t->text);
	else if (t->text)
		snprintf(buf, 64, "%.40s", t->text);
	else
		snprintf(buf, 64, "'%c'", t->type);
	return buf;
}

/* "5m": a number and the word stuck to it. */
static int needs_quotes(struct parser *p)
{
	const struct token *t = p->t, *number = t - 1;
	size_t len = strlen(number->text) - (number->type == TOKEN_INT); /* without its L */

	return fail(p, t, "%.*s%s needs quotes: \"%.*s%s\"", (int)len, number->text, t->text,
		(int)len, number->text, t->text);
}

static bool is_stuck_to_number(const struct parser *p)
{
	return p->t->type == TOKEN_NAME && p->t->glued && p->t > p->first &&
	       (p->t[-1].type == TOKEN_INT || p->t[-1].type == TOKEN_FLOAT);
}

static char closer(int open)
{
	return open == '{' ? '}' : open == '[' ? ']' : ')';
}

/* What follows does not belong here; `wanted` says what does. `open`: the bracket we are in. */
static int unexpected(struct parser *p, const struct token *open, const char *wanted)
{
	const struct token *t = p->t;
	char buf[64];

	if (t->type == TOKEN_BAD)
		return fail(p, t, "%s", t->text);
	if (t->type == TOKEN_END && open)
		return fail(p, open, "this '%c' is never closed by a '%c'", open->type,
			closer(open->type));
	if (open && (t->type == '}' || t->type == ')' || t->type == ']') &&
		t->type != closer(open->type))
		return fail(p, t,
			"'%c' where the '%c' of line %u is still open: a '%c' is missing before",
			t->type, open->type, open->line, closer(open->type));
	return fail(p, t, "%s, not %s", wanted, shown(t, buf));
}

/* --- names -------------------------------------------------------------------------------- */

struct names {
	struct token **items;
	size_t n, cap;
};

static void names_fini(struct names *n)
{
	free(n->items);
}

/* Equal names next to each other, in the order of the text. */
static int by_name(const void *a, const void *b)
{
	const struct token *x = *(struct token *const *)a, *y = *(struct token *const *)b;
	int r = strcmp(x->text, y->text);

	return r ? r : (x > y) - (x < y);
}

static void say_duplicate(struct parser *p, const struct token *t, const struct token *first)
{
	if (first->file == t->file)
		complain(p->complaints, t->file, t->line,
			"duplicate name \"%s\": it is already in line %u", t->text, first->line);
	else
		complain(p->complaints, t->file, t->line,
			"duplicate name \"%s\": it is already in %s:%u", t->text, first->file,
			first->line);
}

static void check_duplicates(struct parser *p, struct names *names)
{
	const struct token *first = NULL;

	if (names->n > 1)
		qsort(names->items, names->n, sizeof(*names->items), by_name);
	for (size_t i = 0; i < names->n; i++) {
		struct token *t = names->items[i];

		if (!first || strcmp(first->text, t->text) != 0) {
			first = t;
			continue;
		}
		say_duplicate(p, t, first);
		free(t->text);
		t->text = xasprintf("%c%u", DUPLICATE_MARK, ++p->n_renamed);
	}
}

/* --- the grammar -------------------------------------------------------------------------- */

static bool is_simple(int type)
{
	return type == TOKEN_STRING || type == TOKEN_INT || type == TOKEN_FLOAT ||
	       type == TOKEN_BOOL;
}

/* Strings side by side are one; in a list that is rarely meant. `list`: the bracket, or NULL. */
static void take_simple(struct parser *p, const struct token *list)
{
	if (p->t->type != TOKEN_STRING) {
		p->t++;
		return;
	}
	for (p->t++; p->t->type == TOKEN_STRING; p->t++)
		if (list)
			complain_warning(p->complaints, p->t->file, p->t->line,
				"two strings side by side are one: is a comma missing?");
}

/* Behind a value in a list: a comma that another value follows (1), the end (0), or wrong. */
static int take_comma(struct parser *p, const struct token *open)
{
	char buf[64];

	if (p->t->type == closer(open->type)) {
		p->t++;
		return 0;
	}
	if (p->t->type == ',' && p->t[1].type == closer(open->type))
		return fail(p, p->t, "a trailing comma before '%c'", closer(open->type));
	if (p->t->type == ',') {
		p->t++;
		return 1;
	}
	if (p->t->type == '=')
		return fail(p, p->t, "a list holds values: put settings into { }");
	if (is_stuck_to_number(p))
		return needs_quotes(p);
	if (is_simple(p->t->type) || p->t->type == '{' || p->t->type == '(' || p->t->type == '[')
		return fail(p, p->t, "a comma is missing before %s", shown(p->t, buf));
	return unexpected(p, open, "',' or the end of the list is expected");
}

static int parse_array(struct parser *p)
{
	const struct token *open = p->t++, *first = p->t;
	int r;

	if (p->t->type == ']') {
		p->t++;
		return 0;
	}
	do {
		if (p->t->type == '{' || p->t->type == '(' || p->t->type == '[')
			return fail(p, p->t,
				"[ ] holds plain values: write ( ) around groups and lists");
		if (is_simple(p->t->type) && p->t->type != first->type)
			return fail(p, p->t,
				"the values in [ ] are not of one type: write ( ) around them");
		r = parse_value(p, open);
		if (r < 0)
			return r;
		r = take_comma(p, open);
	} while (r > 0);
	return r;
}

static int parse_list(struct parser *p)
{
	const struct token *open = p->t++;
	int r;

	if (p->t->type == ')') {
		p->t++;
		return 0;
	}
	do {
		r = parse_value(p, open);
		if (r < 0)
			return r;
		r = take_comma(p, open);
	} while (r > 0);
	return r;
}

static int parse_group(struct parser *p)
{
	const struct token *open = p->t++;
	int r = parse_settings(p, open);

	if (r < 0)
		return r;
	if (p->t->type != '}')
		return unexpected(p, open, "a setting or '}' is expected");
	p->t++;
	return 0;
}

static int parse_nested(struct parser *p)
{
	int r;

	if (p->depth == DEPTH_MAX)
		return fail(p, p->t, "nested deeper than %d", DEPTH_MAX);
	p->depth++;
	r = p->t->type == '{' ? parse_group(p) : p->t->type == '(' ? parse_list(p) : parse_array(p);
	p->depth--;
	return r;
}

/* `list`: the bracket around it; NULL in a setting. */
static int parse_value(struct parser *p, const struct token *list)
{
	const struct token *t = p->t;

	if (t->type == '{' || t->type == '(' || t->type == '[')
		return parse_nested(p);
	if (is_simple(t->type)) {
		take_simple(p, list);
		return 0;
	}
	if (t->type == TOKEN_NAME && list && t[1].type == '=')
		return fail(p, t, "%s: a list holds values: put settings into { }", t->text);
	if (t->type == TOKEN_NAME)
		return fail(p, t, "%s needs quotes: \"%s\"", t->text, t->text);
	if (t->type == '=')
		return fail(p, t, "one '=' or ':' too many");
	if (t->type == ',' && list)
		return fail(p, t, "a value is missing before ','");
	return unexpected(p, list, "a value is expected");
}

static int parse_setting(struct parser *p, const struct token *open, struct names *names)
{
	struct token *t = p->t;
	int r;

	if (is_stuck_to_number(p))
		return needs_quotes(p);
	if (t->type == ';' || t->type == ',')
		return fail(p, t, "one '%c' too many", t->type);
	if (t->type == TOKEN_STRING && t[1].type == '=')
		return fail(p, t,
			"a name stands without quotes (a list of { key = ...; value = ...; } takes "
			"any name)");
	if (t->type != TOKEN_NAME)
		return unexpected(p, open, "a name is expected");
	if (t[1].type != '=') {
		p->t++;
		if (p->t->type == TOKEN_BAD && !p->t->glued)
			return unexpected(p, NULL, "");
		return fail(p, t, "%s: '=' or ':' is missing behind it%s", t->text,
			p->t->glued ? " (names hold letters, digits, '-' and '_' only)" : "");
	}
	XGROW(names->items, names->n, names->cap);
	names->items[names->n++] = t;
	p->t += 2;
	r = parse_value(p, NULL);
	if (r < 0)
		return r;
	if (p->t->type == ';' || p->t->type == ',')
		p->t++;
	return 0;
}

/* Up to the group's '}', or the end of the whole. `open`: NULL for the whole. */
static int parse_settings(struct parser *p, const struct token *open)
{
	_cleanup_(names_fini) struct names names = {0};
	int r;

	while (p->t->type != TOKEN_END && !(open && p->t->type == '}')) {
		r = parse_setting(p, open, &names);
		if (r < 0)
			return r;
	}
	check_duplicates(p, &names);
	return 0;
}

int syntax_check(struct tokens *tokens, struct complaints *complaints)
{
	struct parser p = {.t = tokens->items, .first = tokens->items, .complaints = complaints};

	return parse_settings(&p, NULL);
}
