/* How terraform is called. Everything here is made of parameters whose templates are expanded. */
#pragma once
#include "kinds/kind.h"

#define TERRAFORM_ERRORED 93 /* exit code: there is an errored.tfstate in the directory */

struct terraform_command {
	const struct node *params;
	const char *directory;	    /* absolute, without trailing slashes */
	const char *data_directory; /* TF_DATA_DIR */
	const char *attempt_directory;
};

/* The folder of the configuration, the caller frees; NULL with a sentence when it is missing or not
 * absolute. */
char *terraform_command_directory(const struct node *params, char **ret_error);
/* NULL: the workspace `default`, which is always there. */
const char *terraform_command_workspace(const struct node *params);
/* One for each directory, environment, workspace and `backend` (the options, as text), so that none
 * of them uses what another initialised. The caller frees. */
char *terraform_command_data_directory(const struct kind_context *ctx, const struct node *params,
	const char *directory, const char *backend);

/* The -backend-config options, a line each, quoted for TF_CLI_ARGS_init; NULL where there are none.
 * The caller wipes and frees. */
char *terraform_command_backend(const struct node *backend_config);

/* Argument lists, to be freed with strv_free; `plan`, `to`: names of files in the attempt's
 * directory. 0, or -EINVAL with a sentence. */
int terraform_command_init(const struct terraform_command *c, char ***ret, char **ret_error);
int terraform_command_select(const struct terraform_command *c, char ***ret, char **ret_error);
int terraform_command_plan(
	const struct terraform_command *c, const char *plan, char ***ret, char **ret_error);
int terraform_command_apply(
	const struct terraform_command *c, const char *plan, char ***ret, char **ret_error);
/* Into a file, because it prints every value. */
int terraform_command_show(const struct terraform_command *c, const char *plan, const char *to,
	char ***ret, char **ret_error);

/* What is laid over the step's environment. `backend`: for init; may be NULL. */
char **terraform_command_env(const struct terraform_command *c, const char *backend);
