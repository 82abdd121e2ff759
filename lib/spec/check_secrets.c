/* Secrets: each that is named is there for every environment that wants it, kept from others'
 * eyes, and of a kind that can be masked. Their values are never seen here. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define MASK_LEAST 8 /* bytes: a shorter one cannot be masked */

/* --- wanting --------------------------------------------------------------------------------- */

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

/* --- judging --------------------------------------------------------------------------------- */

struct words {
	const char **items;
	size_t n, cap;
};

static void add_word(struct words *w, const char *word)
{
	if (!word)
		return;
	XGROW(w->items, w->n, w->cap);
	w->items[w->n++] = word;
}

static void add_job_words(struct words *w, const struct spec_job *job)
{
	add_word(w, job->name);
	for (size_t i = 0; i < job->n_stages; i++) {
		const struct spec_stage *s = &job->stages[i];

		add_word(w, s->name);
		for (size_t k = 0; k < s->n_steps; k++)
			add_word(w, s->steps[k].name);
		for (size_t k = 0; k < s->n_cells; k++)
			for (size_t d = 0; d < s->n_dimensions; d++)
				add_word(w, s->cells[k].values[d]);
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names and matrix values, which are never masked: sorted, each once. */
static struct words all_words(const struct spec *s)
{
	struct words w = {0};
	size_t kept = 0;

	for (size_t i = 0; i < s->n_locks; i++)
		add_word(&w, s->locks[i].name);
	for (size_t i = 0; i < s->n_environments; i++)
		add_word(&w, s->environments[i].name);
	for (size_t i = 0; i < s->n_checks; i++)
		add_word(&w, s->checks[i].name);
	for (size_t i = 0; i < s->n_jobs; i++)
		add_job_words(&w, s->jobs[i]);
	if (w.n)
		qsort(w.items, w.n, sizeof(*w.items), compare);
	for (size_t i = 0; i < w.n; i++)
		if (kept == 0 || strcmp(w.items[kept - 1], w.items[i]) != 0)
			w.items[kept++] = w.items[i];
	w.n = kept;
	return w;
}

static void judge(struct loader *l, size_t i, const struct words *words)
{
	const struct secret_info *s = &l->world->secrets[i];
	const struct node *at = l->secret_at[i];
	const struct spec_world *w = l->world;
	const char *equal;

	if (s->world_readable)
		complain(l->complaints, at->file, at->line,
			"the secret %s can be read by everybody: chmod 600 %s/%s", s->name,
			l->spec->secrets_directory ? l->spec->secrets_directory : "", s->name);
	if (s->size < MASK_LEAST)
		complain_warning(l->complaints, at->file, at->line,
			"the secret %s has fewer than %d bytes and cannot be masked in output",
			s->name, MASK_LEAST);
	equal = w->secret_equals ? w->secret_equals(w->context, s->name, words->items, words->n)
				 : NULL;
	if (equal)
		complain_warning(l->complaints, at->file, at->line,
			"the secret %s equals the name or matrix value \"%s\", which is never "
			"masked",
			s->name, equal);
}

void check_secrets(struct loader *l)
{
	struct words words;

	if (!l->world->check_secrets)
		return;
	words = all_words(l->spec);
	for (size_t i = 0; i < l->world->n_secrets; i++)
		if (l->secret_used[i])
			judge(l, i, &words);
	free(words.items);
}
