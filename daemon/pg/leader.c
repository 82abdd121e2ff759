/* The leader row: taking, renewing, losing, giving up; and the lease.
 *
 * Happy path: take the row (free, our own machine's, or not renewed for 10 s), load, lead; renew
 * every 3 s. The lease runs from the sending of the last confirmed renewal and ends 2 s before a
 * standby may take over. Failures: somebody else has it: look again every 2 s; the connection
 * broke: ask whether the row is still ours, having ended what is left of our older session on the
 * server (it could still write something old), and go on in the same epoch; a renewal that finds no
 * row, or the fence's refusal: lost, everything is forgotten, and the row is sought again. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/json.h"
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/pg/internal.h"

static void on_tick(uv_timer_t *timer)
{
	struct pg *pg = container_of(timer, struct pg, tick);

	switch (pg->state) {
	case PG_STANDBY:
		pg_leader_enter(pg);
		break;
	case PG_LOAD:
	case PG_LEAD:
		if (!pg->renewing) {
			pg->renewing = true;
			pg_connection_submit_first(&pg->write, &pg->renew);
		}
		if (pg->state == PG_LEAD)
			pg_report_tick(pg);
		break;
	default:
		break;
	}
}

static void set_tick(struct pg *pg, usec_t every)
{
	uint64_t ms = (uint64_t)MAX(every / USEC_MSEC, 1);

	uv_timer_start(&pg->tick, on_tick, ms, ms);
}

static void extend_lease(struct pg *pg)
{
	pg->lease = pg->sent_at + pg->patience - pg->margin;
}

static bool send_with_epoch(struct pg *pg, PGconn *db, const char *sql)
{
	char epoch[24];
	const char *values[] = {epoch, pg->machine};

	snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)pg->epoch);
	pg->sent_at = clock_boot();
	return pg_send(db, sql, 2, values);
}

/* --- standing by -------------------------------------------------------------------------- */

static void tell_holder(struct pg *pg, const char *holder)
{
	if (str_eq(pg->holder, holder))
		return;
	free(TAKE_PTR(pg->why));
	free(pg->holder);
	pg->holder = xstrdup(holder);
	if (!pg->stopping)
		pg->events.lost(pg->events.self, holder);
}

static void enter_standby(struct pg *pg)
{
	pg->state = PG_STANDBY;
	set_tick(pg, pg->poll_every);
	pg_report_send(pg);
}

/* What a row says that is not ours: who, and since when it says the same. */
static void look_at_row(struct pg *pg, const PGresult *res)
{
	const char *renewed = PQgetvalue(res, 0, 3);
	const char *host = PQgetisnull(res, 0, 2) ? PQgetvalue(res, 0, 1) : PQgetvalue(res, 0, 2);

	if (!str_eq(pg->seen, renewed)) {
		free(pg->seen);
		pg->seen = xstrdup(renewed);
		pg->seen_at = pg->sent_at;
	}
	tell_holder(pg, host[0] ? host : "another daemon");
}

/* --- taking ------------------------------------------------------------------------------- */

static bool take_send(struct pg_request *r, PGconn *db)
{
	struct pg *pg = container_of(r, struct pg, take);
	char patience[40];
	const char *values[] = {pg->machine, pg->host, patience, NULL};

	snprintf(patience, sizeof(patience), "%lld microseconds", (long long)pg->patience);
	pg->sent_at = clock_boot();
	/* The server's clock may have been wrong by years: ours can tell that nothing moves. */
	if (pg->seen && pg->sent_at - pg->seen_at > pg->patience + pg->margin)
		values[3] = pg->seen;
	return pg_send(db,
		"SELECT epoch, holder, host, renewed_at FROM nightjar.take($1, $2, $3, $4)", 4,
		values);
}

static void take_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, take);

	if (PQntuples(res) != 1)
		return;
	if (PQgetisnull(res, 0, 0)) {
		look_at_row(pg, res);
		return;
	}
	pg->epoch = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	free(TAKE_PTR(pg->holder));
	free(TAKE_PTR(pg->seen));
}

static void take_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, take);

	if (error && error->fault == PG_AGAIN)
		enter_standby(pg); /* the row is held: next time */
	else if (error)
		pg_chain_failed(pg, "cannot ask for the leader row", error);
	else if (pg->epoch == 0)
		enter_standby(pg);
	else {
		extend_lease(pg);
		pg->loaded = false;
		set_tick(pg, pg->renew_every);
		pg_load(pg);
	}
}

/* --- renewing ----------------------------------------------------------------------------- */

