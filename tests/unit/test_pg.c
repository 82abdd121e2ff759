/* The store against a real PostgreSQL: run it by tests/with-postgres. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/unit.h"
#include "base/json.h"
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/pg/pg.h"

#define MACHINE_A "00000000-0000-4000-8000-00000000000a"
#define MACHINE_B "00000000-0000-4000-8000-00000000000b"
#define RUN_1	  "10000000-0000-4000-8000-000000000001"
#define PATIENCE  (30 * USEC_SEC)

/* --- the server, from outside ------------------------------------------------------------- */

static PGconn *db_open(void)
{
	PGconn *db = PQconnectdb(getenv("NIGHTJAR_TEST_CONNINFO"));

	assert_int_equal(PQstatus(db), CONNECTION_OK);
	return db;
}

static void db_do(const char *sql)
{
	PGconn *db = db_open();
	PGresult *res = PQexec(db, sql);

	if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(db));
	PQclear(res);
	PQfinish(db);
}

static char *db_get(const char *sql)
{
	PGconn *db = db_open();
	PGresult *res = PQexec(db, sql);
	char *value;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(db));
	assert_int_equal(PQntuples(res), 1);
	value = xstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	PQfinish(db);
	return value;
}

static void db_expect(const char *sql, const char *value)
{
	_cleanup_free_ char *is = db_get(sql);

	assert_string_equal(is, value);
}

static int fresh_schema(void **state)
{
	db_do("SET client_min_messages = error; DROP SCHEMA IF EXISTS nightjar CASCADE");
	return 0;
}

static void control(const char *command)
{
	_cleanup_free_ char *line = xasprintf("%s %s", getenv("NIGHTJAR_TEST_PGCTL"), command);

	assert_int_equal(system(line), 0);
}

/* --- a daemon's store --------------------------------------------------------------------- */

struct store {
	uv_loop_t loop;
	struct pg *pg;
	struct store_port port;
	unsigned ready, away, lost, reports, alarms;
	uint64_t epoch;
	cJSON *loaded;
	char *holder, *why, *alarm, *report;
	bool stopped;
	unsigned done, refused;
	char *error;
};

static void keep(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
}

static void on_ready(void *self, uint64_t epoch, const cJSON *loaded)
{
	struct store *s = self;

	s->ready++;
	s->epoch = epoch;
	cJSON_Delete(s->loaded);
	s->loaded = loaded ? cJSON_Duplicate(loaded, true) : NULL;
}

static void on_away(void *self, const char *why)
{
	struct store *s = self;

	s->away++;
	keep(&s->why, why);
}

static void on_lost(void *self, const char *holder)
{
	struct store *s = self;

	s->lost++;
	keep(&s->holder, holder);
}

static void on_report(void *self, const cJSON *row)
{
	struct store *s = self;

	s->reports++;
	free(s->report);
	s->report = json_print(row);
}

static void on_alarm(void *self, const char *message)
{
	struct store *s = self;

	s->alarms++;
	keep(&s->alarm, message);
}

static struct store *store_at_pace(const char *conninfo, const char *machine, usec_t pace)
{
	struct store *s = xnew(struct store);
	struct pg_options options = {
		.conninfo = conninfo,
		.machine = machine,
		.host = machine[35] == 'a' ? "host-a" : "host-b",
		.renew = 300 * USEC_MSEC,
		.patience = 1500 * USEC_MSEC,
		.margin = 500 * USEC_MSEC,
		.poll = 100 * USEC_MSEC,
		.reply = 1500 * USEC_MSEC,
		.pace = pace,
	};
	struct pg_events events = {.self = s,
		.ready = on_ready,
		.away = on_away,
		.lost = on_lost,
		.report = on_report,
		.alarm = on_alarm};
	char *error = NULL;

	assert_int_equal(uv_loop_init(&s->loop), 0);
	s->pg = pg_new(&s->loop, &options, &events, &error);
	if (!s->pg)
		fail_msg("%s", error);
	s->port = pg_port(s->pg);
	pg_start(s->pg);
	return s;
}

static struct store *store_new(const char *conninfo, const char *machine)
{
	return store_at_pace(conninfo, machine, 100 * USEC_MSEC);
}

static struct store *store_open(const char *machine)
{
	return store_new(getenv("NIGHTJAR_TEST_CONNINFO"), machine);
}

static void on_wake(uv_timer_t *timer)
{
}

