/* The launcher port: see launcher.h.
 *
 * Happy path: start() makes an action (action.c), which starts its shim, follows its log and says
 * how it ended. Failures: each ends in events.ended as well; this file has none of its own after
 * launcher_new(). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/proc/action.h"
#include "daemon/proc/cgroup.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/spawn.h"

/* Its content is the boot in which actions were started last: an action of another boot that left
 * no folder may yet have run, since nothing was synced. */
#define BOOT_FILE "boot_id"

static char *port_attempt_directory(void *self, const struct action_place *place)
{
	struct launcher *l = self;

	return place_attempt(l->state, place);
}

static void note_boot(struct launcher *l)
{
	if (l->boot_is_noted)
		return;
	l->boot_is_noted = true;
	file_replace(l->state, BOOT_FILE, l->boot_id, strlen(l->boot_id));
}

static void port_start(void *self, struct launch *launch)
{
	struct launcher *l = self;

	note_boot(l);
	launch_start(l, launch);
}

static void port_find(void *self, struct launch *launch)
{
	launch_find(self, launch);
}

static void port_stop(void *self, struct launch *launch, enum stop_reason reason)
{
	if (launch->adapter)
		launch_stop(launch->adapter, reason);
}

static void port_prune(void *self, struct prune *p)
{
	launcher_prune(self, p);
}

void launcher_port(struct launcher *l, struct launcher_port *ret)
{
	*ret = (struct launcher_port){
		.self = l,
		.attempt_directory = port_attempt_directory,
		.start = port_start,
		.find = port_find,
		.stop = port_stop,
		.prune = port_prune,
	};
}

void launcher_log_port(struct launcher *l, struct log_port *ret)
{
	log_port_fill(l, ret);
}

static void launcher_free(struct launcher *l)
{
	if (l->program >= 0)
		close(l->program);
	if (l->null >= 0)
		close(l->null);
	free(l->state);
	free(l->machine);
	free(l->boot_id);
	free(l->private_root);
	free(l->cgroup_root);
	free(l);
}

static int open_programs(struct launcher *l, const char *shim, char **ret_error)
{
	l->program = fd_move_high(open(shim, O_RDONLY | O_CLOEXEC));
	if (l->program < 0) {
		*ret_error = xasprintf("cannot open the shim %s: %s", shim, strerror(-l->program));
		return l->program;
	}
	l->null = fd_move_high(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (l->null < 0) {
		*ret_error = xasprintf("cannot open /dev/null: %s", strerror(-l->null));
		return l->null;
	}
	return 0;
}

static int make_actions_folder(struct launcher *l, char **ret_error)
{
	_cleanup_free_ char *path = xasprintf("%s/actions", l->state);
	int r = folder_make(path);

	if (r < 0)
		*ret_error = xasprintf("cannot make %s: %s", path, strerror(-r));
	return r < 0 ? r : 0;
}

static void read_boot(struct launcher *l)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (read_file_at(l->state, BOOT_FILE, 256, &text, &len) == 0)
		l->boot_was_known = l->boot_is_noted = str_eq(text, l->boot_id);
}

int launcher_new(const struct launcher_options *o, struct launcher **ret, char **ret_error)
{
	struct launcher *l = xnew(struct launcher);
	int r;

	l->loop = o->loop;
	l->state = xstrdup(o->state);
	l->machine = xstrdup(o->machine);
	l->boot_id = xstrdup(o->boot_id);
	l->events = o->events;
	l->program = l->null = l->inotify = -1;
	list_init(&l->actions);
	list_init(&l->readers);
	list_init(&l->ready);
	for (size_t i = 0; i < N_WATCH_BUCKETS; i++)
		list_init(&l->watches[i]);
	r = open_programs(l, o->shim, ret_error);
	if (r == 0)
		r = make_actions_folder(l, ret_error);
	if (r < 0) {
		launcher_free(l);
		return r;
	}
	follow_init(l);
	l->private_root = private_root();
	l->cgroup_root = cgroup_root();
	read_boot(l);
	*ret = l;
	return 0;
}

static void on_all_closed(struct open_count *count)
{
	struct launcher *l = container_of(count, struct launcher, open);
	void (*closed)(void *arg) = l->closed;
	void *arg = l->closed_arg;

	launcher_free(l);
	closed(arg);
}

void launcher_close(struct launcher *l, void (*closed)(void *arg), void *arg)
{
	if (!l)
		return;
	l->closing = true;
	l->closed = closed;
	l->closed_arg = arg;
	log_close(l);
	list_for_each(node, &l->actions) action_release(list_entry(node, struct action, link));
	follow_close(l);
	open_count_close(&l->open, on_all_closed);
}
