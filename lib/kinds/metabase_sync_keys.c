/* The keys of a metabase_sync step. */
#include "base/cleanup.h"
#include "kinds/kind_table.h"

const struct key metabase_sync_keys[METABASE_SYNC_KEYS] = {
	{.section = "metabase_sync",
		.name = "databases",
		.type = KEY_ANY,
		.required = true,
		.into = "metabase_database",
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

	{.section = "metabase_database",
		.name = "names",
		.type = KEY_ANY,
		.required = true,
		.doc = "the names of databases in Metabase, one or a list"},
	{.section = "metabase_database",
		.name = "target",
		.type = KEY_TEMPLATE,
		.doc = "the matrix value `target` whose tables these databases hold"},
	{.section = "metabase_database",
		.name = "rename",
		.type = KEY_FREE,
		.doc = "schemas as they are built, each with the name under which it is served"},
	{.section = "metabase_database",
		.name = "conninfo",
		.type = KEY_TEMPLATE,
		.doc = "a libpq connection string, to look at the warehouse itself"},
};
