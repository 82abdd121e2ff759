/* Following output: inotify says which action's log has grown; a few reads at a time run on the
 * pool, the actions taking turns, so that a flood of one delays the others by a piece at most.
 *
 * Happy path: on_inotify -> follow_wake -> pump -> read_run (pool) -> on_read -> follow_feed. A
 * flood is followed at 32 MB/s while it goes on; what is left at its end at once. Failures:
 * inotify, or one more watch, is not to be had: a timer looks at the logs twice a second; events
 * were lost: all logs are looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/proc/action.h"
#include "daemon/proc/line.h"
#include "daemon/proc/reader.h"
#include "shim/protocol.h"

enum {
	MAX_READING = 4,
	SMALL_PIECE = 40 * 1024, /* more than one line */
	FLOOD_PIECE = 64 * 1024, /* less than a millisecond of the loop's time */
	REST_MSEC = 2, /* between two pieces of a flood: its child needs the processor, too */
	LOOK_MSEC = 500,
};

static void pump(struct launcher *l);

static struct list *bucket(struct launcher *l, int watch)
{
	return &l->watches[(unsigned)watch % N_WATCH_BUCKETS];
}

/* --- what has grown ----------------------------------------------------------------------- */

void follow_wake(struct action *a)
{
	a->dirty = true;
	log_wake(a->launcher, a->folder);
	if (a->busy || uv_is_active((uv_handle_t *)&a->timer) ||
		(a->state != ACTION_RUNNING && a->state != ACTION_ENDING) || !list_empty(&a->ready))
		return;
	list_append(&a->launcher->ready, &a->ready);
	pump(a->launcher);
}

static void wake_watch(struct launcher *l, int watch)
{
	list_for_each(node, bucket(l, watch))
	{
		struct action *a = list_entry(node, struct action, watched);

		if (a->watch == watch && a->state == ACTION_RUNNING)
			follow_wake(a);
	}
}

static void wake_all(struct launcher *l, bool unwatched_only)
{
	list_for_each(node, &l->actions)
	{
		struct action *a = list_entry(node, struct action, link);

		if (a->state == ACTION_RUNNING && (!unwatched_only || a->watch < 0))
			follow_wake(a);
	}
}

