/* The core's clock: CLOCK_REALTIME and CLOCK_BOOTTIME, and one wake-up on each.
 *
 * The wall clock's timer also fires when somebody sets that clock (TFD_TIMER_CANCEL_ON_SET), and
 * the boot clock goes on while the machine sleeps: neither is asked again and again. */
#pragma once
#include "core/ports.h"
#include "daemon/loop/loop.h"

struct alarm_timer {
	uv_poll_t poll;
	int fd;
	usec_t at; /* what is set; USEC_INFINITY: nothing */
	struct clock *clock;
};

struct clock {
	struct alarm_timer boot, wall;
	struct open_count *count;
	void (*wake)(void *arg);
	void *arg;
};

usec_t clock_now(void);
usec_t clock_boot(void);

/* `wake(arg)` is called on the loop. 0 or -errno. Handles are counted in `count`. */
int clock_init(struct clock *c, uv_loop_t *loop, struct open_count *count, void (*wake)(void *arg),
	void *arg);
void clock_port(struct clock *c, struct clock_port *ret);
/* Repeatable; a zeroed clock is fine. The memory is free when the count is closed. */
void clock_close(struct clock *c);
