/* Finding what an earlier daemon began, in this order only: the lock is held, so a shim lives and
 * is adopted; it is free and status.json is there, so that is the end; it is free and there is
 * none, so the shim died.
 *
 * Happy path: find_run() on the pool, then find_adopt() on the loop. Failures: the lock is held but
 * `started` is not there yet, or its process is just gone: look again soon. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/json.h"
#include "base/memory.h"
#include "daemon/proc/action.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/spawn.h"
#include "daemon/proc/status.h"

static bool lock_is_held(const char *folder)
{
	_cleanup_free_ char *path = xasprintf("%s/lock", folder);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool held;

	if (fd < 0)
		return errno != ENOENT; /* not to be known now: look again */
	held = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return held;
}

static void read_text(const struct action *a, const char *name, char **text, size_t *len)
{
	free(TAKE_PTR(*text));
	*len = 0;
	read_file_at(a->folder, name, STATUS_MAX, text, len);
}

void find_run(struct work *w)
{
	struct action *a = container_of(w, struct action, work);

	a->find_result = lock_is_held(a->folder) ? FIND_HELD : FIND_FREE;
	read_text(a, "started", &a->started_text, &a->started_len);
	read_text(a, "action.json", &a->action_text, &a->action_len);
}

/* What is going to be removed must be named as we name it. */
static char *take_own_path(const struct action *a, const char *path)
{
	_cleanup_free_ char *nickname = place_nickname(&a->launch->place);
	const char *name = path ? strrchr(path, '/') : NULL;

	return name && path[0] == '/' && str_eq(name + 1, nickname) ? xstrdup(path) : NULL;
}

/* Where its secret files are, and in which boot it began. */
void find_read_action(struct action *a)
{
	_cleanup_json_ cJSON *json = NULL;
	const char *boot_id;

	a->same_boot = a->launcher->boot_was_known;
	if (!a->action_text || json_parse(a->action_text, a->action_len, &json) < 0)
		return;
	boot_id = json_string(json, "boot_id");
	if (boot_id)
		a->same_boot = str_eq(boot_id, a->launcher->boot_id);
	free(a->private_folder);
	a->private_folder = take_own_path(a, json_string(json, "private"));
	free(a->cgroup);
	a->cgroup = take_own_path(a, json_string(json, "cgroup"));
}

/* The number of the process may be another's by now: the descriptor is taken first, and then the
 * process must still have begun when the shim says it did. */
int find_adopt(struct action *a)
{
	_cleanup_(shim_started_fini) struct shim_started started = {0};
	int fd;

	if (!a->started_text || shim_started_parse(a->started_text, a->started_len, &started) < 0 ||
		!str_eq(started.boot_id, a->launcher->boot_id))
		return -EAGAIN;
	fd = process_open(started.pid);
	if (fd < 0)
		return fd;
	if (process_start_time(started.pid) != started.start_time) {
		close(fd);
		return -ESRCH;
	}
	a->pidfd = fd;
	a->started_at = started.at;
	return 0;
}
