/* A cgroup for each action's child, where the unit is delegated to us (cgroup v2, Delegate=yes).
 * Everywhere else there is none, and the shim ends the tree by other means. No controller is ever
 * enabled in here: systemd could not attach a restarted daemon to the unit. */
#pragma once
#include <stdbool.h>

/* The daemon's own cgroup folder if it is delegated and can be written, else NULL. Removes what
 * actions of an earlier daemon left empty in it. The caller frees. */
char *cgroup_root(void);
/* Makes ROOT/NAME. *ret_fd: O_PATH|O_DIRECTORY, close-on-exec. 0 or -errno. */
int cgroup_make(const char *path, int *ret_fd);
/* Removes it; with `kill` ends what still runs in it first. Does I/O. */
void cgroup_remove(const char *path, bool kill);
