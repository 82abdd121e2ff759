/* What one action of terraform says, read as it comes: the lines of -json, and the plain ones that
 * init and show have. */
#pragma once
#include "base/buf.h"
#include "kinds/exit.h"
#include "kinds/terraform_changes.h"
#include "kinds/terraform_class.h"

#define TERRAFORM_ERRORS_MAX 50

struct terraform_log {
	bool applies;
	struct terraform_changes changes;
	struct terraform_error errors[TERRAFORM_ERRORS_MAX]; /* the first so many */
	size_t n_errors, n_more;
	size_t n_refreshed;
	size_t n_errored; /* resources that could not be changed */
	char *now;	  /* what is being changed, or read; NULL: nothing */
	bool interrupted; /* it says that it was */
	struct last_words words;
	struct buf lines[2]; /* that are being read, by stream */
	bool too_long[2], in_error;
};

/* Another action begins; `changes` (may be NULL): those of the plan that it applies. */
void terraform_log_begin(struct terraform_log *log, bool applies, const cJSON *changes);
void terraform_log_fini(struct terraform_log *log);
/* As kind.line. */
bool terraform_log_text(struct terraform_log *log, enum stream stream, const char *text, size_t len,
	bool partial, char **ret_news);
/* How far it is; NULL: nothing to say. The caller frees. */
cJSON *terraform_log_progress(const struct terraform_log *log);
