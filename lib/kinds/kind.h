/* Step kinds: one state machine each, in one table.
 *
 *   step kind   what a step does: run, shell, dbt, ...
 *   action      one effect within an attempt: a process or an HTTP call
 *   event       what happened: the attempt begins, an action ended, a wait is over
 *   command     what is to be done next: spawn, http, join a lane, query, wait, ask, done
 *
 * To add a kind: write lib/kinds/NAME.c with a `const struct kind kind_NAME`, and add one line to
 * the table in lib/kinds/kind.c. The core never knows which kind it drives.
 *
 * A machine holds no I/O and no clock. It is rebuilt after a restart by replaying the recorded
 * actions: for each one that ended, `next` is called with the event and the `note` that the machine
 * itself gave for it, without lines or artifacts; the open one's lines are then fed again from
 * its log. So: whatever later decisions rest on must be in the note.
 */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/mask.h"
#include "base/outcome.h"
#include "base/text.h"
#include "spec/keys.h"
#include "spec/tree.h"

#define ACTION_NAME_MAX 32

enum stop_reason {
	STOP_NONE,
	STOP_CANCELLED,
	STOP_TIMED_OUT,
	STOP_FAIL_FAST,
	STOP_SHUTDOWN,
};
/* "cancelled", "timed_out", "fail_fast", "shutdown"; NULL for STOP_NONE. */
const char *stop_reason_name(enum stop_reason r);
enum stop_reason stop_reason_parse(const char *s);

enum stream {
	STREAM_STDOUT,
	STREAM_STDERR,
};

/* How an action's process ended, as the shim wrote it in status.json. */
struct action_status {
	enum action_end {
		END_EXITED,
		END_SIGNALLED,
		END_NOT_STARTED, /* the child never ran: `message` says why; NULL: the daemon or
				  * its shim died before, which is nobody's fault: not counted */
		END_INTERRUPTED, /* no report: the machine or the shim died */
	} end;
	int code;	       /* END_EXITED */
	int signal;	       /* END_SIGNALLED */
	enum stop_reason stop; /* why the shim stopped it, if it did */
	bool oom_killed;
	bool lease_over; /* END_NOT_STARTED because start_before had passed: not counted */
	usec_t started_at, ended_at; /* UTC */
	uint64_t max_rss;	     /* bytes */
	uint64_t cpu_ms;
	uint64_t output_bytes, output_dropped;
	char *message; /* NULL: none */
};

/* A file that the machine asked to see when the action ended. */
struct artifact {
	const char *path; /* as asked for */
	char *data;	  /* NULL: it is not there, or larger than its cap (then too_large) */
	size_t len;
	bool too_large;
};

/* What the machine may ask of the outside while it decides. Owned by the core. */
struct kind_context {
	/* The step's parameters with templates. */
	const struct node *params;
	const char *attempt_directory; /* absolute; the actions' common folder */
	unsigned attempt;
	const int64_t *ok_codes;
	size_t n_ok_codes;
	const int64_t *transient_codes;
	size_t n_transient_codes;
	usec_t timeout;		     /* in `join` what is left of it: it may join again */
	const char *environment;     /* the cell's; NULL: none */
	const char *state_directory; /* absolute; a kind's own folder in it is named after it */
	usec_t ready_left; /* of ready_timeout, as the attempt begins: so long may it still wait for
			    * what is not ready */
	bool approval;	   /* the step's gate wants one: of kinds that `plan` */
	/* What was noted last by an attempt before this one; NULL: none noted anything. */
	const cJSON *before;
	/* The relations that the dbt steps before this one have really built: those of the cells it
	 * needs, directly or through others, in its environment, and of its own cell; in a retry
	 * those of the runs before, too. [{"schema","name","target" (the matrix value, or null)}],
	 * each once. The caller frees. */
	cJSON *(*built)(const struct kind_context *ctx);
	/* How long a sync of that database has usually taken in this environment, ms; -1: unknown.
	 */
	int64_t (*usual_sync)(const struct kind_context *ctx, const char *database);
	/* Expands a template: 0, or negative with a sentence in *ret_error. Secrets can be had in
	 * `spawn` and `request` only. */
	int (*expand)(
		const struct kind_context *ctx, const char *text, char **ret, char **ret_error);
	int (*expand_tree)(const struct kind_context *ctx, const struct node *in, struct node **ret,
		char **ret_error);
};

