/* The connection string, taken apart: libpq resolves names by blocking, so each host is resolved
 * by us and handed to libpq as an address, one at a time. */
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

struct pg_host {
	char *host, *hostaddr, *port; /* NULL: libpq's default */
};
void pg_hosts_free(struct pg_host *hosts, size_t n);

struct pg_address {
	char **keys, **values; /* all but the hosts */
	size_t n, cap;
	struct pg_host *hosts; /* at least one */
	size_t n_hosts;
};

/* Reads libpq's environment and service file too. `writes`: a server that only reads will not do,
 * unless the string says so. 0, or -EINVAL with a sentence. */
int pg_address_parse(const char *conninfo, bool writes, struct pg_address *ret, char **ret_error);
void pg_address_fini(struct pg_address *a);
/* A host that must be resolved before libpq sees it. */
bool pg_host_is_name(const struct pg_host *h);
/* Begins to connect; NULL only without memory. */
PGconn *pg_address_open(
	const struct pg_address *a, const struct pg_host *h, const char *application);
