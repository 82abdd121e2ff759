/* What the shim leaves in the action's folder besides the log: `started` before the child is made,
 * `status.json` at the end. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct status {
	int folder, fd; /* fd: status.json.new, its blocks reserved */
	/* for status.json */
	const char *end;	    /* "exited", "signalled", "not_started" */
	int code, signal;	    /* -1: null */
	const char *stop, *message; /* NULL: null */
	bool lease_over, oom_killed;
	int64_t started_at, ended_at; /* µs since 1970; 0: null */
	uint64_t max_rss, cpu_ms, output_bytes, output_dropped;
};

/* Reserves the room for status.json. 0 or negative errno. */
int status_reserve(struct status *status, int folder);
/* Writes `started`. Not synced: it speaks of processes of this boot. 0 or negative errno. */
int status_write_started(int folder);
/* Writes status.json and makes it durable. 0 or negative errno: there is none then. */
int status_write(struct status *status);
