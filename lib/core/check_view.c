/* What readers see of checks: their state, since when and why, and what they hold up.
 *
 * Happy path: from memory; the transitions of the past from the store's second connection.
 * Failures: the store is away: the present stretch alone, as memory has it. */
#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "core/check.h"
#include "core/operate.h"

#define SINCE_MAX INSTANT_MAX

const char *check_state_name(enum check_state state)
{
	static const char *const names[] = {
		[CHECK_UNKNOWN] = "unknown",
		[CHECK_UP] = "up",
		[CHECK_DOWN] = "down",
		[CHECK_STARTING] = "starting",
	};

	return names[state];
}

/* --- in words ----------------------------------------------------------------------------- */

/* One line; NULL: nothing to say. The caller frees. */
static char *reason_of(const struct check *c)
{
	if (c->now.state == CHECK_UNKNOWN)
		return c->reason ? xstrdup(c->reason) : xstrdup("it has not been asked yet");
	if (c->now.state == CHECK_UP && c->bad > 0)
		return xasprintf("%u bad answer%s, %u make it down: %s", c->bad,
			c->bad == 1 ? "" : "s", c->spec->fall, c->reason ? c->reason : "");
	if (c->now.state != CHECK_UP && c->sure && c->good > 0)
		return xasprintf("%u good answer%s, %u make it up", c->good,
			c->good == 1 ? "" : "s", c->spec->rise);
	if (c->now.state == CHECK_STARTING && c->progress >= 0)
		return xasprintf("it is initializing, %d %%", (int)(c->progress * 100));
	if (c->now.state == CHECK_STARTING)
		return xstrdup("it is initializing");
	if (c->now.state == CHECK_DOWN)
		return xstrdup(c->reason ? c->reason : c->now.detail);
	return NULL;
}

/* "06:12Z" of the last day, else with its date. */
static const char *since(const struct core *core, usec_t at, char buf[SINCE_MAX])
{
	char text[INSTANT_MAX];
	bool recent = core_now(core) - at < USEC_DAY;

	instant_format_slot(at, text); /* 2026-03-29T01:30:00Z */
	text[10] = ' ';
	memcpy(text + 16, "Z", 2);
	strcpy(buf, recent ? text + 11 : text);
	return buf;
}

char *check_describe(const struct core *core, const char *name, const char *environment)
{
	const struct check *c = check_find(core, name, environment);
	_cleanup_free_ char *reason = NULL;
	char at[SINCE_MAX];

	if (!c)
		return xasprintf("there is no check %s", name);
	reason = reason_of(c);
	if (c->now.state == CHECK_UNKNOWN)
		return xasprintf("%s is not known to be up: %s", name, reason);
	if (!c->sure)
		return xasprintf("%s was %s, and has not been asked since", name,
			check_state_name(c->now.state));
	return xasprintf("%s is %s since %s%s%s", name, check_state_name(c->now.state),
		since(core, c->now.at, at), reason ? ": " : "", reason ? reason : "");
}

/* --- as JSON ------------------------------------------------------------------------------ */

/* The attempt under way waits for this check. */
static bool waits_for(const struct cell *cell, const struct check *c)
{
	const struct step *step =
		cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
	const struct attempt *a =
		step && step->n_attempts ? step->attempts[step->n_attempts - 1] : NULL;

	return a && a->state == ATTEMPT_CHECKING &&
	       check_find(c->core, a->check, cell->spec->environment) == c;
}

static cJSON *view_held(const struct check *c)
{
	cJSON *held = cJSON_CreateArray();

	if (c->watchers == 0)
		return held;
	list_for_each(node, &c->core->runs)
	{
		const struct run *run = list_entry(node, struct run, in_core);

		for (unsigned i = 0; i < run->def->n_cells; i++) {
			_cleanup_free_ char *ref = NULL;

			if (!run->cells[i].part || run->cells[i].state != LIFE_RUNNING ||
				!waits_for(&run->cells[i], c))
				continue;
			ref = xasprintf("%s/%s", run->name, run->cells[i].spec->name);
			cJSON_AddItemToArray(held, cJSON_CreateString(ref));
		}
	}
	return held;
}

