/* start --wait.
 *
 * Happy path: one connection watches the run, another asks for it at first, whenever something has
 * happened (a few times a second at most), and at its end. On a terminal the cells are drawn in
 * place; elsewhere each event is one line.
 * Failures: a daemon that goes away (a crash, an upgrade) does not end the run, so the client
 * connects again for a while before it gives up. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "base/memory.h"
#include "client/run_tree.h"

#define REDRAW_MS     250
#define CLOCK_MS      1000 /* how often the spans move on */
#define RECONNECT_MS  500
#define RECONNECT_MAX 240 /* two minutes */

struct waiting {
	struct client *client;
	const char *run;
	struct varlink *events, *asks;
	struct varlink_reply last; /* the run's object */
	bool on_terminal;
	unsigned n_drawn; /* lines */
	bool stale;
	int64_t asked_ms;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- drawing ------------------------------------------------------------------------------ */

static unsigned terminal_rows(void)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 4)
		return 24;
	return size.ws_row;
}

/* Lines are cut off at the terminal's edge rather than wrapped (DECAWM off for the while). */
static void draw(struct waiting *w)
{
	_cleanup_buf_ struct buf text = BUF_NULL;
	usec_t now = out_now();
	unsigned lines;

	if (!w->on_terminal)
		return;
	lines = run_tree_lines(&text, w->last.parameters, terminal_rows() - 2, now);
	fputs("\x1b[?7l", stdout);
	if (w->n_drawn)
		printf("\x1b[%uA\r\x1b[J", w->n_drawn);
	fputs(buf_str(&text), stdout);
	fputs("\x1b[?7h", stdout);
	fflush(stdout);
	w->n_drawn = lines;
}

static void print_event(const struct waiting *w, const cJSON *event)
{
	char at[WHEN_MAX];
	const char *name = json_string(event, "event"), *message = json_string(event, "message");
	const char *cell = json_string(event, "cell"), *run = json_string(event, "run");
	usec_t now = out_now();
	if (w->on_terminal || w->client->json || !run || str_eq(name, "progress"))
		return;
	printf("%s  ", when_exactly(json_time(event, "at"), now, at));
	if (!(message && strstr(message, run)))
		out_text(PLAIN, "%s%s%s  ", run, cell ? "/" : "", cell ? cell : "");
	out_text(PLAIN, "%s", message ? message : "");
	putchar('\n');
	fflush(stdout);
}

/* --- the connections ---------------------------------------------------------------------- */

static int ask(struct waiting *w)
{
	struct varlink_reply reply = VARLINK_REPLY_NULL;
	cJSON *parameters = cJSON_CreateObject();
	json_set_string(parameters, "ref", w->run);
	int r = client_ask(w->asks, "GetRun", parameters, &reply);
	if (r < 0)
		return r;
	varlink_reply_fini(&w->last);
	w->last = reply;
	w->stale = false;
	w->asked_ms = now_ms();
	return 0;
}

static void hang_up(struct waiting *w)
{
	varlink_free(TAKE_PTR(w->events));
	varlink_free(TAKE_PTR(w->asks));
}

/* Watches first, asks then: nothing can happen in between unseen. */
static int set_up(struct waiting *w)
{
	_cleanup_reply_ struct varlink_reply hello = VARLINK_REPLY_NULL;
	cJSON *parameters = cJSON_CreateObject();
	json_set_string(parameters, "run", w->run);
	hang_up(w);
	int r = varlink_open(w->client->socket, &w->events);
	if (r >= 0)
		r = varlink_open(w->client->socket, &w->asks);
	if (r < 0) {
		cJSON_Delete(parameters);
		return r;
	}
	r = varlink_send(w->events, "org.nightjar.Scheduler.Watch", parameters, true);
	if (r >= 0)
		r = varlink_receive(w->events, -1, &hello);
	if (r >= 0 && hello.error)
		r = -EPROTO;
	return r < 0 ? r : ask(w);
}

static int set_up_again(struct waiting *w)
{
	int r = -ECONNRESET;
	client_say("the daemon went away; waiting for it, %s goes on", w->run);
	w->n_drawn = 0;
	for (int i = 0; i < RECONNECT_MAX; i++) {
		nanosleep(&(struct timespec){.tv_nsec = RECONNECT_MS * 1000000L}, NULL);
		r = set_up(w);
		if (r == 0)
			return 0;
	}
	return r;
}

/* Waits for the next event, or for the time to draw again. Returns 0 or a negative errno. */
static int step(struct waiting *w)
{
	_cleanup_reply_ struct varlink_reply event = VARLINK_REPLY_NULL;
	int64_t since = now_ms() - w->asked_ms;
	int timeout = w->stale ? (int)MAX(REDRAW_MS - since, 0) : w->on_terminal ? CLOCK_MS : -1;
	int r = varlink_receive(w->events, timeout, &event);
	if (r == -ETIMEDOUT) {
		r = w->stale ? ask(w) : 0;
		if (r == 0)
			draw(w);
		return r;
	}
	if (r < 0)
		return r;
	if (event.error || !event.continues)
		return -ECONNRESET;
	print_event(w, event.parameters);
	bool ended = str_eq(json_string(event.parameters, "event"), "run-ended") ||
		     json_int(event.parameters, "lost", 0) > 0;
	w->stale |= ended || w->on_terminal;
	if (!w->stale || (!ended && now_ms() - w->asked_ms < REDRAW_MS))
		return 0;
	r = ask(w);
	if (r == 0)
		draw(w);
	return r;
}

static bool has_ended(const struct waiting *w)
{
	return str_eq(json_string(w->last.parameters, "state"), "ended");
}

static int finish(struct waiting *w)
{
	bool ok = str_eq(json_string(w->last.parameters, "outcome"), "ok");
	_cleanup_buf_ struct buf text = BUF_NULL;
	if (w->client->json) {
		_cleanup_json_ cJSON *run = cJSON_Duplicate(w->last.parameters, true);
		json_set_string(run, "run", w->run);
		out_json(run);
	} else {
		if (w->n_drawn)
			printf("\x1b[%uA\r\x1b[J", w->n_drawn);
		run_tree_lines(&text, w->last.parameters, UINT_MAX, out_now());
		fputs(buf_str(&text), stdout);
	}
	return ok ? STATUS_WELL : STATUS_FAILED;
}

int client_wait(struct client *client, const char *run)
{
	struct waiting w = {
		.client = client,
		.run = run,
		.on_terminal = isatty(STDOUT_FILENO) && !client->json,
	};
	int status = STATUS_NO_DAEMON;
	int r = set_up(&w);
	if (!client->json && !w.on_terminal)
		out_line(stdout, run);
	fflush(stdout); /* whoever reads a pipe is told the name at once */
	if (r == 0)
		draw(&w);
	while (r == 0 && !has_ended(&w)) {
		r = step(&w);
		if (r < 0)
			r = set_up_again(&w);
	}
	if (r < 0)
		client_say("the daemon does not answer (%s); %s goes on", strerror(-r), run);
	else
		status = finish(&w);
	hang_up(&w);
	varlink_reply_fini(&w.last);
	return status;
}
