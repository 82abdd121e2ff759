/* Questions to a warehouse, against a real PostgreSQL: run it by tests/with-postgres. */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/unit/unit.h"
#include "base/memory.h"
#include "daemon/pg/query.h"

struct asker {
	uv_loop_t loop;
	struct queries *queries;
	struct query_port port;
	unsigned answered;
	bool closed;
};

struct question {
	struct query_call call;
	struct asker *asker;
	bool done;
	char *text, *error;
};

static void on_answered(void *arg)
{
	((struct asker *)arg)->answered++;
}

static void on_closed(void *arg)
{
	((struct asker *)arg)->closed = true;
}

static void asker_init(struct asker *a)
{
	*a = (struct asker){0};
	uv_loop_init(&a->loop);
	a->queries = queries_new(&a->loop, on_answered, a);
	queries_port(a->queries, &a->port);
}

static void asker_fini(struct asker *a)
{
	queries_close(a->queries, on_closed, a);
	assert_false(a->closed);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	assert_true(a->closed);
	assert_int_equal(uv_loop_close(&a->loop), 0);
}

static void on_done(struct query_call *call, const char *error, const char *text, size_t len)
{
	struct question *q = call->owner;

	assert_false(q->done);
	q->done = true;
	q->error = xstrdup(error);
	q->text = text ? xstrndup(text, len) : NULL;
}

static void ask(struct asker *a, struct question *q, const char *conninfo, const char *sql)
{
	*q = (struct question){
		.asker = a,
		.call =
			{
				.query =
					{
						.conninfo = xstrdup(conninfo),
						.sql = sql,
						.timeout = 20 * USEC_SEC,
						.cap = 1000,
					},
				.done = on_done,
				.owner = q,
			},
	};
	a->port.start(a->port.self, &q->call);
	assert_false(q->done);
}

static void wait_for(struct question *q)
{
	while (!q->done)
		uv_run(&q->asker->loop, UV_RUN_ONCE);
}

static void question_fini(struct question *q)
{
	kind_query_fini(&q->call.query);
	mask_set_free(q->call.mask);
	free(q->text);
	free(q->error);
}

static const char *here(void)
{
	return getenv("NIGHTJAR_TEST_CONNINFO");
}

static void a_question_is_answered_with_its_single_value(void **state)
{
	struct asker a;
	struct question q;
	size_t n = 0;

	asker_init(&a);
	ask(&a, &q, here(), "SELECT json_build_object('is', $1::text)");
	q.call.query.values = strv_add(NULL, &n, xstrdup("so"));
	wait_for(&q);
	assert_null(q.error);
	assert_string_equal(q.text, "{\"is\" : \"so\"}");
	assert_int_equal(a.answered, 1);
	question_fini(&q);
	asker_fini(&a);
}

static void the_name_of_a_host_is_resolved_outside_of_libpq(void **state)
{
	_cleanup_free_ char *conninfo =
		xasprintf("host=localhost port=%s", getenv("NIGHTJAR_TEST_PORT"));
	struct asker a;
	struct question q;

	asker_init(&a);
	ask(&a, &q, conninfo, "SELECT 'here'");
	wait_for(&q);
	assert_null(q.error);
	assert_string_equal(q.text, "here");
	question_fini(&q);
	asker_fini(&a);
}

static void expect_refusal(
	const char *conninfo, const char *sql, enum http_trouble trouble, const char *part)
{
	struct asker a;
	struct question q;

	asker_init(&a);
	ask(&a, &q, conninfo, sql);
	wait_for(&q);
	assert_null(q.text);
	assert_int_equal(q.call.trouble, trouble);
	if (!strstr(q.error, part))
		fail_msg("%s does not say: %s", q.error, part);
	question_fini(&q);
	asker_fini(&a);
}

static void nothing_can_be_written(void **state)
{
	PGconn *db = PQconnectdb(here());

	PQclear(PQexec(db, "CREATE SEQUENCE numbers"));
	expect_refusal(here(), "SELECT nextval('numbers')", HTTP_UNFIT, "read-only transaction");
	PQclear(PQexec(db, "DROP SEQUENCE numbers"));
	PQfinish(db);
}

static void what_is_no_single_value_is_no_answer(void **state)
{
	expect_refusal(here(), "SELECT generate_series(1, 3)", HTTP_UNFIT, "not one value");
	expect_refusal(here(), "SELECT 1 WHERE false", HTTP_UNFIT, "not one value");
	expect_refusal(here(), "SELECT NULL::text", HTTP_UNFIT, "not one value");
	expect_refusal(here(), "SELECT repeat('x', 2000)", HTTP_UNFIT, "too large");
	expect_refusal(here(), "SELECT nothing", HTTP_UNFIT, "does not exist");
}

