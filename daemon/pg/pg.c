/* The store as a whole: start, stop, the port.
 *
 * Happy path: connect, set the session up, begin the reading connection, migrate, take the leader
 * row, load, `ready`; then batches and reads until pg_stop(), which waits for the last batch, gives
 * the row up and closes. Failures: the writing connection breaks: `away`, and the same way again,
 * with `ready` in the same epoch if the row is still ours; a refusal that needs a person: an alarm,
 * and again every 5 s. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/pg/internal.h"

#define REFUSED_DELAY  (5 * USEC_SEC)
#define ALARM_AGAIN    (10 * USEC_MINUTE)
#define STOP_PATIENCE  (5 * USEC_SEC)
#define REPLY_PATIENCE (10 * USEC_SEC)

/* `why` is forgotten as soon as the store is anything but away, and `holder` here, so that each is
 * told again when it is news. */
static void enter_away(struct pg *pg, const char *why)
{
	pg->state = PG_AWAY;
	free(TAKE_PTR(pg->holder));
	if (str_eq(pg->why, why))
		return;
	free(pg->why);
	pg->why = xstrdup(why);
	if (!pg->stopping)
		pg->events.away(pg->events.self, pg->why);
}

void pg_alarm(struct pg *pg, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, format);
	message = xvasprintf(format, ap);
	va_end(ap);
	if (!pg->events.alarm || pg->stopping)
		return;
	if (str_eq(pg->alarmed, message) && clock_boot() - pg->alarmed_at < ALARM_AGAIN)
		return;
	free(pg->alarmed);
	pg->alarmed = xstrdup(message);
	pg->alarmed_at = clock_boot();
	pg->events.alarm(pg->events.self, message);
}

void pg_refuse(struct pg *pg, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, format);
	message = xvasprintf(format, ap);
	va_end(ap);
	pg_alarm(pg, "%s", message);
	pg_connection_break(&pg->write, PG_WRONG, REFUSED_DELAY, "%s", message);
}

void pg_chain_failed(struct pg *pg, const char *what, const struct pg_error *error)
{
	switch (error->fault) {
	case PG_LOST:
		break; /* `down` follows */
	case PG_FENCED:
		pg_leader_lost(pg);
		break;
	default:
		pg_refuse(pg, "%s: %s", what, error->message);
	}
}

/* --- connections -------------------------------------------------------------------------- */

static void go_on(struct pg *pg)
{
	if (pg_sessions_are_shared(&pg->write_session, &pg->read_session))
		pg_refuse(pg, PG_POOLER_REFUSED);
	else
		pg_migrate(pg);
}

static bool waits_for_reader(const struct pg *pg)
{
	return pg->state == PG_SESSION && pg->write_session.backend != 0;
}

static void write_up(struct pg_connection *c)
{
	struct pg *pg = c->owner;

	pg->state = PG_SESSION;
	pg_schema_reset(&pg->schema);
	pg_session_start(&pg->write_session);
}

/* Behind a pooler the other connection shows what it does; elsewhere nothing waits for that. */
static void write_set_up(struct pg_session *s)
{
	struct pg *pg = s->connection->owner;

	pg_connection_start(&pg->read);
	if (!s->pooled || pg->read_ready)
		go_on(pg);
}

/* The server answered, and will not have us: a role, a password, a database, too many of us. */
static bool is_for_a_person(const struct pg_error *error)
{
	if (error->fault == PG_WRONG || error->fault == PG_FULL)
		return true;
	return strstr(error->message, "FATAL:") && !strstr(error->message, "starting up") &&
	       !strstr(error->message, "shutting down") && !strstr(error->message, "recovery");
}

static void write_down(struct pg_connection *c, const struct pg_error *error)
{
	struct pg *pg = c->owner;

	pg->write_session.backend = 0;
	uv_timer_stop(&pg->tick);
	if (pg->closing)
		return;
	enter_away(pg, error->message);
	deferred_ask(&pg->kick);
	if (pg->stopping)
		pg_close(pg);
	else if (is_for_a_person(error))
		pg_alarm(pg, "%s", error->message);
}

