/* Text to tokens, with a complaint for each of libconfig's silent traps. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "daemon/config/token.h"

void token_fini(struct token *t)
{
	free(t->text);
	t->text = NULL;
}

void tokens_fini(struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		token_fini(&t->items[i]);
	free(t->items);
	*t = (struct tokens){0};
}

static char peek(const struct lexer *l, size_t ahead)
{
	return l->at + ahead < l->end ? l->at[ahead] : '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool begins_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool in_name(char c)
{
	return begins_name(c) || is_digit(c) || c == '_' || c == '-';
}

/* --- space and comments ------------------------------------------------------------------- */

static void skip_line(struct lexer *l)
{
	while (l->at < l->end && *l->at != '\n')
		l->at++;
}

static void skip_block(struct lexer *l)
{
	unsigned began = l->line;

	for (l->at += 2; l->at < l->end; l->at++) {
		if (l->at[0] == '*' && peek(l, 1) == '/') {
			l->at += 2;
			return;
		}
		if (*l->at == '\n')
			l->line++;
	}
	complain(l->complaints, l->file, began,
		"a comment begins here and never ends: */ is missing");
}

static void skip(struct lexer *l)
{
	while (l->at < l->end) {
		char c = *l->at;

		if (c == '#' || (c == '/' && peek(l, 1) == '/')) {
			skip_line(l);
		} else if (c == '/' && peek(l, 1) == '*') {
			skip_block(l);
		} else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
			l->line += c == '\n';
			l->at++;
		} else {
			return;
		}
	}
}

/* --- numbers ------------------------------------------------------------------------------ */

/* The length of the float at the cursor; 0: there is none. */
static size_t float_length(const struct lexer *l)
{
	size_t n = peek(l, 0) == '-' || peek(l, 0) == '+';
	size_t digits = n, e;
	bool dot;

	while (is_digit(peek(l, n)))
		n++;
	digits = n - digits;
	dot = peek(l, n) == '.';
	if (dot)
		n++;
	while (dot && is_digit(peek(l, n)))
		n++;
	e = n;
	if ((dot || digits) && (peek(l, e) == 'e' || peek(l, e) == 'E')) {
		e++;
		if (peek(l, e) == '-' || peek(l, e) == '+')
			e++;
		if (is_digit(peek(l, e))) {
			while (is_digit(peek(l, e)))
				e++;
			return e;
		}
	}
	return dot ? n : 0;
}

/* Likewise of an integer without its L. */
static size_t integer_length(const struct lexer *l)
{
	size_t n, sign = peek(l, 0) == '-' || peek(l, 0) == '+';

	if (peek(l, 0) == '0' && (peek(l, 1) == 'x' || peek(l, 1) == 'X') && is_hex(peek(l, 2))) {
		for (n = 2; is_hex(peek(l, n)); n++)
			;
		return n;
	}
	for (n = sign; is_digit(peek(l, n)); n++)
		;
	return n == sign ? 0 : n;
}

static void lex_float(struct lexer *l, size_t len, struct token *ret)
{
	ret->type = TOKEN_FLOAT;
	ret->text = xstrndup(l->at, len);
	l->at += len;
	if (!strpbrk(ret->text, "0123456789")) { /* libconfig takes a dot alone as 0.0 */
		ret->type = TOKEN_BAD;
		free(ret->text);
		ret->text = xstrdup("unexpected '.'");
	} else if (!isfinite(strtod(ret->text, NULL))) {
		complain(l->complaints, l->file, l->line, "%.40s is too large for a number",
			ret->text);
		free(ret->text);
		ret->text = xstrdup("0.0");
	}
}

/* What libconfig makes of it silently: 010 becomes 10, and 3000000000 negative. */
static int64_t check_integer(struct lexer *l, const char *text, bool is_long)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = text + (*text == '-' || *text == '+');
	int64_t value;

	errno = 0;
	value = strtoll(text, NULL, hex ? 16 : 10);
	if (errno != 0) {
		complain(
			l->complaints, l->file, l->line, "%.40s is too large for an integer", text);
		return 0;
	}
	if (!hex && digits[0] == '0' && digits[1] != '\0')
		complain(l->complaints, l->file, l->line,
			"integer %.40s begins with 0: write %" PRId64 " (it is not octal)", text,
			value);
	if (!is_long && (value > INT32_MAX || value < INT32_MIN))
		complain(l->complaints, l->file, l->line,
			"integer %.40s overflows 32 bits: write %.40sL", text, text);
	return value;
}

static void lex_integer(struct lexer *l, size_t len, struct token *ret)
{
	_cleanup_free_ char *text = xstrndup(l->at, len);
	size_t suffix = 0;

	l->at += len;
	while (suffix < 2 && peek(l, suffix) == 'L')
		suffix++;
	ret->type = TOKEN_INT;
	ret->text = xasprintf("%" PRId64 "L", check_integer(l, text, suffix > 0));
	l->at += suffix;
}

/* --- strings ------------------------------------------------------------------------------ */

static void add_byte(struct lexer *l, struct buf *out, unsigned char c)
{
	if (c == 0x7f || (c < 0x20 && c != '\n' && c != '\t' && c != '\r'))
		complain(l->complaints, l->file, l->line,
			"a string holds the control character \\x%02x%s", c,
			c ? "" : ", which would end it");
	else
		buf_putc(out, (char)c);
}