/* Why an HTTP call has no answer. */
enum http_trouble {
	HTTP_LOST,	/* the call may have arrived: cut off, reset, too slow, a restart */
	HTTP_UNSENT,	/* it never left: no address, no connection */
	HTTP_TIMED_OUT, /* the request's timeout is over; it may have arrived */
	HTTP_UNFIT, /* the same again would end the same: its URL, a certificate, an answer above
		     * the cap */
};

enum kind_event_type {
	KIND_BEGIN,    /* the attempt begins */
	KIND_ENDED,    /* a process ended */
	KIND_ANSWERED, /* an HTTP call or a query was answered, or failed */
	KIND_SERVED,   /* what was wanted of a lane is had, or will not be */
	KIND_PASSED,   /* a wait is over */
	KIND_APPROVED, /* a person said yes; no, or nothing in time, ends the attempt */
};

struct kind_event {
	enum kind_event_type type;
	const char *action; /* its name; NULL for KIND_BEGIN */
	/* When it happened: UTC, on a clock that does not jump while the daemon lives. */
	usec_t at;
	/* KIND_ENDED */
	const struct action_status *status;
	const struct artifact *artifacts; /* in the order asked for */
	size_t n_artifacts;
	/* KIND_ANSWERED */
	int http_status; /* 0: no answer; http_trouble and http_error, masked, say why */
	enum http_trouble http_trouble;
	const char *http_error;
	/* As it came: what is quoted from it goes through `mask` (NULL: no secrets) first, and is
	 * checked and cut after that. NUL-terminated. */
	const char *body;
	size_t body_len;
	const struct mask_set *mask;
	/* KIND_SERVED: as the lane said it */
	enum outcome outcome;
	const char *reason;
	const cJSON *result;
	/* KIND_APPROVED */
	const char *who; /* "alice (uid 1000)" */
	/* On replay: what the machine noted when this happened. NULL: it happens now. */
	const cJSON *note;
};

enum kind_command_type {
	KIND_SPAWN, /* start a process: `spawn` is asked for it once the intent is durable */
	KIND_HTTP,  /* make a call: likewise `request` */
	KIND_JOIN,  /* want something of a lane (lane.h): likewise `join`; takes no place */
	KIND_QUERY, /* ask a warehouse: likewise `query`; takes no place */
	KIND_WAIT,  /* wait for `wait` µs, holding no lock or place */
	KIND_ASK,   /* wait for a person's word on the plan with `hash`, holding no lock or place */
	KIND_DONE,
};

struct kind_command {
	enum kind_command_type type;
	char action[ACTION_NAME_MAX]; /* unique within the attempt; [a-z0-9_]+ */
	/* After a crash an open action that is not repeatable ends in needs_person unless
	 * the kind can look; a repeatable one is `interrupted` and the retry policy decides. */
	bool repeatable;
	/* Not repeatable, but the machine finds out by itself what an interrupted one has done: it
	 * gets the event (END_INTERRUPTED; an answer that is HTTP_LOST) as any other. */
	bool looks;
	/* A lock of the kind's own, besides the step's; freed by the core. Names hold a ':', which
	 * no user's lock can. */
	char *lock;
	bool lock_shared;
	usec_t wait; /* KIND_WAIT */
	char *hash;  /* KIND_ASK: what exactly is approved; freed by the core */
	/* KIND_DONE */
	enum outcome outcome;
	char *reason;	  /* one line for a person; NULL: none; freed by the core */
	bool not_counted; /* the attempt does not count against retry.attempts */
	/* With any command: what to remember of the event just handled (see above), and rows for
	 * the store: {"node_result": [{...}], "source_freshness": [{...}], "sync": [{...}],
	 * "plan": [{...}]}, to which the core adds the keys of the attempt. Both freed by the core.
	 * NULL: nothing. */
	cJSON *note;
	cJSON *rows;
};

/* Frees what the command holds. */
void kind_command_fini(struct kind_command *cmd);

