#include "client/run_tree.h"
#include <string.h>

/* "outcome" where there is one, else "state"; something that runs and has a reason waits for it. */
static void put_outcome(struct buf *b, const cJSON *thing)
{
	const char *outcome = json_string(thing, "outcome"), *state = json_string(thing, "state");
	if (outcome)
		buf_text(b, colour_of_outcome(outcome), "%s", outcome);
	else if (!json_time(thing, "ended_at") && json_string(thing, "reason"))
		buf_text(b, YELLOW, "waiting");
	else
		buf_text(b, str_eq(state, "running") ? BLUE : DIM, "%s", state ? state : "running");
}

static void put_reason(struct buf *b, const cJSON *thing, const char *before)
{
	const char *reason = json_string(thing, "reason");
	if (reason)
		buf_text(b, PLAIN, "%s%s", before, reason);
}

void run_tree_head(struct buf *b, const cJSON *run, usec_t now)
{
	char at[WHEN_MAX], span[DURATION_MAX];
	const char *name = json_string(run, "name"), *trigger = json_string(run, "trigger");
	const char *retry_of = json_string(run, "retry_of"), *commit = json_string(run, "commit");
	const char *who = json_string(run, "who"), *why = json_string(run, "why");
	usec_t slot = json_time(run, "scheduled_for");
	usec_t started = json_time(run, "started_at"), ended = json_time(run, "ended_at");

	buf_text(b, BOLD, "%s", name ? name : "?");
	buf_puts(b, "  ");
	put_outcome(b, run);
	buf_text(b, PLAIN, "  %s", trigger ? trigger : "");
	if (slot)
		buf_text(b, PLAIN, " %s", when(slot, now, at));
	if (retry_of)
		buf_text(b, PLAIN, " of %s", retry_of);
	if (who)
		buf_text(b, PLAIN, " by %s%s%s", who, why ? ": " : "", why ? why : "");
	if (started)
		buf_text(b, PLAIN, "  started %s, %s %s", when_exactly(started, now, at),
			ended ? "took" : "for",
			format_duration(MAX((ended ? ended : now) - started, 0), span));
	if (commit)
		buf_text(b, DIM, "  commit %.12s", commit);
	put_reason(b, run, "  ");
	buf_putc(b, '\n');
}

/* "exit 1", "signal 9" */
static void put_exit(struct buf *b, const cJSON *attempt)
{
	int64_t code = json_int(attempt, "exit_code", -1), sig = json_int(attempt, "signal", 0);
	if (sig > 0)
		buf_printf(b, "  signal %lld", (long long)sig);
	else if (code > 0)
		buf_printf(b, "  exit %lld", (long long)code);
}

enum {
	MISSING_SHOWN = 5, /* tables on a database's line */
};

static void put_missing(struct buf *b, const cJSON *database)
{
	const cJSON *missing = json_get(database, "missing"), *table;
	int n = cJSON_GetArraySize(missing), shown = 0;

	cJSON_ArrayForEach(table, missing)
	{
		const char *name = cJSON_GetStringValue(table);

		if (!name || shown >= MISSING_SHOWN)
			break;
		buf_text(b, PLAIN, "%s%s", shown++ ? ", " : "  lacks ", name);
	}
	if (n > shown && shown)
		buf_printf(b, " and %d more", n - shown);
}

/* One line for each database of a sync: how many of its tables are there, and what it waits for. */
static void put_databases(struct buf *b, const cJSON *progress)
{
	const cJSON *list = json_get(progress, "databases"), *d;
	bool alone = cJSON_GetArraySize(list) == 1; /* then the attempt's own line says it */

	cJSON_ArrayForEach(d, list)
	{
		const char *name = json_string(d, "name"), *state = json_string(d, "state");
		const char *text = json_string(d, "text");
		int64_t expected = json_int(d, "expected", 0);
		bool proved = str_eq(state, "proved");

		buf_text(b, PLAIN, "          %s  ", name ? name : "?");
		buf_text(b, proved ? GREEN : YELLOW, "%s", state ? state : "?");
		if (expected > 0)
			buf_printf(b, "  %lld of %lld tables", (long long)json_int(d, "tables", 0),
				(long long)expected);
		if (text && !alone)
			buf_text(b, PLAIN, "  %s", text);
		put_missing(b, d);
		buf_putc(b, '\n');
	}
}

