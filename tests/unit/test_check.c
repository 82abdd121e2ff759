/* Checks over ports that the test answers by hand: what an answer means, when polls go out, what is
 * written, and what a reload and a load leave as it was. */
#include <string.h>
#include <syslog.h>
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"
#include "base/instant.h"
#include "core/check.h"
#include "core/operate.h"

#define START	 1767225600000000 /* 2026-01-01T00:00:00Z */
#define CALLS	 256
#define ROWS	 512
#define ENDPOINT "'url': 'http://mb/api/health', 'expect': {'status': 'ok'}"
#define ONE	 "'checks': [{'name': 'metabase', " ENDPOINT ", 'interval': '30s'}]"

#define HEAD "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'jobs': [], "

struct world {
	struct core *core;
	usec_t now, boot, wake_boot;
	uint64_t dice;
	usec_t lease;
	bool by_hand; /* answers are the test's business */
	struct http_call *calls[CALLS];
	size_t n_calls; /* out now */
	unsigned n_asked, n_cancelled, most;
	usec_t asked_at[CALLS];
	char url[256], header[256], method[16];
	int status; /* what is answered */
	const char *body, *error;
	struct secrets_request *secrets;
	const char *secret; /* NULL: there is none */
	cJSON *rows[ROWS];
	size_t n_rows;
	struct list units;
	struct store_read *read;
	char message[512], check[64], environment[64];
	int priority;
	unsigned n_notices;
};

/* --- ports -------------------------------------------------------------------------------- */

static usec_t port_now(void *self)
{
	return ((struct world *)self)->now;
}

static usec_t port_boot(void *self)
{
	return ((struct world *)self)->boot;
}

static void port_wake(void *self, usec_t boot, usec_t now)
{
	((struct world *)self)->wake_boot = boot;
}