/* Turns the loop until the counter reaches `value`. */
static void wait_for(struct store *s, const unsigned *counter, unsigned value)
{
	usec_t end = clock_boot() + PATIENCE;
	uv_timer_t wake;

	uv_timer_init(&s->loop, &wake);
	uv_timer_start(&wake, on_wake, 20, 20);
	while (*counter < value && clock_boot() < end)
		uv_run(&s->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&wake, NULL);
	uv_run(&s->loop, UV_RUN_NOWAIT);
	if (*counter < value)
		fail_msg("waited in vain; away: %s; alarm: %s", s->why, s->alarm);
}

static void on_stopped(void *arg)
{
	((struct store *)arg)->stopped = true;
}

static void store_close(struct store *s)
{
	pg_stop(s->pg, on_stopped, s);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_true(s->stopped);
	pg_free(s->pg);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	cJSON_Delete(s->loaded);
	free(s->holder);
	free(s->why);
	free(s->alarm);
	free(s->report);
	free(s->error);
	free(s);
}

static struct store *leader_open(const char *machine)
{
	struct store *s = store_open(machine);

	wait_for(s, &s->ready, 1);
	return s;
}

/* --- units -------------------------------------------------------------------------------- */

struct unit {
	struct store_unit unit;
	struct store *store;
};

static void on_done(struct store_unit *unit, const char *error)
{
	struct unit *u = container_of(unit, struct unit, unit);

	u->store->done++;
	if (error) {
		u->store->refused++;
		keep(&u->store->error, error);
	}
	for (size_t i = 0; i < unit->n; i++) {
		free(unit->rows[i].key);
		free(unit->rows[i].json);
	}
	free(unit->rows);
	free(u);
}

static struct unit *unit_new(struct store *s)
{
	struct unit *u = xnew(struct unit);

	u->store = s;
	u->unit.done = on_done;
	return u;
}

static void unit_add(
	struct unit *u, enum store_table table, const char *key, const char *format, ...)
{
	va_list ap;

	XGROW(u->unit.rows, u->unit.n, u->unit.cap);
	va_start(ap, format);
	u->unit.rows[u->unit.n++] = (struct store_row){
		.table = table, .key = xstrdup(key), .json = xvasprintf(format, ap)};
	va_end(ap);
}

static void unit_submit(struct unit *u)
{
	u->store->port.submit(u->store->port.self, &u->unit);
}

static void submit_job(struct store *s, const char *name, const char *rest)
{
	struct unit *u = unit_new(s);

	unit_add(u, TABLE_JOB, name, "{\"name\":\"%s\"%s}", name, rest);
	unit_submit(u);
}

/* A run of job n with one cell, attempt and action. */
static void submit_run(
	struct store *s, const char *id, unsigned number, const char *state, const char *outcome)
{
	struct unit *u = unit_new(s);

	unit_add(u, TABLE_CELL, id,
		"{\"run_id\":\"%s\",\"index\":0,\"stage\":\"build\",\"name\":\"build/staging\","
		"\"matrix\":{\"environment\":\"staging\"},\"state\":\"%s\",\"outcome\":%s,"
		"\"started_at\":\"2026-03-29T06:00:00.000000Z\","
		"\"ended_at\":\"2026-03-29T06:00:0%u.500000Z\","
		"\"steps\":[{\"name\":\"build\",\"kind\":\"dbt\"}]}",
		id, state, outcome, number);
	unit_add(u, TABLE_RUN, id,
		"{\"id\":\"%s\",\"job\":\"n\",\"number\":%u,\"trigger\":\"manual\",\"state\":\"%"
		"s\","
		"\"outcome\":%s,\"created_at\":\"2026-03-29T06:00:00.123456Z\","
		"\"definition\":\"abc\"}",
		id, number, state, outcome);
	unit_add(u, TABLE_ACTION, id,
		"{\"run_id\":\"%s\",\"cell\":0,\"step\":0,\"attempt\":1,\"name\":\"run\","
		"\"ordinal\":0,"
		"\"type\":\"process\",\"state\":\"intent\",\"repeatable\":true,\"epoch\":1,"
		"\"intent_at\":\"2026-03-29T06:00:00Z\"}",
		id);
	unit_add(u, TABLE_ATTEMPT, id,
		"{\"run_id\":\"%s\",\"cell\":0,\"step\":0,\"number\":1,\"state\":\"running\","
		"\"progress\":{\"done\":3}}",
		id);
	unit_add(u, TABLE_DEFINITION, "abc", "{\"hash\":\"abc\",\"body\":\"the {definition}\"}");
	unit_add(u, TABLE_JOB, "n", "{\"name\":\"n\",\"last_number\":%u}", number);
	unit_submit(u);
}

