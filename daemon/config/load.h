/* From a file to a checked configuration. */
#pragma once
#include "daemon/config/world.h"

/* Reads and checks the file, collecting every complaint, sorted by file and line. 0 with the spec
 * and the world it was checked with (config_world_free), which the core needs as long as the spec
 * stands; -EINVAL when there was an error. Blocks: reads files; for the start and for reloads. */
int config_load(const char *path, struct complaints *complaints, struct spec **ret,
	struct config_world **ret_world);
void config_world_free(struct config_world *w);
DEFINE_CLEANUP(struct config_world *, config_world_free)

/* Complaints on standard error, one a line. */
void config_print_complaints(const struct complaints *complaints);
/* `nightjard --check`: the exit code. */
int config_check(const char *path);
