/* Rows to SQL: one statement for each table and set of columns, over all such rows of a batch.
 *
 * A row's JSON goes to the server as it is; here only its keys are read. Rows of one key are
 * melted into one first (in jsonb the last of two same keys counts), so that no statement meets a
 * row twice. A set that lacks a column which must not be NULL becomes an UPDATE: PostgreSQL looks
 * at the row that it would insert before it looks for a conflict. */
#pragma once
#include <libpq-fe.h>
#include "base/buf.h"
#include "core/ports.h"

#define PG_COLUMNS_MAX 64

struct pg_table {
	struct pg_column {
		char *name;
		bool required; /* not NULL, and no default */
	} columns[PG_COLUMNS_MAX];
	unsigned n;
	uint64_t key, required; /* masks */
};

struct pg_prepared {
	enum store_table table;
	uint64_t columns;
	bool ready; /* in this session */
	bool is_update;
	char name[40];
};

struct pg_schema {
	struct pg_table tables[STORE_TABLES];
	struct pg_prepared *prepared;
	size_t n, cap;
	bool basics; /* begin, fence and commit are prepared */
};

/* Gives table, column, required, in key; ordered. */
extern const char pg_schema_sql[];
void pg_schema_learn(struct pg_schema *s, const PGresult *res);
/* Of a new session: nothing is prepared. */
void pg_schema_reset(struct pg_schema *s);
void pg_schema_fini(struct pg_schema *s);

/* One transaction. */
struct pg_item {
	const struct store_row *row;
	enum store_table table;
	uint64_t columns;
	char *melted; /* NULL: the row's own JSON */
	bool sent;
};

struct pg_command {
	enum pg_command_type {
		COMMAND_OTHER,
		COMMAND_BASICS,
		COMMAND_PREPARE,
		COMMAND_ROWS,
	} type;
	size_t prepared; /* index: the array may move */
	size_t rows;
};

struct pg_batch {
	struct pg_item *items;
	size_t n, cap;
	size_t bytes;
	size_t *index; /* of items, by hash of table and key; 0: empty, else 1 + item */
	size_t index_cap;
	struct pg_command *commands; /* as sent */
	size_t n_commands, commands_cap;
};

void pg_batch_clear(struct pg_batch *b);
void pg_batch_fini(struct pg_batch *b);
/* NULL, or why the unit cannot be written at all (the caller frees); nothing was added then. The
 * unit stays the caller's, and alive. */
char *pg_batch_add(struct pg_batch *b, const struct pg_schema *s, const struct store_unit *unit);
/* Queues begin, fence, rows and commit. false when libpq would not. */
bool pg_batch_send(struct pg_batch *b, struct pg_schema *s, PGconn *db, uint64_t epoch);
/* The result of the index-th statement: false when fewer rows were there than should be updated. */
bool pg_batch_result(struct pg_batch *b, struct pg_schema *s, unsigned index, const PGresult *res);
