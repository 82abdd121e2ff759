/* What `nightjard --check --config FILE` does, as a program of its own for tests. */
#include <getopt.h>
#include <stdio.h>
#include "daemon/config/load.h"

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{0},
	};
	const char *path = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (o == 'c')
			path = optarg;
	if (!path) {
		fputs("usage: config_check --check --config FILE\n", stderr);
		return 2;
	}
	return config_check(path);
}
