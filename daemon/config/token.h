/* A configuration's text as tokens.
 *
 * libconfig swallows mistakes: an integer that overflows, one that begins with 0, "\x00", bytes
 * that are no UTF-8, a comment that never ends; it stops at the first syntax error and says no
 * more than that; its @include knows one folder only. So the text is read by a lexer of our own
 * first (lex.c), which complains of the traps with file and line and makes tokens without them;
 * files are put into one another there (source.c); what is wrong with the syntax is said in words
 * (syntax.c); and libconfig, which decides, gets the clean tokens (read.c). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/complaint.h"

enum token_type {
	TOKEN_END = 0,
	/* punctuation stands for itself: = , ; ( ) [ ] { } (a ':' is a '=') */
	TOKEN_NAME = 256,
	TOKEN_BOOL,
	TOKEN_INT,
	TOKEN_FLOAT,
	TOKEN_STRING,
	TOKEN_INCLUDE,
	TOKEN_BAD, /* nothing that may stand there: text says what */
};

struct token {
	int type;
	const char *file; /* by node_file() */
	unsigned line;	  /* where it begins, from 1 */
	unsigned end;	  /* the line where it ends */
	bool glued;	  /* it follows the one before it without space */
	/* A name; a number as libconfig shall read it; a string's value; an included file's path;
	 * what is bad. NULL for punctuation. */
	char *text;
};
void token_fini(struct token *t);

struct tokens {
	struct token *items; /* the last one is TOKEN_END */
	size_t n, cap;
};
void tokens_fini(struct tokens *t);

struct lexer {
	const char *file;
	const char *at, *end;
	unsigned line;
	struct complaints *complaints;
};
/* The next token, to be freed with token_fini(). */
void lex(struct lexer *l, struct token *ret);

/* All tokens of a file and of those it includes. 0; or -EINVAL with complaints when one of them
 * cannot be read. */
int source_read(const char *path, struct complaints *complaints, struct tokens *ret);

#define DUPLICATE_MARK '*' /* begins the new name of a setting whose name was there before */

/* Complains of the first syntax error, then -EINVAL; and of all duplicate names, which are renamed
 * so that libconfig goes on; and warns of what looks like a forgotten comma. */
int syntax_check(struct tokens *tokens, struct complaints *complaints);
