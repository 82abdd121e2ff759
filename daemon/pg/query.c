/* See query.h.
 *
 * Happy path: start -> a turn of its own -> connect -> one transaction that only reads, in one
 * pipeline -> its single value -> `done` -> the connection is closed. Failures: what cannot be
 * connected to was not asked (HTTP_UNSENT); a connection that breaks later is HTTP_LOST, a server
 * that refuses the question HTTP_UNFIT, a timeout HTTP_TIMED_OUT. No sentence quotes the connection
 * string, and each goes through the mask. */
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/pg/connection.h"
#include "daemon/pg/query.h"

#define AT_ONCE	  8
#define READ_ONLY "25006"
#define PACE	  USEC_SEC /* between two rounds of connects of one query: there is only one */

struct queries {
	uv_loop_t *loop;
	struct open_count open;
	struct list waiting, running; /* query.link */
	unsigned n_running;
	uv_timer_t handle; /* so that `closed` never comes from within */
	bool closing;
	void (*answered)(void *arg);
	void *answered_arg;
	void (*closed)(void *arg);
	void *closed_arg;
};

struct query {
	struct queries *all;
	struct list link;
	struct query_call *call; /* NULL: nobody waits any more */
	struct open_count count;
	uv_timer_t timer; /* the beginning, then the deadline */
	struct pg_address address;
	struct pg_limiter limiter;
	struct pg_connection connection;
	struct pg_request request;
	bool running, connecting, up;
	char *sql, timeout[24];
	char *answer; /* NULL: none yet */
	size_t answer_len;
};

/* --- its end ------------------------------------------------------------------------------ */

static void query_closed(struct open_count *count)
{
	struct query *q = container_of(count, struct query, count);
	struct queries *all = q->all;

	pg_address_fini(&q->address);
	free(q->sql);
	wipe_free(q->answer);
	free(q);
	open_count_drop(&all->open);
}

static void begin_some(struct queries *all);

static void query_shut(struct query *q)
{
	q->call = NULL;
	list_remove(&q->link);
	q->all->n_running -= q->running;
	if (q->connecting)
		pg_connection_close(&q->connection);
	open_count_close_handle(&q->count, (uv_handle_t *)&q->timer);
	open_count_close(&q->count, query_closed);
}

/* `error` NULL: the answer is there. */
static void query_end(struct query *q, enum http_trouble trouble, const char *error)
{
	struct queries *all = q->all;
	struct query_call *call = TAKE_PTR(q->call);
	_cleanup_free_ char *masked = NULL;
	char *answer = TAKE_PTR(q->answer);
	size_t len = q->answer_len;

	if (!call) {
		wipe_free(answer);
		return;
	}
	if (error)
		masked = mask_string(call->mask, error);
	call->trouble = trouble;
	call->adapter = NULL;
	query_shut(q);
	call->done(call, masked, masked ? NULL : answer, masked ? 0 : len);
	wipe_free(answer);
	begin_some(all);
	all->answered(all->answered_arg);
}

/* --- the question ------------------------------------------------------------------------- */

static bool question_send(struct pg_request *r, PGconn *db)
{
	const struct query *q = container_of(r, struct query, request);
	const char *timeout[] = {q->timeout};
	char **values = q->call ? q->call->query.values : NULL;

	return pg_send(db, "BEGIN READ ONLY", 0, NULL) &&
	       pg_send(db, "SELECT pg_catalog.set_config('statement_timeout', $1, true)", 1,
		       timeout) &&
	       pg_send(db, q->sql, values ? (int)strv_length(values) : 0,
		       (const char *const *)values) &&
	       pg_send(db, "COMMIT", 0, NULL);
}

static void question_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct query *q = container_of(r, struct query, request);

	if (index != 2 || PQntuples(res) != 1 || PQnfields(res) != 1 || PQgetisnull(res, 0, 0))
		return;
	q->answer_len = (size_t)PQgetlength(res, 0, 0);
	q->answer = xstrndup(PQgetvalue(res, 0, 0), q->answer_len);
}

static enum http_trouble trouble_of(const struct pg_error *error)
{
	if (str_eq(error->sqlstate, READ_ONLY))
		return HTTP_UNFIT;
	switch (error->fault) {
	case PG_AGAIN:
		return HTTP_TIMED_OUT;
	case PG_LOST:
		return HTTP_LOST;
	default:
		return HTTP_UNFIT;
	}
}

static void question_end(struct pg_request *r, const struct pg_error *error)
{
	struct query *q = container_of(r, struct query, request);

	if (!q->call)
		return;
	if (error)
		query_end(q, trouble_of(error), error->message);
	else if (!q->answer)
		query_end(q, HTTP_UNFIT, "the answer is not one value");
	else if (q->answer_len > q->call->query.cap)
		query_end(q, HTTP_UNFIT, "the answer is too large");
	else
		query_end(q, HTTP_LOST, NULL);
}

