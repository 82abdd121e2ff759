/* A made-up step kind that uses everything the port can carry: several actions in an attempt, calls
 * and waits, attempts that do not count.
 *
 *     made_up: { does = "spawn http wait spawn"; }
 *
 * "not_ready:2" ends the attempt as not_ready while its number is at most 2. */
#pragma once
#include "kinds/kind.h"

extern const struct kind kind_made_up;
