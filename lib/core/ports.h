/* Ports: all that the core asks of the outside. The daemon's adapters implement them on libuv,
 * libpq and the shim; the simulation in tests/ implements them in memory, with a seed.
 *
 * Rules: no call blocks; no call calls back before it returns; whatever is asked with a request
 * struct stays the core's memory until its callback; a callback may free the request.
 * Instants are `now` (CLOCK_REALTIME, µs since 1970) or `boot` (CLOCK_BOOTTIME, µs). */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "base/mask.h"
#include "base/text.h"
#include "kinds/kind.h"
#include "spec/spec.h"

#define UUID_TEXT 37

/* Where an action lives: STATE/actions/RUN_ID/CELL_INDEX/STEP_INDEX.ATTEMPT/ACTION. */
struct action_place {
	char run_id[UUID_TEXT];
	unsigned cell, step, attempt;
	char action[ACTION_NAME_MAX];
};

/* --- clock -------------------------------------------------------------------------------- */

struct clock_port {
	void *self;
	usec_t (*now)(void *self);
	usec_t (*boot)(void *self);
	/* Calls core_run() at the boot instant or at the wall-clock instant, whichever comes first,
	 * and whenever the wall clock is set. USEC_INFINITY: not; a boot instant of 0: at once, and
	 * the core then says again what it wishes. Replaces the former wish. */
	void (*wake)(void *self, usec_t boot, usec_t now);
};

struct random_port {
	void *self;
	uint64_t (*next)(void *self);
};

/* --- store -------------------------------------------------------------------------------- */

/* Every write is a whole row, upserted by its key: replaying one is harmless, and within a batch
 * only the last one of a key matters. daemon/pg/schema.sql has the columns; a row's JSON keys are
 * their names, and a column that is not named keeps its value (NULL in a new row). */
enum store_table {
	TABLE_JOB,
	TABLE_DEFINITION,
	TABLE_SLOT,
	TABLE_RUN,
	TABLE_CELL,
	TABLE_ATTEMPT,
	TABLE_ACTION,
	TABLE_NODE_RESULT,
	TABLE_SOURCE_FRESHNESS,
	TABLE_SYNC,
	TABLE_PLAN,
	TABLE_CHECK_TRANSITION,
	TABLE_AUDIT,
	STORE_TABLES,
};
const char *store_table_name(enum store_table t);

struct store_row {
	enum store_table table;
	char *key;  /* its primary key as text, to find the same row in one batch */
	char *json; /* an object */
};

/* The error of a unit that was not written because another daemon leads: core_store_lost()
 * follows. */
#define STORE_LOST "this daemon no longer leads"

/* Rows that are committed together or not at all, in the order of submission. */
struct store_unit {
	struct list link; /* the adapter's */
	struct store_row *rows;
	size_t n, cap;
	/* Durable (error NULL), or set aside because its data was refused. The callee frees it. */
	void (*done)(struct store_unit *unit, const char *error);
	void *owner;
};
void store_unit_fini(struct store_unit *unit);

/* A read of history, on the second connection. */
struct store_read {
	enum store_read_type {
		READ_RUNS,     /* {"runs":[row of run ...]}, newest first; job may be NULL */
		READ_RUN,      /* one run, in the shape of a loaded one: see core_store_ready() */
		READ_LAST_RUN, /* the same, the last run of `job` */
		READ_KEPT,  /* {"kept":[id...]}: runs that are open, and of each job the last ended
			     * one, the last that was not cancelled, and the last good one */
		READ_SLOT,  /* {"slot": row or null}: what became of the slot `at` of `job` */
		READ_PLANS, /* {"plans":[row of plan, with "run","cell_name","outcome" and
			     * "ended_at" of its attempt, "same_changes"]}: the last `limit` of
			     * other cells with the same changes as the last plan of the step at
			     * `place`, or of the same commit */
		READ_TRANSITIONS, /* {"transitions":[row of check_transition...]}: the last `limit`
				   * of each check, newest first */
	} type;
	char *job;
	uint64_t number;
	unsigned limit;
	usec_t at;
	struct action_place place; /* READ_PLANS; its action is not looked at */
	void (*done)(struct store_read *read, const char *error, cJSON *take_result);
	void *owner;
};

/* One piece of what is old goes: it asks for the next one, after a pause, until nothing goes. The
 * caller's memory until `done`. */
