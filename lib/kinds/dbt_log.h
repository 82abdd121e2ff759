/* dbt's JSON log (--log-format json), read as it comes: one event a line on standard output. Lines
 * that are no JSON, or too long, or not understood are passed over and counted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "kinds/dbt_nodes.h"
#include "kinds/exit.h"

#define DBT_LINE_MAX   (1u << 20) /* a longer line is passed over */
#define DBT_ERRORS_MAX 4	  /* errors that belong to no node */

struct dbt_log {
	char *invocation_id; /* NULL: not seen */
	struct dbt_nodes nodes;
	size_t total;		      /* 0: not known */
	char *errors[DBT_ERRORS_MAX]; /* the first few, dbt's words */
	size_t n_errors;
	bool keyboard_interrupt; /* dbt says it was interrupted */
	size_t n_events, n_unread;
	struct last_words words; /* what was said in no event */
	/* the line that is being put together */
	struct buf line;
	bool too_long;
	char *last_failure; /* the node that a following message without one belongs to */
};

void dbt_log_fini(struct dbt_log *log);
/* A piece of a line, `partial` when it goes on. Returns true if progress has changed; *ret_news is
 * set to a sentence (the caller frees) when something failed, else left alone. */
bool dbt_log_text(struct dbt_log *log, const char *text, size_t len, bool partial, char **ret_news);
/* At the end: a failed run-operation has a node (its macro) without a message, and its error stands
 * alone; brings the two together. */
void dbt_log_explain_operation(struct dbt_log *log);
/* Any bytes, lines split here. */
void dbt_log_feed(struct dbt_log *log, const void *data, size_t len);
