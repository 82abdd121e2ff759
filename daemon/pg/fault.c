/* What an SQLSTATE means for us. */
#include <stdio.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/text.h"
#include "daemon/pg/fault.h"

/* The first prefix that fits. */
static const struct {
	const char *prefix;
	enum pg_fault fault;
} faults[] = {
	{"NJ001", PG_FENCED},
	{"NJ002", PG_RACED},
	{"08", PG_LOST},     /* connection exceptions */
	{"25006", PG_LOST},  /* read only: the old primary */
	{"25P03", PG_LOST},  /* idle in transaction for too long */
	{"26000", PG_LOST},  /* a prepared statement that is gone: so is the session */
	{"42P05", PG_LOST},  /* ... or one of somebody else */
	{"40", PG_AGAIN},    /* deadlock, serialization */
	{"55P03", PG_AGAIN}, /* lock timeout */
	{"57014", PG_AGAIN}, /* statement timeout */
	{"57P", PG_LOST},    /* shutdown, crash, starting up */
	{"22", PG_DATA},
	{"23", PG_DATA},
	{"54", PG_DATA},
	{"53", PG_FULL},
};

enum pg_fault pg_fault_of(const char *sqlstate)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		if (str_starts(sqlstate, faults[i].prefix))
			return faults[i].fault;
	return PG_WRONG;
}

void pg_error_set(struct pg_error *error, enum pg_fault fault, const char *message)
{
	size_t len = message ? strlen(message) : 0;
	char *line;

	while (len > 0 && (message[len - 1] == '\n' || message[len - 1] == ' '))
		len--;
	line = text_one_line(message ? message : "", len, PG_MESSAGE_MAX - 8);
	error->fault = fault;
	error->sqlstate[0] = '\0';
	snprintf(error->message, sizeof(error->message), "%s", line);
	free(line);
}

void pg_error_from_result(struct pg_error *error, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	/* The detail is left out: it may quote the row. */
	pg_error_set(error, state ? pg_fault_of(state) : PG_LOST,
		message ? message : PQresultErrorMessage(res));
	snprintf(error->sqlstate, sizeof(error->sqlstate), "%s", state ? state : "");
}
