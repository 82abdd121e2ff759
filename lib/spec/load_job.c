/* Pass 2: a job. */
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

#define SOME_INSTANT 1700000000 /* from which a schedule is asked for its next slot */

/* --- zones -------------------------------------------------------------------------------- */

struct spec_zone *zone_unref(struct spec_zone *z)
{
	if (!z || --z->refs > 0)
		return NULL;
	zone_free(z->zone);
	free(z->name);
	free(z);
	return NULL;
}

static struct zone *read_zone(const struct at *at, const struct node *where, const char *name)
{
	const struct spec_world *w = at->l->world;
	struct zone *zone = NULL;
	void *bytes = NULL;
	size_t len;
	int r;

	if (strcmp(name, "UTC") == 0)
		return zone_utc();
	r = w->zone_bytes ? w->zone_bytes(w->context, name, &bytes, &len) : -ENOENT;
	if (r == 0)
		r = zone_parse(bytes, len, &zone);
	free(bytes);
	if (r == 0)
		return zone;
	if (r == -ENOENT)
		at_error(at, where, "there is no zone \"%s\" on this machine", name);
	else
		at_error(at, where, "the zone \"%s\" cannot be read: %s", name, strerror(-r));
	return zone_utc();
}

/* With one reference for the caller. */
struct spec_zone *zone_find(const struct at *at, const struct node *where, const char *name)
{
	struct spec_zone *z;

	for (z = at->l->zones; z; z = z->next)
		if (strcmp(z->name, name) == 0)
			break;
	if (!z) {
		z = xnew(struct spec_zone);
		z->refs = 1;
		z->name = xstrdup(name);
		z->zone = read_zone(at, where, name);
		z->next = at->l->zones;
		at->l->zones = z;
	}
	z->refs++;
	return z;
}

/* --- when --------------------------------------------------------------------------------- */

static void load_schedule(struct at *at)
{
	const struct node *n = node_get(at->job_node, "schedule");
	const struct node *zone = node_get(at->job_node, "timezone");
	struct spec_job *job = at->job;
	_cleanup_free_ char *error = NULL;
	int64_t next;

	job->timezone = read_string(at->job_node, "job", "timezone");
	job->zone_holder = zone_find(at, zone ? zone : at->job_node, job->timezone);
	job->zone = job->zone_holder->zone;
	if (!n)
		return;
	job->schedule = xstrdup(n->string);
	if (cron_parse(n->string, &job->cron, &error) < 0)
		at_error(at, n, "schedule \"%s\": %s", n->string, error);
	else if (!cron_is_reboot(job->cron) &&
		 cron_next(job->cron, job->zone, SOME_INSTANT, &next) == CRON_E_NEVER)
		at_error(at, n, "schedule \"%s\" never comes: there is no such date", n->string);
}

static void load_rules(struct at *at)
{
	const struct node *n = at->job_node;
	struct spec_job *job = at->job;

	job->start_grace = read_duration(n, "job", "start_grace");
	job->catch_up = (enum spec_catch_up)read_word(n, "job", "catch_up");
	job->catch_up_window = read_duration(n, "job", "catch_up_window");
	job->catch_up_max = read_unsigned(n, "job", "catch_up_max");
	job->overlap = (enum spec_overlap)read_word(n, "job", "overlap");
	job->deadline = read_duration(n, "job", "deadline");
	job->choose = read_strings(node_get(n, "manual"), "choose");
}

/* --- stages ------------------------------------------------------------------------------- */

static void load_stages(struct at *at)
{
	const struct node *stages = node_get(at->job_node, "stages");
	struct spec_job *job = at->job;
	size_t n = stages ? stages->n_children : 0;

	job->stages = n ? xcalloc(n, sizeof(*job->stages)) : NULL;
	for (size_t i = 0; i < n; i++) {
		at->stage = &job->stages[job->n_stages];
		at->stage->index = (unsigned)job->n_stages++;
		load_stage(at, stages->children[i]);
	}
	for (size_t i = 0; i < n; i++) {
		at->stage = &job->stages[i];
		at->stage_node = stages->children[i];
		load_needs(at);
	}
	at->stage = NULL;
	at->stage_node = NULL;
}

static void load_steps(struct at *at)
{
	const struct node *stages = node_get(at->job_node, "stages");

	for (size_t i = 0; i < at->job->n_stages; i++) {
		struct spec_stage *stage = &at->job->stages[i];
		const struct node *steps = node_get(stages->children[i], "steps");
		size_t n = steps ? steps->n_children : 0;

		at->stage = stage;
		at->stage_node = stages->children[i];
		stage->steps = n ? xcalloc(n, sizeof(*stage->steps)) : NULL;
		for (size_t k = 0; k < n; k++) {
			at->step = &stage->steps[stage->n_steps++];
			load_step(at, steps->children[k]);
		}
	}
	at->stage = NULL;
	at->step = NULL;
	at->stage_node = at->step_node = NULL;
}

static bool any_stage_has(const struct spec_job *job, const char *dimension)
{
	for (size_t i = 0; i < job->n_stages; i++)
		for (size_t d = 0; d < job->stages[i].n_dimensions; d++)
			if (strcmp(job->stages[i].dimensions[d], dimension) == 0)
				return true;
	return false;
}

static void check_choose(struct at *at)
{
	const struct node *list = node_get(node_get(at->job_node, "manual"), "choose");

	for (size_t i = 0; list && i < list->n_children; i++)
		if (!any_stage_has(at->job, list->children[i]->string))
			at_error(at, list->children[i],
				"manual.choose: no stage has a dimension \"%s\"",
				list->children[i]->string);
}

/* Sets that the job or a stage uses and that are not there. */
static void check_use(struct at *at, const struct node *n)
{
	const struct node *use = node_get(n, "use");
	const char *names[64];
	size_t n_names = 0;

	for (size_t i = 0; at->l->sets && i < at->l->sets->n_children; i++)
		if (n_names < ARRAY_SIZE(names))
			names[n_names++] = at->l->sets->children[i]->key;
	for (size_t i = 0; use && i < use->n_children; i++) {
		const char *name = use->children[i]->string;
		ssize_t set = find_named(at->l->sets, name);

		if (set >= 0) {
			at->l->set_used[set] = true;
		} else {
			_cleanup_free_ char *mend = did_you_mean(name, names, n_names);

			at_error(at, use->children[i], "use: there is no set \"%s\"%s", name, mend);
		}
	}
}

static void check_all_use(struct at *at)
{
	const struct node *stages = node_get(at->job_node, "stages");

	check_use(at, at->job_node);
	for (size_t i = 0; stages && i < stages->n_children; i++) {
		at->stage_node = stages->children[i];
		check_use(at, at->stage_node);
	}
	at->stage_node = NULL;
}

struct spec_job *load_job(struct loader *l, const struct node *n)
{
	struct spec_job *job = xnew(struct spec_job);
	struct at at = {.l = l, .job_node = n, .job = job};
	const char *name = node_string(n, "name");

	job->refs = 1;
	job->name = xstrdup(name ? name : "?");
	job->file = n->file;
	job->line = n->line;
	load_schedule(&at);
	load_rules(&at);
	check_all_use(&at);
	load_stages(&at);
	check_needs(&at);
	load_steps(&at);
	check_changed(&at);
	check_choose(&at);
	if (l->complaints->n_errors == 0)
		make_definition(l, job, n);
	return job;
}
