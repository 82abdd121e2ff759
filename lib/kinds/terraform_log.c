/* Reading what terraform says.
 *
 * Happy path: a version, planned changes, a summary; then for each resource a start and an end.
 * Failures: diagnostics. No summary is believed: a plan that failed and an apply that failed print
 * one, too. Reads of data sources start and end like changes and are not counted. Lines that are no
 * JSON are text: a line that begins with "Error: " and what follows it is an error as well. Message
 * types that are not known are left aside. */
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/terraform_log.h"

#define LONGEST_LINE ((size_t)1024 * 1024)
#define DETAIL_MAX   2000

void terraform_log_fini(struct terraform_log *log)
{
	terraform_changes_fini(&log->changes);
	for (size_t i = 0; i < log->n_errors; i++)
		terraform_error_fini(&log->errors[i]);
	free(log->now);
	buf_fini(&log->lines[STREAM_STDOUT]);
	buf_fini(&log->lines[STREAM_STDERR]);
	*log = (struct terraform_log){0};
}

void terraform_log_begin(struct terraform_log *log, bool applies, const cJSON *changes)
{
	terraform_log_fini(log);
	log->applies = applies;
	terraform_changes_from_json(&log->changes, changes);
}

static struct terraform_error *new_error(struct terraform_log *log)
{
	if (log->n_errors < TERRAFORM_ERRORS_MAX)
		return &log->errors[log->n_errors++];
	log->n_more++;
	return NULL;
}

/* --- messages ----------------------------------------------------------------------------- */

static bool on_planned(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	const cJSON *change = json_get(message, "change");
	const char *action = json_string(change, "action");

	if (!action || str_eq(action, "noop"))
		return false;
	terraform_change_add(
		&log->changes, json_string(json_get(change, "resource"), "addr"), action);
	return true;
}

struct hook {
	const char *address, *action;
	struct terraform_change *change; /* NULL: none was planned, or a read */
};

static struct hook hook_of(struct terraform_log *log, const cJSON *message)
{
	const cJSON *hook = json_get(message, "hook");
	struct hook h = {
		.address = json_string(json_get(hook, "resource"), "addr"),
		.action = json_string(hook, "action"),
	};

	if (!str_eq(h.action, "read"))
		h.change = terraform_change_find(&log->changes, h.address);
	return h;
}

static void set_now(struct terraform_log *log, const char *address)
{
	free(log->now);
	log->now = xstrdup(address);
}

static void clear_now(struct terraform_log *log, const char *address)
{
	if (str_eq(log->now, address))
		set_now(log, NULL);
}

static bool on_apply_start(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	struct hook h = hook_of(log, message);

	set_now(log, h.address);
	if (h.change)
		h.change->started = true;
	return true;
}

static bool on_apply_complete(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	struct hook h = hook_of(log, message);

	clear_now(log, h.address);
	if (h.change)
		h.change->done++;
	return true;
}

static bool on_apply_errored(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	struct hook h = hook_of(log, message);

	clear_now(log, h.address);
	if (h.change && !h.change->errored) {
		h.change->errored = true;
		log->n_errored++;
	}
	return true;
}

static bool on_refresh(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	log->n_refreshed++;
	return true;
}

/* "is \"nc\"" */
static char *quoted(const char *statement)
{
	const char *from = statement ? strchr(statement, '"') : NULL;
	const char *to = from ? strrchr(from + 1, '"') : NULL;

	return to ? xstrndup(from + 1, (size_t)(to - from - 1)) : NULL;
}

/* The part of the line that is marked: the key that was sought is in there. */
static const char *marked(const cJSON *snippet, size_t *ret_len)
{
	const char *code = json_string(snippet, "code");
	int64_t from = json_int(snippet, "highlight_start_offset", 0);
	int64_t to = json_int(snippet, "highlight_end_offset", 0);

	if (!code || from < 0 || to <= from || (size_t)to > strlen(code))
		return NULL;
	*ret_len = (size_t)(to - from);
	return code + from;
}

static void read_snippet(struct terraform_error *e, const cJSON *snippet)
{
	_cleanup_buf_ struct buf about = BUF_NULL;
	size_t len = 0;
	const char *mark = marked(snippet, &len);
	const cJSON *v;

	cJSON_ArrayForEach(v, json_get(snippet, "values"))
	{
		const char *what = json_string(v, "traversal"), *is = json_string(v, "statement");

		if (!what)
			continue;
		buf_printf(&about, "%s%s", about.len ? ", " : "", what);
		if (str_eq(what, "each.key") && !e->each)
			e->each = quoted(is);
		if (mark && strlen(what) + 2 == len && strncmp(mark + 1, what, len - 2) == 0)
			e->key = quoted(is);
	}
	if (mark && len > 4 && mark[1] == '"' && !e->key) /* ["name"] */
		e->key = xstrndup(mark + 2, len - 4);
	e->about = buf_steal(&about);
	e->code = text_one_line(json_string(snippet, "code") ?: "",
		strlen(json_string(snippet, "code") ?: ""), DETAIL_MAX);
}

