/* Giving back what a configuration holds. */
#include <stdlib.h>
#include "base/memory.h"
#include "spec/loader.h"

void vars_fini(struct spec_vars *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->items[i].name);
		free(v->items[i].value);
		node_free(v->items[i].group);
	}
	free(v->items);
	*v = (struct spec_vars){0};
}

void spec_only_fini(struct spec_only *only)
{
	for (size_t i = 0; i < only->n; i++) {
		free(only->terms[i].dimension);
		strv_free(only->terms[i].values);
	}
	free(only->terms);
	*only = (struct spec_only){0};
}

void environment_fini(struct spec_environment *e)
{
	free(e->name);
	vars_fini(&e->vars);
	node_free(e->data);
	free(e->metabase_url);
	free(e->metabase_api_key);
	free(e->metabase_username);
	free(e->metabase_password);
}

void check_fini(struct spec_check *c)
{
	free(c->name);
	strv_free(c->environments);
	node_free(c->params);
}

static void step_fini(struct spec_step *s)
{
	free(s->name);
	node_free(s->params);
	free(s->cwd);
	vars_fini(&s->env);
	strv_free(s->secrets);
	for (size_t i = 0; i < s->n_files; i++) {
		spec_only_fini(&s->files[i].only);
		free(s->files[i].content);
		free(s->files[i].env);
		free(s->files[i].name);
	}
	free(s->files);
	spec_only_fini(&s->only);
	free(s->lock.name);
	free(s->gate.check);
	free(s->gate.approval_message);
	free(s->ok_codes);
	free(s->transient_codes);
}

static void stage_fini(struct spec_stage *s)
{
	free(s->name);
	strv_free(s->dimensions);
	for (size_t i = 0; i < s->n_cells; i++) {
		strv_free(s->cells[i].values);
		free(s->cells[i].name);
		free(s->cells[i].environment);
	}
	free(s->cells);
	for (size_t i = 0; i < s->n_needs; i++)
		spec_only_fini(&s->needs[i].only);
	free(s->needs);
	for (size_t i = 0; i < s->n_steps; i++)
		step_fini(&s->steps[i]);
	free(s->steps);
}

static void environments_free(struct spec_environment *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		environment_fini(&v[i]);
	free(v);
}

static void checks_free(struct spec_check *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_fini(&v[i]);
	free(v);
}

struct spec_job *spec_job_ref(struct spec_job *job)
{
	job->refs++;
	return job;
}

struct spec_job *spec_job_unref(struct spec_job *job)
{
	if (!job || --job->refs > 0)
		return NULL;
	for (size_t i = 0; i < job->n_stages; i++)
		stage_fini(&job->stages[i]);
	free(job->stages);
	environments_free(job->environments, job->n_environments);
	checks_free(job->checks, job->n_checks);
	cron_free(job->cron);
	zone_unref(job->zone_holder);
	strv_free(job->choose);
	free(job->name);
	free(job->schedule);
	free(job->timezone);
	free(job->definition);
	free(job);
	return NULL;
}

void spec_free(struct spec *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_jobs; i++)
		spec_job_unref(s->jobs[i]);
	free(s->jobs);
	for (size_t i = 0; i < s->n_locks; i++)
		free(s->locks[i].name);
	free(s->locks);
	environments_free(s->environments, s->n_environments);
	checks_free(s->checks, s->n_checks);
	node_free(s->notify);
	node_free(s->heartbeat);
	node_free(s->mail);
	free(s->conninfo);
	free(s->socket_path);
	free(s->operators);
	free(s->state);
	free(s->secrets_directory);
	free(s);
}
