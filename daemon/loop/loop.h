/* Small things on libuv that every adapter needs.
 *
 *   open_count   how many handles and jobs are open; closed when zero
 *   deferred     something to do once per turn of the loop, however often it is asked for
 *   work         one job on the thread pool, embedded in its owner
 *
 * All run on the loop's thread; only work's `run` does not. */
#pragma once
#include <stdbool.h>
#include <uv.h>
#include "base/cleanup.h"

/* Starts at zero: (struct open_count){0}. */
struct open_count {
	unsigned n;
	void (*closed)(struct open_count *count); /* set by open_count_close() */
};
void open_count_add(struct open_count *count);
/* May call `closed`, which may free the count's owner. */
void open_count_drop(struct open_count *count);
/* From now on `closed` is called as soon as nothing is open, possibly in here. */
void open_count_close(struct open_count *count, void (*closed)(struct open_count *count));
/* Closes a handle whose `data` is free for use, and drops it when it is closed; a handle that is
 * NULL, never initialised (zeroed) or closing already is left alone. */
void open_count_close_handle(struct open_count *count, uv_handle_t *handle);

struct deferred {
	uv_idle_t idle;
	void (*run)(void *arg);
	void *arg;
};
/* Counts one in `count` until deferred_close(). */
void deferred_init(struct deferred *d, uv_loop_t *loop, struct open_count *count,
	void (*run)(void *arg), void *arg);
/* `run` is called once, after the events at hand and before the loop sleeps again. */
void deferred_ask(struct deferred *d);
void deferred_close(struct deferred *d, struct open_count *count);

struct work {
	uv_work_t request;
	struct open_count *count;
	void (*run)(struct work *w);  /* on the pool: touches only what the owner leaves alone */
	void (*done)(struct work *w); /* on the loop; may free the work */
};
/* Counted in `count` until after `done`. Jobs cannot be called back; owners wait for `done`. */
void work_start(struct work *w, uv_loop_t *loop, struct open_count *count,
	void (*run)(struct work *w), void (*done)(struct work *w));
