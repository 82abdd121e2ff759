/* What kinds that run a process share: reading its exit, remembering its last words. */
#pragma once
#include "base/buf.h"
#include "kinds/kind.h"

#define LAST_WORDS_MAX 300

/* The last line of a stream that was not blank, its first LAST_WORDS_MAX bytes. */
struct last_words {
	char last[LAST_WORDS_MAX + 1];
	char line[LAST_WORDS_MAX + 1]; /* the one that is being read */
	size_t len;
};
void last_words_feed(struct last_words *w, const char *text, size_t len, bool partial);
/* One line, cut at whole characters; NULL when the stream said nothing. The caller frees. */
char *last_words_text(const struct last_words *w);

/* A machine of one action: its end as a note, and from its note again. */
void kind_note_done(struct kind_command *done);
void kind_done_from_note(const cJSON *note, struct kind_command *ret);

/* True, with a sentence in *ret_error that the caller frees, if one of the strings names a secret
 * outright: argument lists are seen by everybody in the process list. `where` is the key's name.
 * (A secret that a template reaches through other names is caught by expanding where secrets
 * cannot be had.) */
bool argv_names_secret(const char *where, const struct node *n, char **ret_error);
