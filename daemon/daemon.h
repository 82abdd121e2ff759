/* The daemon as a whole: its parts, made in order and torn down in reverse, and the few things that
 * happen between them. */
#pragma once
#include <grp.h>
#include "core/core.h"
#include "daemon/config/load.h"
#include "daemon/config/secrets.h"
#include "daemon/control/control.h"
#include "daemon/http/http.h"
#include "daemon/journal/journal.h"
#include "daemon/loop/clock.h"
#include "daemon/loop/loop.h"
#include "daemon/pg/pg.h"
#include "daemon/pg/query.h"
#include "daemon/proc/launcher.h"
#include "daemon/service.h"
#include "daemon/state.h"

struct reload;

struct daemon {
	/* given */
	const char *config_path;
	char *shim_path;
	/* what a reload replaces */
	struct config_world *world;
	const struct spec *spec; /* the core's */
	/* the parts, in the order they are made */
	struct state state;
	struct journal *journal;
	uv_loop_t loop;
	struct open_count count;
	struct deferred turn; /* core_run(), once per turn of the loop */
	struct clock clock;
	struct service service;
	uv_signal_t signals[3];
	struct secrets *secrets;
	struct launcher *launcher;
	struct log_port log_port;
	struct http *http;
	struct queries *queries;
	struct pg *pg;
	struct core *core;
	struct control *control;
	char *unit_environment[5];
	struct reload *reload; /* under way */
	struct list reloads;   /* asked for meanwhile: struct wish.link */
	bool ending;	       /* waits for actions to end */
	bool closing;
	unsigned parts_open; /* of those that close by callback */
	int exit_code;
};

/* Loads, makes everything, runs until it is told to end. The exit code. */
int daemon_run(const char *config_path);

/* reload.c: reads the configuration on the pool and swaps it in whole. `r` may be NULL (SIGHUP). */
void daemon_reload(struct daemon *d, struct control_reload *r);
/* The group of operators; (gid_t)-1: none of that name. Blocks on the user database. */
gid_t operators_gid(const char *group);
