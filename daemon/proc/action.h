/* One action, inside the launcher. Private to daemon/proc. */
#pragma once
#include "base/list.h"
#include "daemon/loop/loop.h"
#include "daemon/proc/launcher.h"

#define N_WATCH_BUCKETS 256

struct launcher {
	uv_loop_t *loop;
	char *state, *machine, *boot_id;
	char *private_root;  /* NULL: in the action's folder */
	char *cgroup_root;   /* NULL: none */
	bool boot_was_known; /* a daemon had started actions in this boot before */
	bool boot_is_noted;
	int program, null;
	struct launcher_events events;
	struct open_count open; /* the actions, the log readers and our own handles */
	void (*closed)(void *arg);
	void *closed_arg;
	bool closing;

	struct list actions;
	struct list readers; /* log.c */
	/* following: one inotify descriptor; without it, or without a watch, a look now and then */
	int inotify;
	uv_poll_t inotify_poll;
	struct list watches[N_WATCH_BUCKETS]; /* of actions, by watch */
	uv_timer_t look;
	struct list ready; /* actions whose log is to be read, in turn */
	unsigned n_reading;
};

enum action_state {
	ACTION_STARTING, /* on the pool, or waiting to try again */
	ACTION_FINDING,	 /* likewise */
	ACTION_RUNNING,	 /* its shim is watched */
	ACTION_ENDING, /* the shim has ended, or there is none: gather, then the rest of the log */
	ACTION_OVER,   /* said; its handles close */
};

/* What a job on the pool found out. */
enum start_result {
	START_DONE,
	START_EXISTS, /* started before */
	START_AGAIN,  /* out of processes, descriptors or memory: later, perhaps */
	START_FAILED,
};

enum find_result {
	FIND_HELD, /* a shim holds the lock */
	FIND_FREE, /* the lock is free: there is a status, or never will be */
};

struct action {
	struct list link;    /* launcher.actions */
	struct list watched; /* launcher.watches */
	struct list ready;   /* launcher.ready */
	struct launcher *launcher;
	struct launch *launch; /* NULL once it is over */
	enum action_state state;
	char *attempt, *folder, *private_folder, *cgroup;
	bool found; /* by find(): not of this daemon's making */

	struct open_count open; /* the job, and the handles */
	struct work work;
	bool busy; /* the job is under way */
	uv_timer_t timer;
	uv_poll_t poll; /* of the pidfd */
	int pidfd;
	pid_t pid; /* of our own shim; 0 of an adopted one */
	unsigned tries;
	enum stop_reason stop;

	/* start.c, find.c */
	bool folder_made;
	enum start_result start_result;
	enum find_result find_result;
	char *message; /* why it could not be started */
	char *commit;  /* that it works on; NULL: none known */
	char *started_text, *action_text;
	size_t started_len, action_len;
	usec_t started_at;
	bool same_boot; /* what action.json says; else what the launcher knows */

	/* follow.c */
	int watch;  /* -1: none */
	bool dirty; /* there may be more to read */
	uint64_t position;
	char *piece;
	size_t piece_len;
	uint64_t piece_gap;
	usec_t last_line_at;

	/* gather.c */
	bool gathered, log_complete;
	char *status_text;
	size_t status_len;
	struct artifact artifacts[ARRAY_SIZE(((struct launch *)0)->artifacts)];
};

/* action.c */
void launch_start(struct launcher *l, struct launch *launch);
void launch_find(struct launcher *l, struct launch *launch);
void launch_stop(struct action *a, enum stop_reason reason);
/* Says nothing any more, and frees itself when its job and handles are done. */
void action_release(struct action *a);
/* Does what can be done next. Called when a job is done and when something happened. */
void action_step(struct action *a);
/* The same, but not before `msec` are over. */
void action_rest(struct action *a, unsigned msec);

/* start.c: on the pool */
void start_run(struct work *w);

/* find.c: on the pool; then on the loop: 0 when the shim that holds the lock is now a->pidfd. */
void find_run(struct work *w);
int find_adopt(struct action *a);
void find_read_action(struct action *a);

/* gather.c: on the pool; then the status, which the caller frees */
void gather_run(struct work *w);
void gather_status(struct action *a, struct action_status *ret);

/* follow.c */
void follow_init(struct launcher *l);
void follow_close(struct launcher *l);
void follow_begin(struct action *a);
void follow_end(struct action *a);
/* There may be more: it will be read in its turn. */
void follow_wake(struct action *a);
/* Says the lines of the piece just read, and forgets it. */
void follow_feed(struct action *a);
void follow_read(struct action *a, bool final); /* on the pool */

/* prune.c */
void launcher_prune(struct launcher *l, struct prune *p);

/* log.c */
void log_port_fill(struct launcher *l, struct log_port *ret);
void log_wake(struct launcher *l, const char *folder);
void log_close(struct launcher *l);
