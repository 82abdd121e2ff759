/* The life of one action.
 *
 * Happy path: STARTING (start.c on the pool) -> RUNNING (its shim's pidfd is polled, its log is
 * followed) -> ENDING (gather.c, then what is left of the log) -> events.ended -> OVER.
 * Failures: no process or descriptor to be had: tried again a few times, then never started; the
 * folder exists already: FINDING instead; the lock of a found one is held but its process is not
 * there: looked at again until one of both changes. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/proc/action.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/spawn.h"

enum {
	START_TRIES = 8, /* 50 ms, doubling: 13 s in all */
	DELAY_MSEC = 50,
	DELAY_MAX_MSEC = 2000, /* of finding, which goes on for as long as the lock is held */
};

static void enter_ending(struct action *a);

static void action_free(struct open_count *count)
{
	struct action *a = container_of(count, struct action, open);
	struct open_count *outer = &a->launcher->open;

	for (size_t i = 0; i < ARRAY_SIZE(a->artifacts); i++)
		free(a->artifacts[i].data);
	free(a->attempt);
	free(a->folder);
	free(a->private_folder);
	free(a->cgroup);
	free(a->message);
	free(a->commit);
	free(a->started_text);
	free(a->action_text);
	free(a->status_text);
	free(a->piece);
	free(a);
	open_count_drop(outer);
}

void action_release(struct action *a)
{
	if (a->state == ACTION_OVER)
		return;
	a->state = ACTION_OVER;
	a->launch->adapter = NULL;
	a->launch = a->busy ? a->launch : NULL; /* a job under way still reads it */
	follow_end(a);
	list_remove(&a->link);
	log_wake(a->launcher, a->folder);
	open_count_close_handle(&a->open, (uv_handle_t *)&a->timer);
	open_count_close_handle(&a->open, (uv_handle_t *)&a->poll);
	if (a->pidfd >= 0)
		close(a->pidfd);
	a->pidfd = -1;
	open_count_close(&a->open, action_free);
}

static struct action *action_new(struct launcher *l, struct launch *launch)
{
	struct action *a = xnew(struct action);

	a->launcher = l;
	a->launch = launch;
	a->pidfd = a->watch = -1;
	a->same_boot = true;
	a->attempt = place_attempt(l->state, &launch->place);
	a->folder = place_folder(l->state, &launch->place);
	list_init(&a->watched);
	list_init(&a->ready);
	list_append(&l->actions, &a->link);
	uv_timer_init(l->loop, &a->timer);
	open_count_add(&a->open);
	open_count_add(&l->open);
	launch->adapter = a;
	return a;
}

static void run_job(struct action *a, void (*run)(struct work *w), void (*done)(struct work *w))
{
	a->busy = true;
	work_start(&a->work, a->launcher->loop, &a->open, run, done);
}

/* The first thing that every `done` does; NULL: the action was let go meanwhile. */
static struct action *job_over(struct work *w)
{
	struct action *a = container_of(w, struct action, work);

	a->busy = false;
	return a->state == ACTION_OVER ? NULL : a;
}

static void on_timer(uv_timer_t *timer)
{
	action_step(container_of(timer, struct action, timer));
}

void action_rest(struct action *a, unsigned msec)
{
	uv_timer_start(&a->timer, on_timer, msec, 0);
}

static void try_again(struct action *a)
{
	unsigned delay = DELAY_MSEC << MIN(a->tries, 8u);

	if (a->state == ACTION_FINDING)
		delay = MIN(delay, (unsigned)DELAY_MAX_MSEC);
	a->tries++;
	uv_timer_start(&a->timer, on_timer, delay, 0);
}

static void enter_finding(struct action *a)
{
	a->state = ACTION_FINDING;
	a->tries = 0;
	action_step(a);
}

/* --- running ------------------------------------------------------------------------------ */

static void send_stop(struct action *a)
{
	const char *word = stop_reason_name(a->stop);

	file_replace(a->folder, "stop", word, strlen(word));
	process_signal(a->pidfd, SIGUSR1); /* even if the disk is full: then it is a cancel */
}

static void on_exit_of_shim(uv_poll_t *poll, int status, int events)
{
	struct action *a = container_of(poll, struct action, poll);

	uv_poll_stop(poll);
	process_reap(a->pid);
	enter_ending(a);
}

static void enter_running(struct action *a)
{
	const struct launcher_events *events = &a->launcher->events;

	if (uv_poll_init(a->launcher->loop, &a->poll, a->pidfd) < 0) {
		a->poll.type = UV_UNKNOWN_HANDLE;
		close(a->pidfd);
		a->pidfd = -1;
		a->state = ACTION_FINDING;
		try_again(a);
		return;
	}
	open_count_add(&a->open);
	uv_poll_start(&a->poll, UV_READABLE, on_exit_of_shim);
	a->state = ACTION_RUNNING;
	if (a->stop != STOP_NONE)
		send_stop(a);
	follow_begin(a);
	if (a->commit && events->commit)
		events->commit(events->self, a->launch, a->commit);
	events->started(events->self, a->launch, a->started_at, a->found);
}

