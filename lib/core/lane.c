#include <string.h>
#include "base/memory.h"
#include "core/action.h"
#include "core/attempt.h"
#include "core/lane.h"
#include "core/timer.h"

#define LEASE_RETRY USEC_SEC
#define SOONEST	    (10 * USEC_MSEC) /* a lane that asks for the past would spin */

/* An action's seat in its lane. */
struct lane_seat {
	struct lane_member member;
	struct lane *lane;
	struct action *action;
	struct mask_set *mask;
	struct list link;
};

struct lane {
	struct core *core;
	const struct lane_kind *kind;
	char *key;
	void *state; /* the kind's */
	struct list link;
	struct list seats;
	struct timer turn;
	enum {
		CALL_NONE,
		CALL_ARMED, /* waits for the lease */
		CALL_OUT,
	} call_state;
	struct http_call call;
	struct mask_set **old_masks; /* of those who left before the answer: it may be theirs */
	size_t n_old_masks, cap_old_masks;
};

/* The next turn comes in this or the next core_run(): no lane calls back from within a call. */
static void wake(struct lane *lane)
{
	timer_set_boot(lane->core, &lane->turn, core_boot(lane->core));
}

/* --- the call ----------------------------------------------------------------------------- */

static void call_fini(struct lane *lane)
{
	kind_request_fini(&lane->call.request);
	for (size_t i = 0; i < lane->n_old_masks; i++)
		mask_set_free(lane->old_masks[i]);
	lane->n_old_masks = 0;
	lane->call_state = CALL_NONE;
}

static void call_done(
	struct http_call *call, int status, const char *error, const char *body, size_t body_len)
{
	struct lane *lane = call->owner;
	struct kind_event event = {
		.type = KIND_ANSWERED,
		.at = core_server_now(lane->core),
		.http_status = status,
		.http_trouble = call->trouble,
		.http_error = error,
		.body = body,
		.body_len = body_len,
		.mask = call->mask,
	};

	lane->kind->answered(lane->state, &event);
	call_fini(lane);
	wake(lane);
}

static bool only_reads(const char *method)
{
	return str_eq(method, "GET") || str_eq(method, "HEAD");
}

static void send(struct lane *lane)
{
	struct core *core = lane->core;

	if (!only_reads(lane->call.request.method) &&
		core_boot(core) >= core->ports.store.lease(core->ports.store.self)) {
		lane->call_state = CALL_ARMED;
		timer_set_boot(core, &lane->turn, core_boot(core) + LEASE_RETRY);
		return;
	}
	lane->call_state = CALL_OUT;
	if (core->ports.http.start) {
		core->ports.http.start(core->ports.http.self, &lane->call);
		return;
	}
	lane->call.trouble = HTTP_UNFIT;
	call_done(&lane->call, 0, "no HTTP calls can be made here", NULL, 0);
}

static void ask(struct lane *lane)
{
	struct core *core = lane->core;
	const struct mask_set *mask = NULL;
	usec_t at = core_server_now(core), until = USEC_INFINITY;

	lane->call = (struct http_call){.done = call_done, .owner = lane};
	if (lane->kind->next(lane->state, at, &lane->call.request, &mask, &until)) {
		lane->call.mask = (struct mask_set *)mask;
		send(lane);
		return;
	}
	kind_request_fini(&lane->call.request);
	if (until != USEC_INFINITY)
		timer_set_boot(core, &lane->turn, core_boot(core) + MAX(until - at, SOONEST));
}

/* --- members ------------------------------------------------------------------------------ */

static void serve(struct lane_seat *seat)
{
	struct action *action = seat->action;
	enum outcome outcome = seat->member.outcome;
	_cleanup_free_ char *reason = TAKE_PTR(seat->member.reason);
	cJSON *result = TAKE_PTR(seat->member.result);

	lane_leave(action);
	action_served(action, outcome, reason, result);
	cJSON_Delete(result);
}

