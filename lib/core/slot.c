#include <string.h>
#include "base/memory.h"
#include "core/event.h"
#include "core/metrics.h"
#include "core/record.h"
#include "core/run.h"
#include "core/slot.h"
#include "core/timer.h"
#include "time/instant.h"

/* A last slot so far ahead was made by a clock that was wrong. */
#define SLOT_TOO_FAR_AHEAD (2 * USEC_DAY)

/* --- jobs by name ------------------------------------------------------------------------- */

static size_t job_place(const struct core *core, const char *name, bool *ret_found)
{
	size_t lo = 0, hi = core->n_jobs;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int d = strcmp(core->jobs[mid]->name, name);

		if (d == 0) {
			*ret_found = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct job *job_find(const struct core *core, const char *name)
{
	bool found;
	size_t i = job_place(core, name, &found);

	return found ? core->jobs[i] : NULL;
}

static void slot_timer_fired(struct core *core, struct timer *t)
{
	job_slots_due(core, container_of(t, struct job, slot_timer));
}

struct job *job_get(struct core *core, const char *name)
{
	bool found;
	size_t i = job_place(core, name, &found);
	struct job *job;

	if (found)
		return core->jobs[i];
	job = xnew(struct job);
	job->name = xstrdup(name);
	job->next_slot = USEC_INFINITY;
	job->slot_timer.fire = slot_timer_fired;
	list_init(&job->runs);
	XGROW(core->jobs, core->n_jobs, core->cap_jobs);
	memmove(core->jobs + i + 1, core->jobs + i, (core->n_jobs - i) * sizeof(*core->jobs));
	core->jobs[i] = job;
	core->n_jobs++;
	return job;
}

void job_free(struct core *core, struct job *job)
{
	timer_clear(core, &job->slot_timer);
	run_free(job->red);
	for (size_t i = 0; i < job->n_usual; i++)
		free(job->usual[i].cell);
	free(job->usual);
	spec_job_unref(job->spec);
	free(job->schedule);
	free(job->timezone);
	free(job->boot_id);
	free(job->name);
	free(job);
}

/* The first whose name is not before this one. */
static size_t usual_place(const struct job *job, const char *cell)
{
	size_t lo = 0, hi = job->n_usual;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(job->usual[mid].cell, cell) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool usual_is(const struct job *job, size_t place, const char *cell)
{
	return place < job->n_usual && str_eq(job->usual[place].cell, cell);
}

int64_t job_usual(const struct job *job, const char *cell)
{
	size_t i = usual_place(job, cell);

	return usual_is(job, i, cell) ? job->usual[i].ms : -1;
}

/* A moving figure: the store's median at the load, then three parts old to one part new. */
void job_set_usual(struct job *job, const char *cell, int64_t ms)
{
	size_t i = usual_place(job, cell);

	if (usual_is(job, i, cell)) {
		job->usual[i].ms = (job->usual[i].ms * 3 + ms) / 4;
		return;
	}
	XGROW(job->usual, job->n_usual, job->cap_usual);
	memmove(job->usual + i + 1, job->usual + i, (job->n_usual - i) * sizeof(*job->usual));
	job->usual[i] = (struct usual_time){.cell = xstrdup(cell), .ms = ms};
	job->n_usual++;
}

/* --- from where slots count --------------------------------------------------------------- */

bool job_next_slot(const struct job *job, usec_t after, usec_t *ret)
{
	int64_t next;

	if (!job->spec || !job->spec->cron || cron_is_reboot(job->spec->cron))
		return false;
	if (cron_next(job->spec->cron, job->spec->zone, after / USEC_SEC, &next) != 0)
		return false;
	*ret = next * USEC_SEC;
	return true;
}

bool job_has_slot(const struct job *job, usec_t at)
{
	usec_t next;

	return at % USEC_SEC == 0 && job_next_slot(job, at - USEC_SEC, &next) && next == at;
}

static void arm(struct core *core, struct job *job)
{
	if (job->paused || !job_next_slot(job, job->last_slot, &job->next_slot))
		job->next_slot = USEC_INFINITY;
	if (job->next_slot == USEC_INFINITY)
		timer_clear(core, &job->slot_timer);
	else
		timer_set_wall(core, &job->slot_timer, job->next_slot);
}

static bool same_schedule(const struct job *job)
{
	return str_eq(job->schedule, job->spec->schedule) &&
	       str_eq(job->timezone, job->spec->timezone);
}

static bool is_reboot(const struct job *job)
{
	return job->spec->cron && cron_is_reboot(job->spec->cron);
}

static void see_boot(struct core *core, struct job *job)
{
	free(job->boot_id);
	job->boot_id = xstrdup(core->ports.boot_id);
	job->stored = false;
}

usec_t slots_now(const struct core *core)
{
	return MAX(core_now(core), core_server_now(core));
}

static void restart_slots(struct core *core, struct job *job)
{
	job->last_slot = slots_now(core);
	if (is_reboot(job))
		see_boot(core, job); /* an edit never fires into the past */
	free(job->schedule);
	free(job->timezone);
	job->schedule = xstrdup(job->spec->schedule);
	job->timezone = xstrdup(job->spec->timezone);
	job->stored = false;
}

static void slot_fire(struct core *core, struct job *job, usec_t slot, enum trigger trigger);

/* @reboot keys on the boot id; a job that is new to the store begins with the next boot, and one
 * that is paused lets this one pass. */
static void reboot_slot(struct core *core, struct job *job)
{
	bool is_new = !job->boot_id;
	usec_t now = core_now(core);

	if (!is_reboot(job) || str_eq(job->boot_id, core->ports.boot_id))
		return;
	see_boot(core, job);
	if (!is_new && !job->paused)
		slot_fire(core, job, now - now % USEC_SEC, TRIGGER_SCHEDULE);
}

/* A job that is no longer configured forgets with what its last slot was made: should it come back,
 * slots count from then. */
static void forget_schedule(struct core *core, struct job *job)
{
	if (!job->schedule || core->store != STORE_READY || !core->loaded)
		return;
	free(TAKE_PTR(job->schedule));
	free(TAKE_PTR(job->timezone));
	record_job(core, job);
}

void job_schedule(struct core *core, struct job *job)
{
	if (!job->spec || core->store != STORE_READY) {
		timer_clear(core, &job->slot_timer);
		job->next_slot = USEC_INFINITY;
		if (!job->spec)
			forget_schedule(core, job);
		return;
	}
	if (job->last_slot == 0 || !same_schedule(job)) {
		restart_slots(core, job);
	} else if (job->last_slot > slots_now(core) + SLOT_TOO_FAR_AHEAD) {
		core_notice(core, EVENT_ALARM, &(struct core_notice){.job = job->name},
			"%s: its last slot lies far in the future (was the clock wrong?): slots "
			"count "
			"from now",
			job->name);
		restart_slots(core, job);
	}
	reboot_slot(core, job);
	job_slots_due(core, job);
}

/* --- slots that are due ------------------------------------------------------------------- */

/* Slots that will not run, told as one row. */
struct flood {
	usec_t first, last;
	uint64_t count;
};

static void flood_add(struct flood *f, usec_t slot)
{
	if (f->count++ == 0)
		f->first = slot;
	f->last = slot;
}

static void skip_slots(
	struct core *core, struct job *job, const struct flood *f, const char *reason)
{
	char at[INSTANT_MAX];

	if (f->count == 0)
		return;
	metrics_slots_skipped(job, f->count);
	record_slot(core, job, f->first, NULL, reason, f->count > 1 ? f->last : 0, f->count);
	instant_format_slot(f->first, at);
	core_notice(core, EVENT_SLOT_SKIPPED, &(struct core_notice){.job = job->name},
		"%s: %llu slot%s from %s on skipped: %s", job->name, (unsigned long long)f->count,
		f->count > 1 ? "s" : "", at, reason);
}

/* The slot becomes a run, unless `overlap` says no: then the reason. */
static char *slot_try(struct core *core, struct job *job, usec_t slot, enum trigger trigger)
{
	char *reason = NULL;
	struct run *run;

	if (!run_overlap_allows(core, job, trigger, &reason))
		return reason;
	run = run_create(core, job, trigger, slot);
	record_slot(core, job, slot, run, NULL, 0, 1);
	return NULL;
}

static void slot_fire(struct core *core, struct job *job, usec_t slot, enum trigger trigger)
{
	_cleanup_free_ char *reason = slot_try(core, job, slot, trigger);

	if (reason)
		skip_slots(core, job, &(struct flood){.first = slot, .last = slot, .count = 1},
			reason);
}

/* Many at once: those that follow one another and are skipped for one reason are one flood. */
static void slots_fire(struct core *core, struct job *job, const usec_t *slots, size_t n)
{
	_cleanup_free_ char *last = NULL;
	struct flood flood = {0};

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *reason = slot_try(core, job, slots[i], TRIGGER_SCHEDULE);

		if (flood.count && !str_eq(reason, last)) {
			skip_slots(core, job, &flood, last);
			flood.count = 0;
		}
		if (!reason)
			continue;
		flood_add(&flood, slots[i]);
		free(last);
		last = TAKE_PTR(reason);
	}
	skip_slots(core, job, &flood, last);
}

/* Missed slots: which of them `catch_up` still runs. The last ones that it may, in a ring. */
struct missed {
	usec_t *keep;
	size_t first, n, most;
	struct flood rest;
};

static usec_t missed_at(const struct missed *m, size_t i)
{
	return m->keep[(m->first + i) % m->most];
}

static void missed_add(struct missed *m, usec_t slot, bool in_window)
{
	if (!in_window || m->most == 0) {
		flood_add(&m->rest, slot);
		return;
	}
	if (!m->keep)
		m->keep = xcalloc(m->most, sizeof(*m->keep));
	if (m->n == m->most) {
		flood_add(&m->rest, missed_at(m, 0));
		m->first = (m->first + 1) % m->most;
		m->n--;
	}
	m->keep[(m->first + m->n++) % m->most] = slot;
}

static size_t catch_up_most(const struct spec_job *spec)
{
	switch (spec->catch_up) {
	case CATCH_UP_NONE:
		return 0;
	case CATCH_UP_LAST:
		return 1;
	case CATCH_UP_ALL:
		return spec->catch_up_max;
	}
	return 0;
}

static const char *missed_reason(const struct spec_job *spec)
{
	switch (spec->catch_up) {
	case CATCH_UP_NONE:
		return "missed: nothing could start runs then, and catch_up is \"none\"";
	case CATCH_UP_LAST:
		return "missed: nothing could start runs then, and catch_up is \"last\": a later "
		       "slot runs, or catch_up_window has passed";
	case CATCH_UP_ALL:
		return "missed: nothing could start runs then, and catch_up_window or catch_up_max "
		       "leaves it out";
	}
	return NULL;
}

/* Slots that are merely late. */
struct on_time {
	usec_t *slots;
	size_t n, cap;
};

static void look_at_slots(
	struct core *core, struct job *job, struct on_time *on_time, struct missed *missed)
{
	const struct spec_job *spec = job->spec;
	usec_t now = core_now(core), slot = job->last_slot;

	while (job_next_slot(job, slot, &slot) && slot <= now) {
		job->last_slot = slot;
		job->stored = false;
		if (now - slot > spec->start_grace) {
			missed_add(missed, slot, now - slot <= spec->catch_up_window);
			continue;
		}
		XGROW(on_time->slots, on_time->n, on_time->cap);
		on_time->slots[on_time->n++] = slot;
	}
}

void job_slots_due(struct core *core, struct job *job)
{
	const struct spec_job *spec = job->spec;
	struct on_time on_time = {0};
	struct missed missed = {0};

	if (!spec || core->store != STORE_READY || !core->loaded)
		return;
	missed.most = catch_up_most(spec);
	if (!job->paused)
		look_at_slots(core, job, &on_time, &missed);
	if (spec->catch_up == CATCH_UP_LAST && on_time.n > 0 && missed.n > 0) {
		flood_add(&missed.rest, missed_at(&missed, 0));
		missed.n = 0;
	}
	skip_slots(core, job, &missed.rest, missed_reason(spec));
	for (size_t i = 0; i < missed.n; i++)
		slot_fire(core, job, missed_at(&missed, i), TRIGGER_CATCH_UP);
	slots_fire(core, job, on_time.slots, on_time.n);
	free(on_time.slots);
	free(missed.keep);
	if (!job->stored) {
		record_job(core, job);
		job->stored = true;
	}
	arm(core, job);
}
