/* One connection to the server, for good.
 *
 * Happy path: wait for the limiter, resolve the host in the pool, let libpq connect to one address
 * after another, `up`; then one request after another, each sent in one go and read to its end.
 * Failures: an address that fails or takes longer than 5 s gives way to the next, a host to the
 * next host; after the last one, `down` and another round after 0.1 to 4 s, by full jitter. Once
 * up, a socket error, an answer that is overdue or a server that is going away ends every request
 * with PG_LOST, then `down`, then the same rounds. libpq may close its socket and open another one
 * under the same number at each step, so each step gets a poll handle of its own. */
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/pg/connection.h"

#define CONNECT_PATIENCE (5 * USEC_SEC)
#define BACKOFF_MIN	 (100 * USEC_MSEC)
#define BACKOFF_MAX	 4 /* times the pace: back within 5 s of the server's return */
#define ADDRESSES_MAX	 16

struct pg_socket {
	uv_poll_t poll;
	struct pg_connection *c; /* NULL: closing */
};

struct pg_resolving {
	uv_getaddrinfo_t request;
	struct pg_connection *c; /* NULL: nobody waits any more */
	struct open_count *count;
};

static void enter_round(struct pg_connection *c);
static void try_host(struct pg_connection *c);
static void try_address(struct pg_connection *c);
static void step(struct pg_connection *c);
static void serve(struct pg_connection *c);
static void on_timer(uv_timer_t *timer);

static usec_t jitter(usec_t max)
{
	uint64_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = uv_hrtime();
	return BACKOFF_MIN + (usec_t)(r % (uint64_t)MAX(max - BACKOFF_MIN, 1));
}

static void set_timer(struct pg_connection *c, usec_t span)
{
	uv_update_time(c->loop);
	uv_timer_start(&c->timer, on_timer, (uint64_t)((span + USEC_MSEC - 1) / USEC_MSEC), 0);
}

/* --- the socket --------------------------------------------------------------------------- */

static void on_socket_closed(uv_handle_t *handle)
{
	struct pg_socket *s = container_of(handle, struct pg_socket, poll);
	struct open_count *count = handle->data;

	free(s);
	open_count_drop(count);
}

static void close_socket(struct pg_connection *c)
{
	struct pg_socket *s = TAKE_PTR(c->socket);

	if (!s)
		return;
	s->c = NULL;
	s->poll.data = c->count;
	uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct pg_connection *c = container_of(poll, struct pg_socket, poll)->c;

	if (!c)
		return;
	/* An error (a refused connect is UV_EBADF) means: ask libpq, which knows what it is. */
	if (c->state == CONNECTION_CONNECTING)
		step(c);
	else
		serve(c);
}

static bool watch(struct pg_connection *c, int events)
{
	return uv_poll_start(&c->socket->poll, events, on_poll) == 0;
}

static bool open_socket(struct pg_connection *c, int events)
{
	int fd = PQsocket(c->db);
	struct pg_socket *s;

	close_socket(c);
	if (fd < 0)
		return false;
	s = xnew(struct pg_socket);
	if (uv_poll_init(c->loop, &s->poll, fd) < 0) {
		free(s);
		return false;
	}
	open_count_add(c->count);
	s->c = c;
	c->socket = s;
	return watch(c, events);
}

static void drop_db(struct pg_connection *c)
{
	close_socket(c);
	if (c->db)
		PQfinish(TAKE_PTR(c->db));
}

/* --- rounds ------------------------------------------------------------------------------- */

static void forget_round(struct pg_connection *c)
{
	if (c->resolving) {
		c->resolving->c = NULL;
		uv_cancel((uv_req_t *)&c->resolving->request);
		c->resolving = NULL;
	}
	pg_hosts_free(TAKE_PTR(c->found), c->n_found);
	c->n_found = 0;
}

static void enter_waiting(struct pg_connection *c, usec_t delay)
{
	c->state = CONNECTION_WAITING;
	if (delay == 0)
		delay = jitter(MIN(
			BACKOFF_MAX * c->limiter->pace, (400 * USEC_MSEC) << MIN(c->failures, 5U)));
	set_timer(c, delay);
}

static void fail_round(struct pg_connection *c)
{
	struct pg_error why = c->why;

	forget_round(c);
	c->failures++;
	enter_waiting(c, 0);
	c->down(c, &why);
}

