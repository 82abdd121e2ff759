/* The end of an action: status.json, the artifacts, and a first piece of what the log still holds,
 * in one job on the pool; what a dead shim left behind is removed there, too. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/loop/clock.h"
#include "daemon/proc/action.h"
#include "daemon/proc/cgroup.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/status.h"
#include "shim/scrub.h"

/* Masked as a whole, by length: an artifact may hold anything. */
static void mask_artifact(const struct mask_set *set, struct artifact *artifact)
{
	struct mask_stream stream = MASK_STREAM_NULL;
	struct buf out = BUF_NULL;

	if (!set || mask_set_count(set) == 0)
		return;
	mask_stream_feed(set, &stream, artifact->data, artifact->len, &out);
	mask_stream_end(set, &stream, &out);
	mask_stream_fini(&stream);
	free(artifact->data);
	artifact->len = out.len;
	artifact->data = buf_steal(&out);
}

static void read_artifact(const struct action *a, struct artifact *artifact, size_t cap)
{
	int r = read_file_at(a->attempt, artifact->path, cap, &artifact->data, &artifact->len);

	if (r == 0)
		mask_artifact(a->launch->mask, artifact);
	artifact->too_large = r == -EFBIG;
}

static void gather_artifacts(struct action *a)
{
	const struct launch *l = a->launch;

	for (size_t i = 0; i < l->n_artifacts; i++) {
		struct artifact *artifact = &a->artifacts[i];

		*artifact = (struct artifact){.path = l->artifacts[i].path};
		if (l->artifacts[i].cap > 0)
			read_artifact(a, artifact, l->artifacts[i].cap);
		if (l->artifacts[i].remove)
			remove_file_at(a->attempt, artifact->path);
	}
}

void gather_run(struct work *w)
{
	struct action *a = container_of(w, struct action, work);

	if (read_file_at(a->folder, "status.json", STATUS_MAX, &a->status_text, &a->status_len) <
		0) {
		if (!a->started_text)
			read_file_at(a->folder, "started", STATUS_MAX, &a->started_text,
				&a->started_len);
		if (a->private_folder)
			tree_remove(a->private_folder);
	}
	if (a->cgroup)
		cgroup_remove(a->cgroup, !a->status_text);
	if (!a->status_text)
		scrub(a->attempt, a->launch->mask, a->launch->untouched);
	gather_artifacts(a);
	follow_read(a, true);
}

static void status_of_dead_shim(const struct action *a, struct action_status *ret)
{
	_cleanup_(shim_started_fini) struct shim_started started = {0};
	usec_t now = clock_now();

	*ret = (struct action_status){.end = END_INTERRUPTED, .ended_at = now};
	if (a->started_text && shim_started_parse(a->started_text, a->started_len, &started) == 0) {
		ret->started_at = started.at;
		if (a->found) /* it ended while nobody looked: its last sign of life is nearer */
			ret->ended_at = MAX(started.at, a->last_line_at);
		ret->message = xstrdup(a->same_boot ? "its shim died without a report"
						    : "the machine was restarted");
	} else if (a->same_boot) {
		ret->end = END_NOT_STARTED; /* and no message: it was nobody's refusal */
	} else {
		ret->message =
			xstrdup("the machine was restarted, and whether it ran is not known");
	}
}

void gather_status(struct action *a, struct action_status *ret)
{
	if (a->message) {
		*ret = (struct action_status){
			.end = END_NOT_STARTED,
			.stop = a->stop,
			.ended_at = clock_now(),
			.message = TAKE_PTR(a->message),
		};
	} else if (!a->status_text) {
		status_of_dead_shim(a, ret);
	} else if (status_parse(a->status_text, a->status_len, ret) < 0) {
		status_of_dead_shim(a, ret);
		ret->end = END_INTERRUPTED;
		free(ret->message);
		ret->message = xstrdup("its status.json cannot be read");
	}
}
