/* No secret in an argument list: everybody on the machine can read those. */
#include <string.h>
#include "base/memory.h"
#include "kinds/exit.h"
#include "spec/template.h"

/* The name of the first secret found, in *(char **)context. */
static int find_secret(void *context, const char *scope, const char *name)
{
	char **found = context;

	if (str_eq(scope, "secret"))
		*found = xasprintf("${secret.%s}", name);
	else if (str_eq(scope, "metabase") && (str_eq(name, "api_key") || str_eq(name, "password")))
		*found = xasprintf("${metabase.%s}", name);
	return *found ? 1 : 0;
}

bool argv_names_secret(const char *where, const struct node *n, char **ret_error)
{
	_cleanup_free_ char *found = NULL, *error = NULL;

	if (template_each_tree(n, find_secret, &found, &error) != 1 || !found)
		return false;
	*ret_error = xasprintf("%s: %s would show in the process list: name it in `secrets` or "
			       "`env` and use it from the environment",
		where, found);
	return true;
}