static void read_up(struct pg_connection *c)
{
	struct pg *pg = c->owner;

	pg_session_start(&pg->read_session);
}

static void read_set_up(struct pg_session *s)
{
	struct pg *pg = s->connection->owner;

	pg->read_ready = true;
	if (waits_for_reader(pg))
		go_on(pg);
	else if (pg_sessions_are_shared(&pg->write_session, &pg->read_session))
		pg_refuse(pg, PG_POOLER_REFUSED);
	deferred_ask(&pg->kick);
}

static void read_down(struct pg_connection *c, const struct pg_error *error)
{
	struct pg *pg = c->owner;

	pg->read_ready = false;
	pg->read_session.backend = 0;
	if (pg->closing)
		return;
	pg_read_drop(pg);
	if (waits_for_reader(pg))
		go_on(pg);
}

/* --- the port ----------------------------------------------------------------------------- */

static void on_kick(void *arg)
{
	struct pg *pg = arg;

	if (pg->state == PG_STANDBY)
		pg_write_drop(pg, STORE_LOST);
	pg_write(pg);
	pg_read(pg);
	pg_prune(pg);
	pg_report_send(pg);
}

static void port_submit(void *self, struct store_unit *unit)
{
	struct pg *pg = self;

	list_append(&pg->units, &unit->link);
	deferred_ask(&pg->kick);
}

static void port_read(void *self, struct store_read *read)
{
	pg_read_submit(self, read);
}

static void port_report(void *self, const struct action_place *place, const cJSON *status)
{
	pg_report_submit(self, place, status);
}

static void port_prune(void *self, struct prune *p)
{
	pg_prune_submit(self, p);
}

static usec_t port_lease(void *self)
{
	return ((struct pg *)self)->lease;
}

struct store_port pg_port(struct pg *pg)
{
	return (struct store_port){.self = pg,
		.submit = port_submit,
		.read = port_read,
		.report = port_report,
		.lease = port_lease,
		.prune = port_prune};
}

/* --- start and stop ----------------------------------------------------------------------- */

static void init_connection(struct pg *pg, struct pg_connection *c, const char *role, usec_t reply)
{
	*c = (struct pg_connection){.loop = pg->loop,
		.count = &pg->open,
		.address = &pg->address,
		.limiter = &pg->limiter,
		.reply = reply ? reply : REPLY_PATIENCE,
		.owner = pg};
	/* nightjar.end_sessions() in the schema knows this name */
	c->application = xasprintf("nightjard %s %s", pg->machine, role);
}

static usec_t otherwise(usec_t span, usec_t by_default)
{
	return span ? span : by_default;
}

static void take_options(struct pg *pg, const struct pg_options *o)
{
	pg->machine = xstrdup(o->machine);
	pg->host = xstrdup(o->host);
	pg->renew_every = otherwise(o->renew, 3 * USEC_SEC);
	pg->patience = otherwise(o->patience, 10 * USEC_SEC);
	pg->margin = otherwise(o->margin, 2 * USEC_SEC);
	pg->limiter.pace = otherwise(o->pace, USEC_SEC);
	pg->poll_every = otherwise(o->poll, 2 * USEC_SEC);
	init_connection(pg, &pg->write, "write", o->reply);
	pg->write.up = write_up;
	pg->write.down = write_down;
	pg->write.notified = pg_report_notified;
	pg->write_session = (struct pg_session){.connection = &pg->write, .done = write_set_up};
	init_connection(pg, &pg->read, "read", o->reply);
	pg->read.up = read_up;
	pg->read.down = read_down;
	pg->read_session = (struct pg_session){.connection = &pg->read, .done = read_set_up};
}

