/* How the child and its tree are brought to an end, as phases with a deadline each:
 *
 *   RUN    the child runs; the timeout, a `stop` file or SIGTERM lead to STOP
 *   STOP   its kind's signal was sent, once; after kill_after: KILL
 *   KILL   SIGKILL to the whole tree, again for what it had made meanwhile
 *   DRAIN  the child has ended by itself: what it left may print for half of SHIM_DRAIN_USEC
 *   TERM   then gets SIGTERM (after a STOP: at once), and the other half
 *   REAP   then SIGKILL; what even that does not end within 2 s is not ours to end
 *   OVER
 *
 * The timeout counts the machine's sleep (CLOCK_BOOTTIME: it is a promise about the clock on the
 * wall); the graces do not (CLOCK_MONOTONIC: they are time for the child to work in). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "shim/child.h"
#include "shim/order.h"

enum stop_phase {
	STOP_PHASE_RUN,
	STOP_PHASE_STOP,
	STOP_PHASE_KILL,
	STOP_PHASE_DRAIN,
	STOP_PHASE_TERM,
	STOP_PHASE_REAP,
	STOP_PHASE_OVER,
};

struct stop {
	struct child *child;
	const struct order *order;
	int cgroup;
	enum stop_phase phase;
	int64_t until;	    /* the phase's end on CLOCK_MONOTONIC, or WHEN_NEVER */
	const char *reason; /* NULL: the child ended by itself */
	bool killed;	    /* SIGKILL was sent */
	bool alone;	    /* nothing is left below the shim */
	bool drained;	    /* the time for a pipe that a stranger holds is over */
};

void stop_init(struct stop *stop, struct child *child, const struct order *order, int cgroup);
/* The word in the folder's `stop`: static; NULL when there is none. */
const char *stop_read_reason(int folder);
/* Asks the child to end, once; without effect when it has ended. */
void stop_begin(struct stop *stop, const char *reason);
/* After processes have ended: reaps them, and goes on as that demands. */
void stop_reap(struct stop *stop);
/* After the deadline. */
void stop_expire(struct stop *stop);
/* Nothing more is to be waited for. `silent`: both pipes are at their end. */
bool stop_is_over(const struct stop *stop, bool silent);
