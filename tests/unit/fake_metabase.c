/* See fake_metabase.h. */
#include "unit.h"
#include "fake_metabase.h"
#include "base/instant.h"

enum {
	READING = 1,
	TABLES,
	FIELDS,
	ANALYZING,
};

void mb_init(struct mb *mb)
{
	*mb = (struct mb){
		.now = MB_START, .api_key = "mb_the-right-key", .password = "the-password"};
	mb->database[0] = (struct mb_database){.name = "Sample Database", .sample = true};
}

size_t mb_row(struct mb *mb, int64_t database, const char *task, usec_t started_at)
{
	assert_true(mb->n_rows < MB_ROWS);
	mb->row[mb->n_rows] = (struct mb_row){
		.database = database, .task = task, .status = "started", .started_at = started_at};
	return mb->n_rows++;
}

static void end_row(struct mb *mb, size_t row, const char *status, const char *said)
{
	mb->row[row].status = status;
	mb->row[row].said = said;
	mb->row[row].ended_at = mb->now;
}

void mb_enqueue(struct mb *mb, int64_t database)
{
	assert_true(mb->n_queue < MB_QUEUE);
	if (mb->running == database && mb->phase != ANALYZING)
		return;
	mb->queue[mb->n_queue++] = database;
}

/* --- a sync ------------------------------------------------------------------------------- */

static void enter(struct mb *mb, int phase, unsigned seconds)
{
	mb->phase = phase;
	mb->phase_ends = mb->now + seconds * USEC_SEC;
}

static void begin_next(struct mb *mb)
{
	if (mb->n_queue == 0)
		return;
	mb->running = mb->queue[0];
	memmove(mb->queue, mb->queue + 1, --mb->n_queue * sizeof(*mb->queue));
	enter(mb, READING, mb->database[mb->running - 1].read);
}

static bool fails(unsigned *times)
{
	if (*times == 0)
		return false;
	(*times)--;
	return true;
}

static void see_tables(struct mb *mb, struct mb_database *db)
{
	for (size_t i = 0; i < MB_TABLES && db->table[i].name; i++) {
		struct mb_table *t = &db->table[i];

		if (t->built_at < 0 || t->built_at > mb->now || t->unreadable || t->known)
			continue;
		t->known = true;
		t->complete = t->cruft;
	}
}

static void see_fields(struct mb_database *db)
{
	for (size_t i = 0; i < MB_TABLES && db->table[i].name; i++)
		if (db->table[i].known && !db->table[i].cruft)
			db->table[i].fields = db->table[i].columns;
}

static void phase_over(struct mb *mb)
{
	struct mb_database *db = &mb->database[mb->running - 1];
	bool failed;

	switch (mb->phase) {
	case READING:
		see_tables(mb, db);
		mb->sync_row = mb_row(mb, mb->running, "sync", mb->now);
		mb->step_row = mb_row(mb, mb->running, "sync-tables", mb->now);
		enter(mb, TABLES, db->tables);
		break;
	case TABLES:
		end_row(mb, mb->step_row, "success", NULL);
		mb->step_row = mb_row(mb, mb->running, "sync-fields", mb->now);
		enter(mb, FIELDS, db->fields);
		break;
	case FIELDS:
		failed = fails(&db->fail_fields);
		if (!failed)
			see_fields(db);
		end_row(mb, mb->step_row, failed ? "failed" : "success",
			failed ? "the warehouse said no to the-password" : NULL);
		for (size_t i = 0; i < MB_TABLES; i++)
			db->table[i].complete = db->table[i].known;
		end_row(mb, mb->sync_row, fails(&db->fail_sync) ? "failed" : "success", NULL);
		mb->step_row = mb_row(mb, mb->running, "analyze", mb->now);
		enter(mb, ANALYZING, db->analyze);
		break;
	default:
		end_row(mb, mb->step_row, "success", NULL);
		mb->phase = 0;
		mb->running = 0;
	}
}

usec_t mb_next(const struct mb *mb)
{
	if (mb->phase)
		return mb->phase_ends;
	return mb->n_queue ? mb->now : USEC_INFINITY;
}

void mb_advance(struct mb *mb, usec_t until)
{
	while (mb_next(mb) <= until) {
		mb->now = MAX(mb->now, mb_next(mb));
		if (mb->phase)
			phase_over(mb);
		else
			begin_next(mb);
	}
	mb->now = MAX(mb->now, until);
}

void mb_stop(struct mb *mb)
{
	mb->down = true;
	mb->n_queue = 0;
	mb->phase = 0;
	mb->running = 0;
}

void mb_begin(struct mb *mb)
{
	mb->down = mb->starting = false;
}

