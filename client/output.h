/* Printing for people: colours, times, spans, tables. Every text that came from the daemon goes
 * through here, so that no control character reaches a terminal. */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/progress.h"
#include "base/text.h"

enum colour {
	PLAIN,
	BOLD,
	DIM,
	RED,
	GREEN,
	YELLOW,
	BLUE,
};

enum colour_when { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };
/* auto: where standard output is a terminal that is not dumb, and NO_COLOR is not set. */
void out_colours(enum colour_when when);
enum colour colour_of_outcome(const char *outcome);

/* A pattern's escape codes around the text, control characters escaped. */
void out_text(enum colour colour, const char *format, ...) _printf_(2, 3);
void buf_text(struct buf *b, enum colour colour, const char *format, ...) _printf_(3, 4);
/* One line, escaped. */
void out_line(FILE *f, const char *line);
/* The document, compact, and a newline; at once when standard output is no file. */
void out_json(const cJSON *document);

/* --- times; 0 or an instant in µs --------------------------------------------------------- */

usec_t out_now(void);
#define WHEN_MAX 48
/* "06:14Z" on the day of `now`, "tomorrow 06:00Z", "yesterday 06:00Z", else "2026-03-28 06:00Z";
 * "-" for 0. */
const char *when(usec_t at, usec_t now, char buf[WHEN_MAX]);
/* "06:14:03Z" */
const char *when_exactly(usec_t at, usec_t now, char buf[WHEN_MAX]);

/* --- tables ------------------------------------------------------------------------------- */

struct table {
	struct table_cell {
		char *text; /* escaped */
		enum colour colour;
	} * cells;
	size_t n, cap;
	size_t columns;
};
#define TABLE(n_columns) ((struct table){.columns = (n_columns)})
void table_fini(struct table *t);
#define _cleanup_table_ _cleanup_(table_fini)
/* The next cell, row by row. NULL: "-". */
void table_add(struct table *t, enum colour colour, const char *text);
/* The first row is the heading. Nothing where there is nothing else. */
void table_print(const struct table *t);
