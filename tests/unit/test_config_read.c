#include "tests/unit/unit.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/memory.h"
#include "daemon/config/read.h"

/* One folder for a test's files, left again afterwards. */
struct fixture {
	char folder[32];
	struct complaints complaints;
	struct node *root;
	char *said; /* all complaints, a line each, without the folder */
};

static int set_up(void **state)
{
	struct fixture *f = xnew(struct fixture);

	strcpy(f->folder, "/tmp/nightjar.XXXXXX");
	*state = f;
	return mkdtemp(f->folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	const char *const names[] = {"main.conf", "more.conf", "sub/a.conf", "sub/b.conf", "sub"};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
		remove(path);
	}
	rmdir(f->folder);
	complaints_fini(&f->complaints);
	node_free(f->root);
	free(f->said);
	free(f);
	return 0;
}

static void put_bytes(struct fixture *f, const char *name, const void *data, size_t len)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	fclose(file);
}

static void put(struct fixture *f, const char *name, const char *text)
{
	put_bytes(f, name, text, strlen(text));
}

static int read_main(struct fixture *f)
{
	_cleanup_buf_ struct buf said = BUF_NULL;
	char path[128];
	int r;

	complaints_fini(&f->complaints);
	node_free(TAKE_PTR(f->root));
	free(TAKE_PTR(f->said));
	snprintf(path, sizeof(path), "%s/main.conf", f->folder);
	r = config_read_tree(path, &f->complaints, &f->root);
	for (size_t i = 0; i < f->complaints.n; i++) {
		_cleanup_free_ char *text = complaint_text(&f->complaints.items[i]);
		char *at = text;

		while ((at = strstr(text, f->folder)))
			memmove(at, at + strlen(f->folder) + 1,
				strlen(at + strlen(f->folder) + 1) + 1);
		buf_printf(&said, "%s\n", text);
	}
	f->said = buf_steal(&said);
	return r;
}

static int read_text(struct fixture *f, const char *text)
{
	put(f, "main.conf", text);
	return read_main(f);
}

static void assert_refused(struct fixture *f, const char *text, const char *said)
{
	assert_int_equal(read_text(f, text), -EINVAL);
	assert_string_equal(f->said, said);
}

/* There is a tree, and this one complaint. */
static void assert_trap(struct fixture *f, const char *text, const char *said)
{
	assert_int_equal(read_text(f, text), 0);
	assert_string_equal(f->said, said);
	assert_int_equal(f->complaints.n_errors, 1);
}

static void every_type_comes_with_its_file_and_line(void **state)
{
	struct fixture *f = *state;
	const struct node *n;

	assert_int_equal(read_text(f, "a = 1; b: -2L\nc = \"x\\\"\\\\\\n\\x41\\q\" # c\n \"y\", d "
				      "= true;\ne = 1.5;/* \n */\n"
				      "g =\n{ h: ( \"p\"\n, \"q\"\n  ,[1, 2L], { } ) };\n// end"),
		0);
	assert_string_equal(f->said, "");
	assert_int_equal(f->root->n_children, 6);
	n = node_get(f->root, "a");
	assert_int_equal(n->type, NODE_INT);
	assert_int_equal(n->integer, 1);
	assert_int_equal(node_get(f->root, "b")->integer, -2);
	assert_string_equal(node_string(f->root, "c"), "x\"\\\nA\\qy");
	assert_int_equal(node_get(f->root, "c")->line, 2);
	assert_true(node_get(f->root, "d")->boolean);
	assert_int_equal(node_get(f->root, "d")->line, 3);
	assert_true(node_get(f->root, "e")->real == 1.5);
	n = node_get(f->root, "g");
	assert_int_equal(n->line, 6);
	n = node_get(n, "h");
	assert_int_equal(n->type, NODE_LIST);
	assert_int_equal(n->n_children, 4);
	assert_int_equal(n->children[0]->line, 7);
	assert_int_equal(n->children[1]->line, 8);
	assert_int_equal(n->children[2]->line, 9);
	assert_int_equal(n->children[2]->n_children, 2);
	assert_null(n->children[2]->children[0]->key);
	assert_int_equal(n->children[3]->type, NODE_GROUP);
	assert_non_null(strstr(n->file, "/main.conf"));
}

