#include <string.h>
#include "tests/unit/unit.h"
#include "base/memory.h"
#include "base/text.h"

static void assert_duration(const char *s, usec_t want)
{
	usec_t got = -1;

	assert_true(parse_duration(s, &got));
	assert_int_equal(got, want);
}

static void durations_are_numbers_with_units(void **state)
{
	assert_duration("1h30m", 90 * USEC_MINUTE);
	assert_duration("250ms", 250 * USEC_MSEC);
	assert_duration("90s", 90 * USEC_SEC);
	assert_duration("2d", 2 * USEC_DAY);
	assert_duration("0s", 0);
	assert_duration("1d2h3m4s5ms",
		USEC_DAY + 2 * USEC_HOUR + 3 * USEC_MINUTE + 4 * USEC_SEC + 5 * USEC_MSEC);
}

static void anything_else_is_no_duration(void **state)
{
	static const char *const bad[] = {NULL, "", "5", "s", "-1s", "1.5h", "1h 30m", "1m1h",
		"1s1s", "1w", "1S", "99999999999999d", "99999999999999999999ms", " 1s", "1s "};
	usec_t got = 42;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(parse_duration(bad[i], &got));
	assert_int_equal(got, 42);
}

static void durations_are_shown_in_their_two_largest_units(void **state)
{
	char buf[DURATION_MAX];

	assert_string_equal(format_duration(90 * USEC_MINUTE, buf), "1h 30m");
	assert_string_equal(format_duration(12 * USEC_MINUTE, buf), "12m");
	assert_string_equal(format_duration(12 * USEC_MINUTE + 5 * USEC_SEC, buf), "12m 5s");
	assert_string_equal(format_duration(4200 * USEC_MSEC, buf), "4.2s");
	assert_string_equal(format_duration(4 * USEC_SEC, buf), "4s");
	assert_string_equal(format_duration(350 * USEC_MSEC, buf), "350ms");
	assert_string_equal(format_duration(0, buf), "0ms");
	assert_string_equal(format_duration(49 * USEC_HOUR, buf), "2d 1h");
	assert_string_equal(format_duration(-90 * USEC_SEC, buf), "-1m 30s");
	assert_true(strlen(format_duration(INT64_MIN, buf)) < DURATION_MAX);
}

static void whole_numbers_are_read_without_surprises(void **state)
{
	static const char *const bad[] = {
		NULL, "", "01", "-1", "+1", " 1", "1 ", "1x", "18446744073709551616"};
	uint64_t n = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(parse_u64(bad[i], &n));
	assert_int_equal(n, 7);
	assert_true(parse_u64("0", &n) && n == 0);
	assert_true(parse_u64("18446744073709551615", &n) && n == UINT64_MAX);
}

static void names_and_variables_are_checked(void **state)
{
	char long_name[66];

	memset(long_name, 'a', sizeof(long_name));
	long_name[64] = '\0';
	assert_true(name_is_valid(long_name));
	long_name[64] = 'a';
	long_name[65] = '\0';
	assert_false(name_is_valid(long_name));
	assert_true(name_is_valid("a") && name_is_valid("2024.x_y-z"));
	assert_false(name_is_valid("") || name_is_valid(NULL) || name_is_valid("-a") ||
		     name_is_valid("a b") || name_is_valid("é") || name_is_valid("a/b"));
	assert_true(variable_is_valid("_A1") && variable_is_valid("path"));
	assert_false(variable_is_valid("1A") || variable_is_valid("") || variable_is_valid(NULL) ||
		     variable_is_valid("A=B") || variable_is_valid("A.B"));
}

static void strings_compare_also_when_missing(void **state)
{
	assert_true(str_eq(NULL, NULL) && str_eq("a", "a"));
	assert_false(str_eq(NULL, "") || str_eq("a", NULL) || str_eq("a", "b"));
	assert_true(str_starts("nightly", "night") && str_starts("x", ""));
	assert_false(str_starts("ni", "night") || str_starts(NULL, ""));
}

static void utf8_is_told_from_what_only_looks_like_it(void **state)
{
	static const char *const bad[] = {"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xf8\x88\x80\x80", "\xe2\x82", "\xff", "\xc3("};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
	assert_true(utf8_is_valid("aé€\xf0\x9f\x8c\x99\xf4\x8f\xbf\xbf", 14));
	assert_int_equal(utf8_sequence("\xf0\x9f\x8c\x99", 4), 4);
	assert_int_equal(utf8_sequence("\xf0\x9f\x8c\x99", 3), 0);
	assert_int_equal(utf8_sequence("", 0), 0);
	assert_int_equal(utf8_sequence("", 1), 1);
}

static void assert_escaped(const char *s, size_t len, const char *want)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	text_escape(&out, s, len);
	assert_string_equal(buf_str(&out), want);
}

static void what_could_harm_a_terminal_is_escaped(void **state)
{
	assert_escaped("a\x1b[31m\n\t\x7f\\", 10, "a\\x1b[31m\\x0a\\x09\\x7f\\");
	assert_escaped("\0z", 2, "\\x00z");
	assert_escaped("\xff\xc3", 2, "\\xff\\xc3");
	assert_escaped("\xc2\x9b\xe2\x80\xae\xe2\x81\xa6", 8, "\\u009b\\u202e\\u2066");
	assert_escaped("né \xf0\x9f\x8c\x99", 8, "né \xf0\x9f\x8c\x99");
}

static void assert_one_line(const char *s, size_t max, const char *want)
{
	_cleanup_free_ char *got = text_one_line(s, strlen(s), max);

	assert_string_equal(got, want);
}

static void a_message_becomes_one_short_line(void **state)
{
	assert_one_line("  two\n\n\tlines \n", 100, "two lines");
	assert_one_line("abcdef", 6, "abcdef");
	assert_one_line("abcdef", 5, "abcde…");
	assert_one_line("aéé", 4, "aé…");
	assert_one_line("ab\x01", 5, "ab…");
	assert_one_line("", 5, "");
}

static void the_word_that_was_meant_is_found(void **state)
{
	static const char *const keys[] = {"schedule", "timezone", "stages", "name", "s"};
	const size_t n = ARRAY_SIZE(keys);

	assert_string_equal(text_nearest("shedule", keys, n), "schedule");
	assert_string_equal(text_nearest("Schedule", keys, n), "schedule");
	assert_string_equal(text_nearest("time_zone", keys, n), "timezone");
	assert_string_equal(text_nearest("stage", keys, n), "stages");
	assert_string_equal(text_nearest("naem", keys, n), "name");
	assert_null(text_nearest("frobnicate", keys, n));
	assert_null(text_nearest("x", keys, n));
	assert_null(text_nearest(NULL, keys, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_numbers_with_units),
		cmocka_unit_test(anything_else_is_no_duration),
		cmocka_unit_test(durations_are_shown_in_their_two_largest_units),
		cmocka_unit_test(whole_numbers_are_read_without_surprises),
		cmocka_unit_test(names_and_variables_are_checked),
		cmocka_unit_test(strings_compare_also_when_missing),
		cmocka_unit_test(utf8_is_told_from_what_only_looks_like_it),
		cmocka_unit_test(what_could_harm_a_terminal_is_escaped),
		cmocka_unit_test(a_message_becomes_one_short_line),
		cmocka_unit_test(the_word_that_was_meant_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
