#include <stdio.h>
#include <string.h>
#include "base/complaint.h"
#include "base/memory.h"

static void complaint_fini(struct complaint *c)
{
	free(c->file);
	free(c->message);
}

void complaints_fini(struct complaints *c)
{
	for (size_t i = 0; i < c->n; i++)
		complaint_fini(&c->items[i]);
	free(c->items);
	*c = (struct complaints){0};
}

static void add(struct complaints *c, const char *file, unsigned line, bool is_warning, char *take)
{
	XGROW(c->items, c->n, c->cap);
	c->items[c->n++] = (struct complaint){
		.file = xstrdup(file),
		.line = line,
		.is_warning = is_warning,
		.message = take,
	};
	if (!is_warning)
		c->n_errors++;
}

void complain(struct complaints *c, const char *file, unsigned line, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(c, file, line, false, xvasprintf(format, ap));
	va_end(ap);
}

void complain_warning(
	struct complaints *c, const char *file, unsigned line, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(c, file, line, true, xvasprintf(format, ap));
	va_end(ap);
}

char *complaint_text(const struct complaint *c)
{
	const char *kind = c->is_warning ? "warning: " : "";

	if (!c->file)
		return xasprintf("%s%s", kind, c->message);
	if (c->line == 0)
		return xasprintf("%s: %s%s", c->file, kind, c->message);
	return xasprintf("%s:%u: %s%s", c->file, c->line, kind, c->message);
}

static int compare(const void *pa, const void *pb)
{
	const struct complaint *a = pa, *b = pb;
	int r;

	if (!a->file || !b->file)
		r = (a->file != NULL) - (b->file != NULL);
	else
		r = strcmp(a->file, b->file);
	if (r == 0)
		r = (a->line > b->line) - (a->line < b->line);
	if (r == 0)
		r = strcmp(a->message, b->message);
	if (r == 0)
		r = a->is_warning - b->is_warning;
	return r;
}

void complaints_sort(struct complaints *c)
{
	size_t kept = 0;

	if (c->n > 1)
		qsort(c->items, c->n, sizeof(*c->items), compare);
	for (size_t i = 0; i < c->n; i++) {
		if (kept > 0 && compare(&c->items[kept - 1], &c->items[i]) == 0) {
			c->n_errors -= !c->items[i].is_warning;
			complaint_fini(&c->items[i]);
		} else {
			c->items[kept++] = c->items[i];
		}
	}
	c->n = kept;
}
