/* Old rows go.
 *
 * Happy path: one transaction of a few hundred rows on the reading connection, so that no writer
 * waits behind it; the fence comes last, since it holds the leader row, which renewals need. It
 * ends with how many rows went. Failures: no connection, not the leader, an error: nothing went,
 * and the sentence says why. What stays whatever its age: open runs, each job's last ended one, its
 * last one that was not cancelled, its last good one, and what an open run retries; and of what
 * stays the slot. A clock that runs ahead, the server's or ours, removes
 * nothing by itself: the earlier one counts. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/pg/internal.h"

#define PRUNE_PATIENCE (90 * USEC_SEC)

/* %1$s: the instant before which things are old; %2$llu: the epoch */
static const char prune_sql[] =
	"BEGIN;"
	"SET LOCAL lock_timeout = '2s';"
	"DELETE FROM nightjar.run d USING (SELECT r.id FROM nightjar.run r"
	"  WHERE r.created_at < %1$s AND r.state = 'ended'"
	"  AND r.ended_at < %1$s"
	"  AND r.number < (SELECT max(x.number) FROM nightjar.run x"
	"   WHERE x.job = r.job AND x.state = 'ended')"
	"  AND r.id IS DISTINCT FROM (SELECT x.id FROM nightjar.run x"
	"   WHERE x.job = r.job AND x.state = 'ended' AND x.outcome IS DISTINCT FROM 'cancelled'"
	"   ORDER BY x.number DESC LIMIT 1)"
	"  AND r.id IS DISTINCT FROM (SELECT x.id FROM nightjar.run x"
	"   WHERE x.job = r.job AND x.outcome = 'ok' ORDER BY x.number DESC LIMIT 1)"
	"  AND NOT EXISTS (SELECT FROM nightjar.run o WHERE o.state <> 'ended' AND o.retry_of = "
	"r.id)"
	"  ORDER BY r.created_at LIMIT 100) o WHERE d.id = o.id;"
	"DELETE FROM nightjar.definition d WHERE NOT EXISTS"
	" (SELECT FROM nightjar.run r WHERE r.definition = d.hash);"
	"DELETE FROM nightjar.slot d USING (SELECT s.job, s.scheduled_for FROM nightjar.slot s"
	"  WHERE s.scheduled_for < %1$s"
	"  AND coalesce(s.until, s.scheduled_for) < %1$s"
	"  AND NOT EXISTS (SELECT FROM nightjar.run r WHERE r.id = s.run_id)"
	"  ORDER BY s.scheduled_for LIMIT 500) o"
	" WHERE d.job = o.job AND d.scheduled_for = o.scheduled_for;"
	"DELETE FROM nightjar.audit d USING (SELECT id FROM nightjar.audit"
	"  WHERE at < %1$s ORDER BY at LIMIT 500) o WHERE d.id = o.id;"
	"DELETE FROM nightjar.check_transition d WHERE d.at < %1$s AND EXISTS"
	" (SELECT FROM nightjar.check_transition x WHERE x.name = d.name"
	"  AND x.environment = d.environment AND x.at > d.at);"
	"DELETE FROM nightjar.notification WHERE run_id IS NULL AND sent_at IS NOT NULL"
	" AND created_at < %1$s;"
	"DELETE FROM nightjar.sync WHERE run_id IS NULL AND ended_at < %1$s;"
	"SELECT nightjar.fence(%2$llu);"
	"COMMIT";

static void prune_end(struct pg *pg, const char *error, uint64_t n)
{
	struct prune *p = TAKE_PTR(pg->prune);

	p->done(p, error, error ? 0 : n);
}

static void prune_result(struct pg_request *r, unsigned index, const PGresult *res)
{
	struct pg *pg = container_of(r, struct pg, prune_request);

	if (str_starts(PQcmdStatus((PGresult *)res), "DELETE"))
		pg->pruned += strtoull(PQcmdTuples((PGresult *)res), NULL, 10);
}

static void prune_ended(struct pg_request *r, const struct pg_error *error)
{
	struct pg *pg = container_of(r, struct pg, prune_request);

	pg->pruning = false;
	free(TAKE_PTR(pg->prune_text));
	prune_end(pg,
		!error			  ? NULL
		: error->fault == PG_LOST ? PG_AWAY_ERROR
					  : error->message,
		pg->pruned);
}

void pg_prune(struct pg *pg)
{
	const struct prune *p = pg->prune;
	_cleanup_free_ char *before = NULL;

	if (!p || pg->pruning)
		return;
	if (pg->state != PG_LEAD || !pg->read_ready || !pg_connection_is_up(&pg->read)) {
		prune_end(pg, PG_AWAY_ERROR, 0);
		return;
	}
	pg->pruned = 0;
	before = xasprintf("(least(to_timestamp(%lld), now()) - interval '%lld s')",
		(long long)(p->now / USEC_SEC), (long long)(p->span / USEC_SEC));
	pg->prune_text = xasprintf(prune_sql, before, (unsigned long long)pg->epoch);
	pg->prune_request = (struct pg_request){
		.simple = pg->prune_text,
		.result = prune_result,
		.end = prune_ended,
		.patience = PRUNE_PATIENCE,
	};
	pg->pruning = true;
	pg_connection_submit(&pg->read, &pg->prune_request);
}

void pg_prune_submit(struct pg *pg, struct prune *p)
{
	pg->prune = p;
	deferred_ask(&pg->kick);
}
