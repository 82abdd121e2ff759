/* The one process the shim parents: made in its own process group, and in its own cgroup where the
 * daemon gave one. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "shim/order.h"

struct child {
	pid_t pid;	 /* 0: none, or reaped */
	pid_t group;	 /* its process group, for as long as that has a member */
	bool made;	 /* there was one */
	bool refused;	 /* it reported that it could not become the program */
	bool lease_over; /* because start_before had passed */
	bool in_cgroup;
	bool reaped;
	int status;    /* of waitpid(), once reaped */
	int report_fd; /* readable once it has become the program or failed to; -1: known */
	int output[2]; /* the pipes of stdout and stderr; -1: at their end */
	int64_t started_at, ended_at; /* µs since 1970 */
};

#define CHILD_NULL ((struct child){.report_fd = -1, .output = {-1, -1}})

/* Makes it. 0, or negative errno and a sentence: then there is none. */
int child_start(struct child *child, const struct order *order, int cgroup, char **ret_message);
/* Reads the report and closes report_fd. A child that could not become the program sets `refused`
 * and *ret_message; it is reaped as any other. */
void child_read_report(struct child *child, const struct order *order, char **ret_message);
/* Reaps everything that has ended. True when the shim has no process below it any more. */
bool child_reap(struct child *child);
