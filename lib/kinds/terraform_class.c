/* Which errors of terraform are worth what. It gives no codes, so the words decide; the first row
 * that fits stands, so what is more specific comes first. In `words` and `then` no case counts. */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "kinds/terraform_class.h"

#define LINE_MAX 500

struct row {
	const char *summary; /* it begins so; NULL: with anything */
	const char
		*words; /* in the detail, or where there is no `summary`, in either; NULL: none */
	enum terraform_class class;
	const char *about; /* in the line of the configuration or its values; NULL: anything */
};

#define CALL_ERROR    "Unexpected error while calling the Metabase API"
#define CALL_RESPONSE "Unexpected response while calling the Metabase API"
#define NO_CLIENT     "Failed to create the Metabase client from username and password."

static const struct row rows[] = {
	/* the state */
	{NULL, "errored.tfstate", TF_CLASS_PERSON}, {"Failed to save state", NULL, TF_CLASS_PERSON},
	{"Failed to persist state", NULL, TF_CLASS_PERSON},
	{"Failed to write state", NULL, TF_CLASS_PERSON},
	{"Saved plan is stale", NULL, TF_CLASS_STALE},
	{"Saved plan does not match the given state", NULL, TF_CLASS_STALE},
	{"Error acquiring the state lock", NULL, TF_CLASS_TRANSIENT},
	{"Error locking state", NULL, TF_CLASS_TRANSIENT},
	{"execution halted", NULL, TF_CLASS_HALTED}, {"operation canceled", NULL, TF_CLASS_HALTED},
	{"operation cancelled", NULL, TF_CLASS_HALTED},
	/* init */
	{"Backend initialization required", NULL, TF_CLASS_INIT},
	{"Module not installed", NULL, TF_CLASS_INIT},
	{"Module source has changed", NULL, TF_CLASS_INIT},
	{"Module version requirements have changed", NULL, TF_CLASS_INIT},
	{"Required plugins are not installed", NULL, TF_CLASS_INIT},
	{"Missing required provider", NULL, TF_CLASS_INIT},
	{"Inconsistent dependency lock file", NULL, TF_CLASS_INIT},
	{"Failed to query available provider packages", "does not have a provider",
		TF_CLASS_FAILED},
	{"Failed to query available provider packages", "no available releases match",
		TF_CLASS_FAILED},
	{"Failed to query available provider packages", "was not found in any of the search",
		TF_CLASS_FAILED},
	{"Failed to query available provider packages", NULL, TF_CLASS_TRANSIENT},
	/* the provider of Metabase: what a sync mends */
	{"Unable to find the table given its attributes.", NULL, TF_CLASS_NOT_READY},
	{"Unable to find field in table definition.", NULL, TF_CLASS_NOT_READY},
	{"Unable to find the ID of the field to update.", NULL, TF_CLASS_NOT_READY},
	{"Invalid index", "The given key does not identify an element", TF_CLASS_NOT_READY,
		"data.metabase_table."},
	{CALL_RESPONSE " for operation 'create", "Status code: 404", TF_CLASS_NOT_READY},
	{CALL_RESPONSE " for operation 'update", "Status code: 404", TF_CLASS_NOT_READY},
	/* its calls */
	{NO_CLIENT, "dial tcp", TF_CLASS_TRANSIENT}, {NO_CLIENT, NULL, TF_CLASS_LOGIN},
	{CALL_RESPONSE, "still initializing", TF_CLASS_TRANSIENT},
	{CALL_RESPONSE, "Status code: 503", TF_CLASS_TRANSIENT},
	{CALL_RESPONSE, "Status code: 409", TF_CLASS_TRANSIENT},
	{CALL_RESPONSE, "Status code: 429", TF_CLASS_TRANSIENT},
	{CALL_RESPONSE, "Status code: 5", TF_CLASS_LOST}, {CALL_RESPONSE, NULL, TF_CLASS_FAILED},
	{CALL_ERROR, "dial tcp", TF_CLASS_TRANSIENT},
	{CALL_ERROR, "connection refused", TF_CLASS_TRANSIENT},
	{CALL_ERROR, "no such host", TF_CLASS_TRANSIENT},
	{CALL_ERROR, "TLS handshake timeout", TF_CLASS_TRANSIENT},
	{CALL_ERROR, "certificate", TF_CLASS_FAILED},
	{CALL_ERROR, "invalid character", TF_CLASS_FAILED},
	{CALL_ERROR, "cannot unmarshal", TF_CLASS_FAILED},
	{CALL_ERROR, "unsupported protocol scheme", TF_CLASS_FAILED},
	{CALL_ERROR, NULL, TF_CLASS_LOST},
	{"Unable to find the database given its attributes.", NULL, TF_CLASS_FAILED},
	{"At least one attribute is required", NULL, TF_CLASS_FAILED},
	{"No other attribute should be set", NULL, TF_CLASS_FAILED},
	{"Either username / password or API key must be provided.", NULL, TF_CLASS_FAILED},
	{"Creating the permissions graph is not allowed", NULL, TF_CLASS_FAILED},
	/* the configuration, and what it says itself */
	{"Provider produced inconsistent", NULL, TF_CLASS_FAILED},
	{"Provider produced invalid", NULL, TF_CLASS_FAILED},
	{"No value for required variable", NULL, TF_CLASS_FAILED},
	{"Resource precondition failed", NULL, TF_CLASS_FAILED},
	{"Resource postcondition failed", NULL, TF_CLASS_FAILED},
	{"Module output value precondition failed", NULL, TF_CLASS_FAILED},
	{"Instance cannot be destroyed", NULL, TF_CLASS_FAILED}, /* prevent_destroy */
	{"local-exec provisioner error", NULL, TF_CLASS_FAILED},
	{"remote-exec provisioner error", NULL, TF_CLASS_FAILED},
	{"Invalid ", NULL, TF_CLASS_FAILED}, {"Unsupported ", NULL, TF_CLASS_FAILED},
	{"Missing ", NULL, TF_CLASS_FAILED}, {"Unclosed ", NULL, TF_CLASS_FAILED},
	/* any provider, any backend */
	{NULL, "AlreadyExists", TF_CLASS_FAILED}, {NULL, "already exists", TF_CLASS_FAILED},
	{NULL, "401 Unauthorized", TF_CLASS_FAILED}, {NULL, "403 Forbidden", TF_CLASS_FAILED},
	{NULL, "AccessDenied", TF_CLASS_FAILED}, {NULL, "authentication failed", TF_CLASS_FAILED},
	{NULL, "already locked", TF_CLASS_TRANSIENT},
	{NULL, "connection refused", TF_CLASS_TRANSIENT},
	{NULL, "connection reset", TF_CLASS_TRANSIENT},
	{NULL, "connection timed out", TF_CLASS_TRANSIENT},
	{NULL, "broken pipe", TF_CLASS_TRANSIENT}, {NULL, "i/o timeout", TF_CLASS_TRANSIENT},
	{NULL, "TLS handshake timeout", TF_CLASS_TRANSIENT},
	{NULL, "context deadline exceeded", TF_CLASS_TRANSIENT},
	{NULL, "Client.Timeout exceeded", TF_CLASS_TRANSIENT},
	{NULL, "no such host", TF_CLASS_TRANSIENT},
	{NULL, "Temporary failure in name resolution", TF_CLASS_TRANSIENT},
	{NULL, "network is unreachable", TF_CLASS_TRANSIENT},
	{NULL, "no route to host", TF_CLASS_TRANSIENT},
	{NULL, "unexpected EOF", TF_CLASS_TRANSIENT}, {NULL, ": EOF", TF_CLASS_TRANSIENT},
	{NULL, "Too Many Requests", TF_CLASS_TRANSIENT},
	{NULL, "Internal Server Error", TF_CLASS_TRANSIENT},
	{NULL, "Bad Gateway", TF_CLASS_TRANSIENT},
	{NULL, "Service Unavailable", TF_CLASS_TRANSIENT},
	{NULL, "Gateway Time", TF_CLASS_TRANSIENT},
	{NULL, "the database system is", TF_CLASS_TRANSIENT}, /* starting up, shutting down */
};