/* --- answers ------------------------------------------------------------------------------ */

static char *databases_body(struct mb *mb)
{
	struct buf b = BUF_NULL;

	mb->lists++;
	buf_puts(&b, "{\"data\":[");
	for (int i = 0, n = 0; i < MB_DATABASES; i++) {
		const struct mb_database *db = &mb->database[i];

		if (!db->name)
			continue;
		buf_printf(&b, "%s{\"id\":%d,\"name\":\"%s\",\"engine\":\"postgres\",",
			n++ ? "," : "", i + 1, db->name);
		buf_printf(&b, "\"is_sample\":%s,\"details\":{", db->sample ? "true" : "false");
		if (db->user)
			buf_printf(&b, "\"user\":\"%s\"", db->user);
		buf_puts(&b, "}}");
	}
	buf_puts(&b, "],\"total\":1}");
	return buf_steal(&b);
}

static void put_time(struct buf *b, const char *key, usec_t t)
{
	char text[INSTANT_MAX];

	if (t)
		buf_printf(b, ",\"%s\":\"%s\"", key, instant_format(t, text));
	else
		buf_printf(b, ",\"%s\":null", key);
}

static char *tasks_body(struct mb *mb, const char *url)
{
	struct buf b = BUF_NULL;
	const char *filter = mb->no_filter ? NULL : strstr(url, "task=");
	const char *limit = strstr(url, "limit=");
	int most = limit ? atoi(limit + 6) : MB_ROWS, n = 0;

	buf_puts(&b, "{\"total\":1,\"data\":[");
	for (size_t i = mb->n_rows; i-- > 0 && n < most;) {
		const struct mb_row *r = &mb->row[i];
		size_t len = strlen(r->task);

		if (filter && (strncmp(filter + 5, r->task, len) != 0 || filter[5 + len] != '&'))
			continue;
		buf_printf(&b, "%s{\"id\":%zu,\"task\":\"%s\",\"db_id\":%lld,\"status\":\"%s\"",
			n++ ? "," : "", i + 1, r->task, (long long)r->database, r->status);
		put_time(&b, "started_at", r->started_at);
		put_time(&b, "ended_at", r->ended_at);
		if (r->said)
			buf_printf(&b, ",\"task_details\":{\"message\":\"%s\"}", r->said);
		buf_puts(&b, "}");
	}
	buf_puts(&b, "]}");
	return buf_steal(&b);
}

static char *metadata_body(const struct mb *mb, long id)
{
	struct buf b = BUF_NULL;
	const struct mb_database *db = &mb->database[id - 1];
	int n = 0;

	buf_printf(&b, "{\"id\":%ld,\"tables\":[", id);
	for (int i = 0; i < MB_TABLES; i++) {
		const struct mb_table *t = &db->table[i];

		if (!t->name || !t->known)
			continue;
		buf_printf(&b, "%s{\"id\":%ld,\"schema\":\"analytics\",\"name\":\"%s\",",
			n++ ? "," : "", id * 100 + i, t->name);
		buf_printf(&b,
			"\"active\":true,\"visibility_type\":%s,\"initial_sync_status\":\"%s\"}",
			t->cruft ? "\"cruft\"" : "null", t->complete ? "complete" : "incomplete");
	}
	buf_puts(&b, "]}");
	return buf_steal(&b);
}

static char *fields_body(const struct mb *mb, long id)
{
	struct buf b = BUF_NULL;
	const char *fields = mb->database[id / 100 - 1].table[id % 100].fields;
	_cleanup_free_ char *copy = xstrdup(fields ? fields : "");
	char *save = NULL;
	int n = 0;

	buf_puts(&b, "{\"fields\":[");
	for (char *f = strtok_r(copy, ",", &save); f; f = strtok_r(NULL, ",", &save))
		buf_printf(&b, "%s{\"name\":\"%s\"}", n++ ? "," : "", f);
	buf_puts(&b, "]}");
	return buf_steal(&b);
}

static int login(struct mb *mb, const struct kind_request *r, char **ret_body)
{
	_cleanup_json_ cJSON *body = cJSON_Parse(r->body);

	mb->logins++;
	if (mb->throttled) {
		*ret_body =
			xasprintf("{\"errors\":{\"username\":\"Too many attempts! You must wait %u "
				  "seconds before trying again.\"}}",
				mb->throttled);
		mb->throttled = 0;
		return 401;
	}
	if (!str_eq(json_string(body, "password"), mb->password)) {
		*ret_body =
			xstrdup("{\"errors\":{\"password\":\"did not match stored password\"}}");
		return 401;
	}
	if (mb->disabled) {
		*ret_body = xstrdup("{\"errors\":{\"_error\":\"Your account is disabled.\"}}");
		return 401;
	}
	*ret_body = xasprintf("{\"id\":\"session-number-%u\"}", ++mb->sessions);
	return 200;
}

