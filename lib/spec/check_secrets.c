/* Secrets: each that is named is there for every environment that wants it, kept from others'
 * eyes, and of a kind that can be masked. Their values are never seen here. */
#include <string.h>
#include "base/mask.h"
#include "base/memory.h"
#include "spec/loader.h"

/* --- wanting ------------------------------------------------------------------------------ */

static bool seen(struct loader *l, const char *environment, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s.%s", environment ? environment : "", name);

	for (size_t i = 0; i < l->n_secrets_seen; i++)
		if (strcmp(l->secrets_seen[i], key) == 0)
			return true;
	XGROW(l->secrets_seen, l->n_secrets_seen, l->cap_secrets_seen);
	l->secrets_seen[l->n_secrets_seen++] = TAKE_PTR(key);
	return false;
}

static bool has_bare(const struct loader *l, const char *name)
{
	for (size_t i = 0; i < l->world->n_secrets; i++)
		if (strcmp(l->world->secrets[i].name, name) == 0)
			return true;
	return false;
}

static void missing(struct loader *l, const struct node *where, const char *context,
	const char *environment, const char *name)
{
	const char *directory = l->spec->secrets_directory;

	if (!directory)
		complain(l->complaints, where->file, where->line,
			"%s: the secret \"%s\" is missing: there is no secrets.directory and no "
			"$CREDENTIALS_DIRECTORY",
			context, name);
	else if (environment && has_bare(l, name))
		complain(l->complaints, where->file, where->line,
			"%s: the secret \"%s\" is missing for environment \"%s\": %s has no %s.%s, "
			"and "
			"%s is no fallback because another environment has its own",
			context, name, environment, directory, environment, name, name);
	else if (environment)
		complain(l->complaints, where->file, where->line,
			"%s: the secret \"%s\" is missing for environment \"%s\": %s has neither "
			"%s.%s "
			"nor %s for all",
			context, name, environment, directory, environment, name, name);
	else
		complain(l->complaints, where->file, where->line,
			"%s: the secret \"%s\" is missing: %s has no %s", context, name, directory,
			name);
}

void secret_wanted(struct loader *l, const struct node *where, const char *context,
	const char *environment, const char *name)
{
	_cleanup_free_ char *file = NULL;

	if (!l->world->check_secrets || l->stored || seen(l, environment, name))
		return;
	file = spec_secret_file(l->secret_names, l->world->n_secrets, environment, name);
	if (!file) {
		missing(l, where, context, environment, name);
		return;
	}
	for (size_t i = 0; i < l->world->n_secrets; i++) {
		if (strcmp(l->secret_names[i], file) != 0 || l->secret_used[i])
			continue;
		l->secret_used[i] = true;
		l->secret_at[i] = where;
	}
}

/* --- judging ------------------------------------------------------------------------------ */

static void judge(struct loader *l, size_t i)
{
	const struct secret_info *s = &l->world->secrets[i];
	const struct node *at = l->secret_at[i];

	if (s->world_readable)
		complain(l->complaints, at->file, at->line,
			"the secret %s can be read by everybody: chmod 600 %s/%s", s->name,
			l->spec->secrets_directory ? l->spec->secrets_directory : "", s->name);
	if (s->size < MASK_MIN_LENGTH)
		complain_warning(l->complaints, at->file, at->line,
			"the secret %s has fewer than %d bytes and cannot be masked in output",
			s->name, MASK_MIN_LENGTH);
}

void check_secrets(struct loader *l)
{
	if (!l->world->check_secrets)
		return;
	for (size_t i = 0; i < l->world->n_secrets; i++)
		if (l->secret_used[i])
			judge(l, i);
}