static uint64_t port_random(void *self)
{
	uint64_t z = (((struct world *)self)->dice += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void port_submit(void *self, struct store_unit *unit)
{
	struct world *w = self;

	for (size_t i = 0; i < unit->n; i++)
		if (unit->rows[i].table == TABLE_CHECK_TRANSITION) {
			assert_true(w->n_rows < ROWS);
			w->rows[w->n_rows++] = cJSON_Parse(unit->rows[i].json);
		}
	list_append(&w->units, &unit->link);
}

static void port_read(void *self, struct store_read *read)
{
	((struct world *)self)->read = read;
}

static usec_t port_lease(void *self)
{
	return ((struct world *)self)->lease;
}

static void port_fetch(void *self, struct secrets_request *r)
{
	((struct world *)self)->secrets = r;
}

static void port_start(void *self, struct http_call *call)
{
	struct world *w = self;

	assert_true(w->n_calls < CALLS && w->n_asked < CALLS);
	w->asked_at[w->n_asked++] = w->boot;
	w->calls[w->n_calls++] = call;
	w->most = MAX(w->most, (unsigned)w->n_calls);
	snprintf(w->url, sizeof(w->url), "%s", call->request.url);
	snprintf(w->method, sizeof(w->method), "%s", call->request.method);
	snprintf(w->header, sizeof(w->header), "%s",
		call->request.headers ? call->request.headers[0] : "");
	assert_int_equal(call->request.cap, 1024 * 1024);
	assert_true(call->request.timeout > 0 && call->request.slow > 0);
}

static void port_cancel(void *self, struct http_call *call)
{
	struct world *w = self;
	size_t i = 0;

	while (w->calls[i] != call)
		i++;
	w->calls[i] = w->calls[--w->n_calls];
	w->n_cancelled++;
}

static void port_notice(void *self, const struct core_notice *n)
{
	struct world *w = self;

	if (n->event != EVENT_CHECK_CHANGED)
		return;
	snprintf(w->message, sizeof(w->message), "%s", n->message);
	snprintf(w->check, sizeof(w->check), "%s", n->check);
	snprintf(
		w->environment, sizeof(w->environment), "%s", n->environment ? n->environment : "");
	w->priority = n->priority;
	w->n_notices++;
}

/* --- the world ---------------------------------------------------------------------------- */

static void settle_units(struct world *w)
{
	while (!list_empty(&w->units)) {
		struct store_unit *u = list_entry(list_first(&w->units), struct store_unit, link);

		list_remove(&u->link);
		u->done(u, NULL);
	}
}

static void answer(struct world *w)
{
	struct http_call *call = w->calls[--w->n_calls];

	call->done(call, w->status, w->status ? NULL : w->error, w->status ? w->body : NULL,
		w->status ? strlen(w->body) : 0);
}

/* Time goes on; calls are answered as they come, unless by hand. */
static void go(struct world *w, usec_t span)
{
	usec_t until = w->boot + span;

	for (;;) {
		core_run(w->core);
		settle_units(w);
		if (!w->by_hand && w->n_calls) {
			answer(w);
			continue;
		}
		if (w->wake_boot > until)
			break;
		w->now += MAX(w->wake_boot - w->boot, 0);
		w->boot = MAX(w->wake_boot, w->boot);
	}
	w->now += until - w->boot;
	w->boot = until;
	core_run(w->core);
	settle_units(w);
}

static void configure(struct world *w, const char *text)
{
	struct spec_world world = help_world();
	char *json = xasprintf(HEAD "%s}", text);

	core_configure(w->core, help_load_in(&world, json), &world);
	free(json);
}

static struct world *begin(const char *text)
{
	struct world *w = xnew(struct world);
	struct core_ports ports = {
		.machine = "00000000-0000-4000-8000-000000000001",
		.boot_id = "00000000-0000-4000-8000-000000000002",
		.clock = {w, port_now, port_boot, port_wake},
		.random = {w, port_random},
		.store = {.self = w, .submit = port_submit, .read = port_read, .lease = port_lease},
		.secrets = {w, port_fetch},
		.http = {w, port_start, port_cancel},
		.observer = {w, port_notice},
	};

	w->now = START;
	w->boot = 1000 * USEC_SEC;
	w->lease = USEC_INFINITY;
	w->status = 200;
	w->body = "{\"status\":\"ok\"}";
	list_init(&w->units);
	w->core = core_new(&ports);
	configure(w, text);
	return w;
}

static void store_ready(struct world *w, const char *checks)
{
	_cleanup_free_ char *text = xasprintf("{'jobs':[],'runs':[],'checks':[%s]}", checks);
	_cleanup_json_ cJSON *loaded = NULL;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	loaded = cJSON_Parse(text);
	assert_non_null(loaded);
	core_store_ready(w->core, 1, loaded);
	core_run(w->core);
	settle_units(w);
}

static struct world *begin_ready(const char *text)
{
	struct world *w = begin(text);

	store_ready(w, "");
	return w;
}

static void end(struct world *w)
{
	settle_units(w);
	core_free(w->core);
	for (size_t i = 0; i < w->n_rows; i++)
		cJSON_Delete(w->rows[i]);
	free(w);
}

/* The state of the first check, and what is said of it. */
static const char *state(const struct world *w)
{
	return check_state_name(w->core->checks[0]->now.state);
}

static const char *surely(const struct world *w)
{
	return check_state_name(check_state_now(w->core->checks[0]));
}

static void assert_view(const struct world *w, const char *key, const char *want)
{
	_cleanup_json_ cJSON *o = core_view_checks(w->core);
	const cJSON *c = cJSON_GetArrayItem(json_get(o, "checks"), 0);
	_cleanup_free_ char *text = json_print(json_get(c, key));

	assert_string_equal(text, want);
}

static void answers(struct world *w, int status, const char *body)
{
	w->status = status;
	w->body = body;
}

static void no_answer(struct world *w, const char *error)
{
	w->status = 0;
	w->error = error;
}

static void assert_row(
	const struct world *w, size_t i, const char *want_state, const char *detail, bool ended)
{
	assert_true(i < w->n_rows);
	assert_string_equal(json_string(w->rows[i], "state"), want_state);
	if (detail)
		assert_string_equal(json_string(w->rows[i], "detail"), detail);
	else
		assert_null(json_string(w->rows[i], "detail"));
	assert_int_equal(json_time(w->rows[i], "ended_at") != 0, ended);
}

#define OK	     "{\"status\":\"ok\"}"
#define INITIALIZING "{\"status\":\"initializing\",\"progress\":0.4}"

/* --- what answers mean -------------------------------------------------------------------- */

static void an_answer_is_what_it_says(void **unused)
{
	static const struct {
		int status;
		const char *body, *state, *reason, *progress;
	} table[] = {
		{200, OK, "up", "null", "null"},
		{200, "{\"status\":\"ok\",\"more\":1}", "up", "null", "null"},
		{503, INITIALIZING, "starting", "\"it is initializing, 40 %\"", "0.4"},
		{503, "{\"status\":\"initializing\"}", "starting", "\"it is initializing\"",
			"null"},
		{503, "{\"status\":\"initializing\",\"progress\":7}", "starting",
			"\"it is initializing, 100 %\"", "1"},
		{503, "{\"status\":\"initializing\",\"progress\":\"x\"}", "starting",
			"\"it is initializing\"", "null"},
		{503, "Metabase is still initializing. Please sit tight...", "starting",
			"\"it is initializing\"", "null"},
		{503, "{\"status\":\"Unable to get app-db connection\"}", "down",
			"\"503 instead of 2xx: {\\\"status\\\":\\\"Unable to get app-db "
			"connection\\\"}\"",
			"null"},
		{200, INITIALIZING, "down", "\"status is \\\"initializing\\\", not \\\"ok\\\"\"",
			"null"},
		{500, INITIALIZING, "down",
			"\"500 instead of 2xx: "
			"{\\\"status\\\":\\\"initializing\\\",\\\"progress\\\":0.4}\"",
			"null"},
		{302, "", "down", "\"302 instead of 2xx (redirects are not followed)\"", "null"},
		{200, "<html>", "down", "\"the answer is no JSON\"", "null"},
		{0, NULL, "down", "\"mb:80: connection refused\"", "null"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct world *w = begin_ready(ONE);

		answers(w, table[i].status, table[i].body);
		w->error = "mb:80: connection refused";
		go(w, 5 * USEC_MINUTE);
		assert_string_equal(state(w), table[i].state);
		assert_view(w, "reason", table[i].reason);
		assert_view(w, "progress", table[i].progress);
		end(w);
	}
}

static void codes_and_text_are_expected_too(void **unused)
{
	struct world *w = begin_ready("'checks': [{'name': 'c', 'url': 'http://x/', "
				      "'codes': [204, 503], 'text': 'fine', 'method': 'POST'}]");

	answers(w, 503, "all is fine");
	go(w, USEC_MINUTE);
	assert_string_equal(state(w), "up");
	assert_string_equal(w->method, "POST");
	answers(w, 200, "all is fine");
	go(w, 5 * USEC_MINUTE);
	assert_string_equal(state(w), "down");
	assert_view(w, "reason", "\"200 instead of 204 or 503: all is fine\"");
	end(w);
}

/* --- fall and rise ------------------------------------------------------------------------ */

static void the_first_good_answer_makes_it_up_and_the_first_bad_ones_leave_it_unknown(void **unused)
{
	struct world *w = begin_ready(ONE);

	assert_string_equal(state(w), "unknown");
	assert_view(w, "reason", "\"it has not been asked yet\"");
	no_answer(w, "refused");
	go(w, USEC_SEC);
	assert_int_equal(w->n_asked, 1);
	assert_string_equal(state(w), "unknown");
	assert_view(w, "reason", "\"refused\"");
	answers(w, 200, OK);
	go(w, 34 * USEC_SEC);
	assert_int_equal(w->n_asked, 2);
	assert_string_equal(state(w), "up");
	end(w);
}

/* Each poll of the row is one answer: g good, b bad, s starting. */
static void it_falls_and_rises_after_so_many_in_a_row(void **unused)
{
	static const struct {
		const char *polls, *states; /* u up, d down, s starting, - unknown */
	} table[] = {
		{"ggg", "uuu"},
		{"bbbbggb", "--ddduu"},
		{"gbbgbbgbbb", "uuuuuuuuud"},
		{"gbbbgg", "uuuddu"},
		{"gbbbgbgg", "uuuddddu"},
		{"gsgg", "ussu"},
		{"gssbbb", "ussssd"},
		{"s", "s"},
		{"bsbbb", "-sssd"},
		{"gbsgg", "uussu"},
	};
	static const char letters[] = {
		[CHECK_UNKNOWN] = '-',
		[CHECK_UP] = 'u',
		[CHECK_DOWN] = 'd',
		[CHECK_STARTING] = 's',
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct world *w = begin_ready(ONE);
		char seen[32] = "";

		w->by_hand = true;
		for (const char *p = table[i].polls; *p; p++) {
			while (!w->n_calls)
				go(w, USEC_SEC);
			answers(w,
				*p == 'g'   ? 200
				: *p == 's' ? 503
					    : 500,
				*p == 's' ? INITIALIZING : OK);
			answer(w);
			seen[p - table[i].polls] = letters[w->core->checks[0]->now.state];
		}
		assert_string_equal(seen, table[i].states);
		end(w);
	}
}

static void a_failing_check_says_how_near_it_is_to_another_state(void **unused)
{
	struct world *w = begin_ready(ONE);

	w->by_hand = true;
	go(w, USEC_SEC);
	answer(w);
	go(w, 34 * USEC_SEC);
	no_answer(w, "refused");
	answer(w);
	assert_view(w, "reason", "\"1 bad answer, 3 make it down: refused\"");
	for (int i = 0; i < 2; i++) {
		go(w, 34 * USEC_SEC);
		answer(w);
	}
	assert_view(w, "reason", "\"refused\"");
	go(w, 34 * USEC_SEC);
	answers(w, 200, OK);
	answer(w);
	assert_string_equal(state(w), "down");
	assert_view(w, "reason", "\"1 good answer, 2 make it up\"");
	end(w);
}

/* --- when --------------------------------------------------------------------------------- */

static void an_interval_is_kept_within_a_tenth(void **unused)
{
	struct world *w = begin_ready(ONE);
	usec_t least = USEC_INFINITY, most = 0;

	go(w, 100 * 30 * USEC_SEC);
	assert_in_range(w->n_asked, 95, 106);
	for (unsigned i = 1; i < w->n_asked; i++) {
		usec_t span = w->asked_at[i] - w->asked_at[i - 1];

		least = MIN(least, span);
		most = MAX(most, span);
	}
	assert_in_range(least, 27 * USEC_SEC, 28 * USEC_SEC);
	assert_in_range(most, 32 * USEC_SEC, 33 * USEC_SEC);
	end(w);
}

static void a_hundred_checks_do_not_go_out_at_once(void **unused)
{
	_cleanup_buf_ struct buf text = BUF_NULL;
	struct world *w;

	for (int i = 0; i < 100; i++)
		buf_printf(&text, "%s{'name': 'c%d', " ENDPOINT "}", i ? ", " : "'checks': [", i);
	buf_puts(&text, "]");
	w = begin_ready(buf_str(&text));
	w->by_hand = true;
	go(w, 6 * USEC_SEC);
	assert_int_equal(w->n_asked, 100);
	for (unsigned i = 10; i < 100; i++)
		assert_true(w->asked_at[i] - w->asked_at[i - 10] > 20 * USEC_MSEC);
	end(w);
}

static void nothing_happens_where_there_is_no_check_and_nothing_beyond_the_interval(void **unused)
{
	struct world *w = begin_ready("'max_attempts': 8");

	go(w, USEC_SEC);
	assert_true(w->wake_boot == USEC_INFINITY);
	end(w);
	w = begin_ready(ONE);
	go(w, USEC_SEC);
	assert_true(w->wake_boot - w->boot > 25 * USEC_SEC);
	end(w);
}

static void an_endpoint_that_hangs_is_asked_once_at_a_time(void **unused)
{
	struct world *w = begin_ready(ONE);

	w->by_hand = true;
	go(w, 10 * USEC_MINUTE);
	assert_int_equal(w->n_asked, 1);
	no_answer(w, "no answer in 5s");
	answer(w);
	go(w, 4 * USEC_SEC);
	assert_int_equal(w->n_asked, 2);
	assert_int_equal(w->most, 1);
	end(w);
}

static void what_may_have_an_effect_waits_for_the_lease(void **unused)
{
	struct world *w =
		begin_ready("'checks': [{'name': 'p', 'url': 'http://x/', 'method': 'POST'},"
			    "{'name': 'g', 'url': 'http://x/', 'method': 'HEAD'}]");

	w->lease = 0;
	go(w, 2 * USEC_MINUTE);
	assert_string_equal(state(w), "unknown");
	assert_int_equal(w->core->checks[1]->now.state, CHECK_UP);
	w->lease = USEC_INFINITY;
	go(w, 40 * USEC_SEC);
	assert_string_equal(state(w), "up");
	end(w);
}

/* --- secrets ------------------------------------------------------------------------------ */

#define WITH_SECRET                                                                                \
	"'environments': {'staging': {'vars': {'A': '${vars.B}', 'B': '${secret.KEY}'},"           \
	" 'metabase': {'url': 'http://staging', 'api_key': '${secret.MB}'}}},"                     \
	"'checks': [{'name': 'metabase', 'environments': ['staging'],"                             \
	" 'url': '${metabase.url}/x', 'headers': {'X-Key': '${metabase.api_key} ${vars.A}'}}]"

static void give_secrets(struct world *w)
{
	struct secrets_request *r = TAKE_PTR(w->secrets);
	char **values = xcalloc(3, sizeof(*values));

	assert_non_null(r);
	assert_string_equal(r->environment, "staging");
	assert_string_equal(r->names[0], "KEY");
	assert_string_equal(r->names[1], "MB");
	assert_null(r->names[2]);
	values[0] = xstrdup("key-of-the-warehouse");
	values[1] = xstrdup("key-of-metabase");
	r->done(r, NULL, values);
}

static void secrets_are_read_for_each_poll_and_masked(void **unused)
{
	struct world *w = begin_ready(WITH_SECRET);

	answers(w, 500, "I am key-of-metabase");
	for (int i = 0; i < 3; i++) {
		go(w, 34 * USEC_SEC);
		give_secrets(w);
		assert_string_equal(w->url, "http://staging/x");
		assert_string_equal(w->header, "X-Key: key-of-metabase key-of-the-warehouse");
		answer(w);
	}
	assert_string_equal(state(w), "down");
	assert_string_equal(
		w->message, "check metabase of staging is down: 500 instead of 2xx: I am ***");
	go(w, USEC_SEC);
	assert_row(w, 0, "down", "500 instead of 2xx: I am ***", false);
	end(w);
}

static void a_secret_that_is_not_there_is_a_bad_answer_that_names_it(void **unused)
{
	struct world *w = begin_ready(WITH_SECRET);

	for (int i = 0; i < 3; i++) {
		struct secrets_request *r;

		go(w, 34 * USEC_SEC);
		r = TAKE_PTR(w->secrets);
		r->done(r, "there is no secret staging.MB", NULL);
	}
	assert_int_equal(w->n_asked, 0);
	assert_string_equal(state(w), "down");
	assert_view(w, "reason", "\"there is no secret staging.MB\"");
	end(w);
}

static void secrets_that_come_too_late_are_not_used(void **unused)
{
	struct world *w = begin_ready(WITH_SECRET);

	go(w, USEC_SEC);
	configure(w, "'max_attempts': 8");
	give_secrets(w);
	assert_int_equal(w->n_asked, 0);
	assert_int_equal(w->core->n_checks, 0);
	end(w);
}

/* --- what is told and written ------------------------------------------------------------- */

static void a_change_is_told_and_written_with_its_end(void **unused)
{
	struct world *w = begin_ready(WITH_SECRET);

	go(w, USEC_SEC);
	give_secrets(w);
	go(w, USEC_SEC);
	assert_string_equal(w->message, "check metabase of staging is up");
	assert_string_equal(w->check, "metabase");
	assert_string_equal(w->environment, "staging");
	assert_int_equal(w->priority, LOG_NOTICE);
	assert_int_equal(w->n_rows, 1);
	assert_row(w, 0, "up", NULL, false);
	assert_string_equal(json_string(w->rows[0], "name"), "metabase");
	assert_string_equal(json_string(w->rows[0], "environment"), "staging");
	no_answer(w, "refused");
	for (int i = 0; i < 3; i++) {
		go(w, 34 * USEC_SEC);
		give_secrets(w);
		go(w, 0);
	}
	assert_int_equal(w->priority, LOG_WARNING);
	assert_non_null(
		strstr(w->message, "metabase of staging is down: refused; it was up for 1m 4"));
	assert_int_equal(w->n_rows, 3);
	assert_row(w, 1, "up", NULL, true);
	assert_row(w, 2, "down", "refused", false);
	assert_int_equal(json_time(w->rows[1], "at"), json_time(w->rows[0], "at"));
	assert_int_equal(json_time(w->rows[1], "ended_at"), json_time(w->rows[2], "at"));
	assert_int_equal(w->n_notices, 2);
	end(w);
}

static void what_changed_while_the_store_was_away_is_written_later(void **unused)
{
	struct world *w = begin_ready(ONE);

	go(w, USEC_SEC);
	assert_int_equal(w->n_rows, 1);
	core_store_away(w->core, "gone");
	no_answer(w, "refused");
	go(w, 2 * USEC_MINUTE);
	answers(w, 200, OK);
	go(w, 2 * USEC_MINUTE);
	assert_string_equal(state(w), "up");
	assert_int_equal(w->n_rows, 1);
	core_store_ready(w->core, 1, NULL);
	go(w, USEC_SEC);
	assert_int_equal(w->n_rows, 4);
	assert_row(w, 1, "up", NULL, true);
	assert_row(w, 2, "down", "refused", true);
	assert_row(w, 3, "up", NULL, false);
	end(w);
}

static void a_store_that_is_away_for_long_costs_no_memory_without_end(void **unused)
{
	struct world *w = begin("'checks': [{'name': 'c', 'url': 'http://x/', 'fall': 1, 'rise': 1,"
				" 'interval': '1s'}]");

	for (int i = 0; i < 200; i++) {
		answers(w, i % 2 ? 500 : 200, "");
		w->n_asked = 0;
		go(w, 1200 * USEC_MSEC);
	}
	assert_in_range(w->core->checks[0]->n_unwritten, 60, 64);
	store_ready(w, "");
	assert_int_equal(w->core->checks[0]->n_unwritten, 0);
	assert_in_range(w->n_rows, 60, 64);
	end(w);
}

/* --- the load ----------------------------------------------------------------------------- */

#define LOADED(state, at)                                                                          \
	"{'name': 'metabase', 'environment': '', 'state': '" state "', 'at': '" at "',"            \
	" 'detail': 'refused', 'ended_at': null}"

static void what_was_loaded_is_shown_until_the_first_answer_and_opens_no_gate(void **unused)
{
	struct world *w = begin(ONE);

	w->by_hand = true;
	store_ready(w, LOADED("up", "2025-12-31T20:00:00Z"));
	assert_string_equal(state(w), "up");
	assert_string_equal(surely(w), "unknown");
	assert_view(w, "since", "\"2025-12-31T20:00:00.000000Z\"");
	go(w, USEC_SEC);
	answer(w);
	assert_string_equal(surely(w), "up");
	assert_view(w, "since", "\"2025-12-31T20:00:00.000000Z\"");
	assert_int_equal(w->n_rows, 0);
	assert_int_equal(w->n_notices, 0);
	end(w);
}

static void a_change_since_the_load_is_written_after_what_was_loaded(void **unused)
{
	struct world *w = begin(ONE);

	w->by_hand = true;
	store_ready(w, LOADED("down", "2025-12-31T20:00:00Z"));
	go(w, USEC_SEC);
	answer(w);
	go(w, USEC_SEC);
	assert_string_equal(surely(w), "up");
	assert_int_equal(w->n_rows, 2);
	assert_row(w, 0, "down", "refused", true);
	assert_string_equal(json_string(w->rows[0], "at"), "2025-12-31T20:00:00.000000Z");
	assert_row(w, 1, "up", NULL, false);
	end(w);
}

static void one_bad_answer_is_enough_where_it_was_down_before(void **unused)
{
	struct world *w = begin(ONE);

	store_ready(w, LOADED("down", "2025-12-31T20:00:00Z"));
	no_answer(w, "refused");
	go(w, USEC_SEC);
	assert_int_equal(w->n_asked, 1);
	assert_string_equal(surely(w), "down");
	assert_int_equal(w->n_rows, 0);
	end(w);
}

static void what_was_seen_before_the_load_goes_on_with_it_or_follows_it(void **unused)
{
	struct world *w = begin(ONE);

	go(w, USEC_MINUTE);
	assert_string_equal(surely(w), "up");
	store_ready(w, LOADED("up", "2025-12-31T20:00:00Z"));
	assert_view(w, "since", "\"2025-12-31T20:00:00.000000Z\"");
	assert_int_equal(w->n_rows, 1);
	assert_string_equal(json_string(w->rows[0], "at"), "2025-12-31T20:00:00.000000Z");
	end(w);

	w = begin(ONE);
	go(w, USEC_MINUTE);
	store_ready(w, LOADED("starting", "2025-12-31T20:00:00Z"));
	assert_int_equal(w->n_rows, 2);
	assert_row(w, 0, "starting", "refused", true);
	assert_row(w, 1, "up", NULL, false);
	assert_string_equal(json_string(w->rows[0], "ended_at"), json_string(w->rows[1], "at"));
	end(w);
}

static void a_check_that_nobody_has_any_more_is_over(void **unused)
{
	struct world *w = begin_ready(ONE);

	go(w, USEC_SEC);
	configure(w, "'max_attempts': 8");
	go(w, USEC_SEC);
	assert_int_equal(w->core->n_checks, 0);
	assert_row(w, 1, "up", NULL, true);
	end(w);

	w = begin("'max_attempts': 8");
	store_ready(w, LOADED("up", "2025-12-31T20:00:00Z"));
	assert_int_equal(w->n_rows, 1);
	assert_row(w, 0, "up", "refused", true);
	end(w);
}

static void another_daemon_that_leads_does_the_polling(void **unused)
{
	struct world *w = begin_ready(ONE);
	unsigned before;

	w->by_hand = true;
	go(w, USEC_SEC);
	core_store_lost(w->core, "the other");
	assert_int_equal(w->n_cancelled, 1);
	before = w->n_asked;
	go(w, USEC_HOUR);
	assert_int_equal(w->n_asked, before);
	assert_string_equal(surely(w), "unknown");
	w->by_hand = false;
	store_ready(w, LOADED("down", "2025-12-31T23:00:00Z"));
	go(w, USEC_SEC);
	assert_string_equal(surely(w), "up");
	assert_row(w, 0, "down", "refused", true);
	end(w);
}

/* --- reload ------------------------------------------------------------------------------- */

static void a_reload_leaves_an_unchanged_check_as_it_was(void **unused)
{
	struct world *w = begin_ready(ONE);
	usec_t next;

	go(w, USEC_SEC);
	next = w->wake_boot;
	configure(w, "'checks': [{'name': 'other', 'url': 'http://y/'},"
		     "{'name': 'metabase', " ENDPOINT ", 'interval': '30s'}]");
	assert_string_equal(w->core->checks[1]->name, "metabase");
	assert_int_equal(check_state_now(w->core->checks[1]), CHECK_UP);
	assert_int_equal(w->core->checks[1]->timer.node.key, next);
	assert_int_equal(w->core->checks[0]->now.state, CHECK_UNKNOWN);
	end(w);
}

static void a_reload_that_changes_a_check_asks_anew(void **unused)
{
	struct world *w = begin_ready(ONE);

	go(w, USEC_SEC);
	w->by_hand = true;
	configure(w, "'checks': [{'name': 'metabase', 'url': 'http://new/', 'interval': '1h'}]");
	assert_string_equal(state(w), "up");
	assert_string_equal(surely(w), "unknown");
	go(w, USEC_SEC);
	assert_string_equal(w->url, "http://new/");
	answer(w);
	assert_string_equal(surely(w), "up");
	configure(w, "'checks': [{'name': 'metabase', 'url': 'http://new/', 'interval': '10s'}]");
	assert_string_equal(surely(w), "up");
	go(w, 12 * USEC_SEC);
	assert_int_equal(w->n_asked, 3);
	configure(w, "'checks': [{'name': 'metabase', 'url': 'http://newer/', 'interval': '10s'}]");
	assert_int_equal(w->n_cancelled, 1);
	end(w);
}

static void a_var_that_changes_changes_the_check(void **unused)
{
#define OF(url)                                                                                    \
	"'environments': {'a': {'metabase': {'url': '" url                                         \
	"', 'api_key': 'x'}}, 'b': {'metabase': {'url': 'http://b', 'api_key': 'x'}}},"            \
	"'checks': [{'name': 'm', 'environments': ['a', 'b'], 'url': '${metabase.url}/'}]"
	struct world *w = begin_ready(OF("http://a"));

	go(w, USEC_SEC);
	assert_int_equal(w->n_asked, 2);
	configure(w, OF("http://c"));
	go(w, USEC_SEC);
	assert_int_equal(w->n_asked, 3);
	assert_string_equal(w->url, "http://c/");
	end(w);
}

/* --- those who wait ----------------------------------------------------------------------- */

#define JOB                                                                                        \
	"'environments': {'staging': {'vars': {}}},"                                               \
	"'checks': [{'name': 'old', 'url': 'http://old/', 'interval': '10s'}],"                    \
	"'jobs': [{'name': 'j', 'environment': 'staging', 'stages': [{'name': 'a', 'steps': "      \
	"[{'name': 's', 'run': ['true'], 'gate': {'check': 'old'}}]}]}]}"

static void a_check_that_only_a_run_has_is_polled_while_somebody_waits(void **unused)
{
	struct spec *spec = help_load("{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, " JOB);
	struct run run = {.def = spec->jobs[0]};
	struct world *w = begin_ready("'max_attempts': 8");
	_cleanup_free_ char *said = NULL;

	check_watch(w->core, &run, "old", "staging");
	check_watch(w->core, &run, "old", "staging");
	assert_int_equal(check_state(w->core, &run, "old", "staging"), CHECK_UNKNOWN);
	no_answer(w, "refused");
	go(w, USEC_MINUTE);
	assert_int_equal(check_state(w->core, &run, "old", "staging"), CHECK_DOWN);
	said = check_describe(w->core, "old", "staging");
	assert_string_equal(said, "old is down since 00:00Z: refused");
	configure(w, "'max_attempts': 4");
	check_unwatch(w->core, "old", "staging");
	go(w, USEC_MINUTE);
	assert_int_equal(w->core->n_checks, 1);
	check_unwatch(w->core, "old", "staging");
	assert_int_equal(w->core->n_checks, 0);
	go(w, USEC_MINUTE);
	assert_row(w, w->n_rows - 1, "down", "refused", true);
	end(w);
	spec_free(spec);
}

/* --- what readers see --------------------------------------------------------------------- */

struct asked {
	struct core_op op;
	cJSON *result;
};

static void asked_done(
	struct core_op *op, enum core_error error, const char *message, cJSON *take_result)
{
	struct asked *a = container_of(op, struct asked, op);

	assert_int_equal(error, CORE_OK);
	a->result = take_result;
}

static void the_past_is_memory_over_the_store(void **unused)
{
	struct world *w = begin_ready(ONE);
	struct asked a = {.op = {.done = asked_done}};
	_cleanup_free_ char *text = NULL;
	const cJSON *list;

	go(w, USEC_SEC);
	core_list_checks(w->core, &a.op, 2);
	assert_int_equal(w->read->type, READ_TRANSITIONS);
	w->read->done(w->read, NULL,
		cJSON_Parse("{\"transitions\":["
			    "{\"name\":\"metabase\",\"environment\":\"\",\"state\":\"up\","
			    "\"at\":\"2026-01-01T00:30:00Z\"},"
			    "{\"name\":\"metabase\",\"environment\":\"x\",\"state\":\"up\","
			    "\"at\":\"2025-12-31T00:30:00Z\"},"
			    "{\"name\":\"metabase\",\"environment\":\"\",\"state\":\"down\","
			    "\"at\":\"2025-12-30T00:00:00Z\",\"detail\":\"refused\","
			    "\"ended_at\":\"2026-01-01T00:00:00Z\"},"
			    "{\"name\":\"metabase\",\"environment\":\"\",\"state\":\"up\","
			    "\"at\":\"2025-12-29T00:00:00Z\"}]}"));
	list = json_get(cJSON_GetArrayItem(json_get(a.result, "checks"), 0), "transitions");
	assert_int_equal(cJSON_GetArraySize(list), 2);
	assert_string_equal(json_string(cJSON_GetArrayItem(list, 0), "state"), "up");
	text = json_print(cJSON_GetArrayItem(list, 1));
	assert_string_equal(text,
		"{\"state\":\"down\",\"at\":\"2025-12-30T00:00:00.000000Z\","
		"\"ended_at\":\"2026-01-01T00:00:00.000000Z\",\"reason\":\"refused\"}");
	cJSON_Delete(a.result);
	core_list_checks(w->core, &a.op, 2);
	w->read->done(w->read, "the store is away", NULL);
	list = json_get(cJSON_GetArrayItem(json_get(a.result, "checks"), 0), "transitions");
	assert_int_equal(cJSON_GetArraySize(list), 1);
	cJSON_Delete(a.result);
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_what_it_says),
		cmocka_unit_test(codes_and_text_are_expected_too),
		cmocka_unit_test(
			the_first_good_answer_makes_it_up_and_the_first_bad_ones_leave_it_unknown),
		cmocka_unit_test(it_falls_and_rises_after_so_many_in_a_row),
		cmocka_unit_test(a_failing_check_says_how_near_it_is_to_another_state),
		cmocka_unit_test(an_interval_is_kept_within_a_tenth),
		cmocka_unit_test(a_hundred_checks_do_not_go_out_at_once),
		cmocka_unit_test(
			nothing_happens_where_there_is_no_check_and_nothing_beyond_the_interval),
		cmocka_unit_test(an_endpoint_that_hangs_is_asked_once_at_a_time),
		cmocka_unit_test(what_may_have_an_effect_waits_for_the_lease),
		cmocka_unit_test(secrets_are_read_for_each_poll_and_masked),
		cmocka_unit_test(a_secret_that_is_not_there_is_a_bad_answer_that_names_it),
		cmocka_unit_test(secrets_that_come_too_late_are_not_used),
		cmocka_unit_test(a_change_is_told_and_written_with_its_end),
		cmocka_unit_test(what_changed_while_the_store_was_away_is_written_later),
		cmocka_unit_test(a_store_that_is_away_for_long_costs_no_memory_without_end),
		cmocka_unit_test(what_was_loaded_is_shown_until_the_first_answer_and_opens_no_gate),
		cmocka_unit_test(a_change_since_the_load_is_written_after_what_was_loaded),
		cmocka_unit_test(one_bad_answer_is_enough_where_it_was_down_before),
		cmocka_unit_test(what_was_seen_before_the_load_goes_on_with_it_or_follows_it),
		cmocka_unit_test(a_check_that_nobody_has_any_more_is_over),
		cmocka_unit_test(another_daemon_that_leads_does_the_polling),
		cmocka_unit_test(a_reload_leaves_an_unchanged_check_as_it_was),
		cmocka_unit_test(a_reload_that_changes_a_check_asks_anew),
		cmocka_unit_test(a_var_that_changes_changes_the_check),
		cmocka_unit_test(a_check_that_only_a_run_has_is_polled_while_somebody_waits),
		cmocka_unit_test(the_past_is_memory_over_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
