/* The counters themselves: a part of the core's memory. */
#pragma once
#include <stdint.h>
#include "base/outcome.h"

#define METRICS_BUCKETS 10

struct histogram {
	uint64_t buckets[METRICS_BUCKETS]; /* each its own, not summed up; above all bounds: none */
	uint64_t count;
	double sum; /* seconds */
};

struct metrics {
	struct histogram lateness; /* of runs after their slot */
	struct metrics_kind {
		const char *kind; /* a step kind's name, static */
		uint64_t ended[OUTCOMES];
	} kinds[24];
	size_t n_kinds;
	struct metrics_sync {
		char *environment; /* "": none */
		struct histogram took;
	} * syncs; /* sorted by nothing: a handful */
	size_t n_syncs, cap_syncs;
};