/* --- reads -------------------------------------------------------------------------------- */

struct reading {
	struct store_read read;
	unsigned done;
	char *error;
	cJSON *result;
};

static void on_read(struct store_read *read, const char *error, cJSON *take_result)
{
	struct reading *r = container_of(read, struct reading, read);

	r->done++;
	r->error = xstrdup(error);
	r->result = take_result;
}

static cJSON *ask(struct store *s, struct store_read read)
{
	struct reading r = {.read = read};

	r.read.done = on_read;
	s->port.read(s->port.self, &r.read);
	assert_int_equal(r.done, 0);
	wait_for(s, &r.done, 1);
	assert_null(r.error);
	return r.result;
}

/* --- tests -------------------------------------------------------------------------------- */

static void the_schema_is_made_once_and_each_start_is_a_new_epoch(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	assert_int_equal(s->epoch, 1);
	store_close(s);
	db_expect("SELECT holder IS NULL FROM nightjar.leader", "t");
	s = leader_open(MACHINE_A);
	assert_int_equal(s->epoch, 2);
	assert_int_equal(s->away + s->lost + s->alarms, 0);
	store_close(s);
	db_expect("SELECT count(*) = max(version) FROM nightjar.migration", "t");
}

static void a_newer_schema_is_refused_with_a_reason(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	store_close(s);
	db_do("INSERT INTO nightjar.migration VALUES (999)");
	s = store_open(MACHINE_A);
	wait_for(s, &s->alarms, 1);
	wait_for(s, &s->away, 1);
	assert_non_null(strstr(s->alarm, "version 999"));
	assert_int_equal(s->ready, 0);
	store_close(s);
}

static void a_run_is_written_and_read_back_in_all_ways(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	cJSON *o;

	submit_run(s, RUN_1, 7, "ended", "\"ok\"");
	assert_int_equal(s->done, 0);
	wait_for(s, &s->done, 1);
	assert_null(s->error);
	o = ask(s, (struct store_read){.type = READ_RUN, .job = (char *)"n", .number = 7});
	assert_string_equal(json_string(json_get(o, "run"), "id"), RUN_1);
	assert_int_equal(json_time(json_get(o, "run"), "created_at"), 1774764000123456);
	assert_string_equal(json_string(o, "definition"), "the {definition}");
	assert_string_equal(json_string(json_get(o, "cells")->child, "name"), "build/staging");
	assert_int_equal(
		json_int(json_get(json_get(o, "attempts")->child, "progress"), "done", 0), 3);
	assert_string_equal(json_string(json_get(o, "actions")->child, "state"), "intent");
	cJSON_Delete(o);
	o = ask(s, (struct store_read){.type = READ_LAST_RUN, .job = (char *)"n"});
	assert_int_equal(json_int(json_get(o, "run"), "number", 0), 7);
	cJSON_Delete(o);
	o = ask(s, (struct store_read){.type = READ_RUN, .job = (char *)"n", .number = 8});
	assert_true(cJSON_IsNull(json_get(o, "run")));
	cJSON_Delete(o);
	store_close(s);
}

static void runs_come_newest_first_and_no_more_than_asked_for(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	cJSON *o;

	for (unsigned i = 1; i <= 5; i++) {
		_cleanup_free_ char *id = xasprintf("10000000-0000-4000-8000-00000000000%u", i);

		submit_run(s, id, i, "ended", "\"ok\"");
	}
	wait_for(s, &s->done, 5);
	assert_null(s->error);
	o = ask(s, (struct store_read){.type = READ_RUNS, .job = (char *)"n", .limit = 3});
	assert_int_equal(cJSON_GetArraySize(json_get(o, "runs")), 3);
	assert_int_equal(json_int(json_get(o, "runs")->child, "number", 0), 5);
	cJSON_Delete(o);
	o = ask(s, (struct store_read){.type = READ_RUNS, .limit = 1000});
	assert_int_equal(cJSON_GetArraySize(json_get(o, "runs")), 5);
	cJSON_Delete(o);
	store_close(s);
}

