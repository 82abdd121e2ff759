/* Which checks there are: those of the configuration, and those that a run waits for; what a load
 * knows of their past. See check.h. */
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/check.h"
#include "core/gate.h"
#include "core/record.h"
#include "core/timer.h"

/* --- made and dropped --------------------------------------------------------------------- */

static struct check *check_new(struct core *core, const char *name, const char *environment)
{
	struct check *c = xnew(struct check);

	c->core = core;
	c->name = xstrdup(name);
	c->environment = xstrdup(environment);
	c->timer.fire = check_poll_now;
	c->progress = -1;
	XGROW(core->checks, core->n_checks, core->cap_checks);
	core->checks[core->n_checks++] = c;
	return c;
}

static void forget_unwritten(struct check *c)
{
	for (size_t i = 0; i < c->n_unwritten; i++)
		free(c->unwritten[i].detail);
	c->n_unwritten = 0;
}

static void check_free(struct check *c)
{
	check_poll_fini(c);
	forget_unwritten(c);
	free(c->unwritten);
	free(c->now.detail);
	free(c->reason);
	spec_job_unref(c->def);
	free(c->name);
	free(c->environment);
	free(c);
}

void check_remove(struct check *c)
{
	struct core *core = c->core;
	size_t i = 0;

	while (core->checks[i] != c)
		i++;
	core->n_checks--;
	memmove(core->checks + i, core->checks + i + 1,
		(core->n_checks - i) * sizeof(struct check *));
	check_free(c);
}

/* Nobody has it any more. */
static void check_drop(struct check *c)
{
	check_poll_cancel(c);
	check_end_stretch(c, core_now(c->core));
	check_write(c);
	c->gone = true;
	if (!c->asking)
		check_remove(c);
}

void checks_fini(struct core *core)
{
	for (size_t i = 0; i < core->n_checks; i++) {
		check_poll_cancel(core->checks[i]);
		check_free(core->checks[i]);
	}
	free(core->checks);
	core->checks = NULL;
	core->n_checks = core->cap_checks = 0;
}

static struct check *find_exactly(
	const struct core *core, const char *name, const char *environment)
{
	for (size_t i = 0; i < core->n_checks; i++) {
		struct check *c = core->checks[i];

		if (!c->gone && str_eq(c->name, name) && str_eq(c->environment, environment))
			return c;
	}
	return NULL;
}

struct check *check_find(const struct core *core, const char *name, const char *environment)
{
	struct check *c = find_exactly(core, name, environment);

	return c || !environment ? c : find_exactly(core, name, NULL);
}

/* --- what it means ------------------------------------------------------------------------ */

static void add_vars(cJSON *to, const struct spec_vars *vars)
{
	for (size_t i = 0; i < vars->n; i++)
		json_set(to, vars->items[i].name,
			vars->items[i].group ? node_to_json(vars->items[i].group)
					     : cJSON_CreateString(vars->items[i].value));
}

/* The params, and what of the environment they may refer to. */
static void meaning_of(
	const struct spec_check *spec, const struct spec_environment *e, char ret[DIGEST_HEX])
{
	_cleanup_json_ cJSON *all = cJSON_CreateObject();
	_cleanup_free_ char *text = NULL;

	json_set(all, "params", node_to_json(spec->params));
	if (e) {
		add_vars(json_set(all, "vars", cJSON_CreateObject()), &e->vars);
		json_set(all, "data", e->data ? node_to_json(e->data) : NULL);
		json_set_string(all, "url", e->metabase_url);
		json_set_string(all, "api_key", e->metabase_api_key);
		json_set_string(all, "username", e->metabase_username);
		json_set_string(all, "password", e->metabase_password);
	}
	text = json_print(all);
	digest_hex(text, strlen(text), ret);
}

