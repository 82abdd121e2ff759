/* The socket file, its clients as a whole, and teardown.
 *
 * Happy path: control_new() makes the socket and listens, connections come and go by themselves,
 * control_close() drops all of them and calls back when libuv has let go of the last handle.
 * Failures: a live daemon at the path is an error, a dead one's file is replaced; a client beyond
 * the limits is accepted and closed at once. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/control/call.h"
#include "daemon/control/connection.h"
#include "daemon/control/methods.h"
#include "daemon/control/server.h"

#define BACKLOG 1024

struct control_user *control_user_get(struct control *control, uid_t uid)
{
	list_for_each(node, &control->users)
	{
		struct control_user *user = list_entry(node, struct control_user, link);
		if (user->uid == uid) {
			user->n_clients++;
			return user;
		}
	}
	struct control_user *user = xnew(struct control_user);
	*user = (struct control_user){.uid = uid, .n_clients = 1};
	list_append(&control->users, &user->link);
	return user;
}

void control_user_put(struct control_user *user)
{
	if (--user->n_clients > 0)
		return;
	list_remove(&user->link);
	free(user);
}

static void on_all_closed(struct open_count *open)
{
	struct control *control = container_of(open, struct control, open);
	void (*closed)(void *) = control->closed;
	void *arg = control->closed_arg;
	free(control->path);
	free(control);
	if (closed)
		closed(arg);
}

static void make_folder(const char *path)
{
	_cleanup_free_ char *folder = xstrdup(path);
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(folder, 0755); /* where it may; bind() says what is wrong */
		*slash = '/';
	}
}

static int address_of(const char *path, struct sockaddr_un *ret)
{
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(ret->sun_path, path);
	return 0;
}

/* Removes the file of a daemon that is gone. */
static int remove_dead(const char *path, const struct sockaddr_un *address)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	int error = r < 0 ? errno : 0;
	close(fd);
	if (error == ENOENT)
		return 0;
	if (error != ECONNREFUSED)
		return -EADDRINUSE; /* it answers, or is too busy to */
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_at(const char *path, mode_t mode, struct stat *ret_stat, int *ret_fd)
{
	struct sockaddr_un address;
	int r = address_of(path, &address);
	if (r < 0)
		return r;
	make_folder(path);
	r = remove_dead(path, &address);
	if (r < 0)
		return r;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Nobody can connect before listen(), so the mode is right from the first client on. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, mode) < 0 ||
		lstat(path, ret_stat) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	if (status == 0 && !control->closing)
		connection_accept(control);
}

int control_new(uv_loop_t *loop, const struct control_options *options, struct control **ret)
{
	struct stat st = {0};
	int fd = -1;
	int r = bind_at(options->path, options->mode ? options->mode : 0666, &st, &fd);
	if (r < 0)
		return r;
	struct control *control = xnew(struct control);
	control->loop = loop;
	control->path = xstrdup(options->path);
	control->socket_stat = st;
	control->hooks = options->hooks;
	control->log = options->log;
	control->operators = (gid_t)-1;
	list_init(&control->connections);
	list_init(&control->users);
	list_init(&control->calls);
	list_init(&control->watchers);
	list_init(&control->readings);
	deferred_init(&control->looks, loop, &control->open, logs_look, control);
	uv_pipe_init(loop, &control->listener, 0);
	open_count_add(&control->open);
	control->listener.data = control;
	r = uv_pipe_open(&control->listener, fd);
	if (r < 0)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&control->listener, BACKLOG, on_connection);
	if (r < 0) {
		control_close(control, NULL, NULL);
		return r;
	}
	*ret = control;
	return 0;
}

void control_configure(struct control *control, struct core *core, gid_t operators)
{
	control->core = core;
	control->operators = operators;
}

static void remove_own_file(const struct control *control)
{
	struct stat st;
	if (lstat(control->path, &st) == 0 && st.st_ino == control->socket_stat.st_ino &&
		st.st_dev == control->socket_stat.st_dev)
		unlink(control->path);
}

void control_close(struct control *control, void (*closed)(void *arg), void *arg)
{
	if (!control) {
		if (closed)
			closed(arg);
		return;
	}
	control->closing = true;
	control->closed = closed;
	control->closed_arg = arg;
	remove_own_file(control);
	while (!list_empty(&control->connections))
		connection_drop(
			list_entry(list_first(&control->connections), struct connection, link));
	while (!list_empty(&control->calls))
		call_forget(list_entry(list_first(&control->calls), struct call, link));
	deferred_close(&control->looks, &control->open);
	open_count_close_handle(&control->open, (uv_handle_t *)&control->listener);
	open_count_close(&control->open, on_all_closed);
}
