/* The kind terraform where its environment has a Metabase: look-ups that a sync mends, wrong names,
 * lost answers. Fed with what the real terraform said of dashboards. */
#include "unit.h"
#include <signal.h>
#include "kinds/terraform_show.h"
#include "terraform_play.h"

#define PARAMS "{\"action\":\"apply\",\"directory\":\"/tf\"}"

static const struct metabase_want *wanted(struct play *p, struct lane_want *w)
{
	char *error = NULL;

	play_key_secret = true;
	assert_int_equal(kind_terraform.join(p->machine, &p->ctx, p->cmd.action, w, &error), 0);
	play_key_secret = false;
	assert_ptr_equal(w->kind, &lane_metabase);
	assert_true(str_starts(w->key, "https://metabase.example.org "));
	return w->want;
}

static void want_fini(struct lane_want *w)
{
	metabase_want_free(w->want);
	free(w->key);
}
#define _cleanup_want_ _cleanup_(want_fini)

static void to_plan(struct play *p)
{
	play_init(p, PARAMS, true);
	play_exit(p, NULL, 0);
	assert_action(p, KIND_SPAWN, "plan");
}

/* The first apply makes the databases, and knows no table in them. */
static void first_apply(struct play *p)
{
	to_plan(p);
	play_exit(p, "dashboards_plan.log", 2);
	play_show(p, "dashboards_plan.show.json");
	assert_action(p, KIND_SPAWN, "apply");
	play_exit(p, "dashboards_apply_not_ready.log", 1);
	assert_done(p, OUTCOME_NOT_READY,
		"terraform: Metabase does not have analytics.mart_screener_data of NC, "
		"analytics.mart_screener_data of Global yet");
}

static void look_ups_that_fail_in_an_apply_are_synced_by_the_next_attempt(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_want_ struct lane_want w = {0};
	const struct metabase_want *want;

	first_apply(&p);
	play_again(&p);
	assert_action(&p, KIND_JOIN, "sync");
	want = wanted(&p, &w);
	assert_false(want->look);
	assert_false(want->all);
	assert_string_equal(want->api_key, "mb_key");
	assert_int_equal(want->n_databases, 2);
	assert_string_equal(want->databases[0].name, "NC");
	assert_string_equal(want->databases[1].name, "Global");
	assert_int_equal(want->databases[0].n_tables, 0);
	play_served(&p, OUTCOME_OK, NULL,
		"{\"databases\":[{\"name\":\"NC\",\"id\":2,\"state\":\"proved\",\"since\":"
		"\"2026-01-01T00:00:00.000000Z\",\"expected\":0,\"missing\":[]}]}");
	assert_int_equal(cJSON_GetArraySize(json_get(p.cmd.rows, "sync")), 1);
	assert_action(&p, KIND_SPAWN, "plan");
}

static void look_ups_that_fail_in_a_plan_are_found_in_the_configuration(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_want_ struct lane_want w = {0};
	const struct metabase_want *want;

	to_plan(&p);
	play_exit(&p, "dashboards_plan_not_ready.log", 1);
	assert_action(&p, KIND_SPAWN, "show");
	play_show(&p, "dashboards_plan_not_ready.show.json");
	assert_done(&p, OUTCOME_NOT_READY,
		"terraform: Metabase does not have analytics.mart_screener_data of NC, "
		"analytics.mart_screener_data of Global yet");
	play_again(&p);
	want = wanted(&p, &w);
	assert_int_equal(want->n_databases, 2);
}

static void a_column_that_is_not_there_yet_is_waited_for_too(void **state)
{
	_cleanup_play_ struct play p;

	to_plan(&p);
	play_exit(&p, "dashboards_plan_no_field.log", 1);
	play_show(&p, "dashboards_plan_no_field.show.json");
	assert_done(&p, OUTCOME_NOT_READY,
		"terraform: Metabase does not have analytics.mart_screener_data.wl_id of NC yet");
}

static void what_cannot_be_made_out_has_all_databases_synced(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_want_ struct lane_want w = {0};

	to_plan(&p);
	play_exit(&p, "dashboards_plan_not_ready.log", 1);
	play_exit(&p, NULL, 1); /* no show */
	assert_done(&p, OUTCOME_NOT_READY,
		"terraform: look-ups in Metabase failed; it is to be synced first");
	play_again(&p);
	assert_true(wanted(&p, &w)->all);
}

