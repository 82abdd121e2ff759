/* See commit.h.
 *
 * Happy path: from the folder up to the first .git that has a HEAD: a folder, or a file that names
 * one (a linked work tree, a submodule); HEAD is a commit, or names a ref; the ref is a file, or a
 * line of packed-refs. Failures: whatever is not there, too large or not as git writes it is no
 * commit; nobody is told, a run goes on without. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "base/text.h"
#include "daemon/proc/commit.h"
#include "daemon/proc/folder.h"

enum {
	LINE_CAP = 4096,	       /* .git, HEAD, commondir, a ref */
	PACKED_CAP = 16 * 1024 * 1024, /* packed-refs */
	REFS_MAX = 5,		       /* that name one another, as in git */
};

/* The one line of a small file, NULL: none. The caller frees. */
static char *read_line(const char *folder, const char *name)
{
	char *text;
	size_t len;

	if (read_file_at(folder, name, LINE_CAP, &text, &len) < 0)
		return NULL;
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

static size_t hex_len(const char *s)
{
	return strspn(s, "0123456789abcdef");
}

static bool is_commit(const char *s)
{
	size_t n = hex_len(s);

	return s[n] == '\0' && (n == 40 || n == 64);
}

/* "refs/heads/main", and nothing that leaves the repository. */
static bool is_ref(const char *s)
{
	return str_starts(s, "refs/") && !strstr(s, "..") && !strstr(s, "//");
}

/* `path`, seen from `folder`. The caller frees. */
static char *path_from(const char *folder, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", folder, path);
}

/* --- where the repository is -------------------------------------------------------------- */

/* The git folder of the work tree at `folder`, NULL: it is none. The caller frees. */
static char *git_folder(const char *folder)
{
	_cleanup_free_ char *there = xasprintf("%s/.git", folder);
	_cleanup_free_ char *line = read_line(folder, ".git");

	if (!line) /* a folder, or nothing */
		return file_exists(there, "HEAD") ? TAKE_PTR(there) : NULL;
	if (!str_starts(line, "gitdir: "))
		return NULL;
	free(there);
	there = path_from(folder, line + strlen("gitdir: "));
	return file_exists(there, "HEAD") ? TAKE_PTR(there) : NULL;
}

/* Linked work trees share the refs of one repository. The caller frees. */
static char *common_folder(const char *git)
{
	_cleanup_free_ char *line = read_line(git, "commondir");

	return line && *line ? path_from(git, line) : xstrdup(git);
}

static bool is_within(const char *path, const char *folder)
{
	size_t len = folder ? strlen(folder) : 0;

	return len > 0 && strncmp(path, folder, len) == 0 && (path[len] == '/' || !path[len]);
}

static char *find_git_folder(const char *folder, const char *outside)
{
	_cleanup_free_ char *path = realpath(folder, NULL);
	_cleanup_free_ char *out = outside ? realpath(outside, NULL) : NULL;

	while (path && *path && !is_within(path, out)) {
		char *git = git_folder(path);

		if (git)
			return git;
		*strrchr(path, '/') = '\0';
	}
	return NULL;
}

/* --- what HEAD is ------------------------------------------------------------------------- */

static char *packed_ref(const char *common, const char *ref)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (read_file_at(common, "packed-refs", PACKED_CAP, &text, &len) < 0)
		return NULL;
	for (char *line = text, *end; *line; line = end) {
		size_t n = strcspn(line, "\n"), hex = hex_len(line);

		end = line + n + (line[n] == '\n');
		line[n] = '\0';
		if (line[hex] != ' ' || !str_eq(line + hex + 1, ref))
			continue;
		line[hex] = '\0';
		return is_commit(line) ? xstrdup(line) : NULL;
	}
	return NULL;
}

static char *read_ref(const char *git, const char *common, const char *ref)
{
	char *line = read_line(git, ref);

	if (!line)
		line = read_line(common, ref);
	return line ? line : packed_ref(common, ref);
}

static char *head_of(const char *git)
{
	_cleanup_free_ char *common = common_folder(git);
	_cleanup_free_ char *line = read_line(git, "HEAD");

	for (unsigned i = 0; line && i < REFS_MAX && str_starts(line, "ref: "); i++) {
		_cleanup_free_ char *ref = TAKE_PTR(line);
		const char *name = ref + strlen("ref: ");

		if (is_ref(name))
			line = read_ref(git, common, name);
	}
	return line && is_commit(line) ? TAKE_PTR(line) : NULL;
}

char *commit_of(const char *folder, const char *outside)
{
	_cleanup_free_ char *git = NULL;

	if (!folder || folder[0] != '/')
		return NULL;
	/* the attempt's own folder, mostly: then the disk is not asked */
	if (is_within(folder, outside) && !strstr(folder, "/.."))
		return NULL;
	git = find_git_folder(folder, outside);
	return git ? head_of(git) : NULL;
}
