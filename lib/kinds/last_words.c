/* The last words of a process: what it said before it failed is mostly why. */
#include <string.h>
#include "base/memory.h"
#include "kinds/exit.h"

static void end_line(struct last_words *w)
{
	w->line[w->len] = '\0';
	if (strspn(w->line, " \t\r") < w->len)
		memcpy(w->last, w->line, w->len + 1);
	w->len = 0;
}

void last_words_feed(struct last_words *w, const char *text, size_t len, bool partial)
{
	size_t room = LAST_WORDS_MAX - w->len, n = MIN(len, room);

	memcpy(w->line + w->len, text, n);
	w->len += n;
	if (!partial)
		end_line(w);
}

char *last_words_text(const struct last_words *w)
{
	struct last_words end = *w;

	if (end.len)
		end_line(&end);
	return *end.last ? text_one_line(end.last, strlen(end.last), LAST_WORDS_MAX) : NULL;
}
