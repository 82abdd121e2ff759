/* The Metabase lane against a Metabase in memory: what is triggered and how often, when a member is
 * served, and what it is told. */
#include "unit.h"
#include "fake_metabase.h"

enum {
	MEMBERS = 240,
};

struct play {
	struct mb mb;
	void *lane;
	struct lane_member member[MEMBERS];
	size_t n;
	usec_t served_at[MEMBERS]; /* s after the start; -1: not yet */
	unsigned out;		   /* calls that were out at once, at most */
	usec_t stop_at, begin_at;  /* of its process; 0: never */
};

static void set_up_play(struct play *p)
{
	*p = (struct play){.lane = lane_metabase.new("http://mb")};
	mb_init(&p->mb);
}

static void play_end(struct play *p)
{
	for (size_t i = 0; i < p->n; i++) {
		lane_metabase.leave(p->lane, &p->member[i], p->mb.now);
		lane_metabase.want_free(p->member[i].want);
		free(p->member[i].reason);
		cJSON_Delete(p->member[i].result);
		cJSON_Delete(p->member[i].progress);
	}
	lane_metabase.free(p->lane);
}

/* --- wants -------------------------------------------------------------------------------- */

static struct metabase_table *tables_of(const char *names, size_t *ret_n)
{
	_cleanup_free_ char *copy = xstrdup(names);
	struct metabase_table *tables = xcalloc(MB_TABLES, sizeof(*tables));
	char *save = NULL;
	size_t n = 0;

	for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		char *column = strchr(t, ':');

		if (column)
			*column++ = '\0';
		tables[n].schema = xstrdup("analytics");
		tables[n].name = xstrdup(t);
		if (column) {
			size_t columns = 0;

			tables[n].columns = strv_add(NULL, &columns, xstrdup(column));
		}
		n++;
	}
	*ret_n = n;
	return tables;
}

static struct metabase_want *want_new(usec_t timeout)
{
	struct metabase_want *w = xnew(struct metabase_want);

	w->url = xstrdup("http://mb/api/");
	w->api_key = xstrdup("mb_the-right-key");
	w->timeout = timeout;
	w->databases = xcalloc(MB_DATABASES, sizeof(*w->databases));
	return w;
}

/* "a,b:column" in a database, on top of what is wanted already. */
static void wants(struct metabase_want *w, const char *database, const char *tables)
{
	struct metabase_database *db = &w->databases[w->n_databases++];

	db->name = xstrdup(database);
	db->tables = tables_of(tables, &db->n_tables);
}

static size_t join(struct play *p, struct metabase_want *w)
{
	size_t i = p->n++;

	assert_true(i < MEMBERS);
	p->member[i] = (struct lane_member){.want = w};
	p->served_at[i] = -1;
	lane_metabase.join(p->lane, &p->member[i], p->mb.now);
	return i;
}

static size_t join_for(struct play *p, const char *database, const char *tables, usec_t timeout)
{
	struct metabase_want *w = want_new(timeout);

	wants(w, database, tables);
	return join(p, w);
}

/* --- the loop ----------------------------------------------------------------------------- */

static void advance(struct play *p, usec_t until)
{
	if (p->stop_at && p->stop_at <= until) {
		mb_advance(&p->mb, p->stop_at);
		mb_stop(&p->mb);
		p->stop_at = 0;
	}
	if (p->begin_at && p->begin_at <= until) {
		mb_advance(&p->mb, p->begin_at);
		mb_begin(&p->mb);
		p->begin_at = 0;
	}
	mb_advance(&p->mb, until);
}

static bool note_served(struct play *p)
{
	bool all = true;

	for (size_t i = 0; i < p->n; i++) {
		if (p->member[i].served && p->served_at[i] < 0)
			p->served_at[i] = (p->mb.now - MB_START) / USEC_SEC;
		all = all && p->member[i].served;
	}
	return all;
}

static void call(struct play *p, const struct kind_request *r, const struct mask_set *mask)
{
	struct kind_event event;
	usec_t takes;

	assert_non_null(mask);
	assert_true(r->timeout > 0 && r->cap > 0);
	mb_answer(&p->mb, r, &event, &takes);
	advance(p, p->mb.now + takes);
	event.at = p->mb.now;
	event.mask = mask;
	lane_metabase.answered(p->lane, &event);
	free((char *)event.body);
}

/* Until all are served, or that many seconds after the start. */
static void run(struct play *p, int seconds)
{
	usec_t limit = MB_START + seconds * USEC_SEC;

	while (!note_served(p) && p->mb.now < limit) {
		struct kind_request r = {0};
		const struct mask_set *mask = NULL;
		usec_t until = 0;

		if (lane_metabase.next(p->lane, p->mb.now, &r, &mask, &until))
			call(p, &r, mask);
		else if (!note_served(p))
			advance(p, MIN(MAX(until, p->mb.now + 1), limit));
		kind_request_fini(&r);
	}
	note_served(p);
}

