#include "unit.h"
#include <string.h>
#include "base/memory.h"
#include "client/log_text.h"

static char *message(const char *line, enum colour *ret_colour)
{
	*ret_colour = GREEN; /* no level has it */
	return log_text_message(line, strlen(line), ret_colour);
}

static void the_message_of_an_event_has_the_colour_of_its_level(void **state)
{
	static const struct {
		const char *line, *message;
		enum colour colour;
	} table[] = {
		{"{\"info\":{\"msg\":\"1 of 2 OK\",\"level\":\"info\"},\"data\":{}}", "1 of 2 OK",
			PLAIN},
		{"{\"info\":{\"msg\":\"careful\",\"level\":\"warn\"}}", "careful", YELLOW},
		{"{\"info\":{\"level\":\"error\",\"msg\":\"broken\"}}", "broken", RED},
		{"{\"info\":{\"level\":\"debug\",\"msg\":\"detail\"}}", "detail", DIM},
		{"{\"info\":{\"level\":\"new\",\"msg\":\"x\"}}", "x", PLAIN},
		{"{\"info\":{\"msg\":\"x\"}}", "x", PLAIN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		enum colour colour;
		_cleanup_free_ char *text = message(table[i].line, &colour);

		assert_string_equal(text, table[i].message);
		assert_int_equal(colour, table[i].colour);
	}
}

static void blanks_around_a_message_go_and_its_indent_stays(void **state)
{
	enum colour colour;
	_cleanup_free_ char *text = message(
		"{\"info\":{\"msg\":\"\\n\\n  Database Error\\n    column \\n\"}}", &colour);
	_cleanup_free_ char *empty = message("{\"info\":{\"msg\":\" \\n \"}}", &colour);

	assert_string_equal(text, "  Database Error\n    column");
	assert_string_equal(empty, "");
}

static void anything_else_is_shown_as_it_is(void **state)
{
	static const char *const lines[] = {"", "text", "{", "{}", "{\"info\":{}}",
		"{\"info\":\"msg\"}", "{\"info\":{\"msg\":3}}", "[{\"info\":{\"msg\":\"x\"}}]",
		"{\"info\":{\"msg\":\"x\"}} and more"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		enum colour colour;

		assert_null(message(lines[i], &colour));
		assert_int_equal(colour, GREEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_message_of_an_event_has_the_colour_of_its_level),
		cmocka_unit_test(blanks_around_a_message_go_and_its_indent_stays),
		cmocka_unit_test(anything_else_is_shown_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
