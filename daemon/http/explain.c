/* Why a call has no answer, in words, and what that means for another try. */
#include <ctype.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/http/internal.h"

#define SENTENCE_MAX 300

/* --- pieces ------------------------------------------------------------------------------- */

/* "1 MiB", "256 KiB", "1000 bytes". The caller frees. */
static char *size_text(size_t n)
{
	if (n >= (1u << 20) && n % (1u << 20) == 0)
		return xasprintf("%zu MiB", n >> 20);
	if (n >= (1u << 10) && n % (1u << 10) == 0)
		return xasprintf("%zu KiB", n >> 10);
	return xasprintf("%zu bytes", n);
}

/* The system's word for it, in the middle of a sentence; else libcurl's own. The caller frees. */
static char *system_text(const struct transfer *t, CURLcode code)
{
	long number = 0;
	char *text;

	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
	if (t->socket_errno)
		number = t->socket_errno;
	if (number == 0)
		return xstrdup(t->error[0] ? t->error : curl_easy_strerror(code));
	text = xstrdup(strerror((int)number));
	*text = (char)tolower((unsigned char)*text);
	return text;
}

/* What stands behind libcurl's "SSL certificate problem: ". */
static const char *certificate_text(const struct transfer *t, CURLcode code)
{
	const char *text = t->error[0] ? t->error : curl_easy_strerror(code);
	const char *colon = str_starts(text, "SSL") ? strstr(text, ": ") : NULL;

	return colon ? colon + 2 : text;
}

static bool was_sent(const struct transfer *t)
{
	curl_off_t at = 0;

	curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &at);
	return at > 0;
}

/* --- by what happened --------------------------------------------------------------------- */

static char *explain_time(const struct transfer *t, enum http_trouble *ret_trouble)
{
	usec_t passed = (usec_t)((uv_hrtime() - t->began) / 1000);
	char span[DURATION_MAX];

	if (passed + 5 * USEC_MSEC >= t->timeout) {
		*ret_trouble = HTTP_TIMED_OUT;
		return xasprintf("timed out after %s", format_duration(t->timeout, span));
	}
	if (!was_sent(t)) {
		*ret_trouble = HTTP_UNSENT;
		return xasprintf("cannot connect to %s: nothing answered for %s", t->place,
			format_duration(CONNECT_MS * USEC_MSEC, span));
	}
	*ret_trouble = HTTP_LOST;
	return xasprintf("the answer was too slow: below %ld bytes a second for %s", SLOW_BYTES,
		format_duration(t->slow, span));
}

static char *explain_size(const struct transfer *t)
{
	_cleanup_free_ char *size = size_text(t->body_too_large ? t->cap : HEADER_BYTES_MAX);

	return xasprintf("%s larger than %s",
		t->body_too_large ? "answer" : "the header of the answer is", size);
}

static char *explain_unsent(const struct transfer *t, CURLcode code)
{
	_cleanup_free_ char *why = system_text(t, code);

	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return xasprintf(
			"cannot connect to %s: no address is known for that name", t->place);
	if (code == CURLE_COULDNT_RESOLVE_PROXY)
		return xstrdup("no address is known for the proxy");
	if (code == CURLE_SSL_CONNECT_ERROR)
		return xasprintf("cannot connect to %s: TLS failed: %s", t->place,
			t->error[0] ? t->error : curl_easy_strerror(code));
	return xasprintf("cannot connect to %s: %s", t->place, why);
}

static char *explain_lost(const struct transfer *t, CURLcode code)
{
	_cleanup_free_ char *why = system_text(t, code);

	if (code == CURLE_GOT_NOTHING)
		return xstrdup("the connection was closed without an answer");
	if (code == CURLE_PARTIAL_FILE)
		return xstrdup("the connection was closed before the whole answer had come");
	return xasprintf("the connection broke: %s", why);
}

static char *explain_unfit(const struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return xasprintf("its certificate is not trusted: %s", certificate_text(t, code));
	case CURLE_SSL_CACERT_BADFILE:
		return xasprintf("the certificates that this machine trusts cannot be read: %s",
			certificate_text(t, code));
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return xasprintf("what answers at %s does not speak HTTP", t->place);
	default:
		return xstrdup(t->error[0] ? t->error : curl_easy_strerror(code));
	}
}

static char *explain(const struct transfer *t, CURLcode code, enum http_trouble *ret_trouble)
{
	*ret_trouble = HTTP_UNFIT;
	if (t->refusal)
		return xstrdup(t->refusal);
	if (t->body_too_large || t->header_too_large)
		return explain_size(t);
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return explain_time(t, ret_trouble);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
		*ret_trouble = HTTP_UNSENT;
		return explain_unsent(t, code);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_URL_MALFORMAT:
		return explain_unfit(t, code);
	default:
		*ret_trouble = was_sent(t) ? HTTP_LOST : HTTP_UNSENT;
		return explain_lost(t, code);
	}
}

char *transfer_explain(struct transfer *t, CURLcode code, enum http_trouble *ret_trouble)
{
	_cleanup_free_ char *plain = explain(t, code, ret_trouble);
	_cleanup_free_ char *masked = mask_string(t->call->mask, plain);

	return text_one_line(masked, strlen(masked), SENTENCE_MAX);
}
