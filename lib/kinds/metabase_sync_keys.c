/* The keys of a metabase_sync step. */
#include "base/cleanup.h"
#include "kinds/kind_table.h"

const struct key metabase_sync_keys[METABASE_SYNC_KEYS] = {
	{.section = "metabase_sync",
		.name = "databases",
		.type = KEY_ANY,
		.required = true,
		.doc = "a name, a list of names, \"*\" for all but the sample database, or groups "
		       "{ names; target; rename; conninfo; }"},
	{.section = "metabase_sync",
		.name = "tables",
		.type = KEY_ANY,
		.fallback = "none: the sync alone is the proof",
		.doc = "\"changed\" (what the dbt cells it needs have built), or a list of "
		       "\"schema.table\""},
	{.section = "metabase_sync",
		.name = "columns",
		.type = KEY_ANY,
		.doc = "a list of \"schema.table.column\" that must be there as well"},
};