/* The cursor is at a backslash. */
static void lex_escape(struct lexer *l, struct buf *out)
{
	static const char known[] = "n\nr\rt\tf\f\\\\\"\"";
	char c = peek(l, 1);

	for (const char *k = known; c && *k; k += 2) {
		if (*k == c) {
			add_byte(l, out, (unsigned char)k[1]);
			l->at += 2;
			return;
		}
	}
	if (c == 'x' && is_hex(peek(l, 2)) && is_hex(peek(l, 3))) {
		char hex[] = {l->at[2], l->at[3], '\0'};

		add_byte(l, out, (unsigned char)strtoul(hex, NULL, 16));
		l->at += 4;
		return;
	}
	if (c == 'x')
		complain(l->complaints, l->file, l->line, "\\x needs two hexadecimal digits");
	buf_putc(out, '\\'); /* an unknown escape stands for itself, backslash and all */
	l->at++;
}

static void check_utf8(struct lexer *l, struct token *t, struct buf *text)
{
	if (utf8_is_valid(text->data ? text->data : "", text->len))
		return;
	complain(l->complaints, l->file, t->line, "a string is not valid UTF-8");
	for (size_t i = 0; i < text->len; i++)
		if ((unsigned char)text->data[i] >= 0x80)
			text->data[i] = '?';
}

static void lex_string(struct lexer *l, struct token *ret)
{
	_cleanup_buf_ struct buf text = BUF_NULL;

	for (l->at++; l->at < l->end && *l->at != '"';) {
		if (*l->at == '\\') {
			lex_escape(l, &text);
			continue;
		}
		if (*l->at == '\r' && peek(l, 1) != '\n')
			complain(l->complaints, l->file, l->line,
				"a string holds a carriage return: write \\r");
		add_byte(l, &text, (unsigned char)*l->at);
		l->line += *l->at == '\n';
		l->at++;
	}
	ret->end = l->line;
	if (l->at == l->end) {
		ret->type = TOKEN_BAD;
		ret->text = xstrdup("a string begins here and never ends: a quote is missing");
		return;
	}
	l->at++;
	check_utf8(l, ret, &text);
	ret->type = TOKEN_STRING;
	ret->text = buf_steal(&text);
}

/* --- the rest ----------------------------------------------------------------------------- */

static void lex_name(struct lexer *l, struct token *ret)
{
	const char *from = l->at;

	while (in_name(peek(l, 0)))
		l->at++;
	ret->text = xstrndup(from, (size_t)(l->at - from));
	ret->type = strcasecmp(ret->text, "true") == 0 || strcasecmp(ret->text, "false") == 0
			    ? TOKEN_BOOL
			    : TOKEN_NAME;
}

static void lex_include(struct lexer *l, struct token *ret)
{
	static const char word[] = "@include";
	size_t n = strlen(word);

	if ((size_t)(l->end - l->at) < n || memcmp(l->at, word, n) != 0 || in_name(peek(l, n))) {
		ret->type = TOKEN_BAD;
		ret->text = xstrdup("unexpected '@': the one word with it is @include \"FILE\"");
		l->at++;
		return;
	}
	l->at += n;
	while (peek(l, 0) == ' ' || peek(l, 0) == '\t')
		l->at++;
	if (peek(l, 0) == '"') {
		lex_string(l, ret);
		if (ret->type == TOKEN_STRING)
			ret->type = TOKEN_INCLUDE;
		return;
	}
	ret->type = TOKEN_BAD;
	ret->text = xstrdup("@include needs a file name in quotes");
}

static void lex_bad(struct lexer *l, struct token *ret)
{
	size_t n = utf8_sequence(l->at, (size_t)(l->end - l->at));
	unsigned char c = (unsigned char)*l->at;

	ret->type = TOKEN_BAD;
	if (n > 1 && (memcmp(l->at, "\u201c", n) == 0 || memcmp(l->at, "\u201d", n) == 0))
		ret->text =
			xstrdup("unexpected curly quote: strings stand in straight ones, \"...\"");
	else if (c == '\'')
		ret->text = xstrdup("unexpected ': strings stand in double quotes, \"...\"");
	else if (n == 0 || c < 0x20 || c == 0x7f)
		ret->text = xasprintf("unexpected byte \\x%02x", c);
	else
		ret->text = xasprintf("unexpected '%.*s'", (int)n, l->at);
	l->at += MAX(n, (size_t)1);
}

void lex(struct lexer *l, struct token *ret)
{
	const char *before = l->at;
	size_t n;
	char c;

	skip(l);
	*ret = (struct token){
		.file = l->file, .line = l->line, .end = l->line, .glued = l->at == before};
	if (l->at == l->end)
		return; /* TOKEN_END */
	c = *l->at;
	if (c != '\0' && strchr("=:,;()[]{}", c)) {
		ret->type = c == ':' ? '=' : c;
		l->at++;
	} else if (c == '"') {
		lex_string(l, ret);
	} else if (begins_name(c)) {
		lex_name(l, ret);
	} else if ((n = float_length(l)) > 0) {
		lex_float(l, n, ret);
	} else if ((n = integer_length(l)) > 0) {
		lex_integer(l, n, ret);
	} else if (c == '@') {
		lex_include(l, ret);
	} else {
		lex_bad(l, ret);
	}
}
