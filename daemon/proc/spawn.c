/* Starting a shim: see spawn.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "daemon/proc/spawn.h"
#include "shim/protocol.h"

enum { FIRST_HIGH = 10 };

int fd_move_high(int fd)
{
	int high;

	if (fd < 0)
		return -errno;
	if (fd >= FIRST_HIGH)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH);
	if (high < 0)
		high = -errno;
	close(fd);
	return high;
}

/* In the child, which borrows our memory until the exec: system calls only. */
static int child_exec(const struct spawn *s)
{
	static char *const argv[] = {(char *)"nightjar-shim", NULL}, *const env[] = {NULL};
	int last = s->cgroup >= 0 ? SHIM_FD_CGROUP : SHIM_FD_LOCK;

	if (dup2(s->null, 0) < 0 || dup2(s->null, 1) < 0 || dup2(s->null, 2) < 0 ||
		dup2(s->order, SHIM_FD_ORDER) < 0 || dup2(s->folder, SHIM_FD_FOLDER) < 0 ||
		dup2(s->lock, SHIM_FD_LOCK) < 0 ||
		(s->cgroup >= 0 && dup2(s->cgroup, SHIM_FD_CGROUP) < 0))
		return errno;
	syscall(SYS_close_range, last + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	if (chdir("/") < 0)
		return errno;
	syscall(SYS_execveat, s->program, "", argv, env, AT_EMPTY_PATH);
	return errno;
}

/* A frame of its own, as vfork wants it. */
static __attribute__((noinline)) pid_t vfork_exec(const struct spawn *s, volatile int *error)
{
	pid_t pid = vfork();

	if (pid == 0) {
		*error = child_exec(s);
		_exit(127);
	}
	return pid;
}

static void block_all(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

int spawn_shim(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	volatile int error = 0;
	sigset_t before;
	pid_t pid;
	int pidfd, fork_error;

	block_all(&before);
	pid = vfork_exec(s, &error);
	fork_error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (pid < 0)
		return -fork_error;
	if (error != 0) {
		waitpid(pid, NULL, 0);
		return -error;
	}
	/* nobody else reaps our child: the number is still its own */
	pidfd = process_open(pid);
	*ret_pid = pid;
	*ret_pidfd = pidfd < 0 ? -1 : pidfd;
	return 0;
}

int process_open(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */

	return fd < 0 ? -errno : fd;
}

int process_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

void process_reap(pid_t pid)
{
	if (pid > 0)
		waitpid(pid, NULL, WNOHANG);
}

unsigned long long process_start_time(pid_t pid)
{
	char path[64], text[1024], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name may hold anything, also ')' and spaces */
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}
