#include <errno.h>
#include <string.h>
#include "tests/unit/unit.h"
#include "base/json.h"
#include "base/memory.h"

/* Parses an exact copy, so that a read behind it is caught by the sanitizer. */
static int parse(const char *text, cJSON **ret)
{
	_cleanup_free_ char *copy = xmemdup(text, strlen(text));

	return json_parse(copy, strlen(text), ret);
}

static void what_is_no_strict_json_is_refused(void **state)
{
	static const char *const bad[] = {"", " ", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "01", "1.",
		".5", "-", "+1", "1e", "nul", "truex", "1 2", "{}x", "\"a", "\"\\x\"", "\"a\nb\"",
		"\"\\u0000\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00x\"", "\"\xff\"", "{\"a\"}",
		"{\"a\":1,\"a\":2}", "[{\"a\":1,\"\\u0061\":2}]", "\xef\xbb\xbf{}", "[1 2]", "NaN"};
	cJSON *value = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], &value) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
		assert_null(value);
	}
	assert_int_equal(json_parse("\"a\0b\"", 5, &value), -EBADMSG);
}

static void strict_json_is_read(void **state)
{
	static const char *const good[] = {"{}", " [ ] ", "\"\"", "0", "-0.5e+3", "true", "null\n",
		"{\"a\":{\"a\":[1,2,{\"b\":null}]},\"A\":1}", "\"\\ud83c\\udf19 \\/\\n\""};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_json_ cJSON *value = NULL;

		if (parse(good[i], &value) != 0)
			fail_msg("refused: %s", good[i]);
		assert_non_null(value);
	}
}

static void nesting_ends_at_64(void **state)
{
	char text[200];

	for (int depth = 64; depth <= 65; depth++) {
		_cleanup_json_ cJSON *value = NULL;

		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		assert_int_equal(
			json_parse(text, (size_t)depth * 2, &value), depth == 64 ? 0 : -EBADMSG);
	}
}

static void lookups_mind_case_and_type(void **state)
{
	_cleanup_json_ cJSON *o = NULL;

	assert_int_equal(
		parse("{\"Name\":\"x\",\"n\":3,\"half\":0.5,\"b\":true,\"huge\":1e300}", &o), 0);
	assert_null(json_get(o, "name"));
	assert_string_equal(json_string(o, "Name"), "x");
	assert_null(json_string(o, "n"));
	assert_int_equal(json_int(o, "n", -1), 3);
	assert_int_equal(json_int(o, "half", -1), -1);
	assert_int_equal(json_int(o, "huge", -1), -1);
	assert_int_equal(json_int(o, "Name", -1), -1);
	assert_true(json_bool(o, "b", false));
	assert_true(json_bool(o, "n", true));
	assert_null(json_get(NULL, "x"));
	assert_int_equal(json_int(NULL, "x", 9), 9);
}

static void setters_replace(void **state)
{
	_cleanup_json_ cJSON *o = cJSON_CreateObject();
	_cleanup_free_ char *text = NULL;

	json_set_int(o, "n", 1);
	json_set_string(o, "s", "old");
	json_set_string(o, "s", "new");
	json_set_string(o, "n", NULL);
	json_set_bool(o, "b", false);
	json_set_bool(o, "B", true);
	json_set(o, "list", cJSON_CreateArray());
	json_set(o, "none", NULL);
	json_set_string(o, "dirty",
		"a\xff"
		"b");
	text = json_print(o);
	assert_string_equal(text, "{\"n\":null,\"s\":\"new\",\"b\":false,\"B\":true,\"list\":[],"
				  "\"none\":null,\"dirty\":\"a\xef\xbf\xbd"
				  "b\"}");
}

static void long_integers_stay_whole(void **state)
{
	static const int64_t numbers[] = {0, -1, INT32_MAX, 1000000000000, 1000000000000000,
		9007199254740993, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		_cleanup_json_ cJSON *o = cJSON_CreateObject();
		_cleanup_free_ char *text = NULL, *want = NULL;

		json_set_int(o, "n", numbers[i]);
		text = json_print(o);
		want = xasprintf("{\"n\":%lld}", (long long)numbers[i]);
		assert_string_equal(text, want);
		assert_int_equal(json_int(o, "n", 5), numbers[i]);
	}
}

static void times_are_rfc_3339_and_zero_is_null(void **state)
{
	_cleanup_json_ cJSON *o = cJSON_CreateObject();

	json_set_time(o, "t", 1774747800123456);
	json_set_time(o, "none", 0);
	json_set_string(o, "bad", "yesterday");
	assert_string_equal(json_string(o, "t"), "2026-03-29T01:30:00.123456Z");
	assert_true(cJSON_IsNull(json_get(o, "none")));
	assert_int_equal(json_time(o, "t"), 1774747800123456);
	assert_int_equal(json_time(o, "none"), 0);
	assert_int_equal(json_time(o, "bad"), 0);
	assert_int_equal(json_time(o, "missing"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_strict_json_is_refused),
		cmocka_unit_test(strict_json_is_read),
		cmocka_unit_test(nesting_ends_at_64),
		cmocka_unit_test(lookups_mind_case_and_type),
		cmocka_unit_test(setters_replace),
		cmocka_unit_test(long_integers_stay_whole),
		cmocka_unit_test(times_are_rfc_3339_and_zero_is_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
