/* Pass 2: a step: its kind, what it inherits, its lock and gate. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"
#include "spec/template.h"

/* --- kind --------------------------------------------------------------------------------- */

static char *kind_names(const struct loader *l)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	for (size_t i = 0; i < l->world->n_kinds; i++)
		buf_printf(&out, "%s%s", i ? ", " : "", l->world->kinds[i].name);
	return buf_steal(&out);
}

static void check_program(struct at *at, const struct node *value)
{
	if (value->type == NODE_LIST && value->n_children == 0)
		at_error(at, value, "%s: it is empty: the first item is the program",
			at->step->kind->name);
}

static void load_kind(struct at *at)
{
	const struct spec_world *w = at->l->world;
	const struct node *value = NULL;

	for (size_t i = 0; i < w->n_kinds; i++) {
		const struct node *n = node_get(at->step_node, w->kinds[i].name);

		if (n && value) {
			at_error(at, n, "it has two kinds, %s and %s: make two steps of it",
				at->step->kind->name, w->kinds[i].name);
		} else if (n) {
			value = n;
			at->step->kind = &w->kinds[i];
		}
	}
	if (value) {
		check_program(at, value);
		at->step->params = node_copy(value);
	} else {
		_cleanup_free_ char *names = kind_names(at->l);

		at_error(at, at->step_node, "it says nothing to do: one of %s is missing", names);
	}
}

/* --- exit codes --------------------------------------------------------------------------- */

static void check_codes(struct at *at, const char *key, const int64_t *codes, size_t n)
{
	const struct node *list = node_get(at->step_node, key);

	if (!list)
		return;
	if (at->step->kind && at->step->kind->keys)
		at_error(at, list, "%s: it belongs to steps with run or shell; %s knows its own",
			key, at->step->kind->name);
	for (size_t i = 0; i < n; i++)
		if (codes[i] > 255)
			at_error(at, list->children[i], "%s: an exit code is 255 at most", key);
}

static void load_codes(struct at *at)
{
	struct spec_step *s = at->step;

	s->ok_codes = read_ints(at->step_node, "ok_codes", &s->n_ok_codes);
	s->transient_codes = read_ints(at->step_node, "transient_codes", &s->n_transient_codes);
	check_codes(at, "ok_codes", s->ok_codes, s->n_ok_codes);
	check_codes(at, "transient_codes", s->transient_codes, s->n_transient_codes);
	for (size_t i = 0; i < s->n_ok_codes; i++)
		for (size_t k = 0; k < s->n_transient_codes; k++)
			if (s->ok_codes[i] == s->transient_codes[k])
				at_error(at, node_get(at->step_node, "transient_codes"),
					"transient_codes: %d is in ok_codes too",
					(int)s->ok_codes[i]);
	if (s->n_ok_codes == 0) {
		free(s->ok_codes);
		s->ok_codes = xcalloc(1, sizeof(*s->ok_codes));
		s->n_ok_codes = 1;
	}
}

/* --- lock --------------------------------------------------------------------------------- */

static char *lock_mend(const struct loader *l, const char *name)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; i < l->spec->n_locks && n < ARRAY_SIZE(names); i++)
		names[n++] = l->spec->locks[i].name;
	return did_you_mean(name, names, n);
}

static bool use_lock(struct loader *l, const char *name)
{
	for (size_t i = 0; i < l->spec->n_locks; i++) {
		if (strcmp(l->spec->locks[i].name, name) != 0)
			continue;
		l->lock_used[i] = true;
		return true;
	}
	return false;
}

static void check_lock(struct at *at, const struct node *where, const char *text)
{
	if (!has_reference(text)) {
		_cleanup_free_ char *name = expand_matrix_only(text, NULL, NULL), *mend = NULL;

		if (!name || use_lock(at->l, name))
			return;
		mend = lock_mend(at->l, name);
		at_error(at, where, "there is no lock \"%s\"%s%s", name, mend,
			*mend ? "" : ": list it in `locks` with the number of its places");
		return;
	}
	for (size_t i = 0; i < at->stage->n_cells; i++) {
		_cleanup_free_ char *name =
			expand_matrix_only(text, at->stage, &at->stage->cells[i]);

		if (!name) {
			at->l->locks_unclear = true;
			return;
		}
		use_lock(at->l, name);
		if (!name_is_valid(name)) {
			at_error(at, where, "the lock's name becomes \"%s\", which is no name",
				name);
			return;
		}
	}
}