static void an_empty_file_is_an_empty_group(void **state)
{
	assert_int_equal(read_text(*state, ""), 0);
	assert_int_equal(((struct fixture *)*state)->root->n_children, 0);
	assert_int_equal(read_text(*state, "\xef\xbb\xbf# nothing"), 0);
}

static void silent_traps_are_said_and_the_rest_is_still_read(void **state)
{
	struct fixture *f = *state;

	assert_trap(f, "a = 0;\nb = 3000000000;",
		"main.conf:2: integer 3000000000 overflows 32 bits: write 3000000000L\n");
	assert_int_equal(node_get(f->root, "b")->integer, 3000000000);
	assert_trap(f, "b = 010;",
		"main.conf:1: integer 010 begins with 0: write 10 (it is not octal)\n");
	assert_trap(f, "b = -007L;",
		"main.conf:1: integer -007 begins with 0: write -7 (it is not octal)\n");
	assert_trap(f, "b = 0xFFFFFFFF;",
		"main.conf:1: integer 0xFFFFFFFF overflows 32 bits: write 0xFFFFFFFFL\n");
	assert_trap(f, "b = 99999999999999999999L;",
		"main.conf:1: 99999999999999999999 is too large for an integer\n");
	assert_trap(f, "b = 1e999;", "main.conf:1: 1e999 is too large for a number\n");
	assert_trap(f, "\nb = \"x\\x00y\";",
		"main.conf:2: a string holds the control character \\x00, which would end it\n");
	assert_string_equal(node_string(f->root, "b"), "xy");
	assert_trap(
		f, "b = \"\n\x1b\";", "main.conf:2: a string holds the control character \\x1b\n");
	assert_trap(
		f, "b = \"\\x7f\";", "main.conf:1: a string holds the control character \\x7f\n");
	assert_trap(f, "b = \"\\xZZ\";", "main.conf:1: \\x needs two hexadecimal digits\n");
	assert_trap(f, "b = \"a\xff\";", "main.conf:1: a string is not valid UTF-8\n");
	assert_trap(f, "b = \"\\xc3\";", "main.conf:1: a string is not valid UTF-8\n");
	assert_trap(f, "b = 1;\n/* c = 2;",
		"main.conf:2: a comment begins here and never ends: */ is missing\n");
}

static void what_only_looks_like_a_trap_is_none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_text(f, "a = 0; b = 2147483647; c = -2147483648; d = 0.5; e = "
				      "3000000000L; f = 0x10;\n"
				      "g = \"010 3000000000 /* # // \\xc3\\xa9 \xe2\x82\xac\"; # "
				      "010 \xff \"\n/* 010 \xff \" */ // 1e999\n"
				      "h: { a = 1; }; i: { a = 1; };\n"),
		0);
	assert_string_equal(f->said, "");
	assert_string_equal(node_string(f->root, "g"), "010 3000000000 /* # // \u00e9 \u20ac");
	assert_int_equal(node_get(f->root, "f")->integer, 16);
}

static void a_nul_byte_is_no_end(void **state)
{
	struct fixture *f = *state;

	put_bytes(f, "main.conf", "a = \"x\0y\"; b = 2;", 17);
	assert_int_equal(read_main(f), 0);
	assert_string_equal(f->said,
		"main.conf:1: a string holds the control character \\x00, which would end it\n");
	assert_int_equal(node_get(f->root, "b")->integer, 2);
	put_bytes(f, "main.conf", "a = 1;\n\0 b = 2;", 15);
	assert_int_equal(read_main(f), -EINVAL);
	assert_string_equal(f->said, "main.conf:2: syntax error: unexpected byte \\x00\n");
}

static void duplicate_names_are_all_said_and_the_first_one_stands(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_text(f, "a = 1;\ng: { x = 1;\n x = 2; x = 3; };\na = 2;"), 0);
	assert_int_equal(f->complaints.n_errors, 3);
	assert_non_null(
		strstr(f->said, "main.conf:4: duplicate name \"a\": it is already in line 1\n"));
	assert_non_null(
		strstr(f->said, "main.conf:3: duplicate name \"x\": it is already in line 2\n"));
	assert_int_equal(node_get(f->root, "a")->integer, 1);
	assert_int_equal(node_get(f->root, "g")->n_children, 1);
}

