/* From the errors of an action to what is to be done. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/terraform_machine.h"

#define REASON_MAX 560
#define NAMED_MAX  5

/* The class that stands where there are several: what needs a person or cannot be mended by trying
 * again comes before what can. */
static int rank(enum terraform_class class)
{
	static const int ranks[] = {
		[TF_CLASS_NOT_READY] = 1,
		[TF_CLASS_TRANSIENT] = 2,
		[TF_CLASS_LOGIN] = 3,
		[TF_CLASS_LOST] = 4,
		[TF_CLASS_INIT] = 5,
		[TF_CLASS_STALE] = 6,
		[TF_CLASS_UNKNOWN] = 7,
		[TF_CLASS_FAILED] = 7,
		[TF_CLASS_HALTED] = 8,
		[TF_CLASS_PERSON] = 9,
	};

	return ranks[class];
}

static struct terraform_verdict of_words(
	const struct terraform_log *log, const struct action_status *status)
{
	_cleanup_free_ char *words = last_words_text(&log->words);
	struct terraform_error e = {.summary = words};
	struct terraform_verdict v = {.class = terraform_class(&e)};

	v.reason = xasprintf(
		"terraform: exit code %d%s%s", status->code, words ? ": " : "", words ? words : "");
	return v;
}

struct terraform_verdict terraform_judge(
	const struct terraform_log *log, const struct action_status *status)
{
	const struct terraform_error *worst = NULL;
	struct terraform_verdict v = {0};
	_cleanup_free_ char *line = NULL;
	size_t more = log->n_errors + log->n_more;

	for (size_t i = 0; i < log->n_errors; i++) {
		enum terraform_class class = terraform_class(&log->errors[i]);

		if (!worst || rank(class) > rank(v.class)) {
			worst = &log->errors[i];
			v.class = class;
		}
	}
	if (!worst)
		return of_words(log, status);
	line = terraform_error_line(worst);
	if (more > 1)
		v.reason = xasprintf(
			"terraform: %s; and %zu more error%s", line, more - 1, more > 2 ? "s" : "");
	else
		v.reason = xasprintf("terraform: %s", line);
	return v;
}

static bool may_create(const struct terraform_change *c)
{
	return str_eq(c->action, "create") || str_eq(c->action, "replace");
}

void terraform_doubt(struct terraform *t, bool interrupted)
{
	struct terraform_log *log = &t->log;

	for (size_t i = 0; interrupted && i < log->changes.n; i++)
		if (log->changes.items[i].started && may_create(&log->changes.items[i]))
			terraform_list_add(t, "doubt", log->changes.items[i].address);
	for (size_t i = 0; i < log->n_errors; i++) {
		const struct terraform_change *c =
			terraform_change_find(&log->changes, log->errors[i].address);

		if (c && may_create(c) && terraform_class(&log->errors[i]) == TF_CLASS_LOST)
			terraform_list_add(t, "doubt", c->address);
	}
}

char *terraform_unforeseen(const struct terraform *t)
{
	const cJSON *foreseen = json_get(t->memory, "foreseen"), *c;
	_cleanup_buf_ struct buf b = BUF_NULL;
	size_t n = 0;

	if (!json_bool(t->memory, "applied", false))
		return NULL;
	cJSON_ArrayForEach(c, json_get(t->memory, "changes"))
	{
		const char *action = json_string(c, "action"), *address = json_string(c, "address");

		if (!terraform_action_destroys(action) || terraform_list_has(foreseen, address))
			continue;
		if (n++ < NAMED_MAX)
			buf_printf(&b, "%s%s %s", n > 1 ? ", " : "", action, address);
	}
	if (n > NAMED_MAX)
		buf_printf(&b, " and %zu more", n - NAMED_MAX);
	return n ? text_one_line(b.data, b.len, REASON_MAX) : NULL;
}
