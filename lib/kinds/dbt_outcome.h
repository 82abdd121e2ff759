/* What an invocation of dbt came to: by its exit and by what failed. */
#pragma once
#include "kinds/dbt_log.h"
#include "kinds/kind.h"

/* ok: exit 0. Cancelled, timed out, interrupted, not started: as any process, with how far it was.
 * Else by what failed: transient if there is something and all of it may pass with a retry; failed
 * otherwise. A test that found rows (`fail`) never passes with a retry. *ret_reason: one line, NULL
 * for ok; `stderr_words` is what is said when dbt itself named nothing. */
enum outcome dbt_outcome(const struct kind_context *ctx, const struct dbt_log *log,
	const struct action_status *status, const struct last_words *stderr_words,
	char **ret_reason);
