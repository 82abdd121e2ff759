/* The connection string, taken apart. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"
#include "daemon/pg/address.h"

/* Ours, where nobody said otherwise. */
static const struct {
	const char *key, *value;
} ours[] = {
	{"gssencmode", "disable"}, /* looking for a ticket may block */
	{"keepalives", "1"},
	{"keepalives_idle", "5"},
	{"keepalives_interval", "2"},
	{"keepalives_count", "3"},
	{"tcp_user_timeout", "10000"},
};

void pg_hosts_free(struct pg_host *hosts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(hosts[i].host);
		free(hosts[i].hostaddr);
		free(hosts[i].port);
	}
	free(hosts);
}

void pg_address_fini(struct pg_address *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->keys[i]);
		free(a->values[i]);
	}
	free(a->keys);
	free(a->values);
	pg_hosts_free(a->hosts, a->n_hosts);
	*a = (struct pg_address){0};
}

static const char *find(const struct pg_address *a, const char *key)
{
	for (size_t i = 0; i < a->n; i++)
		if (str_eq(a->keys[i], key))
			return a->values[i];
	return NULL;
}

static void set(struct pg_address *a, const char *key, const char *value)
{
	for (size_t i = 0; i < a->n; i++)
		if (str_eq(a->keys[i], key)) {
			free(a->values[i]);
			a->values[i] = xstrdup(value);
			return;
		}
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 32;
		a->keys = xrealloc(a->keys, a->cap * sizeof(*a->keys));
		a->values = xrealloc(a->values, a->cap * sizeof(*a->values));
	}
	a->keys[a->n] = xstrdup(key);
	a->values[a->n++] = xstrdup(value);
}

/* The environment and the service file, as far as they say something of their own. libpq reads
 * the file for PGSERVICE only, so that is set for the call. */
static void set_defaults(struct pg_address *a, const char *service)
{
	_cleanup_free_ char *before = xstrdup(getenv("PGSERVICE"));
	PQconninfoOption *options;

	if (service)
		setenv("PGSERVICE", service, 1);
	options = PQconndefaults();
	if (before)
		setenv("PGSERVICE", before, 1);
	else
		unsetenv("PGSERVICE");
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		if (o->val && o->val[0] && !str_eq(o->val, o->compiled))
			set(a, o->keyword, o->val);
	PQconninfoFree(options);
}

static const char *service_of(const PQconninfoOption *o)
{
	for (; o->keyword; o++)
		if (str_eq(o->keyword, "service"))
			return o->val;
	return NULL;
}

static size_t count_parts(const char *list)
{
	size_t n = 1;

	for (; list && *list; list++)
		n += *list == ',';
	return n;
}

/* The i-th part of a list with commas, the only one for all; NULL when empty. */
static char *part(const char *list, size_t i)
{
	size_t n = count_parts(list);
	const char *end;

	if (!list || (i >= n && n > 1))
		return NULL;
	for (size_t k = n == 1 ? 0 : i; k > 0; k--)
		list = strchr(list, ',') + 1;
	end = strchrnul(list, ',');
	return end == list ? NULL : xstrndup(list, (size_t)(end - list));
}

static int take_hosts(struct pg_address *a, char **ret_error)
{
	const char *host = find(a, "host"), *hostaddr = find(a, "hostaddr"),
		   *port = find(a, "port");
	size_t n = MAX(count_parts(host), count_parts(hostaddr));
	size_t n_ports = count_parts(port);

	if (host && hostaddr && count_parts(host) != count_parts(hostaddr)) {
		*ret_error = xstrdup("conninfo: host and hostaddr name different numbers of hosts");
		return -EINVAL;
	}
	if (n_ports != 1 && n_ports != n) {
		*ret_error = xstrdup("conninfo: as many ports as hosts, or one");
		return -EINVAL;
	}
	a->hosts = xcalloc(n, sizeof(*a->hosts));
	a->n_hosts = n;
	for (size_t i = 0; i < n; i++)
		a->hosts[i] = (struct pg_host){.host = part(host, i),
			.hostaddr = part(hostaddr, i),
			.port = part(port, i)};
	return 0;
}

int pg_address_parse(const char *conninfo, bool writes, struct pg_address *ret, char **ret_error)
{
	struct pg_address a = {0};
	char *message = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo ? conninfo : "", &message);
	int r;

	if (!options) {
		size_t len = message ? strlen(message) : 0;

		while (len > 0 && message[len - 1] == '\n')
			len--;
		*ret_error = xasprintf("conninfo: %.*s", (int)len, message ? message : "");
		PQfreemem(message);
		return -EINVAL;
	}
	set_defaults(&a, service_of(options));
	for (PQconninfoOption *o = options; o->keyword; o++)
		if (o->val && o->val[0])
			set(&a, o->keyword, o->val);
	PQconninfoFree(options);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!find(&a, ours[i].key))
			set(&a, ours[i].key, ours[i].value);
	if (writes && !find(&a, "target_session_attrs"))
		set(&a, "target_session_attrs", "read-write");
	set(&a, "client_encoding", "UTF8");
	r = take_hosts(&a, ret_error);
	if (r < 0) {
		pg_address_fini(&a);
		return r;
	}
	*ret = a;
	return 0;
}

bool pg_host_is_name(const struct pg_host *h)
{
	return h->host && !h->hostaddr && h->host[0] != '/' && h->host[0] != '@';
}

PGconn *pg_address_open(
	const struct pg_address *a, const struct pg_host *h, const char *application)
{
	const char **keys = xcalloc(a->n + 5, sizeof(*keys));
	const char **values = xcalloc(a->n + 5, sizeof(*values));
	const struct {
		const char *key, *value;
	} last[] = {
		{"host", h->host},
		{"hostaddr", h->hostaddr},
		{"port", h->port},
		{"application_name", application},
	};
	size_t n = 0;
	PGconn *db;

	for (size_t i = 0; i < a->n; i++) {
		bool is_last = false;

		for (size_t k = 0; k < ARRAY_SIZE(last); k++)
			is_last = is_last || str_eq(a->keys[i], last[k].key);
		if (is_last)
			continue;
		keys[n] = a->keys[i];
		values[n++] = a->values[i];
	}
	for (size_t k = 0; k < ARRAY_SIZE(last); k++)
		if (last[k].value) {
			keys[n] = last[k].key;
			values[n++] = last[k].value;
		}
	db = PQconnectStartParams(keys, values, 0);
	free(keys);
	free(values);
	return db;
}
