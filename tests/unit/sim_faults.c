/* What befalls a machine besides an honest crash: its daemon is stopped for a while (as by SIGSTOP,
 * or a machine too busy to run it), the machine sleeps, the daemon dies between any two steps. */
#include <string.h>
#include "tests/unit/sim_world.h"

#define CRASHES 100 /* of a million steps, for each of the 1000 that `faults` says */

#define END_OF_DAYS (USEC_INFINITY / 2)

/* --- stopped ------------------------------------------------------------------------------ */

void sim_host_stop(struct sim *sim, unsigned i)
{
	struct host *host = &sim->hosts[i];

	if (!host->core || host->stopped)
		return;
	sim_trace(sim, "host %u: its daemon is stopped", i);
	sim_host_renews(sim, i, false);
	host->stopped = true;
}

/* Kept until the daemon goes on, in their order: at the end of all days. */
void host_defer(struct host *host, struct happening *h)
{
	heap_set(&host->sim->happenings, &h->at, END_OF_DAYS + host->n_deferred++);
}

static struct heap_node *next_deferred(const struct host *host)
{
	const struct heap *all = &host->sim->happenings;
	struct heap_node *next = NULL;

	for (size_t i = 0; i < all->n; i++) {
		struct heap_node *node = all->nodes[i];

		if (container_of(node, struct happening, at)->host == host &&
			node->key >= END_OF_DAYS && (!next || node->key < next->key))
			next = node;
	}
	return next;
}

static void undefer(struct host *host)
{
	struct heap_node *node;
	usec_t in = 0;

	while ((node = next_deferred(host)))
		heap_set(&host->sim->happenings, node, host->sim->boot + in++);
	host->n_deferred = 0;
	host->stopped = false;
}

static void renew(struct sim *sim, struct happening *h)
{
	sim_host_renews(sim, container_of(h, struct host, renew)->index, true);
}

/* It goes on as if nothing had been: only a moment later it hears of what has changed. */
void sim_host_go_on(struct sim *sim, unsigned i)
{
	struct host *host = &sim->hosts[i];

	if (!host->stopped)
		return;
	sim_trace(sim, "host %u: its daemon goes on", i);
	undefer(host);
	launcher_tell_late(host);
	host_run(host);
	sim_at_host(host, &host->renew, (usec_t)(sim_random(sim) % (2 * USEC_SEC)), renew, NULL);
}

void host_forget_stop(struct host *host)
{
	if (host->stopped)
		undefer(host);
}

/* --- asleep ------------------------------------------------------------------------------- */

/* A process whose timeout passes meanwhile does nothing any more until its shim kills it. */
static void put_to_sleep(struct process *p, usec_t span)
{
	usec_t end = p->end.at.key + span;

	if (p->stop || p->timed_out)
		return;
	if (end > p->latest) {
		end = p->latest;
		p->timed_out = true;
	}
	heap_set(&p->sim->happenings, &p->end.at, end);
}

/* Both clocks go on, and nothing else. */
void sim_host_sleep(struct sim *sim, unsigned i, usec_t span)
{
	struct host *host = &sim->hosts[i];

	sim_trace(sim, "host %u: the machine sleeps for %lld s", i, (long long)(span / USEC_SEC));
	list_for_each(node, &sim->processes)
	{
		struct process *p = list_entry(node, struct process, link);

		if (p->host == host && !p->ended)
			put_to_sleep(p, span);
	}
	sim_host_stop(sim, i);
	sim_run_for(sim, span);
	sim_host_go_on(sim, i);
}

/* --- between any two steps ---------------------------------------------------------------- */

static void up_again(struct sim *sim, struct happening *h)
{
	sim_host_up(sim, container_of(h, struct host, up)->index);
}

void host_may_crash(struct host *host)
{
	struct sim *sim = host->sim;
	usec_t in = 0;

	if (!sim->options.faults || !host->core || host->stopped ||
		sim_random(sim) % 1000000 >= (uint64_t)CRASHES * sim->options.faults)
		return;
	sim_host_down(sim, host->index);
	if (sim_chance(sim, 500))
		in = (usec_t)(sim_random(sim) % (5 * USEC_MINUTE));
	sim_at(sim, &host->up, in, up_again);
}
