#include "tests/unit/unit.h"
#include "base/complaint.h"

static void assert_said(const struct complaints *c, size_t i, const char *want)
{
	_cleanup_free_ char *text = complaint_text(&c->items[i]);

	assert_string_equal(text, want);
}

static void complaints_name_file_and_line(void **state)
{
	struct complaints c = {0};

	complain(&c, "a.conf", 3, "unknown key \"%s\"", "nam");
	complain_warning(&c, "a.conf", 4, "not used");
	complain(&c, "a.conf", 0, "cannot be read");
	complain(&c, NULL, 0, "no configuration");
	assert_int_equal(c.n_errors, 3);
	assert_said(&c, 0, "a.conf:3: unknown key \"nam\"");
	assert_said(&c, 1, "a.conf:4: warning: not used");
	assert_said(&c, 2, "a.conf: cannot be read");
	assert_said(&c, 3, "no configuration");
	complaints_fini(&c);
	complaints_fini(&c);
	assert_int_equal(c.n, 0);
}

static void sorting_orders_by_file_and_line_and_drops_duplicates(void **state)
{
	struct complaints c = {0};

	complain(&c, "b.conf", 1, "x");
	complain(&c, "a.conf", 10, "x");
	complain(&c, "a.conf", 2, "x");
	complain(&c, "a.conf", 10, "x");
	complain_warning(&c, "a.conf", 10, "x");
	complain(&c, NULL, 0, "x");
	complaints_sort(&c);
	assert_int_equal(c.n, 5);
	assert_int_equal(c.n_errors, 4);
	assert_said(&c, 0, "x");
	assert_said(&c, 1, "a.conf:2: x");
	assert_said(&c, 2, "a.conf:10: x");
	assert_said(&c, 3, "a.conf:10: warning: x");
	assert_said(&c, 4, "b.conf:1: x");
	complaints_fini(&c);
}

static void sorting_nothing_is_fine(void **state)
{
	struct complaints c = {0};

	complaints_sort(&c);
	assert_int_equal(c.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complaints_name_file_and_line),
		cmocka_unit_test(sorting_orders_by_file_and_line_and_drops_duplicates),
		cmocka_unit_test(sorting_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
