/* What is wanted of a Metabase, as a step kind hands it over. */
#include <string.h>
#include "base/digest.h"
#include "kinds/metabase_state.h"

void metabase_want_free(void *want)
{
	struct metabase_want *w = want;

	if (!w)
		return;
	free(w->url);
	wipe_free(w->api_key);
	wipe_free(w->username);
	wipe_free(w->password);
	for (size_t i = 0; i < w->n_databases; i++) {
		free(w->databases[i].name);
		metabase_tables_free(w->databases[i].tables, w->databases[i].n_tables);
	}
	free(w->databases);
	metabase_tables_free(w->anywhere, w->n_anywhere);
	for (size_t i = 0; i < w->n_things; i++)
		free(w->things[i].name);
	free(w->things);
	free(w);
}

void metabase_tables_free(struct metabase_table *tables, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(tables[i].schema);
		free(tables[i].name);
		strv_free(tables[i].columns);
	}
	free(tables);
}

char *metabase_base_url(const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	if (len > 4 && memcmp(url + len - 4, "/api", 4) == 0)
		len -= 4;
	return xstrndup(url, len);
}

char *metabase_key(const struct metabase_want *want)
{
	_cleanup_buf_ struct buf who = BUF_NULL;
	_cleanup_free_ char *url = metabase_base_url(want->url);
	char digest[DIGEST_HEX];

	buf_printf(&who, "%s\n%s\n%s", want->api_key ? want->api_key : "",
		want->username ? want->username : "", want->password ? want->password : "");
	digest_hex(buf_str(&who), who.len, digest);
	explicit_bzero(who.data, who.len);
	return xasprintf("%s %.16s", url, digest);
}

/* The configuration has one or the other: which, only a look-up says. */
int metabase_want_from(const struct kind_context *ctx, struct metabase_want *want, char **ret_error)
{
	_cleanup_free_ char *no_key = NULL, *no_user = NULL;
	int r = ctx->expand(ctx, "${metabase.url}", &want->url, ret_error);

	if (r < 0)
		return r;
	r = ctx->expand(ctx, "${metabase.api_key}", &want->api_key, &no_key);
	if (r == 0)
		return 0;
	if (ctx->expand(ctx, "${metabase.username}", &want->username, &no_user) < 0) {
		bool has_user = !strstr(no_user, "no such entry");

		*ret_error = has_user ? TAKE_PTR(no_user) : TAKE_PTR(no_key);
		return r;
	}
	return ctx->expand(ctx, "${metabase.password}", &want->password, ret_error);
}
