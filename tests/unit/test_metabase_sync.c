/* The kind `metabase_sync`: what its keys ask for, what it makes of a warehouse's word, and what it
 * remembers. */
#include "unit.h"
#include "base/instant.h"
#include "kinds/kind_table.h"
#include "kinds/metabase_sync_plan.h"
#include "kinds_fixture.h"

/* --- an attempt that knows a Metabase, and what was built --------------------------------- */

static bool by_user, locked;

static int look_up(
	void *context, const char *scope, const char *name, char **ret_value, char **ret_error)
{
	static const char *const keys[][2] = {{"url", "http://mb"}, {"api_key", "mb_key"},
		{"username", "admin"}, {"password", "a-password"}};

	for (size_t i = 0; str_eq(scope, "metabase") && i < ARRAY_SIZE(keys); i++) {
		if (!str_eq(name, keys[i][0]) || (i > 0 && by_user == (i == 1)))
			continue;
		*ret_value = xstrdup(keys[i][1]);
		return 0;
	}
	if (str_eq(scope, "metabase")) {
		*ret_error = xasprintf("${metabase.%s}: the metabase of environment staging has no "
				       "such entry",
			name);
		return -ENOENT;
	}
	if (str_eq(scope, "secret") && locked) {
		*ret_error = xstrdup("the secret cannot be had here");
		return -EACCES;
	}
	*ret_value = xasprintf("the-%s", name);
	return 0;
}

static int expand(const struct kind_context *ctx, const char *text, char **ret, char **ret_error)
{
	return template_expand(text, look_up, NULL, ret, ret_error);
}

static int expand_tree(
	const struct kind_context *ctx, const struct node *in, struct node **ret, char **ret_error)
{
	return template_expand_tree(in, look_up, NULL, ret, ret_error);
}

static cJSON *built(const struct kind_context *ctx)
{
	return cJSON_Parse("[{\"schema\":\"built\",\"name\":\"orders\",\"target\":\"postgres\"},"
			   "{\"schema\":\"built\",\"name\":\"items\",\"target\":\"postgres\"},"
			   "{\"schema\":\"lake\",\"name\":\"events\",\"target\":\"bigquery\"}]");
}

static int64_t usual_sync(const struct kind_context *ctx, const char *database)
{
	return str_eq(database, "NC") ? 540000 : -1;
}

struct play {
	struct node *params;
	struct kind_context ctx;
	void *machine;
};

static void begin(struct play *p, const char *params)
{
	*p = (struct play){.params = fixture_params(params)};
	p->ctx = fixture_context(p->params);
	p->ctx.expand = expand;
	p->ctx.expand_tree = expand_tree;
	p->ctx.built = built;
	p->ctx.usual_sync = usual_sync;
	p->ctx.environment = "staging";
	p->machine = kind_metabase_sync.new(&p->ctx);
	by_user = false;
	locked = false;
}

static void end(struct play *p)
{
	kind_metabase_sync.free(p->machine);
	node_free(p->params);
}

static void next(struct play *p, const struct kind_event *event, struct kind_command *ret)
{
	locked = true;
	kind_metabase_sync.next(p->machine, &p->ctx, event, ret);
	locked = false;
}

/* "Global: built.orders built.items:total; NC: ...", and "*: ..." of all. */
static char *describe(const struct metabase_want *w)
{
	struct buf b = BUF_NULL;

	for (size_t i = 0; i <= w->n_databases; i++) {
		const struct metabase_database *db = i < w->n_databases ? &w->databases[i] : NULL;
		const struct metabase_table *t = db ? db->tables : w->anywhere;
		size_t n = db ? db->n_tables : w->n_anywhere;

		if (!db && !w->all)
			continue;
		buf_printf(&b, "%s%s:", b.len ? "; " : "", db ? db->name : "*");
		for (size_t k = 0; k < n; k++) {
			buf_printf(&b, " %s.%s", t[k].schema, t[k].name);
			for (char **c = t[k].columns; c && *c; c++)
				buf_printf(&b, ":%s", *c);
		}
	}
	return buf_steal(&b);
}

static char *wanted(const char *params, const char *action)
{
	struct play p;
	struct lane_want want = {0};
	char *error = NULL, *text;

	begin(&p, params);
	if (kind_metabase_sync.join(p.machine, &p.ctx, action, &want, &error) < 0) {
		end(&p);
		return error;
	}
	assert_ptr_equal(want.kind, &lane_metabase);
	text = describe(want.want);
	free(want.key);
	metabase_want_free(want.want);
	end(&p);
	return text;
}

