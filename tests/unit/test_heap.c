#include "tests/unit/unit.h"
#include "base/heap.h"

static void nodes_come_out_in_order_of_their_keys(void **state)
{
	struct heap h = {0};
	struct heap_node nodes[100] = {0};
	int64_t last = -1;

	for (int i = 0; i < 100; i++)
		heap_set(&h, &nodes[i], (i * 37) % 100);
	for (int i = 0; i < 100; i++) {
		struct heap_node *first = heap_first(&h);

		assert_true(first->key > last);
		last = first->key;
		heap_remove(&h, first);
	}
	assert_null(heap_first(&h));
	heap_fini(&h);
}

static void a_node_can_be_moved_and_removed_wherever_it_is(void **state)
{
	struct heap h = {0};
	struct heap_node a = {0}, b = {0}, c = {0};

	heap_set(&h, &a, 1);
	heap_set(&h, &b, 2);
	heap_set(&h, &c, 3);
	heap_set(&h, &c, 0);
	assert_ptr_equal(heap_first(&h), &c);
	heap_remove(&h, &b);
	heap_remove(&h, &b);
	heap_remove(&h, &c);
	assert_ptr_equal(heap_first(&h), &a);
	heap_fini(&h);
	assert_false(heap_has(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_come_out_in_order_of_their_keys),
		cmocka_unit_test(a_node_can_be_moved_and_removed_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
