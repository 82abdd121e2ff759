/* The settings of a session.
 *
 * A stopped leader must not hold the fence's row, so nothing of ours may stay in a transaction,
 * wait for a lock or run for long; and the server must notice that we are gone.
 *
 * A pooler in transaction mode gives each transaction another session: settings, prepared
 * statements and LISTEN do not last. It shows itself by a backend that is not the one libpq was
 * told of, and by our two idle connections, or one of them at two times, meeting the same or
 * different backends. */
#include <stdlib.h>
#include "base/memory.h"
#include "daemon/pg/internal.h"

#define OLDEST_SERVER 120000

static const char session_sql[] =
	"SELECT pg_backend_pid(), current_setting('server_version_num'),"
	" count(set_config(v.name, v.value, false))"
	" FROM (VALUES"
	" ('search_path', 'pg_catalog, pg_temp'),"
	" ('TimeZone', 'UTC'),"
	" ('bytea_output', 'hex'),"
	" ('default_transaction_isolation', 'read committed'),"
	" ('statement_timeout', '60s'),"
	" ('lock_timeout', '5s'),"
	" ('idle_in_transaction_session_timeout', '5s'),"
	" ('idle_session_timeout', '0'),"
	" ('tcp_keepalives_idle', '5'),"
	" ('tcp_keepalives_interval', '2'),"
	" ('tcp_keepalives_count', '3'),"
	" ('tcp_user_timeout', '10000'),"
	" ('jit', 'off'),"
	" ('max_parallel_workers_per_gather', '0'),"
	" ('client_min_messages', 'warning'),"
	/* what is durable must be so, whatever the role's default */
	" ('synchronous_commit', CASE current_setting('synchronous_commit')"
	" WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END)"
	") v (name, value) JOIN pg_settings s ON s.name = v.name";

static bool session_send(struct pg_request *r, PGconn *db)
{
	return pg_send(db, session_sql, 0, NULL);
}

static void session_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg_session *s = container_of(r, struct pg_session, request);

	if (PQntuples(res) != 1)
		return;
	s->backend = atoi(PQgetvalue(res, 0, 0));
	s->pooled = s->backend != PQbackendPID(s->connection->db);
	if (atoi(PQgetvalue(res, 0, 1)) < OLDEST_SERVER)
		s->backend = 0;
}

static void session_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg_session *s = container_of(r, struct pg_session, request);

	if (error && error->fault == PG_LOST)
		return;
	if (error)
		pg_connection_break(s->connection, error->fault, 5 * USEC_SEC,
			"cannot set the session up: %s", error->message);
	else if (s->backend == 0)
		pg_connection_break(s->connection, PG_WRONG, 5 * USEC_SEC,
			"the server is too old: PostgreSQL 12 or later is needed");
	else
		s->done(s);
}

void pg_session_start(struct pg_session *s)
{
	s->backend = 0;
	s->request = (struct pg_request){
		.send = session_send, .result = session_result, .end = session_end};
	pg_connection_submit(s->connection, &s->request);
}

bool pg_sessions_are_shared(const struct pg_session *a, const struct pg_session *b)
{
	return a->pooled && b->pooled && a->backend && a->backend == b->backend;
}
