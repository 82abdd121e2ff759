/* The core's memory: jobs, runs, stages, cells, steps, attempts, actions. What each thing is, the
 * words of the design say; which file owns it, core.h says. */
#pragma once
#include "base/heap.h"
#include "base/list.h"
#include "core/core.h"
#include "core/metrics_state.h"
#include "kinds/lane.h"
#include "spec/scope.h"

/* A wish to be woken: embedded in what waits. */
struct timer {
	struct heap_node node;
	bool wall; /* on the wall clock, else on boot time */
	void (*fire)(struct core *core, struct timer *timer);
};

/* Waits for the rows collected so far to be durable: embedded in what waits. */
struct commit_wait {
	struct list link;
	bool pending;
	void (*committed)(struct core *core, struct commit_wait *wait, const char *error);
};

enum life {
	LIFE_WAITING,
	LIFE_RUNNING,
	LIFE_ENDED,
};

/* --- job ---------------------------------------------------------------------------------- */

struct usual_time {
	char *cell; /* its name */
	int64_t ms;
};

struct job {
	char *name;
	struct spec_job *spec; /* NULL: no longer configured */
	bool paused;
	usec_t last_slot; /* with what it was made with: */
	char *schedule, *timezone;
	char *boot_id;	  /* of the last @reboot slot; NULL: none yet */
	usec_t next_slot; /* USEC_INFINITY: none */
	struct timer slot_timer;
	uint64_t last_number;
	enum outcome last_outcome;
	usec_t last_ended_at;
	struct list runs; /* active ones, oldest first: run.in_job */
	struct run *red;  /* the last ended run, where it was not ok; cancelled ones aside */
	uint64_t judged;  /* the number of that last one, ok or not; 0: unknown */
	struct usual_time *usual; /* sorted by cell */
	size_t n_usual, cap_usual;
	bool stored;			   /* its row is as the fields say */
	uint64_t ended[OUTCOMES], skipped; /* runs and slots, since the start */
};

/* Of a run or a stage: deadline.h. */
struct deadline {
	struct timer timer;
	usec_t at;   /* wall clock; 0: none, or not begun */
	bool held;   /* its clock stands still, with */
	usec_t left; /* so much to go */
};

/* --- run ---------------------------------------------------------------------------------- */

enum trigger {
	TRIGGER_SCHEDULE,
	TRIGGER_MANUAL,
	TRIGGER_RETRY,
	TRIGGER_CATCH_UP,
};

struct stage {
	unsigned n_ended; /* of its cells that are part of the run */
	unsigned n_part;
	unsigned n_places; /* taken, for max_parallel */
	usec_t started_at;
	struct deadline deadline;
	struct run *run;
	struct need *needs; /* in step with the definition's; NULL: not counted yet */
	bool fail_fast_done;
};

struct run {
	struct core *core;
	struct job *job;
	struct spec_job *def;
	char id[UUID_TEXT];
	uint64_t number;
	char *name; /* "nightly#128" */
	enum trigger trigger;
	enum life state;
	enum outcome outcome;
	char *reason;
	usec_t scheduled_for; /* 0: no slot */
	usec_t created_at, started_at, ended_at;
	struct deadline deadline;
	unsigned n_asking; /* attempts that wait for a person's word */
	char *retry_of;	   /* uuid */
	char *retry_of_name;
	uint64_t *retried; /* of a retry: the numbers of all runs that it goes back to */
	size_t n_retried;
	char *commit;
	char *who, *why;
	cJSON *prior;	    /* of a retry: cell name -> outcome in the older run, where not ok */
	cJSON *built;	    /* of a retry: cell name -> what older runs built there; built.h */
	struct cell *cells; /* def->n_cells */
	struct stage *stages;
	struct list todo; /* cells to look at */
	unsigned n_open;  /* cells that are part and have not ended */
	bool narrowed;	  /* some cells are no part of it */
	bool detached;	  /* only for reading: in no list */
	struct list in_core, in_job;
	struct list dirty;	/* in core.dirty, or alone */
	struct commit_wait end; /* of one in core.ended */
};

