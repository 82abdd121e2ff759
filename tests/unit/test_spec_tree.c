#include "tests/unit/unit.h"
#include <string.h>
#include "spec/keys.h"
#include "spec/tree.h"

static struct node *parse(const char *text)
{
	cJSON *json = cJSON_Parse(text);
	struct node *n = node_from_json(json, "x.conf");

	cJSON_Delete(json);
	return n;
}

static void a_tree_survives_the_way_to_json_and_back(void **state)
{
	const char *text = "{\"a\":[1,2.5,true,\"x\"],\"b\":{\"c\":-7,\"d\":{}}}";
	_cleanup_node_ struct node *n = parse(text);
	_cleanup_node_ struct node *copy = node_copy(n);
	cJSON *json = node_to_json(copy);
	char *again = cJSON_PrintUnformatted(json);

	assert_string_equal(again, text);
	assert_int_equal(node_get(node_get(n, "b"), "c")->integer, -7);
	assert_ptr_equal(n->file, node_file("x.conf"));
	free(again);
	cJSON_Delete(json);
}

static void looking_for_what_is_not_there_gives_null(void **state)
{
	_cleanup_node_ struct node *n = parse("{\"a\":1,\"s\":\"text\"}");

	assert_null(node_get(n, "A"));
	assert_null(node_get(NULL, "a"));
	assert_null(node_get(node_get(n, "a"), "a"));
	assert_null(node_string(n, "a"));
	assert_string_equal(node_string(n, "s"), "text");
}

static void every_key_has_a_doc_and_every_section_it_leads_to_exists(void **state)
{
	size_t n;
	const struct key *keys = spec_keys(&n);

	for (size_t i = 0; i < n; i++) {
		size_t j = 0;

		assert_non_null(keys[i].doc);
		assert_null(strchr(keys[i].doc, '\n'));
		assert_non_null(key_type_name(keys[i].type));
		assert_true(!keys[i].section[0] ||
			    strcmp(spec_section_name(keys[i].section), keys[i].section) != 0);
		if (!keys[i].into)
			continue;
		while (j < n && strcmp(keys[j].section, keys[i].into) != 0)
			j++;
		assert_true(j < n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_survives_the_way_to_json_and_back),
		cmocka_unit_test(looking_for_what_is_not_there_gives_null),
		cmocka_unit_test(every_key_has_a_doc_and_every_section_it_leads_to_exists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
