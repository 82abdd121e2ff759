/* A reload: all or nothing.
 *
 * Happy path: asked for -> the file is read and checked on the pool -> swapped in on the loop ->
 * everybody who asked is answered. Runs keep the definition they began with.
 * Failures: an error in the file: the old configuration stays, and the complaints are said, to who
 * asked and to the journal. A setting that only a restart can change is said as a warning. */
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include "base/memory.h"
#include "daemon/daemon.h"

struct wish {
	struct list link;
	struct control_reload *asked; /* NULL: a signal did */
};

struct reload {
	struct work work;
	struct daemon *daemon;
	struct complaints complaints;
	struct spec *spec;
	struct config_world *world;
	gid_t operators;
};

gid_t operators_gid(const char *group)
{
	char buf[16384];
	struct group g, *found = NULL;

	if (!group || getgrnam_r(group, &g, buf, sizeof(buf), &found) != 0 || !found)
		return (gid_t)-1;
	return found->gr_gid;
}

static void read_on_pool(struct work *w)
{
	struct reload *r = container_of(w, struct reload, work);

	if (config_load(r->daemon->config_path, &r->complaints, &r->spec, &r->world) == 0)
		r->operators = operators_gid(r->spec->operators);
}

static void say_complaints(struct daemon *d, const struct complaints *c)
{
	for (size_t i = 0; i < c->n; i++) {
		_cleanup_free_ char *text = complaint_text(&c->items[i]);

		journal_say(d->journal, c->items[i].is_warning ? LOG_WARNING : LOG_ERR, "%s", text);
	}
}

static void warn_of_restart(struct daemon *d, const struct spec *fresh)
{
	const struct {
		const char *key, *before, *after;
	} fixed[] = {
		{"store.conninfo", d->spec->conninfo, fresh->conninfo},
		{"socket.path", d->spec->socket_path, fresh->socket_path},
		{"state", d->spec->state, fresh->state},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (!str_eq(fixed[i].before, fixed[i].after))
			journal_say(d->journal, LOG_WARNING,
				"%s has changed: it takes effect at the next start", fixed[i].key);
}

static void swap_in(struct daemon *d, struct reload *r)
{
	struct config_world *old = d->world;

	warn_of_restart(d, r->spec);
	secrets_set_directory(d->secrets, r->spec->secrets_directory);
	d->spec = r->spec;
	d->world = r->world;
	core_configure(d->core, r->spec, &r->world->spec);
	control_configure(d->control, d->core, r->operators);
	config_world_free(old);
	deferred_ask(&d->turn);
}

static void answer_all(struct daemon *d, bool refused, const struct complaints *complaints)
{
	while (!list_empty(&d->reloads)) {
		struct wish *w = list_entry(list_first(&d->reloads), struct wish, link);

		list_remove(&w->link);
		if (w->asked)
			w->asked->done(w->asked, refused, complaints);
		free(w);
	}
}

static void read_done(struct work *w)
{
	struct reload *r = container_of(w, struct reload, work);
	struct daemon *d = r->daemon;
	bool refused = !r->spec;

	d->reload = NULL;
	say_complaints(d, &r->complaints);
	if (d->closing && r->spec) {
		spec_free(r->spec);
		config_world_free(r->world);
	} else if (r->spec) {
		swap_in(d, r);
	} else {
		journal_say(d->journal, LOG_ERR,
			"the changed configuration is refused; the one in force stays");
	}
	answer_all(d, refused, &r->complaints);
	complaints_fini(&r->complaints);
	free(r);
	service_ready(&d->service);
}

void daemon_reload(struct daemon *d, struct control_reload *asked)
{
	struct wish *w = xnew(struct wish);

	w->asked = asked;
	list_append(&d->reloads, &w->link);
	if (d->reload)
		return;
	d->reload = xnew(struct reload);
	d->reload->daemon = d;
	d->reload->operators = (gid_t)-1;
	service_reloading(&d->service);
	work_start(&d->reload->work, &d->loop, &d->count, read_on_pool, read_done);
}