struct step {
	struct cell *cell;
	const struct spec_step *spec;
	unsigned index;
	enum life state;
	enum outcome outcome;
	char *reason;
	bool blocked;
	char *cancelled; /* somebody asked for the end of this step alone: why */
	cJSON *outputs;	 /* KEY: VALUE written to $NIGHTJAR_OUTPUT; NULL: none */
	struct attempt **attempts;
	size_t n_attempts, cap_attempts;
	struct timer retry; /* the next attempt's time */
	usec_t retry_at;    /* wall clock, for readers; 0: none */
};

struct cell {
	struct run *run;
	struct list todo; /* in run.todo, or alone */
	const struct spec_cell *spec;
	struct stage *stage;
	bool part; /* of the run: not narrowed away */
	enum life state;
	enum outcome outcome;
	char *reason;
	bool blocked;
	usec_t started_at, ended_at;
	struct step *steps;
	size_t n_steps;
	unsigned current;
	enum stop_reason stop; /* somebody asked for its end: no further step begins */
	char *stop_why;
};

/* --- attempt ------------------------------------------------------------------------------ */

enum attempt_state {
	ATTEMPT_PLACE,	  /* its next action waits for locks and places */
	ATTEMPT_INTENT,	  /* the intent and the secrets are on their way */
	ATTEMPT_ARMED,	  /* durable; the lease is over: waits for the next one */
	ATTEMPT_RUNNING,  /* the effect is out */
	ATTEMPT_PAUSE,	  /* a wait of the machine */
	ATTEMPT_ASKING,	  /* waits for a person's word */
	ATTEMPT_CHECKING, /* waits for a check to be up */
	ATTEMPT_FOREIGN,  /* another machine's shim has it */
	ATTEMPT_ENDED,
};

struct place {
	struct list link; /* in core.waiting while it waits */
	struct attempt *attempt;
	bool held;
	bool locks_only; /* it counts in no limit */
	struct {
		char *name;
		bool shared;
	} locks[2]; /* the step's, the kind's; name NULL: none */
	usec_t since;
};

struct action {
	struct core *core;
	struct attempt *attempt; /* NULL: forgotten by the core, its process goes on */
	char name[ACTION_NAME_MAX];
	unsigned ordinal;
	enum kind_command_type type;
	bool repeatable, looks; /* as in kind_command */
	bool ended;
	bool started;
	char *machine; /* whose shim it is */
	uint64_t epoch;
	usec_t intent_at, started_at, ended_at, deadline_at;
	usec_t intent_boot;
	enum stop_reason stop; /* asked of the launcher */
	cJSON *status, *note;
	usec_t waited; /* in all, of a gate or a lane: it has ended */
	char *hash;    /* KIND_ASK: of the plan that waits for a word; NULL: there is none */
	/* while it is under way */
	bool launched; /* a port has it */
	bool finding;  /* it was begun by an earlier daemon */
	bool durable;
	bool secrets_pending;
	char *secrets_error;
	struct commit_wait commit;
	struct secrets_request secrets;
	char **values; /* of the secrets, in step with secrets.names */
	struct launch launch;
	struct http_call call;
	struct query_call query;
	struct lane_want want; /* until it joins its lane: */
	struct mask_set *want_mask;
	struct lane_seat *seat; /* in a lane; NULL: in none */
	struct timer wait;
};

struct attempt {
	struct step *step;
	unsigned number;
	enum attempt_state state;
	bool counted;
	enum outcome outcome;
	char *reason;
	char *holds_up;
	bool has_exit;
	int exit_code, signal; /* signal 0: none */
	usec_t started_at, ended_at;
	uint64_t max_rss, cpu_ms;
	cJSON *progress; /* as it was at the end */
	cJSON *plan;	 /* the row of its last plan; NULL: it made none */
	void *machine;
	const struct kind *kind;
	struct kind_context ctx;
	struct scope scope;
	char *directory, *output_path;
	struct action **actions;
	size_t n_actions, cap_actions;
	struct action *open; /* the one under way */
	struct place place;
	char *check;	       /* its gate waits for that one; NULL: for none */
	usec_t pause;	       /* from its end to the next attempt; 0: none, or not known */
	enum stop_reason stop; /* somebody asked for its end */
	char *stop_why;
	bool never_started; /* it came to no effect through no fault of its own */
	bool final;	    /* its end at a gate is the step's: nothing is tried again */
};

