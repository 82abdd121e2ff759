/* An action's log as one stream of lines, over its files: output.log holds the head, output.1 and
 * output.2 the tail in turn. A position counts bytes of log lines from the very first one; the
 * `# offset N` lines that open the tail files are no part of it.
 *
 * Happy path: the file that holds the position is read up to the last newline there is.
 * Failures: the writer overtook (both tail files begin behind the position): the reader goes on
 * at the older one and says how much is missing; the file was overwritten under the read: it is
 * read again; a file that cannot be read counts as not there. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads whole lines, at most `cap` bytes (well above SHIM_LINE_MAX), and moves *position behind
 * them. *ret_len 0 and *ret_gap 0: there is no more, for now. *ret_gap: so many bytes before the
 * lines are lost. With `final` nothing is written any more: a line torn off at the end is given
 * too, with a newline. Does I/O: for the pool. Returns 0 or -ENOENT: no such folder. */
int log_read(const char *folder, bool final, uint64_t *position, char *buf, size_t cap,
	size_t *ret_len, uint64_t *ret_gap);