static void a_slot_is_found_also_within_a_flood(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	struct unit *u = unit_new(s);
	cJSON *o;

	unit_add(u, TABLE_SLOT, "n 1",
		"{\"job\":\"n\",\"scheduled_for\":\"1970-01-01T00:00:10Z\",\"fate\":\"skipped\","
		"\"reason\":\"away\",\"until\":\"1970-01-01T00:01:00Z\",\"count\":6}");
	unit_submit(u);
	wait_for(s, &s->done, 1);
	o = ask(s, (struct store_read){.type = READ_SLOT, .job = (char *)"n", .at = 30 * USEC_SEC});
	assert_string_equal(json_string(json_get(o, "slot"), "reason"), "away");
	cJSON_Delete(o);
	o = ask(s, (struct store_read){.type = READ_SLOT, .job = (char *)"n", .at = 61 * USEC_SEC});
	assert_true(cJSON_IsNull(json_get(o, "slot")));
	cJSON_Delete(o);
	store_close(s);
}

static void units_of_one_turn_share_a_transaction(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	for (unsigned i = 0; i < 200; i++) {
		_cleanup_free_ char *name = xasprintf("job-%u", i);

		submit_job(s, name, "");
	}
	wait_for(s, &s->done, 200);
	db_expect(
		"SELECT count(DISTINCT xmin::text) || ' ' || count(*) FROM nightjar.job", "1 200");
	store_close(s);
}

static void a_column_that_is_not_named_keeps_its_value(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	struct unit *u;

	submit_job(s, "n", ",\"schedule\":\"@daily\",\"last_number\":4");
	submit_job(s, "n", ",\"paused\":true");
	submit_job(s, "n", ",\"last_number\":5");
	submit_run(s, RUN_1, 7, "running", "null");
	wait_for(s, &s->done, 4);
	db_expect("SELECT schedule || paused || last_number FROM nightjar.job", "@dailytrue7");
	submit_job(s, "n", ",\"timezone\":\"UTC\"");
	/* lacks columns that must not be NULL */
	u = unit_new(s);
	unit_add(u, TABLE_RUN, RUN_1, "{\"id\":\"%s\",\"reason\":\"because\"}", RUN_1);
	unit_submit(u);
	wait_for(s, &s->done, 6);
	assert_null(s->error);
	db_expect("SELECT schedule || timezone FROM nightjar.job", "@dailyUTC");
	db_expect("SELECT reason || number FROM nightjar.run", "because7");
	store_close(s);
}

static void a_unit_written_twice_is_there_once(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	submit_run(s, RUN_1, 7, "running", "null");
	wait_for(s, &s->done, 1);
	submit_run(s, RUN_1, 7, "ended", "\"ok\"");
	submit_run(s, RUN_1, 7, "ended", "\"ok\"");
	wait_for(s, &s->done, 3);
	assert_null(s->error);
	db_expect("SELECT count(*) || min(state) FROM nightjar.run", "1ended");
	db_expect("SELECT count(*) FROM nightjar.action", "1");
	store_close(s);
}

static void bad_units_are_set_aside_and_all_others_written(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	for (unsigned i = 0; i < 20; i++) {
		_cleanup_free_ char *name = xasprintf("job-%u", i);

		submit_job(s, name,
			i == 3	  ? ",\"last_number\":\"many\""
			: i == 9  ? ",\"schedule\":\"a\\u0000b\""
			: i == 12 ? ",\"colour\":\"red\""
			: i == 15 ? ",\"paused\":null"
			: i == 17 ? ",\"paused\":"
				  : "");
	}
	wait_for(s, &s->done, 20);
	assert_int_equal(s->refused, 5);
	assert_true(s->alarms >= 4);
	db_expect("SELECT count(*) FROM nightjar.job", "15");
	submit_job(s, "after", "");
	wait_for(s, &s->done, 21);
	assert_int_equal(s->refused, 5);
	store_close(s);
}

static void a_unit_with_ten_thousand_rows_is_one_transaction(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	struct unit *u;
	cJSON *o;

	submit_run(s, RUN_1, 1, "running", "null");
	u = unit_new(s);
	for (unsigned i = 1; i < 10000; i++) {
		_cleanup_free_ char *key = xasprintf("%u", i);

		unit_add(u, TABLE_CELL, key,
			"{\"run_id\":\"" RUN_1 "\",\"index\":%u,\"stage\":\"s\",\"name\":\"s/%u\","
			"\"matrix\":{},\"state\":\"waiting\",\"steps\":[{\"name\":\"x\"}]}",
			i, i);
	}
	unit_submit(u);
	wait_for(s, &s->done, 2);
	assert_null(s->error);
	o = ask(s, (struct store_read){.type = READ_RUN, .job = (char *)"n", .number = 1});
	assert_int_equal(cJSON_GetArraySize(json_get(o, "cells")), 10000);
	cJSON_Delete(o);
	store_close(s);
}

