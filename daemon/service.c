#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include "base/memory.h"
#include "daemon/service.h"

#define ASK_WAIT_MS 5000

/* --- notifications ------------------------------------------------------------------------ */

static void watchdog_fired(uv_timer_t *timer)
{
	sd_notify(0, "WATCHDOG=1");
}

void service_init(struct service *s, uv_loop_t *loop, struct open_count *count)
{
	uint64_t usec = 0;

	*s = (struct service){.loop = loop, .count = count};
	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	s->has_watchdog = true;
	uv_timer_init(loop, &s->watchdog);
	open_count_add(count);
	uv_timer_start(&s->watchdog, watchdog_fired, 0, usec / 2000);
}

void service_close(struct service *s)
{
	if (s->has_watchdog)
		open_count_close_handle(s->count, (uv_handle_t *)&s->watchdog);
	s->has_watchdog = false;
}

void service_ready(struct service *s)
{
	sd_notify(0, "READY=1");
}

void service_reloading(struct service *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void service_stopping(struct service *s)
{
	sd_notify(0, "STOPPING=1");
}

void service_status(struct service *s, const char *format, ...)
{
	char text[sizeof(s->status)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (strcmp(text, s->status) == 0)
		return;
	memcpy(s->status, text, sizeof(text));
	sd_notifyf(0, "STATUS=%s", text);
}

/* --- is the machine going down? ----------------------------------------------------------- */

struct question {
	struct service *service;
	uv_process_t process;
	uv_pipe_t pipe;
	uv_timer_t timer;
	char said[64];
	size_t n;
	bool answered;
	void (*answer)(void *arg, bool going_down);
	void *arg;
	struct open_count open;
};

static void question_closed(struct open_count *count)
{
	struct question *q = container_of(count, struct question, open);

	open_count_drop(q->service->count);
	free(q);
}

static void question_answer(struct question *q)
{
	if (q->answered)
		return;
	q->answered = true;
	open_count_close_handle(&q->open, (uv_handle_t *)&q->process);
	open_count_close_handle(&q->open, (uv_handle_t *)&q->pipe);
	open_count_close_handle(&q->open, (uv_handle_t *)&q->timer);
	q->answer(q->arg, q->n >= 8 && memcmp(q->said, "stopping", 8) == 0);
	open_count_close(&q->open, question_closed);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct question *q = container_of((uv_pipe_t *)handle, struct question, pipe);

	*ret = uv_buf_init(q->said + q->n, (unsigned)(sizeof(q->said) - q->n));
}

static void said(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct question *q = container_of((uv_pipe_t *)stream, struct question, pipe);

	if (n > 0)
		q->n += (size_t)n;
	else if (n < 0)
		question_answer(q);
}

static void exited(uv_process_t *process, int64_t code, int signal)
{
}

static void too_late(uv_timer_t *timer)
{
	question_answer(container_of(timer, struct question, timer));
}

void service_ask_going_down(
	struct service *s, void (*answer)(void *arg, bool going_down), void *arg)
{
	static char *args[] = {(char *)"systemctl", (char *)"is-system-running", NULL};
	struct question *q = xnew(struct question);
	uv_stdio_container_t stdio[2] = {
		{.flags = UV_IGNORE},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
			.data.stream = (uv_stream_t *)&q->pipe},
	};
	uv_process_options_t options = {
		.file = "systemctl",
		.args = args,
		.stdio = stdio,
		.stdio_count = 2,
		.exit_cb = exited,
	};

	q->service = s;
	q->answer = answer;
	q->arg = arg;
	open_count_add(s->count);
	uv_pipe_init(s->loop, &q->pipe, 0);
	uv_timer_init(s->loop, &q->timer);
	open_count_add(&q->open);
	open_count_add(&q->open);
	open_count_add(&q->open);
	if (uv_spawn(s->loop, &q->process, &options) < 0) {
		question_answer(q);
		return;
	}
	uv_timer_start(&q->timer, too_late, ASK_WAIT_MS, 0);
	uv_read_start((uv_stream_t *)&q->pipe, give_room, said);
}