static void a_syntax_error_has_its_line_and_a_hint(void **state)
{
	struct fixture *f = *state;

	assert_refused(
		f, "a = (1,\n2,\n);", "main.conf:2: syntax error: a trailing comma before ')'\n");
	assert_refused(f, "a = [1,];", "main.conf:1: syntax error: a trailing comma before ']'\n");
	assert_refused(
		f, "a = [1\n2];", "main.conf:2: syntax error: a comma is missing before 2L\n");
	assert_refused(f, "a = ({},\n{}\n{});",
		"main.conf:3: syntax error: a comma is missing before '{'\n");
	assert_refused(f, "a = \"x;\nb = 2;\n",
		"main.conf:1: syntax error: a string begins here and never ends: a quote is "
		"missing\n");
	assert_refused(f, "a = 1;\nb = \"x;\nc = \"y\";\n",
		"main.conf:2: syntax error: this string goes on to line 3: is its closing quote "
		"missing?\n");
	assert_refused(f, "a = x\";\n", "main.conf:1: syntax error: x needs quotes: \"x\"\n");
	assert_refused(f, "a = 5m;\n", "main.conf:1: syntax error: 5m needs quotes: \"5m\"\n");
	assert_refused(f, "a = [5m];\n", "main.conf:1: syntax error: 5m needs quotes: \"5m\"\n");
	assert_refused(f, "a = 'x';\n",
		"main.conf:1: syntax error: unexpected ': strings stand in double quotes, "
		"\"...\"\n");
	assert_refused(
		f, "a \"x\";\n", "main.conf:1: syntax error: a: '=' or ':' is missing behind it\n");
	assert_refused(f, "a == 1;\n", "main.conf:1: syntax error: one '=' or ':' too many\n");
	assert_refused(f, "a = ;\n", "main.conf:1: syntax error: a value is expected, not ';'\n");
	assert_refused(f, "a = 1;;\n", "main.conf:1: syntax error: one ';' too many\n");
	assert_refused(f, "a: {\nb = ( 1;\n};\n",
		"main.conf:2: syntax error: ',' or the end of the list is expected, not ';'\n");
	assert_refused(f, "a: {\nb = ( 1\n};\n",
		"main.conf:3: syntax error: '}' where the '(' of line 2 is still open: a ')' is "
		"missing before\n");
	assert_refused(f, "a: {\nb = 1;\n",
		"main.conf:1: syntax error: this '{' is never closed by a '}'\n");
	assert_refused(
		f, "a = 1; };\n", "main.conf:1: syntax error: a name is expected, not '}'\n");
	assert_refused(f, "a = ( b = 1 );",
		"main.conf:1: syntax error: b: a list holds values: put settings into { }\n");
	assert_refused(f, "a = [ {} ];",
		"main.conf:1: syntax error: [ ] holds plain values: write ( ) around groups and "
		"lists\n");
	assert_refused(f, "a = [ 1, \"x\" ];",
		"main.conf:1: syntax error: the values in [ ] are not of one type: write ( ) "
		"around them\n");
	assert_refused(f, "a.b = 1;\n",
		"main.conf:1: syntax error: a: '=' or ':' is missing behind it (names "
		"hold letters, digits, '-' and '_' only)\n");
	assert_refused(f, "\"a\" = 1;\n",
		"main.conf:1: syntax error: a name stands without quotes (a list of "
		"{ key = ...; value = ...; } takes any name)\n");
	assert_refused(f, "a = .;\n", "main.conf:1: syntax error: unexpected '.'\n");
	assert_refused(f, "a = @b;\n",
		"main.conf:1: syntax error: unexpected '@': the one word with it is @include "
		"\"FILE\"\n");
}

static void strings_side_by_side_in_a_list_are_warned_of(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_text(f, "b = \"x\"\n \"y\";\na = [\"x\"\n\"y\"];"), 0);
	assert_string_equal(f->said,
		"main.conf:4: warning: two strings side by side are one: is a comma missing?\n");
	assert_int_equal(f->complaints.n_errors, 0);
}

