/* The order to a shim: all it needs to know, in one sealed memory file (shim/protocol.h). */
#pragma once
#include "core/ports.h"

/* `attempt`: the folder that relative paths of the launch are in. `private_folder`: for files and
 * TMPDIR. Nothing of the order stays in our own memory. *ret_fd: at offset 0, above the numbers
 * that the shim's descriptors have. 0, -E2BIG, -errno. */
int order_make(
	const struct launch *l, const char *attempt, const char *private_folder, int *ret_fd);
