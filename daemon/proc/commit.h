/* The commit of the git work tree that a step works in, read without git. */
#pragma once

/* The HEAD of the work tree that holds `folder` (absolute), 40 or 64 hex digits; NULL where there
 * is none, or none that can be read. Nothing within `outside` (absolute; may be NULL) counts:
 * nobody's code is there. Blocks on the disk: for the pool. The caller frees. */
char *commit_of(const char *folder, const char *outside);
