/* What terraform's errors are taken for: one row for each that is known, and those that look alike.
 */
#include "unit.h"
#include <string.h>
#include "base/memory.h"
#include "base/text.h"
#include "kinds/terraform_class.h"

#define RESPONSE "Unexpected response while calling the Metabase API for operation "
#define ERROR	 "Unexpected error while calling the Metabase API for operation "
#define NO_LOGIN "Failed to create the Metabase client from username and password."

static const struct {
	const char *summary, *detail, *about;
	enum terraform_class class;
} table[] = {
	{"Failed to save state", "Error saving state: disk full", NULL, TF_CLASS_PERSON},
	{"Failed to persist state to backend", "... errored.tfstate ...", NULL, TF_CLASS_PERSON},
	{"Failed to write state", "no space", NULL, TF_CLASS_PERSON},
	{"Anything", "The state is in the file errored.tfstate now", NULL, TF_CLASS_PERSON},
	{"Saved plan is stale", "The given plan file can no longer be applied", NULL,
		TF_CLASS_STALE},
	{"Saved plan does not match the given state", "lineage", NULL, TF_CLASS_STALE},
	{"Error acquiring the state lock", "Error message: Lock Info: ...", NULL,
		TF_CLASS_TRANSIENT},
	{"Error locking state", "Error acquiring the state lock", NULL, TF_CLASS_TRANSIENT},
	{"execution halted", "", NULL, TF_CLASS_HALTED},
	{"operation canceled", "", NULL, TF_CLASS_HALTED},
	{"Operation cancelled", "", NULL, TF_CLASS_HALTED},

	{"Backend initialization required, please run \"terraform init\"", "Reason: ...", NULL,
		TF_CLASS_INIT},
	{"Module not installed", "", NULL, TF_CLASS_INIT},
	{"Module source has changed", "", NULL, TF_CLASS_INIT},
	{"Module version requirements have changed", "", NULL, TF_CLASS_INIT},
	{"Required plugins are not installed", "", NULL, TF_CLASS_INIT},
	{"Missing required provider", "", NULL, TF_CLASS_INIT},
	{"Inconsistent dependency lock file", "", NULL, TF_CLASS_INIT},
	{"Failed to query available provider packages",
		"Could not retrieve the list of available versions: no such host", NULL,
		TF_CLASS_TRANSIENT},
	{"Failed to query available provider packages",
		"the registry does not have a provider named x/y", NULL, TF_CLASS_FAILED},
	{"Failed to query available provider packages",
		"no available releases match the given constraints ~> 9.0", NULL, TF_CLASS_FAILED},
	{"Failed to query available provider packages",
		"provider x was not found in any of the search locations", NULL, TF_CLASS_FAILED},

	{"Unable to find the table given its attributes.", "", NULL, TF_CLASS_NOT_READY},
	{"Unable to find field in table definition.", "", NULL, TF_CLASS_NOT_READY},
	{"Unable to find the ID of the field to update.", "", NULL, TF_CLASS_NOT_READY},
	{"Invalid index", "The given key does not identify an element in this collection value.",
		"data.metabase_table.orders.fields", TF_CLASS_NOT_READY},
	{"Invalid index", "The given key does not identify an element in this collection value.",
		"local.ids", TF_CLASS_FAILED},
	{RESPONSE "'create card'.", "Status code: 404, body: Not found.", NULL, TF_CLASS_NOT_READY},
	{RESPONSE "'update table'.", "Status code: 404, body: Not found.", NULL,
		TF_CLASS_NOT_READY},
	{RESPONSE "'get card'.", "Status code: 404, body: Not found.", NULL, TF_CLASS_FAILED},

	{RESPONSE "'create database'.",
		"Status code: 503, body: Metabase is still initializing. Please sit tight...", NULL,
		TF_CLASS_TRANSIENT},
	{RESPONSE "'create card'.", "Status code: 503, body: away", NULL, TF_CLASS_TRANSIENT},
	{RESPONSE "'update permissions graph'.", "Status code: 409, body: revision", NULL,
		TF_CLASS_TRANSIENT},
	{RESPONSE "'create card'.", "Status code: 429, body: slow down", NULL, TF_CLASS_TRANSIENT},
	{RESPONSE "'create card'.", "Status code: 500, body: oh", NULL, TF_CLASS_LOST},
	{RESPONSE "'create card'.", "Status code: 502, body: bad gateway", NULL, TF_CLASS_LOST},
	{RESPONSE "'create card'.", "Status code: 504, body: gateway timeout", NULL, TF_CLASS_LOST},
	{RESPONSE "'create card'.", "Status code: 400, body: no", NULL, TF_CLASS_FAILED},
	{RESPONSE "'create card'.", "Status code: 401, body: Unauthenticated", NULL,
		TF_CLASS_FAILED},
	{RESPONSE "'create card'.", "Status code: 403, body: no", NULL, TF_CLASS_FAILED},
	{ERROR "'create database'.",
		"Post \"http://mb/api/database\": dial tcp 127.0.0.1:1: connect: connection "
		"refused",
		NULL, TF_CLASS_TRANSIENT},
	{ERROR "'create database'.", "dial tcp: lookup mb: no such host", NULL, TF_CLASS_TRANSIENT},
	{ERROR "'create database'.", "connection refused", NULL, TF_CLASS_TRANSIENT},
	{ERROR "'create database'.", "no such host", NULL, TF_CLASS_TRANSIENT},
	{ERROR "'create database'.", "net/http: TLS handshake timeout", NULL, TF_CLASS_TRANSIENT},
	{ERROR "'create database'.", "x509: certificate signed by unknown authority", NULL,
		TF_CLASS_FAILED},
	{ERROR "'create database'.", "Post \"http://mb/api/database\": EOF", NULL, TF_CLASS_LOST},
	{ERROR "'create database'.", "unexpected end of JSON input", NULL, TF_CLASS_LOST},
	{ERROR "'create database'.", "read: connection reset by peer", NULL, TF_CLASS_LOST},
	{ERROR "'create database'.", "invalid character '<' looking for beginning of value", NULL,
		TF_CLASS_FAILED},
	{ERROR "'create database'.", "json: cannot unmarshal string into Go value", NULL,
		TF_CLASS_FAILED},
	{ERROR "'create database'.", "unsupported protocol scheme \"\"", NULL, TF_CLASS_FAILED},
	{NO_LOGIN, "Post \"http://mb/api/session\": dial tcp 127.0.0.1:1: connection refused", NULL,
		TF_CLASS_TRANSIENT},
	{NO_LOGIN, "received unexpected response from the Metabase session API", NULL,
		TF_CLASS_LOGIN},
	{"Unable to find the database given its attributes.", "", NULL, TF_CLASS_FAILED},
	{"At least one attribute is required to lookup the table.", "", NULL, TF_CLASS_FAILED},
	{"No other attribute should be set when the table ID is defined.", "", NULL,
		TF_CLASS_FAILED},
	{"Either username / password or API key must be provided.", "", NULL, TF_CLASS_FAILED},
	{"Creating the permissions graph is not allowed, import it instead.", "", NULL,
		TF_CLASS_FAILED},

	{"Provider produced inconsistent result after apply", "", NULL, TF_CLASS_FAILED},
	{"Provider produced invalid plan", "", NULL, TF_CLASS_FAILED},
	{"No value for required variable", "", NULL, TF_CLASS_FAILED},
	{"Resource precondition failed", "connection refused, says the message", NULL,
		TF_CLASS_FAILED},
	{"Resource postcondition failed", "", NULL, TF_CLASS_FAILED},
	{"Module output value precondition failed", "", NULL, TF_CLASS_FAILED},
	{"Instance cannot be destroyed", "lifecycle.prevent_destroy", NULL, TF_CLASS_FAILED},
	{"local-exec provisioner error", "Output: connection refused", NULL, TF_CLASS_FAILED},
	{"remote-exec provisioner error", "timeout", NULL, TF_CLASS_FAILED},
	{"Invalid function argument", "i/o timeout", NULL, TF_CLASS_FAILED},
	{"Unsupported argument", "", NULL, TF_CLASS_FAILED},
	{"Missing item separator", "", NULL, TF_CLASS_FAILED},
	{"Unclosed configuration block", "", NULL, TF_CLASS_FAILED},

	{"creating Bucket", "AlreadyExists", NULL, TF_CLASS_FAILED},
	{"creating Bucket: it already exists", NULL, NULL, TF_CLASS_FAILED},
	{"listing", "401 Unauthorized", NULL, TF_CLASS_FAILED},
	{"listing", "403 Forbidden", NULL, TF_CLASS_FAILED},
	{"listing", "AccessDenied: no", NULL, TF_CLASS_FAILED},
	{"Error loading state", "pq: password authentication failed for user", NULL,
		TF_CLASS_FAILED},
	{"googleapi: Error 403: the limit, connection reset", NULL, NULL, TF_CLASS_FAILED},
	{"listing", "Error 403: connection reset", NULL, TF_CLASS_FAILED},
	{"Error loading state", "Already locked for workspace creation: default", NULL,
		TF_CLASS_TRANSIENT},
	{"reading", "dial tcp 10.0.0.1:443: connect: connection refused", NULL, TF_CLASS_TRANSIENT},
	{"reading", "read: connection reset by peer", NULL, TF_CLASS_TRANSIENT},
	{"reading", "connect: connection timed out", NULL, TF_CLASS_TRANSIENT},
	{"reading", "write: broken pipe", NULL, TF_CLASS_TRANSIENT},
	{"reading", "read tcp: i/o timeout", NULL, TF_CLASS_TRANSIENT},
	{"reading", "net/http: TLS handshake timeout", NULL, TF_CLASS_TRANSIENT},
	{"reading", "context deadline exceeded", NULL, TF_CLASS_TRANSIENT},
	{"reading", "Client.Timeout exceeded while awaiting headers", NULL, TF_CLASS_TRANSIENT},
	{"reading", "lookup x: no such host", NULL, TF_CLASS_TRANSIENT},
	{"reading", "Temporary failure in name resolution", NULL, TF_CLASS_TRANSIENT},
	{"reading", "connect: network is unreachable", NULL, TF_CLASS_TRANSIENT},
	{"reading", "connect: no route to host", NULL, TF_CLASS_TRANSIENT},
	{"reading", "unexpected EOF", NULL, TF_CLASS_TRANSIENT},
	{"reading", "Get \"https://x\": EOF", NULL, TF_CLASS_TRANSIENT},
	{"reading", "429 Too Many Requests", NULL, TF_CLASS_TRANSIENT},
	{"reading", "500 Internal Server Error", NULL, TF_CLASS_TRANSIENT},
	{"reading", "502 Bad Gateway", NULL, TF_CLASS_TRANSIENT},
	{"reading", "503 Service Unavailable", NULL, TF_CLASS_TRANSIENT},
	{"reading", "504 Gateway Timeout", NULL, TF_CLASS_TRANSIENT},
	{"Error loading state", "FATAL: the database system is starting up", NULL,
		TF_CLASS_TRANSIENT},
	{"googleapi: Error 503: backend", NULL, NULL, TF_CLASS_TRANSIENT},
	{"creating", "api error, StatusCode: 429, RequestID: 1", NULL, TF_CLASS_TRANSIENT},
	{"creating", "StatusCode: 403, RequestID: 1", NULL, TF_CLASS_FAILED},
	{"creating", "in 503 ms, or line 429", NULL, TF_CLASS_UNKNOWN},
	{"Something new", "that nobody has seen", NULL, TF_CLASS_UNKNOWN},
};

