#include "tests/unit/unit.h"
#include <errno.h>
#include <string.h>
#include "base/buf.h"
#include "tests/unit/time_help.h"
#include "time/zone_rule.h"

static void offsets_follow_the_clock_changes_of_a_zone(void **state)
{
	_cleanup_(cleanup_zone_free) struct zone *paris = help_zone("Europe/Paris");

	assert_int_equal(zone_offset(paris, help_instant("2026-03-29T00:59:59Z")), 3600);
	assert_int_equal(zone_offset(paris, help_instant("2026-03-29T01:00:00Z")), 7200);
	assert_int_equal(zone_offset(paris, help_instant("2026-10-25T00:59:59Z")), 7200);
	assert_int_equal(zone_offset(paris, help_instant("2026-10-25T01:00:00Z")), 3600);
	assert_int_equal(zone_offset(paris, help_instant("1942-07-01T00:00:00Z")), 7200);
	assert_int_equal(zone_offset(paris, help_instant("1900-01-01T00:00:00Z")), 561);
}

static void the_footer_goes_on_where_the_table_ends(void **state)
{
	_cleanup_(cleanup_zone_free) struct zone *york = help_zone("America/New_York");
	int64_t at = help_instant("2126-01-01T00:00:00Z");

	at = zone_next_transition(york, at);
	assert_int_equal(at, help_instant("2126-03-10T07:00:00Z"));
	assert_int_equal(zone_offset(york, at - 1), -5 * 3600);
	assert_int_equal(zone_offset(york, at), -4 * 3600);
	assert_int_equal(zone_next_transition(york, at), help_instant("2126-11-03T06:00:00Z"));
}

static void transitions_are_the_same_by_the_table_and_by_the_footer(void **state)
{
	static const char *const names[] = {"Europe/Dublin", "Australia/Lord_Howe",
		"America/Santiago", "Pacific/Chatham", "Europe/Lisbon", "Africa/Casablanca"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(cleanup_zone_free) struct zone *z = help_zone(names[i]);
		int64_t t = help_instant("2020-01-01T00:00:00Z");
		int64_t end = help_instant("2090-01-01T00:00:00Z");

		for (int n = 0; n < 200 && t < end; n++) {
			int64_t next = zone_next_transition(z, t);

			if (next == INT64_MAX)
				break;
			assert_true(next > t);
			assert_int_equal(zone_offset(z, next - 1), zone_offset(z, t));
			assert_int_not_equal(zone_offset(z, next), zone_offset(z, t));
			t = next;
		}
		assert_true(t > help_instant("2080-01-01T00:00:00Z"));
	}
}

static void utc_never_changes(void **state)
{
	_cleanup_(cleanup_zone_free) struct zone *utc = zone_utc();
	_cleanup_(cleanup_zone_free) struct zone *fixed = help_zone("Etc/GMT+5");

	assert_int_equal(zone_offset(utc, 0), 0);
	assert_true(zone_next_transition(utc, INT64_MIN) == INT64_MAX);
	assert_int_equal(zone_offset(fixed, INT64_MAX), -5 * 3600);
	assert_true(zone_next_transition(fixed, 0) == INT64_MAX);
}

static bool rule(const char *s, struct zone_rule *ret)
{
	return zone_rule_parse(s, strlen(s), ret);
}

static void rules_may_be_negative_and_last_all_year(void **state)
{
	struct zone_rule r;

	assert_true(rule("IST-1GMT0,M10.5.0,M3.5.0/1", &r));
	assert_int_equal(zone_rule_offset(&r, help_instant("2030-01-01T00:00:00Z")), 0);
	assert_int_equal(zone_rule_offset(&r, help_instant("2030-07-01T00:00:00Z")), 3600);
	assert_true(rule("XXX3EDT4,0/0,J365/23", &r)); /* RFC 8536's all-year summer time */
	assert_int_equal(zone_rule_offset(&r, help_instant("2030-01-01T04:00:00Z")), -4 * 3600);
	assert_int_equal(zone_rule_offset(&r, help_instant("2030-12-31T23:59:59Z")), -4 * 3600);
	assert_true(zone_rule_next(&r, help_instant("2030-06-01T00:00:00Z")) == INT64_MAX);
	assert_true(rule("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", &r));
	assert_int_equal(zone_rule_next(&r, help_instant("2026-01-01T00:00:00Z")),
		help_instant("2026-03-29T01:00:00Z"));
}

static void days_of_the_year_count_leap_days_or_do_not(void **state)
{
	struct zone_rule r;

	assert_true(rule("AAA0BBB,J60/0,300/0", &r));
	assert_int_equal(zone_rule_next(&r, help_instant("2028-01-01T00:00:00Z")),
		help_instant("2028-03-01T00:00:00Z"));
	assert_int_equal(zone_rule_next(&r, help_instant("2028-06-01T00:00:00Z")),
		help_instant("2028-10-26T23:00:00Z"));
}

static void what_is_no_rule_is_refused(void **state)
{
	static const char *const bad[] = {"", "C", "CET", "CET-1CEST", "CET-26", "CET-1CEST,M3.5.0",
		"CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0",
		"CET-1CEST,J0,J365", "CET-1CEST,M3.5.0,M10.5.0/168", "CET-1CEST,M3.5.0,M10.5.0 ",
		"<CET-1", "CET-1:60", "CET-99999999999999", "CET-25:30CEST,0,1x", "1-1",
		"AAA-25:59:59BBB,0,1"};
	struct zone_rule r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(rule(bad[i], &r));
}