/* What is to be started. All freed by the core with kind_spawn_fini. */
struct kind_spawn {
	char **argv;	    /* argv[0] without a slash is sought in the child's PATH */
	char **env;	    /* "NAME=VALUE", laid over the step's environment */
	char *cwd;	    /* used where the step says none; NULL: the attempt's directory */
	char **directories; /* to be made first, relative to the attempt's directory */
	int stop_signal;    /* 0: SIGTERM */
	bool stop_group;    /* the signal goes to the process group, else to the process alone */
	usec_t kill_after;  /* where the step says none; 0: 10 s */
	struct {
		const char *path; /* relative to the attempt's directory; static */
		size_t cap;	  /* 0: not read */
		bool remove;	  /* gone once it has been read; a daemon that dies between the two
				   * finds it absent */
	} artifacts[4];
	size_t n_artifacts;
	/* Files, relative to the attempt's directory, that stay byte for byte as they are: masking
	 * at the end of an action passes them over. Of each action that ends while they are there.
	 */
	char **untouched;
};
void kind_spawn_fini(struct kind_spawn *s);

struct kind_request {
	char *url, *method, *body; /* body NULL: none */
	char **headers;		   /* "Name: value" */
	usec_t timeout;
	usec_t slow; /* below 10 bytes a second for so long, the wait for the answer counted too, is
		      * HTTP_LOST; 0: only the timeout bounds it */
	size_t cap;  /* of the answer, bytes */
};
/* Wiped and freed: it may hold secrets. */
void kind_request_fini(struct kind_request *r);

/* One query that only reads, on a connection of its own. Its answer is a KIND_ANSWERED with
 * http_status 200 and the JSON text of the single column of its single row as the body, or 0 with
 * http_error and http_trouble. */
struct kind_query {
	char *conninfo;
	const char *sql; /* static */
	char **values;	 /* of $1, $2, ... as text; NULL-terminated */
	usec_t timeout;
	size_t cap; /* of the answer, bytes */
};
/* Wiped and freed: it may hold secrets. */
void kind_query_fini(struct kind_query *q);

struct lane_want;

struct kind {
	struct spec_kind spec;
	/* The state of one attempt's machine. */
	void *(*new)(const struct kind_context *ctx);
	void (*free)(void *state);
	/* The machine itself. *ret comes in zeroed. */
	void (*next)(void *state, const struct kind_context *ctx, const struct kind_event *event,
		struct kind_command *ret);
	/* Fill in the effect; secrets can be expanded here. 0, or negative with a sentence, which
	 * ends the attempt as failed. *ret comes in zeroed. NULL where the kind never does it. */
	int (*spawn)(void *state, const struct kind_context *ctx, const char *action,
		struct kind_spawn *ret, char **ret_error);
	int (*request)(void *state, const struct kind_context *ctx, const char *action,
		struct kind_request *ret, char **ret_error);
	int (*join)(void *state, const struct kind_context *ctx, const char *action,
		struct lane_want *ret, char **ret_error);
	int (*query)(void *state, const struct kind_context *ctx, const char *action,
		struct kind_query *ret, char **ret_error);
	/* It makes plans, and asks for the step's approval itself (KIND_ASK); of the others the
	 * core asks before the attempt begins. */
	bool plans;
	/* One line of output, control characters already escaped, without newline. `partial`: the
	 * text goes on in the next call. Returns true if what `progress` says has changed; sets
	 * *ret_news to a sentence worth the journal (the core frees), or leaves it. May be NULL. */
	bool (*line)(void *state, enum stream stream, const char *text, size_t len, bool partial,
		char **ret_news);
	/* How far it is, for `status` and `show`; an object or NULL. Well-known keys: "done",
	 * "total" (integers), "now" (what runs), "failed", "skipped" (integers), "text" (a whole
	 * sentence). */
	cJSON *(*progress)(const void *state);
	/* What failed holds up inside the step ("4 models"); NULL: nothing. The caller frees. The
	 * note of the end keeps it as "holds_up", for readers of a run that was loaded. */
	char *(*holds_up)(const void *state);
};

extern const struct kind *const kinds[];
extern const size_t n_kinds;
const struct kind *kind_by_name(const char *name);
/* The kinds' key tables, for spec_world.kinds. */
const struct spec_kind *kind_specs(size_t *ret_n);

/* The common reading of an exit: cancelled, timed out, interrupted, not started, OOM-killed,
 * signalled; then ok_codes, transient_codes, failed. *ret_reason: one line or NULL. */
enum outcome kind_exit_outcome(
	const struct kind_context *ctx, const struct action_status *status, char **ret_reason);
void action_status_fini(struct action_status *s);
