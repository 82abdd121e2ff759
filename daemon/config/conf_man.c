/* Makes nightjar.conf(5) at build time: conf_man FRAME prints the frame with the key tables put in.
 *
 *   @KEYS SECTION@   the keys of a section
 *   @KINDS@          the step kinds and their keys
 *   @REST@           sections that the frame has not named, so that no key goes unsaid */
#include <stdio.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/memory.h"
#include "kinds/kind.h"

#define SECTIONS_MAX 64

static const char *const type_words[KEY_TYPES] = {
	[KEY_STRING] = "a string",
	[KEY_TEMPLATE] = "a template",
	[KEY_NAME] = "a name",
	[KEY_BOOL] = "true or false",
	[KEY_INT] = "an integer",
	[KEY_NUMBER] = "a number",
	[KEY_DURATION] = "a duration",
	[KEY_CRON] = "a cron expression",
	[KEY_ZONE] = "a time zone",
	[KEY_STRINGS] = "a list of strings",
	[KEY_TEMPLATES] = "a list of templates",
	[KEY_WORD] = "a word",
	[KEY_WORDS] = "a list of words",
	[KEY_INTS] = "a list of integers",
	[KEY_GROUP] = "a group",
	[KEY_GROUPS] = "a list of groups",
	[KEY_FREE] = "a group with free keys",
	[KEY_ANY] = "of several shapes",
	[KEY_NAMES] = "a list of names",
	[KEY_VARIABLE] = "the name of a variable",
	[KEY_VARIABLES] = "a list of names of variables",
	[KEY_SIZE] = "a size",
	[KEY_ONLY] = "a group of dimensions",
	[KEY_ONLYS] = "a list of groups of dimensions",
};

/* mdoc takes a backslash and a control character at the start of a line for itself. */
static void put_text(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s; s++)
		fputs(*s == '\\' ? "\\e" : (char[]){*s, '\0'}, stdout);
}

static void put_sentence(const char *s)
{
	size_t len = strlen(s);

	put_text(s);
	puts(len > 0 && s[len - 1] == '.' ? "" : ".");
}

/* As an argument of a macro: short words with a capital would be called as macros. */
static void put_argument(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, " ");

		if (n >= 2 && n <= 3 && *s >= 'A' && *s <= 'Z')
			fputs("\\&", stdout);
		for (size_t i = 0; i < n; i++)
			fputs(s[i] == '\\' ? "\\e" : (char[]){s[i], '\0'}, stdout);
		if (s[n] == '\0')
			return;
		putchar(' ');
		s += n + 1;
	}
}

static void put_words(const struct key *k)
{
	printf("%s:\n", k->type == KEY_WORDS ? "Any of" : "One of");
	for (const char *const *w = k->words; *w; w++)
		printf(".Cm %s%s\n", *w, w[1] ? " ," : " .");
}

static void put_key(const struct key *k)
{
	printf(".It Ic %s Pq ", k->name);
	put_argument(type_words[k->type]);
	if (k->required)
		fputs(", required", stdout);
	if (k->fallback) {
		fputs("; default ", stdout);
		put_argument(k->fallback);
	}
	putchar('\n');
	put_sentence(k->doc);
	if (k->words)
		put_words(k);
}

static void put_keys(const struct key *keys, size_t n, const char *section)
{
	puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].section, section) == 0)
			put_key(&keys[i]);
	puts(".El");
}

static void put_kinds(void)
{
	size_t n;
	const struct spec_kind *specs = kind_specs(&n);

	for (size_t i = 0; i < n; i++) {
		printf(".Ss Step kind %s\n", specs[i].name);
		printf(".Ic %s\nis ", specs[i].name);
		put_text(type_words[specs[i].value]);
		fputs(":\n", stdout);
		put_sentence(specs[i].doc);
		if (specs[i].n_keys)
			put_keys(specs[i].keys, specs[i].n_keys, specs[i].keys[0].section);
	}
}

/* --- the frame ---------------------------------------------------------------------------- */

struct seen {
	char *sections[SECTIONS_MAX];
	size_t n;
};

static bool see(struct seen *seen, const char *section)
{
	for (size_t i = 0; i < seen->n; i++)
		if (strcmp(seen->sections[i], section) == 0)
			return false;
	if (seen->n < SECTIONS_MAX)
		seen->sections[seen->n++] = xstrdup(section);
	return true;
}

static void put_rest(struct seen *seen)
{
	size_t n;
	const struct key *keys = spec_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (!see(seen, keys[i].section))
			continue;
		printf(".Ss Keys of %s\n", keys[i].section);
		put_keys(keys, n, keys[i].section);
	}
}

static void put_line(struct seen *seen, char *line)
{
	char section[64] = "";
	size_t n;
	const struct key *keys = spec_keys(&n);

	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "@KEYS @") == 0 || sscanf(line, "@KEYS %63[a-z_]@", section) == 1) {
		see(seen, section);
		put_keys(keys, n, section);
	} else if (strcmp(line, "@KINDS@") == 0) {
		put_kinds();
	} else if (strcmp(line, "@REST@") == 0) {
		put_rest(seen);
	} else {
		puts(line);
	}
}

int main(int argc, char **argv)
{
	struct seen seen = {0};
	char line[1024];
	FILE *frame = argc == 2 ? fopen(argv[1], "re") : NULL;

	if (!frame) {
		fputs("usage: conf_man FRAME\n", stderr);
		return 2;
	}
	while (fgets(line, sizeof(line), frame))
		put_line(&seen, line);
	fclose(frame);
	while (seen.n)
		free(seen.sections[--seen.n]);
	return 0;
}
