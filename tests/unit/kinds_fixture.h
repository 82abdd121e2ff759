/* A kind_context without a core: templates know ${matrix.X} and no secret. */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "kinds/kind.h"
#include "spec/template.h"

#ifndef TEST_DATA
#define TEST_DATA "tests/data"
#endif

static int fixture_lookup(
	void *context, const char *scope, const char *name, char **ret_value, char **ret_error)
{
	if (str_eq(scope, "matrix")) {
		*ret_value = xasprintf("the-%s", name);
		return 0;
	}
	*ret_error = xasprintf("${%s.%s} cannot be had here", scope, name);
	return -ENOENT;
}

static inline int fixture_expand(
	const struct kind_context *ctx, const char *text, char **ret, char **ret_error)
{
	return template_expand(text, fixture_lookup, NULL, ret, ret_error);
}

static inline int fixture_expand_tree(
	const struct kind_context *ctx, const struct node *in, struct node **ret, char **ret_error)
{
	return template_expand_tree(in, fixture_lookup, NULL, ret, ret_error);
}

static const int64_t fixture_ok_codes[] = {0};

static inline struct kind_context fixture_context(const struct node *params)
{
	return (struct kind_context){
		.params = params,
		.attempt_directory = "/state/actions/R/0/0.1",
		.attempt = 1,
		.ok_codes = fixture_ok_codes,
		.n_ok_codes = 1,
		.timeout = USEC_HOUR,
		.expand = fixture_expand,
		.expand_tree = fixture_expand_tree,
	};
}

static inline struct node *fixture_params(const char *json)
{
	_cleanup_json_ cJSON *value = cJSON_Parse(json);

	assert_non_null(value);
	return node_from_json(value, NULL);
}

static inline void command_fini(struct kind_command *c)
{
	free(c->lock);
	free(c->reason);
	cJSON_Delete(c->note);
	cJSON_Delete(c->rows);
}
#define _cleanup_command_ _cleanup_(command_fini)

/* NULL when there is no such file. The caller frees. */
static inline char *fixture_file(const char *name, size_t *ret_len)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", TEST_DATA, name);
	FILE *f = fopen(path, "re");
	char *data;
	long len;

	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	data = xmalloc((size_t)len + 1);
	*ret_len = fread(data, 1, (size_t)len, f);
	data[*ret_len] = '\0';
	fclose(f);
	return data;
}