/* It asks for something else now: what was known is shown until the first answer. */
static void begin_anew(struct check *c)
{
	enum check_state before = check_state_now(c);

	check_poll_cancel(c);
	c->good = c->bad = 0;
	c->sure = false;
	free(c->reason);
	c->reason = NULL;
	check_poll_soon(c);
	if (before != CHECK_UNKNOWN)
		gates_check_changed(c->core, c->name, c->environment);
}

static void define(
	struct check *c, const struct spec_check *spec, const struct spec_environment *scope)
{
	char meaning[DIGEST_HEX];

	c->spec = spec;
	c->scope = scope;
	meaning_of(spec, scope, meaning);
	if (memcmp(c->meaning, meaning, sizeof(meaning)) != 0) {
		memcpy(c->meaning, meaning, sizeof(meaning));
		begin_anew(c);
	} else if (heap_has(&c->timer.node) && c->interval != spec->interval) {
		check_poll_later(c);
	}
}

static bool define_by_run(struct check *c)
{
	for (size_t i = 0; c->def && i < c->def->n_checks; i++) {
		const struct spec_check *spec = &c->def->checks[i];

		if (!str_eq(spec->name, c->name))
			continue;
		define(c, spec,
			c->environment ? spec_environment_by_name(c->def, c->environment) : NULL);
		return true;
	}
	return false;
}

/* --- the configuration -------------------------------------------------------------------- */

static const struct spec_environment *environment_of(const struct spec *spec, const char *name)
{
	for (size_t i = 0; name && i < spec->n_environments; i++)
		if (str_eq(spec->environments[i].name, name))
			return &spec->environments[i];
	return NULL;
}

/* Moves it to its place in the order of the configuration, made where it is new. */
static void place(struct core *core, size_t at, const char *name, const char *environment)
{
	struct check *c = find_exactly(core, name, environment);
	size_t i = 0;

	if (!c)
		c = check_new(core, name, environment);
	while (core->checks[i] != c)
		i++;
	memmove(core->checks + at + 1, core->checks + at, (i - at) * sizeof(struct check *));
	core->checks[at] = c;
	c->configured = true;
}

static size_t place_all(struct core *core)
{
	size_t n = 0;

	for (size_t i = 0; i < core->spec->n_checks; i++) {
		const struct spec_check *spec = &core->spec->checks[i];

		if (!spec->environments || !spec->environments[0])
			place(core, n++, spec->name, NULL);
		for (size_t k = 0; spec->environments && spec->environments[k]; k++)
			place(core, n++, spec->name, spec->environments[k]);
	}
	return n;
}

static const struct spec_check *spec_of(const struct spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_checks; i++)
		if (str_eq(spec->checks[i].name, name))
			return &spec->checks[i];
	return NULL;
}

/* Those that are left out, from the end: a dropped one leaves its place. */
static void drop_others(struct core *core, size_t n_configured)
{
	for (size_t i = core->n_checks; i-- > n_configured;) {
		struct check *c = core->checks[i];

		if (!c->gone && !define_by_run(c))
			check_drop(c);
	}
}

void checks_configure(struct core *core)
{
	size_t n;

	for (size_t i = 0; i < core->n_checks; i++) {
		core->checks[i]->configured = false;
		core->checks[i]->spec = NULL;
		core->checks[i]->scope = NULL;
	}
	n = place_all(core);
	drop_others(core, n);
	for (size_t i = 0; i < core->n_checks; i++) {
		struct check *c = core->checks[i];

		if (c->configured)
			define(c, spec_of(core->spec, c->name),
				environment_of(core->spec, c->environment));
	}
}

/* --- the store ---------------------------------------------------------------------------- */

