/* nightjar-shim: parents one action's child. It outlives the daemon that started it, holds the
 * action's lock, enforces the timeout and keeps the output; nightjar-shim(8) tells it to people,
 * protocol.h to the daemon.
 *
 *   main.c      the flow: prepare, start, watch, report
 *   protocol.h  the order's format, the descriptors, the files in the action's folder
 *   order.c     reads and checks the order
 *   private.c   the folder with the action's secret files and its TMPDIR; gone at the end
 *   child.c     makes the child, and reaps
 *   log.c       its output: masked, cut into lines, head and tail kept
 *   stop.c      the end of the child and of its whole tree, in phases
 *   oom.c       whether the kernel killed it for memory
 *   status.c    `started` and status.json
 *   scrub.c     masks what the child left in the attempt's folder
 *   when.c      clocks
 *   refuse.c    a reason not to start, as a sentence
 *
 * Happy path: the order is read, status.json reserved, the private folder made, `started` written,
 * the child made; its output flows to the log until it has ended and both pipes are at their end;
 * the private folder goes, what was left behind is masked, status.json is renamed into place, and
 * the exit releases the lock. Failures: what stands in the way before the child exists ends as
 * "not_started", with a sentence. Without room or folder for status.json there is no report and
 * exit status 1; nothing was run then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mask.h"
#include "base/memory.h"
#include "shim/child.h"
#include "shim/log.h"
#include "shim/oom.h"
#include "shim/order.h"
#include "shim/private.h"
#include "shim/protocol.h"
#include "shim/refuse.h"
#include "shim/scrub.h"
#include "shim/status.h"
#include "shim/stop.h"
#include "shim/when.h"

#define CHUNK	    (256u << 10) /* only what is read into is touched */
#define NARROW_PIPE (64 << 10)	 /* as it is made */
#define WIDE_PIPE   (1 << 20)

struct shim {
	struct order order;
	struct private private;
	struct child child;
	struct log log;
	struct stop stop;
	struct status status;
	int signals, timer, cgroup; /* descriptors; -1: none */
	bool wide[LOG_STREAMS];	    /* the pipe was asked to hold more */
	uint64_t oom_kills;	    /* before the child */
	char *message;		    /* NULL: none */
};

/* --- prepare ------------------------------------------------------------------------------ */

/* The descriptor there may be a stray one of the daemon's. */
static int find_cgroup(void)
{
	struct statfs fs;

	if (fstatfs(SHIM_FD_CGROUP, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return SHIM_FD_CGROUP;
	close(SHIM_FD_CGROUP);
	return -1;
}

/* Nothing of the caller's stays: signals, session, umask, descriptors. Signals are blocked and read
 * from a descriptor; so SIGINT, SIGHUP and SIGPIPE do nothing, and a child only needs to unblock.
 */
static int become_independent(struct shim *s)
{
	sigset_t all, wanted;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 1; i <= SIGRTMAX; i++)
		signal(i, SIG_DFL);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGUSR1);
	sigaddset(&wanted, SIGTERM);
	setsid();
	umask(077);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_DUMPABLE, 0); /* it holds secrets: no core, no tracing */
	syscall(SYS_close_range, SHIM_FD_CGROUP + 1, ~0U, 0);
	s->cgroup = find_cgroup(); /* before anything else gets its number */
	s->signals = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signals < 0 ? -errno : 0;
}

static const char *read_signals(struct shim *s, bool *ret_child)
{
	struct signalfd_siginfo info[4];
	const char *reason = NULL;
	ssize_t n;

	*ret_child = false;
	n = read(s->signals, info, sizeof(info));
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(info[0]); i++) {
		if (info[i].ssi_signo == SIGCHLD)
			*ret_child = true;
		else if (info[i].ssi_signo == SIGTERM && !reason)
			reason = "shutdown";
		else if (info[i].ssi_signo == SIGUSR1 && !reason)
			reason = stop_read_reason(SHIM_FD_FOLDER);
	}
	return reason;
}

static int arm_timeout(struct shim *s)
{
	struct itimerspec span = {.it_value = {
					  .tv_sec = s->order.timeout / WHEN_SEC,
					  .tv_nsec = s->order.timeout % WHEN_SEC * 1000,
				  }};

	if (s->order.timeout == 0)
		return 0;
	s->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (s->timer < 0 || timerfd_settime(s->timer, 0, &span, NULL) < 0)
		return refuse(&s->message, errno, "cannot make a timer: %s", strerror(errno));
	return 0;
}

/* Everything up to the child. 0, or negative errno with s->message (or the stop's reason). */
static int start(struct shim *s)
{
	bool child;
	int r = order_read(SHIM_FD_ORDER, &s->order, &s->message);

	if (r < 0)
		return r;
	stop_init(&s->stop, &s->child, &s->order, s->cgroup);
	r = log_open(&s->log, SHIM_FD_FOLDER, &s->order);
	if (r < 0)
		return refuse(&s->message, -r, "cannot make output.log: %s", strerror(-r));
	r = private_make(&s->private, &s->order, &s->message);
	if (r == 0)
		r = arm_timeout(s);
	if (r < 0)
		return r;
	s->oom_kills = oom_kills(s->cgroup);
	s->stop.reason = read_signals(s, &child);
	if (s->stop.reason)
		return refuse(&s->message, ECANCELED, "stopped before it began");
	r = status_write_started(SHIM_FD_FOLDER);
	if (r < 0)
		return refuse(&s->message, -r, "cannot write `started`: %s", strerror(-r));
	return child_start(&s->child, &s->order, s->cgroup, &s->message);
}