static void the_fence_refuses_an_epoch_that_is_over(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	assert_true(s->port.lease(s->port.self) > clock_boot());
	db_do("UPDATE nightjar.leader SET epoch = epoch + 1, holder = '" MACHINE_B "',"
	      " host = 'host-b', renewed_at = clock_timestamp() + interval '1 hour'");
	submit_job(s, "late", "");
	wait_for(s, &s->done, 1);
	assert_string_equal(s->error, STORE_LOST);
	wait_for(s, &s->lost, 2);
	assert_string_equal(s->holder, "host-b");
	assert_int_equal(s->port.lease(s->port.self), 0);
	submit_job(s, "later", "");
	wait_for(s, &s->done, 2);
	db_expect("SELECT count(*) FROM nightjar.job", "0");
	store_close(s);
}

static void a_row_of_a_wrong_clock_is_taken_when_nothing_moves(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	store_close(s);
	db_do("UPDATE nightjar.leader SET holder = '" MACHINE_B "', renewed_at = '2099-01-01'");
	s = leader_open(MACHINE_A);
	assert_int_equal(s->lost, 1);
	assert_int_equal(s->epoch, 2);
	store_close(s);
}

static void a_second_daemon_waits_until_the_first_gives_up(void **state)
{
	struct store *a = leader_open(MACHINE_A), *b = store_open(MACHINE_B);

	wait_for(b, &b->lost, 1);
	assert_string_equal(b->holder, "host-a");
	assert_int_equal(b->ready, 0);
	assert_int_equal(b->port.lease(b->port.self), 0);
	store_close(a);
	wait_for(b, &b->ready, 1);
	assert_int_equal(b->epoch, 2);
	store_close(b);
}

static void a_stopped_leader_is_taken_over_and_writes_nothing_more(void **state)
{
	struct store *a = leader_open(MACHINE_A), *b = store_open(MACHINE_B);
	usec_t lease = a->port.lease(a->port.self);

	/* the loop of a stands still, with its connection in a transaction */
	wait_for(b, &b->ready, 1);
	assert_true(clock_boot() > lease);
	submit_job(a, "stale", "");
	wait_for(a, &a->done, 1);
	wait_for(a, &a->lost, 1);
	assert_string_equal(a->error, STORE_LOST);
	db_expect("SELECT count(*) FROM nightjar.job", "0");
	store_close(a);
	store_close(b);
}

static void the_same_machine_takes_over_at_once(void **state)
{
	struct store *a = leader_open(MACHINE_A), *b;
	usec_t before = clock_boot();

	b = store_open(MACHINE_A); /* a is dead, as far as b can know */
	wait_for(b, &b->ready, 1);
	assert_true(clock_boot() - before < 1400 * USEC_MSEC);
	assert_int_equal(b->lost, 0);
	assert_int_equal(b->epoch, 2);
	store_close(b);
	wait_for(a, &a->away, 1); /* its session was ended */
	store_close(a);
}

static void a_restart_of_the_server_loses_and_doubles_nothing(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	unsigned n = 0;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 50; i++, n++) {
			_cleanup_free_ char *name = xasprintf("job-%u", n);

			submit_job(s, name, "");
			uv_run(&s->loop, UV_RUN_NOWAIT);
		}
		control(round ? "restart" : "restart -m immediate");
		for (unsigned i = 0; i < 50; i++, n++) {
			_cleanup_free_ char *name = xasprintf("job-%u", n);

			submit_job(s, name, "");
		}
		wait_for(s, &s->ready, 2 + round);
		assert_null(s->loaded);
		assert_int_equal(s->epoch, 1);
	}
	wait_for(s, &s->done, n);
	assert_null(s->error);
	assert_true(s->away >= 2);
	db_expect("SELECT count(*) FROM nightjar.job", "200");
	store_close(s);
}

static void a_server_that_is_not_there_yet_is_waited_for(void **state)
{
	struct store *s;
	struct reading r = {.read = {.type = READ_RUNS, .limit = 1, .done = on_read}};

	control("stop");
	s = store_open(MACHINE_A);
	s->port.read(s->port.self, &r.read);
	wait_for(s, &s->away, 1);
	wait_for(s, &r.done, 1);
	assert_string_equal(r.error, PG_AWAY_ERROR);
	free(r.error);
	control("start");
	wait_for(s, &s->ready, 1);
	store_close(s);
}

