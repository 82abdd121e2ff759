/* One connection to the server, for good: it is made again whenever it breaks.
 *
 *   request   some statements that are sent together and end together: in pipeline mode up to one
 *             sync, or as one simple query. One is on the wire at a time; the next waits.
 *
 * A request lives within one connection: when that breaks, every request ends with PG_LOST. */
#pragma once
#include <libpq-fe.h>
#include <uv.h>
#include "base/list.h"
#include "base/text.h"
#include "daemon/loop/loop.h"
#include "daemon/pg/address.h"
#include "daemon/pg/fault.h"

struct pg_request {
	struct list link; /* the connection's */
	/* Either several statements in one text ... */
	const char *simple;
	/* ... or these, which queues them; false when libpq would not. */
	bool (*send)(struct pg_request *r, PGconn *db);
	bool by_row; /* a single statement whose rows come one by one */
	/* Each good result of the index-th statement. May be NULL. */
	void (*result)(struct pg_request *r, unsigned index, const PGresult *res);
	/* All of it was done (NULL), or none. May free the request. */
	void (*end)(struct pg_request *r, const struct pg_error *error);
	usec_t patience; /* how late the answer may be; 0: the connection's default */
};

/* At most one connect in a `pace` over all connections, after a first two. */
struct pg_limiter {
	usec_t pace;
	usec_t next;
};

struct pg_socket;
struct pg_resolving;

struct pg_connection {
	uv_loop_t *loop;
	struct open_count *count;
	const struct pg_address *address;
	struct pg_limiter *limiter;
	char *application;
	usec_t reply;
	void *owner;
	void (*up)(struct pg_connection *c);
	/* It broke, or could not be made. */
	void (*down)(struct pg_connection *c, const struct pg_error *error);
	/* NULL: not interested */
	void (*notified)(struct pg_connection *c, const PGnotify *notify);

	enum {
		CONNECTION_OFF,
		CONNECTION_WAITING,
		CONNECTION_RESOLVING,
		CONNECTION_CONNECTING,
		CONNECTION_UP,
	} state;
	uv_timer_t timer; /* of the state: the next try, a connect or an answer that is overdue */
	struct pg_socket *socket;
	struct pg_resolving *resolving;
	PGconn *db;
	unsigned generation;   /* counts connections */
	size_t host;	       /* the one tried now ... */
	struct pg_host *found; /* ... its addresses, and which of them */
	size_t n_found, tried;
	struct pg_error why; /* the last failure of this round */
	char notice[200];
	unsigned failures; /* rounds in a row */
	unsigned overdue;  /* answers in a row */

	struct list requests;
	struct pg_request *current;
	unsigned index;
	bool any_result;
	bool failed;
	struct pg_error error; /* the current request's first */
	struct pg_request rollback;
};

void pg_connection_init(struct pg_connection *c);
void pg_connection_start(struct pg_connection *c);
static inline bool pg_connection_is_up(const struct pg_connection *c)
{
	return c->state == CONNECTION_UP;
}
/* Only while it is up. */
void pg_connection_submit(struct pg_connection *c, struct pg_request *r);
/* Before all that wait. */
void pg_connection_submit_first(struct pg_connection *c, struct pg_request *r);
/* Breaks it for a reason of ours; the next try comes after `delay` (0: the usual one). */
void pg_connection_break(struct pg_connection *c, enum pg_fault fault, usec_t delay,
	const char *format, ...) _printf_(4, 5);
/* For good. Requests end with PG_LOST; no `down` follows. Repeatable. */
void pg_connection_close(struct pg_connection *c);

/* A statement without parameters' types or binary formats, as most are. */
bool pg_send(PGconn *db, const char *sql, int n, const char *const *values);
