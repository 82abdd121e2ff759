/* A random night: a configuration, children, people and faults, all from one seed. */
#pragma once
#include "tests/unit/sim.h"

/* Plays it to its end; a broken rule ends the program. */
void night_play(uint64_t seed, bool trace);
