/* One call, as libcurl is told of it. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/memory.h"
#include "daemon/http/internal.h"

#define SET(t, option, value) curl_easy_setopt((t)->easy, CURLOPT_##option, (value))

/* --- what libcurl calls ------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	if (len > t->cap - t->body.len) {
		t->body_too_large = true;
		return 0;
	}
	buf_append(&t->body, data, len);
	return len;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	t->header_bytes += size * n;
	if (t->header_bytes <= HEADER_BYTES_MAX)
		return size * n;
	t->header_too_large = true;
	return 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *t = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	if (fd >= 0)
		return fd;
	t->socket_errno = errno;
	return CURL_SOCKET_BAD;
}

/* --- what it is told ---------------------------------------------------------------------- */

static bool is_web(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

/* Reads where the call goes; the refusal, NULL: none. */
static char *read_place(struct transfer *t, bool *ret_tls)
{
	CURLU *url = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL, *refusal = NULL;
	CURLUcode code = curl_url_set(url, CURLUPART_URL, t->call->request.url, 0);

	if (code == CURLUE_OK)
		code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(url, CURLUPART_HOST, &host, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
	if (!is_web(t->call->request.url))
		refusal = xstrdup("its URL begins with neither http:// nor https://");
	else if (code != CURLUE_OK)
		refusal = xasprintf("its URL cannot be used: %s", curl_url_strerror(code));
	else
		t->place = xasprintf("%s:%s", host, port);
	*ret_tls = str_eq(scheme, "https");
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return refusal;
}

/* libcurl writes a header without a value as "Name;". NULL: it is none. */
static char *header_line(const char *header)
{
	const char *colon = strchr(header, ':');

	if (!colon || colon == header || strpbrk(header, "\r\n"))
		return NULL;
	if (colon[1 + strspn(colon + 1, " \t")] == '\0')
		return xasprintf("%.*s;", (int)(colon - header), header);
	return xstrdup(header);
}

static bool add_headers(struct transfer *t)
{
	char **headers = t->call->request.headers;

	t->headers = curl_slist_append(t->headers, "Expect:"); /* a body is sent at once */
	for (size_t i = 0; headers && headers[i]; i++) {
		_cleanup_free_ char *line = header_line(headers[i]);

		if (!line)
			return false;
		t->headers = curl_slist_append(t->headers, line);
	}
	SET(t, HTTPHEADER, t->headers);
	return true;
}

static void set_method(struct transfer *t)
{
	const struct kind_request *r = &t->call->request;
	const char *method = r->method ? r->method : "GET";

	if (str_eq(method, "HEAD"))
		SET(t, NOBODY, 1L);
	if (r->body || str_eq(method, "POST")) {
		SET(t, POSTFIELDSIZE_LARGE, (curl_off_t)(r->body ? strlen(r->body) : 0));
		SET(t, COPYPOSTFIELDS, r->body ? r->body : "");
	}
	SET(t, CUSTOMREQUEST, method);
}

static long milliseconds(usec_t span)
{
	return (long)MIN(span / USEC_MSEC + (span % USEC_MSEC != 0), (usec_t)INT_MAX);
}

/* CURLOPT_QUICK_EXIT: a look-up of a name that takes long is left behind when the call ends; else
 * libcurl would wait for it, and the whole loop with it. */
static void set_bounds(struct transfer *t)
{
	long total = milliseconds(t->timeout);

	SET(t, TIMEOUT_MS, total);
	SET(t, CONNECTTIMEOUT_MS, MIN(total, CONNECT_MS));
	if (t->slow) {
		SET(t, LOW_SPEED_LIMIT, SLOW_BYTES);
		SET(t, LOW_SPEED_TIME, MAX(milliseconds(t->slow) / 1000, 1L));
	}
	SET(t, QUICK_EXIT, 1L);
	SET(t, NOSIGNAL, 1L);
	SET(t, TCP_KEEPALIVE, 1L);
	SET(t, WRITEFUNCTION, on_body);
	SET(t, WRITEDATA, t);
	SET(t, HEADERFUNCTION, on_header);
	SET(t, HEADERDATA, t);
}

/* One connection a call: libcurl sends a call once more on its own where a connection that it had
 * kept turns out dead, and nothing may be sent twice without our knowing. */
static void set_where(struct transfer *t, bool tls)
{
	const char *proxy = getenv(tls ? "https_proxy" : "http_proxy");
	const char *no_proxy = getenv("no_proxy");

	SET(t, URL, t->call->request.url);
	SET(t, PROTOCOLS_STR, "http,https");
	SET(t, FOLLOWLOCATION, 0L);
	SET(t, FRESH_CONNECT, 1L);
	SET(t, FORBID_REUSE, 1L);
	SET(t, HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(t, PROXY, proxy ? proxy : "");
	SET(t, NOPROXY, no_proxy ? no_proxy : "localhost,127.0.0.1,::1");
	SET(t, OPENSOCKETFUNCTION, open_socket);
	SET(t, OPENSOCKETDATA, t);
	if (getenv("SSL_CERT_FILE"))
		SET(t, CAINFO, getenv("SSL_CERT_FILE"));
	SET(t, USERAGENT, "nightjar/" NIGHTJAR_VERSION);
}

struct transfer *transfer_new(struct http *h, struct http_call *call)
{
	struct transfer *t = xnew(struct transfer);
	bool tls;

	t->http = h;
	t->call = call;
	t->cap = call->request.cap;
	t->timeout = call->request.timeout > 0 ? call->request.timeout : USEC_DAY;
	t->slow = call->request.slow;
	t->began = uv_hrtime();
	t->refusal = read_place(t, &tls);
	if (t->refusal)
		return t;
	t->easy = curl_easy_init();
	if (!t->easy) {
		t->refusal = xstrdup("libcurl cannot be used here");
		return t;
	}
	SET(t, PRIVATE, t);
	SET(t, ERRORBUFFER, t->error);
	set_bounds(t);
	set_where(t, tls);
	set_method(t);
	if (!add_headers(t))
		t->refusal = xstrdup("one of its headers cannot be sent");
	return t;
}

void transfer_free(struct transfer *t)
{
	if (t->easy)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	buf_fini(&t->body);
	free(t->place);
	free(t->refusal);
	free(t);
}
