/* Which errors are worth a retry. dbt gives no SQLSTATE, so the words decide. The permanent ones
 * are looked for first: "connection to server at ... failed: FATAL: password authentication failed"
 * is one of these, whatever else it says. Not matched: permanent in effect (DBT_CLASS_UNKNOWN). */
#include <ctype.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/memory.h"
#include "kinds/dbt_message.h"

struct pattern {
	const char *words;
	const char *then; /* must come behind `words`; NULL: nothing more */
};

static const struct pattern permanent[] = {
	/* dbt */
	{"Compilation Error"},
	{"Parsing Error"},
	{"enforced contract"},
	{"Contract Error"},
	{"could not find a macro"},
	/* PostgreSQL */
	{"authentication failed"},
	{"no password supplied"},
	{"no pg_hba.conf entry"},
	{"permission denied"},
	{"must be owner of"},
	{"column \"", "does not exist"},
	{"relation \"", "does not exist"},
	{"schema \"", "does not exist"},
	{"function ", "does not exist"},
	{"database \"", "does not exist"},
	{"role \"", "does not exist"},
	{"syntax error"},
	/* BigQuery */
	{"Resources exceeded"},
	{"Quota exceeded"},
	{"quotaExceeded"},
	{"Access Denied"},
	{"accessDenied"},
	{"Not found:"},
	{"was not found in location"},
	{"Unrecognized name"},
};

static const struct pattern capped[] = {
	{"statement timeout"},
	{"No space left"},
	{"out of memory"},
};

static const struct pattern transient[] = {
	/* PostgreSQL */
	{"could not connect to server"},
	{"connection to server", "failed"},
	{"Connection refused"},
	{"timeout expired"},
	{"connection reset"},
	{"connection timed out"},
	{"server closed the connection unexpectedly"},
	{"SSL SYSCALL error"},
	{"SSL connection has been closed"},
	{"terminating connection due to administrator command"},
	{"terminating connection because of crash"},
	{"connection already closed"},
	{"deadlock detected"},
	{"could not serialize access"},
	{"canceling statement due to lock timeout"},
	{"too many clients"},
	{"too many connections"},
	{"remaining connection slots"},
	{"the database system is starting up"},
	{"the database system is shutting down"},
	{"the database system is in recovery mode"},
	{"the database system is not yet accepting connections"},
	{"could not translate host name"},
	{"could not receive data from server"},
	/* BigQuery */
	{"rateLimitExceeded"},
	{"Exceeded rate limits"},
	{"backendError"},
	{"internalError"},
	{"badGateway"},
	{"Retrying", "may solve"},
	{"Connection aborted"},
	/* DuckDB: another process has the file open */
	{"Could not set lock on file"},
	/* packages, and networks in general */
	{"Temporary failure in name resolution"},
	{"Could not resolve host"},
	{"Failed to establish a new connection"},
	{"Network is unreachable"},
	{"Read timed out"},
};

static bool matches(const char *message, const struct pattern *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *at = strcasestr(message, list[i].words);

		if (at && (!list[i].then || strcasestr(at + strlen(list[i].words), list[i].then)))
			return true;
	}
	return false;
}

static bool starts_any(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncasecmp(s, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* "503 POST https://...", "429 Too Many Requests": what stands behind the code. */
static bool behind_code(const char *s)
{
	static const char *const words[] = {"GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "HEAD ",
		"Too Many Requests", "Internal Server Error", "Bad Gateway", "Service Unavailable",
		"Server Error", "Client Error"};

	s += strspn(s, " :");
	return starts_any(s, words, ARRAY_SIZE(words));
}

/* "HTTP 503", "status code: 503", "Error code 429": what stands before it. */
static bool before_code(const char *message, const char *at)
{
	static const char *const words[] = {"http", "code", "status", "httperror"};

	while (at > message && strchr(" :=", at[-1]))
		at--;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(at - message) >= len && strncasecmp(at - len, words[i], len) == 0)
			return true;
	}
	return false;
}

/* A status of HTTP that passes, and not just any number that looks like one. */
static bool has_http_code(const char *message)
{
	static const char *const codes[] = {"429", "500", "502", "503"};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		for (const char *at = message; (at = strstr(at, codes[i])); at += 3) {
			if ((at > message && isalnum((unsigned char)at[-1])) ||
				isalnum((unsigned char)at[3]))
				continue;
			if (behind_code(at + 3) || before_code(message, at))
				return true;
		}
	return false;
}

enum dbt_class dbt_message_class(const char *message)
{
	if (!message)
		return DBT_CLASS_UNKNOWN;
	if (matches(message, permanent, ARRAY_SIZE(permanent)))
		return DBT_CLASS_PERMANENT;
	if (matches(message, capped, ARRAY_SIZE(capped)))
		return DBT_CLASS_CAPPED;
	if (matches(message, transient, ARRAY_SIZE(transient)) || has_http_code(message))
		return DBT_CLASS_TRANSIENT;
	return DBT_CLASS_UNKNOWN;
}
