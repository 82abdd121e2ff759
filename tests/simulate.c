/* Plays simulated nights: simulate [--from SEED] [--seeds N] [--seconds S] [--trace | --last]; see
 * tests/simulate
 *
 * Each seed is one night (tests/unit/night.c) under the eyes of a model of the rules
 * (tests/unit/model.c). A broken rule plays its night once more, which is the same again, to tell
 * the last that happened before, and ends the program with the seed: --trace tells all of a night.
 * With --seconds it stops early, and says how many nights there were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/unit/night.h"

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void play_again(uint64_t seed)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
	fflush(stdout);
	execl("/proc/self/exe", "simulate", "--from", text, "--seeds", "1", "--last", NULL);
}

int main(int argc, char **argv)
{
	unsigned long long from = 1, seeds = 1000, played = 0;
	double begin = seconds_now(), most = 1e9;
	enum sim_trace trace = SIM_TRACE_NONE;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			trace = SIM_TRACE_ALL;
		else if (strcmp(argv[i], "--last") == 0)
			trace = SIM_TRACE_LAST;
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
		night_play(from + played++, trace, trace ? NULL : play_again);
	printf("%llu nights, seeds from %llu on, in %.1f s: every rule held\n", played, from,
		seconds_now() - begin);
	return 0;
}
