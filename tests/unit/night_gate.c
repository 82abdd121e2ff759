#include "base/json.h"
#include "base/memory.h"
#include "core/check.h"
#include "core/model.h"
#include "tests/unit/night_gate.h"

char *night_asking(struct sim *sim, const struct core *core)
{
	_cleanup_json_ cJSON *status = core_view_status(core);
	const cJSON *waiting = json_get(status, "waiting"), *item;
	unsigned n = 0, pick;

	cJSON_ArrayForEach(item, waiting) n +=
		str_starts(json_string(item, "reason"), "waits for approval");
	if (n == 0)
		return NULL;
	pick = (unsigned)(sim_random(sim) % n);
	cJSON_ArrayForEach(item, waiting)
	{
		if (str_starts(json_string(item, "reason"), "waits for approval") && pick-- == 0)
			return xstrdup(json_string(item, "cell"));
	}
	return NULL;
}

static void check_cell(struct sim *sim, const struct cell *cell, unsigned *n_asking)
{
	const struct step *s = cell->current < cell->n_steps ? &cell->steps[cell->current] : NULL;
	const struct attempt *a = s && s->n_attempts ? s->attempts[s->n_attempts - 1] : NULL;
	const struct run *run = cell->run;

	if (!a || (a->state != ATTEMPT_ASKING && a->state != ATTEMPT_CHECKING))
		return;
	*n_asking += a->state == ATTEMPT_ASKING;
	if (a->place.held || !list_empty(&a->place.link))
		sim_broken(sim, "%s/%s waits at a gate and holds a place", run->name,
			cell->spec->name);
	if (a->state == ATTEMPT_CHECKING &&
		check_state(run->core, run, a->check, cell->spec->environment) == CHECK_UP)
		sim_broken(sim, "%s/%s waits for a check that is up", run->name, cell->spec->name);
}

void night_check_gates(struct sim *sim, struct core *core)
{
	list_for_each(node, &core->runs)
	{
		struct run *run = list_entry(node, struct run, in_core);
		unsigned n_asking = 0;

		for (unsigned i = 0; i < run->def->n_cells; i++)
			check_cell(sim, &run->cells[i], &n_asking);
		if (n_asking != run->n_asking)
			sim_broken(sim, "%s: %u wait for approval, and %u are counted", run->name,
				n_asking, run->n_asking);
	}
}
