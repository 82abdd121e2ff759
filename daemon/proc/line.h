/* One line of output.log, as the shim wrote it: `RFC3339nano stdout|stderr F|P text`. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "kinds/kind.h"

struct log_line {
	usec_t at;
	enum stream stream;
	bool partial;	  /* P: the text goes on in the next line */
	const char *text; /* inside the given bytes, as is the instant */
	size_t len;
	const char *instant;
	size_t instant_len;
};

/* Without the newline. `before`: a line whose bytes are still there, NULL: none; many lines in a
 * row have one instant. false: not such a line (a torn one at the end of a killed shim's log). */
bool log_line_parse(const char *s, size_t len, const struct log_line *before, struct log_line *ret);
/* Printable ASCII only, so that it needs no further look. */
bool log_line_is_plain(const char *text, size_t len);
