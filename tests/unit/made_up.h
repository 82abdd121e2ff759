/* A made-up step kind that uses everything the port can carry: several actions in an attempt, calls
 * and waits, attempts that do not count.
 *
 *     made_up: { does = "spawn http wait lane query spawn"; says = "of its lane"; }
 *
 * "ask:HASH" waits for a person's word on a plan; "plan:HASH" is a process that makes such a plan.
 *
 * "once" is a process that is not repeatable, "looks" one whose fate the machine can find out.
 * "told" fails where an attempt before this one is not told of as one that went amiss.
 * "not_ready:2" ends the attempt as not_ready while its number is at most 2. */
#pragma once
#include "kinds/kind.h"

extern const struct kind kind_made_up;
/* The same as made_up_plans: a kind that asks for approvals itself. */
extern const struct kind kind_made_up_plans;
