/* Pass 1: the shape of one value, by its type. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"
#include "spec/template.h"

#define INT_MOST      1000000000 /* of what is counted */
#define EXACT_MOST    ((int64_t)1 << 53)
#define DURATION_MOST (36500 * USEC_DAY)

typedef bool value_check(
	struct loader *l, const struct path *path, const struct key *key, struct node *n);

static bool wrong_type(
	struct loader *l, const struct path *path, const struct node *n, const char *wanted)
{
	bool scalar = n->type == NODE_INT || n->type == NODE_FLOAT || n->type == NODE_BOOL;
	bool quotes = scalar &&
		      (strstr(wanted, "string") || strstr(wanted, "name") || strchr(wanted, '"'));

	path_error(l, path, n, "must be %s, not %s%s", wanted, node_type_name(n->type),
		quotes ? ": put it in quotes" : "");
	return false;
}

static bool must_be(struct loader *l, const struct path *path, const struct key *key,
	const struct node *n, enum node_type type)
{
	return n->type == type || wrong_type(l, path, n, key_type_name(key->type));
}

/* --- strings ------------------------------------------------------------------------------ */

static const char *const name_spaces[] = {
	"matrix", "vars", "secret", "json", "metabase", "input", "run", "attempt", "steps"};

struct reference_check {
	struct loader *l;
	const struct path *path;
	const struct node *n;
};

static int check_space(void *context, const char *space, const char *name)
{
	struct reference_check *c = context;
	_cleanup_free_ char *mend = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(name_spaces); i++) {
		if (strcmp(name_spaces[i], space) != 0)
			continue;
		if (!*name)
			path_error(c->l, c->path, c->n,
				"${%s}: what of it? Write ${%s.NAME}, or $$ for a dollar", space,
				space);
		return 0;
	}
	mend = did_you_mean(space, name_spaces, ARRAY_SIZE(name_spaces));
	path_error(c->l, c->path, c->n, "${%s%s%s}: there is no \"%s\"%s%s", space,
		*name ? "." : "", name, space, mend,
		*mend ? "" : "; a shell's ${X} is written $${X}");
	return 0;
}

static void check_syntax(struct loader *l, const struct path *path, const struct node *n)
{
	struct reference_check c = {.l = l, .path = path, .n = n};
	_cleanup_free_ char *error = NULL;

	if (template_each(n->string, check_space, &c, &error) < 0)
		path_error(l, path, n, "%s", error);
}

static bool check_string(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return must_be(l, path, key, n, NODE_STRING);
}

static bool check_template(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	if (!must_be(l, path, key, n, NODE_STRING))
		return false;
	check_syntax(l, path, n);
	return true;
}

static void check_name_text(
	struct loader *l, const struct path *path, const struct node *n, const char *text)
{
	if (!name_is_valid(text))
		path_error(l, path, n,
			"\"%s\" is no name: letters, digits, \"_\", \".\" and \"-\", 64 at most, "
			"the first a letter or a digit",
			text);
}

static bool check_name(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	if (!must_be(l, path, key, n, NODE_STRING))
		return false;
	check_name_text(l, path, n, n->string);
	if (strcmp(key->section, "step") == 0 && strchr(n->string, '.'))
		path_error(l, path, n, "\"%s\": the name of a step holds no dot", n->string);
	return true;
}

static void check_variable_text(
	struct loader *l, const struct path *path, const struct node *n, const char *text)
{
	if (!variable_is_valid(text))
		path_error(l, path, n,
			"\"%s\" is no name of a variable: letters, digits and \"_\", the first no "
			"digit",
			text);
}

static bool check_variable(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	if (!must_be(l, path, key, n, NODE_STRING))
		return false;
	check_variable_text(l, path, n, n->string);
	return true;
}

static bool check_word(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	_cleanup_buf_ struct buf all = BUF_NULL;
	_cleanup_free_ char *mend = NULL;
	size_t n_words = 0;

	if (!must_be(l, path, key, n, NODE_STRING))
		return false;
	for (; key->words[n_words]; n_words++) {
		if (strcmp(key->words[n_words], n->string) == 0)
			return true;
		buf_printf(&all, "%s%s", n_words ? ", " : "", key->words[n_words]);
	}
	mend = did_you_mean(n->string, key->words, n_words);
	path_error(l, path, n, "\"%s\" is none of %s%s", n->string, buf_str(&all), mend);
	return false;
}