static void what_cannot_be_reached_was_not_asked(void **state)
{
	expect_refusal("host=/nowhere", "SELECT 1", HTTP_UNSENT, "/nowhere");
	expect_refusal("host=127.0.0.1 port=1", "SELECT 1", HTTP_UNSENT, "refused");
	expect_refusal("host=/nowhere password=hunter2 secret", "SELECT 1", HTTP_UNFIT,
		"no libpq connection string");
}

static void a_sentence_never_quotes_a_secret(void **state)
{
	struct asker a;
	struct question q;

	asker_init(&a);
	ask(&a, &q, "host=/nowhere-correct-horse", "SELECT 1");
	q.call.mask = mask_set_new();
	mask_set_add_secret(q.call.mask, "correct-horse", strlen("correct-horse"));
	mask_set_build(q.call.mask);
	wait_for(&q);
	assert_null(strstr(q.error, "correct-horse"));
	assert_non_null(strstr(q.error, "***"));
	question_fini(&q);
	asker_fini(&a);
}

static int silent_server(uint16_t *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static void a_silent_server_costs_the_timeout_and_no_more(void **state)
{
	uint16_t port;
	int fd = silent_server(&port);
	_cleanup_free_ char *conninfo = xasprintf("host=127.0.0.1 port=%u", port);
	struct asker a;
	struct question q;

	asker_init(&a);
	ask(&a, &q, conninfo, "SELECT 1");
	q.call.query.timeout = 200 * USEC_MSEC;
	wait_for(&q);
	assert_int_equal(q.call.trouble, HTTP_TIMED_OUT);
	assert_string_equal(q.error, "no answer within 200ms");
	question_fini(&q);
	asker_fini(&a);
	close(fd);
}

static void a_slow_question_is_ended_on_the_server_too(void **state)
{
	struct asker a;
	struct question q;

	asker_init(&a);
	ask(&a, &q, here(), "SELECT pg_sleep(30)::text || 'x'");
	q.call.query.timeout = 300 * USEC_MSEC;
	wait_for(&q);
	assert_int_equal(q.call.trouble, HTTP_TIMED_OUT);
	question_fini(&q);
	asker_fini(&a);
}

static void many_wait_their_turn_and_are_all_answered(void **state)
{
	struct question q[30];
	struct asker a;

	asker_init(&a);
	for (size_t i = 0; i < ARRAY_SIZE(q); i++)
		ask(&a, &q[i], here(),
			"SELECT count(*)::text FROM pg_stat_activity, pg_sleep(0.02) WHERE state = "
			"'active' AND application_name = 'nightjard query'");
	for (size_t i = 0; i < ARRAY_SIZE(q); i++) {
		wait_for(&q[i]);
		assert_null(q[i].error);
		assert_in_range(atoi(q[i].text), 1, 8);
		question_fini(&q[i]);
	}
	asker_fini(&a);
}

static void cancelled_and_closed_ones_are_not_answered(void **state)
{
	struct question q[20];
	struct asker a;

	asker_init(&a);
	for (size_t i = 0; i < ARRAY_SIZE(q); i++)
		ask(&a, &q[i], here(), "SELECT pg_sleep(30)");
	for (int i = 0; i < 20; i++)
		uv_run(&a.loop, UV_RUN_NOWAIT);
	for (size_t i = 0; i < ARRAY_SIZE(q); i += 2)
		a.port.cancel(a.port.self, &q[i].call);
	asker_fini(&a);
	for (size_t i = 0; i < ARRAY_SIZE(q); i++) {
		assert_false(q[i].done);
		question_fini(&q[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_answered_with_its_single_value),
		cmocka_unit_test(the_name_of_a_host_is_resolved_outside_of_libpq),
		cmocka_unit_test(nothing_can_be_written),
		cmocka_unit_test(what_is_no_single_value_is_no_answer),
		cmocka_unit_test(what_cannot_be_reached_was_not_asked),
		cmocka_unit_test(a_sentence_never_quotes_a_secret),
		cmocka_unit_test(a_silent_server_costs_the_timeout_and_no_more),
		cmocka_unit_test(a_slow_question_is_ended_on_the_server_too),
		cmocka_unit_test(many_wait_their_turn_and_are_all_answered),
		cmocka_unit_test(cancelled_and_closed_ones_are_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
