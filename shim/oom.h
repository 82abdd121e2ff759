/* Names an OOM kill, from the memory.events of the daemon's unit. */
#pragma once
#include <stdint.h>

/* How many processes of the unit that the child's cgroup is in were killed for memory so far; 0
 * where that is not known, or `cgroup` is -1. */
uint64_t oom_kills(int cgroup);