static bool may_ask(const struct mb *mb, const struct kind_request *r)
{
	_cleanup_free_ char *key = xasprintf("X-API-Key: %s", mb->api_key);
	_cleanup_free_ char *session =
		xasprintf("X-Metabase-Session: session-number-%u", mb->sessions);

	for (char **h = r->headers; *h; h++)
		if (str_eq(*h, key) || (mb->sessions > mb->expired && str_eq(*h, session)))
			return true;
	return false;
}

static int trigger(struct mb *mb, long id, char **ret_body)
{
	struct mb_database *db = &mb->database[id - 1];

	db->posts++;
	if (fails(&db->sick)) {
		*ret_body = xstrdup("Connection to localhost:5432 refused.");
		return 422;
	}
	if (!fails(&db->drop))
		mb_enqueue(mb, id);
	*ret_body = xstrdup("{\"status\":\"ok\"}");
	return 200;
}

static int route(struct mb *mb, const struct kind_request *r, const char *path, char **ret_body)
{
	long id = 0;
	int whole = 0;

	if (str_eq(path, "/api/session"))
		return login(mb, r, ret_body);
	if (!may_ask(mb, r)) {
		*ret_body = xstrdup("Unauthenticated");
		return 401;
	}
	if (str_eq(path, "/api/database"))
		*ret_body = databases_body(mb);
	else if (str_starts(path, "/api/task?"))
		*ret_body = tasks_body(mb, path);
	else if (sscanf(path, "/api/table/%ld/query_metadata%n", &id, &whole) == 1 && whole)
		*ret_body = fields_body(mb, id);
	else if (sscanf(path, "/api/database/%ld/sync_schema%n", &id, &whole) == 1 && whole)
		return trigger(mb, id, ret_body);
	else if (sscanf(path, "/api/database/%ld/metadata?%n", &id, &whole) == 1 && whole)
		*ret_body = metadata_body(mb, id);
	else if (str_eq(path, "/api/collection"))
		*ret_body = xstrdup("[{\"id\":\"root\",\"name\":\"Our analytics\"},"
				    "{\"id\":5,\"name\":\"Sales\"},"
				    "{\"id\":6,\"name\":\"Sales\",\"archived\":true}]");
	else {
		*ret_body = xstrdup("Not found.");
		return 404;
	}
	return 200;
}

static struct mb_trouble *trouble_for(struct mb *mb, const char *method, const char *path)
{
	for (size_t i = 0; i < MB_TROUBLES; i++) {
		struct mb_trouble *t = &mb->trouble[i];

		if (t->times == 0 || !str_starts(path, t->path) ||
			(t->method && !str_eq(t->method, method)))
			continue;
		if (t->skip > 0) {
			t->skip--;
			continue;
		}
		t->times--;
		return t;
	}
	return NULL;
}

static void log_call(struct mb *mb, const struct kind_request *r, const char *path)
{
	size_t len = strlen(mb->log);

	mb->calls++;
	snprintf(mb->log + len, sizeof(mb->log) - len, "%lld %s %s\n",
		(long long)((mb->now - MB_START) / USEC_SEC), r->method, path);
}

void mb_answer(
	struct mb *mb, const struct kind_request *r, struct kind_event *ret, usec_t *ret_takes)
{
	const char *path = r->url + strlen("http://mb");
	struct mb_trouble *t;
	char *body = NULL;
	int status;

	assert_true(str_starts(r->url, "http://mb/api/"));
	log_call(mb, r, path);
	*ret = (struct kind_event){.type = KIND_ANSWERED};
	*ret_takes = 10 * USEC_MSEC;
	if (mb->down) {
		ret->http_trouble = HTTP_UNSENT;
		ret->http_error = "connection refused";
		return;
	}
	t = trouble_for(mb, r->method, path);
	if (mb->starting || (t && !t->after)) {
		status = t ? t->status : 503;
		body = xstrdup(t ? t->body : "Metabase is still initializing. Please sit tight...");
	} else {
		status = route(mb, r, path, &body);
	}
	if (t && t->after) {
		free(body);
		body = xstrdup(t->body);
		status = t->status;
	}
	if (t && t->takes)
		*ret_takes = MIN(t->takes, MIN(r->timeout, r->slow ? r->slow : USEC_INFINITY));
	ret->http_status = status;
	if (status == 0) {
		ret->http_trouble = t->trouble;
		ret->http_error = "it broke";
	}
	ret->body = body;
	ret->body_len = body ? strlen(body) : 0;
}
