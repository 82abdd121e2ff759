/* Damaged configurations: whatever a person mistypes ends in words, never in a crash. */
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"

static uint64_t chance(uint64_t *seed, uint64_t n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (*seed >> 33) % n;
}

static size_t count_nodes(const struct node *n)
{
	size_t count = 1;

	for (size_t i = 0; i < n->n_children; i++)
		count += count_nodes(n->children[i]);
	return count;
}

static struct node *node_at(struct node *n, size_t *left)
{
	if ((*left)-- == 0)
		return n;
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *found = node_at(n->children[i], left);

		if (found)
			return found;
	}
	return NULL;
}

static void set_string(struct node *n, const char *text)
{
	if (n->type == NODE_STRING)
		free(n->string);
	for (size_t i = 0; i < n->n_children; i++)
		node_free(n->children[i]);
	n->n_children = 0;
	n->type = NODE_STRING;
	n->string = xstrdup(text);
}

static void damage(struct node *n, uint64_t *seed)
{
	static const char *const texts[] = {"", "x", "${", "${matrix.environment}", "${secret.A}",
		"${json.tenants}", "$$", "1h", "a b", "${steps.build.x}", "environment", "changed"};

	switch (chance(seed, 5)) {
	case 0:
		set_string(n, texts[chance(seed, ARRAY_SIZE(texts))]);
		break;
	case 1:
		set_string(n, "");
		free(n->string);
		n->type = NODE_INT;
		n->integer = (int64_t)chance(seed, 3) - 1;
		break;
	case 2:
		if (n->type == NODE_GROUP || n->type == NODE_LIST)
			while (n->n_children > 0)
				node_free(n->children[--n->n_children]);
		break;
	case 3:
		if (n->key) {
			free(n->key);
			n->key = xstrdup(chance(seed, 2) ? "name" : "environment");
		}
		break;
	case 4:
		if (n->n_children > 0) {
			struct node *copy = node_copy(n->children[chance(seed, n->n_children)]);

			if (n->type == NODE_GROUP && !copy->key)
				copy->key = xstrdup("k");
			node_add(n, copy);
		}
		break;
	}
}

static void load_damaged(const struct node *whole, const struct spec_world *w, uint64_t seed)
{
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree = node_copy(whole);
	size_t wounds = 1 + chance(&seed, 3);
	struct spec *spec = NULL;
	int r;

	while (wounds-- > 0) {
		size_t place = chance(&seed, count_nodes(tree));

		damage(node_at(tree, &place), &seed);
	}
	r = spec_load(tree, w, &c, &spec);
	assert_true(r == 0 ? c.n_errors == 0 && spec : c.n_errors > 0 && !spec);
	for (size_t i = 0; spec && i < spec->n_jobs; i++) {
		struct spec_job *back = NULL;
		_cleanup_free_ char *error = NULL;

		if (spec_job_from_definition(spec->jobs[i]->definition, w, &back, &error) < 0)
			fail_msg("seed %llu: %s", (unsigned long long)seed, error);
		assert_string_equal(back->definition, spec->jobs[i]->definition);
		spec_job_unref(back);
	}
	spec_free(spec);
}

static void any_damage_to_the_example_ends_in_words(void **state)
{
	struct spec_world w = help_world();
	_cleanup_free_ char *text = help_file("design.json");
	_cleanup_node_ struct node *whole = help_tree(text);

	for (uint64_t seed = 1; seed <= 250; seed++)
		load_damaged(whole, &w, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_damage_to_the_example_ends_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
