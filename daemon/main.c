/* nightjard: the scheduler's daemon.
 *
 * The code, from the lowest floor to the highest; each may use only those above it here:
 *
 *   lib/base/       lists, strings, JSON, masks, outcomes: the small things
 *   lib/time/       cron expressions, zones, instants
 *   lib/spec/       the configuration: a neutral tree, checked into structs; the one table of keys
 *   lib/kinds/      one file a step kind: run, shell, dbt, ...: machines that say what is next
 *   lib/core/       what is due, and the life of a run (core.h has the map); asks through ports.h
 *   daemon/loop/    libuv: timers, once per turn, work on the pool, close counting
 *   daemon/config/  the configuration file, secrets, zones, from disk
 *   daemon/pg/      the store: PostgreSQL
 *   daemon/proc/    actions as processes under nightjar-shim, and what they print
 *   daemon/http/    calls over HTTP: libcurl
 *   daemon/control/ the Unix socket: varlink
 *   daemon/journal/ notices to journald
 *   daemon/         daemon.c wires all of this; state.c, service.c and reload.c help it
 *   shim/           nightjar-shim, the parent of one child
 *   client/         nightjar, the command
 *
 * To add a step kind, start at lib/kinds/kind.h; a key, at lib/spec/keys.c; a method of the socket,
 * at daemon/control/control.h; a command, at client/main.c; a column, at daemon/pg/migrate.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "daemon/daemon.h"

#define CONFIG_DEFAULT "/etc/nightjar/nightjar.conf"

static void usage(FILE *to)
{
	fputs("usage: nightjard [--config FILE] [--check] [--version] [--help]\n"
	      "\n"
	      "Runs in the foreground until it is told to end.\n"
	      "\n"
	      "  --config FILE  the configuration (" CONFIG_DEFAULT ")\n"
	      "  --check        say all that is wrong with it, one a line, and exit: 0 or 1\n"
	      "  --version      say the version and exit\n"
	      "\n"
	      "See nightjard(8) and nightjar.conf(5).\n",
		to);
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *config = CONFIG_DEFAULT;
	bool check = false;
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'k':
			check = true;
			break;
		case 'v':
			puts("nightjard " NIGHTJAR_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	return check ? config_check(config) : daemon_run(config);
}