struct prune {
	usec_t now, span; /* what ended before now - span */
	/* of the launcher: sorted ids of runs that stay whatever their age */
	char *const *keep;
	size_t n_keep;
	/* n: how many rows, or folders of runs, went. An error: what is still there, and why. */
	void (*done)(struct prune *p, const char *error, uint64_t n);
	void *owner;
};

struct store_port {
	void *self;
	/* Takes the unit until its `done`. */
	void (*submit)(void *self, struct store_unit *unit);
	void (*read)(void *self, struct store_read *read);
	/* Evidence from a daemon that does not lead that one of its own actions has ended. */
	void (*report)(void *self, const struct action_place *place, const cJSON *status);
	/* Effects are allowed while boot() is below this; 0: not at all. */
	usec_t (*lease)(void *self);
	/* Rows of runs, slots, audit ... that are old; never of what READ_KEPT names. May be NULL.
	 */
	void (*prune)(void *self, struct prune *p);
};

/* --- secrets ------------------------------------------------------------------------------ */

struct secrets_request {
	char *environment; /* NULL: none */
	char **names;	   /* sorted, NULL-terminated */
	/* Values in step with names. On error (a sentence that names the secret) NULL values. The
	 * callee frees the values and wipes them. */
	void (*done)(struct secrets_request *r, const char *error, char **take_values);
	void *owner;
};

struct secrets_port {
	void *self;
	void (*fetch)(void *self, struct secrets_request *r); /* NULL with no secret is not asked */
};

/* --- launcher ----------------------------------------------------------------------------- */

/* One process to start or to find again. Embedded in the core's action. */
struct launch {
	struct action_place place;
	/* for action.json */
	const char *run_name, *cell_name, *step_name, *kind;
	uint64_t epoch;
	bool repeatable;
	/* what to start; owned by the launch, wiped and freed by launch_fini() */
	char **argv, **env, *cwd;
	char **directories;
	char **untouched; /* masking at the end passes these by, relative to the attempt's folder */
	struct launch_file {
		char *name, *content, *env;
		size_t len;
	} * files; /* written 0600 in the action's private folder, gone when it ends; a non-NULL env
		    * is set to the path in the child's environment */
	size_t n_files;
	struct mask_set *mask;
	usec_t timeout, kill_after;
	uint64_t log_cap;
	int stop_signal;
	bool stop_group;
	usec_t start_before; /* boot; the lease's end */
	struct {
		const char *path;
		size_t cap;  /* 0: not read */
		bool remove; /* gone once it has been read */
	} artifacts[5];
	size_t n_artifacts;
	void *adapter; /* the launcher's own */
};
void launch_fini(struct launch *l);

struct launcher_port {
	void *self;
	/* The absolute folder of the attempt that the place is in; the caller frees. */
	char *(*attempt_directory)(void *self, const struct action_place *place);
	/* Starts the process. Later: core_action_started, core_action_line..., core_action_ended,
	 * exactly one of the last, also when it could not be started. */
	void (*start)(void *self, struct launch *l);
	/* Finds an action that an earlier daemon began: adopts it (then as after a start), or calls
	 * core_action_ended with what its folder says. Its lines are fed from the log's beginning
	 * in either case. Only place, mask, untouched, artifacts and log_cap are set. */
	void (*find)(void *self, struct launch *l);
	/* Asks for its end; the answer is core_action_ended. No-op when that is under way. */
	void (*stop)(void *self, struct launch *l, enum stop_reason reason);
	/* Folders of runs that are old and not in p->keep. May be NULL. */
	void (*prune)(void *self, struct prune *p);
};

/* --- logs --------------------------------------------------------------------------------- */

/* A reading of what the actions of one attempt printed: log lines as the shim wrote them
 * (`RFC3339nano stdout|stderr F|P text`, masked and escaped), one action after the other. The
 * reader asks for each piece, so a slow one holds nothing up. The caller's memory, with all that
 * it points at, until `done` or cancel. */
struct log_request {
	const char *directory;	    /* of the attempt, absolute */
	const char *const *actions; /* names, in order */
	size_t n_actions;
	bool follow; /* wait for more while an action runs */
	/* A piece of at most LOG_PIECE_MAX bytes of whole lines, each with its newline; `gap`: so
	 * many bytes before it are no longer there. Lives for the call only. No other comes before
	 * next(), which may be called in here. */
	void (*on_chunk)(struct log_request *r, const char *action, const char *lines, size_t len,
		uint64_t gap);
	/* All was read (error NULL), or a sentence. The callee may free the request. */
	void (*done)(struct log_request *r, const char *error);
	void *owner;
	void *adapter; /* the launcher's own */
};
#define LOG_PIECE_MAX (128 * 1024)

