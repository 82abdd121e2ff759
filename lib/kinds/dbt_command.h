/* How dbt is called. */
#pragma once
#include "kinds/kind.h"

/* True for the commands that write into the project: they need it for themselves. */
bool dbt_command_writes(const char *command);

/* True for the commands that make relations in the warehouse. The others (compile, docs generate,
 * ...) report success for models that they only looked at. */
bool dbt_command_builds(const char *command);

/* The argument list, from parameters whose templates are expanded: 0, or -EINVAL with a sentence
 * that the caller frees. The caller frees *ret_argv with strv_free. */
int dbt_command_argv(const struct node *params, char ***ret_argv, char **ret_error);

/* What is laid over the step's environment; `project` as dbt_command_project() gives it. To be
 * freed with strv_free. */
char **dbt_command_env(
	const struct node *params, const char *project, const char *attempt_directory);

/* The project's folder without trailing slashes, the caller frees; NULL with a sentence in
 * *ret_error when it is missing or not absolute. */
char *dbt_command_project(const struct node *params, char **ret_error);