static void load_lock(struct at *at)
{
	const struct node *n = node_get(at->step_node, "lock");
	const struct node *name = n && n->type == NODE_GROUP ? node_get(n, "name") : n;

	if (!n)
		return;
	if (n->type == NODE_LIST) {
		at_error(
			at, n, "lock: a step takes one lock: a name, or a group { name; shared; }");
		return;
	}
	if (n->type == NODE_GROUP)
		at->step->lock.shared = read_bool(n, "lock", "shared");
	if (!name)
		return;
	at->step->lock.name = xstrdup(name->string);
	check_lock(at, name, name->string);
}

/* --- gate --------------------------------------------------------------------------------- */

static char *check_mend(const struct loader *l, const char *name)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; i < l->spec->n_checks && n < ARRAY_SIZE(names); i++)
		names[n++] = l->spec->checks[i].name;
	return did_you_mean(name, names, n);
}

/* The check must be there, and be made for the cell's environment. */
static bool check_gate_of(
	struct at *at, const struct node *where, const char *name, const struct spec_cell *cell)
{
	ssize_t i = find_named(at->l->checks, name);
	const struct spec_check *check;

	if (i < 0) {
		_cleanup_free_ char *mend = check_mend(at->l, name);

		at_error(at, where, "gate.check: there is no check \"%s\"%s", name, mend);
		return false;
	}
	check = &at->l->spec->checks[i];
	if (!check->environments || !check->environments[0])
		return true;
	for (size_t k = 0; cell->environment && check->environments[k]; k++)
		if (strcmp(check->environments[k], cell->environment) == 0)
			return true;
	at_error(at, where, "gate.check: the check \"%s\" is not made for %s%s", name,
		cell->environment ? "environment " : "a cell without an environment",
		cell->environment ? cell->environment : "");
	return false;
}

static void check_gate(struct at *at, const struct node *where)
{
	for (size_t i = 0; i < at->stage->n_cells; i++) {
		const struct spec_cell *cell = &at->stage->cells[i];
		_cleanup_free_ char *name = NULL;

		if (!only_has_cell(&at->step->only, at->stage, cell))
			continue;
		name = expand_matrix_only(where->string, at->stage, cell);
		if (!name) {
			at_error(at, where,
				"gate.check: \"%s\": the name of a check may depend on the matrix "
				"only",
				where->string);
			return;
		}
		if (!check_gate_of(at, where, name, cell))
			return;
	}
}

static void load_gate(struct at *at)
{
	const struct node *gate = node_get(at->step_node, "gate");
	const struct node *check = node_get(gate, "check"), *approval = node_get(gate, "approval");
	struct spec_gate *g = &at->step->gate;

	g->check = xstrdup(node_string(gate, "check"));
	g->approval = approval != NULL;
	g->approval_message = xstrdup(node_string(approval, "message"));
	g->approval_expires = read_duration(approval, "approval", "expires");
	if (check)
		check_gate(at, check);
}

void load_step(struct at *at, const struct node *n)
{
	struct spec_step *s = at->step;
	struct levels levels = {0};
	const char *name = node_string(n, "name");
	const struct node *nearer;

	at->step_node = n;
	s->name = xstrdup(name ? name : "?");
	load_kind(at);
	s->cwd = xstrdup(node_string(n, "cwd"));
	load_only(at, node_get(n, "only"), at->stage, &s->only);
	s->when = (enum spec_when)read_word(n, "step", "when");
	s->timeout = read_duration(n, "step", "timeout");
	if (node_get(n, "kill_after"))
		s->kill_after = read_duration(n, "step", "kill_after");
	s->ready_timeout = read_duration(n, "step", "ready_timeout");
	nearer = node_get(at->stage_node, "log_cap") ? at->stage_node : at->job_node;
	s->log_cap = read_size(nearer, "job", "log_cap");
	levels_of(at, &levels);
	merge_step(at, &levels);
	load_codes(at);
	load_lock(at);
	load_gate(at);
	check_step_templates(at, &levels);
	free(levels.items);
}