static void waiting_for_metabase_is_not_ready_and_goes_on(void **state)
{
	_cleanup_play_ struct play p;

	first_apply(&p);
	for (int i = 0; i < 3; i++) {
		play_again(&p);
		assert_action(&p, KIND_JOIN, "sync");
		play_served(
			&p, i ? OUTCOME_TRANSIENT : OUTCOME_NOT_READY, "its queue is busy", NULL);
		assert_done(&p, OUTCOME_NOT_READY, "Metabase: its queue is busy");
	}
}

/* The second attempt's plan fails as the first did, though the databases were synced. */
static void second_plan_fails(struct play *p)
{
	first_apply(p);
	play_again(p);
	play_served(p, OUTCOME_OK, NULL,
		"{\"databases\":[{\"name\":\"NC\",\"id\":2,\"state\":\"proved\"},"
		"{\"name\":\"Global\",\"id\":3,\"state\":\"proved\"}]}");
	play_exit(p, "dashboards_plan_not_ready.log", 1);
	play_show(p, "dashboards_plan_not_ready.show.json");
}

static void a_wrong_name_is_looked_up_and_fails(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_want_ struct lane_want w = {0};
	const struct metabase_want *want;

	second_plan_fails(&p);
	assert_action(&p, KIND_JOIN, "look");
	want = wanted(&p, &w);
	assert_true(want->look);
	assert_int_equal(want->n_databases, 2);
	assert_string_equal(want->databases[0].tables[0].schema, "analytics");
	assert_string_equal(want->databases[0].tables[0].name, "mart_screener_data");
	play_served(&p, OUTCOME_OK, NULL,
		"{\"databases\":[{\"name\":\"NC\",\"id\":2,\"state\":\"waiting\",\"missing\":[]},"
		"{\"name\":\"Global\",\"id\":3,\"missing\":[\"analytics.mart_oter\"],\"user\":"
		"\"reader\"}]}");
	assert_done(&p, OUTCOME_FAILED,
		"terraform: Metabase's database Global has no analytics.mart_oter, and has just "
		"been synced: is the name right (did you mean analytics.mart_other?), and may "
		"reader read it?");
}

static void a_table_that_came_meanwhile_is_tried_again(void **state)
{
	_cleanup_play_ struct play p;

	second_plan_fails(&p);
	play_served(&p, OUTCOME_OK, NULL, "{\"databases\":[{\"name\":\"NC\",\"missing\":[]}]}");
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_NOT_READY);
}

static void no_look_up_waits_for_ever(void **state)
{
	_cleanup_play_ struct play p;

	to_plan(&p);
	for (int i = 0; i < 3; i++) {
		play_exit(&p, "dashboards_plan_not_ready.log", 1);
		play_exit(&p, NULL, 1);
		assert_int_equal(p.cmd.outcome, OUTCOME_NOT_READY);
		play_again(&p);
		play_served(&p, OUTCOME_OK, NULL, "{\"databases\":[]}");
	}
	play_exit(&p, "dashboards_plan_not_ready.log", 1);
	play_exit(&p, NULL, 1);
	assert_done(&p, OUTCOME_FAILED,
		"terraform: Unable to find the table given its attributes (main.tf:53, "
		"data.metabase_table.tenant[\"nc\"]); and 1 more error, though Metabase has been "
		"synced 3 times");
}

static void say(struct play *p, const char *summary, const char *detail, const char *address)
{
	_cleanup_json_ cJSON *message = cJSON_CreateObject();
	_cleanup_free_ char *text = NULL;
	cJSON *d;
	char *news = NULL;

	json_set_string(message, "type", "diagnostic");
	d = json_set(message, "diagnostic", cJSON_CreateObject());
	json_set_string(d, "severity", "error");
	json_set_string(d, "summary", summary);
	json_set_string(d, "detail", detail);
	if (address)
		json_set_string(d, "address", address);
	text = json_print(message);
	kind_terraform.line(p->machine, STREAM_STDOUT, text, strlen(text), false, &news);
	free(news);
}

static void lose_answer(struct play *p, const char *address)
{
	to_plan(p);
	play_exit(p, "dashboards_plan.log", 2);
	play_show(p, "dashboards_plan.show.json");
	say(p, "Unexpected error while calling the Metabase API for operation 'create database'.",
		"Post \"http://mb/api/database\": EOF", address);
	play_exit(p, NULL, 1);
}

