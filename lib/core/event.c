#include <stdlib.h>
#include <syslog.h>
#include "base/memory.h"
#include "core/event.h"

const struct core_event_info core_event_table[CORE_EVENTS] = {
	[EVENT_RUN_CREATED] = {"run-created", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b001",
		"A run was made: for a slot, by hand, to catch up, or as a retry."},
	[EVENT_RUN_STARTED] = {"run-started", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b002",
		"A run began."},
	[EVENT_RUN_ENDED] = {"run-ended", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b003",
		"A run ended, with its outcome."},
	[EVENT_CELL_STARTED] = {"cell-started", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b004",
		"A cell's first step began."},
	[EVENT_CELL_ENDED] = {"cell-ended", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b005",
		"A cell ended, with its outcome and the reason."},
	[EVENT_ATTEMPT_STARTED] = {"attempt-started", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b006",
		"An action of an attempt began: its process runs."},
	[EVENT_ATTEMPT_ENDED] = {"attempt-ended", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b007",
		"An attempt ended, with its outcome and the reason."},
	[EVENT_RETRY_SCHEDULED] = {"retry-scheduled", LOG_NOTICE,
		"5f0c4c1d2a7b4bd0a4c9c0a6f6f1b008", "A step will be tried again."},
	[EVENT_ACTION_ADOPTED] = {"action-adopted", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b009",
		"An action that an earlier daemon began still runs and is followed again."},
	[EVENT_APPROVAL_AWAITED] = {"approval-awaited", LOG_NOTICE,
		"5f0c4c1d2a7b4bd0a4c9c0a6f6f1b016",
		"A step waits for a person's word: nightjar approve, or reject."},
	[EVENT_APPROVED] = {"approved", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b017",
		"What waited for a person's word has it: approved, rejected, or expired."},
	[EVENT_CHECK_CHANGED] = {"check-changed", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b018",
		"A check changed its state: up, down, starting."},
	[EVENT_PROGRESS] = {"progress", LOG_DEBUG, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b00a",
		"How far a step has come; sent to watchers, not to the journal."},
	[EVENT_NEWS] = {"news", LOG_WARNING, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b00b",
		"Something inside a step that is worth knowing now: a model failed."},
	[EVENT_OUTPUT] = {"output", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b00c",
		"A line that a step printed."},
	[EVENT_SLOT_SKIPPED] = {"slot-skipped", LOG_WARNING, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b00d",
		"One slot or a flood of them did not become a run, and why."},
	[EVENT_CONFIG_LOADED] = {"config-loaded", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b00e",
		"The configuration was loaded."},
	[EVENT_CONFIG_REFUSED] = {"config-refused", LOG_ERR, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b00f",
		"A changed configuration is wrong; the one in force stays."},
	[EVENT_STORE_READY] = {"store-ready", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b010",
		"This daemon leads, and its store answers."},
	[EVENT_STORE_AWAY] = {"store-away", LOG_WARNING, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b011",
		"The store does not answer; what runs goes on."},
	[EVENT_LEADER_LOST] = {"leader-lost", LOG_WARNING, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b012",
		"Another daemon leads."},
	[EVENT_OPERATED] = {"operated", LOG_NOTICE, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b013",
		"Somebody operated: start, cancel, retry, pause, resume, reload, drain."},
	[EVENT_HISTORY_PRUNED] = {"history-pruned", LOG_INFO, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b015",
		"Old history was removed, as the configuration's history says."},
	[EVENT_ALARM] = {"alarm", LOG_ERR, "5f0c4c1d2a7b4bd0a4c9c0a6f6f1b014",
		"Something is wrong that a person must look at."},
};

static void notice(struct core *core, enum core_event event, const struct core_notice *about,
	const char *message)
{
	struct core_notice n = about ? *about : (struct core_notice){0};

	if (!core->ports.observer.notice)
		return;
	n.event = event;
	if (n.priority == 0)
		n.priority = core_event_table[event].priority;
	n.message = message;
	core->ports.observer.notice(core->ports.observer.self, &n);
}

static void vnotice(struct core *core, enum core_event event, const struct core_notice *about,
	const char *format, va_list ap)
{
	_cleanup_free_ char *message = xvasprintf(format, ap);

	notice(core, event, about, message);
}

void core_notice(struct core *core, enum core_event event, const struct core_notice *about,
	const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vnotice(core, event, about, format, ap);
	va_end(ap);
}

static bool ended_badly(enum outcome o)
{
	return o != OUTCOME_NONE && o != OUTCOME_OK && o != OUTCOME_SKIPPED &&
	       o != OUTCOME_CANCELLED;
}

static int worse_priority(enum core_event event, enum outcome o)
{
	return ended_badly(o) ? LOG_ERR : core_event_table[event].priority;
}

void run_notice(const struct run *run, enum core_event event, const char *format, ...)
{
	struct core_notice n = {
		.job = run->job->name,
		.run = run->name,
		.outcome = outcome_name(run->outcome),
		.priority = worse_priority(event, run->outcome),
	};
	va_list ap;

	va_start(ap, format);
	vnotice(run->core, event, &n, format, ap);
	va_end(ap);
}

void cell_notice(const struct cell *cell, enum core_event event, const char *format, ...)
{
	struct core_notice n = {
		.job = cell->run->job->name,
		.run = cell->run->name,
		.cell = cell->spec->name,
		.outcome = outcome_name(cell->outcome),
		.priority = worse_priority(event, cell->outcome),
	};
	va_list ap;

	va_start(ap, format);
	vnotice(cell->run->core, event, &n, format, ap);
	va_end(ap);
}

static struct core_notice about_attempt(const struct attempt *a, enum core_event event)
{
	const struct cell *cell = a->step->cell;

	return (struct core_notice){
		.job = cell->run->job->name,
		.run = cell->run->name,
		.cell = cell->spec->name,
		.step = a->step->spec->name,
		.attempt = a->number,
		.outcome = outcome_name(a->outcome),
		.priority = worse_priority(event, a->outcome),
	};
}

void attempt_notice(const struct attempt *a, enum core_event event, const char *format, ...)
{
	struct core_notice n = about_attempt(a, event);
	va_list ap;

	va_start(ap, format);
	vnotice(a->step->cell->run->core, event, &n, format, ap);
	va_end(ap);
}

void attempt_notice_as(const struct attempt *a, enum core_event event, enum outcome outcome,
	const char *format, ...)
{
	struct core_notice n = about_attempt(a, event);
	va_list ap;

	n.outcome = outcome_name(outcome);
	n.priority = worse_priority(event, outcome);
	va_start(ap, format);
	vnotice(a->step->cell->run->core, event, &n, format, ap);
	va_end(ap);
}

void attempt_output(const struct attempt *a, const char *text)
{
	struct core_notice n = about_attempt(a, EVENT_OUTPUT);

	notice(a->step->cell->run->core, EVENT_OUTPUT, &n, text);
}
