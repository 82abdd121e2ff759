/* Cells: their order and names, what is excluded and included, how stages join. */
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"

#define STEPS	 "'steps':[{'name':'a','run':['true']}]"
#define METABASE "{'metabase':{'url':'http://m','api_key':'k'}}"
#define JOB(x)                                                                                     \
	"{'environments':{'p':" METABASE ",'s':" METABASE "},'jobs':[{'name':'j','stages':[" x     \
	"]}]}"
#define _cleanup_spec_ _cleanup_(cleanup_spec_free)

static void assert_cells(const struct spec_stage *stage, const char *wanted)
{
	_cleanup_buf_ struct buf names = BUF_NULL;

	for (size_t i = 0; i < stage->n_cells; i++)
		buf_printf(&names, "%s%s", i ? " " : "", stage->cells[i].name);
	assert_string_equal(buf_str(&names), wanted);
}

static void cells_come_in_the_order_written_the_last_dimension_fastest(void **state)
{
	_cleanup_spec_ struct spec *s =
		help_load(JOB("{'name':'b','matrix':{'z':['2','1'],'a':['x','y']}," STEPS "}"));

	assert_cells(&s->jobs[0]->stages[0], "b/2/x b/2/y b/1/x b/1/y");
}

static void a_stage_without_a_matrix_has_one_cell_named_as_the_stage(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		JOB("{'name':'b'," STEPS
		    "},{'name':'c','matrix':{},'include':[],'environment':'p'," STEPS "}"));

	assert_cells(&s->jobs[0]->stages[0], "b");
	assert_cells(&s->jobs[0]->stages[1], "c");
	assert_int_equal(s->jobs[0]->n_cells, 2);
	assert_ptr_equal(spec_cell_at(s->jobs[0], 1), &s->jobs[0]->stages[1].cells[0]);
	assert_null(spec_cell_at(s->jobs[0], 2));
}

static void exclude_takes_out_and_include_adds_whole_cells(void **state)
{
	_cleanup_spec_ struct spec *s =
		help_load(JOB("{'name':'b','matrix':{'t':['x','y'],'u':['1','2','3']},"
			      "'exclude':[{'t':'x','u':['1','3']},{'u':'2'}],"
			      "'include':[{'u':'9','t':'z'},{'t':'x','u':'2'}]," STEPS "}"));

	assert_cells(&s->jobs[0]->stages[0], "b/y/1 b/y/3 b/z/9 b/x/2");
}

static void include_alone_makes_a_matrix(void **state)
{
	_cleanup_spec_ struct spec *s =
		help_load(JOB("{'name':'b','include':[{'environment':'p','t':'x'},{'t':'y','"
			      "environment':'s'}]," STEPS "}"));
	const struct spec_stage *b = &s->jobs[0]->stages[0];

	assert_cells(b, "b/p/x b/s/y");
	assert_string_equal(b->cells[1].environment, "s");
	assert_string_equal(spec_cell_value(s->jobs[0], &b->cells[1], "t"), "y");
	assert_null(spec_cell_value(s->jobs[0], &b->cells[1], "u"));
}

static void cells_join_where_they_agree_on_what_both_have(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		JOB("{'name':'b','matrix':{'environment':['p','s'],'t':['x','y']}," STEPS "},"
		    "{'name':'c','matrix':{'environment':['s']},'needs':['b']," STEPS "},"
		    "{'name':'d','needs':['c']," STEPS "}"));
	const struct spec_job *j = s->jobs[0];
	const struct spec_cell *c = &j->stages[1].cells[0], *d = &j->stages[2].cells[0];

	assert_false(spec_cells_join(j, c, &j->stages[0].cells[0]));
	assert_false(spec_cells_join(j, &j->stages[0].cells[1], c));
	assert_true(spec_cells_join(j, c, &j->stages[0].cells[2]));
	assert_true(spec_cells_join(j, &j->stages[0].cells[3], c));
	assert_true(spec_cells_join(j, d, c));
}

