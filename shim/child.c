/* Happy path: the child is cloned, sets itself up and becomes the program, which closes the report
 * pipe. Failures: what the child cannot do it writes into that pipe, and ends. The pipe is watched
 * by the shim's loop as everything else: an exec may take long on a network disk. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/memory.h"
#include "shim/child.h"
#include "shim/refuse.h"
#include "shim/when.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum stage {
	STAGE_SETUP,
	STAGE_CWD,
	STAGE_LEASE,
	STAGE_EXEC,
};

struct report {
	enum stage stage;
	int error;
};

/* --- in the child ------------------------------------------------------------------------- */

_Noreturn static void give_up(int fd, enum stage stage, int error)
{
	struct report report = {.stage = stage, .error = error};
	ssize_t n = write(fd, &report, sizeof(report));

	_exit(n == (ssize_t)sizeof(report) ? 127 : 126);
}

/* Each folder of the child's own PATH; returns the error to report. */
static int exec_search(const struct order *order)
{
	const char *name = order->argv[0], *path = order_get_env(order, "PATH"), *next;
	int denied = 0;

	if (!path)
		path = PATH_DEFAULT;
	for (; *path; path = *next ? next + 1 : next) {
		char file[4096];

		next = strchrnul(path, ':');
		if (next == path || (size_t)(next - path) + strlen(name) + 2 > sizeof(file))
			continue;
		snprintf(file, sizeof(file), "%.*s/%s", (int)(next - path), path, name);
		execve(file, order->argv, order->env);
		if (errno == EACCES)
			denied = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR)
			return errno;
	}
	return denied ? denied : ENOENT;
}

_Noreturn static void become(const struct child *child, const struct order *order, int report,
	const int output[2], pid_t shim)
{
	sigset_t none;

	sigemptyset(&none);
	setpgid(0, 0);
	/* Should the shim be killed, nobody could report or stop this child any more. */
	prctl(PR_SET_PDEATHSIG, order->stop_signal);
	if (getppid() != shim)
		_exit(126);
	if (dup2(output[0], STDOUT_FILENO) < 0 || dup2(output[1], STDERR_FILENO) < 0 ||
		syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		give_up(report, STAGE_SETUP, errno);
	if (order->cwd && chdir(order->cwd) < 0)
		give_up(report, STAGE_CWD, errno);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (order->start_before > 0 && when_now(CLOCK_BOOTTIME) >= order->start_before)
		give_up(report, STAGE_LEASE, ETIME);
	if (strchr(order->argv[0], '/'))
		execve(order->argv[0], order->argv, order->env);
	else
		errno = exec_search(order);
	give_up(report, STAGE_EXEC, errno);
}

/* --- in the shim -------------------------------------------------------------------------- */

/* A fork, into the cgroup where there is one and the kernel agrees. */
static pid_t make_process(int cgroup, bool *ret_in_cgroup)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	long pid = -1;

	*ret_in_cgroup = false;
	if (cgroup >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
		pid = syscall(SYS_clone3, &args, sizeof(args));
		*ret_in_cgroup = pid >= 0;
		if (pid >= 0 || errno == EAGAIN || errno == ENOMEM)
			return (pid_t)pid;
	}
	return fork();
}

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

static int make_pipes(int out[2], int err[2], int report[2], char **ret_message)
{
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
		return refuse(ret_message, errno, "cannot make a pipe: %s", strerror(errno));
	return 0;
}

int child_start(struct child *child, const struct order *order, int cgroup, char **ret_message)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
	pid_t shim = getpid(), pid;
	int r = make_pipes(out, err, report, ret_message);

	if (r < 0)
		goto fail;
	child->started_at = when_now(CLOCK_REALTIME);
	pid = make_process(cgroup, &child->in_cgroup);
	if (pid == 0)
		become(child, order, report[1], (int[]){out[1], err[1]}, shim);
	if (pid < 0) {
		r = refuse(ret_message, errno, "cannot make a process: %s", strerror(errno));
		goto fail;
	}
	child->pid = child->group = pid;
	child->made = true;
	child->report_fd = report[0];
	child->output[0] = out[0];
	child->output[1] = err[0];
	close(out[1]);
	close(err[1]);
	close(report[1]);
	return 0;
fail:
	close_pair(out);
	close_pair(err);
	close_pair(report);
	return r;
}

static void explain(const struct order *order, const struct report *report, char **ret_message)
{
	const char *why = strerror(report->error), *name = order->argv[0];

	if (report->stage == STAGE_SETUP)
		refuse(ret_message, 0, "cannot set %s up: %s", name, why);
	else if (report->stage == STAGE_CWD)
		refuse(ret_message, 0, "cannot enter %s: %s", order->cwd, why);
	else if (report->stage == STAGE_LEASE)
		refuse(ret_message, 0, "the right to start had ended");
	else if (report->error == ENOENT && !strchr(name, '/'))
		refuse(ret_message, 0, "cannot run %s: it is in no folder of PATH", name);
	else if (report->error == ENOEXEC)
		refuse(ret_message, 0, "cannot run %s: no program, nor a script with a #! line",
			name);
	else
		refuse(ret_message, 0, "cannot run %s: %s", name, why);
}

void child_read_report(struct child *child, const struct order *order, char **ret_message)
{
	struct report report;
	ssize_t n;

	do
		n = read(child->report_fd, &report, sizeof(report));
	while (n < 0 && errno == EINTR);
	close(child->report_fd);
	child->report_fd = -1;
	if (n != (ssize_t)sizeof(report))
		return;
	child->refused = true;
	child->lease_over = report.stage == STAGE_LEASE;
	explain(order, &report, ret_message);
}

bool child_reap(struct child *child)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return pid < 0;
		if (pid != child->pid)
			continue;
		child->ended_at = when_now(CLOCK_REALTIME);
		child->status = status;
		child->reaped = true;
		child->pid = 0;
	}
}
