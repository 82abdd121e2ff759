/* Configurations for tests: JSON with ' in place of ", loaded with the real table of kinds. */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/complaint.h"
#include "base/json.h"
#include "base/memory.h"
#include "kinds/kind.h"
#include "spec/spec.h"

/* Any zone but those in Nowhere/ is UTC without a name. */
static int help_zone_bytes(void *context, const char *name, void **ret, size_t *ret_len)
{
	static const char tzif[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\1\0\0\0\4"
				   "\0\0\0\0\0\0UTC\0"
				   "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\1\0\0\0\4"
				   "\0\0\0\0\0\0UTC\0"
				   "\nUTC0\n";

	if (strncmp(name, "Nowhere/", 8) == 0)
		return -ENOENT;
	*ret = xmemdup(tzif, sizeof(tzif) - 1);
	*ret_len = sizeof(tzif) - 1;
	return 0;
}

static inline struct spec_world help_world(void)
{
	struct spec_world w = {.zone_bytes = help_zone_bytes};

	w.kinds = kind_specs(&w.n_kinds);
	return w;
}

static inline struct node *help_tree(const char *text)
{
	_cleanup_free_ char *json_text = xstrdup(text);
	_cleanup_json_ cJSON *json = NULL;

	for (char *s = json_text; *s; s++)
		if (*s == '\'')
			*s = '"';
	if (json_parse(json_text, strlen(json_text), &json) < 0)
		fail_msg("the test's own JSON is wrong: %s", json_text);
	return node_from_json(json, "test.conf");
}

static inline void help_print(const struct complaints *c)
{
	for (size_t i = 0; i < c->n; i++) {
		_cleanup_free_ char *text = complaint_text(&c->items[i]);

		print_message("  %s\n", text);
	}
}

/* The configuration, which must be right. */
static inline struct spec *help_load_in(const struct spec_world *w, const char *text)
{
	_cleanup_(complaints_fini) struct complaints c = {0};
	_cleanup_node_ struct node *tree = help_tree(text);
	struct spec *spec = NULL;

	if (spec_load(tree, w, &c, &spec) < 0) {
		help_print(&c);
		fail_msg("this must load: %s", text);
	}
	return spec;
}

static inline struct spec *help_load(const char *text)
{
	struct spec_world w = help_world();

	return help_load_in(&w, text);
}

/* A file below tests/data; the caller frees. */
static inline char *help_file(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", TEST_DATA, name);
	FILE *f = fopen(path, "r");
	char *text = xcalloc(1, 65536);

	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}
