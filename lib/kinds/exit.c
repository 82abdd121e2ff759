/* How the exit of any process reads: from the shim's report to an outcome and a sentence.
 *
 * A process that the machine's memory ended, or that could not be made for want of processes or
 * memory, is `transient`: what else ran at that time decides, and the policy caps the tries. */
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/exit.h"

static bool has_code(const int64_t *codes, size_t n, int code)
{
	for (size_t i = 0; i < n; i++)
		if (codes[i] == code)
			return true;
	return false;
}

static enum outcome stopped(
	const struct kind_context *ctx, enum stop_reason stop, char **ret_reason)
{
	char span[DURATION_MAX];

	switch (stop) {
	case STOP_TIMED_OUT:
		if (ctx->timeout > 0 && ctx->timeout != USEC_INFINITY)
			*ret_reason = xasprintf(
				"timed out after %s", format_duration(ctx->timeout, span));
		else
			*ret_reason = xstrdup("timed out");
		return OUTCOME_TIMED_OUT;
	case STOP_FAIL_FAST:
		*ret_reason = xstrdup("cancelled: another cell of the stage failed (fail_fast)");
		return OUTCOME_CANCELLED;
	case STOP_SHUTDOWN:
		*ret_reason = xstrdup("interrupted: the machine was shutting down");
		return OUTCOME_INTERRUPTED;
	case STOP_CANCELLED:
	case STOP_NONE:
		break;
	}
	*ret_reason = xstrdup("cancelled");
	return OUTCOME_CANCELLED;
}

static enum outcome not_started(const struct action_status *status, char **ret_reason)
{
	static const char *const passing[] = {"Resource temporarily unavailable",
		"Cannot allocate memory", "Too many open files"};
	const char *why = status->message ? status->message : "no reason given";

	if (status->lease_over) {
		*ret_reason = xstrdup("not started: the time in which it might start was over");
		return OUTCOME_INTERRUPTED;
	}
	*ret_reason = xasprintf("could not be started: %s", why);
	for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
		if (strstr(why, passing[i]))
			return OUTCOME_TRANSIENT;
	return OUTCOME_FAILED;
}

static enum outcome out_of_memory(const struct action_status *status, char **ret_reason)
{
	if (status->max_rss)
		*ret_reason =
			xasprintf("killed: the machine was out of memory (its peak: %llu MiB)",
				(unsigned long long)(status->max_rss >> 20));
	else
		*ret_reason = xstrdup("killed: the machine was out of memory");
	return OUTCOME_TRANSIENT;
}

static enum outcome signalled(int signal, char **ret_reason)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		*ret_reason = xasprintf("ended by signal %d (SIG%s)", signal, name);
	else
		*ret_reason = xasprintf("ended by signal %d", signal);
	return OUTCOME_FAILED;
}

enum outcome kind_exit_outcome(
	const struct kind_context *ctx, const struct action_status *status, char **ret_reason)
{
	if (status->stop != STOP_NONE)
		return stopped(ctx, status->stop, ret_reason);
	if (status->oom_killed && !(status->end == END_EXITED && status->code == 0))
		return out_of_memory(status, ret_reason);
	switch (status->end) {
	case END_INTERRUPTED:
		*ret_reason = xstrdup(status->message ? status->message
						      : "interrupted: it ended without a report");
		return OUTCOME_INTERRUPTED;
	case END_NOT_STARTED:
		return not_started(status, ret_reason);
	case END_SIGNALLED:
		return signalled(status->signal, ret_reason);
	case END_EXITED:
		break;
	}
	if (has_code(ctx->ok_codes, ctx->n_ok_codes, status->code) ||
		(!ctx->n_ok_codes && status->code == 0)) {
		*ret_reason = NULL;
		return OUTCOME_OK;
	}
	*ret_reason = xasprintf("exit code %d", status->code);
	return has_code(ctx->transient_codes, ctx->n_transient_codes, status->code)
		       ? OUTCOME_TRANSIENT
		       : OUTCOME_FAILED;
}

void kind_note_done(struct kind_command *done)
{
	if (!done->note)
		done->note = cJSON_CreateObject();
	json_set_string(done->note, "outcome", outcome_name(done->outcome));
	json_set_string(done->note, "reason", done->reason);
	json_set_bool(done->note, "not_counted", done->not_counted);
}

void kind_done_from_note(const cJSON *note, struct kind_command *ret)
{
	ret->type = KIND_DONE;
	ret->outcome = outcome_parse(json_string(note, "outcome"));
	if (ret->outcome == OUTCOME_NONE) {
		ret->outcome = OUTCOME_INTERRUPTED;
		ret->reason = xstrdup("what was noted of its end cannot be read");
		return;
	}
	ret->reason = xstrdup(json_string(note, "reason"));
	ret->not_counted = json_bool(note, "not_counted", false);
}