static void read_error(struct terraform_error *e, const cJSON *d)
{
	const char *summary = json_string(d, "summary"), *detail = json_string(d, "detail");

	e->summary = xstrndup(summary ? summary : "", DETAIL_MAX);
	e->detail = detail ? xstrndup(detail, DETAIL_MAX) : NULL;
	e->address = xstrdup(json_string(d, "address"));
	e->file = xstrdup(json_string(json_get(d, "range"), "filename"));
	e->line = (long)json_int(json_get(json_get(d, "range"), "start"), "line", 0);
	if (json_get(d, "snippet"))
		read_snippet(e, json_get(d, "snippet"));
}

static bool on_diagnostic(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	const cJSON *d = json_get(message, "diagnostic");
	struct terraform_error *e;
	_cleanup_free_ char *line = NULL;

	if (!str_eq(json_string(d, "severity"), "error"))
		return false;
	e = new_error(log);
	if (!e)
		return true;
	read_error(e, d);
	clear_now(log, e->address);
	line = terraform_error_line(e);
	*ret_news = xasprintf("terraform: %s", line);
	return true;
}

static bool on_log(struct terraform_log *log, const cJSON *message, char **ret_news)
{
	const char *text = json_string(message, "@message");

	if (text && strstr(text, "Interrupt received"))
		log->interrupted = true;
	return false;
}

static const struct {
	const char *type;
	bool (*read)(struct terraform_log *log, const cJSON *message, char **ret_news);
} messages[] = {
	{"planned_change", on_planned},
	{"apply_start", on_apply_start},
	{"apply_complete", on_apply_complete},
	{"apply_errored", on_apply_errored},
	{"refresh_complete", on_refresh},
	{"diagnostic", on_diagnostic},
	{"log", on_log},
};

static bool read_json(struct terraform_log *log, const char *text, size_t len, char **ret_news)
{
	_cleanup_json_ cJSON *message = NULL;
	const char *type;

	if (json_parse(text, len, &message) < 0)
		return false;
	type = json_string(message, "type");
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (str_eq(messages[i].type, type))
			return messages[i].read(log, message, ret_news);
	return false;
}

/* --- plain lines -------------------------------------------------------------------------- */

/* Without the frame that terraform draws around an error. */
static const char *unframed(const char *s)
{
	static const char *const frame[] = {"│", "╷", "╵"};

	s += strspn(s, " \t");
	for (size_t i = 0; i < ARRAY_SIZE(frame); i++)
		if (str_starts(s, frame[i]))
			s += strlen(frame[i]);
	return s + strspn(s, " \t");
}

static void add_detail(struct terraform_error *e, const char *text)
{
	char *more;

	if (!*text || (e->detail && strlen(e->detail) > DETAIL_MAX))
		return;
	more = e->detail ? xasprintf("%s %s", e->detail, text) : xstrdup(text);
	free(e->detail);
	e->detail = more;
}

/* An error begins at "Error: "; what stands before a blank line is still its summary. */
static void read_plain(struct terraform_log *log, const char *line)
{
	const char *text = unframed(line);

	if (str_starts(text, "Error: ")) {
		struct terraform_error *e = new_error(log);

		log->in_error = e != NULL;
		if (e)
			e->summary = xstrndup(text + strlen("Error: "), DETAIL_MAX);
		return;
	}
	if (str_starts(text, "Warning: "))
		log->in_error = false;
	if (strstr(text, "Interrupt received"))
		log->interrupted = true;
	if (log->in_error)
		add_detail(&log->errors[log->n_errors - 1], text);
}

static bool read_line(struct terraform_log *log, const struct buf *line, char **ret_news)
{
	const char *text = buf_str(line);
	size_t len = line->len;

	while (len && strchr(" \r\t", text[len - 1]))
		len--;
	if (len && text[0] == '{')
		return read_json(log, text, len, ret_news);
	last_words_feed(&log->words, text, len, false);
	read_plain(log, text);
	return false;
}

bool terraform_log_text(struct terraform_log *log, enum stream stream, const char *text, size_t len,
	bool partial, char **ret_news)
{
	struct buf *line = &log->lines[stream];
	bool changed = false;

	if (line->len + len > LONGEST_LINE)
		log->too_long[stream] = true;
	else
		buf_append(line, text, len);
	if (partial)
		return false;
	if (!log->too_long[stream])
		changed = read_line(log, line, ret_news);
	log->too_long[stream] = false;
	buf_clear(line);
	return changed;
}

/* --- progress ----------------------------------------------------------------------------- */

cJSON *terraform_log_progress(const struct terraform_log *log)
{
	size_t total = terraform_changes_total(&log->changes);
	cJSON *p = cJSON_CreateObject();

	json_set_int(p, "done", (int64_t)terraform_changes_done(&log->changes));
	json_set_int(p, "total", (int64_t)total);
	json_set_string(p, "unit", "resources");
	json_set_string(p, "now", log->now);
	json_set_int(p, "failed", (int64_t)log->n_errored);
	return p;
}