static const cJSON *result_of(const struct play *p, size_t member, int database)
{
	return cJSON_GetArrayItem(json_get(p->member[member].result, "databases"), database);
}

static void assert_served(const struct play *p, size_t member, enum outcome outcome)
{
	assert_true(p->member[member].served);
	if (p->member[member].outcome != outcome)
		fail_msg("served with %s: %s\n%s", outcome_name(p->member[member].outcome),
			p->member[member].reason, p->mb.log);
}

static void assert_says(const struct play *p, size_t member, const char *words)
{
	if (!p->member[member].reason || !strstr(p->member[member].reason, words))
		fail_msg("\"%s\" does not say \"%s\"\n%s", p->member[member].reason, words,
			p->mb.log);
}

static const char *text_of(const struct play *p, size_t member)
{
	return json_string(p->member[member].progress, "text");
}

/* Global is number 2, NC 3; each with the tables orders and items. */
static void two_databases(struct mb *mb)
{
	static const struct mb_table orders = {.name = "orders", .columns = "id,total"};
	static const struct mb_table items = {.name = "items", .columns = "id"};

	mb->database[1] = (struct mb_database){.name = "Global",
		.user = "global_ro",
		.read = 1,
		.tables = 1,
		.fields = 2,
		.analyze = 5,
		.table = {orders, items}};
	mb->database[2] = mb->database[1];
	mb->database[2].name = "NC";
	mb->database[2].user = "nc_ro";
}

static struct mb_database *global(struct play *p)
{
	return &p->mb.database[1];
}

static struct mb_database *nc(struct play *p)
{
	return &p->mb.database[2];
}

static int set_up(void **state)
{
	struct play *p = xnew(struct play);

	set_up_play(p);
	two_databases(&p->mb);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	play_end(*state);
	free(*state);
	return 0;
}

/* --- the good way ------------------------------------------------------------------------- */

static void tables_that_were_built_are_proved_by_one_trigger(void **state)
{
	struct play *p = *state;
	const cJSON *r;

	join_for(p, "Global", "orders,items", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_OK);
	assert_null(p->member[0].reason);
	assert_int_equal(global(p)->posts, 1);
	assert_int_equal(nc(p)->posts, 0);
	assert_in_range(p->served_at[0], 4, 9);
	r = result_of(p, 0, 0);
	assert_string_equal(json_string(r, "name"), "Global");
	assert_int_equal(json_int(r, "id", 0), 2);
	assert_string_equal(json_string(r, "state"), "proved");
	assert_int_equal(json_int(r, "tables", -1), 2);
	assert_int_equal(json_int(r, "expected", -1), 2);
	assert_string_equal(json_string(r, "user"), "global_ro");
	assert_string_equal(json_string(r, "engine"), "postgres");
	assert_true(json_time(r, "ended_at") > json_time(r, "since"));
}

static void without_tables_the_sync_alone_is_the_proof(void **state)
{
	struct play *p = *state;

	join_for(p, "Global", "", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_OK);
	assert_null(strstr(p->mb.log, "/metadata"));
}

static void each_database_is_triggered_once_for_all_that_want_it(void **state)
{
	struct play *p = *state;

	join_for(p, "Global", "orders", USEC_HOUR);
	join_for(p, "Global", "items", USEC_HOUR);
	join_for(p, "NC", "orders", USEC_HOUR);
	run(p, 60);
	for (size_t i = 0; i < 3; i++)
		assert_served(p, i, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 1);
	assert_int_equal(nc(p)->posts, 1);
	assert_int_equal(p->mb.lists, 1);
}

static void one_tenant_does_not_wait_for_another(void **state)
{
	struct play *p = *state;

	nc(p)->fields = 600;
	join_for(p, "Global", "orders", USEC_HOUR);
	join_for(p, "NC", "orders", USEC_HOUR);
	run(p, 900);
	assert_in_range(p->served_at[0], 3, 12);
	assert_in_range(p->served_at[1], 600, 640);
	assert_int_equal(nc(p)->posts, 1);
}

static void members_by_the_hundred_cost_hardly_more_than_one(void **state)
{
	struct play *p = *state;
	unsigned alone;

	global(p)->fields = 300;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 400);
	alone = p->mb.calls;
	assert_served(p, 0, OUTCOME_OK);
	p->mb.calls = 0;
	for (size_t i = 0; i < 200; i++)
		join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 900);
	for (size_t i = 0; i < 201; i++)
		assert_served(p, i, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 2);
	assert_in_range(p->mb.calls, 1, alone * 2);
}