/* --- watch -------------------------------------------------------------------------------- */

static void read_output(struct shim *s, enum log_stream stream)
{
	static char chunk[CHUNK];
	int *fd = &s->child.output[stream];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n >= NARROW_PIPE && !s->wide[stream]) /* a flood: it need not wait for each turn */
		s->wide[stream] = fcntl(*fd, F_SETPIPE_SZ, WIDE_PIPE) != 0;
	if (n > 0) {
		log_feed(&s->log, stream, chunk, (size_t)n);
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		close(*fd);
		*fd = -1;
	}
}

static void handle_signals(struct shim *s)
{
	bool child;
	const char *reason = read_signals(s, &child);

	if (child)
		stop_reap(&s->stop);
	if (reason)
		stop_begin(&s->stop, reason);
}

static void handle_timer(struct shim *s)
{
	close(s->timer);
	s->timer = -1;
	stop_begin(&s->stop, "timed_out");
}

/* How long poll may sleep, in ms, rounded up; -1: until something happens. */
static int patience(int64_t until)
{
	int64_t left;

	if (until == WHEN_NEVER)
		return -1;
	left = until - when_now(CLOCK_MONOTONIC);
	return left <= 0 ? 0 : (int)MIN((left + 999) / 1000, INT64_C(3600000));
}

/* Signals first, in the list as in the order of work: a process that was reaped has written all it
 * will, so the pipes' state, found later, covers it. */
static void watch(struct shim *s)
{
	struct child *child = &s->child;

	while (!stop_is_over(&s->stop, child->output[0] < 0 && child->output[1] < 0)) {
		struct pollfd fds[] = {
			{.fd = s->signals, .events = POLLIN},
			{.fd = s->timer, .events = POLLIN},
			{.fd = child->report_fd, .events = POLLIN},
			{.fd = child->output[0], .events = POLLIN},
			{.fd = child->output[1], .events = POLLIN},
		};

		if (poll(fds, ARRAY_SIZE(fds), patience(s->stop.until)) < 0)
			continue;
		if (fds[0].revents)
			handle_signals(s);
		if (fds[1].revents)
			handle_timer(s);
		if (fds[2].revents)
			child_read_report(child, &s->order, &s->message);
		for (int i = 0; i < LOG_STREAMS; i++)
			if (fds[3 + i].revents)
				read_output(s, (enum log_stream)i);
		if (s->stop.until <= when_now(CLOCK_MONOTONIC))
			stop_expire(&s->stop);
	}
}

/* --- report ------------------------------------------------------------------------------- */

static void add_usage(struct status *status)
{
	struct rusage usage;

	if (getrusage(RUSAGE_CHILDREN, &usage) < 0)
		return;
	status->max_rss = (uint64_t)usage.ru_maxrss * 1024;
	status->cpu_ms = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
			 (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Killed, and not by us; or a shell that says so of its own child. */
static bool was_oom_killed(const struct shim *s)
{
	int status = s->child.status;
	bool killed = WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL
					  : WEXITSTATUS(status) == 128 + SIGKILL;

	return killed && !s->stop.killed && oom_kills(s->cgroup) > s->oom_kills;
}

static void describe_end(struct shim *s)
{
	struct status *status = &s->status;
	const struct child *child = &s->child;

	status->stop = s->stop.reason;
	status->output_bytes = s->log.bytes;
	status->output_dropped = s->log.dropped;
	if (!child->made || child->refused) {
		status->end = "not_started";
		status->lease_over = child->lease_over;
		return;
	}
	status->started_at = child->started_at;
	status->ended_at = child->ended_at;
	if (WIFSIGNALED(child->status)) {
		status->end = "signalled";
		status->signal = WTERMSIG(child->status);
	} else {
		status->end = "exited";
		status->code = WEXITSTATUS(child->status);
	}
	status->oom_killed = was_oom_killed(s);
	add_usage(status);
	if (!s->stop.alone && !s->message)
		s->message = xstrdup("processes that it left could not be ended");
}

static void say_masked(struct shim *s)
{
	char *masked = mask_string(log_masks(&s->log), s->message);

	free(s->message);
	s->message = masked;
}

static int report(struct shim *s)
{
	int r;

	log_end(&s->log);
	describe_end(s);
	r = private_remove(&s->private);
	if (r < 0) {
		free(s->message);
		refuse(&s->message, -r, "its private folder could not be removed: %s",
			strerror(-r));
	}
	r = s->order.scrub && s->child.made
		    ? scrub(s->order.scrub, log_masks(&s->log), s->order.untouched)
		    : 0;
	if (r < 0 && !s->message)
		refuse(&s->message, -r, "what it left could not be masked: %s", strerror(-r));
	if (s->message)
		say_masked(s);
	s->status.message = s->message;
	return status_write(&s->status);
}

static int run(struct shim *s)
{
	int r = become_independent(s);

	if (r < 0)
		return r;
	r = status_reserve(&s->status, SHIM_FD_FOLDER);
	if (r < 0)
		return r;
	if (start(s) == 0)
		watch(s);
	return report(s);
}

int main(void)
{
	static struct shim shim = {.signals = -1, .timer = -1, .cgroup = -1};

	shim.child = CHILD_NULL;
	shim.log = LOG_NULL;
	/* Not exit(): all was closed and synced by hand, and the lock goes with the process. */
	_exit(run(&shim) < 0 ? 1 : 0);
}
