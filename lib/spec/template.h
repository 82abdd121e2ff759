/* ${scope.name} in strings. `$$` is a dollar; a `$` before anything but `{` or `$` is itself. */
#pragma once
#include <stddef.h>
#include "spec/tree.h"

/* Gives the value of ${scope.name} as a string that the caller frees. Returns 0, or a negative
 * errno with *ret_error a sentence (the caller frees). `name` holds everything behind the first
 * dot, "" when there is none. */
typedef int template_lookup(
	void *context, const char *scope, const char *name, char **ret_value, char **ret_error);

/* 0, or negative with a sentence in *ret_error: bad syntax, or what the look-up said. */
int template_expand(
	const char *text, template_lookup *lookup, void *context, char **ret, char **ret_error);
/* A copy of the tree with every string expanded. */
int template_expand_tree(const struct node *in, template_lookup *lookup, void *context,
	struct node **ret, char **ret_error);

/* Calls back for each reference; stops at and returns what is not 0. -EINVAL for bad syntax. */
int template_each(const char *text,
	int (*found)(void *context, const char *scope, const char *name), void *context,
	char **ret_error);
int template_each_tree(const struct node *in,
	int (*found)(void *context, const char *scope, const char *name), void *context,
	char **ret_error);
