/* A Metabase that answers anything: each line is an answer, its first byte says with which status.
 * Whatever it says, the member is served in the end. */
#include "kinds/metabase.h"
#include "tests/fuzz/fuzz.h"

#define TIMEOUT (10 * USEC_MINUTE)

static struct metabase_want *new_want(void)
{
	struct metabase_want *w = xnew(struct metabase_want);

	w->url = xstrdup("http://metabase");
	w->username = xstrdup("admin@example.org");
	w->password = xstrdup("a-long-password");
	w->timeout = TIMEOUT;
	w->databases = xcalloc(1, sizeof(*w->databases));
	w->n_databases = 1;
	w->databases[0].name = xstrdup("NC");
	w->databases[0].tables = xcalloc(1, sizeof(*w->databases[0].tables));
	w->databases[0].n_tables = 1;
	w->databases[0].tables[0].schema = xstrdup("analytics");
	w->databases[0].tables[0].name = xstrdup("orders");
	return w;
}

static void answer(void *lane, const char **p, const char *end, usec_t at)
{
	static const int statuses[] = {200, 200, 200, 401, 503, 0, 422, 500};
	const char *eol = *p < end ? memchr(*p, '\n', (size_t)(end - *p)) : NULL;
	size_t len = *p < end ? (size_t)((eol ? eol : end) - *p) : 0;
	_cleanup_free_ char *body = xstrndup(len > 1 ? *p + 1 : "", len > 1 ? len - 1 : 0);
	struct kind_event e = {
		.type = KIND_ANSWERED,
		.at = at,
		.http_status = len ? statuses[(unsigned char)**p % 8] : 0,
		.http_trouble = HTTP_LOST,
		.http_error = "cut off",
		.body = body,
		.body_len = strlen(body),
	};

	lane_metabase.answered(lane, &e);
	*p += len + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	struct lane_member m = {.want = new_want()};
	void *lane = lane_metabase.new("http://metabase");
	usec_t at = 1000 * USEC_SEC, until, stop = at + 2 * TIMEOUT;

	lane_metabase.join(lane, &m, at);
	while (!m.served && at < stop) {
		struct kind_request r = {0};
		const struct mask_set *mask = NULL;

		until = USEC_INFINITY;
		if (lane_metabase.next(lane, at, &r, &mask, &until))
			answer(lane, &p, end, at += USEC_SEC);
		else
			at = MAX(at + USEC_SEC, MIN(until, stop));
		kind_request_fini(&r);
	}
	assert(m.served);
	lane_metabase.leave(lane, &m, at);
	lane_metabase.free(lane);
	metabase_want_free(m.want);
	free(m.reason);
	cJSON_Delete(m.result);
	cJSON_Delete(m.progress);
	return 0;
}
