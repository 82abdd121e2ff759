/* What error messages of dbt say: the useful line, and whether a retry may help. */
#include "unit.h"
#include <stdlib.h>
#include "base/cleanup.h"
#include "kinds/dbt_message.h"

static void messages_fall_into_their_classes(void **state)
{
	static const struct {
		enum dbt_class class;
		const char *message;
	} table[] = {
		/* PostgreSQL, worth a retry */
		{DBT_CLASS_TRANSIENT, "could not connect to server: Connection refused"},
		{DBT_CLASS_TRANSIENT,
			"Database Error\n  connection to server at \"127.0.0.1\", port 5432 "
			"failed: "
			"Connection refused\n  \tIs the server running on that host?"},
		{DBT_CLASS_TRANSIENT, "connection to server on socket \"/run/x\" failed: No such "
				      "file or directory"},
		{DBT_CLASS_TRANSIENT, "connection to server at \"db\" failed: timeout expired"},
		{DBT_CLASS_TRANSIENT, "Connection reset by peer"},
		{DBT_CLASS_TRANSIENT, "Database Error in model slow (models/slow.sql)\n  server "
				      "closed the connection "
				      "unexpectedly\n  \tThis probably means"},
		{DBT_CLASS_TRANSIENT, "SSL SYSCALL error: EOF detected"},
		{DBT_CLASS_TRANSIENT, "SSL connection has been closed unexpectedly"},
		{DBT_CLASS_TRANSIENT, "terminating connection due to administrator command"},
		{DBT_CLASS_TRANSIENT, "connection already closed"},
		{DBT_CLASS_TRANSIENT, "deadlock detected\n  DETAIL: Process 1 waits"},
		{DBT_CLASS_TRANSIENT, "could not serialize access due to concurrent update"},
		{DBT_CLASS_TRANSIENT, "canceling statement due to lock timeout"},
		{DBT_CLASS_TRANSIENT, "connection to server at \"db\" failed: FATAL:  sorry, too "
				      "many clients already"},
		{DBT_CLASS_TRANSIENT, "remaining connection slots are reserved"},
		{DBT_CLASS_TRANSIENT, "the database system is starting up"},
		{DBT_CLASS_TRANSIENT, "the database system is shutting down"},
		{DBT_CLASS_TRANSIENT, "the database system is in recovery mode"},
		{DBT_CLASS_TRANSIENT, "could not translate host name \"db\" to address"},
		{DBT_CLASS_CAPPED, "canceling statement due to statement timeout"},
		{DBT_CLASS_CAPPED, "could not extend file \"base/1\": No space left on device"},
		{DBT_CLASS_CAPPED, "out of memory\n  DETAIL: Failed on request"},
		/* BigQuery, worth a retry */
		{DBT_CLASS_TRANSIENT, "Exceeded rate limits: too many table update operations"},
		{DBT_CLASS_TRANSIENT, "403 POST https://x: rateLimitExceeded"},
		{DBT_CLASS_TRANSIENT, "reason: backendError"},
		{DBT_CLASS_TRANSIENT, "reason: internalError"},
		{DBT_CLASS_TRANSIENT, "badGateway"},
		{DBT_CLASS_TRANSIENT, "429 POST https://bigquery/x: slow down"},
		{DBT_CLASS_TRANSIENT, "500 GET https://bigquery/x: oops"},
		{DBT_CLASS_TRANSIENT, "502 Bad Gateway"},
		{DBT_CLASS_TRANSIENT, "Error: status code: 503"},
		{DBT_CLASS_TRANSIENT, "Retrying the job with back-off may solve the problem"},
		{DBT_CLASS_TRANSIENT, "Could not serialize access to table t"},
		{DBT_CLASS_TRANSIENT, "('Connection aborted.', ConnectionResetError(104))"},
		/* others */
		{DBT_CLASS_TRANSIENT, "IO Error: Could not set lock on file \"/x.duckdb\": "
				      "Conflicting lock is held"},
		{DBT_CLASS_TRANSIENT,
			"External connection exception occurred: HTTPSConnectionPool: Failed to "
			"establish a new connection: [Errno 111]"},
		/* never */
		{DBT_CLASS_PERMANENT, "Compilation Error in model x (y.sql)\n  no good"},
		{DBT_CLASS_PERMANENT, "Parsing Error\n  at path []: connection refused"},
		{DBT_CLASS_PERMANENT, "This model has an enforced contract that failed."},
		{DBT_CLASS_PERMANENT, "relation \"lab.missing\" does not exist"},
		{DBT_CLASS_PERMANENT, "column \"wl_id\" does not exist"},
		{DBT_CLASS_PERMANENT, "permission denied for table t"},
		{DBT_CLASS_PERMANENT, "connection to server at \"db\" failed: FATAL:  password "
				      "authentication failed "
				      "for user \"x\""},
		{DBT_CLASS_PERMANENT, "Resources exceeded during query execution"},
		{DBT_CLASS_PERMANENT, "Quota exceeded: your project exceeded quota"},
		{DBT_CLASS_PERMANENT, "Access Denied: Project x"},
		{DBT_CLASS_PERMANENT, "Not found: Table p:d.t was not found"},
		{DBT_CLASS_PERMANENT, "Syntax error: Expected end of input"},
		/* not seen before */
		{DBT_CLASS_UNKNOWN, "division by zero"},
		{DBT_CLASS_UNKNOWN, "value 500 is out of range for 503 rows"},
		{DBT_CLASS_UNKNOWN, "Got 429 results, configured to fail if != 0"},
		{DBT_CLASS_UNKNOWN, ""},
		{DBT_CLASS_UNKNOWN, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (dbt_message_class(table[i].message) != table[i].class)
			fail_msg("class of: %s", table[i].message);
}

static void the_useful_line_is_found(void **state)
{
	static const struct {
		const char *message, *line;
	} table[] = {
		{"Database Error in model m (models/m.sql)\n  column \"wl_id\" does not exist\n  "
		 "LINE "
		 "12:     select wl_id\n  compiled code at /x",
			"column \"wl_id\" does not exist"},
		{"Runtime Error in model m (m.sql)\n  Binder Error: Referenced column \"x\" not "
		 "found",
			"Binder Error: Referenced column \"x\" not found"},
		{"Runtime Error in model m (m.sql)\n  Database Error\n    connection refused",
			"connection refused"},
		{"Compilation Error in model rt (models/rt.sql)\n  no good",
			"Compilation Error: no good"},
		{"lab.on-run-start.0 failed, error:\n division by zero", "division by zero"},
		{"Got 1 result, configured to fail if != 0",
			"Got 1 result, configured to fail if != 0"},
		{"\n\nactual differs from expected:\n\n@@ ,wl_id\r\n+++,1\r\n---,2\r\n\n",
			"actual differs from expected: @@ ,wl_id +++,1 ---,2"},
		{"Runtime Error\n  The valid target names are:\n   - a\n   - b",
			"The valid target names are: - a - b"},
		{"Database Error", "Database Error"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *line = dbt_message_line(table[i].message);

		assert_non_null(line);
		assert_string_equal(line, table[i].line);
	}
	assert_null(dbt_message_line(NULL));
	assert_null(dbt_message_line(" \n\t\r\n"));
}

static void the_header_can_be_kept(void **state)
{
	_cleanup_free_ char *line = dbt_message_line_with_header(
		"Compilation Error in model bad (models/bad.sql)\n  unexpected '}', expected ')'\n"
		"    line 1");

	assert_string_equal(line, "Compilation Error in model bad (models/bad.sql): "
				  "unexpected '}', expected ')'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_fall_into_their_classes),
		cmocka_unit_test(the_useful_line_is_found),
		cmocka_unit_test(the_header_can_be_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