/* --- wants that come later ---------------------------------------------------------------- */

static void a_want_that_comes_when_the_sync_has_begun_needs_another(void **state)
{
	struct play *p = *state;

	global(p)->fields = 30;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 10);
	global(p)->table[1].built_at = p->mb.now;
	join_for(p, "Global", "items", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_served(p, 1, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 2);
	assert_in_range(p->served_at[0], 32, 50);
	assert_in_range(p->served_at[1], 60, 100);
}

static void a_want_that_comes_while_the_queue_is_elsewhere_is_met_by_what_waits_in_it(void **state)
{
	struct play *p = *state;

	nc(p)->fields = 60;
	mb_enqueue(&p->mb, 3);
	mb_advance(&p->mb, MB_START + 5 * USEC_SEC);
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 20);
	assert_int_equal(global(p)->posts, 1);
	global(p)->table[1].built_at = p->mb.now;
	join_for(p, "Global", "items", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_served(p, 1, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 1);
}

static void a_sync_that_runs_already_may_have_read_too_early(void **state)
{
	struct play *p = *state;

	global(p)->fields = 20;
	global(p)->table[0].built_at = MB_START + 10 * USEC_SEC;
	mb_enqueue(&p->mb, 2);
	mb_advance(&p->mb, MB_START + 10 * USEC_SEC);
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 1);
	assert_in_range(p->served_at[0], 45, 75);
}

/* --- the queue ---------------------------------------------------------------------------- */

static void a_trigger_that_was_dropped_is_made_again(void **state)
{
	struct play *p = *state;

	global(p)->drop = 2;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 3);
	assert_in_range(p->served_at[0], 90, 110);
}

static void while_the_queue_is_busy_no_trigger_is_repeated(void **state)
{
	struct play *p = *state;

	nc(p)->fields = 45 * 60;
	mb_enqueue(&p->mb, 3);
	mb_advance(&p->mb, MB_START + 5 * USEC_SEC);
	join_for(p, "Global", "orders", 2 * USEC_HOUR);
	run(p, 12 * 60 + 30);
	assert_string_equal(text_of(p, 0),
		"waits for Metabase: 0 of 1 tables; its queue is busy with database 3 (NC) since "
		"12m");
	run(p, 7200);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 1);
}

static void an_orphan_of_old_holds_nothing_up(void **state)
{
	struct play *p = *state;

	mb_row(&p->mb, 2, "sync", MB_START - USEC_HOUR);
	mb_row(&p->mb, 3, "sync", MB_START - 5 * USEC_HOUR);
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_in_range(p->served_at[0], 4, 12);
}

static void a_fresh_orphan_is_not_waited_for_long(void **state)
{
	struct play *p = *state;

	mb_row(&p->mb, 2, "sync", MB_START - USEC_MINUTE);
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_in_range(p->served_at[0], 30, 45);
}

static void a_metabase_that_cannot_filter_its_list_will_do(void **state)
{
	struct play *p = *state;

	p->mb.no_filter = true;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
}

/* --- syncs that fail ---------------------------------------------------------------------- */

static void a_step_that_failed_under_a_sync_that_says_success_is_no_proof(void **state)
{
	struct play *p = *state;

	global(p)->fail_fields = 1;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 2);
}

static void a_step_that_goes_on_failing_is_named(void **state)
{
	struct play *p = *state;
	struct mask_set *mask = mask_set_new();

	mask_set_add_secret(mask, "the-password", 12);
	mask_set_build(mask);
	global(p)->fail_fields = 9;
	join_for(p, "Global", "orders", USEC_HOUR);
	p->member[0].mask = mask;
	run(p, 300);
	assert_served(p, 0, OUTCOME_TRANSIENT);
	assert_says(p, 0,
		"Metabase could not sync Global: its step sync-fields failed: the "
		"warehouse said no to *** (3 times)");
	assert_int_equal(global(p)->posts, 3);
	p->member[0].mask = NULL;
	mask_set_free(mask);
}

static void a_sync_that_failed_is_triggered_again(void **state)
{
	struct play *p = *state;

	global(p)->fail_sync = 2;
	join_for(p, "Global", "", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 3);
}

static void a_warehouse_that_cannot_be_reached_is_transient_and_quoted(void **state)
{
	struct play *p = *state;

	global(p)->sick = 9;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_TRANSIENT);
	assert_says(p, 0,
		"cannot reach the warehouse of Global (422): Connection to "
		"localhost:5432 refused.");
	assert_in_range(p->served_at[0], 10, 60);
}