/* What came before the load follows what is loaded, or goes on with it. */
static void join(struct check *c, struct check_transition *loaded)
{
	struct check_transition *first;

	if (c->sure && c->now.at == loaded->at)
		return;
	if (c->n_unwritten == 0 && c->sure && c->now.state != CHECK_UNKNOWN)
		check_to_write(c, &c->now); /* its row was lost with a lease */
	first = c->n_unwritten ? &c->unwritten[0] : NULL;
	if (!first) {
		free(c->now.detail);
		c->now = *loaded;
		loaded->detail = NULL;
	} else if (first->state == loaded->state) {
		if (c->now.at == first->at)
			c->now.at = MIN(first->at, loaded->at);
		first->at = MIN(first->at, loaded->at);
	} else {
		loaded->ended_at = MAX(first->at, loaded->at);
		record_transition(c->core, c->name, c->environment, loaded);
	}
}

static enum check_state parse_state(const char *text)
{
	for (enum check_state s = CHECK_UP; s <= CHECK_STARTING; s++)
		if (str_eq(check_state_name(s), text))
			return s;
	return CHECK_UNKNOWN;
}

/* One that ended while no daemon looked is over now, if nobody has it any more. */
static void load_one(struct core *core, const cJSON *row)
{
	const char *name = json_string(row, "name"), *environment = json_string(row, "environment");
	struct check_transition t = {
		.state = parse_state(json_string(row, "state")),
		.at = json_time(row, "at"),
		.ended_at = json_time(row, "ended_at"),
		.detail = xstrdup(json_string(row, "detail")),
	};
	struct check *c = NULL;

	if (environment && !*environment)
		environment = NULL;
	if (name)
		c = find_exactly(core, name, environment);
	if (c && !t.ended_at && t.state != CHECK_UNKNOWN) {
		join(c, &t);
	} else if (!c && name && !t.ended_at) {
		t.ended_at = MAX(core_now(core), t.at);
		record_transition(core, name, environment, &t);
	}
	free(t.detail);
}

void checks_load(struct core *core, const cJSON *transitions)
{
	const cJSON *row;

	cJSON_ArrayForEach(row, transitions) load_one(core, row);
	for (size_t i = 0; i < core->n_checks; i++) {
		struct check *c = core->checks[i];

		check_write(c);
		if (check_may_poll(c) && !heap_has(&c->timer.node) && !c->asking && !c->calling)
			check_poll_soon(c);
	}
}

void checks_stop(struct core *core)
{
	for (size_t i = 0; i < core->n_checks; i++) {
		struct check *c = core->checks[i];

		check_poll_cancel(c);
		forget_unwritten(c);
		c->good = c->bad = 0;
		c->sure = false;
	}
}

/* --- gates -------------------------------------------------------------------------------- */

static const struct spec_check *check_of_run(const struct run *run, const char *name)
{
	for (size_t i = 0; i < run->def->n_checks; i++)
		if (str_eq(run->def->checks[i].name, name))
			return &run->def->checks[i];
	return NULL;
}

/* The configuration's, or else made for the run. */
static struct check *check_get(
	struct core *core, const struct run *run, const char *name, const char *environment)
{
	struct check *c = check_find(core, name, environment);
	const struct spec_check *spec = check_of_run(run, name);

	if (c || !spec)
		return c;
	if (!spec->environments || !spec->environments[0])
		environment = NULL;
	c = check_new(core, name, environment);
	c->def = spec_job_ref(run->def);
	define_by_run(c);
	return c;
}

enum check_state check_state(
	struct core *core, const struct run *run, const char *name, const char *environment)
{
	const struct check *c = check_find(core, name, environment);

	return c ? check_state_now(c) : CHECK_UNKNOWN;
}

void check_watch(
	struct core *core, const struct run *run, const char *name, const char *environment)
{
	struct check *c = check_get(core, run, name, environment);

	if (!c)
		return;
	c->watchers++;
	if (!c->def)
		c->def = spec_job_ref(run->def);
}

void check_unwatch(struct core *core, const char *name, const char *environment)
{
	struct check *c = check_find(core, name, environment);

	if (!c || c->watchers == 0 || --c->watchers > 0)
		return;
	if (c->configured)
		c->def = spec_job_unref(c->def);
	else
		check_drop(c);
}
