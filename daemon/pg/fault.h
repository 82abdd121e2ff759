/* What an error of the server means for us. */
#pragma once
#include <libpq-fe.h>

enum pg_fault {
	PG_LOST,   /* the connection is gone, or of no use: connect again, then replay */
	PG_AGAIN,  /* a deadlock, a lock or statement timeout: the same once more */
	PG_DATA,   /* what was sent: one unit is bad */
	PG_FENCED, /* another epoch */
	PG_RACED,  /* another daemon has just migrated */
	PG_FULL,   /* too many connections, no disk: slowly again */
	PG_WRONG,  /* rights, schema, configuration: a person is needed; slowly again */
};

#define PG_MESSAGE_MAX 512
struct pg_error {
	enum pg_fault fault;
	char sqlstate[6]; /* "" without one */
	char message[PG_MESSAGE_MAX];
};

enum pg_fault pg_fault_of(const char *sqlstate);
void pg_error_from_result(struct pg_error *error, const PGresult *res);
/* `message` in one line. */
void pg_error_set(struct pg_error *error, enum pg_fault fault, const char *message);
