/* Pass 2: notify, heartbeat and mail: checked, and kept as trees for those who send. */
#include <string.h>
#include "base/memory.h"
#include "spec/loader.h"

static void one_way(struct loader *l, const char *where, const struct node *rule)
{
	static const char *const ways[] = {"slack", "email", "ping"};
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const struct node *n = node_get(rule, ways[i]);

		if (n && first)
			complain(l->complaints, n->file, n->line,
				"%s: it says %s and %s: make two rules of it", where, first,
				ways[i]);
		else if (n)
			first = ways[i];
	}
	if (!first)
		complain(l->complaints, rule->file, rule->line,
			"%s: it does not say whom to tell: one of slack, email, ping is missing",
			where);
}

static bool job_has_stage(const struct spec_job *job, const char *stage)
{
	return spec_stage_by_name(job, stage) != NULL;
}

static void check_stage(struct loader *l, const char *where, const struct node *rule)
{
	const struct node *stage = node_get(rule, "stage");
	const char *job = node_string(rule, "job");
	const struct spec *s = l->spec;
	bool known = false;

	if (!stage)
		return;
	for (size_t i = 0; i < s->n_jobs; i++)
		if (!job || strcmp(s->jobs[i]->name, job) == 0)
			known = known || job_has_stage(s->jobs[i], stage->string);
	if (!known && job)
		complain(l->complaints, stage->file, stage->line,
			"%s: job \"%s\" has no stage \"%s\"", where, job, stage->string);
	else if (!known)
		complain(l->complaints, stage->file, stage->line, "%s: no job has a stage \"%s\"",
			where, stage->string);
}

static void check_job(struct loader *l, const char *where, const struct node *rule)
{
	const struct node *job = node_get(rule, "job");
	const char *names[64];
	size_t n = 0;
	_cleanup_free_ char *mend = NULL;

	if (job && !spec_job_by_name(l->spec, job->string)) {
		for (size_t i = 0; i < l->spec->n_jobs && n < ARRAY_SIZE(names); i++)
			names[n++] = l->spec->jobs[i]->name;
		mend = did_you_mean(job->string, names, n);
		complain(l->complaints, job->file, job->line, "%s: there is no job \"%s\"%s", where,
			job->string, mend);
		return;
	}
	check_stage(l, where, rule);
}

static void check_rule_environments(struct loader *l, const char *where, const struct node *rule)
{
	const struct node *list = node_get(rule, "environments");

	for (size_t i = 0; list && i < list->n_children; i++)
		if (find_named(l->environments, list->children[i]->string) < 0)
			complain(l->complaints, list->children[i]->file, list->children[i]->line,
				"%s: there is no environment \"%s\"", where,
				list->children[i]->string);
}

static void check_mail(struct loader *l, const char *where, const struct node *rule)
{
	const struct node *email = node_get(rule, "email");

	if (email && email->n_children == 0)
		complain(l->complaints, email->file, email->line, "%s: email: the list is empty",
			where);
	if (email && !node_string(node_get(l->root, "mail"), "from"))
		complain_warning(l->complaints, email->file, email->line,
			"%s: mail.from is not set, so mail comes from the daemon's user", where);
}

static void check_rule(struct loader *l, const struct node *rule, size_t i)
{
	_cleanup_free_ char *where = xasprintf("notify[%zu]", i);

	one_way(l, where, rule);
	check_job(l, where, rule);
	check_rule_environments(l, where, rule);
	check_mail(l, where, rule);
	check_rule_template(l, where, node_get(rule, "slack"));
	check_rule_template(l, where, node_get(rule, "ping"));
}

void load_notify(struct loader *l)
{
	const struct node *rules = node_get(l->root, "notify");
	const struct node *heartbeat = node_get(l->root, "heartbeat");

	for (size_t i = 0; rules && i < rules->n_children; i++)
		check_rule(l, rules->children[i], i);
	check_rule_template(l, "heartbeat", node_get(heartbeat, "ping"));
	l->spec->notify = node_copy(rules);
	l->spec->heartbeat = node_copy(heartbeat);
	l->spec->mail = node_copy(node_get(l->root, "mail"));
}