/* --- the keys ----------------------------------------------------------------------------- */

static void every_form_of_the_keys_becomes_databases_and_tables(void **state)
{
	static const struct {
		const char *params, *wanted;
	} table[] = {
		{"{\"databases\":\"Global\"}", "Global:"},
		{"{\"databases\":[\"Global\",\"NC\"]}", "Global:; NC:"},
		{"{\"databases\":\"*\"}", "*:"},
		{"{\"databases\":[\"*\"],\"tables\":[\"a.b\"]}", "*: a.b"},
		{"{\"databases\":\"${vars.db}\"}", "the-db:"},
		{"{\"databases\":\"Global\",\"tables\":\"changed\"}",
			"Global: built.orders built.items lake.events"},
		{"{\"databases\":[{\"names\":[\"Global\",\"NC\"],\"target\":\"postgres\"},"
		 "{\"names\":\"BigQuery\",\"target\":\"bigquery\"}],\"tables\":\"changed\"}",
			"Global: built.orders built.items; NC: built.orders built.items; BigQuery: "
			"lake.events"},
		{"{\"databases\":{\"names\":\"NC\",\"target\":\"postgres\",\"rename\":{\"built\":"
		 "\"served\"}},\"tables\":\"changed\"}",
			"NC: served.orders served.items"},
		{"{\"databases\":{\"names\":\"NC\",\"target\":\"duckdb\"},\"tables\":\"changed\"}",
			"NC:"},
		{"{\"databases\":[{\"names\":\"NC\",\"target\":\"postgres\"},{\"names\":\"NC\","
		 "\"target\":\"bigquery\"}],\"tables\":\"changed\"}",
			"NC: built.orders built.items lake.events"},
		{"{\"databases\":\"NC\",\"tables\":[\"a.b\",\"db.c.d\",\"a.b\"]}", "NC: a.b c.d"},
		{"{\"databases\":\"NC\",\"tables\":\"changed\",\"columns\":[\"built.orders.total\","
		 "\"built.orders.total\",\"x.y.z\"]}",
			"NC: built.orders:total built.items lake.events x.y:z"},
		{"{\"databases\":{\"names\":\"NC\",\"rename\":{\"built\":\"served\"}},\"columns\":["
		 "\"built.orders.total\"]}",
			"NC: served.orders:total"},
		{"{\"databases\":\"NC\",\"tables\":[\"orders\"]}",
			"metabase_sync.tables: \"orders\" is not \"schema.table\""},
		{"{\"databases\":\"NC\",\"columns\":[\"orders.total\"]}",
			"metabase_sync.columns: \"orders.total\" is not \"schema.table.column\""},
		{"{\"databases\":\"NC\",\"tables\":\"${vars.x}\"}",
			"metabase_sync.tables: \"the-x\" is neither \"changed\" nor a list of "
			"\"schema.table\""},
		{"{\"databases\":\"\"}",
			"metabase_sync.databases: a name is empty, or none is given"},
		{"{\"databases\":[]}",
			"metabase_sync.databases: a name is empty, or none is given"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *text = wanted(table[i].params, "sync");

		assert_string_equal(text, table[i].wanted);
	}
}

static void a_look_is_for_the_roles_and_wants_no_tables(void **state)
{
	_cleanup_free_ char *text = wanted("{\"databases\":\"NC\",\"tables\":\"changed\"}", "look");

	assert_string_equal(text, "NC:");
}

static void the_environment_says_who_asks(void **state)
{
	struct lane_want first = {0}, second = {0};
	const struct metabase_want *w;
	char *error = NULL;
	struct play p;

	begin(&p, "{\"databases\":\"NC\"}");
	assert_int_equal(kind_metabase_sync.join(p.machine, &p.ctx, "sync", &first, &error), 0);
	w = first.want;
	assert_string_equal(w->url, "http://mb");
	assert_string_equal(w->api_key, "mb_key");
	assert_null(w->username);
	assert_int_equal(w->timeout, USEC_HOUR);
	assert_int_equal(w->databases[0].usual, 9 * USEC_MINUTE);
	assert_false(w->look);
	assert_null(strstr(first.key, "mb_key"));
	by_user = true;
	assert_int_equal(kind_metabase_sync.join(p.machine, &p.ctx, "sync", &second, &error), 0);
	w = second.want;
	assert_null(w->api_key);
	assert_string_equal(w->username, "admin");
	assert_string_equal(w->password, "a-password");
	assert_string_not_equal(first.key, second.key);
	free(first.key);
	free(second.key);
	metabase_want_free(first.want);
	metabase_want_free(second.want);
	end(&p);
}

/* --- the way of an attempt ---------------------------------------------------------------- */

#define PLAIN "{\"databases\":\"NC\",\"tables\":\"changed\"}"
#define WITH_ONE                                                                                   \
	"{\"databases\":{\"names\":[\"NC\"],\"conninfo\":\"password=${secret.PASS}\",\"target\":"  \
	"\"postgres\"},\"tables\":\"changed\"}"
#define LOOKED                                                                                     \
	"{\"databases\":[{\"name\":\"NC\",\"id\":3,\"state\":\"proved\",\"user\":\"nc_ro\"}]}"

static void assert_next(const struct kind_command *c, enum kind_command_type type, const char *name)
{
	assert_int_equal(c->type, type);
	assert_string_equal(c->action, name);
	assert_true(c->repeatable);
}

static void served(struct play *p, const char *action, enum outcome outcome, const char *reason,
	const char *result, struct kind_command *ret)
{
	_cleanup_json_ cJSON *json = cJSON_Parse(result);
	struct kind_event event = {
		.type = KIND_SERVED,
		.action = action,
		.at = 1760000600 * USEC_SEC,
		.outcome = outcome,
		.reason = reason,
		.result = json,
	};

	next(p, &event, ret);
}

static void began(struct play *p, struct kind_command *ret)
{
	struct kind_event event = {.type = KIND_BEGIN, .at = 1760000000 * USEC_SEC};

	next(p, &event, ret);
}

static void without_a_conninfo_the_sync_is_all(void **state)
{
	_cleanup_command_ struct kind_command first = {0}, last = {0};
	const cJSON *row;
	struct play p;

	begin(&p, PLAIN);
	began(&p, &first);
	assert_next(&first, KIND_JOIN, "sync");
	served(&p, "sync", OUTCOME_OK, NULL,
		"{\"databases\":[{\"name\":\"NC\",\"id\":3,\"state\":\"proved\",\"since\":"
		"\"2025-10-09T08:53:20.000000Z\",\"ended_at\":\"2025-10-09T09:02:20.000000Z\","
		"\"tables\":2,\"expected\":2,\"missing\":[],\"user\":\"nc_ro\"}]}",
		&last);
	assert_int_equal(last.type, KIND_DONE);
	assert_int_equal(last.outcome, OUTCOME_OK);
	row = cJSON_GetArrayItem(json_get(last.rows, "sync"), 0);
	assert_string_equal(json_string(row, "database"), "NC");
	assert_string_equal(json_string(row, "state"), "proved");
	assert_string_equal(json_string(row, "started_at"), "2025-10-09T08:53:20.000000Z");
	assert_string_equal(json_string(row, "ended_at"), "2025-10-09T09:02:20.000000Z");
	assert_int_equal(json_int(row, "tables", -1), 2);
	assert_int_equal(json_int(row, "missing", -1), 0);
	end(&p);
}

static void what_was_not_proved_is_kept_with_its_reason(void **state)
{
	_cleanup_command_ struct kind_command first = {0}, last = {0}, again = {0};
	_cleanup_json_ cJSON *progress = NULL;
	const cJSON *row;
	struct play p;
	struct kind_event event = {.type = KIND_SERVED, .action = "sync"};

	begin(&p, PLAIN);
	began(&p, &first);
	served(&p, "sync", OUTCOME_NOT_READY, "Metabase lacks built.items",
		"{\"databases\":[{\"name\":\"NC\",\"id\":3,\"state\":\"waiting\",\"tables\":1,"
		"\"expected\":2,\"missing\":[\"built.items\"]}]}",
		&last);
	assert_int_equal(last.outcome, OUTCOME_NOT_READY);
	assert_string_equal(last.reason, "Metabase lacks built.items");
	row = cJSON_GetArrayItem(json_get(last.rows, "sync"), 0);
	assert_string_equal(json_string(row, "reason"), "Metabase lacks built.items");
	assert_int_equal(json_int(row, "missing", -1), 1);
	assert_int_equal(json_time(row, "started_at"), 1760000000 * USEC_SEC);
	assert_int_equal(json_time(row, "ended_at"), 1760000600 * USEC_SEC);
	event.note = last.note;
	next(&p, &event, &again);
	assert_int_equal(again.type, KIND_DONE);
	assert_int_equal(again.outcome, OUTCOME_NOT_READY);
	assert_string_equal(again.reason, last.reason);
	progress = kind_metabase_sync.progress(p.machine);
	assert_int_equal(json_int(progress, "done", -1), 1);
	assert_int_equal(json_int(progress, "total", -1), 2);
	end(&p);
}

static void a_conninfo_has_the_warehouse_asked_first(void **state)
{
	_cleanup_command_ struct kind_command first = {0}, second = {0}, third = {0};
	struct kind_query query = {0};
	struct kind_event event = {.type = KIND_ANSWERED,
		.action = "warehouse",
		.http_status = 200,
		.body = "[]",
		.body_len = 2};
	char *error = NULL;
	struct play p;

	begin(&p, WITH_ONE);
	began(&p, &first);
	assert_next(&first, KIND_JOIN, "look");
	served(&p, "look", OUTCOME_OK, NULL, LOOKED, &second);
	assert_next(&second, KIND_QUERY, "warehouse");
	assert_int_equal(
		kind_metabase_sync.query(p.machine, &p.ctx, "warehouse", &query, &error), 0);
	assert_string_equal(query.conninfo, "password=the-PASS");
	assert_string_equal(query.values[0], "[{\"database\":\"NC\",\"role\":\"nc_ro\",\"schema\":"
					     "\"built\",\"name\":\"orders\"},"
					     "{\"database\":\"NC\",\"role\":\"nc_ro\",\"schema\":"
					     "\"built\",\"name\":\"items\"}]");
	assert_null(query.values[1]);
	kind_query_fini(&query);
	next(&p, &event, &third);
	assert_next(&third, KIND_JOIN, "sync");
	end(&p);
}

static void a_restart_finds_its_way_by_the_notes(void **state)
{
	_cleanup_command_ struct kind_command first = {0}, looked = {0}, asked = {0}, again = {0},
					      second = {0}, third = {0};
	struct kind_event answer = {.type = KIND_ANSWERED,
		.action = "warehouse",
		.http_trouble = HTTP_UNSENT,
		.http_error = "connection refused"};
	struct kind_event replayed = {.type = KIND_SERVED, .action = "look"};
	struct kind_query query = {0};
	char *error = NULL;
	struct play p;

	begin(&p, WITH_ONE);
	began(&p, &first);
	served(&p, "look", OUTCOME_OK, NULL, LOOKED, &looked);
	next(&p, &answer, &asked);
	assert_next(&asked, KIND_JOIN, "sync");
	end(&p);

	begin(&p, WITH_ONE);
	began(&p, &again);
	replayed.note = looked.note;
	next(&p, &replayed, &second);
	assert_next(&second, KIND_QUERY, "warehouse");
	assert_int_equal(
		kind_metabase_sync.query(p.machine, &p.ctx, "warehouse", &query, &error), 0);
	assert_non_null(strstr(query.values[0], "\"role\":\"nc_ro\""));
	kind_query_fini(&query);
	replayed = (struct kind_event){
		.type = KIND_ANSWERED, .action = "warehouse", .note = asked.note};
	next(&p, &replayed, &third);
	assert_next(&third, KIND_JOIN, "sync");
	end(&p);
}

static void a_warehouse_that_cannot_be_asked_is_left_out_and_said_at_the_end(void **state)
{
	struct kind_command c[4] = {{0}};
	struct kind_event answer = {.type = KIND_ANSWERED,
		.action = "warehouse",
		.http_trouble = HTTP_UNSENT,
		.http_error = "connection refused"};
	struct play p;

	begin(&p, WITH_ONE);
	began(&p, &c[0]);
	served(&p, "look", OUTCOME_OK, NULL, LOOKED, &c[1]);
	next(&p, &answer, &c[2]);
	served(&p, "sync", OUTCOME_NOT_READY, "Metabase lacks it", "{\"databases\":[]}", &c[3]);
	assert_string_equal(c[3].reason,
		"Metabase lacks it; the warehouse could not be asked: connection refused");
	for (size_t i = 0; i < 4; i++)
		command_fini(&c[i]);
	end(&p);
}

static void a_look_that_finds_no_such_database_is_the_end(void **state)
{
	_cleanup_command_ struct kind_command first = {0}, last = {0};
	struct play p;

	begin(&p, WITH_ONE);
	began(&p, &first);
	served(&p, "look", OUTCOME_OK, NULL,
		"{\"databases\":[{\"name\":\"NC\",\"state\":\"failed\",\"reason\":\"Metabase has "
		"no "
		"database NC\"}]}",
		&last);
	assert_int_equal(last.type, KIND_DONE);
	assert_int_equal(last.outcome, OUTCOME_FAILED);
	assert_string_equal(last.reason, "Metabase has no database NC");
	end(&p);
}

/* --- the warehouse's word ----------------------------------------------------------------- */

#define ROW(name, there, enters, reads)                                                            \
	"{\"database\":\"NC\",\"role\":\"nc_ro\",\"schema\":\"built\",\"name\":\"" name            \
	"\",\"there\":" there ",\"enters\":" enters ",\"reads\":" reads "}"

static void what_is_wrong_in_the_warehouse_is_said_with_what_mends_it(void **state)
{
	static const struct {
		const char *answer, *verdict, *mend;
	} table[] = {
		{"[]", NULL, NULL},
		{"[" ROW("orders", "false", "true", "true") "]",
			"the warehouse of NC has no table built.orders: the name is wrong, or it "
			"was "
			"not built",
			NULL},
		{"[" ROW("orders", "true", "true", "false") "]",
			"the role nc_ro of NC may not read built.orders, which Metabase will "
			"therefore "
			"never show; to mend it: GRANT SELECT ON built.orders TO nc_ro;",
			"GRANT SELECT ON built.orders TO nc_ro;"},
		{"[" ROW("orders", "true", "false", "false") "," ROW(
			 "Order Items", "true", "false", "false") "]",
			NULL,
			"GRANT USAGE ON SCHEMA built TO nc_ro; GRANT SELECT ON built.orders TO "
			"nc_ro; "
			"GRANT SELECT ON built.\"Order Items\" TO nc_ro;"},
		{"[" ROW("a", "false", "true", "true") "," ROW("b", "true", "true", "false") "]",
			"the warehouse of NC has no table built.a: the name is wrong, or it was "
			"not "
			"built",
			NULL},
		{"[" ROW("a\\u001b;", "true", "true", "false") "]", NULL,
			"GRANT SELECT ON built.\"a\\x1b;\" TO nc_ro;"},
		{"[1,null,{}]", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_json_ cJSON *answer = cJSON_Parse(table[i].answer);
		_cleanup_free_ char *mend = NULL,
				    *verdict = sync_warehouse_verdict(answer, NULL, &mend);

		if (table[i].verdict)
			assert_string_equal(verdict, table[i].verdict);
		if (table[i].mend)
			assert_string_equal(mend, table[i].mend);
	}
}

static void an_unreadable_table_fails_the_step_at_once(void **state)
{
	_cleanup_command_ struct kind_command first = {0}, looked = {0}, last = {0};
	static const char body[] = "[" ROW("orders", "true", "true", "false") "]";
	struct kind_event answer = {.type = KIND_ANSWERED,
		.action = "warehouse",
		.http_status = 200,
		.body = body,
		.body_len = sizeof(body) - 1};
	const cJSON *row;
	struct play p;

	begin(&p, WITH_ONE);
	began(&p, &first);
	served(&p, "look", OUTCOME_OK, NULL, LOOKED, &looked);
	next(&p, &answer, &last);
	assert_int_equal(last.type, KIND_DONE);
	assert_int_equal(last.outcome, OUTCOME_FAILED);
	assert_non_null(strstr(last.reason, "GRANT SELECT ON built.orders TO nc_ro;"));
	row = cJSON_GetArrayItem(json_get(last.rows, "sync"), 0);
	assert_string_equal(json_string(row, "state"), "failed");
	assert_string_equal(json_string(json_get(row, "detail"), "mend"),
		"GRANT SELECT ON built.orders TO nc_ro;");
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_the_keys_becomes_databases_and_tables),
		cmocka_unit_test(a_look_is_for_the_roles_and_wants_no_tables),
		cmocka_unit_test(the_environment_says_who_asks),
		cmocka_unit_test(without_a_conninfo_the_sync_is_all),
		cmocka_unit_test(what_was_not_proved_is_kept_with_its_reason),
		cmocka_unit_test(a_conninfo_has_the_warehouse_asked_first),
		cmocka_unit_test(a_restart_finds_its_way_by_the_notes),
		cmocka_unit_test(a_warehouse_that_cannot_be_asked_is_left_out_and_said_at_the_end),
		cmocka_unit_test(a_look_that_finds_no_such_database_is_the_end),
		cmocka_unit_test(what_is_wrong_in_the_warehouse_is_said_with_what_mends_it),
		cmocka_unit_test(an_unreadable_table_fails_the_step_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
