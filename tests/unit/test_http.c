/* The kind `http`: what it asks for, and how it judges what comes back. */
#include "unit.h"
#include "kinds/kind_table.h"
#include "kinds_fixture.h"

/* A machine that has begun and whose call is out. */
struct play {
	struct node *params;
	struct kind_context ctx;
	void *machine;
	struct kind_command begun;
	struct kind_request request;
};

static void begin(struct play *p, const char *params)
{
	struct kind_event event = {.type = KIND_BEGIN};

	*p = (struct play){.params = fixture_params(params)};
	p->ctx = fixture_context(p->params);
	p->machine = kind_http.new(&p->ctx);
	kind_http.next(p->machine, &p->ctx, &event, &p->begun);
}

static void call(struct play *p, const char *params)
{
	char *error = NULL;

	begin(p, params);
	assert_int_equal(p->begun.type, KIND_HTTP);
	assert_string_equal(p->begun.action, "call");
	assert_int_equal(kind_http.request(p->machine, &p->ctx, "call", &p->request, &error), 0);
}

static void end(struct play *p)
{
	kind_http.free(p->machine);
	kind_request_fini(&p->request);
	command_fini(&p->begun);
	node_free(p->params);
}

static void the_step_becomes_a_request(void **state)
{
	struct play p;

	call(&p, "{\"url\":\"http://h/${matrix.x}\",\"method\":\"PUT\",\"body\":\"[1]\","
		 "\"headers\":{\"A\":\"${matrix.y}\",\"N\":5}}");
	assert_false(p.begun.repeatable);
	assert_string_equal(p.request.url, "http://h/the-x");
	assert_string_equal(p.request.method, "PUT");
	assert_string_equal(p.request.body, "[1]");
	assert_int_equal(strv_length(p.request.headers), 3);
	assert_string_equal(p.request.headers[0], "A: the-y");
	assert_string_equal(p.request.headers[1], "N: 5");
	assert_string_equal(p.request.headers[2], "Content-Type: application/json");
	assert_int_equal(p.request.timeout, USEC_HOUR);
	assert_int_equal(p.request.cap, 1024 * 1024);
	end(&p);
}

static void only_get_and_head_are_repeatable(void **state)
{
	static const struct {
		const char *params;
		bool repeatable;
	} table[] = {
		{"{\"url\":\"http://h\"}", true},
		{"{\"url\":\"http://h\",\"method\":\"HEAD\"}", true},
		{"{\"url\":\"http://h\",\"method\":\"POST\"}", false},
		{"{\"url\":\"http://h\",\"method\":\"DELETE\"}", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct play p;

		call(&p, table[i].params);
		assert_int_equal(p.begun.repeatable, table[i].repeatable);
		end(&p);
	}
}

static void a_method_that_is_none_fails_before_any_call(void **state)
{
	static const char *const table[] = {"", "get", "GET /", "G\\r\\nX: 1", "ABCDEFGHIJKLMNOPQ"};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *params =
			xasprintf("{\"url\":\"http://h\",\"method\":\"%s\"}", table[i]);
		struct play p;

		begin(&p, params);
		assert_int_equal(p.begun.type, KIND_DONE);
		assert_int_equal(p.begun.outcome, OUTCOME_FAILED);
		assert_string_equal(
			p.begun.reason, "http: the method must be a word like GET or POST");
		end(&p);
	}
}

static void a_header_with_a_line_break_is_refused(void **state)
{
	_cleanup_free_ char *error = NULL;
	struct play p;

	begin(&p, "{\"url\":\"http://h\",\"headers\":{\"A\":\"b\\r\\nEvil: 1\"}}");
	assert_true(kind_http.request(p.machine, &p.ctx, "call", &p.request, &error) < 0);
	assert_string_equal(error, "http: the header A is not one that can be sent");
	end(&p);
}

