/* A random night: a configuration, children, people and faults, all from one seed. */
#pragma once
#include "tests/unit/sim.h"

/* Plays it to its end; a broken rule calls back, if that is not NULL, and ends the program. */
void night_play(uint64_t seed, enum sim_trace trace, void (*broken)(uint64_t seed));
