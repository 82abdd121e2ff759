/* Kinds whose configuration is known and checked, and whose machines come later: an attempt of one
 * says so and fails. */
#include "base/memory.h"
#include "kinds/kind_table.h"
#include "kinds/metabase.h"

static void done(const char *name, struct kind_command *ret)
{
	ret->type = KIND_DONE;
	ret->outcome = OUTCOME_FAILED;
	ret->reason = xasprintf("%s: not there yet in this version of nightjar", name);
}

static void metabase_sync_next(void *state, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	done("metabase_sync", ret);
}

static void *stateless_new(const struct kind_context *ctx)
{
	return xmalloc(1); /* a machine's state is never NULL */
}

const struct kind kind_metabase_sync = {
	.spec = SPEC_METABASE_SYNC,
	.new = stateless_new,
	.free = free,
	.next = metabase_sync_next,
};

/* The lane's machine comes later, too. */
const struct lane_kind lane_metabase = {.name = "metabase"};

void metabase_want_free(void *want)
{
	struct metabase_want *w = want;

	for (size_t i = 0; w && i < w->n_databases; i++) {
		for (size_t k = 0; k < w->databases[i].n_tables; k++) {
			free(w->databases[i].tables[k].schema);
			free(w->databases[i].tables[k].name);
			strv_free(w->databases[i].tables[k].columns);
		}
		free(w->databases[i].tables);
		free(w->databases[i].name);
	}
	for (size_t i = 0; w && i < w->n_things; i++)
		free(w->things[i].name);
	if (w) {
		free(w->databases);
		free(w->things);
		free(w->url);
		wipe_free(w->api_key);
		wipe_free(w->username);
		wipe_free(w->password);
	}
	free(w);
}