static void only_is_and_over_dimensions_and_or_over_values(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		JOB("{'name':'b','matrix':{'t':['x','y','z'],'u':['1','2']},'steps':[{'name':'a',"
		    "'run':['true'],'only':{'t':['x','y'],'u':'2'}}]}"));
	const struct spec_job *j = s->jobs[0];
	const struct spec_only *only = &j->stages[0].steps[0].only;
	const bool wanted[] = {false, true, false, true, false, false};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_int_equal(spec_only_has(only, j, &j->stages[0].cells[i]), wanted[i]);
}

static void a_needs_only_is_of_the_needed_stages_dimensions(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		JOB("{'name':'b','matrix':{'t':['x','y']}," STEPS "},"
		    "{'name':'c','needs':[{'stage':'b','when':'ended','only':{'t':'y'}},'b']," STEPS
		    "}"));
	const struct spec_job *j = s->jobs[0];
	const struct spec_need *need = &j->stages[1].needs[0];

	assert_int_equal(j->stages[1].n_needs, 2);
	assert_int_equal(need->stage, 0);
	assert_int_equal(need->when, WHEN_ENDED);
	assert_false(spec_only_has(&need->only, j, &j->stages[0].cells[0]));
	assert_true(spec_only_has(&need->only, j, &j->stages[0].cells[1]));
}

static void changed_learns_through_others_in_its_own_environment(void **state)
{
	struct spec_world w = help_world();
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree = help_tree(JOB(
		"{'name':'b','environment':'p','steps':[{'name':'d','dbt':{'command':'build',"
		"'project':'/p'}}]},{'name':'m','needs':['b']," STEPS "},"
		"{'name':'y','needs':['m'],'matrix':{'environment':['p','s']},'steps':[{'name':'y',"
		"'metabase_sync':{'databases':'*','tables':'changed'}}]}"));
	struct spec *spec = NULL;

	assert_int_equal(spec_load(tree, &w, &c, &spec), -EINVAL);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.items[0].message,
		"jobs.j.stages.y.steps.y: metabase_sync.tables: \"changed\" has no dbt cell to "
		"learn "
		"from: the cell y/s needs none that builds in environment s");
}

static void ten_thousand_cells_load_and_join_in_time(void **state)
{
	_cleanup_buf_ struct buf text = BUF_NULL;
	_cleanup_buf_ struct buf matrix = BUF_NULL;
	_cleanup_spec_ struct spec *s = NULL;

	for (int d = 0; d < 2; d++) {
		buf_printf(&matrix, "%s'd%d':[", d ? "," : "", d);
		for (int i = 0; i < 100; i++)
			buf_printf(&matrix, "%s'v%d'", i ? "," : "", i);
		buf_puts(&matrix, "]");
	}
	buf_printf(&text,
		JOB("{'name':'b','matrix':{%s}," STEPS "},{'name':'c','needs':['b'],"
		    "'matrix':{%s}," STEPS "}"),
		buf_str(&matrix), buf_str(&matrix));
	s = help_load(buf_str(&text));
	assert_int_equal(s->jobs[0]->n_cells, 20000);
	assert_string_equal(spec_cell_at(s->jobs[0], 19999)->name, "c/v99/v99");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_come_in_the_order_written_the_last_dimension_fastest),
		cmocka_unit_test(a_stage_without_a_matrix_has_one_cell_named_as_the_stage),
		cmocka_unit_test(exclude_takes_out_and_include_adds_whole_cells),
		cmocka_unit_test(include_alone_makes_a_matrix),
		cmocka_unit_test(cells_join_where_they_agree_on_what_both_have),
		cmocka_unit_test(only_is_and_over_dimensions_and_or_over_values),
		cmocka_unit_test(a_needs_only_is_of_the_needed_stages_dimensions),
		cmocka_unit_test(changed_learns_through_others_in_its_own_environment),
		cmocka_unit_test(ten_thousand_cells_load_and_join_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
