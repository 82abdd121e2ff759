/* The private folder: the action's files with secrets and its TMPDIR, gone at the end. */
#pragma once
#include <stdbool.h>
#include "shim/order.h"

#define PRIVATE_TMP "tmp" /* TMPDIR, in the private folder */

struct private
{
	const char *path; /* NULL: there is none to remove */
};

#define PRIVATE_NULL ((struct private){0})

/* Makes the order's directories, the private folder and its files, and names them in the child's
 * environment. 0, or negative errno and a sentence. A private folder that exists already may be
 * somebody else's: it is refused, and left alone. */
int private_make(struct private *private, struct order *order, char **ret_message);
/* Removes it with all that is in it. 0, or the negative errno of the first thing that stayed. */
int private_remove(struct private *private);
