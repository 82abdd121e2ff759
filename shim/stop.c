/* A process whose parent dies becomes the shim's child (it is the subreaper). So killing all
 * children, and again those that then appear, ends the whole tree, however it was grouped. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "shim/protocol.h"
#include "shim/stop.h"
#include "shim/when.h"

#define REAP_USEC (2 * WHEN_SEC)

static const char *const reasons[] = {"cancelled", "timed_out", "fail_fast", "shutdown"};

void stop_init(struct stop *stop, struct child *child, const struct order *order, int cgroup)
{
	*stop = (struct stop){
		.child = child,
		.order = order,
		.cgroup = cgroup,
		.until = WHEN_NEVER,
	};
}

const char *stop_read_reason(int folder)
{
	char word[32];
	ssize_t n;
	int fd = openat(folder, "stop", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	n = read(fd, word, sizeof(word) - 1);
	close(fd);
	word[n > 0 ? n : 0] = '\0';
	word[strcspn(word, "\n")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(word, reasons[i]) == 0)
			return reasons[i];
	return reasons[0]; /* somebody wants it ended */
}

/* --- signals to the tree ------------------------------------------------------------------ */

/* All processes whose parent is the shim, as the kernel lists them. */
static void read_children(struct buf *ret)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	do {
		char chunk[4096];

		n = read(fd, chunk, sizeof(chunk));
		if (n > 0)
			buf_append(ret, chunk, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	close(fd);
}

/* A listed child is not reaped meanwhile, so neither its pid nor its group can be another's. */
static void signal_children(const struct stop *stop, int signal)
{
	_cleanup_buf_ struct buf list = BUF_NULL;
	pid_t group = stop->child->group;
	bool in_group = false;
	char *at, *end;

	read_children(&list);
	for (at = list.data; at && *at; at = end) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at || pid <= 0)
			break;
		in_group = in_group || getpgid(pid) == group;
		kill(pid, signal);
	}
	if (in_group)
		kill(-group, signal);
}

/* All at once, whatever they fork. Where the kernel is too old the rest of kill_tree() does. */
static void kill_cgroup(const struct stop *stop)
{
	int fd = -1;

	if (stop->child->in_cgroup)
		fd = openat(stop->cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		errno = 0; /* gone already */
	close(fd);
}

static void kill_tree(struct stop *stop)
{
	stop->killed = true;
	kill_cgroup(stop);
	signal_children(stop, SIGKILL);
}

/* --- phases ------------------------------------------------------------------------------- */

static void enter(struct stop *stop, enum stop_phase phase, int64_t span)
{
	stop->phase = phase;
	stop->until = span == WHEN_NEVER ? WHEN_NEVER : when_now(CLOCK_MONOTONIC) + span;
}

static void enter_stop(struct stop *stop)
{
	pid_t pid = stop->child->pid, target = stop->order->stop_group ? -pid : pid;

	enter(stop, STOP_PHASE_STOP, stop->order->kill_after);
	if (kill(target, stop->order->stop_signal) < 0 && errno == ESRCH)
		kill(target = pid, stop->order->stop_signal); /* it has no group yet */
	kill(target, SIGCONT);
}

static void enter_kill(struct stop *stop)
{
	enter(stop, STOP_PHASE_KILL, WHEN_NEVER);
	kill_tree(stop);
}

static void enter_drain(struct stop *stop)
{
	enter(stop, STOP_PHASE_DRAIN, SHIM_DRAIN_USEC / 2);
}

static void enter_term(struct stop *stop)
{
	enter(stop, STOP_PHASE_TERM, SHIM_DRAIN_USEC / 2);
	signal_children(stop, SIGTERM);
}

static void enter_reap(struct stop *stop)
{
	enter(stop, STOP_PHASE_REAP, REAP_USEC);
	kill_tree(stop);
}

/* The child has ended; what it left is given the less, the less willingly it went. */
static void enter_leftovers(struct stop *stop)
{
	if (stop->phase == STOP_PHASE_RUN)
		enter_drain(stop);
	else if (stop->phase == STOP_PHASE_STOP)
		enter_term(stop);
	else
		enter_reap(stop);
}

void stop_begin(struct stop *stop, const char *reason)
{
	if (stop->phase != STOP_PHASE_RUN)
		return;
	stop->reason = reason;
	if (stop->order->kill_after > 0)
		enter_stop(stop);
	else
		enter_kill(stop);
}

void stop_reap(struct stop *stop)
{
	bool had_ended = stop->child->reaped;

	stop->alone = child_reap(stop->child);
	if (stop->child->reaped && !had_ended) {
		enter_leftovers(stop);
	} else if (stop->phase == STOP_PHASE_KILL || stop->phase == STOP_PHASE_REAP) {
		kill_tree(stop);
	}
}

void stop_expire(struct stop *stop)
{
	switch (stop->phase) {
	case STOP_PHASE_STOP:
		enter_kill(stop);
		break;
	case STOP_PHASE_DRAIN:
		enter_term(stop);
		break;
	case STOP_PHASE_TERM:
		stop->drained = true;
		enter_reap(stop);
		break;
	case STOP_PHASE_REAP:
		enter(stop, STOP_PHASE_OVER, WHEN_NEVER);
		break;
	default:
		stop->until = WHEN_NEVER;
		break;
	}
}

bool stop_is_over(const struct stop *stop, bool silent)
{
	if (!stop->child->reaped)
		return false;
	return stop->phase == STOP_PHASE_OVER || (stop->alone && (silent || stop->drained));
}