/* The limiter's slot is taken, or waited for. */
static void enter_round(struct pg_connection *c)
{
	usec_t now = clock_boot();
	usec_t slot = MAX(c->limiter->next, now - c->limiter->pace);

	if (slot > now) {
		set_timer(c, slot - now);
		return;
	}
	c->limiter->next = slot + c->limiter->pace;
	c->host = 0;
	pg_error_set(&c->why, PG_LOST, "no address to connect to");
	try_host(c);
}

static void next_host(struct pg_connection *c)
{
	forget_round(c);
	c->host++;
	try_host(c);
}

static char *address_text(const struct addrinfo *a)
{
	char text[NI_MAXHOST];

	if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) !=
		0)
		return NULL;
	return xstrdup(text);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct pg_resolving *w = container_of(request, struct pg_resolving, request);
	struct pg_connection *c = w->c;
	struct open_count *count = w->count;

	free(w);
	if (c) {
		const struct pg_host *h = &c->address->hosts[c->host];

		c->resolving = NULL;
		c->found = xcalloc(ADDRESSES_MAX, sizeof(*c->found));
		for (struct addrinfo *a = found; a && c->n_found < ADDRESSES_MAX; a = a->ai_next) {
			char *text = address_text(a);

			if (text)
				c->found[c->n_found++] = (struct pg_host){.host = xstrdup(h->host),
					.hostaddr = text,
					.port = xstrdup(h->port)};
		}
		if (status < 0) {
			char message[256];

			snprintf(message, sizeof(message), "cannot resolve %s: %s", h->host,
				uv_strerror(status));
			pg_error_set(&c->why, PG_LOST, message);
		}
		c->tried = 0;
		try_address(c);
	}
	uv_freeaddrinfo(found);
	open_count_drop(count);
}

static void resolve(struct pg_connection *c, const struct pg_host *h)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct pg_resolving *w = xnew(struct pg_resolving);

	w->c = c;
	w->count = c->count;
	if (uv_getaddrinfo(c->loop, &w->request, on_resolved, h->host, NULL, &hints) < 0) {
		free(w);
		pg_error_set(&c->why, PG_LOST, "cannot resolve the host's name");
		next_host(c);
		return;
	}
	c->resolving = w;
	open_count_add(c->count);
	set_timer(c, CONNECT_PATIENCE);
}

static void try_host(struct pg_connection *c)
{
	const struct pg_host *h;

	c->state = CONNECTION_RESOLVING;
	if (c->host == c->address->n_hosts) {
		fail_round(c);
		return;
	}
	h = &c->address->hosts[c->host];
	if (pg_host_is_name(h)) {
		resolve(c, h);
		return;
	}
	c->found = xcalloc(1, sizeof(*c->found));
	c->found[0] = (struct pg_host){.host = xstrdup(h->host),
		.hostaddr = xstrdup(h->hostaddr),
		.port = xstrdup(h->port)};
	c->n_found = 1;
	c->tried = 0;
	try_address(c);
}

static void swallow_notice(void *arg, const char *message)
{
	struct pg_connection *c = arg;

	snprintf(c->notice, sizeof(c->notice), "%s", message);
}

static void fail_address(struct pg_connection *c, const char *message)
{
	if (message)
		pg_error_set(&c->why, PG_LOST, message);
	drop_db(c);
	c->tried++;
	try_address(c);
}

static void try_address(struct pg_connection *c)
{
	if (c->tried >= c->n_found) {
		next_host(c);
		return;
	}
	c->state = CONNECTION_CONNECTING;
	c->generation++;
	c->notice[0] = '\0';
	c->db = pg_address_open(c->address, &c->found[c->tried], c->application);
	if (!c->db || PQstatus(c->db) == CONNECTION_BAD) {
		/* Not from in here: a round must not go on without the loop. */
		pg_error_set(&c->why, PG_LOST, c->db ? PQerrorMessage(c->db) : "out of memory");
		set_timer(c, USEC_MSEC);
		return;
	}
	PQsetNoticeProcessor(c->db, swallow_notice, c);
	set_timer(c, CONNECT_PATIENCE);
	if (!open_socket(c, UV_WRITABLE))
		set_timer(c, USEC_MSEC);
}

