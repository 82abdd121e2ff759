/* A made-up lane: for each member one POST, then some GETs, until all were answered well. It
 * complains where the core breaks its word: a question while a call is out, a member that is not
 * there any more, an answer to nothing. */
#pragma once
#include "kinds/lane.h"

struct made_want {
	char *says; /* the POST's body */
	unsigned polls;
	usec_t timeout;
};

extern const struct lane_kind lane_made_up;
struct made_want *made_want_new(const char *says, unsigned polls, usec_t timeout);

/* Since the program began. */
extern struct made_lane_counts {
	unsigned joined, left, served, lanes, most_members;
} made_lane_counts;