static void connection_up(struct pg_connection *c)
{
	struct query *q = container_of(c, struct query, connection);

	q->up = true;
	q->request = (struct pg_request){
		.send = question_send,
		.result = question_result,
		.end = question_end,
	};
	list_init(&q->request.link);
	pg_connection_submit(c, &q->request);
}

static void connection_down(struct pg_connection *c, const struct pg_error *error)
{
	struct query *q = container_of(c, struct query, connection);

	query_end(q, q->up ? HTTP_LOST : HTTP_UNSENT, error->message);
}

/* --- its beginning ------------------------------------------------------------------------ */

static void query_late(uv_timer_t *timer)
{
	struct query *q = container_of(timer, struct query, timer);
	char span[DURATION_MAX];
	_cleanup_free_ char *error =
		xasprintf("no answer within %s", format_duration(q->call->query.timeout, span));

	query_end(q, HTTP_TIMED_OUT, error);
}

static uint64_t milliseconds(usec_t span)
{
	return (uint64_t)((span + USEC_MSEC - 1) / USEC_MSEC);
}

/* The value is cut by the server, so that a huge one does not come here whole. */
static void query_connect(struct query *q)
{
	const struct kind_query *what = &q->call->query;

	snprintf(q->timeout, sizeof(q->timeout), "%llu",
		(unsigned long long)milliseconds(what->timeout));
	q->sql = xasprintf("SELECT pg_catalog.\"left\"(q.t::text, %zu) FROM (%s) AS q(t) LIMIT 2",
		what->cap + 1, what->sql);
	q->limiter.pace = PACE;
	q->connection = (struct pg_connection){
		.loop = q->all->loop,
		.count = &q->count,
		.address = &q->address,
		.limiter = &q->limiter,
		.application = (char *)"nightjard query",
		.reply = 2 * what->timeout,
		.up = connection_up,
		.down = connection_down,
	};
	q->connecting = true;
	pg_connection_init(&q->connection);
	pg_connection_start(&q->connection);
}

static void query_begin(uv_timer_t *timer)
{
	struct query *q = container_of(timer, struct query, timer);
	_cleanup_free_ char *error = NULL;

	if (pg_address_parse(q->call->query.conninfo, false, &q->address, &error) < 0) {
		wipe_free(TAKE_PTR(error)); /* libpq quotes what it cannot read */
		query_end(q, HTTP_UNFIT, "conninfo is no libpq connection string");
		return;
	}
	uv_timer_start(&q->timer, query_late, milliseconds(q->call->query.timeout), 0);
	query_connect(q);
}

static void begin_some(struct queries *all)
{
	while (all->n_running < AT_ONCE && !list_empty(&all->waiting) && !all->closing) {
		struct query *q = list_entry(list_first(&all->waiting), struct query, link);

		list_remove(&q->link);
		list_append(&all->running, &q->link);
		q->running = true;
		all->n_running++;
		uv_timer_start(&q->timer, query_begin, 0, 0);
	}
}

/* --- the port ----------------------------------------------------------------------------- */

static void port_start(void *self, struct query_call *call)
{
	struct queries *all = self;
	struct query *q = xnew(struct query);

	q->all = all;
	q->call = call;
	call->adapter = q;
	open_count_add(&all->open);
	uv_update_time(all->loop);
	uv_timer_init(all->loop, &q->timer);
	open_count_add(&q->count);
	list_append(&all->waiting, &q->link);
	begin_some(all);
}

static void port_cancel(void *self, struct query_call *call)
{
	struct queries *all = self;

	if (call->adapter)
		query_shut(call->adapter);
	call->adapter = NULL;
	begin_some(all);
}

struct queries *queries_new(uv_loop_t *loop, void (*answered)(void *arg), void *arg)
{
	struct queries *all = xnew(struct queries);

	all->loop = loop;
	all->answered = answered;
	all->answered_arg = arg;
	list_init(&all->waiting);
	list_init(&all->running);
	uv_timer_init(loop, &all->handle);
	open_count_add(&all->open);
	return all;
}

void queries_port(struct queries *q, struct query_port *ret)
{
	*ret = (struct query_port){q, port_start, port_cancel};
}

static void all_closed(struct open_count *count)
{
	struct queries *all = container_of(count, struct queries, open);
	void (*closed)(void *arg) = all->closed;
	void *arg = all->closed_arg;

	free(all);
	closed(arg);
}

static void drop_all(struct list *queries)
{
	while (!list_empty(queries)) {
		struct query *q = list_entry(list_first(queries), struct query, link);

		q->call->adapter = NULL;
		query_shut(q);
	}
}

void queries_close(struct queries *q, void (*closed)(void *arg), void *arg)
{
	if (!q)
		return;
	q->closing = true;
	q->closed = closed;
	q->closed_arg = arg;
	drop_all(&q->waiting);
	drop_all(&q->running);
	open_count_close_handle(&q->open, (uv_handle_t *)&q->handle);
	open_count_close(&q->open, all_closed);
}
