/* Starting an action: the folder that says "begun", the lock, action.json, the order, the spawn.
 *
 * Happy path: start_try() from top to bottom. Failures: the folder is there already, so the action
 * was started before and is to be found, never started again; processes, descriptors or memory are
 * short, so it is tried again in a while (the folder is then ours); anything else ends the action
 * as never started, with a sentence. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/json.h"
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/proc/action.h"
#include "daemon/proc/cgroup.h"
#include "daemon/proc/commit.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/order.h"
#include "daemon/proc/spawn.h"

static enum start_result fail(struct action *a, int error, const char *what)
{
	free(a->message);
	a->message = xasprintf("cannot %s: %s", what, strerror(-error));
	if (error == -EAGAIN || error == -EMFILE || error == -ENFILE || error == -ENOMEM)
		return START_AGAIN;
	return START_FAILED;
}

static char *action_json(const struct action *a)
{
	_cleanup_json_ cJSON *json = cJSON_CreateObject();
	const struct launch *l = a->launch;
	usec_t now = clock_now();

	json_set_int(json, "version", 1);
	json_set_string(json, "machine", a->launcher->machine);
	json_set_string(json, "boot_id", a->launcher->boot_id);
	json_set_int(json, "epoch", l->epoch);
	json_set_string(json, "run_id", l->place.run_id);
	json_set_string(json, "run", l->run_name);
	json_set_string(json, "cell", l->cell_name);
	json_set_string(json, "step", l->step_name);
	json_set_int(json, "attempt", l->place.attempt);
	json_set_string(json, "action", l->place.action);
	json_set_string(json, "kind", l->kind);
	json_set_bool(json, "repeatable", l->repeatable);
	json_set_time(json, "made_at", now);
	json_set_time(json, "deadline",
		l->timeout > 0 && l->timeout < USEC_INFINITY - now ? now + l->timeout : 0);
	json_set_string(json, "private", a->private_folder);
	json_set_string(json, "cgroup", a->cgroup);
	return json_print(json);
}

/* Not by rename: nobody else reads the folder before the lock has been held. */
static int write_action(const struct action *a, int folder)
{
	_cleanup_free_ char *text = action_json(a);
	int fd = openat(folder, "action.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	r = n < 0 ? -errno : n < (ssize_t)strlen(text) ? -ENOSPC : 0;
	close(fd);
	return r;
}

static int open_lock(int folder)
{
	int fd = fd_move_high(openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static enum start_result start_with(struct action *a, struct spawn *s)
{
	int r;

	s->folder = fd_move_high(open(a->folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (s->folder < 0)
		return fail(a, s->folder, "open the action's folder");
	s->lock = open_lock(s->folder);
	if (s->lock < 0)
		return fail(a, s->lock, "lock the action's folder");
	r = write_action(a, s->folder);
	if (r < 0)
		return fail(a, r, "write action.json");
	if (a->cgroup) {
		r = cgroup_make(a->cgroup, &s->cgroup);
		s->cgroup = r < 0 ? -1 : fd_move_high(s->cgroup);
	}
	r = order_make(a->launch, a->attempt, a->private_folder, &s->order);
	if (r < 0)
		return fail(a, r,
			r == -E2BIG ? "start: environment, files and masks are too large"
				    : "write the shim's order");
	a->started_at = clock_now();
	r = spawn_shim(s, &a->pid, &a->pidfd);
	if (r < 0)
		return fail(a, r, "start the shim");
	return START_DONE;
}

static enum start_result start_try(struct action *a)
{
	struct spawn s = {
		.program = a->launcher->program,
		.null = a->launcher->null,
		.order = -1,
		.folder = -1,
		.lock = -1,
		.cgroup = -1,
	};
	int *const fds[] = {&s.order, &s.folder, &s.lock, &s.cgroup};
	enum start_result result;
	int r;

	if (!a->folder_made) {
		r = folder_make(a->folder);
		if (r == FOLDER_E_EXISTS)
			return START_EXISTS;
		if (r < 0)
			return fail(a, r, "make the action's folder");
		a->folder_made = true;
	}
	result = start_with(a, &s);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	return result;
}

void start_run(struct work *w)
{
	struct action *a = container_of(w, struct action, work);

	a->start_result = start_try(a);
	if (a->start_result == START_DONE) /* after the start: it costs that no time */
		a->commit = commit_of(a->launch->cwd, a->launcher->state);
}