static void deep_nesting_is_refused(void **state)
{
	_cleanup_buf_ struct buf text = BUF_NULL;

	buf_puts(&text, "a = ");
	for (int i = 0; i < 70; i++)
		buf_putc(&text, '(');
	assert_refused(
		*state, buf_str(&text), "main.conf:1: syntax error: nested deeper than 64\n");
}

static void make_sub(struct fixture *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sub", f->folder);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void included_files_are_found_beside_the_one_that_includes_and_named(void **state)
{
	struct fixture *f = *state;
	const struct node *jobs;

	make_sub(f);
	put(f, "sub/a.conf", "{ name = \"a\"; },\n@include \"b.conf\"\n");
	put(f, "sub/b.conf", "\n{ name = \"b\";\n n = 010; }");
	assert_int_equal(read_text(f, "x = 1;\njobs: (\n  @include \"sub/a.conf\"\n);\ny = 2;"), 0);
	jobs = node_get(f->root, "jobs");
	assert_int_equal(jobs->n_children, 2);
	assert_string_equal(node_string(jobs->children[1], "name"), "b");
	assert_non_null(strstr(jobs->children[1]->file, "/sub/b.conf"));
	assert_int_equal(jobs->children[1]->line, 2);
	assert_int_equal(node_get(f->root, "y")->line, 5);
	assert_non_null(strstr(node_get(f->root, "y")->file, "/main.conf"));
	assert_string_equal(
		f->said, "sub/b.conf:3: integer 010 begins with 0: write 10 (it is not octal)\n");
}

static void a_name_in_two_included_files_is_a_duplicate(void **state)
{
	struct fixture *f = *state;

	make_sub(f);
	put(f, "sub/a.conf", "jobs: ( );\n");
	put(f, "sub/b.conf", "\njobs: ( );\n");
	assert_int_equal(read_text(f, "@include \"sub/a.conf\"\n@include \"sub/b.conf\"\n"), 0);
	assert_string_equal(
		f->said, "sub/b.conf:2: duplicate name \"jobs\": it is already in sub/a.conf:1\n");
}

static void includes_that_cannot_be_are_said(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "\n@include \"more.conf\"\n",
		"main.conf:2: more.conf cannot be read: No such file or directory\n");
	assert_refused(f, "\n@include more.conf\n",
		"main.conf:2: syntax error: @include needs a file name in quotes\n");
	put(f, "more.conf", "a = 1;\n@include \"main.conf\"\n");
	assert_int_equal(read_text(f, "@include \"more.conf\"\n"), -EINVAL);
	assert_non_null(strstr(f->said, "does one include itself?"));
	put(f, "more.conf", "a = (1\n");
	assert_refused(f, "@include \"more.conf\"\n",
		"more.conf:1: syntax error: this '(' is never closed by a ')'\n");
}

static void a_file_that_cannot_be_read_is_said(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *large = xcalloc(1, (1 << 20) + 1);

	assert_int_equal(read_main(f), -EINVAL);
	assert_string_equal(f->said, "main.conf: cannot be read: No such file or directory\n");
	memset(large, ' ', (1 << 20) + 1);
	put_bytes(f, "main.conf", large, (1 << 20) + 1);
	assert_int_equal(read_main(f), -EINVAL);
	assert_string_equal(f->said, "main.conf: cannot be read: it is larger than 1 MiB\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_type_comes_with_its_file_and_line),
		TEST(an_empty_file_is_an_empty_group),
		TEST(silent_traps_are_said_and_the_rest_is_still_read),
		TEST(what_only_looks_like_a_trap_is_none),
		TEST(a_nul_byte_is_no_end),
		TEST(duplicate_names_are_all_said_and_the_first_one_stands),
		TEST(a_syntax_error_has_its_line_and_a_hint),
		TEST(strings_side_by_side_in_a_list_are_warned_of),
		TEST(deep_nesting_is_refused),
		TEST(included_files_are_found_beside_the_one_that_includes_and_named),
		TEST(a_name_in_two_included_files_is_a_duplicate),
		TEST(includes_that_cannot_be_are_said),
		TEST(a_file_that_cannot_be_read_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
