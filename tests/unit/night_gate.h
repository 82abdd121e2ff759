/* What a night adds for gates: a health endpoint that goes up and down, people who approve and
 * reject, and what must hold of whoever waits. */
#pragma once
#include "tests/unit/sim.h"

/* A step of that daemon that waits for a person's word, as "j#1/g0/a"; NULL: none. The caller
 * frees. */
char *night_asking(struct sim *sim, const struct core *core);
/* Who waits at a gate holds no place and is in no queue for one, and waits for something that is
 * not there. */
void night_check_gates(struct sim *sim, struct core *core);
