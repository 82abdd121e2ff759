/* Logs for readers: struct log_request of core/ports.h.
 *
 * Happy path: each next() reads one piece on the pool; when an action has no more and is not
 * running (or nobody follows), the next action's turn comes; after the last one, `done`.
 * Failures: the folder is not there, because the action never began or its attempt ran on another
 * machine: then it printed nothing. A reader that is cancelled is freed when its job is done. */
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "daemon/proc/action.h"
#include "daemon/proc/folder.h"
#include "daemon/proc/reader.h"

struct log_reader {
	struct list link; /* launcher.readers */
	struct launcher *launcher;
	struct log_request *request; /* NULL: cancelled */
	struct open_count open;
	struct work work;
	bool busy;
	bool wanted;  /* the reader asked for a piece */
	bool waiting; /* there was no more, and the action runs */
	bool poked;   /* since the job began, something was written, or the action ended */
	bool active;  /* the action ran when the job began */
	size_t index; /* in request->actions */
	char *folder; /* of that action */
	uint64_t position, gap;
	char *piece;
	size_t len;
};

static void reader_step(struct log_reader *r);

static void reader_free(struct open_count *count)
{
	struct log_reader *r = container_of(count, struct log_reader, open);
	struct open_count *outer = &r->launcher->open;

	free(r->folder);
	free(r->piece);
	free(r);
	open_count_drop(outer);
}

static void reader_release(struct log_reader *r)
{
	if (r->request)
		r->request->adapter = NULL;
	r->request = NULL;
	list_remove(&r->link);
	open_count_close(&r->open, reader_free);
}

static bool is_active(const struct launcher *l, const char *folder)
{
	list_for_each(node, &l->actions) if (str_eq(list_entry(node, struct action, link)->folder,
						     folder)) return true;
	return false;
}

static void reader_run(struct work *w)
{
	struct log_reader *r = container_of(w, struct log_reader, work);

	r->len = 0;
	r->gap = 0;
	if (!r->piece)
		r->piece = xmalloc(LOG_PIECE_MAX);
	log_read(r->folder, !r->active, &r->position, r->piece, LOG_PIECE_MAX, &r->len, &r->gap);
}

static void give(struct log_reader *r)
{
	_cleanup_free_ char *piece = TAKE_PTR(r->piece);
	struct log_request *request = r->request;

	r->wanted = false;
	/* `r` may be gone after this */
	request->on_chunk(request, request->actions[r->index], piece, r->len, r->gap);
}

static void next_action(struct log_reader *r)
{
	free(TAKE_PTR(r->folder));
	r->position = 0;
	r->index++;
	reader_step(r);
}

static void on_reader_read(struct work *w)
{
	struct log_reader *r = container_of(w, struct log_reader, work);

	r->busy = false;
	if (!r->request)
		return;
	if (r->len > 0 || r->gap > 0) {
		give(r);
	} else if (r->active && (r->poked || r->request->follow)) {
		r->waiting = !r->poked;
		reader_step(r);
	} else {
		next_action(r);
	}
}

static void finish(struct log_reader *r)
{
	struct log_request *request = r->request;

	reader_release(r);
	request->done(request, NULL);
}

static void reader_step(struct log_reader *r)
{
	if (r->busy || r->waiting || !r->wanted)
		return;
	if (r->index > 0 && r->index >= r->request->n_actions) {
		finish(r);
		return;
	}
	if (!r->folder && r->request->n_actions == 0)
		r->folder = xstrdup(r->request->directory); /* nothing in it, said in due course */
	else if (!r->folder)
		r->folder =
			xasprintf("%s/%s", r->request->directory, r->request->actions[r->index]);
	r->active = is_active(r->launcher, r->folder);
	r->poked = false;
	r->busy = true;
	work_start(&r->work, r->launcher->loop, &r->open, reader_run, on_reader_read);
}

void log_wake(struct launcher *l, const char *folder)
{
	list_for_each(node, &l->readers)
	{
		struct log_reader *r = list_entry(node, struct log_reader, link);

		if (!r->folder || !str_eq(r->folder, folder))
			continue;
		r->poked = true;
		r->waiting = false;
		reader_step(r);
	}
}

static void port_log_next(void *self, struct log_request *request)
{
	struct log_reader *r = request->adapter;

	if (!r)
		return;
	r->wanted = true;
	reader_step(r);
}

static void port_log_start(void *self, struct log_request *request)
{
	struct launcher *l = self;
	struct log_reader *r = xnew(struct log_reader);

	r->launcher = l;
	r->request = request;
	request->adapter = r;
	list_append(&l->readers, &r->link);
	open_count_add(&l->open);
	port_log_next(l, request);
}

static void port_log_cancel(void *self, struct log_request *request)
{
	if (request->adapter)
		reader_release(request->adapter);
}

void log_port_fill(struct launcher *l, struct log_port *ret)
{
	*ret = (struct log_port){
		.self = l,
		.start = port_log_start,
		.next = port_log_next,
		.cancel = port_log_cancel,
	};
}

void log_close(struct launcher *l)
{
	list_for_each(node, &l->readers) reader_release(list_entry(node, struct log_reader, link));
}
