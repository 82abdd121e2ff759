/* The launcher port: actions as child processes of nightjar-shim, one folder each.
 *
 *   launcher.c  the port, and the one inotify descriptor for all logs
 *   action.c    the life of one action: start or find, follow, end
 *   start.c     on the pool: the folder, the lock, the order, the spawn
 *   find.c      on the pool: what an earlier daemon left in a folder
 *   gather.c    on the pool: what is there at the end
 *   follow.c    output, in pieces, a few actions at a time
 *   log.c       logs for readers
 *   commit.c    the commit that an action works on
 *   prune.c     old folders go
 *   reader.c line.c folder.c order.c spawn.c status.c cgroup.c   small parts of these */
#pragma once
#include <uv.h>
#include "core/ports.h"

/* Where the news go: the core's functions of the same names (core/core.h). All are called on the
 * loop, none from inside a call of the port. */
struct launcher_events {
	void *self;
	void (*started)(void *self, struct launch *l, usec_t at, bool adopted);
	void (*line)(void *self, struct launch *l, enum stream stream, usec_t at, const char *text,
		size_t len, bool partial);
	void (*gap)(void *self, struct launch *l, uint64_t bytes);
	/* At most once, just before `started`, and not for an action that was found: the HEAD of
	 * the git work tree that it works in. */
	void (*commit)(void *self, struct launch *l, const char *commit);
	void (*ended)(void *self, struct launch *l, const struct action_status *status,
		const struct artifact *artifacts, size_t n_artifacts);
};

struct launcher_options {
	uv_loop_t *loop;
	const char *state;   /* the state folder, absolute */
	const char *shim;    /* the program; opened now, and never again */
	const char *machine; /* UUID */
	const char *boot_id;
	struct launcher_events events;
};

struct launcher;

/* Blocks on local disk for a moment: before the loop runs. 0, or -errno and a sentence that the
 * caller frees. */
int launcher_new(const struct launcher_options *o, struct launcher **ret, char **ret_error);
void launcher_port(struct launcher *l, struct launcher_port *ret);
void launcher_log_port(struct launcher *l, struct log_port *ret);
/* Lets go of all: the shims go on by themselves. No event comes any more, but jobs under way still
 * read their launches, so these must stay until `closed`. NULL: no-op, and no call. */
void launcher_close(struct launcher *l, void (*closed)(void *arg), void *arg);