static void a_lost_answer_whose_effect_is_there_needs_a_person(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_want_ struct lane_want w = {0};
	const struct metabase_want *want;

	lose_answer(&p, "metabase_database.global");
	assert_action(&p, KIND_JOIN, "look");
	want = wanted(&p, &w);
	assert_int_equal(want->n_things, 1);
	assert_string_equal(want->things[0].type, "database");
	assert_string_equal(want->things[0].name, "Global");
	play_served(&p, OUTCOME_OK, NULL,
		"{\"databases\":[],\"found\":[{\"type\":\"database\",\"name\":\"Global\",\"id\":7}"
		"]}");
	assert_done(&p, OUTCOME_NEEDS_PERSON,
		"terraform: the answer to the create of metabase_database.global was lost, and "
		"Metabase has a database \"Global\" (id 7) that the state does not know: if it is "
		"that one, `terraform import 'metabase_database.global' 7` mends it, then retry");
}

static void a_lost_answer_without_effect_is_transient(void **state)
{
	_cleanup_play_ struct play p;

	lose_answer(&p, "metabase_database.global");
	play_served(&p, OUTCOME_OK, NULL, "{\"databases\":[],\"found\":[]}");
	assert_done(&p, OUTCOME_TRANSIENT,
		"terraform: Unexpected error while calling the Metabase API for operation 'create "
		"database': Post \"http://mb/api/database\": EOF (metabase_database.global)");
	/* it may still have come: the next attempt looks before it applies */
	play_again(&p);
	play_exit(&p, "dashboards_plan.log", 2);
	play_show(&p, "dashboards_plan.show.json");
	assert_action(&p, KIND_JOIN, "look");
	play_served(&p, OUTCOME_OK, NULL, "{\"databases\":[],\"found\":[]}");
	assert_action(&p, KIND_SPAWN, "apply");
}

static void a_lost_answer_is_looked_for_before_the_next_apply_where_its_name_comes_later(
	void **state)
{
	_cleanup_play_ struct play p;

	lose_answer(&p, "metabase_card.global_total");
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_TRANSIENT);
	play_again(&p);
	play_exit(&p, "dashboards_plan.log", 2);
	play_show(&p, "dashboards_plan.show.json"); /* still not known */
	assert_action(&p, KIND_SPAWN, "tidy");
	play_exit(&p, NULL, 0);
	assert_int_equal(p.cmd.outcome, OUTCOME_NEEDS_PERSON);
}

static void a_lost_answer_to_an_update_is_transient(void **state)
{
	_cleanup_play_ struct play p;

	lose_answer(&p, "metabase_collection.of_another_plan");
	assert_int_equal(p.cmd.type, KIND_DONE);
	assert_int_equal(p.cmd.outcome, OUTCOME_TRANSIENT);
}

static void a_killed_apply_s_creates_are_looked_for(void **state)
{
	_cleanup_play_ struct play p;
	_cleanup_want_ struct lane_want w = {0};

	to_plan(&p);
	play_exit(&p, "dashboards_plan.log", 2);
	play_show(&p, "dashboards_plan.show.json");
	play_process(&p, "dashboards_apply_not_ready.log",
		(struct action_status){.end = END_SIGNALLED, .signal = SIGKILL}, NULL, 0);
	assert_action(&p, KIND_SPAWN, "plan_2");
	play_exit(&p, "dashboards_plan.log", 2);
	play_show(&p, "dashboards_plan.show.json");
	assert_action(&p, KIND_JOIN, "look");
	assert_int_equal(wanted(&p, &w)->n_things, 6);
	play_served(&p, OUTCOME_OK, NULL, "{\"found\":[]}");
	assert_action(&p, KIND_SPAWN, "apply_2");
}

