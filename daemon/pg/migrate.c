/* The schema, brought up to what this daemon knows.
 *
 * Happy path: ask for the version; run each missing migration in a transaction of its own that
 * takes a lock first; ask again until nothing is missing; learn the columns; go on to the leader
 * row. Failures: another daemon was quicker (NJ002): ask again; a newer schema than this daemon
 * knows, or an error: said by name, and tried again slowly. */
#include <stdlib.h>
#include "base/memory.h"
#include "daemon/pg/internal.h"
#include "daemon/pg/migrations.h"

#define MIGRATION_PATIENCE (120 * USEC_SEC)

static void ask_exists(struct pg *pg);
static void ask_version(struct pg *pg);

static bool columns_send(struct pg_request *r, PGconn *db)
{
	return pg_send(db, pg_schema_sql, 0, NULL);
}

static void columns_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, migration);

	pg_schema_learn(&pg->schema, res);
}

static void columns_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, migration);

	if (error)
		pg_chain_failed(pg, "cannot read the schema", error);
	else
		pg_leader_enter(pg);
}

static void learn_columns(struct pg *pg)
{
	pg->migration = (struct pg_request){
		.send = columns_send, .result = columns_result, .end = columns_end};
	pg_connection_submit(&pg->write, &pg->migration);
}

static void migrated(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, migration);

	free(TAKE_PTR(pg->migration_text));
	if (error && error->fault != PG_RACED)
		pg_chain_failed(pg, "cannot make the schema", error);
	else
		ask_exists(pg);
}

/* The lock is an arbitrary number, the same in all versions. */
static void migrate(struct pg *pg, int version)
{
	pg->migration_text = xasprintf(
		"BEGIN;\n"
		"SET LOCAL statement_timeout = 0;\n"
		"SET LOCAL lock_timeout = 0;\n"
		"SELECT pg_advisory_xact_lock(5642119732);\n"
		"DO $guard$ DECLARE v int := 0; BEGIN\n"
		" IF to_regclass('nightjar.migration') IS NOT NULL THEN\n"
		"  SELECT coalesce(max(version), 0) INTO v FROM nightjar.migration;\n"
		" END IF;\n"
		" IF v <> %d THEN RAISE 'migrated meanwhile' USING ERRCODE = 'NJ002'; END IF;\n"
		"END $guard$;\n"
		"%s\n;"
		"INSERT INTO nightjar.migration (version) VALUES (%d);\n"
		"COMMIT",
		version - 1, pg_migrations[version - 1], version);
	pg->migration = (struct pg_request){
		.simple = pg->migration_text, .end = migrated, .patience = MIGRATION_PATIENCE};
	pg_connection_submit(&pg->write, &pg->migration);
}

static void version_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, migration);

	if (PQntuples(res) == 1)
		pg->version = atoi(PQgetvalue(res, 0, 0));
}

static void version_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, migration);

	if (error)
		pg_chain_failed(pg, "cannot read the schema's version", error);
	else if (pg->version > (int)pg_n_migrations)
		pg_refuse(pg,
			"the schema nightjar is at version %d, this daemon knows %zu: it is older "
			"than "
			"the schema and stays out",
			pg->version, pg_n_migrations);
	else if (pg->version < (int)pg_n_migrations)
		migrate(pg, pg->version + 1);
	else
		learn_columns(pg);
}

static bool version_send(struct pg_request *r, PGconn *db)
{
	return pg_send(db, "SELECT coalesce(max(version), 0) FROM nightjar.migration", 0, NULL);
}

static void ask_version(struct pg *pg)
{
	pg->migration = (struct pg_request){
		.send = version_send, .result = version_result, .end = version_end};
	pg_connection_submit(&pg->write, &pg->migration);
}

static bool exists_send(struct pg_request *r, PGconn *db)
{
	return pg_send(db, "SELECT (to_regclass('nightjar.migration') IS NOT NULL)::int", 0, NULL);
}

static void exists_end(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, migration);

	if (error) {
		pg_chain_failed(pg, "cannot look for the schema", error);
	} else if (pg->version) {
		ask_version(pg);
	} else {
		migrate(pg, 1);
	}
}

static void ask_exists(struct pg *pg)
{
	pg->version = 0;
	pg->migration = (struct pg_request){
		.send = exists_send, .result = version_result, .end = exists_end};
	pg_connection_submit(&pg->write, &pg->migration);
}

void pg_migrate(struct pg *pg)
{
	pg->state = PG_MIGRATE;
	ask_exists(pg);
}