static void every_error_has_its_class(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct terraform_error e = {
			.summary = (char *)table[i].summary,
			.detail = (char *)table[i].detail,
			.about = (char *)table[i].about,
		};

		if (terraform_class(&e) != table[i].class)
			fail_msg("%s | %s: %d, not %d", table[i].summary, table[i].detail,
				terraform_class(&e), table[i].class);
	}
}

static void an_error_is_one_line_that_says_where(void **state)
{
	struct terraform_error e = {
		.summary = (char *)"It broke.",
		.detail = (char *)"In two\nlines.",
		.address = (char *)"terraform_data.a",
		.file = (char *)"main.tf",
		.line = 12,
	};
	_cleanup_free_ char *whole = terraform_error_line(&e), *bare = NULL, *at = NULL;

	assert_string_equal(whole, "It broke: In two lines. (main.tf:12, terraform_data.a)");
	e.address = NULL;
	at = terraform_error_line(&e);
	assert_string_equal(at, "It broke: In two lines. (main.tf:12)");
	e = (struct terraform_error){.summary = (char *)"It broke."};
	bare = terraform_error_line(&e);
	assert_string_equal(bare, "It broke");
}

static void a_long_error_still_says_where(void **state)
{
	char detail[2000];
	struct terraform_error e = {.summary = (char *)"It broke",
		.detail = detail,
		.file = (char *)"main.tf",
		.line = 3};
	_cleanup_free_ char *line = NULL;

	memset(detail, 'x', sizeof(detail));
	detail[sizeof(detail) - 1] = '\0';
	line = terraform_error_line(&e);
	assert_true(strlen(line) <= 510);
	assert_non_null(strstr(line, "(main.tf:3)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_its_class),
		cmocka_unit_test(an_error_is_one_line_that_says_where),
		cmocka_unit_test(a_long_error_still_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
