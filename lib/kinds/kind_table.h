/* The kinds of the table in kind.c, each in a file of its own, and their key tables. */
#pragma once
#include "kinds/kind.h"

extern const struct kind kind_run, kind_shell, kind_dbt;
extern const struct kind kind_metabase_sync, kind_terraform, kind_http;

enum {
	DBT_KEYS = 13,
	METABASE_SYNC_KEYS = 7,
	TERRAFORM_KEYS = 9,
	HTTP_KEYS = 7,
};
extern const struct key dbt_keys[DBT_KEYS];
extern const struct key metabase_sync_keys[METABASE_SYNC_KEYS];
extern const struct key terraform_keys[TERRAFORM_KEYS];
extern const struct key http_keys[HTTP_KEYS];

/* Said once, here: the kind itself and the flat table of kind_specs() both need it. */
#define SPEC_RUN                                                                                   \
	{                                                                                          \
		.name = "run", .value = KEY_TEMPLATES,                                             \
		.doc = "a program and its arguments; without a slash sought in the step's PATH"    \
	}
#define SPEC_SHELL                                                                                 \
	{                                                                                          \
		.name = "shell", .value = KEY_TEMPLATE, .doc = "a text that /bin/sh runs"          \
	}
#define SPEC_DBT                                                                                   \
	{                                                                                          \
		.name = "dbt", .value = KEY_GROUP, .keys = dbt_keys, .n_keys = DBT_KEYS,           \
		.doc = "a dbt command; its models and tests are followed one by one"               \
	}
#define SPEC_METABASE_SYNC                                                                         \
	{                                                                                          \
		.name = "metabase_sync", .value = KEY_GROUP, .takes_secrets = true,                \
		.asks_metabase = true, .keys = metabase_sync_keys, .n_keys = METABASE_SYNC_KEYS,   \
		.doc = "has Metabase read schemas anew and waits for the proof"                    \
	}
#define SPEC_TERRAFORM                                                                             \
	{                                                                                          \
		.name = "terraform", .value = KEY_GROUP, .asks_metabase = true,                    \
		.keys = terraform_keys, .n_keys = TERRAFORM_KEYS,                                  \
		.doc = "init, plan and, if asked, apply of a directory"                            \
	}
#define SPEC_HTTP                                                                                  \
	{                                                                                          \
		.name = "http", .value = KEY_GROUP, .takes_secrets = true, .keys = http_keys,      \
		.n_keys = HTTP_KEYS, .doc = "one HTTP call and what its answer must be"            \
	}