void terraform_error_fini(struct terraform_error *e)
{
	free(e->summary);
	free(e->detail);
	free(e->address);
	free(e->file);
	free(e->code);
	free(e->about);
	free(e->each);
	free(e->key);
	*e = (struct terraform_error){0};
}

static bool has(const char *text, const char *words)
{
	return text && strcasestr(text, words);
}

static bool fits(const struct row *r, const struct terraform_error *e)
{
	size_t len = r->summary ? strlen(r->summary) : 0;

	if (len && strncasecmp(e->summary, r->summary, len) != 0)
		return false;
	if (r->words && !has(e->detail, r->words) && (len || !has(e->summary, r->words)))
		return false;
	return !r->about || has(e->code, r->about) || has(e->about, r->about);
}

/* "Error 503", "StatusCode: 429", "HTTP 502": a status of HTTP, and no other number. */
static unsigned http_code(const char *text)
{
	static const char *const before[] = {
		"statuscode: ", "status code: ", "status code ", "status: ", "http ", "error "};

	for (size_t i = 0; text && i < ARRAY_SIZE(before); i++)
		for (const char *at = text; (at = strcasestr(at, before[i]));) {
			at += strlen(before[i]);
			if (strspn(at, "0123456789") == 3)
				return (unsigned)strtoul(at, NULL, 10);
		}
	return 0;
}

static enum terraform_class class_of_code(unsigned code)
{
	if (code == 429 || (code >= 500 && code < 600))
		return TF_CLASS_TRANSIENT;
	return code == 401 || code == 403 ? TF_CLASS_FAILED : TF_CLASS_UNKNOWN;
}

enum terraform_class terraform_class(const struct terraform_error *e)
{
	unsigned code = http_code(e->detail);
	enum terraform_class by_code = class_of_code(code ? code : http_code(e->summary));

	for (size_t i = 0; e->summary && i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].summary && rows[i].class == TF_CLASS_TRANSIENT &&
			by_code == TF_CLASS_FAILED)
			continue;
		if (fits(&rows[i], e))
			return rows[i].class;
	}
	return by_code;
}

char *terraform_error_line(const struct terraform_error *e)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	size_t len = e->summary ? strlen(e->summary) : 0;

	while (len && e->summary[len - 1] == '.')
		len--;
	buf_append(&b, e->summary ? e->summary : "", len);
	if (e->detail && *e->detail)
		buf_printf(&b, ": %s", e->detail);
	if (b.len > LINE_MAX * 3 / 4) {
		_cleanup_free_ char *cut = text_one_line(b.data, b.len, LINE_MAX * 3 / 4);

		buf_clear(&b);
		buf_puts(&b, cut);
	}
	if (e->file && e->address)
		buf_printf(&b, " (%s:%ld, %s)", e->file, e->line, e->address);
	else if (e->file)
		buf_printf(&b, " (%s:%ld)", e->file, e->line);
	else if (e->address)
		buf_printf(&b, " (%s)", e->address);
	return text_one_line(buf_str(&b), b.len, LINE_MAX);
}
