/* A lane: one machine over all that several attempts want of one instance of a service that does
 * one thing after another, such as a Metabase with its one queue of syncs. It makes the calls for
 * all of them, one at a time, on one connection, so that two hundred waiting cells cost no more
 * than one.
 *
 *   member      one attempt's want, from its join until it is served or leaves
 *   lane kind   what is asked and what the answers mean; no I/O and no clock, like a step kind
 *
 * The core (core/lane.h) hosts it: sends its requests, keeps its time, tells the attempts. A lane
 * lives as long as it has members and is not stored: after a restart its members join again, so
 * everything that it sends must be harmless to send again. */
#pragma once
#include "kinds/kind.h"

struct lane_kind;

/* What a step kind's `join` fills in. */
struct lane_want {
	const struct lane_kind *kind;
	char *key;  /* which instance: the same key is the same lane */
	void *want; /* the lane kind's own; freed with kind->want_free */
};

struct lane_member {
	void *want;		     /* lane_want.want */
	const struct mask_set *mask; /* of its attempt's secrets; NULL: none */
	/* The lane sets these; the core reads and frees them. */
	bool served; /* with: */
	enum outcome outcome;
	char *reason;
	cJSON *result;
	bool progressed; /* `progress` has changed: the core clears it when it has told */
	cJSON *progress; /* as kind.progress has it */
	void *owner;	 /* the core's */
};

struct lane_kind {
	const char *name;
	void *(*new)(const char *key);
	void (*free)(void *lane);
	void (*want_free)(void *want); /* wipes what is secret */
	/* `at`: as in kind_event. The member is the core's and stays where it is until it leaves.
	 */
	void (*join)(void *lane, struct lane_member *m, usec_t at);
	/* It was served, or its attempt was stopped. What it wanted is not touched any more. */
	void (*leave)(void *lane, struct lane_member *m, usec_t at);
	/* What comes next, asked after each join, leave and answer, and at *ret_until: true with a
	 * call to make now, its answers to be quoted through *ret_mask (the lane's, until the
	 * answer); or false with the instant to ask again at, USEC_INFINITY: only after an event.
	 * Not asked while a call is out. *ret comes in zeroed. A call other than GET and HEAD waits
	 * for the leader's lease. */
	bool (*next)(void *lane, usec_t at, struct kind_request *ret,
		const struct mask_set **ret_mask, usec_t *ret_until);
	/* The answer, as in a KIND_ANSWERED. */
	void (*answered)(void *lane, const struct kind_event *answer);
};
