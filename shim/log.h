/* The child's output: masked, cut into lines, stamped, and kept within log_cap: the head in
 * output.log, the tail in output.1 and output.2 in turn. shim/protocol.h has the format.
 *
 * A log file only ever grows, and what is in it ends with whole lines, but for the moment of a
 * write. A disk that is full costs lines, which are counted, and nothing else: the child's output
 * is read on, and the log goes on when there is space again. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/mask.h"
#include "shim/order.h"

enum log_stream {
	LOG_STDOUT,
	LOG_STDERR,
	LOG_STREAMS,
};

struct log_line {
	struct mask_stream mask;
	struct buf masked; /* what is masked and not yet in `text`: a cut character at most */
	struct buf text;   /* the line so far, escaped */
	size_t counted;	   /* the bytes it came from */
};

struct log {
	int folder, fd;
	const struct order *order;
	struct mask_set *masks; /* made when the first byte comes */
	bool masks_made;
	struct log_line lines[LOG_STREAMS];
	struct buf pending; /* whole lines for fd */
	size_t counted;	    /* the bytes they came from */
	unsigned file;	    /* 0: the head; 1, 2: the tail */
	bool torn;	    /* fd ends within a line */
	bool stuck;	    /* the next tail file cannot be made now */
	uint64_t file_size, file_cap, file_counted;
	uint64_t tail_counted[3];
	uint64_t offset;	 /* bytes of lines written to all files so far */
	uint64_t bytes, dropped; /* of output, after masking */
};

#define LOG_NULL ((struct log){.fd = -1})

/* Makes output.log. 0 or negative errno. The order's masks are used later: it must live on. */
int log_open(struct log *log, int folder, const struct order *order);
/* The order's masks, made when first asked for; NULL: none. */
const struct mask_set *log_masks(struct log *log);
/* What the child wrote. */
void log_feed(struct log *log, enum log_stream stream, const void *data, size_t len);
/* Writes what is held back. log->bytes and log->dropped are then final. */
void log_end(struct log *log);