static cJSON *view_check(const struct check *c)
{
	cJSON *o = cJSON_CreateObject();
	_cleanup_free_ char *reason = reason_of(c);
	bool progress = c->now.state == CHECK_STARTING && c->progress >= 0;

	json_set_string(o, "name", c->name);
	json_set_string(o, "environment", c->environment);
	json_set_string(o, "state", check_state_name(c->now.state));
	json_set_time(o, "since", c->now.at);
	json_set_string(o, "reason", reason);
	json_set(o, "progress", progress ? cJSON_CreateNumber(c->progress) : NULL);
	json_set_time(o, "checked_at", c->checked_at);
	json_set(o, "holds_up", view_held(c));
	return o;
}

cJSON *checks_view(const struct core *core)
{
	cJSON *checks = cJSON_CreateArray();

	for (size_t i = 0; i < core->n_checks; i++)
		if (!core->checks[i]->gone)
			cJSON_AddItemToArray(checks, view_check(core->checks[i]));
	return checks;
}

cJSON *core_view_checks(const struct core *core)
{
	cJSON *o = cJSON_CreateObject();

	json_set(o, "checks", checks_view(core));
	return o;
}

/* --- with their past ---------------------------------------------------------------------- */

struct listing {
	struct store_read read;
	struct core *core;
	struct core_op *op;
};

static cJSON *view_transition(const char *state, usec_t at, usec_t ended_at, const char *detail)
{
	cJSON *o = cJSON_CreateObject();

	json_set_string(o, "state", state);
	json_set_time(o, "at", at);
	json_set_time(o, "ended_at", ended_at);
	json_set_string(o, "reason", detail);
	return o;
}

/* Memory may be a commit ahead of the store, or more while that was away. */
static cJSON *transitions_in_memory(const struct check *c)
{
	cJSON *list = cJSON_CreateArray();

	if (c->n_unwritten == 0 && c->now.state != CHECK_UNKNOWN)
		cJSON_AddItemToArray(list, view_transition(check_state_name(c->now.state),
						   c->now.at, c->now.ended_at, c->now.detail));
	for (size_t i = c->n_unwritten; i-- > 0;) {
		const struct check_transition *t = &c->unwritten[i];

		cJSON_AddItemToArray(list,
			view_transition(check_state_name(t->state), t->at, t->ended_at, t->detail));
	}
	return list;
}

static usec_t oldest_of(const cJSON *list)
{
	const cJSON *last = cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1);

	return last ? json_time(last, "at") : USEC_INFINITY;
}

static bool is_of(const cJSON *row, const struct check *c)
{
	const char *environment = json_string(row, "environment");

	return str_eq(json_string(row, "name"), c->name) &&
	       str_eq(environment, c->environment ? c->environment : "");
}

/* Newest first: what memory knows, then what the store has before that. */
static cJSON *transitions_of(const struct check *c, const cJSON *rows, unsigned limit)
{
	cJSON *list = transitions_in_memory(c);
	usec_t before = oldest_of(list);
	const cJSON *row;

	cJSON_ArrayForEach(row, rows)
	{
		if (!is_of(row, c) || json_time(row, "at") >= before)
			continue;
		cJSON_AddItemToArray(
			list, view_transition(json_string(row, "state"), json_time(row, "at"),
				      json_time(row, "ended_at"), json_string(row, "detail")));
	}
	while (cJSON_GetArraySize(list) > (int)limit)
		cJSON_DeleteItemFromArray(list, cJSON_GetArraySize(list) - 1);
	return list;
}

static void listing_read(struct store_read *read, const char *error, cJSON *take_result)
{
	struct listing *l = container_of(read, struct listing, read);
	struct core *core = l->core;
	_cleanup_json_ cJSON *result = take_result;
	cJSON *o = cJSON_CreateObject(), *checks = json_set(o, "checks", cJSON_CreateArray());

	for (size_t i = 0; i < core->n_checks; i++) {
		const struct check *c = core->checks[i];
		cJSON *view;

		if (c->gone)
			continue;
		view = view_check(c);
		json_set(view, "transitions",
			transitions_of(c, json_get(result, "transitions"), read->limit));
		cJSON_AddItemToArray(checks, view);
	}
	op_answer(core, l->op, CORE_OK, NULL, o);
	free(l);
	operations_answer(core);
}

void core_list_checks(struct core *core, struct core_op *op, unsigned limit)
{
	struct listing *l = xnew(struct listing);

	l->core = core;
	l->op = op;
	l->read.type = READ_TRANSITIONS;
	l->read.limit = limit;
	l->read.done = listing_read;
	core->ports.store.read(core->ports.store.self, &l->read);
}