/* The end of one may be the end of others: its siblings may be stopped. */
static bool serve_one(struct lane *lane)
{
	list_for_each(node, &lane->seats)
	{
		struct lane_seat *seat = list_entry(node, struct lane_seat, link);

		if (!seat->member.served)
			continue;
		serve(seat);
		return true;
	}
	return false;
}

static void settle(struct lane *lane)
{
	while (serve_one(lane))
		;
	list_for_each(node, &lane->seats)
	{
		struct lane_seat *seat = list_entry(node, struct lane_seat, link);

		if (!seat->member.progressed)
			continue;
		seat->member.progressed = false;
		attempt_tell_progress(seat->action->attempt);
	}
}

/* --- the lane ----------------------------------------------------------------------------- */

static void lane_free(struct lane *lane)
{
	struct core *core = lane->core;

	if (lane->call_state == CALL_OUT && !core->freeing)
		core->ports.http.cancel(core->ports.http.self, &lane->call);
	call_fini(lane);
	timer_clear(core, &lane->turn);
	list_remove(&lane->link);
	lane->kind->free(lane->state);
	free(lane->old_masks);
	free(lane->key);
	free(lane);
}

static void turn_fired(struct core *core, struct timer *t)
{
	struct lane *lane = container_of(t, struct lane, turn);

	settle(lane);
	if (!list_empty(&lane->seats) && lane->call_state == CALL_ARMED)
		send(lane);
	else if (!list_empty(&lane->seats) && lane->call_state == CALL_NONE)
		ask(lane);
	settle(lane);
	if (list_empty(&lane->seats))
		lane_free(lane);
}

static struct lane *lane_get(struct core *core, const struct lane_kind *kind, const char *key)
{
	struct lane *lane;

	list_for_each(node, &core->lanes)
	{
		lane = list_entry(node, struct lane, link);
		if (lane->kind == kind && str_eq(lane->key, key))
			return lane;
	}
	lane = xnew(struct lane);
	lane->core = core;
	lane->kind = kind;
	lane->key = xstrdup(key);
	lane->state = kind->new (key);
	lane->turn.fire = turn_fired;
	list_init(&lane->seats);
	list_append(&core->lanes, &lane->link);
	return lane;
}

void lane_join(struct action *action, struct lane_want *take_want, struct mask_set *take_mask)
{
	struct lane *lane = lane_get(action->core, take_want->kind, take_want->key);
	struct lane_seat *seat = xnew(struct lane_seat);

	seat->lane = lane;
	seat->action = action;
	seat->mask = take_mask;
	seat->member = (struct lane_member){
		.want = take_want->want,
		.mask = take_mask,
		.owner = seat,
	};
	free(take_want->key);
	*take_want = (struct lane_want){0};
	action->seat = seat;
	list_append(&lane->seats, &seat->link);
	lane->kind->join(lane->state, &seat->member, core_server_now(lane->core));
	wake(lane);
}

static void keep_mask(struct lane *lane, struct mask_set *mask)
{
	if (!mask)
		return;
	XGROW(lane->old_masks, lane->n_old_masks, lane->cap_old_masks);
	lane->old_masks[lane->n_old_masks++] = mask;
}

void lane_leave(struct action *action)
{
	struct lane_seat *seat = TAKE_PTR(action->seat);
	struct lane *lane;

	if (!seat)
		return;
	lane = seat->lane;
	lane->kind->leave(lane->state, &seat->member, core_server_now(lane->core));
	list_remove(&seat->link);
	lane->kind->want_free(seat->member.want);
	free(seat->member.reason);
	cJSON_Delete(seat->member.result);
	cJSON_Delete(seat->member.progress);
	if (lane->call_state == CALL_NONE)
		mask_set_free(seat->mask);
	else
		keep_mask(lane, seat->mask);
	free(seat);
	wake(lane);
}

const cJSON *lane_progress(const struct action *action)
{
	return action->seat ? action->seat->member.progress : NULL;
}

void lanes_fini(struct core *core)
{
	while (!list_empty(&core->lanes))
		lane_free(list_entry(list_first(&core->lanes), struct lane, link));
}