/* What is said of the cell need not be said of its attempt again. */
/* What it planned, and the word that was given on it. */
static void put_plan(struct buf *b, const cJSON *plan)
{
	const cJSON *summary = json_get(plan, "summary");
	const char *decision = json_string(plan, "decision"),
		   *who = json_string(plan, "decided_by");
	int64_t replace = json_int(summary, "replace", 0);

	if (!cJSON_IsObject(plan))
		return;
	buf_printf(b, "          plan: %lld to add, %lld to change, %lld to destroy",
		(long long)(json_int(summary, "add", 0) + replace),
		(long long)json_int(summary, "change", 0),
		(long long)(json_int(summary, "destroy", 0) + replace));
	if (decision)
		buf_text(b, PLAIN, ", %s%s%s", decision, who ? " by " : "", who ? who : "");
	buf_putc(b, '\n');
}

static void put_attempt(struct buf *b, const cJSON *attempt, const char *cell_reason, usec_t now)
{
	char at[WHEN_MAX], span[DURATION_MAX];
	usec_t started = json_time(attempt, "started_at"), ended = json_time(attempt, "ended_at");
	_cleanup_buf_ struct buf progress = BUF_NULL;

	buf_printf(b, "      .%lld  ", (long long)json_int(attempt, "number", 0));
	put_outcome(b, attempt);
	if (started)
		buf_printf(b, "  %s  %s", when_exactly(started, now, at),
			format_duration(MAX((ended ? ended : now) - started, 0), span));
	put_exit(b, attempt);
	buf_progress(&progress, json_get(attempt, "progress"));
	if (progress.len && !ended)
		buf_printf(b, "  %s", buf_str(&progress));
	if (!str_eq(json_string(attempt, "reason"), cell_reason))
		put_reason(b, attempt, "  ");
	buf_putc(b, '\n');
	if (!str_eq(json_string(attempt, "outcome"), "ok"))
		put_databases(b, json_get(attempt, "progress"));
	put_plan(b, json_get(attempt, "plan"));
}

static void put_step(struct buf *b, const cJSON *step, const char *cell_reason, usec_t now)
{
	const char *name = json_string(step, "name"), *kind = json_string(step, "kind");
	const cJSON *attempt;
	buf_text(b, PLAIN, "    %s  %s  ", name ? name : "?", kind ? kind : "");
	put_outcome(b, step);
	if (!cJSON_GetArraySize(json_get(step, "attempts")) &&
		!str_eq(json_string(step, "reason"), cell_reason))
		put_reason(b, step, "  ");
	buf_putc(b, '\n');
	cJSON_ArrayForEach(attempt, json_get(step, "attempts"))
		put_attempt(b, attempt, cell_reason, now);
}

void run_tree_cell(struct buf *b, const cJSON *cell, usec_t now)
{
	const char *name = json_string(cell, "name");
	const cJSON *step;
	buf_puts(b, "  ");
	buf_text(b, BOLD, "%s", name ? name : "?");
	buf_puts(b, "  ");
	put_outcome(b, cell);
	put_reason(b, cell, ": ");
	buf_putc(b, '\n');
	cJSON_ArrayForEach(step, json_get(cell, "steps"))
		put_step(b, step, json_string(cell, "reason"), now);
}

