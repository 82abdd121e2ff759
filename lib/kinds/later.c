/* Kinds whose configuration is known and checked, and whose machines come later: an attempt of one
 * says so and fails. */
#include "base/memory.h"
#include "kinds/kind_table.h"

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

static void terraform_next(void *state, const struct kind_context *ctx,
	const struct kind_event *event, struct kind_command *ret)
{
	done("terraform", ret);
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

const struct kind kind_terraform = {
	.spec = SPEC_TERRAFORM,
	.new = stateless_new,
	.free = free,
	.next = terraform_next,
};
