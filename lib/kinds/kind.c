/* The table of step kinds, and what all of them share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "kinds/kind_table.h"

const struct kind *const kinds[] = {
	&kind_run,
	&kind_shell,
	&kind_dbt,
	&kind_metabase_sync,
	&kind_terraform,
	&kind_http,
};
const size_t n_kinds = ARRAY_SIZE(kinds);

/* In the order of the table above. */
static const struct spec_kind specs[] = {
	SPEC_RUN,
	SPEC_SHELL,
	SPEC_DBT,
	SPEC_METABASE_SYNC,
	SPEC_TERRAFORM,
	SPEC_HTTP,
};
_Static_assert(ARRAY_SIZE(specs) == ARRAY_SIZE(kinds), "one spec a kind");

const struct kind *kind_by_name(const char *name)
{
	for (size_t i = 0; i < n_kinds; i++)
		if (str_eq(kinds[i]->spec.name, name))
			return kinds[i];
	return NULL;
}

const struct spec_kind *kind_specs(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(specs);
	return specs;
}

static const char *const stop_names[] = {
	[STOP_CANCELLED] = "cancelled",
	[STOP_TIMED_OUT] = "timed_out",
	[STOP_FAIL_FAST] = "fail_fast",
	[STOP_SHUTDOWN] = "shutdown",
};

const char *stop_reason_name(enum stop_reason r)
{
	return (size_t)r < ARRAY_SIZE(stop_names) ? stop_names[r] : NULL;
}

enum stop_reason stop_reason_parse(const char *s)
{
	for (size_t i = 0; s && i < ARRAY_SIZE(stop_names); i++)
		if (str_eq(stop_names[i], s))
			return (enum stop_reason)i;
	return STOP_NONE;
}

void kind_command_fini(struct kind_command *cmd)
{
	free(cmd->lock);
	free(cmd->hash);
	free(cmd->reason);
	cJSON_Delete(cmd->note);
	cJSON_Delete(cmd->rows);
}

void kind_spawn_fini(struct kind_spawn *s)
{
	strv_free(s->argv);
	strv_free(s->env);
	strv_free(s->directories);
	strv_free(s->untouched);
	free(s->cwd);
	*s = (struct kind_spawn){0};
}

void kind_request_fini(struct kind_request *r)
{
	wipe_free(r->url);
	free(r->method);
	wipe_free(r->body);
	for (size_t i = 0; r->headers && r->headers[i]; i++)
		wipe_free(r->headers[i]);
	free(r->headers);
	*r = (struct kind_request){0};
}

void kind_query_fini(struct kind_query *q)
{
	wipe_free(q->conninfo);
	for (size_t i = 0; q->values && q->values[i]; i++)
		wipe_free(q->values[i]);
	free(q->values);
	*q = (struct kind_query){0};
}

void action_status_fini(struct action_status *s)
{
	free(s->message);
	*s = (struct action_status){0};
}