static void syncs_that_are_switched_off_fail_at_once(void **state)
{
	struct play *p = *state;

	p->mb.trouble[0] = (struct mb_trouble){.path = "/api/database/2/sync",
		.times = 9,
		.status = 503,
		.body = "{\"error-code\":\"sync-disabled\"}"};
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 300);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_says(p, 0, "switched off");
}

/* --- Metabase is away --------------------------------------------------------------------- */

static void a_restart_in_the_middle_forgets_what_was_asked(void **state)
{
	struct play *p = *state;

	global(p)->fields = 120;
	p->stop_at = MB_START + 30 * USEC_SEC;
	p->begin_at = MB_START + 100 * USEC_SEC;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 60);
	assert_string_equal(json_string(p->member[0].progress, "text"),
		"waits for Metabase: 0 of 1 tables; Metabase does not answer: connection refused");
	run(p, 900);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 2);
	assert_in_range(p->served_at[0], 220, 290);
}

static void a_restart_before_the_row_was_seen_is_no_different(void **state)
{
	struct play *p = *state;

	global(p)->read = 3;
	p->stop_at = MB_START + 4 * USEC_SEC;
	p->begin_at = MB_START + 5 * USEC_SEC;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 900);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 2);
	assert_in_range(p->served_at[0], 8, 60);
}

static void one_that_starts_is_waited_for(void **state)
{
	struct play *p = *state;

	p->mb.starting = true;
	p->begin_at = MB_START + 200 * USEC_SEC;
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 150);
	assert_string_equal(
		text_of(p, 0), "waits for Metabase; Metabase is still starting since 2m");
	run(p, 900);
	assert_served(p, 0, OUTCOME_OK);
	assert_in_range(p->served_at[0], 200, 245);
}

static void one_that_stays_away_is_transient_at_the_end_of_the_time(void **state)
{
	struct play *p = *state;

	p->mb.down = true;
	join_for(p, "Global", "orders", USEC_MINUTE);
	join_for(p, "NC", "orders", 2 * USEC_MINUTE);
	run(p, 900);
	assert_served(p, 0, OUTCOME_TRANSIENT);
	assert_says(p, 0, "Metabase does not answer: connection refused");
	assert_int_equal(p->served_at[0], 60);
	assert_int_equal(p->served_at[1], 120);
	assert_in_range(p->mb.calls, 3, 12);
}

/* What the lane makes of some answers gone wrong. */
static void answers_gone_wrong_end_in_the_right_outcome(void **state)
{
	static const struct {
		const char *what;
		struct mb_trouble trouble;
		enum outcome outcome;
		const char *says; /* NULL: nothing */
		int from, to;	  /* s */
	} table[] = {
		{"a gateway without its Metabase",
			{.path = "/api/task", .times = 3, .status = 502, .body = "<html>"},
			OUTCOME_OK, NULL, 8, 25},
		{"500 to a list",
			{.path = "/api/database", .times = 2, .status = 500, .body = "no"},
			OUTCOME_OK, NULL, 5, 20},
		{"500 for ever", {.path = "/api/task", .times = 99, .status = 500, .body = "no"},
			OUTCOME_TRANSIENT, "Metabase (GET /api/task) answers 500: no", 300, 310},
		{"500 to a trigger, for ever",
			{.path = "/api/database/2/sync", .times = 99, .status = 500, .body = "no"},
			OUTCOME_TRANSIENT,
			"(POST /api/database/2/sync_schema) answers 500: no (3 times)", 20, 60},
		{"a page for a browser",
			{.path = "/api/task",
				.times = 2,
				.status = 200,
				.body = "<html>log in</html>"},
			OUTCOME_OK, NULL, 5, 20},
		{"half an answer",
			{.path = "/api/task",
				.times = 2,
				.status = 200,
				.body = "{\"data\":[{\"id\":1"},
			OUTCOME_OK, NULL, 5, 20},
		{"another program's answer",
			{.path = "/api/database", .times = 99, .status = 200, .body = "{\"a\":1}"},
			OUTCOME_TRANSIENT, "its answer is none that a Metabase gives", 300, 310},
		{"a call that hangs",
			{.path = "/api/task",
				.times = 1,
				.takes = USEC_HOUR,
				.trouble = HTTP_TIMED_OUT},
			OUTCOME_OK, NULL, 20, 50},
		{"one that hangs for ever",
			{.path = "/api/task",
				.times = 99,
				.takes = USEC_HOUR,
				.trouble = HTTP_TIMED_OUT},
			OUTCOME_TRANSIENT, "Metabase (GET /api/task): it broke", 300, 310},
		{"an endless answer", {.path = "/api/database", .times = 99, .trouble = HTTP_UNFIT},
			OUTCOME_FAILED, "Metabase (GET /api/database): it broke", 0, 2},
		{"a page of the list that is too large",
			{.path = "/api/task?task=sync&limit=50",
				.times = 99,
				.trouble = HTTP_UNFIT},
			OUTCOME_OK, NULL, 4, 12},
		{"a redirect", {.path = "/api/database", .times = 99, .status = 307, .body = ""},
			OUTCOME_FAILED, "redirects are not followed: metabase.url", 0, 2},
		{"no Metabase at all",
			{.path = "/api/database", .times = 99, .status = 404, .body = "<html>"},
			OUTCOME_FAILED, "is metabase.url of the environment that of a Metabase?", 0,
			2},
		{"not allowed",
			{.path = "/api/task",
				.times = 99,
				.status = 403,
				.body = "You don't have permissions to do that."},
			OUTCOME_FAILED, "must be one of the group Administrators", 0, 2},
		{"too many requests",
			{.path = "/api/task", .times = 3, .status = 429, .body = "slow down"},
			OUTCOME_OK, NULL, 8, 30},
		{"a trigger whose answer was lost",
			{.path = "/api/database/2/sync",
				.times = 1,
				.trouble = HTTP_LOST,
				.after = true},
			OUTCOME_OK, NULL, 4, 15},
		{"a trigger that was lost itself",
			{.path = "/api/database/2/sync", .times = 1, .trouble = HTTP_LOST},
			OUTCOME_OK, NULL, 8, 25},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct play p;

		set_up_play(&p);
		two_databases(&p.mb);
		p.mb.trouble[0] = table[i].trouble;
		join_for(&p, "Global", "orders", 5 * USEC_MINUTE);
		run(&p, 900);
		if (p.member[0].outcome != table[i].outcome || p.served_at[0] < table[i].from ||
			p.served_at[0] > table[i].to)
			fail_msg("%s: %s after %lld s: %s\n%s", table[i].what,
				outcome_name(p.member[0].outcome), (long long)p.served_at[0],
				p.member[0].reason, p.mb.log);
		if (table[i].says)
			assert_says(&p, 0, table[i].says);
		else
			assert_null(p.member[0].reason);
		play_end(&p);
	}
}