/* A version 2 file with these transitions, all of types 0 and 1 in turn, and this footer. */
static void make(struct buf *b, const int64_t *times, uint8_t n, const char *footer)
{
	for (int version = 1; version <= 2; version++) {
		uint8_t header[44] = {
			'T', 'Z', 'i', 'f', '2', [35] = version == 2 ? n : 0, [39] = 2, [43] = 4};

		buf_append(b, header, sizeof(header));
		for (int i = 0; version == 2 && i < n; i++)
			for (int shift = 56; shift >= 0; shift -= 8)
				buf_putc(b, (char)((uint64_t)times[i] >> shift));
		for (int i = 0; version == 2 && i < n; i++)
			buf_putc(b, (char)((i + 1) % 2));
		buf_append(b, "\0\0\x0e\x10\0\0\0\0\x1c\x20\1\0LMT", 16); /* 1 h, 2 h */
	}
	buf_puts(b, footer);
}

static void a_made_up_file_is_read(void **state)
{
	static const int64_t times[] = {-100, 100};
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_(cleanup_zone_free) struct zone *z = NULL;

	make(&b, times, 2, "\n\n");
	assert_int_equal(zone_parse(b.data, b.len, &z), 0);
	assert_int_equal(zone_offset(z, -101), 3600);
	assert_int_equal(zone_offset(z, -100), 7200);
	assert_int_equal(zone_offset(z, 100), 3600);
	assert_int_equal(zone_next_transition(z, -100), 100);
	assert_true(zone_next_transition(z, 100) == INT64_MAX);
}

static void a_footer_takes_over_at_the_last_transition(void **state)
{
	static const int64_t times[] = {0};
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_(cleanup_zone_free) struct zone *z = NULL;

	make(&b, times, 1, "\nABC-2\n");
	assert_int_equal(zone_parse(b.data, b.len, &z), 0);
	assert_int_equal(zone_offset(z, -1), 3600);
	assert_int_equal(zone_next_transition(z, INT64_MIN), 0);
	assert_int_equal(zone_offset(z, 0), 7200);
	assert_int_equal(zone_offset(z, INT64_MAX), 7200);
}

static void wrong_order_and_wrong_footers_are_refused(void **state)
{
	static const int64_t ascending[] = {1, 2}, same[] = {1, 1};
	static const struct {
		const int64_t *times;
		const char *footer;
	} bad[] = {{same, "\n\n"}, {ascending, ""}, {ascending, "\n"}, {ascending, "\nCET-1"},
		{ascending, "\nnonsense\n"}, {ascending, "CET-1\n"}};
	struct zone *z = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf b = BUF_NULL;

		make(&b, bad[i].times, 2, bad[i].footer);
		assert_int_equal(zone_parse(b.data, b.len, &z), -EBADMSG);
		assert_null(z);
	}
}

/* Every parse works on a copy of its exact size, so that the sanitizer sees a byte too far. */
static int parse_copy(const char *data, size_t len)
{
	_cleanup_(cleanup_zone_free) struct zone *z = NULL;
	_cleanup_free_ char *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, data, len);
	r = zone_parse(copy, len, &z);
	if (r == 0)
		for (int64_t t = -INT64_C(5000000000); t < INT64_C(9000000000); t += 1234567890) {
			assert_true(zone_offset(z, t) >= -ZONE_OFFSET_MAX &&
				    zone_offset(z, t) <= ZONE_OFFSET_MAX);
			assert_true(zone_next_transition(z, t) > t);
		}
	return r;
}

static void files_cut_anywhere_are_refused(void **state)
{
	static const int64_t times[] = {-5, 5, 50};
	_cleanup_buf_ struct buf b = BUF_NULL;

	make(&b, times, 3, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
	assert_int_equal(parse_copy(b.data, b.len), 0);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(parse_copy(b.data, len), -EBADMSG);
}

static void files_with_wrong_bytes_do_no_harm(void **state)
{
	static const int64_t times[] = {-5, 5, 50};
	_cleanup_buf_ struct buf b = BUF_NULL;
	unsigned seed = 20260329, refused = 0;

	make(&b, times, 3, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
	for (int i = 0; i < 20000; i++) {
		_cleanup_free_ char *wrong = malloc(b.len);

		memcpy(wrong, b.data, b.len);
		for (int n = 0; n < 3; n++) {
			seed = seed * 1103515245 + 12345;
			wrong[(seed >> 8) % b.len] = (char)(seed >> 3);
		}
		refused += parse_copy(wrong, b.len) == -EBADMSG;
	}
	assert_true(refused > 1000 && refused < 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets_follow_the_clock_changes_of_a_zone),
		cmocka_unit_test(the_footer_goes_on_where_the_table_ends),
		cmocka_unit_test(transitions_are_the_same_by_the_table_and_by_the_footer),
		cmocka_unit_test(utc_never_changes),
		cmocka_unit_test(rules_may_be_negative_and_last_all_year),
		cmocka_unit_test(days_of_the_year_count_leap_days_or_do_not),
		cmocka_unit_test(what_is_no_rule_is_refused),
		cmocka_unit_test(a_made_up_file_is_read),
		cmocka_unit_test(a_footer_takes_over_at_the_last_transition),
		cmocka_unit_test(wrong_order_and_wrong_footers_are_refused),
		cmocka_unit_test(files_cut_anywhere_are_refused),
		cmocka_unit_test(files_with_wrong_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
