/* Who is at the other end, by SO_PEERCRED (which knows the primary group alone) and
 * SO_PEERGROUPS (which knows the others). */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/memory.h"
#include "base/text.h"
#include "daemon/control/peer.h"

static int groups_read(int fd, gid_t primary, struct peer *ret)
{
	socklen_t size = 0;
	_cleanup_free_ gid_t *groups = NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
		return -errno;
	groups = xmalloc(size + sizeof(gid_t));
	if (size > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return -errno;
	size_t n = size / sizeof(gid_t);
	groups[n++] = primary;
	ret->n_groups = n;
	ret->groups = TAKE_PTR(groups);
	return 0;
}

int peer_read(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	struct peer peer = {.uid = cred.uid};
	int r = groups_read(fd, cred.gid, &peer);
	if (r < 0)
		return r;
	*ret = peer;
	return 0;
}

void peer_fini(struct peer *peer)
{
	free(peer->groups);
	*peer = (struct peer){0};
}

bool peer_may_operate(const struct peer *peer, gid_t operators)
{
	if (peer->uid == 0)
		return true;
	if (operators == (gid_t)-1)
		return false;
	for (size_t i = 0; i < peer->n_groups; i++)
		if (peer->groups[i] == operators)
			return true;
	return false;
}

char *peer_name(uid_t uid)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];
	if (uid == 0)
		return xstrdup("root (uid 0)");
	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return xasprintf("uid %u", (unsigned)uid);
	_cleanup_free_ char *name = text_one_line(found->pw_name, strlen(found->pw_name), 64);
	return xasprintf("%s (uid %u)", name, (unsigned)uid);
}