static void one_database_whose_list_hangs_does_not_hold_up_another(void **state)
{
	struct play *p = *state;

	p->mb.trouble[0] = (struct mb_trouble){.path = "/api/database/2/metadata",
		.times = 999,
		.takes = USEC_HOUR,
		.trouble = HTTP_TIMED_OUT};
	join_for(p, "Global", "orders", 10 * USEC_MINUTE);
	join_for(p, "NC", "orders", 10 * USEC_MINUTE);
	run(p, 900);
	assert_served(p, 1, OUTCOME_OK);
	assert_in_range(p->served_at[1], 10, 240);
	assert_served(p, 0, OUTCOME_TRANSIENT);
}

/* --- who asks ----------------------------------------------------------------------------- */

static struct metabase_want *by_user(const char *password)
{
	struct metabase_want *w = want_new(10 * USEC_MINUTE);

	free(w->api_key);
	w->api_key = NULL;
	w->username = xstrdup("admin@example.org");
	w->password = xstrdup(password);
	wants(w, "Global", "orders");
	return w;
}

static void a_key_that_is_refused_fails_at_once(void **state)
{
	struct play *p = *state;

	p->mb.api_key = "mb_another";
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_says(p, 0, "Metabase refuses the API key (401): look at metabase.api_key");
	assert_int_equal(p->mb.calls, 1);
}

static void a_key_that_no_header_can_hold_is_never_sent(void **state)
{
	struct play *p = *state;
	struct metabase_want *w = want_new(USEC_HOUR);

	free(w->api_key);
	w->api_key = xstrdup("mb_key\r\nX-Evil: 1");
	wants(w, "Global", "orders");
	join(p, w);
	run(p, 60);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_int_equal(p->mb.calls, 0);
	assert_null(strstr(p->member[0].reason, "Evil"));
}

static void one_log_in_serves_all(void **state)
{
	struct play *p = *state;

	join(p, by_user("the-password"));
	join(p, by_user("the-password"));
	run(p, 60);
	assert_served(p, 0, OUTCOME_OK);
	assert_served(p, 1, OUTCOME_OK);
	assert_int_equal(p->mb.logins, 1);
}

static void a_session_that_expired_is_made_anew(void **state)
{
	struct play *p = *state;

	global(p)->fields = 60;
	join(p, by_user("the-password"));
	run(p, 20);
	p->mb.expired = 1;
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(p->mb.logins, 2);
}

