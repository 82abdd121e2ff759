#include "tests/unit/unit.h"
#include <errno.h>
#include <string.h>
#include "tests/unit/time_help.h"
#include "time/cron.h"

static struct cron *parsed(const char *expression)
{
	_cleanup_free_ char *error = NULL;
	struct cron *c = NULL;

	if (cron_parse(expression, &c, &error) < 0)
		fail_msg("%s: %s", expression, error);
	return c;
}

/* The slots behind `after`, up to the NULL, are the ones given. */
static void slots_are(
	const char *expression, const char *zone, const char *after, const char *const *expected)
{
	_cleanup_(cleanup_cron_free) struct cron *c = parsed(expression);
	_cleanup_(cleanup_zone_free) struct zone *z = help_zone(zone);
	int64_t t = help_instant(after);

	for (size_t i = 0; expected[i]; i++) {
		char buf[INSTANT_MAX];

		assert_int_equal(cron_next(c, z, t, &t), 0);
		assert_string_equal(
			instant_format_local(t * USEC_SEC, zone_offset(z, t), buf), expected[i]);
	}
}
#define SLOTS_ARE(expression, zone, after, ...)                                                    \
	slots_are(expression, zone, after, (const char *const[]){__VA_ARGS__, NULL})

static void slots_come_in_order_and_after_is_exclusive(void **state)
{
	SLOTS_ARE("*/20 4 * * *", "UTC", "2026-01-01T04:00:00Z", "2026-01-01T04:20:00+00:00",
		"2026-01-01T04:40:00+00:00", "2026-01-02T04:00:00+00:00");
	SLOTS_ARE("0 0 1 1 *", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00+00:00");
	SLOTS_ARE("5 4 * * *", "UTC", "1969-12-30T04:04:59Z", "1969-12-30T04:05:00+00:00",
		"1969-12-31T04:05:00+00:00");
}

static void another_day_begins_at_its_first_time(void **state)
{
	SLOTS_ARE("*/30 */6 * 7 *", "UTC", "2026-05-18T09:52:29Z", "2026-07-01T00:00:00+00:00",
		"2026-07-01T00:30:00+00:00");
	SLOTS_ARE("0 8 18 7 *", "UTC", "2026-05-18T09:52:29Z", "2026-07-18T08:00:00+00:00");
}

static void names_ranges_steps_and_lists_are_known(void **state)
{
	SLOTS_ARE("0 9 * Jan-mar MON,wed,7", "UTC", "2026-03-27T12:00:00Z",
		"2026-03-29T09:00:00+00:00", "2026-03-30T09:00:00+00:00",
		"2027-01-03T09:00:00+00:00");
	SLOTS_ARE("50/5,3-9/3 0 * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:03:00+00:00",
		"2026-01-01T00:06:00+00:00", "2026-01-01T00:09:00+00:00",
		"2026-01-01T00:50:00+00:00", "2026-01-01T00:55:00+00:00",
		"2026-01-02T00:03:00+00:00");
	SLOTS_ARE(" \t0  0 29\t2 *\n", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00+00:00");
	SLOTS_ARE("*/100 */99999999999999999999 * * *", "UTC", "2026-01-01T00:00:00Z",
		"2026-01-02T00:00:00+00:00");
}

static void words_stand_for_five_fields(void **state)
{
	SLOTS_ARE("@hourly", "UTC", "2026-01-01T00:30:00Z", "2026-01-01T01:00:00+00:00");
	SLOTS_ARE("@daily", "UTC", "2026-01-01T00:30:00Z", "2026-01-02T00:00:00+00:00");
	SLOTS_ARE("@midnight", "UTC", "2026-01-01T00:30:00Z", "2026-01-02T00:00:00+00:00");
	SLOTS_ARE("@weekly", "UTC", "2026-01-01T00:30:00Z", "2026-01-04T00:00:00+00:00");
	SLOTS_ARE("@monthly", "UTC", "2026-01-01T00:30:00Z", "2026-02-01T00:00:00+00:00");
	SLOTS_ARE("@yearly", "UTC", "2026-01-01T00:30:00Z", "2027-01-01T00:00:00+00:00");
	SLOTS_ARE("@annually", "UTC", "2026-01-01T00:30:00Z", "2027-01-01T00:00:00+00:00");
}

static void reboot_is_no_time(void **state)
{
	_cleanup_(cleanup_cron_free) struct cron *c = parsed("@reboot");
	_cleanup_(cleanup_cron_free) struct cron *other = parsed("@daily");
	_cleanup_(cleanup_zone_free) struct zone *utc = zone_utc();
	int64_t t = 7;

	assert_true(cron_is_reboot(c));
	assert_false(cron_is_reboot(other));
	assert_int_equal(cron_next(c, utc, 0, &t), CRON_E_NEVER);
	assert_int_equal(t, 7);
}

static void two_day_fields_are_either_unless_one_begins_with_a_star(void **state)
{
	SLOTS_ARE("0 0 13 * fri", "UTC", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00+00:00",
		"2026-02-13T00:00:00+00:00", "2026-02-20T00:00:00+00:00");
	SLOTS_ARE("0 0 13 1 fri", "UTC", "2026-01-10T00:00:00Z", "2026-01-13T00:00:00+00:00",
		"2026-01-16T00:00:00+00:00");
	SLOTS_ARE("0 0 */10 * mon", "UTC", "2026-01-01T00:00:00Z", "2026-05-11T00:00:00+00:00",
		"2026-06-01T00:00:00+00:00");
	SLOTS_ARE("0 0 29 2 */7", "UTC", "2072-01-01T00:00:00Z", "2088-02-29T00:00:00+00:00",
		"2128-02-29T00:00:00+00:00");
}

static void fixed_times_in_a_gap_run_once_at_its_end(void **state)
{
	SLOTS_ARE("30 2 * * *", "Europe/Paris", "2026-03-28T00:00:00Z", "2026-03-28T02:30:00+01:00",
		"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00");
	SLOTS_ARE("5,15,30 2,3 * * *", "Europe/Paris", "2026-03-29T00:30:00Z",
		"2026-03-29T03:00:00+02:00", "2026-03-29T03:05:00+02:00");
	SLOTS_ARE("0 2,3 * * *", "Europe/Paris", "2026-03-29T00:30:00Z",
		"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00");
}

static void fixed_times_in_a_repeated_hour_run_once(void **state)
{
	SLOTS_ARE("30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00",
		"2026-10-26T02:30:00+01:00");
	SLOTS_ARE(
		"30 2 * * *", "Europe/Paris", "2026-10-25T01:05:00Z", "2026-10-26T02:30:00+01:00");
}

static void a_star_follows_the_wall_clock(void **state)
{
	SLOTS_ARE("*/30 2 * * *", "Europe/Paris", "2026-03-28T01:00:00Z",
		"2026-03-28T02:30:00+01:00", "2026-03-30T02:00:00+02:00");
	SLOTS_ARE("30 * * * *", "Europe/Paris", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00+01:00",
		"2026-03-29T03:30:00+02:00");
	SLOTS_ARE("*/30 2 * * *", "Europe/Paris", "2026-10-24T22:00:00Z",
		"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00",
		"2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00",
		"2026-10-26T02:00:00+01:00");
	SLOTS_ARE("15 */2 * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z",
		"2026-04-05T00:15:00+11:00", "2026-04-05T02:15:00+10:30",
		"2026-04-05T04:15:00+10:30");
}

static void a_gap_at_midnight_costs_no_date(void **state)
{
	SLOTS_ARE("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z",
		"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00");
	SLOTS_ARE("*/15 0 * * sun", "America/Santiago", "2026-09-05T12:00:00Z",
		"2026-09-13T00:00:00-03:00");
	SLOTS_ARE("*/30 1 6 * *", "America/Santiago", "2026-09-05T12:00:00Z",
		"2026-09-06T01:00:00-03:00", "2026-09-06T01:30:00-03:00",
		"2026-10-06T01:00:00-03:00");
}

static void impossible_dates_say_never(void **state)
{
	static const char *const never[] = {
		"30 2 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30,31 2 */2", "* * 31 feb *"};
	_cleanup_(cleanup_zone_free) struct zone *z = help_zone("Europe/Paris");

	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		_cleanup_(cleanup_cron_free) struct cron *c = parsed(never[i]);
		int64_t t = 7;

		assert_int_equal(cron_next(c, z, 0, &t), CRON_E_NEVER);
		assert_int_equal(t, 7);
	}
}

static void either_day_field_is_enough_for_a_date_to_come(void **state)
{
	SLOTS_ARE("0 0 30 2 mon", "UTC", "2026-01-01T00:00:00Z", "2026-02-02T00:00:00+00:00");
}

static void instants_at_the_ends_of_time_do_no_harm(void **state)
{
	_cleanup_(cleanup_cron_free) struct cron *date = parsed("0 0 29 2 */7");
	_cleanup_(cleanup_cron_free) struct cron *wall = parsed("* * 29 2 */7");
	_cleanup_(cleanup_zone_free) struct zone *z = help_zone("Europe/Paris");
	int64_t t;

	assert_int_equal(cron_next(date, z, INT64_MAX, &t), CRON_E_NEVER);
	assert_int_equal(cron_next(wall, z, INT64_MAX, &t), CRON_E_NEVER);
	assert_int_equal(cron_next(date, z, INT64_MIN, &t), 0);
	assert_int_equal(cron_next(wall, z, INT64_MIN, &t), 0);
}

static void errors_name_the_field_and_the_value(void **state)
{
	static const struct {
		const char *expression, *error;
	} cases[] = {
		{"61 * * * *", "minute: 61 is not in 0-59"},
		{"0 24 * * *", "hour: 24 is not in 0-23"},
		{"0 0 0 * *", "day of month: 0 is not in 1-31"},
		{"0 0 1 13 *", "month: 13 is not in 1-12"},
		{"0 0 * * 8", "day of week: 8 is not in 0-7"},
		{"99999999999999999999 * * * *", "minute: 99999999999999999999 is not in 0-59"},
		{"x * * * *", "minute: \"x\" is not a number"},
		{"-1 * * * *", "minute: a value is missing"},
		{"1, * * * *", "minute: a value is missing"},
		{"5- * * * *", "minute: a value is missing"},
		{"1-2-3 * * * *", "minute: \"2-3\" is not a number"},
		{"*/ * * * *", "minute: the step behind the slash is missing"},
		{"*/0 * * * *", "minute: a step of 0 leads nowhere"},
		{"*/2/3 * * * *", "minute: the step \"2/3\" is not a number"},
		{"0 22-6 * * *", "hour: the range 22-6 runs backwards; 22-23,0-6 goes round"},
		{"0 0 * * fri-sun",
			"day of week: the range fri-sun runs backwards; fri-6,0-sun goes round"},
		{"0 0 * foo *", "month: \"foo\" is neither a number nor a name (jan to dec)"},
		{"0 0 * * monday",
			"day of week: \"monday\" is neither a number nor a name (sun to sat)"},
		{"0 0 L * *", "day of month: \"L\" is an extension of other crons (L, W, # and ?) "
			      "that is not known here"},
		{"0 0 * * fri#2", "day of week: \"fri#2\" is an extension of other crons (L, W, # "
				  "and ?) that is not known here"},
		{"", "the cron expression is empty"},
		{"* * *", "3 fields where cron has five (minute, hour, day of month, month, day of "
			  "week)"},
		{"0 0 0 * * *", "6 fields where cron has five (minute, hour, day of month, month, "
				"day of week): a field for seconds or years is not known here"},
		{"@dayly", "\"@dayly\" is not known; did you mean @daily?"},
		{"@every_1h", "\"@every_1h\" is not known; there are @hourly, @daily, @midnight, "
			      "@weekly, @monthly, @yearly, @annually and @reboot"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *error = NULL;
		struct cron *c = NULL;

		assert_int_equal(cron_parse(cases[i].expression, &c, &error), -EINVAL);
		assert_string_equal(error, cases[i].error);
		assert_null(c);
	}
}

static void a_round_trip_that_the_error_proposes_parses(void **state)
{
	SLOTS_ARE("0 12 * * fri-6,0-sun", "UTC", "2026-01-01T00:00:00Z",
		"2026-01-02T12:00:00+00:00", "2026-01-03T12:00:00+00:00",
		"2026-01-04T12:00:00+00:00", "2026-01-09T12:00:00+00:00");
}

static void garbage_is_refused_with_one_harmless_line(void **state)
{
	static const char letters[] = "0123456789*/-,@ \tLW#?monjan\x01\x7f\xff\xc3\n";
	unsigned seed = 42;

	for (int i = 0; i < 50000; i++) {
		_cleanup_(cleanup_cron_free) struct cron *c = NULL;
		_cleanup_free_ char *error = NULL;
		char s[40] = "";

		for (size_t n = 0; n < sizeof(s) - 1; n++) {
			seed = seed * 1103515245 + 12345;
			s[n] = letters[(seed >> 10) % (sizeof(letters) - 1)];
		}
		if (cron_parse(s, &c, &error) == 0)
			continue;
		assert_non_null(error);
		assert_null(strpbrk(error, "\n\x01\x7f"));
		assert_true(utf8_is_valid(error, strlen(error)));
	}
}

static void an_endless_expression_is_refused(void **state)
{
	_cleanup_free_ char *error = NULL;
	struct cron *c = NULL;
	char s[5000];

	memset(s, '*', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	assert_int_equal(cron_parse(s, &c, &error), -EINVAL);
	assert_string_equal(error, "a cron expression of more than 1024 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_come_in_order_and_after_is_exclusive),
		cmocka_unit_test(another_day_begins_at_its_first_time),
		cmocka_unit_test(names_ranges_steps_and_lists_are_known),
		cmocka_unit_test(words_stand_for_five_fields),
		cmocka_unit_test(reboot_is_no_time),
		cmocka_unit_test(two_day_fields_are_either_unless_one_begins_with_a_star),
		cmocka_unit_test(fixed_times_in_a_gap_run_once_at_its_end),
		cmocka_unit_test(fixed_times_in_a_repeated_hour_run_once),
		cmocka_unit_test(a_star_follows_the_wall_clock),
		cmocka_unit_test(a_gap_at_midnight_costs_no_date),
		cmocka_unit_test(impossible_dates_say_never),
		cmocka_unit_test(either_day_field_is_enough_for_a_date_to_come),
		cmocka_unit_test(instants_at_the_ends_of_time_do_no_harm),
		cmocka_unit_test(errors_name_the_field_and_the_value),
		cmocka_unit_test(a_round_trip_that_the_error_proposes_parses),
		cmocka_unit_test(garbage_is_refused_with_one_harmless_line),
		cmocka_unit_test(an_endless_expression_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
