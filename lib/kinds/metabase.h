/* What is wanted of a Metabase: the lane that proves syncs and looks things up.
 *
 *   proof       the sync's task and its sub-steps ended well, and every expected table and column
 *               is there, active and complete
 */
#pragma once
#include "kinds/lane.h"

extern const struct lane_kind lane_metabase;

struct metabase_table {
	char *schema, *name;
	char **columns; /* that must be there as well; NULL: none */
};

struct metabase_database {
	char *name;		       /* NULL: by id */
	int64_t id;		       /* where name is NULL */
	struct metabase_table *tables; /* expected; none: the sync alone is the proof */
	size_t n_tables;
	usec_t usual; /* how long a sync of it usually takes; 0: unknown */
};

/* An object that Metabase may have. */
struct metabase_thing {
	const char *type; /* "database", "collection", "card", "dashboard", "permissions_group" */
	char *name;
};

/* Served with `ok`, `not_ready` (the timeout is over; the reason names the missing tables),
 * `transient` (Metabase is away, or cannot sync a database) or `failed` (no such database, not
 * allowed). A `look` is served with `ok` whatever it found: a database that is not there has the
 * state `failed`.
 * result: {"databases":[{"name","id","state":"proved|waiting|failed","reason","since" (trigger),
 *  "ended_at","tables" (how many are there),"expected","missing":["schema.table"],
 *  "user" (the role that Metabase connects as, or null),"engine"}],
 *  "found":[{"type","name","id"}]} */
struct metabase_want {
	char *url;			     /* without /api */
	char *api_key, *username, *password; /* the key first; NULL: the others */
	usec_t timeout;			     /* from the join */
	bool look; /* trigger nothing: say what is there now, of `databases` and `things` */
	bool all;  /* every database but the sample one */
	/* With `all`: each is to be in at least one of them. */
	struct metabase_table *anywhere;
	size_t n_anywhere;
	struct metabase_database *databases;
	size_t n_databases;
	struct metabase_thing *things;
	size_t n_things;
};
/* Who is asked, and as whom: from the metabase of the step's environment. In a kind's `join` only,
 * where secrets can be had. 0, or negative with a sentence. */
int metabase_want_from(
	const struct kind_context *ctx, struct metabase_want *want, char **ret_error);
/* Wiped and freed. */
void metabase_want_free(void *want);
void metabase_tables_free(struct metabase_table *tables, size_t n);
/* lane_want.key: one lane for each Metabase and who asks it. The caller frees. */
char *metabase_key(const struct metabase_want *want);