static void trouble_reads_as_outcomes(void **state)
{
	static const struct {
		const char *method;
		enum http_trouble trouble;
		enum outcome outcome;
		const char *reason;
	} table[] = {
		{"GET", HTTP_LOST, OUTCOME_TRANSIENT, "why"},
		{"GET", HTTP_UNSENT, OUTCOME_TRANSIENT, "why"},
		{"GET", HTTP_TIMED_OUT, OUTCOME_TIMED_OUT, "why"},
		{"GET", HTTP_UNFIT, OUTCOME_FAILED, "why"},
		{"POST", HTTP_LOST, OUTCOME_FAILED, "why; the call may have had its effect"},
		{"POST", HTTP_UNSENT, OUTCOME_TRANSIENT, "why"},
		{"POST", HTTP_TIMED_OUT, OUTCOME_TIMED_OUT,
			"why; the call may have had its effect"},
		{"POST", HTTP_UNFIT, OUTCOME_FAILED, "why"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *params =
			xasprintf("{\"url\":\"http://h\",\"method\":\"%s\"}", table[i].method);
		_cleanup_command_ struct kind_command c = {0};
		struct kind_event event = {.type = KIND_ANSWERED,
			.action = "call",
			.http_trouble = table[i].trouble,
			.http_error = "why"};
		struct play p;

		call(&p, params);
		kind_http.next(p.machine, &p.ctx, &event, &c);
		assert_int_equal(c.type, KIND_DONE);
		assert_int_equal(c.outcome, table[i].outcome);
		assert_string_equal(c.reason, table[i].reason);
		end(&p);
	}
}

/* What the machine says of an answer to a GET with these wishes. */
static void judge(const char *wishes, int status, const char *body, const struct mask_set *mask,
	struct kind_command *ret)
{
	_cleanup_free_ char *params = xasprintf("{\"url\":\"http://h\"%s}", wishes);
	struct kind_event event = {.type = KIND_ANSWERED,
		.action = "call",
		.http_status = status,
		.body = body,
		.body_len = strlen(body),
		.mask = mask};
	struct play p;

	call(&p, params);
	kind_http.next(p.machine, &p.ctx, &event, ret);
	end(&p);
}

static void answers_read_as_outcomes(void **state)
{
	static const struct {
		const char *wishes;
		int status;
		const char *body;
		enum outcome outcome;
		const char *reason;
	} table[] = {
		{"", 204, "", OUTCOME_OK, NULL},
		{"", 503, " starting\nup ", OUTCOME_TRANSIENT, "503 instead of 2xx: starting up"},
		{"", 504, "", OUTCOME_TRANSIENT, "504 instead of 2xx"},
		{",\"codes\":[503]", 503, "", OUTCOME_OK, NULL},
		{",\"codes\":[200,503]", 401, "no", OUTCOME_FAILED,
			"401 instead of 200 or 503: no"},
		{"", 301, "<html>", OUTCOME_FAILED,
			"301 instead of 2xx (redirects are not followed)"},
		{",\"expect\":{\"a\":{\"b\":1}}", 200, "{\"a\":{\"b\":1,\"c\":2},\"d\":[]}",
			OUTCOME_OK, NULL},
		{",\"expect\":{\"a\":{\"b\":1}}", 200, "{\"a\":1}", OUTCOME_FAILED,
			"a is 1, not {\"b\":1}"},
		{",\"expect\":{\"a\":[1,2]}", 200, "{\"a\":[1]}", OUTCOME_FAILED,
			"a is [1], not [1,2]"},
		{",\"expect\":{\"a\":1}", 200, "[1]", OUTCOME_FAILED,
			"the answer is [1], not {\"a\":1}"},
		{",\"expect\":{\"a\":1}", 200, "{\"A\":1}", OUTCOME_FAILED, "a is missing, not 1"},
		{",\"expect\":{\"a\":true}", 200, "{\"a\":1}", OUTCOME_FAILED, "a is 1, not true"},
		{",\"text\":\"well\"", 200, "all is well", OUTCOME_OK, NULL},
		{",\"text\":\"well\"", 200, "", OUTCOME_FAILED,
			"the answer does not hold \"well\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_command_ struct kind_command c = {0};

		judge(table[i].wishes, table[i].status, table[i].body, NULL, &c);
		assert_int_equal(c.outcome, table[i].outcome);
		if (table[i].reason)
			assert_string_equal(c.reason, table[i].reason);
		else
			assert_null(c.reason);
	}
}

static void what_is_quoted_is_masked_before_it_is_cut(void **state)
{
	struct mask_set *mask = mask_set_new();
	_cleanup_command_ struct kind_command c = {0}, d = {0};
	char body[256];

	mask_set_add_secret(mask, "opensesame", 10);
	mask_set_build(mask);
	memset(body, 'x', sizeof(body));
	strcpy(body + 195, "opensesame");
	judge("", 500, body, mask, &c);
	assert_null(strstr(c.reason, "open"));
	assert_non_null(strstr(c.reason, "***"));
	judge(",\"expect\":{\"a\":\"b\"}", 200, "{\"a\":\"opensesame\"}", mask, &d);
	assert_string_equal(d.reason, "a is \"***\", not \"b\"");
	mask_set_free(mask);
}

static void its_end_is_replayed_from_its_note(void **state)
{
	_cleanup_command_ struct kind_command c = {0}, again = {0};
	struct kind_event event = {.type = KIND_ANSWERED, .action = "call"};
	struct play p;

	judge("", 503, "wait", NULL, &c);
	begin(&p, "{\"url\":\"http://h\"}");
	event.note = c.note;
	kind_http.next(p.machine, &p.ctx, &event, &again);
	assert_int_equal(again.type, KIND_DONE);
	assert_int_equal(again.outcome, OUTCOME_TRANSIENT);
	assert_string_equal(again.reason, "503 instead of 2xx: wait");
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_step_becomes_a_request),
		cmocka_unit_test(only_get_and_head_are_repeatable),
		cmocka_unit_test(a_method_that_is_none_fails_before_any_call),
		cmocka_unit_test(a_header_with_a_line_break_is_refused),
		cmocka_unit_test(trouble_reads_as_outcomes),
		cmocka_unit_test(answers_read_as_outcomes),
		cmocka_unit_test(what_is_quoted_is_masked_before_it_is_cut),
		cmocka_unit_test(its_end_is_replayed_from_its_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
