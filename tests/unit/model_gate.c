#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/model_gate.h"

/* "RUN CELL STEP ": the rows of a step's actions have keys that begin so. */
struct asked {
	const char *run_id;
	int64_t cell, step, attempt; /* attempt 0: any */
	bool approved, any;
};

static void look_at_action(void *arg, const cJSON *row)
{
	struct asked *a = arg;

	if (!str_eq(json_string(row, "type"), "approval") ||
		!str_eq(json_string(row, "run_id"), a->run_id))
		return;
	a->any = true;
	if (json_int(row, "cell", -1) != a->cell || json_int(row, "step", -1) != a->step ||
		(a->attempt && json_int(row, "attempt", -1) != a->attempt))
		return;
	a->approved |= str_eq(json_string(row, "state"), "ended") &&
		       str_eq(json_string(json_get(row, "note"), "decision"), "approved");
}

bool model_gate_asked(const struct sim *sim, const char *run_id)
{
	struct asked a = {.run_id = run_id, .cell = -1};

	sim_each_row(sim, TABLE_ACTION, look_at_action, &a);
	return a.any;
}

/* Before a step any attempt's approval holds; behind a plan, that of this attempt. */
void model_gate_effect(
	const struct sim *sim, const struct action_place *p, const struct spec_step *step)
{
	bool plans = str_eq(step->kind->name, "made_up_plans");
	struct asked a = {
		.run_id = p->run_id,
		.cell = p->cell,
		.step = p->step,
		.attempt = plans ? p->attempt : 0,
	};

	if (!step->gate.approval || str_starts(p->action, "plan"))
		return;
	sim_each_row(sim, TABLE_ACTION, look_at_action, &a);
	if (!a.approved)
		sim_broken(
			sim, "an effect that nobody approved: step %s, %s", step->name, p->action);
}
