/* The store: PostgreSQL behind the store port, by asynchronous libpq on the loop.
 *
 *   address.c     the connection string: service, several hosts, what we add to it
 *   connection.c  one connection: resolving, connecting again for ever, one request after another
 *   fault.c       what an SQLSTATE means for us
 *   session.c     the settings of a session; poolers that do not keep one are refused
 *   migrate.c     the schema, brought up to what this daemon knows
 *   leader.c      taking, renewing, losing and giving up the leader row; the lease
 *   load.c        all that a new leader needs to know
 *   statement.c   one upsert for each table and set of columns, prepared when first used
 *   write.c       units in batches: one in flight while the next collects
 *   read.c        history, on a second connection
 *   prune.c       old rows go
 *   report.c      evidence from daemons that do not lead
 *   pg.c          the whole: start, stop, the port
 *   query.c       the query port: questions to warehouses, with connections of their own
 *
 * Everything runs on the loop's thread. No event and no `done` comes from inside a call. */
#pragma once
#include <uv.h>
#include "core/ports.h"

struct pg;

/* Strings are copied. A span that is 0 takes the default in brackets. */
struct pg_options {
	const char *conninfo; /* libpq's: "service=nightjar", "host=a,b dbname=x", a URI */
	const char *machine;  /* the UUID in the state folder, whose lock the caller holds */
	const char *host;     /* a name for people */
	usec_t renew;	      /* the leader renews so often [3 s] */
	usec_t patience;      /* how old a foreign leader's row must be to be taken over [10 s] */
	usec_t margin;	      /* the lease is so much shorter [2 s] */
	usec_t poll;	      /* a standby looks so often [2 s] */
	usec_t pace;	      /* between two connects [1 s] */
	usec_t reply;	      /* an answer that is later means a dead connection [10 s] */
};

/* Strings and JSON are borrowed for the call. */
struct pg_events {
	void *self;
	/* This daemon leads. `loaded` is core_store_ready()'s; NULL: again, in the same epoch. */
	void (*ready)(void *self, uint64_t epoch, const cJSON *loaded);
	/* No connection, or one that is of no use; again whenever the reason changes. */
	void (*away)(void *self, const char *why);
	/* Another daemon leads; again when its name becomes known or changes. Units not yet durable
	 * were handed back with STORE_LOST just before. */
	void (*lost)(void *self, const char *holder);
	/* A row of the table report, in the leader only. It may come twice. */
	void (*report)(void *self, const cJSON *row);
	/* A person should know: one sentence. May be NULL. */
	void (*alarm)(void *self, const char *message);
};

#define PG_AWAY_ERROR "the store is away"

/* NULL with *ret_error (the caller frees) when the connection string is wrong. */
struct pg *pg_new(uv_loop_t *loop, const struct pg_options *options, const struct pg_events *events,
	char **ret_error);
/* The callbacks of the port carry `pg` as self. */
struct store_port pg_port(struct pg *pg);
/* Connects, and goes on for ever. */
void pg_start(struct pg *pg);
/* Writes what waits (for at most 5 s, and only where there is a connection), gives the leader row
 * up, and closes everything. `stopped` is called once all handles are closed; pg_free() then. No
 * event comes after this call; units left over are handed back with STORE_LOST before
 * `stopped`. */
void pg_stop(struct pg *pg, void (*stopped)(void *arg), void *arg);
/* NULL is fine; before pg_start() or after `stopped`. */
void pg_free(struct pg *pg);
