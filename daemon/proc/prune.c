/* Old folders of actions go.
 *
 * Happy path: one job on the pool for each piece: it walks the names in STATE/actions, and removes
 * the first few that are old; a run's id says when it was made (UUID version 7), its folder when a
 * cell was last begun. Failures: a folder that will not go is passed over, and said. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/memory.h"
#include "daemon/proc/action.h"
#include "daemon/proc/folder.h"

#define PIECE 16 /* runs */

struct piece {
	struct work work;
	struct prune *prune;
	char *actions;
	uint64_t n;
	int error; /* the last, negative */
};

/* When the run was made, in µs; -1: the name is no id of ours. */
static usec_t time_of(const char *name)
{
	char digits[13] = {0};

	if (strlen(name) != UUID_TEXT - 1 || name[8] != '-' || name[14] != '7' ||
		name[strspn(name, "0123456789abcdef-")])
		return -1;
	memcpy(digits, name, 8);
	memcpy(digits + 8, name + 9, 4);
	return (usec_t)strtoull(digits, NULL, 16) * USEC_MSEC;
}

static int compare(const void *key, const void *item)
{
	return strcmp(key, *(const char *const *)item);
}

static bool is_kept(const struct prune *p, const char *name)
{
	return p->n_keep > 0 && bsearch(name, p->keep, p->n_keep, sizeof(*p->keep), compare);
}

static bool is_old(const struct piece *piece, const char *name, const char *path)
{
	const struct prune *p = piece->prune;
	usec_t before = p->now - p->span, made = time_of(name);
	struct stat st;

	return made >= 0 && made < before && !is_kept(p, name) && lstat(path, &st) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_mtim.tv_sec < before / USEC_SEC;
}

static void piece_run(struct work *w)
{
	struct piece *piece = container_of(w, struct piece, work);
	DIR *folder = opendir(piece->actions);
	struct dirent *entry;

	if (!folder) {
		piece->error = -errno;
		return;
	}
	while (piece->n < PIECE && (entry = readdir(folder))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", piece->actions, entry->d_name);
		int r;

		if (!is_old(piece, entry->d_name, path))
			continue;
		r = tree_remove(path);
		if (r < 0)
			piece->error = r;
		else
			piece->n++;
	}
	closedir(folder);
}

static void piece_done(struct work *w)
{
	struct piece *piece = container_of(w, struct piece, work);
	_cleanup_free_ char *error = NULL;

	if (piece->error < 0)
		error = xasprintf("%s: %s", piece->actions, strerror(-piece->error));
	piece->prune->done(piece->prune, error, piece->n);
	free(piece->actions);
	free(piece);
}

void launcher_prune(struct launcher *l, struct prune *p)
{
	struct piece *piece = xnew(struct piece);

	piece->prune = p;
	piece->actions = xasprintf("%s/actions", l->state);
	work_start(&piece->work, l->loop, &l->open, piece_run, piece_done);
}