/* --- numbers ------------------------------------------------------------------------------ */

static bool check_least(struct loader *l, const struct path *path, const struct key *key,
	const struct node *n, double v)
{
	double most = key->most > 0 ? key->most : INT_MOST;

	if (v < key->least)
		path_error(l, path, n, "%g is too small, it must be at least %g", v, key->least);
	else if (v > most)
		path_error(l, path, n, "%.0f is too large, it must be at most %.0f", v, most);
	else
		return true;
	return false;
}

static bool check_int(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return must_be(l, path, key, n, NODE_INT) &&
	       check_least(l, path, key, n, (double)n->integer);
}

static bool check_number(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	if (n->type != NODE_INT && n->type != NODE_FLOAT)
		return wrong_type(l, path, n, key_type_name(key->type));
	return check_least(l, path, key, n, n->type == NODE_INT ? (double)n->integer : n->real);
}

static bool check_bool(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return must_be(l, path, key, n, NODE_BOOL);
}

static bool check_duration(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	char least[DURATION_MAX];
	usec_t t;

	if (!must_be(l, path, key, n, NODE_STRING))
		return false;
	if (!parse_duration(n->string, &t)) {
		path_error(l, path, n,
			"\"%s\" is no duration: numbers with ms, s, m, h or d, such as \"1h30m\"",
			n->string);
	} else if (t < (usec_t)key->least && key->least < USEC_MSEC) {
		path_error(l, path, n, "it must be longer than 0");
	} else if (t < (usec_t)key->least) {
		path_error(l, path, n, "\"%s\" is too short, at least %s", n->string,
			format_duration((usec_t)key->least, least));
	} else if (t > DURATION_MOST) {
		path_error(l, path, n, "\"%s\" is too long, at most 36500d", n->string);
	} else {
		return true;
	}
	return false;
}

static bool check_size(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	uint64_t size;

	if (n->type != NODE_STRING && n->type != NODE_INT)
		return wrong_type(l, path, n, key_type_name(key->type));
	if (n->type == NODE_INT)
		size = n->integer > 0 ? (uint64_t)n->integer : 0;
	else if (!parse_size(n->string, &size)) {
		path_error(
			l, path, n, "\"%s\" is no size: a number with KiB, MiB or GiB", n->string);
		return false;
	}
	if ((double)size >= key->least)
		return true;
	path_error(l, path, n, "it must be at least %g bytes", key->least);
	return false;
}

/* --- lists -------------------------------------------------------------------------------- */

static bool string_twice(const struct node *list, size_t i)
{
	const struct node *n = list->children[i];

	for (size_t k = 0; n->type == NODE_STRING && k < i; k++)
		if (list->children[k]->type == NODE_STRING &&
			strcmp(list->children[k]->string, n->string) == 0)
			return true;
	return false;
}

/* Checks each item and takes out what is of no use. */
static bool check_items(struct loader *l, const struct path *path, const struct key *key,
	struct node *n, enum key_type type, bool unique)
{
	struct key item = *key;
	size_t kept = 0;

	if (!must_be(l, path, key, n, NODE_LIST))
		return false;
	item.type = type;
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *child = n->children[i];
		bool keep = check_value(l, path, &item, child);

		n->children[kept] = child;
		if (keep && unique && string_twice(n, kept)) {
			path_error(l, path, child, "\"%s\" is in the list twice", child->string);
			keep = false;
		}
		if (keep)
			kept++;
		else
			node_free(child);
	}
	n->n_children = kept;
	return true;
}

static bool check_strings(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_STRING, false);
}

static bool check_templates(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_TEMPLATE, false);
}

static bool check_names(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_NAME, true);
}

static bool check_variables(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_VARIABLE, true);
}

static bool check_words(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_WORD, true);
}

static bool check_ints(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_INT, false);
}