/* --- the whole ---------------------------------------------------------------------------- */

struct named_lock {
	char *name;
	unsigned exclusive, shared; /* holders */
	unsigned claimed;	    /* by earlier waiters, while places are granted */
};

/* Removing old history: prune.c. */
struct pruning {
	struct timer timer; /* the next piece, or the next time */
	enum {
		PRUNE_IDLE,
		PRUNE_STORE,
		PRUNE_KEPT,
		PRUNE_FOLDERS,
		PRUNE_DONE,
	} state;
	usec_t keep, logs; /* as configured; 0: for ever */
	bool changed;	   /* they were, while a port was at it */
	bool busy;	   /* a port is at it */
	struct prune request;
	struct store_read read;
	char **kept; /* ids of runs, sorted */
	size_t n_kept;
	uint64_t rows, folders; /* gone this time */
};

/* How long a sync of a Metabase's database takes. */
struct usual_sync {
	char *environment; /* NULL: none */
	char *database;
	int64_t ms;
};
#define USUAL_SYNCS_MAX 10000

enum store_state {
	STORE_AWAY,
	STORE_READY,
	STORE_STANDBY, /* another daemon leads */
};

struct core {
	struct core_ports ports;
	struct spec *spec;
	struct spec_world world;
	enum store_state store;
	bool loaded; /* runs are those of the store */
	uint64_t epoch;
	char *store_why, *holder;
	struct job **jobs; /* sorted by name */
	size_t n_jobs, cap_jobs;
	struct list runs;  /* active: run.in_core, oldest first */
	struct list ended; /* run.in_core: kept for readers until the store can tell of their end */
	struct list dirty; /* runs to look at */
	struct heap wall, boot;
	struct list waiting;   /* place.link, first come first served */
	unsigned n_places;     /* taken, for max_attempts */
	unsigned n_locks_only; /* of those that wait */
	unsigned n_running;    /* actions with a process or a call */
	struct named_lock *locks;
	size_t n_locks, cap_locks;
	bool places_changed;
	struct list lanes;
	struct usual_sync *usual_syncs;
	size_t n_usual_syncs, cap_usual_syncs;
	struct store_unit *unit;  /* rows collected and not yet submitted */
	struct list commit_waits; /* of `unit` */
	struct list units;	  /* in flight: struct flight.link */
	struct list answers;	  /* operations to be answered at the end of core_run */
	struct list durables;	  /* operations that wait for their commit */
	struct list drains;	  /* core_op.link: waiting for nothing to run */
	bool draining, shutting_down;
	bool running; /* inside core_run */
	bool freeing; /* inside core_free: nobody calls back any more */
	struct pruning pruning;
	struct metrics metrics;
	struct check **checks; /* in the order of the configuration */
	size_t n_checks, cap_checks;
	usec_t started_at; /* the wall clock at core_new() */
	usec_t wall_ahead; /* of boot time, when last looked at */
	usec_t server_now,
		server_now_boot; /* the server's clock at the load, and ours; 0: unknown */
};

static inline usec_t core_now(const struct core *core)
{
	return core->ports.clock.now(core->ports.clock.self);
}

static inline usec_t core_boot(const struct core *core)
{
	return core->ports.clock.boot(core->ports.clock.self);
}

/* The server's clock, as far as this one knows: what two machines can agree on. */
static inline usec_t core_server_now(const struct core *core)
{
	return core->server_now ? core->server_now + core_boot(core) - core->server_now_boot
				: core_now(core);
}