static void enter_up(struct pg_connection *c)
{
	uv_timer_stop(&c->timer);
	forget_round(c);
	if (PQsetnonblocking(c->db, 1) != 0 || !PQenterPipelineMode(c->db) ||
		!open_socket(c, UV_READABLE)) {
		drop_db(c);
		pg_error_set(&c->why, PG_LOST, "cannot watch the connection");
		fail_round(c);
		return;
	}
	c->state = CONNECTION_UP;
	c->up(c);
}

static void step(struct pg_connection *c)
{
	PostgresPollingStatusType next = PQconnectPoll(c->db);

	switch (next) {
	case PGRES_POLLING_OK:
		enter_up(c);
		return;
	case PGRES_POLLING_READING:
	case PGRES_POLLING_WRITING:
		if (open_socket(c, next == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE))
			return;
		fail_address(c, "cannot watch the socket");
		return;
	default:
		fail_address(c, PQerrorMessage(c->db));
	}
}

/* --- requests ----------------------------------------------------------------------------- */

static void end_all(struct pg_connection *c, const struct pg_error *error)
{
	struct list doomed = LIST_NULL(doomed);
	struct pg_request *current = TAKE_PTR(c->current);

	while (!list_empty(&c->requests)) {
		struct list *l = list_first(&c->requests);

		list_remove(l);
		list_append(&doomed, l);
	}
	if (current && current->end)
		current->end(current, error);
	while (!list_empty(&doomed)) {
		struct pg_request *r = list_entry(list_first(&doomed), struct pg_request, link);

		list_remove(&r->link);
		if (r->end)
			r->end(r, error);
	}
}

static void lose(struct pg_connection *c, const struct pg_error *why, usec_t delay)
{
	struct pg_error error = *why;
	struct pg_error lost = *why;

	lost.fault = PG_LOST;
	c->generation++;
	drop_db(c);
	forget_round(c);
	enter_waiting(c, delay);
	end_all(c, &lost);
	c->down(c, &error);
}

void pg_connection_break(
	struct pg_connection *c, enum pg_fault fault, usec_t delay, const char *format, ...)
{
	struct pg_error error;
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, format);
	message = xvasprintf(format, ap);
	va_end(ap);
	pg_error_set(&error, fault, message);
	if (c->state != CONNECTION_OFF)
		lose(c, &error, delay);
}

static void lose_by_libpq(struct pg_connection *c)
{
	const char *notice = c->notice[0] ? strchr(c->notice, ':') : NULL;
	struct pg_error error;

	/* The server's last word says more than "closed the connection unexpectedly". */
	if (c->failed)
		error = c->error;
	else
		pg_error_set(&error, PG_LOST, notice ? notice + 1 : PQerrorMessage(c->db));
	lose(c, &error, 0);
}

static void flush(struct pg_connection *c)
{
	int r = PQflush(c->db);

	if (r < 0 || !watch(c, r > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE))
		lose_by_libpq(c);
}

static bool send_request(struct pg_connection *c, struct pg_request *r)
{
	if (r->simple)
		return PQexitPipelineMode(c->db) && PQsendQuery(c->db, r->simple);
	if (!PQenterPipelineMode(c->db) || !r->send(r, c->db))
		return false;
	if (r->by_row && !PQsetSingleRowMode(c->db))
		return false;
	return PQpipelineSync(c->db);
}

static void send_next(struct pg_connection *c)
{
	struct pg_request *r;
	usec_t patience;

	if (c->current || c->state != CONNECTION_UP)
		return;
	if (list_empty(&c->requests)) {
		uv_timer_stop(&c->timer);
		return;
	}
	r = list_entry(list_first(&c->requests), struct pg_request, link);
	list_remove(&r->link);
	c->current = r;
	c->index = 0;
	c->any_result = false;
	c->failed = false;
	if (!send_request(c, r)) {
		lose_by_libpq(c);
		return;
	}
	patience = r->patience ? r->patience : c->reply;
	set_timer(c, patience << MIN(c->overdue, 3U));
	flush(c);
}

static void finish_current(struct pg_connection *c)
{
	struct pg_request *r = TAKE_PTR(c->current);
	struct pg_error error = c->error;
	bool failed = c->failed;
	unsigned generation = c->generation;

	c->failed = false;
	c->failures = 0;
	c->overdue = 0;
	if (PQtransactionStatus(c->db) == PQTRANS_INERROR && r != &c->rollback)
		list_insert_before(c->requests.next, &c->rollback.link);
	if (r->end)
		r->end(r, failed ? &error : NULL);
	if (c->generation == generation)
		send_next(c);
}