/* --- groups ------------------------------------------------------------------------------- */

static bool check_one_group(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	if (!must_be(l, path, key, n, NODE_GROUP))
		return false;
	check_group(l, path, n, key->into);
	return true;
}

static void name_twice(struct loader *l, const struct path *path, const struct node *list, size_t i,
	const char *name)
{
	for (size_t k = 0; k < i; k++) {
		const char *other = node_string(list->children[k], "name");

		if (!other || strcmp(other, name) != 0)
			continue;
		path_error(l, path, list->children[i],
			"the name \"%s\" is given twice, first in line %u", name,
			list->children[k]->line);
		return;
	}
}

/* Each group of a list; with names, no two of the same. */
static bool check_groups(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	bool named = find_key(l, key->into, "name") != NULL;
	size_t kept = 0;

	if (!must_be(l, path, key, n, NODE_LIST))
		return false;
	if (key->required && n->n_children == 0)
		path_error(l, path, n, "it is empty: %s", key->doc);
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *child = n->children[i];
		const char *name = named ? node_string(child, "name") : NULL;
		char number[24];
		struct path below = {.up = path, .part = name ? name : number};

		snprintf(number, sizeof(number), "[%zu]", i);
		if (child->type != NODE_GROUP) {
			wrong_type(l, &below, child, "a group { ... }");
			node_free(child);
			continue;
		}
		n->children[kept++] = child;
		if (name)
			name_twice(l, path, n, kept - 1, name);
		check_group(l, &below, child, key->into);
	}
	n->n_children = kept;
	return true;
}

static bool is_pair(const struct node *n)
{
	return n->type == NODE_GROUP && n->n_children == 2 && node_string(n, "key") &&
	       node_get(n, "value");
}

static bool is_pair_list(const struct node *n)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (!is_pair(n->children[i]))
			return false;
	return n->type == NODE_LIST && n->n_children > 0;
}

/* ( { key = "2024"; value = 1; } ) becomes { 2024 = 1; }: libconfig's names begin with a letter. */
static void pairs_to_group(struct loader *l, const struct path *path, struct node *n)
{
	size_t kept = 0;

	n->type = NODE_GROUP;
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *pair = n->children[i], *value = node_get(pair, "value");
		const char *key = node_string(pair, "key");
		bool twice = false;

		for (size_t k = 0; k < kept; k++)
			twice = twice || strcmp(n->children[k]->key, key) == 0;
		if (twice) {
			path_error(l, path, pair, "the key \"%s\" is given twice", key);
			node_free(pair);
			continue;
		}
		free(value->key);
		value->key = xstrdup(key);
		if (pair->children[0] == value)
			pair->children[0] = pair->children[1];
		pair->n_children = 1; /* the key alone; the value is ours */
		node_free(pair);
		n->children[kept++] = value;
	}
	n->n_children = kept;
}

static void check_any(struct loader *l, const struct path *path, struct node *n);

static void check_any_child(struct loader *l, const struct path *path, struct node *n, size_t i)
{
	char number[24];
	struct path below = {.up = path, .part = n->key ? n->key : number};

	snprintf(number, sizeof(number), "[%zu]", i);
	check_any(l, &below, n);
}

/* A value of any shape; its strings are templates. */
static void check_any(struct loader *l, const struct path *path, struct node *n)
{
	if (is_pair_list(n))
		pairs_to_group(l, path, n);
	if (n->type == NODE_STRING)
		check_syntax(l, path, n);
	if (n->type == NODE_INT && (n->integer > EXACT_MOST || n->integer < -EXACT_MOST))
		path_error(l, path, n,
			"%" PRId64 " is beyond what JSON holds exactly: put it in quotes",
			n->integer);
	for (size_t i = 0; i < n->n_children; i++)
		check_any_child(l, path, n->children[i], i);
}

static bool check_free_value(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	struct key item = *key;

	if (key->item == KEY_STRING) {
		check_any(l, path, n);
		return true;
	}
	item.type = key->item;
	if (key->item == KEY_NAMES && n->type == NODE_LIST && n->n_children == 0) {
		path_error(l, path, n, "it is empty: it needs at least one value");
		return false;
	}
	return check_value(l, path, &item, n);
}

