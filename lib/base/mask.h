/* Masking of secrets in a stream of bytes, and in whole strings. Used by the daemon and, without
 * any library, by the shim: this file depends on libc alone.
 *
 * A set holds byte patterns; the matcher is an Aho-Corasick automaton, so the cost does not depend
 * on their number, and a stream may be cut anywhere: what is held back is only what is a live
 * prefix of some pattern. Every match, overlapping ones merged, becomes "***". */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

#define MASK_MIN_LENGTH 8 /* a shorter secret cannot be masked: it would eat ordinary text */

struct mask_set;

struct mask_set *mask_set_new(void);
void mask_set_free(struct mask_set *set);
/* A raw pattern; one below MASK_MIN_LENGTH or a duplicate is ignored. Not after mask_set_build. */
void mask_set_add_pattern(struct mask_set *set, const void *pattern, size_t len);
/* All forms of a secret: as it is, each line of a multi-line one, base64 at its three alignments
 * (standard and URL alphabet; at the first also in lines of 64 and 76), percent-encoded (upper and
 * lower hex; space also as +) and JSON-escaped (also with \/ and \u00XX forms); a secret that is
 * JSON also each string leaf. */
void mask_set_add_secret(struct mask_set *set, const char *secret, size_t len);
/* The patterns, for handing them to the shim. */
size_t mask_set_count(const struct mask_set *set);
const void *mask_set_pattern(const struct mask_set *set, size_t i, size_t *ret_len);
/* Compiles the automaton. */
void mask_set_build(struct mask_set *set);

/* A stream's position. MASK_STREAM_NULL begins one. */
struct mask_stream {
	unsigned state;	  /* the automaton's node */
	struct buf held;  /* bytes not yet released: a live prefix */
	struct buf marks; /* for each of them: is it inside a match? */
	bool in_match;	  /* the last byte released was */
};
#define MASK_STREAM_NULL ((struct mask_stream){0})
void mask_stream_fini(struct mask_stream *s);
/* Appends to `out` what may be released. A set that is NULL or empty passes everything through. */
void mask_stream_feed(const struct mask_set *set, struct mask_stream *s, const void *data,
	size_t len, struct buf *out);
/* The end: releases what is held. */
void mask_stream_end(const struct mask_set *set, struct mask_stream *s, struct buf *out);

/* A whole string, masked; the caller frees. */
char *mask_string(const struct mask_set *set, const char *s);
