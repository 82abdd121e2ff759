/* See http.h.
 *
 * Happy path: start -> libcurl names its sockets and its timer -> the loop watches them and hands
 * each event back -> a finished transfer is taken out and `done` called, outside of libcurl.
 * Failures: what libcurl reports becomes a sentence (explain.c); a call that cannot even begin is
 * answered in the same turn of the loop, never inside start; libcurl may close sockets in any of
 * its calls, also while it is torn down, so a watch lives until its handle has closed. */
#include "base/memory.h"
#include "daemon/http/internal.h"

/* --- finished transfers ------------------------------------------------------------------- */

static void transfer_detach(struct transfer *t)
{
	list_remove(&t->link);
	if (t->easy && !t->refusal)
		curl_multi_remove_handle(t->http->multi, t->easy);
	t->call->adapter = NULL;
}

static void transfer_end(struct transfer *t, CURLcode code)
{
	struct http *h = t->http;
	struct http_call *call = t->call;
	_cleanup_free_ char *error = NULL;
	long status = 0;

	if (code == CURLE_OK && !t->refusal)
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 0)
		error = transfer_explain(t, code, &call->trouble);
	transfer_detach(t);
	call->done(call, (int)status, error, status ? buf_str(&t->body) : NULL,
		status ? t->body.len : 0);
	transfer_free(t);
	h->answered(h->answered_arg);
}

/* Callbacks may start and cancel others, so the list is asked anew each time. */
static void harvest(struct http *h)
{
	CURLMsg *m;
	int left;

	while (!h->closing && (m = curl_multi_info_read(h->multi, &left))) {
		struct transfer *t = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		transfer_end(t, m->data.result);
	}
}

static void refuse_all(void *arg)
{
	struct http *h = arg;
	struct list *first;

	while (!h->closing && (first = list_first(&h->refused)))
		transfer_end(list_entry(first, struct transfer, link), CURLE_FAILED_INIT);
}

/* --- what libcurl asks of the loop -------------------------------------------------------- */

struct watch {
	uv_poll_t poll;
	struct http *http;
	curl_socket_t fd;
};

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = container_of(poll, struct watch, poll);
	struct http *h = w->http;
	int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
		    (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0),
	    running;

	curl_multi_socket_action(h->multi, w->fd, status < 0 ? CURL_CSELECT_ERR : flags, &running);
	harvest(h);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *w = container_of((uv_poll_t *)handle, struct watch, poll);
	struct http *h = w->http;

	free(w);
	open_count_drop(&h->open);
}

/* NULL: the system will not watch it; the call's timeouts still end it. */
static struct watch *watch_new(struct http *h, curl_socket_t fd)
{
	struct watch *w = xnew(struct watch);

	w->http = h;
	w->fd = fd;
	if (uv_poll_init_socket(h->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	open_count_add(&h->open);
	curl_multi_assign(h->multi, fd, w);
	return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct watch *w = socket_arg;

	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		return 0;
	}
	if (!w)
		w = watch_new(arg, fd);
	if (w)
		uv_poll_start(&w->poll,
			(what & CURL_POLL_IN ? UV_READABLE : 0) |
				(what & CURL_POLL_OUT ? UV_WRITABLE : 0),
			on_ready);
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct http *h = container_of(timer, struct http, timer);
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	harvest(h);
}

/* libcurl is not entered again from here, whatever it asks for. */
static int on_timeout(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	if (h->closing)
		return 0;
	if (ms < 0) {
		uv_timer_stop(&h->timer);
		return 0;
	}
	uv_update_time(h->loop);
	uv_timer_start(&h->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

/* --- the port ----------------------------------------------------------------------------- */

static bool ensure_multi(struct http *h)
{
	if (h->multi)
		return true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	h->multi = curl_multi_init();
	if (!h->multi) {
		curl_global_cleanup();
		return false;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return true;
}

static void port_start(void *self, struct http_call *call)
{
	struct http *h = self;
	bool there = ensure_multi(h);
	struct transfer *t = transfer_new(h, call);

	call->adapter = t;
	if (!t->refusal && !there)
		t->refusal = xstrdup("libcurl cannot be used here");
	if (!t->refusal && curl_multi_add_handle(h->multi, t->easy) != CURLM_OK)
		t->refusal = xstrdup("libcurl does not take the call");
	list_append(t->refusal ? &h->refused : &h->transfers, &t->link);
	if (t->refusal)
		deferred_ask(&h->refuse);
}

static void port_cancel(void *self, struct http_call *call)
{
	struct transfer *t = call->adapter;

	if (!t)
		return;
	transfer_detach(t);
	transfer_free(t);
}

void http_port(struct http *h, struct http_port *ret)
{
	*ret = (struct http_port){.self = h, .start = port_start, .cancel = port_cancel};
}

/* --- made and closed ---------------------------------------------------------------------- */

struct http *http_new(uv_loop_t *loop, void (*answered)(void *arg), void *arg)
{
	struct http *h = xnew(struct http);

	h->loop = loop;
	h->answered = answered;
	h->answered_arg = arg;
	list_init(&h->transfers);
	list_init(&h->refused);
	uv_timer_init(loop, &h->timer);
	open_count_add(&h->open);
	deferred_init(&h->refuse, loop, &h->open, refuse_all, h);
	return h;
}

static void drop_all(struct list *transfers)
{
	list_for_each(node, transfers)
	{
		struct transfer *t = list_entry(node, struct transfer, link);

		transfer_detach(t);
		transfer_free(t);
	}
}

static void on_all_closed(struct open_count *count)
{
	struct http *h = container_of(count, struct http, open);
	void (*closed)(void *arg) = h->closed;
	void *arg = h->closed_arg;

	free(h);
	closed(arg);
}

void http_close(struct http *h, void (*closed)(void *arg), void *arg)
{
	if (!h)
		return;
	h->closing = true;
	h->closed = closed;
	h->closed_arg = arg;
	drop_all(&h->transfers);
	drop_all(&h->refused);
	if (h->multi) {
		curl_multi_cleanup(h->multi);
		curl_global_cleanup();
	}
	open_count_close_handle(&h->open, (uv_handle_t *)&h->timer);
	deferred_close(&h->refuse, &h->open);
	open_count_close(&h->open, on_all_closed);
}
