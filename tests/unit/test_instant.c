#include "tests/unit/unit.h"
#include "base/instant.h"

static void the_calendar_agrees_with_itself_over_eight_centuries(void **state)
{
	int weekday = civil_weekday(-12622780800);

	assert_int_equal(weekday, 4); /* 400 years before 1970-01-01, and a Thursday like it */
	for (int64_t t = -12622780800; t < 12622780800; t += 86400) {
		struct civil c;

		civil_from_seconds(t + 86399, &c);
		assert_int_equal(civil_to_seconds(&c), t + 86399);
		assert_true(c.hour == 23 && c.minute == 59 && c.second == 59);
		assert_int_equal(civil_weekday(t), weekday);
		weekday = (weekday + 1) % 7;
	}
}

static void leap_days_follow_the_gregorian_rules(void **state)
{
	struct civil c;

	civil_from_seconds(951782400, &c);
	assert_true(c.year == 2000 && c.month == 2 && c.day == 29);
	civil_from_seconds(4107542400, &c);
	assert_true(c.year == 2100 && c.month == 3 && c.day == 1);
	civil_from_seconds(-1, &c);
	assert_true(c.year == 1969 && c.month == 12 && c.day == 31 && c.second == 59);
}

static void instants_are_written_as_rfc_3339(void **state)
{
	char buf[INSTANT_MAX];

	assert_string_equal(
		instant_format(1774747800 * USEC_SEC, buf), "2026-03-29T01:30:00.000000Z");
	assert_string_equal(instant_format(-1, buf), "1969-12-31T23:59:59.999999Z");
	assert_string_equal(
		instant_format_slot(1774747800 * USEC_SEC, buf), "2026-03-29T01:30:00Z");
	assert_string_equal(instant_format_local(1774747800 * USEC_SEC, 7200, buf),
		"2026-03-29T03:30:00+02:00");
	assert_string_equal(instant_format_local(1774747800 * USEC_SEC, -12600, buf),
		"2026-03-28T22:00:00-03:30");
	assert_string_equal(
		instant_format_local(1774747800 * USEC_SEC, 0, buf), "2026-03-29T01:30:00+00:00");
}

static void the_farthest_instants_fit_too(void **state)
{
	char buf[INSTANT_MAX];

	assert_string_equal(instant_format(INT64_MAX, buf), "294247-01-10T04:00:54.775807Z");
	assert_string_equal(instant_format(INT64_MIN, buf), "-290308-12-21T19:59:05.224192Z");
}

static void instants_are_read_in_every_form_of_rfc_3339(void **state)
{
	usec_t t;

	assert_true(instant_parse("2026-03-29T01:30:00Z", &t));
	assert_int_equal(t, 1774747800 * USEC_SEC);
	assert_true(instant_parse("2026-03-29t03:30:00.5+02:00", &t));
	assert_int_equal(t, 1774747800 * USEC_SEC + 500000);
	assert_true(instant_parse("2026-03-28T22:00:00.123456789-03:30", &t));
	assert_int_equal(t, 1774747800 * USEC_SEC + 123456);
}

static void anything_else_is_no_instant(void **state)
{
	static const char *const bad[] = {NULL, "", "2026-03-29", "2026-03-29T01:30:00",
		"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z",
		"2026-01-01T00:00:00+2:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Zx",
		"2026-1-01T00:00:00Z", " 2026-01-01T00:00:00Z", "2026-01-01 00:00:00Z"};
	usec_t t = 42;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (instant_parse(bad[i], &t))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(t, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_calendar_agrees_with_itself_over_eight_centuries),
		cmocka_unit_test(leap_days_follow_the_gregorian_rules),
		cmocka_unit_test(instants_are_written_as_rfc_3339),
		cmocka_unit_test(the_farthest_instants_fit_too),
		cmocka_unit_test(instants_are_read_in_every_form_of_rfc_3339),
		cmocka_unit_test(anything_else_is_no_instant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