static bool check_free(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	size_t kept = 0;

	if (is_pair_list(n))
		pairs_to_group(l, path, n);
	else if (n->type == NODE_LIST && n->n_children == 0)
		n->type = NODE_GROUP;
	else if (n->type == NODE_LIST) {
		path_error(l, path, n,
			"must be a group { ... }, or a list of { key = \"...\"; value = ...; }");
		return false;
	}
	if (!must_be(l, path, key, n, NODE_GROUP))
		return false;
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *child = n->children[i];
		const struct path below = {.up = path, .part = child->key};

		if (key->names == NAMES_NAME)
			check_name_text(l, path, child, child->key);
		else if (key->names == NAMES_VARIABLE)
			check_variable_text(l, path, child, child->key);
		if (check_free_value(l, &below, key, child))
			n->children[kept++] = child;
		else
			node_free(child);
	}
	n->n_children = kept;
	return true;
}

/* --- narrowing, and values of several shapes ---------------------------------------------- */

static bool check_only(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	const struct key one = {.section = key->section, .type = KEY_NAME};
	const struct key list = {.section = key->section, .type = KEY_NAMES};
	size_t kept = 0;

	if (!must_be(l, path, key, n, NODE_GROUP))
		return false;
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *child = n->children[i];
		const struct path below = {.up = path, .part = child->key};

		if (check_value(l, &below, child->type == NODE_LIST ? &list : &one, child))
			n->children[kept++] = child;
		else
			node_free(child);
	}
	n->n_children = kept;
	return true;
}

static bool check_onlys(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return check_items(l, path, key, n, KEY_ONLY, false);
}

/* A string, a group of `into`, or a list of these. */
static bool check_either(
	struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	size_t kept = 0;

	if (n->type == NODE_STRING) {
		check_syntax(l, path, n);
		return true;
	}
	if (n->type == NODE_GROUP && key->into) {
		check_group(l, path, n, key->into);
		return true;
	}
	if (n->type != NODE_LIST)
		return wrong_type(l, path, n,
			key->into ? "a string, a group or a list of these"
				  : "a string or a list of strings");
	for (size_t i = 0; i < n->n_children; i++) {
		struct node *child = n->children[i];
		char number[24];
		struct path below = {.up = path, .part = number};
		bool keep = child->type == NODE_STRING || (child->type == NODE_GROUP && key->into);

		snprintf(number, sizeof(number), "[%zu]", i);
		if (keep)
			check_either(l, &below, key, child);
		else
			wrong_type(
				l, &below, child, key->into ? "a string or a group" : "a string");
		if (keep)
			n->children[kept++] = child;
		else
			node_free(child);
	}
	n->n_children = kept;
	return true;
}

static value_check *const checks[KEY_TYPES] = {
	[KEY_STRING] = check_string,
	[KEY_TEMPLATE] = check_template,
	[KEY_NAME] = check_name,
	[KEY_BOOL] = check_bool,
	[KEY_INT] = check_int,
	[KEY_NUMBER] = check_number,
	[KEY_DURATION] = check_duration,
	[KEY_CRON] = check_string,
	[KEY_ZONE] = check_string,
	[KEY_STRINGS] = check_strings,
	[KEY_TEMPLATES] = check_templates,
	[KEY_WORD] = check_word,
	[KEY_WORDS] = check_words,
	[KEY_INTS] = check_ints,
	[KEY_GROUP] = check_one_group,
	[KEY_GROUPS] = check_groups,
	[KEY_FREE] = check_free,
	[KEY_ANY] = check_either,
	[KEY_NAMES] = check_names,
	[KEY_VARIABLE] = check_variable,
	[KEY_VARIABLES] = check_variables,
	[KEY_SIZE] = check_size,
	[KEY_ONLY] = check_only,
	[KEY_ONLYS] = check_onlys,
};

bool check_value(struct loader *l, const struct path *path, const struct key *key, struct node *n)
{
	return checks[key->type](l, path, key, n);
}
