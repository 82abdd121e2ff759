#include "unit.h"
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/loop/clock.h"

struct fixture {
	uv_loop_t loop;
	struct open_count count;
	struct deferred deferred;
	struct clock clock;
	struct clock_port port;
	unsigned n_runs, n_wakes;
	bool closed;
	bool again;
};

static void on_run(void *arg)
{
	struct fixture *f = arg;

	f->n_runs++;
	if (f->again) {
		f->again = false;
		deferred_ask(&f->deferred);
	}
}

static void on_wake(void *arg)
{
	struct fixture *f = arg;

	f->n_wakes++;
	uv_stop(&f->loop);
}

static void on_closed(struct open_count *count)
{
	struct fixture *f = container_of(count, struct fixture, count);

	f->closed = true;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	uv_loop_init(&f->loop);
	deferred_init(&f->deferred, &f->loop, &f->count, on_run, f);
	assert_int_equal(clock_init(&f->clock, &f->loop, &f->count, on_wake, f), 0);
	clock_port(&f->clock, &f->port);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	deferred_close(&f->deferred, &f->count);
	clock_close(&f->clock);
	clock_close(&f->clock);
	open_count_close(&f->count, on_closed);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

static void what_is_asked_for_often_runs_once_a_turn(void **state)
{
	struct fixture *f = *state;

	deferred_ask(&f->deferred);
	deferred_ask(&f->deferred);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->n_runs, 1);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->n_runs, 1);
}

static void what_asks_while_it_runs_runs_again(void **state)
{
	struct fixture *f = *state;

	f->again = true;
	deferred_ask(&f->deferred);
	uv_run(&f->loop, UV_RUN_ONCE);
	uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->n_runs, 2);
}

static void the_clock_wakes_at_the_boot_instant(void **state)
{
	struct fixture *f = *state;
	usec_t at = f->port.boot(f->port.self) + 20 * USEC_MSEC;

	f->port.wake(f->port.self, at, USEC_INFINITY);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_wakes, 1);
	assert_true(f->port.boot(f->port.self) >= at);
}

static void the_clock_wakes_at_the_wall_instant_and_at_one_that_is_past(void **state)
{
	struct fixture *f = *state;
	usec_t at = f->port.now(f->port.self) + 20 * USEC_MSEC;

	f->port.wake(f->port.self, USEC_INFINITY, at);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_wakes, 1);
	assert_true(f->port.now(f->port.self) >= at);
	f->port.wake(f->port.self, USEC_INFINITY, at - USEC_HOUR);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_wakes, 2);
}

static void a_later_wish_replaces_an_earlier_one(void **state)
{
	struct fixture *f = *state;
	usec_t boot = f->port.boot(f->port.self);

	f->port.wake(f->port.self, boot + USEC_HOUR, USEC_INFINITY);
	f->port.wake(f->port.self, boot + USEC_MSEC, USEC_INFINITY);
	f->port.wake(f->port.self, boot + 30 * USEC_MSEC, USEC_INFINITY);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->n_wakes, 1);
	assert_true(f->port.boot(f->port.self) >= boot + 30 * USEC_MSEC);
}

struct job {
	struct work work;
	int value;
	bool done;
};

static void job_run(struct work *w)
{
	container_of(w, struct job, work)->value = 42;
}

static void job_done(struct work *w)
{
	container_of(w, struct job, work)->done = true;
}

static void a_job_runs_on_the_pool_and_is_counted(void **state)
{
	struct fixture *f = *state;
	struct job job = {0};
	unsigned before = f->count.n;

	work_start(&job.work, &f->loop, &f->count, job_run, job_done);
	assert_int_equal(f->count.n, before + 1);
	while (!job.done)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(job.value, 42);
	assert_int_equal(f->count.n, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		TEST(what_is_asked_for_often_runs_once_a_turn),
		TEST(what_asks_while_it_runs_runs_again),
		TEST(the_clock_wakes_at_the_boot_instant),
		TEST(the_clock_wakes_at_the_wall_instant_and_at_one_that_is_past),
		TEST(a_later_wish_replaces_an_earlier_one),
		TEST(a_job_runs_on_the_pool_and_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
