/* What an error message of dbt says: the line worth reading, and whether a retry may help. */
#pragma once

enum dbt_class {
	DBT_CLASS_UNKNOWN,   /* not seen before: as permanent */
	DBT_CLASS_PERMANENT, /* the same again will fail again */
	DBT_CLASS_TRANSIENT, /* lost connections, deadlocks, servers that are busy or starting */
	/* Statement timeouts, full disks, no memory: what else runs decides. Worth a retry because
	 * the policy caps the tries anyway; named apart so that this stays a choice. */
	DBT_CLASS_CAPPED,
};

/* NULL is unknown. */
enum dbt_class dbt_message_class(const char *message);

/* The one useful line of a message: without dbt's "Database Error in model x (path)" above it;
 * another header ("Compilation Error in model x (path)") leaves its two words before the line.
 * NULL when the message says nothing. The caller frees. */
char *dbt_message_line(const char *message);
/* The same with the header kept whole: for an error that belongs to no node. */
char *dbt_message_line_with_header(const char *message);