static void take_result(struct pg_connection *c, const PGresult *res)
{
	struct pg_request *r = c->current;

	c->any_result = true;
	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		if (!c->failed && r->result)
			r->result(r, c->index, res);
		break;
	case PGRES_PIPELINE_SYNC:
		finish_current(c);
		break;
	case PGRES_PIPELINE_ABORTED:
		break;
	default:
		if (!c->failed)
			pg_error_from_result(&c->error, res);
		c->failed = true;
		if (c->error.fault == PG_LOST || PQstatus(c->db) == CONNECTION_BAD)
			lose_by_libpq(c);
	}
}

/* libpq says NULL between two statements, now and then twice. */
static void read_results(struct pg_connection *c)
{
	unsigned generation = c->generation, nulls = 0;

	while (c->generation == generation && c->current && nulls < 3 && !PQisBusy(c->db)) {
		PGresult *res = PQgetResult(c->db);

		if (res) {
			nulls = 0;
			take_result(c, res);
			PQclear(res);
		} else if (c->current->simple) {
			finish_current(c);
		} else {
			nulls++;
			c->index += c->any_result;
			c->any_result = false;
		}
	}
}

static void take_notifies(struct pg_connection *c)
{
	PGnotify *notify;

	while (c->db && (notify = PQnotifies(c->db))) {
		if (c->notified)
			c->notified(c, notify);
		PQfreemem(notify);
	}
}

static void serve(struct pg_connection *c)
{
	unsigned generation = c->generation;
	bool alive = PQconsumeInput(c->db);

	read_results(c);
	if (c->generation != generation)
		return;
	take_notifies(c);
	if (c->generation != generation)
		return;
	if (!alive || PQstatus(c->db) == CONNECTION_BAD)
		lose_by_libpq(c);
	else
		flush(c);
}

static void on_timer(uv_timer_t *timer)
{
	struct pg_connection *c = container_of(timer, struct pg_connection, timer);

	switch (c->state) {
	case CONNECTION_OFF:
		break;
	case CONNECTION_WAITING:
		enter_round(c);
		break;
	case CONNECTION_RESOLVING:
		pg_error_set(&c->why, PG_LOST, "the host's name is not resolved in time");
		next_host(c);
		break;
	case CONNECTION_CONNECTING:
		fail_address(c, c->socket ? "the server does not answer" : NULL);
		break;
	case CONNECTION_UP:
		c->overdue++;
		pg_connection_break(c, PG_LOST, 0, "the server does not answer");
		break;
	}
}

/* --- public ------------------------------------------------------------------------------- */

void pg_connection_init(struct pg_connection *c)
{
	list_init(&c->requests);
	c->rollback = (struct pg_request){.simple = "ROLLBACK"};
	list_init(&c->rollback.link);
	uv_timer_init(c->loop, &c->timer);
	open_count_add(c->count);
	c->state = CONNECTION_OFF;
}

void pg_connection_start(struct pg_connection *c)
{
	if (c->state != CONNECTION_OFF)
		return;
	c->state = CONNECTION_WAITING;
	set_timer(c, 0);
}

void pg_connection_submit(struct pg_connection *c, struct pg_request *r)
{
	list_append(&c->requests, &r->link);
	send_next(c);
}

void pg_connection_submit_first(struct pg_connection *c, struct pg_request *r)
{
	list_insert_before(c->requests.next, &r->link);
	send_next(c);
}

void pg_connection_close(struct pg_connection *c)
{
	struct pg_error closed = {.fault = PG_LOST, .message = "the connection was closed"};

	if (uv_is_closing((uv_handle_t *)&c->timer))
		return;
	c->state = CONNECTION_OFF;
	c->generation++;
	drop_db(c);
	forget_round(c);
	end_all(c, &closed);
	open_count_close_handle(c->count, (uv_handle_t *)&c->timer);
}

bool pg_send(PGconn *db, const char *sql, int n, const char *const *values)
{
	return PQsendQueryParams(db, sql, n, NULL, values, NULL, NULL, 0);
}
