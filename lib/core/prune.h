/* History that is old goes, once a day: see prune.c. */
#pragma once
#include "core/model.h"

/* After each configuration: begins a minute after the first, or never. */
void prune_schedule(struct core *core);
void prune_fini(struct core *core);