static void a_session_that_never_works_is_not_made_for_ever(void **state)
{
	struct play *p = *state;

	p->mb.expired = 99;
	join(p, by_user("the-password"));
	run(p, 300);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_int_equal(p->mb.logins, 1);
}

static void a_wrong_password_is_tried_once(void **state)
{
	struct play *p = *state;

	join(p, by_user("another-password"));
	run(p, 300);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_says(p, 0, "refuses the user or the password");
	assert_int_equal(p->mb.logins, 1);
}

static void a_throttled_log_in_waits_as_it_is_told(void **state)
{
	struct play *p = *state;

	p->mb.throttled = 42;
	join(p, by_user("the-password"));
	run(p, 20);
	assert_string_equal(text_of(p, 0), "waits for Metabase; its log-in is "
					   "throttled for 42 s after too many that failed");
	run(p, 300);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(p->mb.logins, 2);
	assert_in_range(p->served_at[0], 46, 56);
}

static void a_disabled_account_is_said(void **state)
{
	struct play *p = *state;

	p->mb.disabled = true;
	join(p, by_user("the-password"));
	run(p, 300);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_says(p, 0, "account is disabled");
}

/* --- databases and tables ----------------------------------------------------------------- */

static void a_database_that_is_not_there_fails_with_those_that_are(void **state)
{
	struct play *p = *state;

	join_for(p, "Globall", "orders", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_string_equal(p->member[0].reason,
		"Metabase has no database Globall; did you mean Global? It has Global, NC");
}

static void two_databases_of_one_name_are_not_guessed_at(void **state)
{
	struct play *p = *state;

	nc(p)->name = "Global";
	join_for(p, "Global", "orders", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_FAILED);
	assert_says(p, 0, "2 databases named Global");
}

static void a_table_that_never_comes_is_named_with_its_likely_cause(void **state)
{
	struct play *p = *state;
	const cJSON *missing;

	nc(p)->table[1].unreadable = true;
	join_for(p, "NC", "orders,items", 10 * USEC_MINUTE);
	run(p, 400);
	assert_string_equal(text_of(p, 0), "waits for Metabase: 1 of 2 tables; syncs were proved "
					   "without bringing analytics.items");
	run(p, 900);
	assert_served(p, 0, OUTCOME_NOT_READY);
	assert_string_equal(p->member[0].reason,
		"Metabase lacks 1 of 2 tables of NC: analytics.items; its sync was proved, so the "
		"role nc_ro may not read it, or the name is wrong");
	assert_int_equal(p->served_at[0], 600);
	assert_in_range(nc(p)->posts, 3, 7);
	missing = json_get(result_of(p, 0, 0), "missing");
	assert_int_equal(cJSON_GetArraySize(missing), 1);
	assert_string_equal(cJSON_GetArrayItem(missing, 0)->valuestring, "analytics.items");
	assert_string_equal(json_string(result_of(p, 0, 0), "state"), "waiting");
}

static void a_table_that_comes_late_is_found(void **state)
{
	struct play *p = *state;

	global(p)->table[1].built_at = MB_START + 50 * USEC_SEC;
	join_for(p, "Global", "orders,items", USEC_HOUR);
	run(p, 900);
	assert_served(p, 0, OUTCOME_OK);
	assert_in_range(p->served_at[0], 60, 200);
}

static void a_time_that_is_over_says_what_the_queue_is_at(void **state)
{
	struct play *p = *state;

	nc(p)->fields = 3600;
	mb_enqueue(&p->mb, 3);
	mb_advance(&p->mb, MB_START + 5 * USEC_SEC);
	join_for(p, "Global", "orders", 5 * USEC_MINUTE);
	run(p, 900);
	assert_served(p, 0, OUTCOME_NOT_READY);
	assert_says(p, 0,
		"the sync of Global is not proved, which is to show analytics.orders; its queue "
		"is busy with database 3 (NC) since 5m");
}

static void a_table_hidden_for_its_name_counts_and_is_said(void **state)
{
	struct play *p = *state;

	global(p)->table[2] = (struct mb_table){.name = "cache_x", .cruft = true};
	join_for(p, "Global", "orders,cache_x", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_OK);
	assert_says(p, 0,
		"hidden by Metabase for the name, and without fields: "
		"analytics.cache_x");
}

static void columns_are_looked_for_where_they_are_wanted(void **state)
{
	struct play *p = *state;

	join_for(p, "Global", "orders:total", USEC_HOUR);
	join_for(p, "NC", "orders:colour", 5 * USEC_MINUTE);
	run(p, 900);
	assert_served(p, 0, OUTCOME_OK);
	assert_served(p, 1, OUTCOME_NOT_READY);
	assert_says(p, 1, "analytics.orders (without its column colour)");
}

static void names_that_differ_in_case_alone_are_the_same_table(void **state)
{
	struct play *p = *state;

	join_for(p, "Global", "ORDERS:TOTAL", USEC_HOUR);
	run(p, 60);
	assert_served(p, 0, OUTCOME_OK);
}

static void all_databases_are_all_but_the_sample_one(void **state)
{
	struct play *p = *state;
	struct metabase_want *w = want_new(USEC_HOUR);

	nc(p)->table[1].unreadable = true;
	w->all = true;
	w->anywhere = tables_of("orders,items", &w->n_anywhere);
	join(p, w);
	run(p, 120);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(p->mb.database[0].posts, 0);
	assert_int_equal(global(p)->posts, 1);
	assert_int_equal(nc(p)->posts, 1);
	assert_int_equal(cJSON_GetArraySize(json_get(p->member[0].result, "databases")), 2);
}

static void what_is_to_be_anywhere_and_is_nowhere_is_said(void **state)
{
	struct play *p = *state;
	struct metabase_want *w = want_new(3 * USEC_MINUTE);

	w->all = true;
	w->anywhere = tables_of("orders,nothing", &w->n_anywhere);
	join(p, w);
	run(p, 900);
	assert_served(p, 0, OUTCOME_NOT_READY);
	assert_says(p, 0, "no database of Metabase shows analytics.nothing");
}

/* --- looks -------------------------------------------------------------------------------- */

static void a_look_triggers_nothing_and_says_what_is_there(void **state)
{
	struct play *p = *state;
	struct metabase_want *w = want_new(USEC_HOUR);
	const cJSON *found;

	global(p)->table[0].known = global(p)->table[0].complete = true;
	w->look = true;
	wants(w, "Global", "orders,items");
	wants(w, "Nowhere", "");
	w->things = xcalloc(3, sizeof(*w->things));
	w->n_things = 3;
	w->things[0] = (struct metabase_thing){"collection", xstrdup("Sales")};
	w->things[1] = (struct metabase_thing){"collection", xstrdup("Marketing")};
	w->things[2] = (struct metabase_thing){"database", xstrdup("NC")};
	join(p, w);
	run(p, 60);
	assert_served(p, 0, OUTCOME_OK);
	assert_int_equal(global(p)->posts, 0);
	assert_string_equal(json_string(result_of(p, 0, 0), "state"), "waiting");
	assert_int_equal(json_int(result_of(p, 0, 0), "tables", -1), 1);
	assert_string_equal(json_string(result_of(p, 0, 1), "state"), "failed");
	found = json_get(p->member[0].result, "found");
	assert_int_equal(cJSON_GetArraySize(found), 2);
	assert_string_equal(json_string(cJSON_GetArrayItem(found, 0), "type"), "database");
	assert_int_equal(json_int(cJSON_GetArrayItem(found, 0), "id", 0), 3);
	assert_int_equal(json_int(cJSON_GetArrayItem(found, 1), "id", 0), 5);
}

/* --- members that leave, and noise -------------------------------------------------------- */

static void a_member_may_leave_while_a_call_is_out(void **state)
{
	struct play *p = *state;
	struct kind_request r = {0};
	const struct mask_set *mask = NULL;
	struct kind_event event;
	usec_t until = 0, takes = 0;

	join_for(p, "Global", "orders", USEC_HOUR);
	join_for(p, "NC", "orders", USEC_HOUR);
	run(p, 3);
	while (!lane_metabase.next(p->lane, p->mb.now, &r, &mask, &until))
		mb_advance(&p->mb, until);
	lane_metabase.leave(p->lane, &p->member[0], p->mb.now);
	mb_answer(&p->mb, &r, &event, &takes);
	event.at = p->mb.now;
	event.mask = mask;
	lane_metabase.answered(p->lane, &event);
	free((char *)event.body);
	kind_request_fini(&r);
	p->member[0].served = true;
	run(p, 60);
	assert_served(p, 1, OUTCOME_OK);
}

/* A machine that answers with noise: nothing may break, and the member's time ends. */
static void noise_is_survived(void **state)
{
	static const char *const pieces[] = {"{", "}", "[", "]", ":", ",", "\"data\"", "\"id\"",
		"\"tables\"", "\"name\"", "\"task\"", "\"sync\"", "\"db_id\"", "2", "-1", "1e400",
		"99999999999999999999", "\"status\"", "\"success\"", "null", "true", "\"\\u0000\"",
		"\"\\ud800\"", "\xff", "\"Global\"", "\"fields\"", "\"orders\"", " ", "\"active\""};
	uint32_t seed = 1;

	for (int n = 0; n < 300; n++) {
		struct play p;

		set_up_play(&p);
		two_databases(&p.mb);
		join_for(&p, "Global", "orders:total", USEC_MINUTE);
		for (int i = 0; i < 40 && !note_served(&p); i++) {
			struct kind_request r = {0};
			const struct mask_set *mask = NULL;
			struct kind_event event = {.type = KIND_ANSWERED, .http_status = 200};
			struct buf body = BUF_NULL;
			usec_t until = 0, takes;

			if (!lane_metabase.next(p.lane, p.mb.now, &r, &mask, &until)) {
				mb_advance(&p.mb, MIN(until, MB_START + USEC_HOUR));
				continue;
			}
			seed = seed * 1664525 + 1013904223;
			if (seed >> 30) {
				mb_answer(&p.mb, &r, &event, &takes);
				buf_puts(&body, event.body ? event.body : "");
				free((char *)event.body);
				for (int k = 0; k < 3 && body.len; k++) {
					seed = seed * 1664525 + 1013904223;
					body.data[(seed >> 8) % body.len] = (char)(seed >> 3);
				}
			} else {
				for (int k = 0; k < 30; k++) {
					seed = seed * 1664525 + 1013904223;
					buf_puts(&body, pieces[(seed >> 8) % ARRAY_SIZE(pieces)]);
				}
			}
			event.body = buf_str(&body);
			event.body_len = body.len;
			event.at = p.mb.now;
			event.mask = mask;
			lane_metabase.answered(p.lane, &event);
			kind_request_fini(&r);
			buf_fini(&body);
		}
		run(&p, 3600);
		assert_true(p.member[0].served);
		assert_in_range(p.mb.calls, 0, 300);
		play_end(&p);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(tables_that_were_built_are_proved_by_one_trigger),
		TEST(without_tables_the_sync_alone_is_the_proof),
		TEST(each_database_is_triggered_once_for_all_that_want_it),
		TEST(one_tenant_does_not_wait_for_another),
		TEST(members_by_the_hundred_cost_hardly_more_than_one),
		TEST(a_want_that_comes_when_the_sync_has_begun_needs_another),
		TEST(a_want_that_comes_while_the_queue_is_elsewhere_is_met_by_what_waits_in_it),
		TEST(a_sync_that_runs_already_may_have_read_too_early),
		TEST(a_trigger_that_was_dropped_is_made_again),
		TEST(while_the_queue_is_busy_no_trigger_is_repeated),
		TEST(an_orphan_of_old_holds_nothing_up),
		TEST(a_fresh_orphan_is_not_waited_for_long),
		TEST(a_metabase_that_cannot_filter_its_list_will_do),
		TEST(a_step_that_failed_under_a_sync_that_says_success_is_no_proof),
		TEST(a_step_that_goes_on_failing_is_named),
		TEST(a_sync_that_failed_is_triggered_again),
		TEST(a_warehouse_that_cannot_be_reached_is_transient_and_quoted),
		TEST(syncs_that_are_switched_off_fail_at_once),
		TEST(a_restart_in_the_middle_forgets_what_was_asked),
		TEST(a_restart_before_the_row_was_seen_is_no_different),
		TEST(one_that_starts_is_waited_for),
		TEST(one_that_stays_away_is_transient_at_the_end_of_the_time),
		cmocka_unit_test(answers_gone_wrong_end_in_the_right_outcome),
		TEST(one_database_whose_list_hangs_does_not_hold_up_another),
		TEST(a_key_that_is_refused_fails_at_once),
		TEST(a_key_that_no_header_can_hold_is_never_sent),
		TEST(one_log_in_serves_all),
		TEST(a_session_that_expired_is_made_anew),
		TEST(a_session_that_never_works_is_not_made_for_ever),
		TEST(a_wrong_password_is_tried_once),
		TEST(a_throttled_log_in_waits_as_it_is_told),
		TEST(a_disabled_account_is_said),
		TEST(a_database_that_is_not_there_fails_with_those_that_are),
		TEST(two_databases_of_one_name_are_not_guessed_at),
		TEST(a_table_that_never_comes_is_named_with_its_likely_cause),
		TEST(a_table_that_comes_late_is_found),
		TEST(a_time_that_is_over_says_what_the_queue_is_at),
		TEST(a_table_hidden_for_its_name_counts_and_is_said),
		TEST(columns_are_looked_for_where_they_are_wanted),
		TEST(names_that_differ_in_case_alone_are_the_same_table),
		TEST(all_databases_are_all_but_the_sample_one),
		TEST(what_is_to_be_anywhere_and_is_nowhere_is_said),
		TEST(a_look_triggers_nothing_and_says_what_is_there),
		TEST(a_member_may_leave_while_a_call_is_out),
		cmocka_unit_test(noise_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
