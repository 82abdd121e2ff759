/* Deadlines, delays and waits: two heaps, one on the wall clock and one on boot time. */
#pragma once
#include "core/model.h"

void timer_set_boot(struct core *core, struct timer *t, usec_t boot);
void timer_set_wall(struct core *core, struct timer *t, usec_t now);
void timer_clear(struct core *core, struct timer *t);
/* Fires what is due, on the wall clock at most *left, which it counts down: a slot begins a run.
 * True if anything was. */
bool timers_fire(struct core *core, unsigned *left);
void timers_arm(struct core *core);
