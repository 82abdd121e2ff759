/* History that is old goes: rows of the store after history.keep, folders of actions after
 * history.logs.
 *
 * Happy path: a minute after the start, then once a day, and at once when a reload changes how
 * long: the store, piece by piece with a pause after each, until a piece finds nothing; then the
 * ids of the runs that must stay (active ones from memory; each job's last and last good one from
 * the store); then the folders, likewise. A standby removes only its own machine's folders.
 * Failures: no store, an error: said, and all of it again in an hour. */
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "core/event.h"
#include "core/prune.h"
#include "core/timer.h"

#define FIRST_AFTER USEC_MINUTE
#define AGAIN_AFTER USEC_DAY
#define TRY_AFTER   USEC_HOUR
#define PAUSE	    (200 * USEC_MSEC)

static void prune_step(struct core *core);

/* A port called back, and no turn of its own follows. */
static void go_on(struct core *core)
{
	core->ports.clock.wake(core->ports.clock.self, core_boot(core), USEC_INFINITY);
}

static void prune_fired(struct core *core, struct timer *t)
{
	prune_step(core);
}

static void forget_kept(struct pruning *p)
{
	strv_free(TAKE_PTR(p->kept));
	p->n_kept = 0;
}

/* Over, well or not: the next time. */
static void enter_idle(struct core *core, usec_t after)
{
	struct pruning *p = &core->pruning;

	forget_kept(p);
	p->state = PRUNE_IDLE;
	timer_set_boot(core, &p->timer, core_boot(core) + (p->changed ? 0 : after));
	p->changed = false;
}

static void prune_failed(struct core *core, const char *error)
{
	core_notice(core, EVENT_ALARM, NULL, "old history could not be removed: %s", error);
	enter_idle(core, TRY_AFTER);
}

static void enter_done(struct core *core)
{
	const struct pruning *p = &core->pruning;

	if (p->rows > 0 || p->folders > 0)
		core_notice(core, EVENT_HISTORY_PRUNED, NULL,
			"old history was removed: %llu rows, the output of %llu runs",
			(unsigned long long)p->rows, (unsigned long long)p->folders);
	enter_idle(core, AGAIN_AFTER);
}

static void enter_next(struct core *core)
{
	struct pruning *p = &core->pruning;

	p->state++;
	timer_set_boot(core, &p->timer, core_boot(core));
}

static void piece_done(struct prune *request, const char *error, uint64_t n)
{
	struct core *core = request->owner;
	struct pruning *p = &core->pruning;

	p->busy = false;
	*(p->state == PRUNE_STORE ? &p->rows : &p->folders) += n;
	if (error && n == 0)
		prune_failed(core, error);
	else if (n == 0)
		enter_next(core);
	else
		timer_set_boot(core, &p->timer, core_boot(core) + PAUSE);
	go_on(core);
}

/* False: there is nothing to ask for. */
static bool ask(
	struct core *core, usec_t span, void (*prune)(void *self, struct prune *p), void *self)
{
	struct pruning *p = &core->pruning;

	if (!span || !prune)
		return false;
	p->request = (struct prune){
		.now = core_now(core),
		.span = span,
		.keep = p->kept,
		.n_keep = p->n_kept,
		.done = piece_done,
		.owner = core,
	};
	p->busy = true;
	prune(self, &p->request);
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void kept_read(struct store_read *read, const char *error, cJSON *take_result)
{
	struct core *core = read->owner;
	struct pruning *p = &core->pruning;
	_cleanup_json_ cJSON *result = take_result;
	const cJSON *id;

	p->busy = false;
	go_on(core);
	if (error) {
		prune_failed(core, error);
		return;
	}
	cJSON_ArrayForEach(id, json_get(result, "kept")) if (cJSON_IsString(id)) p->kept =
		strv_add(p->kept, &p->n_kept, xstrdup(id->valuestring));
	list_for_each(node, &core->runs) p->kept =
		strv_add(p->kept, &p->n_kept, xstrdup(list_entry(node, struct run, in_core)->id));
	if (p->n_kept > 0)
		qsort(p->kept, p->n_kept, sizeof(*p->kept), compare);
	enter_next(core);
}

static void read_kept(struct core *core)
{
	struct pruning *p = &core->pruning;

	forget_kept(p);
	p->read = (struct store_read){.type = READ_KEPT, .done = kept_read, .owner = core};
	p->busy = true;
	core->ports.store.read(core->ports.store.self, &p->read);
}

static void prune_step(struct core *core)
{
	const struct core_ports *ports = &core->ports;
	struct pruning *p = &core->pruning;

	if (p->busy || core->shutting_down)
		return;
	if (core->store == STORE_AWAY || (core->store == STORE_READY && !core->loaded)) {
		enter_idle(core, TRY_AFTER);
		return;
	}
	switch (p->state) {
	case PRUNE_IDLE:
		p->rows = p->folders = 0;
		enter_next(core);
		return;
	case PRUNE_STORE:
		if (core->store == STORE_STANDBY ||
			!ask(core, p->keep, ports->store.prune, ports->store.self))
			enter_next(core);
		return;
	case PRUNE_KEPT:
		if (p->logs && ports->launcher.prune)
			read_kept(core);
		else
			enter_done(core);
		return;
	case PRUNE_FOLDERS:
		if (!ask(core, p->logs, ports->launcher.prune, ports->launcher.self))
			enter_done(core);
		return;
	case PRUNE_DONE:
		enter_done(core);
		return;
	}
}

void prune_schedule(struct core *core)
{
	struct pruning *p = &core->pruning;
	usec_t keep = core->spec->history_keep, logs = core->spec->history_logs;
	bool first = !p->timer.fire, same = keep == p->keep && logs == p->logs;

	p->timer.fire = prune_fired;
	p->keep = keep;
	p->logs = logs;
	if (same)
		return;
	if (p->busy)
		p->changed = true;
	else
		enter_idle(core, first ? FIRST_AFTER : 0);
}

void prune_fini(struct core *core)
{
	forget_kept(&core->pruning);
}
