/* One client, one call at a time.
 *
 * Happy path: bytes come in until a NUL ends a message; the call runs (call.c) while more bytes
 * may wait behind it; its replies go out; when the last one is taken the next message has its
 * turn. So a client has at most one call's replies in memory.
 * Failures: a message that is too long, or half there for too long, a reply that is not taken, an
 * end of the stream: the connection is dropped. A client that only ends its own side gets its
 * answer first, except of a stream. A call whose client is gone runs on and is answered into the
 * void. */
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/control/call.h"
#include "daemon/control/connection.h"

struct outgoing {
	uv_write_t request;
	struct connection *connection;
	size_t len;
	bool last;
	char *text;
};

static void connection_next(struct connection *c);

static void connection_free(struct connection *c)
{
	struct control *control = c->control;
	control->n_clients--;
	if (c->user)
		control_user_put(c->user);
	peer_fini(&c->peer);
	buf_fini(&c->in);
	free(c->who);
	free(c);
	open_count_drop(&control->open);
}

static void on_closed(uv_handle_t *handle)
{
	struct connection *c = handle->data;
	if (--c->n_handles == 0)
		connection_free(c);
}

void connection_drop(struct connection *c)
{
	if (c->state == CONNECTION_CLOSING)
		return;
	c->state = CONNECTION_CLOSING;
	list_remove(&c->link);
	struct call *call = TAKE_PTR(c->call);
	if (call)
		call_client_gone(call);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	uv_close((uv_handle_t *)&c->pipe, on_closed);
}

/* --- time --------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
	struct connection *c = timer->data;
	if (c->turn)
		connection_next(c);
	else if (c->state == CONNECTION_CALLING && c->call)
		call_late(c->call);
	else
		connection_drop(c); /* half a message, or a reply that nobody takes */
}

void connection_deadline(struct connection *c, uint64_t ms)
{
	uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* --- in ----------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct connection *c = handle->data;
	*ret = uv_buf_init(c->control->chunk, sizeof(c->control->chunk));
}

