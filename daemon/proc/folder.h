/* The folders of actions, and small files in them. All of it does I/O on local disk: what is more
 * than a mkdir, an open or a small rename is for the pool. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core/ports.h"

/* The names in it are harmless as parts of a path. */
bool place_is_valid(const struct action_place *place);
/* STATE/actions/RUN_ID/CELL/STEP.ATTEMPT, and the action's in it; the caller frees. */
char *place_attempt(const char *state, const struct action_place *place);
char *place_folder(const char *state, const struct action_place *place);
/* A short name that no other action has. The caller frees. */
char *place_nickname(const struct action_place *place);

enum folder_error {
	FOLDER_E_EXISTS = 1,
};
/* Makes the folder, 0700, and those above it. 0, FOLDER_E_EXISTS, -errno. */
int folder_make(const char *path);

/* The whole file, NUL-terminated; the caller frees. -ENOENT, -EFBIG above `cap`, -errno. A path
 * that is absolute needs no folder. Only a regular file is read, and no symlink followed. */
int read_file_at(const char *folder, const char *name, size_t cap, char **ret, size_t *ret_len);
/* No error where it is not there. */
void remove_file_at(const char *folder, const char *name);
bool file_exists(const char *folder, const char *name);
/* Makes the file, 0600, by a rename, without fsync. */
int file_replace(const char *folder, const char *name, const char *text, size_t len);
/* Removes a folder with all that is in it, staying on its file system and following nothing.
 * 0, also when there is none. */
int tree_remove(const char *path);

/* Where short-lived secret files go: $RUNTIME_DIRECTORY, else /dev/shm if it is memory and can be
 * written; NULL: nowhere better than the action's folder. The caller frees. */
char *private_root(void);
