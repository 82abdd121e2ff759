/* A run's definition: the same job comes out of it, and nothing else is needed. */
#include "tests/unit/unit.h"
#include "tests/unit/spec_help.h"

#define _cleanup_spec_ _cleanup_(cleanup_spec_free)

static struct spec_job *again(const struct spec_job *job)
{
	struct spec_world w = help_world();
	struct spec_job *back = NULL;
	char *error = NULL;

	w.check_secrets = true; /* and yet none is sought */
	if (spec_job_from_definition(job->definition, &w, &back, &error) < 0)
		fail_msg("%s: %s", job->name, error);
	return back;
}

static void assert_same_steps(const struct spec_stage *a, const struct spec_stage *b)
{
	assert_int_equal(a->n_steps, b->n_steps);
	for (size_t i = 0; i < a->n_steps; i++) {
		const struct spec_step *s = &a->steps[i], *t = &b->steps[i];

		assert_string_equal(s->name, t->name);
		assert_ptr_equal(s->kind, t->kind);
		assert_int_equal(s->env.n, t->env.n);
		assert_int_equal(s->n_files, t->n_files);
		assert_int_equal(s->timeout, t->timeout);
		assert_memory_equal(&s->retry, &t->retry, sizeof(s->retry));
		assert_int_equal(strv_length(s->secrets), strv_length(t->secrets));
	}
}

static void the_examples_jobs_come_back_byte_by_byte(void **state)
{
	_cleanup_free_ char *text = help_file("design.json");
	_cleanup_spec_ struct spec *s = help_load(text);

	for (size_t i = 0; i < s->n_jobs; i++) {
		const struct spec_job *job = s->jobs[i];
		struct spec_job *back = again(job);

		assert_string_equal(back->definition, job->definition);
		assert_string_equal(back->hash, job->hash);
		assert_int_equal(strlen(job->hash), 64);
		assert_int_equal(back->n_cells, job->n_cells);
		assert_int_equal(back->n_environments, job->n_environments);
		assert_int_equal(back->n_checks, job->n_checks);
		for (size_t k = 0; k < job->n_stages; k++)
			assert_same_steps(&job->stages[k], &back->stages[k]);
		for (unsigned k = 0; k < job->n_cells; k++)
			assert_string_equal(
				spec_cell_at(back, k)->name, spec_cell_at(job, k)->name);
		spec_job_unref(back);
	}
}

static void it_holds_what_the_job_refers_to_and_no_more(void **state)
{
	_cleanup_spec_ struct spec *s = help_load(
		"{'environments':{'p':{'vars':{'A':'1'}},'q':{},'r':{}},"
		"'sets':{'x':{'env':{'B':'2'}},'y':{}},'locks':{'l':4,'m':1},"
		"'checks':[{'name':'c','url':'http://c'},{'name':'d','url':'http://d'}],"
		"'jobs':[{'name':'j','environment':'p','use':['x'],'stages':[{'name':'s','steps':["
		"{'name':'a','run':['true'],'lock':'l','gate':{'check':'c'}}]}]}]}");

	assert_string_equal(s->jobs[0]->definition,
		"{\"version\":1,\"job\":{\"name\":\"j\",\"environment\":\"p\",\"use\":[\"x\"],"
		"\"stages\":[{\"name\":\"s\",\"steps\":[{\"name\":\"a\",\"run\":[\"true\"],"
		"\"lock\":\"l\",\"gate\":{\"check\":\"c\"}}]}]},"
		"\"environments\":{\"p\":{\"vars\":{\"A\":\"1\"}}},"
		"\"sets\":{\"x\":{\"env\":{\"B\":\"2\"}}},"
		"\"checks\":[{\"name\":\"c\",\"url\":\"http://c\"}],\"locks\":{\"l\":1}}");
}

static void other_places_of_a_lock_make_no_other_definition(void **state)
{
#define WITH(n)                                                                                    \
	"{'locks':{'l':" n "},'jobs':[{'name':'j','stages':[{'name':'s','steps':["                 \
	"{'name':'a','run':['true'],'lock':'l'}]}]}]}"
	_cleanup_spec_ struct spec *one = help_load(WITH("1"));
	_cleanup_spec_ struct spec *four = help_load(WITH("4"));

	assert_string_equal(one->jobs[0]->hash, four->jobs[0]->hash);
}

static void a_broken_definition_is_refused_with_a_sentence(void **state)
{
	static const char *const broken[][2] = {
		{"", "the stored definition cannot be used: it is no JSON object"},
		{"{\"version\":1", "the stored definition cannot be used: it is no JSON object"},
		{"{\"version\":9}",
			"the stored definition cannot be used: its version is not known"},
		{"{\"version\":1}", "the stored definition cannot be used: it holds no job"},
		{"{\"version\":1,\"job\":{\"name\":\"j\"}}",
			"the stored definition cannot be used: jobs.j: \"stages\" is missing: its "
			"stages"},
	};
	struct spec_world w = help_world();

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct spec_job *job = NULL;
		_cleanup_free_ char *error = NULL;

		assert_int_equal(spec_job_from_definition(broken[i][0], &w, &job, &error), -EINVAL);
		assert_null(job);
		assert_string_equal(error, broken[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_jobs_come_back_byte_by_byte),
		cmocka_unit_test(it_holds_what_the_job_refers_to_and_no_more),
		cmocka_unit_test(other_places_of_a_lock_make_no_other_definition),
		cmocka_unit_test(a_broken_definition_is_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