static void on_end(struct connection *c)
{
	uv_read_stop((uv_stream_t *)&c->pipe);
	c->reading = false;
	c->eof = true;
	bool waits_for_answer = c->state == CONNECTION_FLUSHING ||
				(c->state == CONNECTION_CALLING && !call_is_stream(c->call));
	if (!waits_for_answer)
		connection_drop(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
	struct connection *c = stream->data;
	if (n == UV_EOF)
		return on_end(c);
	if (n < 0)
		return connection_drop(c);
	if (n == 0)
		return;
	buf_append(&c->in, chunk->base, (size_t)n);
	if (c->in.len > REQUEST_MAX) { /* enough for now: what is beyond waits in the kernel */
		uv_read_stop(stream);
		c->reading = false;
	}
	if (c->state == CONNECTION_IDLE)
		connection_next(c);
}

static void read_on(struct connection *c)
{
	if (c->reading || c->eof || c->in.len > REQUEST_MAX)
		return;
	if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		return connection_drop(c);
	c->reading = true;
}

/* NULL: there is no whole message yet. The caller frees. */
static char *take_message(struct connection *c, size_t *ret_len)
{
	if (c->in.len <= c->scanned)
		return NULL;
	const char *nul = memchr(c->in.data + c->scanned, '\0', c->in.len - c->scanned);
	if (!nul) {
		c->scanned = c->in.len;
		return NULL;
	}
	size_t len = (size_t)(nul - c->in.data);
	char *message = xmemdup(c->in.data, len + 1);
	buf_consume(&c->in, len + 1);
	if (c->in.len == 0)
		buf_fini(&c->in); /* an idle client costs no buffer */
	c->scanned = 0;
	*ret_len = len;
	return message;
}

/* Nothing to do until more comes. */
static void await_rest(struct connection *c)
{
	if (c->in.len > REQUEST_MAX || (c->eof && c->state == CONNECTION_IDLE))
		return connection_drop(c);
	if (c->in.len > 0 && !c->half) {
		c->half = true;
		connection_deadline(c, HALF_MESSAGE_MS);
	}
	read_on(c);
}

static void connection_next(struct connection *c)
{
	c->turn = false;
	while (c->state == CONNECTION_IDLE) {
		size_t len = 0;
		_cleanup_free_ char *message = take_message(c, &len);
		if (!message)
			return await_rest(c);
		if (len > REQUEST_MAX)
			return connection_drop(c);
		c->half = false;
		uv_timer_stop(&c->timer);
		c->state = CONNECTION_CALLING;
		c->in_next = true;
		int r = call_begin(c, message, len);
		c->in_next = false;
		if (r < 0)
			return connection_drop(c);
	}
	if (c->state != CONNECTION_CLOSING)
		read_on(c); /* to learn of its end */
}

/* --- out ---------------------------------------------------------------------------------- */

void connection_done(struct connection *c)
{
	if (c->state == CONNECTION_CLOSING)
		return;
	c->call = NULL;
	c->state = CONNECTION_IDLE;
	c->half = false;
	uv_timer_stop(&c->timer);
	if (!c->in_next) { /* else it goes round by itself; the core may be at work right now */
		c->turn = true;
		connection_deadline(c, 0);
	}
}

static void on_written(uv_write_t *request, int status)
{
	struct outgoing *out = container_of(request, struct outgoing, request);
	struct connection *c = out->connection;
	bool last = out->last;
	c->queued -= out->len;
	c->user->queued -= out->len;
	free(out->text);
	free(out);
	if (c->state == CONNECTION_CLOSING)
		return;
	if (status < 0)
		return connection_drop(c);
	if (last)
		return connection_done(c);
	if (c->state == CONNECTION_CALLING && c->call)
		call_drained(c->call, c->queued);
}

/* A single reply may be large; what may not pile up is replies. */
static bool reads_too_slowly(const struct connection *c, size_t len)
{
	if (c->queued > QUEUED_MAX && !(c->call && call_is_paced(c->call)))
		return true;
	return (c->user->queued > 0 && c->user->queued + len > QUEUED_UID_MAX);
}

void connection_send(struct connection *c, char *take_text, size_t len, bool last)
{
	if (c->state == CONNECTION_CLOSING || reads_too_slowly(c, len)) {
		free(take_text);
		return connection_drop(c);
	}
	struct outgoing *out = xnew(struct outgoing);
	*out = (struct outgoing){.connection = c, .len = len + 1, .last = last, .text = take_text};
	uv_buf_t bytes = uv_buf_init(take_text, (unsigned)(len + 1));
	c->queued += out->len;
	c->user->queued += out->len;
	if (last) {
		c->call = NULL;
		c->state = CONNECTION_FLUSHING;
		if (!c->unhurried)
			connection_deadline(c, FLUSH_DEADLINE_MS);
	}
	int r = uv_write(&out->request, (uv_stream_t *)&c->pipe, &bytes, 1, on_written);
	if (r < 0) {
		c->queued -= out->len;
		c->user->queued -= out->len;
		free(out->text);
		free(out);
		connection_drop(c);
	}
}

/* --- coming ------------------------------------------------------------------------------- */

static bool may_come_in(const struct connection *c)
{
	if (c->peer.uid == 0)
		return true;
	return c->user->n_clients <= CLIENTS_PER_UID && c->control->n_clients <= CLIENTS_MAX;
}

void connection_accept(struct control *control)
{
	struct connection *c = xnew(struct connection);
	c->control = control;
	list_append(&control->connections, &c->link);
	open_count_add(&control->open);
	control->n_clients++;
	uv_pipe_init(control->loop, &c->pipe, 0);
	uv_timer_init(control->loop, &c->timer);
	c->pipe.data = c->timer.data = c;
	c->n_handles = 2;
	uv_os_fd_t fd;
	if (uv_accept((uv_stream_t *)&control->listener, (uv_stream_t *)&c->pipe) < 0 ||
		uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 || peer_read(fd, &c->peer) < 0)
		return connection_drop(c);
	c->user = control_user_get(control, c->peer.uid);
	if (!may_come_in(c))
		return connection_drop(c);
	read_on(c);
}