static void an_answer_that_is_overdue_breaks_the_connection(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	PGconn *db = db_open();

	PQclear(PQexec(db, "BEGIN; LOCK TABLE nightjar.leader"));
	wait_for(s, &s->away, 1);
	assert_non_null(strstr(s->why, "does not answer"));
	PQclear(PQexec(db, "ROLLBACK"));
	PQfinish(db);
	wait_for(s, &s->ready, 2);
	assert_int_equal(s->epoch, 1);
	store_close(s);
}

static void a_session_that_is_ended_comes_back_in_the_same_epoch(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	db_do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	      " WHERE application_name LIKE 'nightjard %'");
	wait_for(s, &s->away, 1);
	assert_non_null(strstr(s->why, "terminating connection"));
	submit_job(s, "n", "");
	wait_for(s, &s->done, 1);
	assert_null(s->error);
	assert_int_equal(s->epoch, 1);
	store_close(s);
}

static void a_read_only_server_is_waited_for(void **state)
{
	struct store *s;

	db_do("ALTER ROLE nightjar IN DATABASE nightjar SET default_transaction_read_only = on");
	s = store_open(MACHINE_A);
	wait_for(s, &s->away, 1);
	assert_non_null(strstr(s->why, "read-only"));
	db_do("BEGIN READ WRITE;"
	      "ALTER ROLE nightjar IN DATABASE nightjar RESET default_transaction_read_only;"
	      "COMMIT");
	wait_for(s, &s->ready, 1);
	store_close(s);
}

static void hosts_are_resolved_and_tried_one_after_another(void **state)
{
	_cleanup_free_ char *conninfo = xasprintf("host=127.0.0.1,nowhere.invalid,localhost "
						  "port=1,1,%s user=nightjar dbname=nightjar",
		getenv("NIGHTJAR_TEST_PORT"));
	struct store *s = store_new(conninfo, MACHINE_A);

	wait_for(s, &s->ready, 1);
	assert_int_equal(s->away, 0);
	store_close(s);
}

static void a_service_file_names_the_host(void **state)
{
	char path[] = "/tmp/nightjar-service.XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");
	struct store *s;

	assert_non_null(f);
	fprintf(f, "[nightjar]\nhost=localhost\nport=%s\nuser=nightjar\ndbname=nightjar\n",
		getenv("NIGHTJAR_TEST_PORT"));
	fclose(f);
	setenv("PGSERVICEFILE", path, 1);
	setenv("PGHOST", "/nowhere", 1);
	s = store_new("service=nightjar", MACHINE_A);
	wait_for(s, &s->ready, 1);
	store_close(s);
	unsetenv("PGSERVICEFILE");
	unlink(path);
}

static void a_server_that_will_not_have_us_is_an_alarm(void **state)
{
	_cleanup_free_ char *conninfo =
		xasprintf("%s user=stranger", getenv("NIGHTJAR_TEST_CONNINFO"));
	struct store *s = store_new(conninfo, MACHINE_A);

	wait_for(s, &s->alarms, 1);
	assert_non_null(strstr(s->alarm, "stranger"));
	assert_int_equal(s->away, 1);
	store_close(s);
}

/* A server that lets everybody in and drops them at once. */
struct flapping {
	uv_tcp_t listener, client;
	unsigned accepted;
};

static void on_flap(uv_stream_t *listener, int status)
{
	struct flapping *f = container_of(listener, struct flapping, listener);

	f->accepted++;
	uv_tcp_init(listener->loop, &f->client);
	uv_accept(listener, (uv_stream_t *)&f->client);
	uv_close((uv_handle_t *)&f->client, NULL);
}

