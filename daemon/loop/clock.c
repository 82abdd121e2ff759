/* The core's clock on two timerfds: see clock.h. */
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "daemon/loop/clock.h"

/* A wall-clock timer that nobody waits for stays armed, to notice that the clock is set. */
#define FAR_FUTURE (1000LL * 365 * USEC_DAY)

static usec_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (usec_t)ts.tv_sec * USEC_SEC + ts.tv_nsec / 1000;
}

usec_t clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

usec_t clock_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

static void alarm_set(struct alarm_timer *a, usec_t at, int flags)
{
	struct itimerspec spec = {0};

	if (a->at == at)
		return;
	a->at = at;
	if (at > FAR_FUTURE)
		at = FAR_FUTURE;
	if (at < 1)
		at = 1; /* zero would disarm it */
	spec.it_value.tv_sec = at / USEC_SEC;
	spec.it_value.tv_nsec = at % USEC_SEC * 1000;
	timerfd_settime(a->fd, TFD_TIMER_ABSTIME | flags, &spec, NULL);
}

/* The read also says ECANCELED, when the clock was set: both mean "look again". */
static void on_alarm(uv_poll_t *poll, int status, int events)
{
	struct alarm_timer *a = container_of(poll, struct alarm_timer, poll);
	uint64_t expirations;

	if (read(a->fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN)
		return;
	a->at = 0; /* whatever is wished next is set anew */
	if (a == &a->clock->wall)
		alarm_set(a, USEC_INFINITY, TFD_TIMER_CANCEL_ON_SET);
	a->clock->wake(a->clock->arg);
}

static int alarm_init(struct alarm_timer *a, struct clock *c, uv_loop_t *loop, clockid_t id)
{
	int r;

	a->clock = c;
	a->fd = timerfd_create(id, TFD_CLOEXEC | TFD_NONBLOCK);
	if (a->fd < 0)
		return -errno;
	r = uv_poll_init(loop, &a->poll, a->fd);
	if (r < 0) {
		close(a->fd);
		a->poll.type = UV_UNKNOWN_HANDLE;
		return r;
	}
	open_count_add(c->count);
	uv_poll_start(&a->poll, UV_READABLE, on_alarm);
	return 0;
}

int clock_init(struct clock *c, uv_loop_t *loop, struct open_count *count, void (*wake)(void *arg),
	void *arg)
{
	int r;

	*c = (struct clock){.count = count, .wake = wake, .arg = arg};
	r = alarm_init(&c->boot, c, loop, CLOCK_BOOTTIME);
	if (r == 0)
		r = alarm_init(&c->wall, c, loop, CLOCK_REALTIME);
	if (r < 0) {
		clock_close(c);
		return r;
	}
	c->boot.at = USEC_INFINITY;
	alarm_set(&c->wall, USEC_INFINITY, TFD_TIMER_CANCEL_ON_SET);
	return 0;
}

static usec_t port_now(void *self)
{
	return clock_now();
}

static usec_t port_boot(void *self)
{
	return clock_boot();
}

static void port_wake(void *self, usec_t boot, usec_t now)
{
	struct clock *c = self;

	if (boot == 0) {
		c->wake(c->arg);
		return;
	}
	alarm_set(&c->boot, boot, 0);
	alarm_set(&c->wall, now, TFD_TIMER_CANCEL_ON_SET);
}

void clock_port(struct clock *c, struct clock_port *ret)
{
	*ret = (struct clock_port){
		.self = c,
		.now = port_now,
		.boot = port_boot,
		.wake = port_wake,
	};
}

static void alarm_close(struct alarm_timer *a)
{
	uv_handle_t *handle = (uv_handle_t *)&a->poll;

	if (handle->type == UV_UNKNOWN_HANDLE || uv_is_closing(handle))
		return;
	open_count_close_handle(a->clock->count, handle);
	close(a->fd);
}

void clock_close(struct clock *c)
{
	alarm_close(&c->boot);
	alarm_close(&c->wall);
}
