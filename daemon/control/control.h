/* The socket: a varlink server (org.nightjar.Scheduler, org.varlink.service) on a Unix socket.
 * Anybody may read; operating is for root and for the group of operators.
 *
 *   server.c      the socket file, accepting, the limits over all clients, teardown
 *   connection.c  one client: messages in, replies out, deadlines
 *   call.c        one call: checked, allowed, handed to its method, answered once
 *   peer.c        who the client is, and what it may
 *   methods.c     one table: every method, its parameters, its right, its function
 *   operate.c     the methods that change something
 *   logs.c        Logs: what attempts printed, with back-pressure
 *   watch.c       Watch: notices as they come
 *   service.c     org.varlink.service
 *
 * To add a method: declare it in org.nightjar.Scheduler.varlink, add its line to the table in
 * methods.c, and write its function beside the others. */
#pragma once
#include <sys/types.h>
#include <uv.h>
#include "base/complaint.h"
#include "core/core.h"

struct control;

/* A reload under way: the adapter's, until `done`. */
struct control_reload {
	/* Once. Refused where `refused`; the complaints (borrowed for the call, may be NULL) then
	 * have errors, else warnings at most. Never called inside hooks.reload(). */
	void (*done)(struct control_reload *r, bool refused, const struct complaints *complaints);
};

/* What the socket asks of main. */
struct control_hooks {
	void *self;
	void (*reload)(void *self, struct control_reload *r);
	/* Called after anything that may have given the core something to do. */
	void (*kick)(void *self);
	/* Adds what the core does not know of to the text of its metrics. May be NULL. */
	void (*metrics)(void *self, struct buf *out);
};

struct control_options {
	const char *path; /* of the socket; its folder is made where it may be */
	mode_t mode;	  /* 0: 0666 */
	struct control_hooks hooks;
	const struct log_port *log;
};

/* Listens. Returns 0; -EADDRINUSE: a live daemon answers there; -EEXIST: what is there is no
 * socket; or another negative errno. A dead socket file is replaced. The program ignores SIGPIPE.
 */
int control_new(uv_loop_t *loop, const struct control_options *options, struct control **ret);

/* Who is answered from here on, and who may operate: (gid_t)-1: root alone. At the start and after
 * each reload. `core` is borrowed until control_close(). */
void control_configure(struct control *control, struct core *core, gid_t operators);

/* What happened, for those who watch. */
void control_notice(struct control *control, const struct core_notice *notice);

/* Drops every client, removes the socket file and calls back when all is closed; by then `control`
 * is gone. An operation that the core still has is answered into the void: the core answers its
 * open operations before it is freed, or they leak. */
void control_close(struct control *control, void (*closed)(void *arg), void *arg);