struct log_port {
	void *self;
	void (*start)(void *self, struct log_request *r); /* the first piece is asked for, too */
	void (*next)(void *self, struct log_request *r);
	void (*cancel)(void *self, struct log_request *r); /* nothing follows */
};

/* --- http --------------------------------------------------------------------------------- */

struct http_call {
	struct kind_request request;
	struct mask_set *mask;
	void *adapter;
	enum http_trouble trouble; /* set before `done`, where there is no answer */
	/* status 0: no answer, and `error` a sentence, masked. The body as it came, not masked,
	 * NUL-terminated; it lives for the call only. The callee may free the call. */
	void (*done)(struct http_call *call, int status, const char *error, const char *body,
		size_t body_len);
	void *owner;
};

struct http_port {
	void *self;
	void (*start)(void *self, struct http_call *call);
	void (*cancel)(void *self, struct http_call *call); /* no `done` follows */
};

/* --- queries of warehouses ---------------------------------------------------------------- */

struct query_call {
	struct kind_query query;
	struct mask_set *mask;
	void *adapter;
	enum http_trouble trouble; /* set before `done`, where there is no answer */
	/* The answer's text (error NULL), or a sentence, masked. The callee may free the call. */
	void (*done)(struct query_call *call, const char *error, const char *text, size_t len);
	void *owner;
};

struct query_port {
	void *self;
	void (*start)(void *self, struct query_call *call);
	void (*cancel)(void *self, struct query_call *call); /* no `done` follows */
};

/* --- observer ----------------------------------------------------------------------------- */

/* What happened, for the journal, `watch`, and notifications. The table in lib/core/event.c gives
 * each its name, priority and MESSAGE_ID. */
enum core_event {
	EVENT_RUN_CREATED,
	EVENT_RUN_STARTED,
	EVENT_RUN_ENDED,
	EVENT_CELL_STARTED,
	EVENT_CELL_ENDED,
	EVENT_ATTEMPT_STARTED,
	EVENT_ATTEMPT_ENDED,
	EVENT_RETRY_SCHEDULED,
	EVENT_ACTION_ADOPTED,
	EVENT_APPROVAL_AWAITED, /* a step waits for a person's word */
	EVENT_APPROVED,		/* or rejected, or expired: its outcome says which */
	EVENT_CHECK_CHANGED,	/* a check went up, down, ... */
	EVENT_PROGRESS,
	EVENT_NEWS,   /* a sentence from a kind: a model failed */
	EVENT_OUTPUT, /* a line that a step printed */
	EVENT_SLOT_SKIPPED,
	EVENT_CONFIG_LOADED,
	EVENT_CONFIG_REFUSED,
	EVENT_STORE_READY,
	EVENT_STORE_AWAY,
	EVENT_LEADER_LOST,
	EVENT_OPERATED, /* somebody operated: start, cancel, pause, ... */
	EVENT_HISTORY_PRUNED,
	EVENT_ALARM,
	CORE_EVENTS,
};

struct core_event_info {
	const char *name;	/* "run-ended" */
	int priority;		/* syslog's */
	const char *message_id; /* 32 hex digits */
	const char *doc;	/* one line, for nightjar-journal(7) */
};
extern const struct core_event_info core_event_table[CORE_EVENTS];

struct core_notice {
	enum core_event event;
	int priority; /* the event's, or worse */
	const char *message;
	/* NULL where it does not apply */
	const char *job, *run, *cell,
		*step;	  /* "nightly", "nightly#128", "build/staging/postgres", "build" */
	unsigned attempt; /* 0: none */
	const char *outcome;
	const char *check, *environment; /* EVENT_CHECK_CHANGED */
};

struct observer_port {
	void *self;
	/* `notice` and its strings live for the call only. */
	void (*notice)(void *self, const struct core_notice *notice);
};

struct core_ports {
	const char *machine; /* the UUID in the state folder */
	const char *state;   /* that folder, absolute; NULL in tests: none */
	char *const
		*unit_environment; /* PATH, HOME, LANG, TZ as the daemon has them; "NAME=VALUE" */
	const char *boot_id;
	const struct kind *(*kind)(const char *name); /* NULL: kind_by_name() */
	struct clock_port clock;
	struct random_port random;
	struct store_port store;
	struct secrets_port secrets;
	struct launcher_port launcher;
	struct http_port http;	 /* start NULL: there is none */
	struct query_port query; /* start NULL: there is none */
	struct observer_port observer;
};
