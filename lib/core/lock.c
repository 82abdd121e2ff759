#include <string.h>
#include "base/memory.h"
#include "core/attempt.h"
#include "core/lock.h"

static struct named_lock *lock_find(const struct core *core, const char *name)
{
	for (size_t i = 0; i < core->n_locks; i++)
		if (str_eq(core->locks[i].name, name))
			return &core->locks[i];
	return NULL;
}

static struct named_lock *lock_get(struct core *core, const char *name)
{
	struct named_lock *l = lock_find(core, name);

	if (l)
		return l;
	XGROW(core->locks, core->n_locks, core->cap_locks);
	l = &core->locks[core->n_locks++];
	*l = (struct named_lock){.name = xstrdup(name)};
	return l;
}

static void lock_drop_if_idle(struct core *core, struct named_lock *l)
{
	if (l->exclusive || l->shared)
		return;
	free(l->name);
	*l = core->locks[--core->n_locks];
}

static unsigned lock_places(const struct core *core, const char *name)
{
	return strchr(name, ':') || !core->spec ? 1 : spec_lock_places(core->spec, name);
}

/* Readers share one place with each other; a writer takes one. */
static bool lock_is_free(const struct core *core, const struct named_lock *l, bool shared)
{
	if (!l)
		return true;
	if (l->claimed)
		return false;
	if (shared && l->shared)
		return true;
	return l->exclusive + (l->shared ? 1 : 0) < lock_places(core, l->name);
}

static struct stage *place_stage(const struct place *p)
{
	return p->attempt->step->cell->stage;
}

static const struct spec_stage *place_stage_spec(const struct place *p)
{
	const struct cell *c = p->attempt->step->cell;

	return &c->run->def->stages[c->spec->stage];
}

static bool places_left(const struct core *core, const struct place *p)
{
	unsigned most = place_stage_spec(p)->max_parallel;

	if (p->locks_only)
		return true;
	if (core->spec && core->n_places >= core->spec->max_attempts)
		return false;
	return most == 0 || place_stage(p)->n_places < most;
}

static bool locks_left(const struct core *core, const struct place *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->locks); i++)
		if (p->locks[i].name &&
			!lock_is_free(core, lock_find(core, p->locks[i].name), p->locks[i].shared))
			return false;
	return true;
}

static void claim_locks(struct core *core, const struct place *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->locks); i++)
		if (p->locks[i].name)
			lock_get(core, p->locks[i].name)->claimed++;
}

static void stop_waiting(struct core *core, struct place *p)
{
	if (!list_empty(&p->link) && p->locks_only && !p->held)
		core->n_locks_only--;
	list_remove(&p->link);
}

void place_take(struct core *core, struct attempt *a)
{
	struct place *p = &a->place;

	stop_waiting(core, p);
	p->held = true;
	if (!p->locks_only) {
		core->n_places++;
		place_stage(p)->n_places++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(p->locks); i++) {
		struct named_lock *l;

		if (!p->locks[i].name)
			continue;
		l = lock_get(core, p->locks[i].name);
		if (p->locks[i].shared)
			l->shared++;
		else
			l->exclusive++;
	}
}

void place_wait(struct core *core, struct attempt *a)
{
	a->place.since = core_now(core);
	list_append(&core->waiting, &a->place.link);
	core->n_locks_only += a->place.locks_only;
	core->places_changed = true;
}

static void give_back(struct core *core, struct place *p)
{
	p->held = false;
	if (!p->locks_only) {
		core->n_places--;
		place_stage(p)->n_places--;
	}
	for (size_t i = 0; i < ARRAY_SIZE(p->locks); i++) {
		struct named_lock *l;

		if (!p->locks[i].name)
			continue;
		l = lock_find(core, p->locks[i].name);
		if (p->locks[i].shared)
			l->shared--;
		else
			l->exclusive--;
		lock_drop_if_idle(core, l);
	}
}

void place_release(struct core *core, struct attempt *a)
{
	struct place *p = &a->place;

	stop_waiting(core, p);
	if (p->held)
		give_back(core, p);
	for (size_t i = 0; i < ARRAY_SIZE(p->locks); i++) {
		free(p->locks[i].name);
		p->locks[i].name = NULL;
	}
	core->places_changed = true;
}

static void drop_claims(struct core *core)
{
	for (size_t i = core->n_locks; i-- > 0;) {
		core->locks[i].claimed = 0;
		lock_drop_if_idle(core, &core->locks[i]);
	}
}

bool places_grant(struct core *core)
{
	struct list granted = LIST_NULL(granted);

	if (!core->places_changed || core->store != STORE_READY || core->draining ||
		core->shutting_down)
		return false;
	core->places_changed = false;
	list_for_each(node, &core->waiting)
	{
		struct place *p = list_entry(node, struct place, link);

		if (!p->locks_only && core->spec && core->n_places >= core->spec->max_attempts) {
			if (core->n_locks_only == 0)
				break;
			continue;
		}
		if (!locks_left(core, p)) {
			claim_locks(core, p);
			continue;
		}
		if (!places_left(core, p))
			continue;
		place_take(core, p->attempt);
		list_append(&granted, &p->link);
	}
	drop_claims(core);
	if (list_empty(&granted))
		return false;
	while (!list_empty(&granted)) {
		struct place *p = list_entry(list_first(&granted), struct place, link);

		list_remove(&p->link);
		attempt_granted(core, p->attempt);
	}
	return true;
}

char *place_describe(const struct core *core, const struct attempt *a)
{
	const struct place *p = &a->place;

	for (size_t i = 0; i < ARRAY_SIZE(p->locks); i++)
		if (p->locks[i].name &&
			!lock_is_free(core, lock_find(core, p->locks[i].name), p->locks[i].shared))
			return xasprintf("waits for the lock %s", p->locks[i].name);
	if (core->store != STORE_READY)
		return xstrdup("waits for the store");
	if (core->draining)
		return xstrdup("waits: the daemon is draining");
	if (p->locks_only)
		return xstrdup("waits for its turn");
	if (core->spec && core->n_places >= core->spec->max_attempts)
		return xasprintf("waits for a place: max_attempts is %u", core->spec->max_attempts);
	return xasprintf("waits for a place: max_parallel of %s is %u", place_stage_spec(p)->name,
		place_stage_spec(p)->max_parallel);
}

void locks_fini(struct core *core)
{
	for (size_t i = 0; i < core->n_locks; i++)
		free(core->locks[i].name);
	free(core->locks);
	core->locks = NULL;
	core->n_locks = core->cap_locks = 0;
}
