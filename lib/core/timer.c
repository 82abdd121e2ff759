#include <limits.h>
#include "core/timer.h"

void timer_set_boot(struct core *core, struct timer *t, usec_t boot)
{
	timer_clear(core, t);
	t->wall = false;
	heap_set(&core->boot, &t->node, boot);
}

void timer_set_wall(struct core *core, struct timer *t, usec_t now)
{
	timer_clear(core, t);
	t->wall = true;
	heap_set(&core->wall, &t->node, now);
}

void timer_clear(struct core *core, struct timer *t)
{
	heap_remove(t->wall ? &core->wall : &core->boot, &t->node);
}

static bool fire_from(struct core *core, struct heap *heap, usec_t until, unsigned *left)
{
	struct heap_node *node;
	bool any = false;

	while ((node = heap_first(heap)) && node->key <= until && *left > 0) {
		struct timer *t = container_of(node, struct timer, node);

		(*left)--;
		heap_remove(heap, node);
		t->fire(core, t);
		any = true;
	}
	return any;
}

bool timers_fire(struct core *core, unsigned *left)
{
	unsigned any_number = UINT_MAX;
	bool boot = fire_from(core, &core->boot, core_boot(core), &any_number);
	bool wall = fire_from(core, &core->wall, core_now(core), left);

	return boot || wall;
}

void timers_arm(struct core *core)
{
	struct heap_node *boot = heap_first(&core->boot), *wall = heap_first(&core->wall);

	core->ports.clock.wake(core->ports.clock.self, boot ? boot->key : USEC_INFINITY,
		wall ? wall->key : USEC_INFINITY);
}
