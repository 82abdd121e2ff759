/* The real socket over a made-up core: control_demo SOCKET [OPERATORS_GID [still]], for
 * test_socket.py; `still`: its runs never move.
 * Says "ready" when it listens and "audit ..." for each row; ends in order when its input does. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/control/control.h"
#include "daemon/loop/loop.h"
#include "tests/unit/fake_core.h"

struct demo {
	uv_loop_t loop;
	struct control *control;
	struct core *core;
	struct deferred kick;
	struct open_count count;
	uv_timer_t timer, reload_timer, log_timer;
	uv_pipe_t input;
	struct control_reload *reload;
	struct log_request *chatty, *canned;
	unsigned n_reloads;
	uint64_t n_pieces;
};

static void on_kick(void *arg)
{
	struct demo *demo = arg;
	fake_core_answer(demo->core);
}

static void kick(void *self)
{
	struct demo *demo = self;
	deferred_ask(&demo->kick);
}

static void notice(void *self, const struct core_notice *n)
{
	struct demo *demo = self;
	control_notice(demo->control, n);
}

static void audit(void *self, const char *line)
{
	puts(line);
	fflush(stdout);
}

static void on_step(uv_timer_t *timer)
{
	struct demo *demo = timer->data;
	fake_core_step(demo->core);
}

/* --- reload: every second one is refused -------------------------------------------------- */

static void on_reload(uv_timer_t *timer)
{
	struct demo *demo = timer->data;
	struct complaint items[] = {
		{.file = (char *)"/etc/nightjar.conf", .line = 3, .message = (char *)"no such key"},
	};
	struct complaints complaints = {.items = items, .n = 1, .n_errors = 1};
	bool refused = demo->n_reloads++ % 2 == 1;
	demo->reload->done(demo->reload, refused, refused ? &complaints : NULL);
}

static void reload(void *self, struct control_reload *r)
{
	struct demo *demo = self;
	demo->reload = r;
	uv_timer_start(&demo->reload_timer, on_reload, 1, 0);
}

/* --- logs --------------------------------------------------------------------------------- */

static void send_piece(struct log_request *r)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	while (b.len < 60000)
		buf_puts(&b, "2026-03-29T06:00:00.123456789Z stdout F chatter chatter chatter\n");
	r->on_chunk(r, "run", b.data, b.len, 0);
}

static void on_log(uv_timer_t *timer)
{
	struct demo *demo = timer->data;
	struct log_request *chatty = TAKE_PTR(demo->chatty), *canned = TAKE_PTR(demo->canned);
	static const char text[] = "2026-03-29T06:00:00.123456789Z stdout F hello\n"
				   "2026-03-29T06:00:01.123456789Z stderr P half a \n"
				   "2026-03-29T06:00:01.223456789Z stderr F line \\x1b[31m\n"
				   "nonsense\n";
	if (chatty) {
		printf("piece %lu\n", (unsigned long)++demo->n_pieces);
		fflush(stdout);
		send_piece(chatty);
	}
	if (canned && canned->owner) {
		canned->done(canned, NULL);
	} else if (canned) {
		canned->owner = demo;
		canned->on_chunk(canned, "run", text, strlen(text), 17);
	}
}

static void log_next(void *self, struct log_request *r)
{
	struct demo *demo = self;
	if (str_eq(r->directory, "/chatty"))
		demo->chatty = r;
	else
		demo->canned = r;
	uv_timer_start(&demo->log_timer, on_log, 0, 0);
}

static void log_cancel(void *self, struct log_request *r)
{
	struct demo *demo = self;
	if (demo->chatty == r)
		demo->chatty = NULL;
	if (demo->canned == r)
		demo->canned = NULL;
}

/* --- life --------------------------------------------------------------------------------- */

static void on_control_closed(void *arg)
{
	struct demo *demo = arg;
	fake_core_free(demo->core);
	deferred_close(&demo->kick, &demo->count);
	uv_close((uv_handle_t *)&demo->timer, NULL);
	uv_close((uv_handle_t *)&demo->reload_timer, NULL);
	uv_close((uv_handle_t *)&demo->log_timer, NULL);
	uv_close((uv_handle_t *)&demo->input, NULL);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	static char nothing[64];
	*ret = uv_buf_init(nothing, sizeof(nothing));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct demo *demo = stream->data;
	if (n >= 0)
		return;
	uv_read_stop(stream);
	control_close(demo->control, on_control_closed, demo);
	demo->control = NULL;
}

int main(int argc, char **argv)
{
	static struct demo demo;
	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&demo.loop);
	demo.core = fake_core_new(
		&(struct fake_hooks){.self = &demo, .notice = notice, .audit = audit});
	deferred_init(&demo.kick, &demo.loop, &demo.count, on_kick, &demo);
	struct log_port log = {&demo, log_next, log_next, log_cancel};
	int r = control_new(&demo.loop,
		&(struct control_options){
			.path = argv[1],
			.hooks = {&demo, reload, kick},
			.log = &log,
		},
		&demo.control);
	if (r < 0) {
		printf("%s\n", strerror(-r));
		return 1;
	}
	control_configure(
		demo.control, demo.core, argc > 2 ? (gid_t)strtoul(argv[2], NULL, 10) : (gid_t)-1);
	uv_timer_init(&demo.loop, &demo.timer);
	uv_timer_init(&demo.loop, &demo.reload_timer);
	uv_timer_init(&demo.loop, &demo.log_timer);
	demo.timer.data = demo.reload_timer.data = demo.log_timer.data = &demo;
	if (argc <= 3)
		uv_timer_start(&demo.timer, on_step, 50, 50);
	uv_pipe_init(&demo.loop, &demo.input, 0);
	demo.input.data = &demo;
	uv_pipe_open(&demo.input, 0);
	uv_read_start((uv_stream_t *)&demo.input, on_alloc, on_input);
	puts("ready");
	fflush(stdout);
	uv_run(&demo.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&demo.loop) == 0 ? 0 : 3;
}
