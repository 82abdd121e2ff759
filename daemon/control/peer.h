/* Who is at the other end of a connection. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct peer {
	uid_t uid;
	gid_t *groups; /* its primary one and all others, as they were when it connected */
	size_t n_groups;
};

/* Returns 0 or a negative errno. */
int peer_read(int fd, struct peer *ret);
void peer_fini(struct peer *peer);
/* operators (gid_t)-1: root alone. */
bool peer_may_operate(const struct peer *peer, gid_t operators);
/* "alice (uid 1000)", "uid 1000" where there is no name; the caller frees. Asks the name service:
 * not on the loop. */
char *peer_name(uid_t uid);
