/* The useful line of an error message.
 *
 *   Database Error in model mart (models/mart.sql)      <- header
 *     column "wl_id" does not exist                     <- the line
 *     LINE 12:     select wl_id from ...
 *     compiled code at ...
 */
#include <string.h>
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "kinds/dbt_message.h"

#define LINE_MAX 300

struct line {
	const char *text;
	size_t len;
};

/* The next line that is not blank, trimmed; false at the end. */
static bool next_line(const char **at, struct line *ret)
{
	while (**at) {
		size_t len = strcspn(*at, "\n"), skip;
		const char *text = *at;

		*at += len + ((*at)[len] != '\0');
		skip = strspn(text, " \t\r");
		if (skip >= len)
			continue;
		text += skip;
		len -= skip;
		while (len && strchr(" \t\r", text[len - 1]))
			len--;
		*ret = (struct line){.text = text, .len = len};
		return true;
	}
	return false;
}

static bool ends_with(struct line l, const char *end)
{
	size_t len = strlen(end);

	return l.len >= len && strncasecmp(l.text + l.len - len, end, len) == 0;
}

/* "Database Error", "Compilation Error in model x (path)", "x.on-run-start.0 failed, error:". */
static bool is_header(struct line l)
{
	const char *in = memmem(l.text, l.len, " Error in ", 10);

	return ends_with(l, " Error") || ends_with(l, "error:") || (in && l.text[l.len - 1] == ')');
}

/* Headers that say no more than that something is wrong. */
static bool is_plain_header(struct line l)
{
	return (l.len >= 14 && strncmp(l.text, "Database Error", 14) == 0) ||
	       (l.len >= 13 && strncmp(l.text, "Runtime Error", 13) == 0) || ends_with(l, "error:");
}

/* What a line that ends in a colon announces. */
static void append_announced(struct buf *b, const char *message)
{
	struct line line;

	while (b->len < LINE_MAX && next_line(&message, &line)) {
		if (line.len > 16 && strncmp(line.text, "compiled code at", 16) == 0)
			return;
		buf_putc(b, ' ');
		buf_append(b, line.text, line.len);
	}
}

static char *compose(const char *message, bool whole_header)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct line line, header = {0};

	if (!message || !next_line(&message, &line))
		return NULL;
	while (is_header(line)) {
		const char *ahead = message;
		struct line next;

		if (!next_line(&ahead, &next))
			break;
		header = header.text && is_plain_header(line) ? header : line;
		line = next;
		message = ahead;
	}
	if (header.text && whole_header)
		buf_printf(&b, "%.*s: ", (int)(header.len - ends_with(header, ":")), header.text);
	else if (header.text && !is_plain_header(header))
		buf_printf(&b, "%.*s: ",
			(int)((const char *)memmem(header.text, header.len, " Error", 6) + 6 -
				header.text),
			header.text);
	buf_append(&b, line.text, line.len);
	if (ends_with(line, ":"))
		append_announced(&b, message);
	return text_one_line(b.data, b.len, LINE_MAX);
}

char *dbt_message_line(const char *message)
{
	return compose(message, false);
}

char *dbt_message_line_with_header(const char *message)
{
	return compose(message, true);
}
