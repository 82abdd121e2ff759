#include "tests/unit/unit.h"
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "spec/template.h"

/* ${x.NAME} is "<NAME>", ${big.} is a long text, anything else an error. */
static int look_up(void *context, const char *scope, const char *name, char **ret, char **ret_error)
{
	if (strcmp(scope, "x") == 0)
		*ret = xasprintf("<%s>", name);
	else if (strcmp(scope, "big") == 0)
		*ret = memset(xcalloc(1, 600001), 'b', 600000);
	else {
		*ret_error = xasprintf("no %s", scope);
		return -ENOENT;
	}
	return 0;
}

static void assert_expands(const char *text, const char *expected)
{
	_cleanup_free_ char *got = NULL, *error = NULL;

	assert_int_equal(template_expand(text, look_up, NULL, &got, &error), 0);
	assert_string_equal(got, expected);
}

static void assert_refuses(const char *text, const char *sentence)
{
	_cleanup_free_ char *error = NULL;
	char *got = NULL;

	assert_true(template_expand(text, look_up, NULL, &got, &error) < 0);
	assert_null(got);
	assert_string_equal(error, sentence);
}

static void references_become_values(void **state)
{
	assert_expands("", "");
	assert_expands("a${x.b}c${x}${x.d.e-f_1}", "a<b>c<><d.e-f_1>");
}

static void dollars_stand_for_themselves_unless_a_brace_follows(void **state)
{
	assert_expands("$", "$");
	assert_expands("$$", "$");
	assert_expands("$$$", "$$");
	assert_expands("$HOME $1 a$", "$HOME $1 a$");
	assert_expands("$${x.a} $$${x.a}", "${x.a} $<a>");
}

static void values_are_not_expanded_again(void **state)
{
	assert_expands("${x.a}{x.b}", "<a>{x.b}");
}

static void bad_syntax_is_said(void **state)
{
	assert_refuses("a${x.b", "${x.b is not closed by a }");
	assert_refuses("${", "${ is not closed by a }");
	assert_refuses("${}", "${ is no reference: write ${scope.name}, and $$ for a dollar");
	assert_refuses(
		"${x..a}", "${x..a is no reference: write ${scope.name}, and $$ for a dollar");
	assert_refuses("${x.}", "${x. is no reference: write ${scope.name}, and $$ for a dollar");
	assert_refuses("${x a}", "${x is no reference: write ${scope.name}, and $$ for a dollar");
	assert_refuses("${X:-1}", "${X is no reference: write ${scope.name}, and $$ for a dollar");
	assert_refuses("${y.a}", "no y");
}

static void results_are_bounded(void **state)
{
	assert_refuses("${big}${big}", "it becomes larger than 1048576 bytes");
}

static struct node *string_node(const char *key, const char *text)
{
	struct node *n = node_new(NODE_STRING, key, NULL, 0);

	n->string = xstrdup(text);
	return n;
}

static void a_tree_is_copied_with_its_strings_expanded(void **state)
{
	_cleanup_node_ struct node *in = node_new(NODE_GROUP, NULL, "f", 3), *out = NULL;
	_cleanup_free_ char *error = NULL;
	struct node *list = node_new(NODE_LIST, "list", "f", 4),
		    *n = node_new(NODE_INT, NULL, "f", 4);

	n->integer = 7;
	node_add(list, string_node(NULL, "${x.a}"));
	node_add(list, n);
	node_add(in, list);
	node_add(in, string_node("${x.k}", "plain"));
	assert_int_equal(template_expand_tree(in, look_up, NULL, &out, &error), 0);
	assert_int_equal(out->line, 3);
	assert_string_equal(node_get(out, "list")->children[0]->string, "<a>");
	assert_int_equal(node_get(out, "list")->children[1]->integer, 7);
	assert_string_equal(node_string(out, "${x.k}"), "plain");
}

static void a_tree_is_bounded_as_a_whole_and_errors_leave_nothing(void **state)
{
	_cleanup_node_ struct node *in = node_new(NODE_LIST, NULL, NULL, 0);
	_cleanup_free_ char *error = NULL, *other = NULL;
	struct node *out = NULL;

	node_add(in, string_node(NULL, "${big}"));
	node_add(in, string_node(NULL, "${big}"));
	assert_int_equal(template_expand_tree(in, look_up, NULL, &out, &error), -E2BIG);
	assert_null(out);
	free(in->children[1]->string);
	in->children[1]->string = xstrdup("${no.such}");
	assert_int_equal(template_expand_tree(in, look_up, NULL, &out, &other), -ENOENT);
	assert_null(out);
}

static int collect(void *context, const char *scope, const char *name)
{
	char *all = context;

	strcat(strcat(strcat(strcat(all, scope), "/"), name), " ");
	return strcmp(scope, "stop") == 0 ? 42 : 0;
}

static void each_reference_is_found_until_told_to_stop(void **state)
{
	_cleanup_node_ struct node *tree = node_new(NODE_LIST, NULL, NULL, 0);
	_cleanup_free_ char *error = NULL;
	char all[100] = "";

	assert_int_equal(template_each("${a.b.c} $${no} ${d}", collect, all, &error), 0);
	assert_string_equal(all, "a/b.c d/ ");
	all[0] = '\0';
	node_add(tree, string_node(NULL, "${a.b}${stop}${c.d}"));
	node_add(tree, string_node(NULL, "${e.f}"));
	assert_int_equal(template_each_tree(tree, collect, all, &error), 42);
	assert_string_equal(all, "a/b stop/ ");
	assert_int_equal(template_each("${a", collect, all, &error), -EINVAL);
	assert_non_null(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_become_values),
		cmocka_unit_test(dollars_stand_for_themselves_unless_a_brace_follows),
		cmocka_unit_test(values_are_not_expanded_again),
		cmocka_unit_test(bad_syntax_is_said),
		cmocka_unit_test(results_are_bounded),
		cmocka_unit_test(a_tree_is_copied_with_its_strings_expanded),
		cmocka_unit_test(a_tree_is_bounded_as_a_whole_and_errors_leave_nothing),
		cmocka_unit_test(each_reference_is_found_until_told_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
