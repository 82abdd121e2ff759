/* What an action's program left in a folder of ours, without the secrets that it was given. */
#pragma once
#include "base/mask.h"

/* Masks every regular file below `path`, and the names of files and folders, but not what is in
 * folders that hold an action.json, and not the files `untouched` (relative to `path`,
 * NULL-terminated; NULL: none). A file without a match is left untouched, one with a match is
 * replaced; where it cannot be, it goes. 0, or the negative errno of the first thing that could not
 * be cleaned. No-op without masks. */
int scrub(const char *path, const struct mask_set *masks, char *const *untouched);
