/* Small files, whole and bounded. Blocks: for the start, reloads and the thread pool. */
#pragma once
#include <stddef.h>

/* The bytes of a regular file of at most `max` bytes, with a NUL behind them; the caller frees.
 * 0, -EFBIG when it is larger, -EINVAL when it is no file, or another -errno. `dir` as openat. */
int file_read(int dir, const char *path, size_t max, char **ret, size_t *ret_len);