static void on_inotify(uv_poll_t *poll, int status, int events)
{
	struct launcher *l = container_of(poll, struct launcher, inotify_poll);
	char buf[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(l->inotify, buf, sizeof(buf));

	for (char *p = buf; n > 0 && p < buf + n;) {
		const struct inotify_event *event = (const struct inotify_event *)p;

		if (event->mask & IN_Q_OVERFLOW)
			wake_all(l, false);
		else if (event->mask & IN_MODIFY && event->len > 0 &&
			 str_starts(event->name, "output."))
			wake_watch(l, event->wd);
		p += sizeof(*event) + event->len;
	}
}

static void on_look(uv_timer_t *timer)
{
	struct launcher *l = container_of(timer, struct launcher, look);
	bool any = false;

	list_for_each(node, &l->actions)
	{
		struct action *a = list_entry(node, struct action, link);

		any |= a->state == ACTION_RUNNING && a->watch < 0;
	}
	if (any)
		wake_all(l, true);
	else
		uv_timer_stop(timer);
}

/* --- reading ------------------------------------------------------------------------------ */

void follow_read(struct action *a, bool final)
{
	size_t cap = a->piece || a->piece_len >= SMALL_PIECE / 2 ? FLOOD_PIECE : SMALL_PIECE;

	a->piece_len = 0;
	a->piece_gap = 0;
	if (!a->piece)
		a->piece = xmalloc(cap);
	log_read(a->folder, final, &a->position, a->piece, cap, &a->piece_len, &a->piece_gap);
}

static void read_run(struct work *w)
{
	struct action *a = container_of(w, struct action, work);

	follow_read(a, a->gathered);
}

static void on_read(struct work *w)
{
	struct action *a = container_of(w, struct action, work);
	struct launcher *l = a->launcher;
	bool progress = a->piece_len > 0 || a->piece_gap > 0;

	l->n_reading--;
	a->busy = false;
	if (a->state != ACTION_OVER) {
		follow_feed(a);
		a->dirty |= progress;
		if (!progress && a->gathered)
			a->log_complete = true;
		if (a->state == ACTION_RUNNING && a->piece_len >= SMALL_PIECE)
			action_rest(a, REST_MSEC);
		else
			action_step(a);
	}
	pump(l);
}

static void pump(struct launcher *l)
{
	while (l->n_reading < MAX_READING && !list_empty(&l->ready)) {
		struct action *a = list_entry(list_first(&l->ready), struct action, ready);

		list_remove(&a->ready);
		a->dirty = false;
		a->busy = true;
		l->n_reading++;
		work_start(&a->work, l->loop, &a->open, read_run, on_read);
	}
}

/* s[len] is ours to end the line with. */
static void feed_line(struct action *a, char *s, size_t len, struct log_line *before)
{
	const struct launcher_events *e = &a->launcher->events;
	_cleanup_buf_ struct buf clean = BUF_NULL;
	struct log_line line;

	s[len] = '\0';
	if (!log_line_parse(s, len, before, &line))
		return;
	*before = line;
	a->last_line_at = line.at;
	if (!log_line_is_plain(line.text, line.len)) {
		text_escape(&clean, line.text, line.len);
		line.text = buf_str(&clean);
		line.len = clean.len;
	}
	e->line(e->self, a->launch, line.stream, line.at, line.text, line.len, line.partial);
}

/* piece_len stays, to tell how large the next piece should be; so does the memory, in a flood. */
void follow_feed(struct action *a)
{
	const struct launcher_events *e = &a->launcher->events;
	char *piece = TAKE_PTR(a->piece), *p = piece, *end = p + a->piece_len, *newline;
	struct log_line before = {0};

	if (a->piece_gap > 0)
		e->gap(e->self, a->launch, a->piece_gap);
	for (; p < end; p = newline + 1) {
		newline = memchr(p, '\n', end - p);
		feed_line(a, p, newline - p, &before);
	}
	if (a->piece_len > SMALL_PIECE) /* so it holds a large one */
		a->piece = piece;
	else
		free(piece);
}

/* --- watching ----------------------------------------------------------------------------- */

static bool has_output(const struct action *a)
{
	_cleanup_free_ char *path = xasprintf("%s/output.log", a->folder);
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > 0;
}

void follow_begin(struct action *a)
{
	struct launcher *l = a->launcher;

	if (l->inotify >= 0)
		a->watch = inotify_add_watch(l->inotify, a->folder, IN_MODIFY | IN_ONLYDIR);
	if (a->watch >= 0)
		list_append(bucket(l, a->watch), &a->watched);
	else if (!uv_is_active((uv_handle_t *)&l->look))
		uv_timer_start(&l->look, on_look, LOOK_MSEC, LOOK_MSEC);
	/* what was written before the watch says nothing by itself */
	if (a->found || has_output(a))
		follow_wake(a);
}

void follow_end(struct action *a)
{
	struct launcher *l = a->launcher;

	list_remove(&a->ready);
	list_remove(&a->watched);
	if (a->watch < 0)
		return;
	list_for_each(
		node, bucket(l, a->watch)) if (list_entry(node, struct action, watched)->watch ==
					       a->watch) return; /* the same folder, found twice:
								    the watch is the other's, too */
	inotify_rm_watch(l->inotify, a->watch);
}

void follow_init(struct launcher *l)
{
	uv_timer_init(l->loop, &l->look);
	open_count_add(&l->open);
	l->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (l->inotify < 0)
		return;
	if (uv_poll_init(l->loop, &l->inotify_poll, l->inotify) < 0) {
		close(l->inotify);
		l->inotify = -1;
		l->inotify_poll.type = UV_UNKNOWN_HANDLE;
		return;
	}
	open_count_add(&l->open);
	uv_poll_start(&l->inotify_poll, UV_READABLE, on_inotify);
}

void follow_close(struct launcher *l)
{
	open_count_close_handle(&l->open, (uv_handle_t *)&l->look);
	open_count_close_handle(&l->open, (uv_handle_t *)&l->inotify_poll);
	if (l->inotify >= 0)
		close(l->inotify);
	l->inotify = -1;
}
