/* The core: what is due, and the life of runs, stages, cells, steps, attempts and actions. It asks
 * through ports (ports.h) and never does; tests/unit drives it in a simulation.
 *
 *   core.c      the whole: configuration, store, the one function that does what is due (core_run)
 *   slot.c      when jobs are due, catch-up, overlap
 *   run.c       a run from its definition to its outcome
 *   cell.c      cells and steps: what is ready, what is skipped and why
 *   need.c      what the needs of cells have come to
 *   attempt.c   one try of a step: the kind's machine, its actions, retry
 *   approve.c   a person's word: who may give it to what, and what they should see
 *   gate.c      what a step waits for without holding a place: a check, a person's word
 *   check.c     health endpoints: polled, and what they say; check_set.c: which there are, what was
 *               loaded; check_view.c: what readers see
 *   lane.c      what attempts want of one Metabase: one machine for all of them
 *   built.c     what dbt has built, for the steps after it; how long syncs take
 *   retry.c     after the end of an attempt: another one, and when
 *   resume.c    an attempt after a restart
 *   lock.c      places and named locks, taken all or none, first come first served
 *   timer.c     delays and waits
 *   deadline.c  deadlines of runs and stages, whose clocks stand still for approvals
 *   record.c    rows to the store and back
 *   action.c    one effect: its intent, its secrets, its process or call, its end
 *   effect.c    what exactly it is to do: filled in from its kind and its step
 *   prune.c     history that is old goes
 *   operate.c   what admins ask for: start, cancel, retry, pause, ...
 *   read.c      what readers ask for that may need history: show, logs, runs, why
 *   ref.c       what people call things: nightly#128/build/staging/postgres
 *   load.c      rows back into runs
 *   view.c      what readers see: the JSON objects of the interface
 *   metrics.c   counters and gauges, for Prometheus
 *   event.c     the table of events */
#pragma once
#include "core/ports.h"

struct core;

struct core *core_new(const struct core_ports *ports);
/* When the ports have been closed: nobody calls back any more. */
void core_free(struct core *core);

/* The first configuration, and each reload. Takes the spec. Never fails: what was wrong was said by
 * spec_load(). Runs keep the definition they began with. */
void core_configure(struct core *core, struct spec *spec, const struct spec_world *world);

/* Does everything that can be done now, and asks the clock for the next time. The daemon calls it
 * after each event (once per loop turn is enough) and when the clock says. */
void core_run(struct core *core);

/* --- from the store ----------------------------------------------------------------------- */

/* This daemon leads, in this epoch. `loaded` (borrowed):
 * {"jobs":[row of job, and "judged": the number of its last ended run, cancelled ones aside...],
 *  "runs":[{"run":row,"definition":text,"cells":[row...],"attempts":[row...],"actions":[row...],
 *        "plans":[row of plan...]}...]
 *        every run that has not ended,
 *  "red":[the same shape: each job's last ended run, where its outcome was not ok],
 *  "usual":[{"job","cell","ms"}...]  the median time of the last good runs' cells,
 *  "usual_syncs":[{"environment","database","ms"}...]  the median time of the last proved syncs,
 *  "checks":[row of check_transition...]  the last one of each check,
 *  "now": instant on the server's clock}
 * Called again with the same epoch after a mere loss of the connection: then loaded is NULL. */
void core_store_ready(struct core *core, uint64_t epoch, const cJSON *loaded);
/* The connection is gone; units not yet durable are kept by the adapter and sent again. */
void core_store_away(struct core *core, const char *why);
/* Another daemon leads (`holder`): forgets every run; its own shims go on. */
void core_store_lost(struct core *core, const char *holder);

/* A report of another machine's daemon: a row of the table report. */
void core_store_report(struct core *core, const cJSON *row);

/* --- from the launcher -------------------------------------------------------------------- */

void core_action_started(struct core *core, struct launch *l, usec_t at, bool adopted);
/* Text of one output line, escaped and masked, without newline, text[len] is NUL; partial: it goes
 * on. `at`: when the shim read it. */
void core_action_line(struct core *core, struct launch *l, enum stream stream, usec_t at,
	const char *text, size_t len, bool partial);
/* The HEAD of the git work tree that holds the step's directory, where there is one. */
void core_action_commit(struct core *core, struct launch *l, const char *commit);
/* The follower was overtaken: so many bytes are not in the log. */
void core_action_gap(struct core *core, struct launch *l, uint64_t bytes);
/* The end. Artifacts are masked, in the order of l->artifacts. The launch may be freed inside. */
void core_action_ended(struct core *core, struct launch *l, const struct action_status *status,
	const struct artifact *artifacts, size_t n_artifacts);

/* --- operations: from the socket ---------------------------------------------------------- */

enum core_error {
	CORE_OK,
	CORE_E_USAGE,	/* an unknown name, key or value; a choice left open: message names them */
	CORE_E_NO_SUCH, /* no such job, run, cell */
	CORE_E_REFUSED, /* overlap, already ended, ... */
	CORE_E_NO_STORE,
	CORE_E_NOT_LEADER,
	CORE_E_NOT_THERE_YET,
};

/* One operation; answered once, after its commit (a refusal at once, though never inside the
 * call). The callee may free it. */