static bool renew_send(struct pg_request *r, PGconn *db)
{
	struct pg *pg = container_of(r, struct pg, renew);

	pg->renewed_backend = 0;
	return send_with_epoch(pg, db,
		"UPDATE nightjar.leader SET renewed_at = clock_timestamp()"
		" WHERE epoch = $1 AND holder = $2 RETURNING pg_backend_pid()");
}

static void renew_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, renew);

	if (PQntuples(res) == 1)
		pg->renewed_backend = atoi(PQgetvalue(res, 0, 0));
}

static void renew_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, renew);

	pg->renewing = false;
	if (error || pg->epoch == 0) {
		/* A lock timeout: the next tick asks again, well inside the lease or not. */
		if (error && error->fault != PG_AGAIN)
			pg_chain_failed(pg, "cannot renew the leader row", error);
		return;
	}
	if (pg->renewed_backend == 0) {
		pg_leader_lost(pg);
		return;
	}
	extend_lease(pg);
	if (pg->renewed_backend != pg->write_session.backend)
		pg_refuse(pg, PG_POOLER_REFUSED);
}

/* --- after a loss of the connection ------------------------------------------------------- */

static bool resume_send(struct pg_request *r, PGconn *db)
{
	struct pg *pg = container_of(r, struct pg, take);

	pg->renewed_backend = 0;
	return send_with_epoch(pg, db, "SELECT nightjar.resume($1, $2)::int");
}

static void resume_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, take);

	if (PQntuples(res) == 1)
		pg->renewed_backend = atoi(PQgetvalue(res, 0, 0));
}

static void resume_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, take);

	if (error) {
		pg_chain_failed(pg, "cannot renew the leader row", error);
		return;
	}
	if (pg->renewed_backend == 0) {
		pg_leader_lost(pg);
		return;
	}
	extend_lease(pg);
	set_tick(pg, pg->renew_every);
	if (pg->loaded)
		pg_leader_loaded(pg);
	else
		pg_load(pg);
}

/* --- public ------------------------------------------------------------------------------- */

void pg_leader_init(struct pg *pg)
{
	pg->renew =
		(struct pg_request){.send = renew_send, .result = renew_result, .end = renew_end};
	list_init(&pg->renew.link);
}

void pg_leader_enter(struct pg *pg)
{
	pg->state = PG_TAKE;
	pg->renewing = false;
	if (pg->epoch == 0)
		pg->take = (struct pg_request){
			.send = take_send, .result = take_result, .end = take_end};
	else
		pg->take = (struct pg_request){
			.send = resume_send, .result = resume_result, .end = resume_end};
	pg_connection_submit(&pg->write, &pg->take);
}

void pg_leader_loaded(struct pg *pg)
{
	cJSON *loaded = TAKE_PTR(pg->loading);

	pg->state = PG_LEAD;
	pg->loaded = true;
	free(TAKE_PTR(pg->why));
	pg_report_listen(pg);
	pg_report_send(pg);
	if (!pg->stopping)
		pg->events.ready(pg->events.self, pg->epoch, loaded);
	cJSON_Delete(loaded);
	if (loaded)
		malloc_trim(0); /* ten thousand cells take tens of MiB on their way */
	deferred_ask(&pg->kick);
}

void pg_leader_lost(struct pg *pg)
{
	pg->epoch = 0;
	pg->lease = 0;
	pg->loaded = false;
	list_remove(&pg->renew.link);
	pg_load_abort(pg);
	pg_report_forget(pg);
	pg_write_drop(pg, STORE_LOST);
	free(TAKE_PTR(pg->holder));
	if (!pg->stopping)
		pg->events.lost(pg->events.self, "another daemon");
	if (pg->stopping)
		pg_stop_step(pg);
	else if (pg_connection_is_up(&pg->write))
		pg_leader_enter(pg);
}

/* --- giving up ---------------------------------------------------------------------------- */

static bool give_up_send(struct pg_request *r, PGconn *db)
{
	return send_with_epoch(container_of(r, struct pg, give_up), db,
		"UPDATE nightjar.leader SET holder = NULL, host = NULL"
		" WHERE epoch = $1 AND holder = $2");
}

static void give_up_end(struct pg_request *r, const struct pg_error *error)
{
	pg_close(container_of(r, struct pg, give_up));
}

void pg_leader_give_up(struct pg *pg)
{
	pg->lease = 0;
	pg->give_up = (struct pg_request){.send = give_up_send, .end = give_up_end};
	pg_connection_submit(&pg->write, &pg->give_up);
}
