/* A key's value, or the default that its table says. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

static const struct key *key_of(const char *section, const char *name)
{
	size_t n;
	const struct key *keys = spec_keys(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	abort(); /* the code asks for a key that the table does not have */
}

const char *read_text(const struct node *group, const char *section, const char *name)
{
	const char *text = node_string(group, name);

	return text ? text : key_of(section, name)->fallback;
}

char *read_string(const struct node *group, const char *section, const char *name)
{
	return xstrdup(read_text(group, section, name));
}

bool read_bool(const struct node *group, const char *section, const char *name)
{
	const struct node *n = node_get(group, name);
	const char *fallback = key_of(section, name)->fallback;

	return n ? n->boolean : fallback && strcmp(fallback, "true") == 0;
}

double read_number(const struct node *group, const char *section, const char *name)
{
	const struct node *n = node_get(group, name);
	const char *fallback = key_of(section, name)->fallback;

	if (!n)
		return fallback ? strtod(fallback, NULL) : 0;
	return n->type == NODE_INT ? (double)n->integer : n->real;
}

unsigned read_unsigned(const struct node *group, const char *section, const char *name)
{
	return (unsigned)read_number(group, section, name);
}

usec_t read_duration(const struct node *group, const char *section, const char *name)
{
	const char *text = read_text(group, section, name);
	usec_t t = 0;

	return text && parse_duration(text, &t) ? t : 0;
}

bool parse_size(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}, {"", 0}};
	size_t len = strspn(s, "0123456789");
	_cleanup_free_ char *digits = xstrndup(s, len);
	uint64_t n;

	if (!parse_u64(digits, &n))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(units[i].unit, s + len) != 0)
			continue;
		if (n > (uint64_t)INT64_MAX >> units[i].shift)
			return false;
		*ret = n << units[i].shift;
		return true;
	}
	return false;
}

uint64_t read_size(const struct node *group, const char *section, const char *name)
{
	const struct node *n = node_get(group, name);
	const char *text = read_text(group, section, name);
	uint64_t size = 0;

	if (n && n->type == NODE_INT)
		return (uint64_t)n->integer;
	return text && parse_size(text, &size) ? size : 0;
}

int read_word(const struct node *group, const char *section, const char *name)
{
	const struct key *key = key_of(section, name);
	const char *word = read_text(group, section, name);

	for (int i = 0; word && key->words[i]; i++)
		if (strcmp(key->words[i], word) == 0)
			return i;
	return 0;
}

int64_t *read_ints(const struct node *group, const char *name, size_t *ret_n)
{
	const struct node *list = node_get(group, name);
	size_t n = list ? list->n_children : 0;
	int64_t *v = n ? xcalloc(n, sizeof(*v)) : NULL;

	for (size_t i = 0; i < n; i++)
		v[i] = list->children[i]->integer;
	*ret_n = n;
	return v;
}

char **read_strings(const struct node *group, const char *name)
{
	const struct node *list = node_get(group, name);
	char **v = NULL;
	size_t n = 0;

	for (size_t i = 0; list && i < list->n_children; i++)
		v = strv_add(v, &n, xstrdup(list->children[i]->string));
	return v;
}