struct core_op {
	struct list link; /* the core's */
	void (*done)(
		struct core_op *op, enum core_error error, const char *message, cJSON *take_result);
	const char *who;    /* "alice (uid 1000)", for audit and reasons; lives as long as the op */
	const char *reason; /* what the person said; may be NULL */
	/* the core's, until done */
	enum core_error error;
	char *message;
	cJSON *result;
};

struct core_only { /* --only KEY=VALUE */
	const char *key, *value;
};

/* result {"run": "nightly#129"} */
void core_start(struct core *core, struct core_op *op, const char *job,
	const struct core_only *only, size_t n_only);
/* REF: a run, a stage, a cell: what has not ended of it; a step or an attempt: that alone, and the
 * cell goes on as `when` of its later steps says. result {} */
void core_cancel(struct core *core, struct core_op *op, const char *ref);
/* REF: a run, a cell or a step that waits for a person's word; where several below it do, it is a
 * usage error that names them. `hash`: of the plan that the person has seen, refused where it is
 * another by now (NULL: whatever waits). result {"ref": of the step} */
void core_approve(
	struct core *core, struct core_op *op, const char *ref, const char *hash, bool approved);
/* result {"run": name or null (dry run), "cells": [names]} */
void core_retry(struct core *core, struct core_op *op, const char *run,
	const struct core_only *only, size_t n_only, bool dry_run);
void core_pause(struct core *core, struct core_op *op, const char *job, bool paused);
/* Stops starting; `done` when nothing runs any more. */
void core_drain(struct core *core, struct core_op *op);
/* A call that was denied or refused before it came here: for the audit table. */
void core_audit(struct core *core, const char *who, const char *method, const char *subject,
	const char *reason, bool granted, const char *answer);
/* The machine goes down: every action is interrupted its kind's way (STOP_SHUTDOWN). */
void core_shutdown(struct core *core);
/* Drained: nothing runs, everything is recorded and answered; the daemon may end. */
bool core_is_drained(const struct core *core);
/* Actions that have a process now. */
unsigned core_n_running(const struct core *core);

/* --- views: the JSON objects of the interface --------------------------------------------- */

/* {"now","store":"ok|away","store_reason","leader","holder","draining",
 *  "red":[{"run","cell" ("nightly#128/build/production/postgres"),"outcome","ended_at","attempts",
 *          "reason","holds_up":["4 models","sync/production"]}],
 *  "waiting":[{"run","cell","since","reason"}],
 *  "runs":[the object of show without cells: every active run],
 *  "running":[{"run","cell","step","attempt","started_at","progress","usual_ms"}],
 *  "due":[{"job","at"}] the soonest few, "paused":[job names],
 *  "checks":[as in core_view_checks()]} */
cJSON *core_view_status(const struct core *core);
/* One line: "store ok; 2 runs, 4 actions". Cheap: for each turn. */
void core_summarize(const struct core *core, char *buf, size_t size);
/* {"jobs":[{"name","schedule","timezone","paused","next","overlap","active":[run names],
 *           "last":{"name","outcome","ended_at"} or null}]} */
cJSON *core_view_jobs(const struct core *core);
/* {"slots":[{"job","utc","local","timezone"}...]}; job NULL: all jobs, soonest first.
 * NULL: no such job. */
cJSON *core_view_next(const struct core *core, const char *job, unsigned n);

/* {"checks":[{"name","environment" (or null),"state":"up|down|starting|unknown","since",
 *  "reason" (one line, or null),"progress" (of a starting one, 0 to 1, or null),"checked_at",
 *  "holds_up":[cells that wait for it]}]} */
cJSON *core_view_checks(const struct core *core);

/* Reads that may need history: answered through `op` like an operation (who may be NULL). */
/* result {"runs":[...]} */
void core_list_runs(struct core *core, struct core_op *op, const char *job, unsigned limit);
/* REF names a run ("nightly": its last one, "nightly#128"); result: the run's object. */
void core_get_run(struct core *core, struct core_op *op, const char *ref);
/* What a person should see before the word: REF as in core_approve(). result
 * {"approvals":[{"ref" (of the step),"message","since","expires_at","commit","hash",
 *  "plan":{"hash","summary":{"add","change","destroy","replace"},
 *          "changes":[{"address","action":"create|update|delete|replace|read|import|move"}],
 *          "made_at"} or null,
 *  "elsewhere":[{"ref","environment","same":"plan|commit","outcome","ended_at","decided_by"}]}]} */
void core_get_approval(struct core *core, struct core_op *op, const char *ref);
/* What became of the slot: result {"job","scheduled_for","fate","reason","run"}; fate: run,
 * skipped, waiting (still to come or just due), never (no such slot). */
void core_why(struct core *core, struct core_op *op, const char *job, usec_t instant);
/* Counters since the start and gauges, in the text format that Prometheus reads. */
void core_view_metrics(const struct core *core, struct buf *out);
/* The checks with their last transitions: result as core_view_checks() gives it, each with
 * "transitions":[{"state","at","ended_at","reason"}], at most `limit` each, newest first. Without
 * the store: what memory knows of them. */
void core_list_checks(struct core *core, struct core_op *op, unsigned limit);
/* REF as in `nightjar logs`; result {"run","active","attempts":[{"directory" (of the attempt,
 * absolute),"name","cell","step","attempt","outcome","actions":[names in order],"ended"}...]}. */
void core_find_logs(struct core *core, struct core_op *op, const char *ref, bool failed_only);
