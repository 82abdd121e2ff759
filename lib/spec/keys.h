/* The one table that describes every key: where it is allowed, its type, its default, one line of
 * doc. The checks, the error messages, "did you mean" and nightjar.conf(5) come from it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum key_type {
	KEY_STRING,
	KEY_TEMPLATE, /* a string with ${...} */
	KEY_NAME,     /* name_is_valid() */
	KEY_BOOL,
	KEY_INT,    /* at least `least`, at most `most` */
	KEY_NUMBER, /* an integer or a float, with the same bounds */
	KEY_DURATION,
	KEY_CRON,
	KEY_ZONE,
	KEY_STRINGS, /* a list of strings */
	KEY_TEMPLATES,
	KEY_WORD,  /* one of `words` */
	KEY_WORDS, /* a list of them */
	KEY_INTS,
	KEY_GROUP,  /* a group of the section `section` */
	KEY_GROUPS, /* a list of such groups */
	KEY_FREE,   /* a group with free keys, or a list of { key; value; } */
	/* a string, a list of strings, or (with `into`) a group or groups of that section; what it
	 * is not, the doc says and the code checks */
	KEY_ANY,
	KEY_NAMES,    /* a list of names */
	KEY_VARIABLE, /* variable_is_valid() */
	KEY_VARIABLES,
	KEY_SIZE,  /* "64MiB"; a whole number is bytes */
	KEY_ONLY,  /* a group of dimension = value, or of a list of values */
	KEY_ONLYS, /* a list of such groups */
	KEY_TYPES,
};

/* What the keys of a free group must look like. */
enum key_names {
	NAMES_ANY,
	NAMES_NAME,	/* name_is_valid() */
	NAMES_VARIABLE, /* variable_is_valid() */
};

struct key {
	const char *section; /* "", "job", "stage", "step", "dbt", "retry", ... */
	const char *name;
	enum key_type type;
	const char *fallback; /* the default as text, for the doc; NULL: none */
	bool required;
	double least, most;	  /* most 0: as much as there is room for */
	const char *const *words; /* NULL-terminated */
	const char *into;	  /* KEY_GROUP(S): the section of what is inside */
	const char *doc;	  /* one line */
	/* KEY_FREE: the type of the values. Left out: any value, its strings are templates. */
	enum key_type item;
	enum key_names names;
	/* Of a step kind: it may refer to secrets even where the others become arguments. */
	bool secret;
};

/* What lib/spec needs to know of a step kind. `keys` is NULL for `run` and `shell`, whose value
 * is a list of strings and a string. */
struct spec_kind {
	const char *name;
	enum key_type value; /* KEY_TEMPLATES (run), KEY_TEMPLATE (shell), KEY_GROUP */
	const char *doc;
	const struct key *keys;
	size_t n_keys;
	/* Its values may refer to secrets, because none of them becomes an argument of a process.
	 */
	bool takes_secrets;
	/* Its machine asks the environment's Metabase: the secrets of that are its own, too. */
	bool asks_metabase;
};

/* The fixed part of the table: section by section, keys in the order in which a person would write
 * them. The section of a step kind is in its struct spec_kind. */
const struct key *spec_keys(size_t *ret_n);
/* "a duration such as \"1h30m\"": what a value of that type is, for messages and the man page. */
const char *key_type_name(enum key_type type);
/* "a job", "a stage", "the store": what a section is, for messages. */
const char *spec_section_name(const char *section);