static void a_flapping_server_sees_at_most_one_connect_a_second(void **state)
{
	struct store *s;
	struct flapping f = {0};
	struct sockaddr_in address;
	int len = sizeof(address);
	uv_loop_t loop;
	usec_t end = clock_boot() + 2200 * USEC_MSEC;
	_cleanup_free_ char *conninfo = NULL;

	uv_loop_init(&loop);
	uv_tcp_init(&loop, &f.listener);
	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_bind(&f.listener, (struct sockaddr *)&address, 0);
	uv_listen((uv_stream_t *)&f.listener, 16, on_flap);
	uv_tcp_getsockname(&f.listener, (struct sockaddr *)&address, &len);
	conninfo = xasprintf(
		"host=127.0.0.1 port=%u user=x dbname=x sslmode=disable", ntohs(address.sin_port));
	s = store_at_pace(conninfo, MACHINE_A, 0);
	while (clock_boot() < end) {
		uv_run(&loop, UV_RUN_NOWAIT);
		uv_run(&s->loop, UV_RUN_NOWAIT);
	}
	assert_true(f.accepted >= 1 && f.accepted <= 4); /* the first two may come at once */
	assert_int_equal(s->away, 1);
	store_close(s);
	uv_close((uv_handle_t *)&f.listener, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void people_find_names_and_counts_in_the_views(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	struct unit *u;

	submit_run(s, RUN_1, 7, "ended", "\"failed\"");
	u = unit_new(s);
	unit_add(u, TABLE_ATTEMPT, "2",
		"{\"run_id\":\"" RUN_1 "\",\"cell\":0,\"step\":0,\"number\":2,"
		"\"state\":\"ended\",\"outcome\":\"failed\",\"reason\":\"it broke\"}");
	unit_add(u, TABLE_NODE_RESULT, "m",
		"{\"run_id\":\"" RUN_1 "\",\"cell\":0,\"step\":0,\"attempt\":2,"
		"\"unique_id\":\"model.a.b\",\"status\":\"error\",\"execution_time\":2.5}");
	unit_submit(u);
	wait_for(s, &s->done, 2);
	assert_null(s->error);
	db_expect("SELECT run || cells || cells_not_ok FROM nightjar.run_history", "n#711");
	db_expect("SELECT cell || attempts FROM nightjar.cell_history", "n#7/build/staging2");
	db_expect("SELECT attempt || reason FROM nightjar.failures",
		"n#7/build/staging/build.2it broke");
	db_do("UPDATE nightjar.run SET created_at = now()");
	db_expect(
		"SELECT environment || median_seconds FROM nightjar.slowest_models", "staging2.5");
	store_close(s);
}

static void a_wrong_connection_string_is_an_error_with_a_sentence(void **state)
{
	struct pg_options options = {.conninfo = "hots=x", .machine = MACHINE_A, .host = "h"};
	struct pg_events events = {0};
	uv_loop_t loop;
	char *error = NULL;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_null(pg_new(&loop, &options, &events, &error));
	assert_non_null(strstr(error, "hots"));
	free(error);
	uv_loop_close(&loop);
}

static void a_leader_learns_jobs_open_and_red_runs_and_usual_durations(void **state)
{
	struct store *s = leader_open(MACHINE_A);
	cJSON *usual;

	for (unsigned i = 1; i <= 5; i++) {
		_cleanup_free_ char *id = xasprintf("10000000-0000-4000-8000-00000000000%u", i);

		submit_run(s, id, i, i == 5 ? "running" : "ended",
			i == 5	 ? "null"
			: i == 4 ? "\"failed\""
				 : "\"ok\"");
	}
	wait_for(s, &s->done, 5);
	store_close(s);
	s = leader_open(MACHINE_A);
	assert_string_equal(json_string(json_get(s->loaded, "jobs")->child, "name"), "n");
	assert_int_equal(cJSON_GetArraySize(json_get(s->loaded, "runs")), 1);
	assert_int_equal(cJSON_GetArraySize(json_get(s->loaded, "red")), 1);
	assert_int_equal(
		json_int(json_get(json_get(s->loaded, "runs")->child, "run"), "number", 0), 5);
	assert_int_equal(
		json_int(json_get(json_get(s->loaded, "red")->child, "run"), "number", 0), 4);
	assert_string_equal(
		json_string(json_get(s->loaded, "red")->child, "definition"), "the {definition}");
	usual = json_get(s->loaded, "usual")->child;
	assert_string_equal(json_string(usual, "job"), "n");
	assert_string_equal(json_string(usual, "cell"), "build/staging");
	assert_int_equal(json_int(usual, "ms", 0), 2500);
	assert_true(json_time(s->loaded, "now") > 1700000000 * USEC_SEC);
	assert_null(json_get(s->loaded, "open"));
	store_close(s);
}

static void a_report_reaches_the_leader_and_is_deleted_then(void **state)
{
	struct store *a = leader_open(MACHINE_A), *b = store_open(MACHINE_B);
	struct action_place place = {
		.run_id = RUN_1, .cell = 3, .step = 1, .attempt = 2, .action = "run"};
	_cleanup_json_ cJSON *status = cJSON_CreateObject();
	unsigned gone = 0;

	json_set_int(status, "exit_code", 4);
	wait_for(b, &b->lost, 1);
	b->port.report(b->port.self, &place, status);
	for (usec_t end = clock_boot() + PATIENCE; a->reports == 0 && clock_boot() < end;) {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		uv_run(&a->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(a->reports, 1);
	assert_non_null(strstr(a->report, "\"exit_code\":4"));
	for (usec_t end = clock_boot() + PATIENCE; !gone && clock_boot() < end;) {
		_cleanup_free_ char *n = NULL;

		uv_run(&a->loop, UV_RUN_ONCE);
		n = db_get("SELECT count(*) FROM nightjar.report");
		gone = n[0] == '0';
	}
	assert_int_equal(gone, 1);
	assert_int_equal(a->reports, 1);
	store_close(b);
	store_close(a);
}

static void what_waits_is_written_before_the_end(void **state)
{
	struct store *s = leader_open(MACHINE_A);

	for (unsigned i = 0; i < 30; i++) {
		_cleanup_free_ char *name = xasprintf("job-%u", i);

		submit_job(s, name, "");
	}
	store_close(s);
	db_expect("SELECT count(*) FROM nightjar.job", "30");
}

static void what_cannot_be_written_is_handed_back_at_the_end(void **state)
{
	struct store *s;

	control("stop");
	s = store_open(MACHINE_A);
	submit_job(s, "n", "");
	wait_for(s, &s->away, 1);
	assert_int_equal(s->done, 0);
	store_close(s);
	control("start");
	db_expect("SELECT to_regclass('nightjar.job') IS NULL", "t");
}

/* Rates, for a person who wants to know. */
static void rates(struct store *s, const char *what, unsigned units, unsigned at_once)
{
	usec_t begin = clock_boot();
	unsigned base = s->done, sent = 0;

	while (sent < units || s->done - base < units) {
		while (sent < units && sent - (s->done - base) < at_once) {
			_cleanup_free_ char *name = xasprintf("job-%u", sent++);

			submit_job(s, name, ",\"paused\":false,\"last_number\":7");
		}
		uv_run(&s->loop, UV_RUN_ONCE);
	}
	printf("%s: %.0f units/s\n", what,
		units / ((double)(clock_boot() - begin) / (double)USEC_SEC));
}

static void print_rates(void **state)
{
	struct store *s;

	if (!getenv("NIGHTJAR_TEST_RATES"))
		skip();
	s = leader_open(MACHINE_A);
	rates(s, "one at a time", 2000, 1);
	rates(s, "16 at once", 20000, 16);
	rates(s, "500 at once", 50000, 500);
	rates(s, "5000 at once", 50000, 5000);
	store_close(s);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh_schema)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_schema_is_made_once_and_each_start_is_a_new_epoch),
		TEST(a_newer_schema_is_refused_with_a_reason),
		TEST(a_run_is_written_and_read_back_in_all_ways),
		TEST(runs_come_newest_first_and_no_more_than_asked_for),
		TEST(a_slot_is_found_also_within_a_flood),
		TEST(units_of_one_turn_share_a_transaction),
		TEST(a_column_that_is_not_named_keeps_its_value),
		TEST(a_unit_written_twice_is_there_once),
		TEST(bad_units_are_set_aside_and_all_others_written),
		TEST(a_unit_with_ten_thousand_rows_is_one_transaction),
		TEST(the_fence_refuses_an_epoch_that_is_over),
		TEST(a_row_of_a_wrong_clock_is_taken_when_nothing_moves),
		TEST(a_second_daemon_waits_until_the_first_gives_up),
		TEST(a_stopped_leader_is_taken_over_and_writes_nothing_more),
		TEST(the_same_machine_takes_over_at_once),
		TEST(a_restart_of_the_server_loses_and_doubles_nothing),
		TEST(a_server_that_is_not_there_yet_is_waited_for),
		TEST(an_answer_that_is_overdue_breaks_the_connection),
		TEST(a_session_that_is_ended_comes_back_in_the_same_epoch),
		TEST(a_read_only_server_is_waited_for),
		TEST(hosts_are_resolved_and_tried_one_after_another),
		TEST(a_service_file_names_the_host),
		TEST(a_server_that_will_not_have_us_is_an_alarm),
		TEST(a_flapping_server_sees_at_most_one_connect_a_second),
		TEST(people_find_names_and_counts_in_the_views),
		TEST(a_wrong_connection_string_is_an_error_with_a_sentence),
		TEST(a_leader_learns_jobs_open_and_red_runs_and_usual_durations),
		TEST(a_report_reaches_the_leader_and_is_deleted_then),
		TEST(what_waits_is_written_before_the_end),
		TEST(what_cannot_be_written_is_handed_back_at_the_end),
		TEST(print_rates),
	};

	if (!getenv("NIGHTJAR_TEST_CONNINFO")) {
		printf("run by tests/with-postgres\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
