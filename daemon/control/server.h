/* What the files of the socket share. */
#pragma once
#include <sys/stat.h>
#include "base/list.h"
#include "daemon/control/control.h"
#include "daemon/loop/loop.h"

#define CONTROL_INTERFACE "org.nightjar.Scheduler"

#define REQUEST_MAX	    65536
#define CLIENTS_PER_UID	    128
#define CLIENTS_MAX	    1000       /* root may always come in */
#define QUEUED_MAX	    (4u << 20) /* more for a client that does not read: it is dropped */
#define QUEUED_UID_MAX	    (32u << 20)
#define HALF_MESSAGE_MS	    10000
#define READ_DEADLINE_MS    30000 /* a reading call is answered by then, */
#define OPERATE_DEADLINE_MS 60000 /* an operating one by then */
#define FLUSH_DEADLINE_MS   60000 /* and a reply taken by then */
#define AUDIT_PER_MINUTE    60	  /* rows for calls that were not allowed */

/* The clients of one uid. */
struct control_user {
	struct list link;
	uid_t uid;
	unsigned n_clients;
	size_t queued; /* bytes of replies not yet taken */
};

struct control {
	uv_loop_t *loop;
	uv_pipe_t listener;
	char *path;
	struct stat socket_stat; /* the file that is ours to remove */
	struct control_hooks hooks;
	const struct log_port *log;
	struct core *core; /* NULL until configured */
	gid_t operators;

	struct list connections;
	struct list users;
	struct list calls;     /* all that are not answered, also those whose client is gone */
	struct list watchers;  /* watch.c */
	struct list readings;  /* logs.c */
	struct deferred looks; /* logs.c: what the core is to be asked, outside its own call */
	unsigned n_clients;
	struct {
		uint64_t window; /* loop time in ms */
		unsigned n, dropped;
	} audit;

	struct open_count open; /* the last one that closes ends a closing control */
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
	char chunk[16384]; /* what one read reads into */
};

struct control_user *control_user_get(struct control *control, uid_t uid);
void control_user_put(struct control_user *user);