static void a_login_that_failed_is_judged_by_metabase(void **state)
{
	static const struct {
		enum outcome looked, outcome;
	} table[] = {
		{OUTCOME_OK, OUTCOME_TRANSIENT},
		{OUTCOME_TRANSIENT, OUTCOME_TRANSIENT},
		{OUTCOME_FAILED, OUTCOME_FAILED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_play_ struct play p;

		to_plan(&p);
		say(&p, "Failed to create the Metabase client from username and password.",
			"received unexpected response from the Metabase session API", NULL);
		play_exit(&p, NULL, 1);
		assert_action(&p, KIND_JOIN, "look");
		play_served(&p, table[i].looked, "so it is", "{\"databases\":[]}");
		play_exit(&p, NULL, 0); /* tidy */
		assert_int_equal(p.cmd.type, KIND_DONE);
		assert_int_equal(p.cmd.outcome, table[i].outcome);
	}
}

static void what_a_plan_file_tells_holds_no_values(void **state)
{
	size_t len = 0;
	_cleanup_free_ char *data = fixture_file("terraform/dashboards_plan.show.json", &len);
	_cleanup_json_ cJSON *show = terraform_show_read(data, len);
	_cleanup_free_ char *text = json_print(show);

	assert_non_null(strstr(data, "a-tenant-password-1"));
	assert_null(strstr(text, "password"));
	assert_null(terraform_show_read("{}", 2));
	assert_null(terraform_show_read("nonsense", 8));
	assert_null(terraform_show_read(NULL, 0));
}

static void look_ups_in_modules_are_followed_through_their_variables(void **state)
{
	static const char data[] =
		"{\"variables\":{\"schema\":{\"value\":\"marts\"}},\"resource_changes\":[{"
		"\"address\":\"module.m.metabase_database.db\",\"mode\":\"managed\",\"type\":"
		"\"metabase_database\",\"change\":{\"actions\":[\"no-op\"],\"before\":{\"id\":4,"
		"\"name\":\"Four\"},\"after\":{\"id\":4,\"name\":\"Four\"}}}],\"configuration\":{"
		"\"root_module\":{\"module_calls\":{\"m\":{\"expressions\":{\"s\":{\"references\":"
		"[\"var.schema\"]}},\"module\":{\"resources\":[{\"address\":"
		"\"data.metabase_table.t\",\"mode\":\"data\",\"type\":\"metabase_table\","
		"\"expressions\":{\"db_id\":{\"references\":[\"metabase_database.db.id\","
		"\"metabase_database.db\"]},\"schema\":{\"references\":[\"var.s\"]},\"name\":{"
		"\"constant_value\":\"orders\"}}},{\"address\":\"data.metabase_table.u\",\"mode\":"
		"\"data\",\"type\":\"metabase_table\",\"expressions\":{\"db_id\":{"
		"\"constant_value\":9},\"name\":{\"references\":[\"local.x\"]}}}]}}}}}}";
	_cleanup_json_ cJSON *show = terraform_show_read(data, strlen(data));
	_cleanup_free_ char *tables = json_print(json_get(show, "tables"));

	assert_string_equal(tables,
		"[{\"address\":\"module.m.data.metabase_table.t\",\"schema\":\"marts\",\"name\":"
		"\"orders\",\"database\":\"Four\"},{\"address\":\"module.m.data.metabase_table.u\","
		"\"schema\":null,\"name\":null,\"database\":9}]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(look_ups_that_fail_in_an_apply_are_synced_by_the_next_attempt),
		cmocka_unit_test(look_ups_that_fail_in_a_plan_are_found_in_the_configuration),
		cmocka_unit_test(a_column_that_is_not_there_yet_is_waited_for_too),
		cmocka_unit_test(what_cannot_be_made_out_has_all_databases_synced),
		cmocka_unit_test(waiting_for_metabase_is_not_ready_and_goes_on),
		cmocka_unit_test(a_wrong_name_is_looked_up_and_fails),
		cmocka_unit_test(a_table_that_came_meanwhile_is_tried_again),
		cmocka_unit_test(no_look_up_waits_for_ever),
		cmocka_unit_test(a_lost_answer_whose_effect_is_there_needs_a_person),
		cmocka_unit_test(a_lost_answer_without_effect_is_transient),
		cmocka_unit_test(
			a_lost_answer_is_looked_for_before_the_next_apply_where_its_name_comes_later),
		cmocka_unit_test(a_lost_answer_to_an_update_is_transient),
		cmocka_unit_test(a_killed_apply_s_creates_are_looked_for),
		cmocka_unit_test(a_login_that_failed_is_judged_by_metabase),
		cmocka_unit_test(what_a_plan_file_tells_holds_no_values),
		cmocka_unit_test(look_ups_in_modules_are_followed_through_their_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
