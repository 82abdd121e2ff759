/* What a metabase_sync step asks for, once its templates are expanded. */
#pragma once
#include "kinds/metabase.h"

struct sync_group {
	char **names;		       /* of databases, NULL-terminated */
	bool all;		       /* every database but the sample one; names is empty then */
	char *conninfo;		       /* NULL: none */
	struct metabase_table *tables; /* expected in each (`all`: in at least one) */
	size_t n_tables;
};

struct sync_plan {
	struct sync_group *groups;
	size_t n_groups;
};

/* Reads the step's parameters, with its secrets: in `join` and `query` only. 0, or negative with a
 * sentence. */
int sync_plan_read(const struct kind_context *ctx, struct sync_plan *ret, char **ret_error);
void sync_plan_fini(struct sync_plan *plan);
#define _cleanup_plan_ _cleanup_(sync_plan_fini)
/* Into a want that has none yet: each database once, with all that is expected of it. */
void sync_plan_databases(
	const struct sync_plan *plan, const struct kind_context *ctx, struct metabase_want *want);

/* How many groups have a conninfo, without expanding anything. */
size_t sync_plan_n_warehouses(const struct node *params);

/* --- metabase_sync_warehouse.c ------------------------------------------------------------ */

/* The query about the `index`th group with a conninfo. `databases`: as in a lane's result, for the
 * roles that Metabase connects as. */
int sync_warehouse_query(const struct sync_plan *plan, size_t index, const cJSON *databases,
	struct kind_query *ret, char **ret_error);
/* NULL: everything expected is there and may be read. Else a sentence, which the caller frees, with
 * the statements that mend it in *ret_mend (NULL: nothing that can be granted). */
char *sync_warehouse_verdict(const cJSON *answer, const struct mask_set *mask, char **ret_mend);
