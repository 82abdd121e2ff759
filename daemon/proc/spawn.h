/* Starting a shim from the program's descriptor. */
#pragma once
#include <sys/types.h>

struct spawn {
	int program; /* the shim, opened when the daemon started */
	int null;    /* /dev/null */
	int order, folder, lock;
	int cgroup; /* -1: none */
};

/* Moves a new descriptor above those that the shim's get, keeping it close-on-exec. Takes -1 with
 * errno set, too. The descriptor or -errno. */
int fd_move_high(int fd);

/* Starts the shim with the descriptors of shim/protocol.h, every other closed, no environment, cwd
 * "/", and all signals blocked: one that comes before the shim listens waits for it. Only the
 * calling thread is held up, until the exec. The daemon is its parent and has to reap it.
 * *ret_pidfd (the caller closes it) is -1 where there was no descriptor left: the shim runs, and is
 * found again by its folder. 0 or -errno. */
int spawn_shim(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd);

/* The descriptor of a process, or -errno. */
int process_open(pid_t pid);
int process_signal(int pidfd, int signal);
/* Collects our own child that has ended; harmless for any other (0 too). */
void process_reap(pid_t pid);
/* When it began: field 22 of /proc/PID/stat, 0 when there is no such process. */
unsigned long long process_start_time(pid_t pid);