/* --- the end ------------------------------------------------------------------------------ */

static void finish(struct action *a)
{
	const struct launcher_events events = a->launcher->events;
	struct launch *launch = a->launch;
	struct artifact artifacts[ARRAY_SIZE(a->artifacts)];
	struct action_status status = {0};

	process_reap(a->pid);
	gather_status(a, &status);
	memcpy(artifacts, a->artifacts, sizeof(artifacts));
	memset(a->artifacts, 0, sizeof(a->artifacts));
	action_release(a);
	events.ended(events.self, launch, &status, artifacts, launch->n_artifacts);
	action_status_fini(&status);
	for (size_t i = 0; i < ARRAY_SIZE(artifacts); i++)
		free(artifacts[i].data);
}

static void on_gathered(struct work *w)
{
	struct action *a = job_over(w);
	bool progress;

	if (!a)
		return;
	a->gathered = true;
	progress = a->piece_len > 0 || a->piece_gap > 0;
	follow_feed(a);
	a->log_complete = !progress;
	action_step(a);
}

static void enter_ending(struct action *a)
{
	a->state = ACTION_ENDING;
	uv_timer_stop(&a->timer);
	list_remove(&a->ready);
	action_step(a);
}

static void step_ending(struct action *a)
{
	if (!a->gathered)
		run_job(a, gather_run, on_gathered);
	else if (!a->log_complete)
		follow_wake(a);
	else
		finish(a);
}

/* --- starting and finding ----------------------------------------------------------------- */

static void on_start_tried(struct work *w)
{
	struct action *a = job_over(w);

	if (!a)
		return;
	switch (a->start_result) {
	case START_DONE:
		free(TAKE_PTR(a->message));
		if (a->pidfd >= 0)
			enter_running(a);
		else
			enter_finding(a);
		break;
	case START_EXISTS:
		a->found = true;
		enter_finding(a);
		break;
	case START_AGAIN:
		if (a->stop == STOP_NONE && a->tries < START_TRIES)
			try_again(a);
		else
			enter_ending(a);
		break;
	case START_FAILED:
		enter_ending(a);
		break;
	}
}

static void on_found(struct work *w)
{
	struct action *a = job_over(w);

	if (!a)
		return;
	if (a->found)
		find_read_action(a);
	if (a->find_result == FIND_FREE)
		enter_ending(a);
	else if (find_adopt(a) == 0)
		enter_running(a);
	else
		try_again(a);
}

void action_step(struct action *a)
{
	if (a->busy)
		return;
	switch (a->state) {
	case ACTION_STARTING:
		run_job(a, start_run, on_start_tried);
		break;
	case ACTION_FINDING:
		run_job(a, find_run, on_found);
		break;
	case ACTION_RUNNING:
		if (a->dirty)
			follow_wake(a);
		break;
	case ACTION_ENDING:
		step_ending(a);
		break;
	case ACTION_OVER:
		break;
	}
}

/* No call of the port calls back before it returns: what cannot be done at all ends by the timer.
 */
static void refuse(struct action *a)
{
	a->message = xstrdup("its run or action has no valid name");
	a->gathered = a->log_complete = true;
	a->state = ACTION_ENDING;
	uv_timer_start(&a->timer, on_timer, 0, 0);
}

void launch_start(struct launcher *l, struct launch *launch)
{
	struct action *a = action_new(l, launch);
	_cleanup_free_ char *nickname = NULL;

	if (!place_is_valid(&launch->place)) {
		refuse(a);
		return;
	}
	nickname = place_nickname(&launch->place);
	a->private_folder =
		xasprintf("%s/%s", l->private_root ? l->private_root : a->folder, nickname);
	if (l->cgroup_root)
		a->cgroup = xasprintf("%s/%s", l->cgroup_root, nickname);
	action_step(a);
}

void launch_find(struct launcher *l, struct launch *launch)
{
	struct action *a = action_new(l, launch);

	a->found = true;
	if (!place_is_valid(&launch->place))
		refuse(a);
	else
		enter_finding(a);
}

void launch_stop(struct action *a, enum stop_reason reason)
{
	if (a->stop != STOP_NONE || reason == STOP_NONE)
		return;
	a->stop = reason;
	if (a->state == ACTION_RUNNING) {
		send_stop(a);
	} else if (a->state == ACTION_STARTING && !a->busy) {
		free(a->message);
		a->message = xstrdup("stopped before it was started");
		enter_ending(a);
	}
}
