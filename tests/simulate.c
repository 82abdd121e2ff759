/* Plays simulated nights: simulate [--from SEED] [--seeds N] [--seconds S] [--trace]; see
 * tests/nights
 *
 * Each seed is one night (tests/unit/night.c) under the eyes of a model of the rules
 * (tests/unit/model.c). A broken rule ends the program with its seed, which plays the same night
 * again with --trace. With --seconds it stops early, and says how many nights there were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/unit/night.h"

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long long from = 1, seeds = 1000, played = 0;
	double begin = seconds_now(), most = 1e9;
	bool trace = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			trace = true;
		else if (i + 1 < argc && strcmp(argv[i], "--from") == 0)
			from = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
			seeds = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0)
			most = strtod(argv[++i], NULL);
		else
			return 2;
	}
	while (played < seeds && seconds_now() - begin < most)
		night_play(from + played++, trace);
	printf("%llu nights, seeds from %llu on, in %.1f s: every rule held\n", played, from,
		seconds_now() - begin);
	return 0;
}
