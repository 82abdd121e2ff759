/* Units in batches.
 *
 * Happy path: what has been submitted by the end of a turn of the loop goes out as one transaction
 * (fence, rows, commit); what comes meanwhile collects for the next one; at the commit each unit's
 * `done` in order of submission. Failures: the connection is lost, with the commit perhaps done:
 * all units wait, and go again in the same epoch (rows are whole, so that once more is harmless);
 * their data: one by one, the bad ones handed back; a deadlock: again, five times at once, then
 * slowly; another epoch: lost; anything else: slowly again, with an alarm. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/pg/internal.h"

#define BATCH_BYTES (128 * 1024) /* then actions begin while the next batch is written */
#define BATCH_UNITS 5000
#define AGAIN_MAX   5
#define SLOWLY	    (5 * USEC_SEC)

static void on_slow(uv_timer_t *timer)
{
	struct pg *pg = container_of(timer, struct pg, slow);

	pg->slow_on = false;
	pg_write(pg);
}

static void write_later(struct pg *pg, usec_t delay)
{
	pg->slow_on = true;
	uv_timer_start(&pg->slow, on_slow, (uint64_t)(delay / USEC_MSEC), 0);
}

static struct store_unit *first_unit(struct list *units)
{
	struct store_unit *unit = list_entry(list_first(units), struct store_unit, link);

	list_remove(&unit->link);
	return unit;
}

/* In their order, before all others. */
static void give_back(struct pg *pg)
{
	while (!list_empty(&pg->flight)) {
		struct list *last = pg->flight.prev;

		list_remove(last);
		list_insert_before(pg->units.next, last);
	}
	pg->n_flight = 0;
}

static void end_flight(struct pg *pg, const char *error)
{
	struct list ended = LIST_NULL(ended);

	while (!list_empty(&pg->flight)) {
		struct list *l = list_first(&pg->flight);

		list_remove(l);
		list_append(&ended, l);
	}
	pg->n_flight = 0;
	while (!list_empty(&ended)) {
		struct store_unit *unit = first_unit(&ended);

		unit->done(unit, error);
	}
}

static void data_refused(struct pg *pg, const struct pg_error *error)
{
	if (pg->n_flight == 1) {
		pg->singles -= pg->singles > 0;
		pg_alarm(pg, "the store refuses what was to be written, it is set aside: %s",
			error->message);
		end_flight(pg, error->message);
		return;
	}
	pg->singles = pg->n_flight;
	give_back(pg);
}

static void batch_failed(struct pg *pg, const struct pg_error *error)
{
	switch (error->fault) {
	case PG_LOST:
		give_back(pg);
		return;
	case PG_DATA:
		data_refused(pg, error);
		return;
	case PG_FENCED:
		give_back(pg);
		pg_leader_lost(pg);
		return;
	case PG_AGAIN:
		give_back(pg);
		if (++pg->again <= AGAIN_MAX) {
			write_later(pg, (usec_t)pg->again * 20 * USEC_MSEC);
			return;
		}
		break;
	default:
		give_back(pg);
	}
	pg->again = 0;
	pg_alarm(pg, "the store cannot write, it is tried again: %s", error->message);
	write_later(pg, SLOWLY);
}

static bool batch_send(struct pg_request *r, PGconn *db)
{
	struct pg *pg = container_of(r, struct pg, batch_request);

	return pg_batch_send(&pg->batch, &pg->schema, db, pg->epoch);
}

static void batch_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, batch_request);

	if (!pg_batch_result(&pg->batch, &pg->schema, index, res))
		pg_alarm(pg, "a row that was to be changed is not in the store");
}

static void batch_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, batch_request);

	pg->writing = false;
	pg_batch_clear(&pg->batch);
	if (error) {
		batch_failed(pg, error);
	} else {
		pg->again = 0;
		pg->singles -= MIN(pg->singles, pg->n_flight);
		end_flight(pg, NULL);
	}
	pg_write(pg);
	if (pg->stopping)
		pg_stop_step(pg);
}

static void fill_batch(struct pg *pg)
{
	size_t most = pg->singles ? 1 : BATCH_UNITS;

	while (pg->n_flight < most && pg->batch.bytes < BATCH_BYTES && !list_empty(&pg->units)) {
		struct store_unit *unit = first_unit(&pg->units);
		_cleanup_free_ char *error = pg_batch_add(&pg->batch, &pg->schema, unit);

		if (error) {
			pg->singles -= pg->singles > 0;
			pg_alarm(pg, "what was to be written is set aside: %s", error);
			unit->done(unit, error);
			continue;
		}
		list_append(&pg->flight, &unit->link);
		pg->n_flight++;
	}
}

void pg_write(struct pg *pg)
{
	if (pg->state != PG_LEAD || !pg_connection_is_up(&pg->write) || pg->writing ||
		pg->slow_on || list_empty(&pg->units))
		return;
	fill_batch(pg);
	if (pg->n_flight == 0)
		return;
	pg->writing = true;
	pg->batch_request =
		(struct pg_request){.send = batch_send, .result = batch_result, .end = batch_end};
	pg_connection_submit(&pg->write, &pg->batch_request);
}

/* Only from the end of another request: the batch is not on the wire then. */
void pg_write_drop(struct pg *pg, const char *error)
{
	if (pg->writing)
		list_remove(&pg->batch_request.link);
	pg->writing = false;
	pg_batch_clear(&pg->batch);
	give_back(pg);
	pg->again = 0;
	pg->singles = 0;
	/* What is submitted meanwhile stays. */
	while (!list_empty(&pg->units)) {
		struct list *l = list_first(&pg->units);

		list_remove(l);
		list_append(&pg->flight, l);
	}
	end_flight(pg, error);
}

bool pg_write_is_idle(const struct pg *pg)
{
	return !pg->writing && list_empty(&pg->units);
}
