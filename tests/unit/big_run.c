/* How long a large run takes the core: big_run [ROWS [COLUMNS]]. Two stages of so many cells, each
 * of the second one needing every cell of the first. The processes are simulated, so the time is
 * the core's own, and the simulated store's. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/buf.h"
#include "base/memory.h"
#include "tests/unit/sim.h"

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_values(struct buf *b, const char *dimension, unsigned n)
{
	buf_printf(b, "'%s': [", dimension);
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, "%s'v%u'", i ? ", " : "", i);
	buf_puts(b, "]");
}

static void put_stage(struct buf *b, const char *name, const char *needs, const char *x,
	const char *y, unsigned rows, unsigned columns)
{
	buf_printf(b, "{'name': '%s', %s'matrix': {", name, needs);
	put_values(b, x, rows);
	buf_puts(b, ", ");
	put_values(b, y, columns);
	buf_puts(b, "}, 'steps': [{'name': 's', 'run': ['x']}]}");
}

int main(int argc, char **argv)
{
	unsigned rows = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
	unsigned columns = argc > 2 ? (unsigned)atoi(argv[2]) : rows;
	struct buf config = BUF_NULL;
	double begin, made;
	struct sim *sim;

	buf_puts(&config, "{'store': {'conninfo': ''}, 'socket': {'path': '/s'}, 'max_attempts': "
			  "100, 'jobs': [{'name': 'n', 'stages': [");
	put_stage(&config, "a", "", "a", "b", rows, columns);
	buf_puts(&config, ", ");
	put_stage(&config, "b", "'needs': ['a'], ", "c", "d", rows, columns);
	buf_puts(&config, "]}]}");
	begin = seconds_now();
	sim = sim_new(&(struct sim_options){.seed = 7, .start = 1772323200 * USEC_SEC});
	sim_configure(sim, buf_str(&config));
	free(sim_start(sim, "n", NULL));
	made = seconds_now();
	sim_settle(sim);
	printf("%u + %u cells: %s; configured and made in %.2f s, run in %.2f s\n", rows * columns,
		rows * columns, sim_outcome(sim, "n#1", NULL), made - begin, seconds_now() - made);
	sim_free(sim);
	free(buf_steal(&config));
	return 0;
}