struct pg *pg_new(uv_loop_t *loop, const struct pg_options *options, const struct pg_events *events,
	char **ret_error)
{
	struct pg_address address;
	struct pg *pg;

	if (pg_address_parse(options->conninfo, true, &address, ret_error) < 0)
		return NULL;
	pg = xnew(struct pg);
	pg->loop = loop;
	pg->events = *events;
	pg->address = address;
	take_options(pg, options);
	list_init(&pg->units);
	list_init(&pg->flight);
	list_init(&pg->reads);
	list_init(&pg->reports);
	list_init(&pg->listen.link);
	list_init(&pg->report_delete.link);
	list_init(&pg->batch_request.link);
	pg_leader_init(pg);
	return pg;
}

static void init_timer(struct pg *pg, uv_timer_t *timer)
{
	uv_timer_init(pg->loop, timer);
	open_count_add(&pg->open);
}

void pg_start(struct pg *pg)
{
	deferred_init(&pg->kick, pg->loop, &pg->open, on_kick, pg);
	init_timer(pg, &pg->tick);
	init_timer(pg, &pg->slow);
	init_timer(pg, &pg->stop_timer);
	pg_connection_init(&pg->write);
	pg_connection_init(&pg->read);
	pg->started = true;
	pg_connection_start(&pg->write);
}

static void on_closed(struct open_count *count)
{
	struct pg *pg = container_of(count, struct pg, open);

	pg->started = false;
	pg->stopped(pg->stopped_arg);
}

void pg_close(struct pg *pg)
{
	if (pg->closing)
		return;
	pg->closing = true;
	pg->lease = 0;
	pg_connection_close(&pg->write);
	pg_connection_close(&pg->read);
	pg_write_drop(pg, STORE_LOST);
	pg_read_drop(pg);
	open_count_close_handle(&pg->open, (uv_handle_t *)&pg->tick);
	open_count_close_handle(&pg->open, (uv_handle_t *)&pg->slow);
	open_count_close_handle(&pg->open, (uv_handle_t *)&pg->stop_timer);
	deferred_close(&pg->kick, &pg->open);
	open_count_close(&pg->open, on_closed);
}

void pg_stop_step(struct pg *pg)
{
	bool up = pg_connection_is_up(&pg->write);

	if (pg->closing || pg->giving_up)
		return;
	if (up && pg->state == PG_LEAD && !pg_write_is_idle(pg))
		return;
	if (!up || pg->epoch == 0) {
		pg_close(pg);
		return;
	}
	pg->giving_up = true;
	pg_leader_give_up(pg);
}

static void on_stop_timer(uv_timer_t *timer)
{
	pg_close(container_of(timer, struct pg, stop_timer));
}

static void on_first_stop_step(uv_timer_t *timer)
{
	uv_timer_start(timer, on_stop_timer, STOP_PATIENCE / USEC_MSEC, 0);
	pg_stop_step(container_of(timer, struct pg, stop_timer));
}

/* The first step waits for the loop: nothing calls back from inside a call. */
void pg_stop(struct pg *pg, void (*stopped)(void *arg), void *arg)
{
	if (pg->stopping)
		return;
	pg->stopping = true;
	pg->stopped = stopped;
	pg->stopped_arg = arg;
	uv_timer_start(&pg->stop_timer, on_first_stop_step, 0, 0);
}

void pg_free(struct pg *pg)
{
	if (!pg)
		return;
	pg_address_fini(&pg->address);
	pg_load_abort(pg);
	pg_document_fini(&pg->history);
	pg_report_fini(pg);
	pg_schema_fini(&pg->schema);
	pg_batch_fini(&pg->batch);
	free(pg->write.application);
	free(pg->read.application);
	free(pg->machine);
	free(pg->host);
	free(pg->why);
	free(pg->alarmed);
	free(pg->migration_text);
	free(pg->prune_text);
	free(pg->holder);
	free(pg->seen);
	free(pg);
}
