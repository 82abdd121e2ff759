/* Files to one row of tokens: @include puts a file's tokens where it stands, wherever that is.
 * Paths are relative to the folder of the file that includes. All of it is bounded. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/config/file.h"
#include "daemon/config/token.h"
#include "spec/tree.h"

#define FILE_MAX  ((size_t)1 << 20)  /* bytes */
#define TOTAL_MAX ((size_t)16 << 20) /* bytes, over all files */
#define FILES_MAX 100
#define DEPTH_MAX 10

struct source {
	struct complaints *complaints;
	struct tokens *tokens;
	unsigned n_files;
	size_t n_bytes;
};

static int read_into(
	struct source *s, const char *path, const char *from, unsigned line, unsigned depth);

/* "conf.d/a.conf" in "/etc/nightjar.conf" is "/etc/conf.d/a.conf". */
static char *relative_to(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');

	if (path[0] == '/' || !slash)
		return xstrdup(path);
	return xasprintf("%.*s%s", (int)(slash - file + 1), file, path);
}

static int lex_all(struct source *s, const char *file, const char *text, size_t len, unsigned depth)
{
	struct lexer l = {.file = file,
		.at = text,
		.end = text + len,
		.line = 1,
		.complaints = s->complaints};
	static const char mark[] = "\xef\xbb\xbf"; /* some editors begin a file with it */

	if (len >= 3 && memcmp(text, mark, 3) == 0)
		l.at += 3;
	for (;;) {
		struct token t;
		int r = 0;

		lex(&l, &t);
		if (t.type == TOKEN_END)
			return 0;
		if (t.type == TOKEN_INCLUDE) {
			_cleanup_free_ char *path = relative_to(file, t.text);

			token_fini(&t);
			r = read_into(s, path, file, t.line, depth + 1);
			if (r < 0)
				return r;
			continue;
		}
		XGROW(s->tokens->items, s->tokens->n, s->tokens->cap);
		s->tokens->items[s->tokens->n++] = t;
	}
}

static const char *over_limit(const struct source *s, unsigned depth)
{
	if (depth > DEPTH_MAX)
		return "files include one another too deep: does one include itself?";
	if (s->n_files >= FILES_MAX)
		return "too many files are included";
	return NULL;
}

static const char *why_not(int r)
{
	if (r == -EFBIG)
		return "it is larger than 1 MiB";
	if (r == -EINVAL)
		return "it is no regular file";
	return strerror(-r);
}

/* `from` and `line` say who includes it; NULL: nobody, it is the first file. */
static int read_into(
	struct source *s, const char *path, const char *from, unsigned line, unsigned depth)
{
	_cleanup_free_ char *text = NULL;
	const char *limit = over_limit(s, depth), *file = node_file(path);
	size_t len;
	int r;

	if (limit) {
		complain(s->complaints, from, line, "%s: %s", path, limit);
		return -EINVAL;
	}
	r = file_read(AT_FDCWD, path, FILE_MAX, &text, &len);
	if (r < 0) {
		complain(s->complaints, from ? from : file, line, "%s%scannot be read: %s",
			from ? path : "", from ? " " : "", why_not(r));
		return -EINVAL;
	}
	s->n_files++;
	s->n_bytes += len;
	if (s->n_bytes > TOTAL_MAX) {
		complain(s->complaints, file, 1, "the files together are larger than 16 MiB");
		return -EINVAL;
	}
	return lex_all(s, file, text, len, depth);
}

int source_read(const char *path, struct complaints *complaints, struct tokens *ret)
{
	struct tokens tokens = {0};
	struct source s = {.complaints = complaints, .tokens = &tokens};
	struct token end = {.type = TOKEN_END, .file = node_file(path), .line = 1, .end = 1};
	int r;

	r = read_into(&s, path, NULL, 0, 0);
	if (r < 0) {
		tokens_fini(&tokens);
		return r;
	}
	if (tokens.n) {
		end.file = tokens.items[tokens.n - 1].file;
		end.line = end.end = tokens.items[tokens.n - 1].end;
	}
	XGROW(tokens.items, tokens.n, tokens.cap);
	tokens.items[tokens.n++] = end;
	*ret = tokens;
	return 0;
}
