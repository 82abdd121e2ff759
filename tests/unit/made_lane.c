#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/made_lane.h"

#define BETWEEN	    (5 * USEC_SEC)
#define MEMBERS_MAX 256

struct made_lane_counts made_lane_counts;

struct seat {
	struct lane_member *member;
	bool triggered;
	unsigned polls;
	usec_t next_at, deadline;
};

struct made_lane {
	char *key;
	struct seat seats[MEMBERS_MAX];
	size_t n;
	bool out;
	struct lane_member *asked_for; /* NULL: it left meanwhile */
};

static void broken(const char *what)
{
	fprintf(stderr, "the core breaks its word to a lane: %s\n", what);
	abort();
}

struct made_want *made_want_new(const char *says, unsigned polls, usec_t timeout)
{
	struct made_want *w = xnew(struct made_want);

	*w = (struct made_want){xstrdup(says), polls, timeout};
	return w;
}

static void want_free(void *want)
{
	struct made_want *w = want;

	wipe_free(w->says);
	free(w);
}

static void *lane_new(const char *key)
{
	struct made_lane *l = xnew(struct made_lane);

	l->key = xstrdup(key);
	made_lane_counts.lanes++;
	return l;
}

static void lane_free(void *lane)
{
	struct made_lane *l = lane;

	if (l->n > 0)
		broken("freed with members");
	free(l->key);
	free(l);
}

static struct seat *seat_of(struct made_lane *l, const struct lane_member *m)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->seats[i].member == m)
			return &l->seats[i];
	broken("an unknown member");
	return NULL;
}

static void lane_join_(void *lane, struct lane_member *m, usec_t at)
{
	struct made_lane *l = lane;
	const struct made_want *w = m->want;

	if (l->n == MEMBERS_MAX)
		broken("too many members");
	l->seats[l->n++] = (struct seat){
		.member = m,
		.next_at = at,
		.deadline = at + w->timeout,
	};
	made_lane_counts.joined++;
	made_lane_counts.most_members = MAX(made_lane_counts.most_members, (unsigned)l->n);
}

static void lane_leave_(void *lane, struct lane_member *m, usec_t at)
{
	struct made_lane *l = lane;
	size_t i = (size_t)(seat_of(l, m) - l->seats);

	made_lane_counts.left++;
	made_lane_counts.served += m->served;
	if (l->asked_for == m)
		l->asked_for = NULL;
	memmove(&l->seats[i], &l->seats[i + 1], (l->n - i - 1) * sizeof(l->seats[0]));
	l->n--;
}

static void serve(struct lane_member *m, enum outcome outcome, const char *reason)
{
	if (m->served)
		broken("served twice");
	m->served = true;
	m->outcome = outcome;
	m->reason = xstrdup(reason);
	m->result = cJSON_CreateObject();
	json_set_string(m->result, "says", ((struct made_want *)m->want)->says);
}

static bool lane_next(void *lane, usec_t at, struct kind_request *ret,
	const struct mask_set **ret_mask, usec_t *ret_until)
{
	struct made_lane *l = lane;

	if (l->out)
		broken("asked while a call is out");
	for (size_t i = 0; i < l->n; i++) {
		struct seat *s = &l->seats[i];

		if (s->member->served)
			continue;
		if (at >= s->deadline) {
			serve(s->member, OUTCOME_NOT_READY, "not proved in time");
			continue;
		}
		if (s->next_at > at) {
			*ret_until = MIN(*ret_until, MIN(s->next_at, s->deadline));
			continue;
		}
		l->out = true;
		l->asked_for = s->member;
		*ret_mask = s->member->mask;
		ret->url = xasprintf("http://lane/%s", l->key);
		ret->method = xstrdup(s->triggered ? "GET" : "POST");
		ret->body =
			s->triggered ? NULL : xstrdup(((struct made_want *)s->member->want)->says);
		ret->timeout = USEC_MINUTE;
		return true;
	}
	return false;
}

static void tell_progress(struct seat *s, unsigned total)
{
	cJSON *progress = cJSON_CreateObject();

	json_set_int(progress, "done", s->polls);
	json_set_int(progress, "total", total);
	cJSON_Delete(s->member->progress);
	s->member->progress = progress;
	s->member->progressed = true;
}

static void lane_answered(void *lane, const struct kind_event *answer)
{
	struct made_lane *l = lane;
	const struct made_want *w;
	struct seat *s;

	if (!l->out)
		broken("an answer to nothing");
	l->out = false;
	free(mask_string(answer->mask, "it must live until now"));
	if (!l->asked_for)
		return;
	s = seat_of(l, l->asked_for);
	w = s->member->want;
	s->next_at = answer->at + BETWEEN;
	if (answer->http_status != 200)
		return;
	if (!s->triggered) {
		s->triggered = true;
		return;
	}
	s->polls++;
	tell_progress(s, w->polls);
	if (s->polls >= w->polls)
		serve(s->member, OUTCOME_OK, NULL);
}

const struct lane_kind lane_made_up = {
	.name = "made_up",
	.new = lane_new,
	.free = lane_free,
	.want_free = want_free,
	.join = lane_join_,
	.leave = lane_leave_,
	.next = lane_next,
	.answered = lane_answered,
};
