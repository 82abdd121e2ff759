/* Small things on libuv: see loop.h. */
#include <assert.h>
#include "daemon/loop/loop.h"

void open_count_add(struct open_count *count)
{
	count->n++;
}

void open_count_drop(struct open_count *count)
{
	assert(count->n > 0);
	if (--count->n == 0 && count->closed)
		count->closed(count);
}

void open_count_close(struct open_count *count, void (*closed)(struct open_count *count))
{
	count->closed = closed;
	if (count->n == 0)
		closed(count);
}

static void on_handle_closed(uv_handle_t *handle)
{
	open_count_drop(handle->data);
}

void open_count_close_handle(struct open_count *count, uv_handle_t *handle)
{
	if (!handle || handle->type == UV_UNKNOWN_HANDLE || uv_is_closing(handle))
		return;
	handle->data = count;
	uv_close(handle, on_handle_closed);
}

/* An active idle handle keeps the loop from sleeping, and its callback comes before the poll: so
 * what is asked for during a poll or a timer runs before the next sleep, once. */
static void on_idle(uv_idle_t *idle)
{
	struct deferred *d = container_of(idle, struct deferred, idle);

	uv_idle_stop(idle);
	d->run(d->arg);
}

void deferred_init(struct deferred *d, uv_loop_t *loop, struct open_count *count,
	void (*run)(void *arg), void *arg)
{
	*d = (struct deferred){.run = run, .arg = arg};
	uv_idle_init(loop, &d->idle);
	open_count_add(count);
}

void deferred_ask(struct deferred *d)
{
	if (!uv_is_closing((uv_handle_t *)&d->idle))
		uv_idle_start(&d->idle, on_idle);
}

void deferred_close(struct deferred *d, struct open_count *count)
{
	open_count_close_handle(count, (uv_handle_t *)&d->idle);
}

static void on_work(uv_work_t *request)
{
	struct work *w = container_of(request, struct work, request);

	w->run(w);
}

static void on_work_done(uv_work_t *request, int status)
{
	struct work *w = container_of(request, struct work, request);
	struct open_count *count = w->count;

	w->done(w);
	open_count_drop(count);
}

void work_start(struct work *w, uv_loop_t *loop, struct open_count *count,
	void (*run)(struct work *w), void (*done)(struct work *w))
{
	w->count = count;
	w->run = run;
	w->done = done;
	open_count_add(count);
	uv_queue_work(loop, &w->request, on_work, on_work_done);
}