/* The attempt that has not ended; else the step that will be tried again; NULL each: none. */
static const cJSON *live_attempt(const cJSON *cell, const cJSON **ret_step)
{
	const cJSON *step, *attempt;
	*ret_step = NULL;
	cJSON_ArrayForEach(step, json_get(cell, "steps"))
	{
		if (!str_eq(json_string(step, "state"), "running"))
			continue;
		cJSON_ArrayForEach(attempt, json_get(step, "attempts"))
		{
			if (json_time(attempt, "started_at") && !json_time(attempt, "ended_at"))
				return attempt;
		}
		if (json_time(step, "retry_at"))
			*ret_step = step;
	}
	return NULL;
}

static void put_live(struct buf *b, const cJSON *attempt, usec_t now)
{
	char span[DURATION_MAX];
	_cleanup_buf_ struct buf progress = BUF_NULL;
	int64_t number = json_int(attempt, "number", 1);

	put_outcome(b, attempt);
	if (json_string(attempt, "reason")) {
		put_reason(b, attempt, "  ");
		return;
	}
	buf_printf(
		b, "  %s", format_duration(MAX(now - json_time(attempt, "started_at"), 0), span));
	if (number > 1)
		buf_printf(b, ", attempt %lld", (long long)number);
	buf_progress(&progress, json_get(attempt, "progress"));
	buf_printf(b, "%s%s", progress.len ? ", " : "", buf_str(&progress));
}

static size_t width_of_names(const cJSON *cells)
{
	const cJSON *cell;
	size_t width = 0;
	cJSON_ArrayForEach(cell, cells)
	{
		const char *name = json_string(cell, "name");
		width = MAX(width, name ? strlen(name) : 0);
	}
	return width;
}

static void put_cell_line(struct buf *b, const cJSON *cell, size_t width, usec_t now)
{
	char at[WHEN_MAX];
	const char *name = json_string(cell, "name");
	const cJSON *step, *attempt = live_attempt(cell, &step);

	buf_puts(b, "  ");
	buf_text(b, BOLD, "%s", name ? name : "?");
	buf_printf(b, "%*s  ", (int)(width - (name ? strlen(name) : 0)), "");
	if (attempt) {
		put_live(b, attempt, now);
	} else if (step) {
		buf_text(b, YELLOW, "waiting");
		buf_text(b, PLAIN, "  tried again %s",
			when_exactly(json_time(step, "retry_at"), now, at));
	} else {
		put_outcome(b, cell);
		put_reason(b, cell, ": ");
	}
	buf_putc(b, '\n');
}

/* It does something, or it is not well. */
static bool is_of_interest(const cJSON *cell)
{
	const char *outcome = json_string(cell, "outcome");
	const cJSON *step, *attempt = live_attempt(cell, &step);
	if (outcome)
		return !str_eq(outcome, "ok") && !str_eq(outcome, "skipped");
	return attempt && !json_string(attempt, "reason");
}

static unsigned count_of_interest(const cJSON *cells)
{
	const cJSON *cell;
	unsigned n = 0;
	cJSON_ArrayForEach(cell, cells) n += is_of_interest(cell);
	return n;
}

unsigned run_tree_lines(struct buf *b, const cJSON *run, unsigned most, usec_t now)
{
	const cJSON *cell, *cells = json_get(run, "cells");
	size_t width = width_of_names(cells);
	unsigned n = (unsigned)cJSON_GetArraySize(cells), shown = 0;
	unsigned room = n + 1 <= most ? n : most - 2; /* the head, and how many more there are */
	unsigned wanted = MIN(count_of_interest(cells), room), spare = room - wanted;

	run_tree_head(b, run, now);
	cJSON_ArrayForEach(cell, cells)
	{
		unsigned *left = is_of_interest(cell) ? &wanted : &spare;
		if (*left == 0)
			continue;
		(*left)--;
		put_cell_line(b, cell, width, now);
		shown++;
	}
	if (shown == n)
		return n + 1;
	buf_text(b, DIM, "  and %u more", n - shown);
	buf_putc(b, '\n');
	return shown + 2;
}
