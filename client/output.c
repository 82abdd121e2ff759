#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/outcome.h"
#include "client/output.h"

static bool colours;

void out_colours(enum colour_when wanted)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
	bool by_itself = isatty(STDOUT_FILENO) && !(no && *no) && !str_eq(terminal, "dumb");
	colours = wanted == COLOUR_ALWAYS || (wanted == COLOUR_AUTO && by_itself);
}

enum colour colour_of_outcome(const char *outcome)
{
	switch (outcome ? outcome_parse(outcome) : OUTCOME_NONE) {
	case OUTCOME_OK:
		return GREEN;
	case OUTCOME_FAILED:
	case OUTCOME_TIMED_OUT:
	case OUTCOME_NEEDS_PERSON:
		return RED;
	case OUTCOME_TRANSIENT:
	case OUTCOME_NOT_READY:
	case OUTCOME_INTERRUPTED:
		return YELLOW;
	case OUTCOME_SKIPPED:
	case OUTCOME_CANCELLED:
		return DIM;
	default:
		return PLAIN;
	}
}

static const char *code_of(enum colour colour)
{
	static const char *const codes[] = {
		[PLAIN] = "",
		[BOLD] = "\x1b[1m",
		[DIM] = "\x1b[2m",
		[RED] = "\x1b[1;31m",
		[GREEN] = "\x1b[32m",
		[YELLOW] = "\x1b[33m",
		[BLUE] = "\x1b[36m",
	};
	return colours ? codes[colour] : "";
}

static void buf_coloured(struct buf *b, enum colour colour, const char *text)
{
	buf_puts(b, code_of(colour));
	text_escape(b, text, strlen(text));
	if (colours && colour != PLAIN)
		buf_puts(b, "\x1b[0m");
}

void buf_text(struct buf *b, enum colour colour, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	_cleanup_free_ char *text = xvasprintf(format, ap);
	va_end(ap);
	buf_coloured(b, colour, text);
}

void out_text(enum colour colour, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	_cleanup_free_ char *text = xvasprintf(format, ap);
	va_end(ap);
	_cleanup_buf_ struct buf b = BUF_NULL;
	buf_coloured(&b, colour, text);
	fputs(buf_str(&b), stdout);
}

void out_line(FILE *f, const char *line)
{
	_cleanup_buf_ struct buf clean = BUF_NULL;
	text_escape(&clean, line, strlen(line));
	fprintf(f, "%s\n", buf_str(&clean));
}

void out_json(const cJSON *document)
{
	_cleanup_free_ char *text = json_print(document);
	puts(text);
	fflush(stdout);
}

/* --- times -------------------------------------------------------------------------------- */

usec_t out_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * USEC_SEC + t.tv_nsec / 1000;
}

static const char *when_in(usec_t at, usec_t now, bool seconds, char buf[WHEN_MAX])
{
	char text[INSTANT_MAX];
	if (at == 0)
		return strcpy(buf, "-");
	instant_format_slot(at, text);
	int64_t days = at / USEC_DAY - now / USEC_DAY;
	int clock_len = seconds ? 8 : 5;
	if (days == 0)
		snprintf(buf, WHEN_MAX, "%.*sZ", clock_len, text + 11);
	else if (days == 1 || days == -1)
		snprintf(buf, WHEN_MAX, "%s %.*sZ", days == 1 ? "tomorrow" : "yesterday", clock_len,
			text + 11);
	else
		snprintf(buf, WHEN_MAX, "%.10s %.*sZ", text, clock_len, text + 11);
	return buf;
}

const char *when(usec_t at, usec_t now, char buf[WHEN_MAX])
{
	return when_in(at, now, false, buf);
}

const char *when_exactly(usec_t at, usec_t now, char buf[WHEN_MAX])
{
	return when_in(at, now, true, buf);
}

/* --- tables ------------------------------------------------------------------------------- */

void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){0};
}

void table_add(struct table *t, enum colour colour, const char *text)
{
	_cleanup_buf_ struct buf clean = BUF_NULL;
	const char *shown = text && *text ? text : "-";
	text_escape(&clean, shown, strlen(shown));
	XGROW(t->cells, t->n, t->cap);
	t->cells[t->n++] = (struct table_cell){.text = buf_steal(&clean), .colour = colour};
}

/* In characters: what follows the first byte of one begins with the bits 10. */
static size_t width_of(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t width = 0;
	for (size_t i = column; i < t->n; i += t->columns)
		width = MAX(width, width_of(t->cells[i].text));
	return width;
}

void table_print(const struct table *t)
{
	_cleanup_free_ size_t *widths = xcalloc(t->columns, sizeof(*widths));
	if (t->n <= t->columns)
		return;
	for (size_t i = 0; i < t->columns; i++)
		widths[i] = column_width(t, i);
	for (size_t i = 0; i < t->n; i++) {
		bool last = i % t->columns == t->columns - 1;
		out_text(i < t->columns ? DIM : t->cells[i].colour, "%s", t->cells[i].text);
		if (last)
			putchar('\n');
		else
			printf("%*s",
				(int)(widths[i % t->columns] - width_of(t->cells[i].text)) + 2, "");
	}
}
