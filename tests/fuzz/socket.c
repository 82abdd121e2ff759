/* The socket: whatever a client sends, over a made-up core. The server stays, and answers Status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/control/control.h"
#include "daemon/loop/loop.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_core.h"

#define TURNS 200 /* of the loop, at most, for one input */

static struct {
	uv_loop_t loop;
	struct control *control;
	struct core *core;
	struct sockaddr_un address;
} server;

static void notice(void *self, const struct core_notice *n)
{
	control_notice(server.control, n);
}

static void kick(void *self)
{
}

static void reload(void *self, struct control_reload *r)
{
	r->done(r, false, NULL);
}

static void log_start(void *self, struct log_request *r)
{
	r->done(r, "no logs here");
}

static void log_cancel(void *self, struct log_request *r)
{
}

static void remove_socket(void)
{
	char *slash = strrchr(server.address.sun_path, '/');

	unlink(server.address.sun_path);
	*slash = '\0';
	rmdir(server.address.sun_path);
}

static void begin(void)
{
	static const struct log_port log = {
		.start = log_start, .next = log_start, .cancel = log_cancel};
	struct control_options options = {.path = server.address.sun_path,
		.hooks = {.reload = reload, .kick = kick},
		.log = &log};
	struct fake_hooks hooks = {.notice = notice};
	char folder[] = "/tmp/nightjar-fuzz.XXXXXX";

	if (!mkdtemp(folder))
		abort();
	server.address.sun_family = AF_UNIX;
	snprintf(server.address.sun_path, sizeof(server.address.sun_path), "%s/socket", folder);
	atexit(remove_socket);
	uv_loop_init(&server.loop);
	server.core = fake_core_new(&hooks);
	if (control_new(&server.loop, &options, &server.control) < 0)
		abort();
	control_configure(server.control, server.core, (gid_t)-1);
}

static void turn(unsigned n)
{
	while (n-- > 0) {
		uv_run(&server.loop, UV_RUN_NOWAIT);
		fake_core_answer(server.core);
	}
}

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&server.address, sizeof(server.address)) < 0)
		abort();
	return fd;
}

static bool answers(void)
{
	static const char ask[] = "{\"method\":\"org.nightjar.Scheduler.Status\"}";
	char reply[256];
	int fd = dial();
	bool good = false;

	if (write(fd, ask, sizeof(ask)) != (ssize_t)sizeof(ask))
		abort();
	for (int i = 0; i < TURNS && !good; i++) {
		turn(1);
		good = read(fd, reply, sizeof(reply)) > 0;
	}
	close(fd);
	turn(2);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned n;
	char reply[4096];
	int fd;

	if (!server.core)
		begin();
	if (size == 0 || size > 60000)
		return 0;
	fd = dial();
	turn(1);
	if (write(fd, data, size) < 0)
		abort();
	turn(3);
	while (read(fd, reply, sizeof(reply)) > 0)
		turn(1);
	close(fd);
	turn(3);
	fake_core_step(server.core);
	if (n++ % 64 == 0)
		assert(answers());
	return 0;
}
