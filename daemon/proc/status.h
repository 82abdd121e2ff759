/* What the shim leaves in an action's folder: `started` and `status.json`. */
#pragma once
#include "kinds/kind.h"

#define STATUS_MAX (64 * 1024) /* a larger file is none of ours */

struct shim_started {
	char *boot_id;
	int pid;
	unsigned long long start_time;
	usec_t at;
};
void shim_started_fini(struct shim_started *s);
/* 0 or -EBADMSG. */
int shim_started_parse(const char *text, size_t len, struct shim_started *ret);

/* 0 or -EBADMSG. The caller frees with action_status_fini. */
int status_parse(const char *text, size_t len, struct action_status *ret);
