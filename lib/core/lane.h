/* Hosts lanes (kinds/lane.h): their members, calls and time.
 *
 * Happy path: an action of type KIND_JOIN is durable -> lane_join -> the lane's calls go out one at
 * a time -> a member is served -> attempt_action_ended. Failures: a stop leaves the lane at once;
 * the daemon's end closes the call; after a restart the action joins again. */
#pragma once
#include "core/model.h"
#include "kinds/lane.h"

struct lane;

/* Takes the want and the mask. The action's end comes as KIND_SERVED. */
void lane_join(struct action *action, struct lane_want *take_want, struct mask_set *take_mask);
/* Its attempt was stopped, or forgotten: nothing follows. No-op for one that is in none. */
void lane_leave(struct action *action);
/* How far the lane is with it; may be NULL. Borrowed. */
const cJSON *lane_progress(const struct action *action);
void lanes_fini(struct core *core);
