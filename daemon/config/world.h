/* What checking a configuration asks of the machine: zones, secrets, defaults, step kinds. */
#pragma once
#include "base/complaint.h"
#include "spec/spec.h"

struct config_world {
	struct spec_world spec;
	char *secrets_directory; /* where `spec.secrets` were seen; NULL: nowhere */
	const char *file;	 /* the setting that names it; NULL: none does */
	unsigned line;
	struct secret_info *secrets;
	char *default_state, *default_secrets_directory;
};

/* Zones come from /usr/share/zoneinfo, defaults from $STATE_DIRECTORY and $CREDENTIALS_DIRECTORY.
 * The kinds stay the caller's. */
void config_world_init(struct config_world *w, const struct spec_kind *kinds, size_t n_kinds);
/* Looks at the secrets in the directory that this tree names, or in the default one; what cannot
 * be looked at is a warning. Blocks: reads folders. */
void config_world_scan(
	struct config_world *w, const struct node *root, struct complaints *complaints);
void config_world_fini(struct config_world *w);

/* The names of the secrets in a folder, sorted, NULL-terminated, to be freed with strv_free: those
 * of its files, without dot files. Of a whole folder, LoadCredential=credentials:FOLDER, systemd
 * makes files called credentials_NAME: such a one is there under both names. 0, or -errno. */
int config_list_secrets(int dir, char ***ret, size_t *ret_n);
/* The file in that folder that holds a secret of the list; the caller frees. */
char *config_secret_file(int dir, const char *name);
