#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/daemon.h"

#define MEMORY_RESERVE ((size_t)512 * 1024)

/* --- between the parts -------------------------------------------------------------------- */

static void daemon_close(struct daemon *d);

static void turn(void *arg)
{
	struct daemon *d = arg;
	char summary[160];

	if (d->closing)
		return;
	core_run(d->core);
	core_summarize(d->core, summary, sizeof(summary));
	service_status(&d->service, "%s", summary);
	if ((d->ending && core_n_running(d->core) == 0) || core_is_drained(d->core))
		daemon_close(d);
}

static void ask_turn(void *arg)
{
	deferred_ask(&((struct daemon *)arg)->turn);
}

static uint64_t random_next(void *self)
{
	uint64_t n = 0;

	while (getrandom(&n, sizeof(n), 0) != sizeof(n))
		;
	return n;
}

static void notice(void *self, const struct core_notice *n)
{
	struct daemon *d = self;

	journal_notice(d->journal, n);
	if (d->control)
		control_notice(d->control, n);
}

/* The adapters' events, each followed by a turn. */

static void action_started(void *self, struct launch *l, usec_t at, bool adopted)
{
	core_action_started(((struct daemon *)self)->core, l, at, adopted);
}

static void action_line(void *self, struct launch *l, enum stream stream, usec_t at,
	const char *text, size_t len, bool partial)
{
	core_action_line(((struct daemon *)self)->core, l, stream, at, text, len, partial);
}

static void action_gap(void *self, struct launch *l, uint64_t bytes)
{
	core_action_gap(((struct daemon *)self)->core, l, bytes);
}

static void action_commit(void *self, struct launch *l, const char *commit)
{
	core_action_commit(((struct daemon *)self)->core, l, commit);
}

static void action_ended(void *self, struct launch *l, const struct action_status *status,
	const struct artifact *artifacts, size_t n)
{
	core_action_ended(((struct daemon *)self)->core, l, status, artifacts, n);
	ask_turn(self);
}

static void store_ready(void *self, uint64_t epoch, const cJSON *loaded)
{
	core_store_ready(((struct daemon *)self)->core, epoch, loaded);
	ask_turn(self);
}

static void store_away(void *self, const char *why)
{
	core_store_away(((struct daemon *)self)->core, why);
	ask_turn(self);
}

static void store_lost(void *self, const char *holder)
{
	core_store_lost(((struct daemon *)self)->core, holder);
	ask_turn(self);
}

static void store_report(void *self, const cJSON *row)
{
	core_store_report(((struct daemon *)self)->core, row);
	ask_turn(self);
}

static void store_alarm(void *self, const char *message)
{
	journal_say(((struct daemon *)self)->journal, LOG_ERR, "store: %s", message);
}

static void reload_asked(void *self, struct control_reload *r)
{
	daemon_reload(self, r);
}

static void add_metrics(void *self, struct buf *out)
{
	struct daemon *d = self;

	buf_printf(out,
		"# HELP nightjar_journal_dropped_total Messages that the journal did not take in "
		"time.\n"
		"# TYPE nightjar_journal_dropped_total counter\n"
		"nightjar_journal_dropped_total %llu\n",
		(unsigned long long)journal_dropped(d->journal));
}

/* --- signals ------------------------------------------------------------------------------ */

/* The machine goes down: everything is interrupted and waited for. Else the shims go on. */
static void end_known(void *arg, bool going_down)
{
	struct daemon *d = arg;

	if (d->closing)
		return;
	if (!going_down) {
		daemon_close(d);
		return;
	}
	journal_say(d->journal, LOG_NOTICE,
		"the machine goes down: %u running actions are interrupted",
		core_n_running(d->core));
	d->ending = true;
	core_shutdown(d->core);
	deferred_ask(&d->turn);
}

static void end_asked(uv_signal_t *signal, int number)
{
	struct daemon *d = signal->data;

	service_stopping(&d->service);
	if (d->ending || !getenv("NOTIFY_SOCKET"))
		end_known(d, false);
	else
		service_ask_going_down(&d->service, end_known, d);
}

static void hangup(uv_signal_t *signal, int number)
{
	daemon_reload(signal->data, NULL);
}

static void listen_to_signals(struct daemon *d)
{
	static const struct {
		int number;
		void (*heard)(uv_signal_t *signal, int number);
	} table[] = {{SIGTERM, end_asked}, {SIGINT, end_asked}, {SIGHUP, hangup}};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		open_count_add(&d->count);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], table[i].heard, table[i].number);
	}
}

/* --- made, in order ----------------------------------------------------------------------- */

static int complain_and_fail(const char *what, char *take_message)
{
	_cleanup_free_ char *message = take_message;

	fprintf(stderr, "nightjard: %s%s\n", what, message ? message : "");
	return -EINVAL;
}

static int load(struct daemon *d, struct spec **ret)
{
	struct complaints complaints = {0};
	int r = config_load(d->config_path, &complaints, ret, &d->world);

	config_print_complaints(&complaints);
	complaints_fini(&complaints);
	return r;
}

static void copy_unit_environment(struct daemon *d)
{
	static const char *const names[] = {"PATH", "HOME", "LANG", "TZ"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (getenv(names[i]))
			d->unit_environment[n++] = xasprintf("%s=%s", names[i], getenv(names[i]));
}

static int make_launcher(struct daemon *d)
{
	struct launcher_options options = {
		.loop = &d->loop,
		.state = d->state.path,
		.shim = d->shim_path,
		.machine = d->state.machine,
		.boot_id = d->state.boot_id,
		.events =
			{
				.self = d,
				.started = action_started,
				.line = action_line,
				.gap = action_gap,
				.commit = action_commit,
				.ended = action_ended,
			},
	};
	char *error = NULL;

	if (launcher_new(&options, &d->launcher, &error) < 0)
		return complain_and_fail("", error);
	launcher_log_port(d->launcher, &d->log_port);
	return 0;
}

static int make_store(struct daemon *d, const struct spec *spec)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct pg_options options = {
		.conninfo = spec->conninfo ? spec->conninfo : "",
		.machine = d->state.machine,
		.host = host,
	};
	struct pg_events events = {
		.self = d,
		.ready = store_ready,
		.away = store_away,
		.lost = store_lost,
		.report = store_report,
		.alarm = store_alarm,
	};
	char *error = NULL;

	gethostname(host, sizeof(host) - 1);
	d->pg = pg_new(&d->loop, &options, &events, &error);
	return d->pg ? 0 : complain_and_fail("store.conninfo: ", error);
}

static void make_core(struct daemon *d)
{
	struct core_ports ports = {
		.machine = d->state.machine,
		.state = d->state.path,
		.boot_id = d->state.boot_id,
		.unit_environment = d->unit_environment,
		.random = {.next = random_next},
		.store = pg_port(d->pg),
		.observer = {.self = d, .notice = notice},
	};

	clock_port(&d->clock, &ports.clock);
	secrets_port(d->secrets, &ports.secrets);
	launcher_port(d->launcher, &ports.launcher);
	http_port(d->http, &ports.http);
	queries_port(d->queries, &ports.query);
	d->core = core_new(&ports);
}

static int make_control(struct daemon *d, const struct spec *spec)
{
	struct control_options options = {
		.path = spec->socket_path,
		.hooks = {.self = d,
			.reload = reload_asked,
			.metrics = add_metrics,
			.kick = ask_turn},
		.log = &d->log_port,
	};
	int r = control_new(&d->loop, &options, &d->control);

	if (r == -EADDRINUSE)
		return complain_and_fail(
			"another nightjard answers at ", xstrdup(spec->socket_path));
	if (r < 0)
		return complain_and_fail(
			"cannot listen: ", xasprintf("%s: %s", spec->socket_path, strerror(-r)));
	return 0;
}

static int make_parts(struct daemon *d, struct spec *spec)
{
	uv_loop_init(&d->loop);
	deferred_init(&d->turn, &d->loop, &d->count, turn, d);
	if (clock_init(&d->clock, &d->loop, &d->count, ask_turn, d) < 0)
		return complain_and_fail("cannot make timers: ", xstrdup(strerror(errno)));
	service_init(&d->service, &d->loop, &d->count);
	d->secrets = secrets_new(&d->loop, &d->count);
	secrets_set_directory(d->secrets, spec->secrets_directory);
	if (make_launcher(d) < 0)
		return -EINVAL;
	d->http = http_new(&d->loop, ask_turn, d);
	d->queries = queries_new(&d->loop, ask_turn, d);
	if (make_store(d, spec) < 0)
		return -EINVAL;
	make_core(d);
	return make_control(d, spec);
}

/* --- torn down, in reverse ---------------------------------------------------------------- */

static void part_closed(void *arg)
{
	struct daemon *d = arg;

	if (--d->parts_open > 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(d->signals); i++)
		open_count_close_handle(&d->count, (uv_handle_t *)&d->signals[i]);
	service_close(&d->service);
	clock_close(&d->clock);
	deferred_close(&d->turn, &d->count);
}

/* Before anything is closed the core's last rows have been handed over; pg_stop() writes them. */
static void daemon_close(struct daemon *d)
{
	if (d->closing)
		return;
	d->closing = true;
	journal_say(d->journal, LOG_NOTICE, "nightjard ends; %u actions go on by themselves",
		core_n_running(d->core));
	d->parts_open = 5;
	control_close(TAKE_PTR(d->control), part_closed, d);
	http_close(TAKE_PTR(d->http), part_closed, d);
	queries_close(TAKE_PTR(d->queries), part_closed, d);
	launcher_close(d->launcher, part_closed, d);
	pg_stop(d->pg, part_closed, d);
}

static void free_parts(struct daemon *d)
{
	core_free(d->core);
	pg_free(d->pg);
	secrets_free(d->secrets);
	uv_loop_close(&d->loop);
}

static void free_rest(struct daemon *d)
{
	config_world_free(d->world);
	journal_free(d->journal);
	state_close(&d->state);
	for (size_t i = 0; i < ARRAY_SIZE(d->unit_environment); i++)
		free(d->unit_environment[i]);
	free(d->shim_path);
}

/* --- the program -------------------------------------------------------------------------- */

/* $NIGHTJAR_SHIM, else beside this very program as it was installed, so that a tree under a DESTDIR
 * runs in place. */
static char *find_shim(void)
{
	char self[PATH_MAX];
	ssize_t n;
	char *slash;

	if (getenv("NIGHTJAR_SHIM"))
		return xstrdup(getenv("NIGHTJAR_SHIM"));
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return xstrdup(SHIM_FROM_HERE);
	self[n] = '\0';
	slash = strrchr(self, '/');
	return xasprintf("%.*s/%s", (int)(slash - self), self, SHIM_FROM_HERE);
}

/* No core file may hold a secret; a thousand clients and their actions need descriptors. */
static void set_limits(void)
{
	struct rlimit files;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0});
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void begin(struct daemon *d, struct spec *spec)
{
	core_configure(d->core, spec, &d->world->spec);
	control_configure(d->control, d->core, operators_gid(spec->operators));
	listen_to_signals(d);
	pg_start(d->pg);
	service_ready(&d->service);
	deferred_ask(&d->turn);
	uv_run(&d->loop, UV_RUN_DEFAULT);
}

int daemon_run(const char *config_path)
{
	struct daemon d = {.config_path = config_path, .state.lock = -1};
	struct spec *spec = NULL;
	char *error = NULL;
	int r;

	memory_reserve(MEMORY_RESERVE);
	set_limits();
	list_init(&d.reloads);
	r = load(&d, &spec);
	if (r < 0)
		return 1;
	d.spec = spec;
	d.shim_path = find_shim();
	d.journal = journal_new(journal_is_there());
	copy_unit_environment(&d);
	r = state_open(spec->state, &d.state, &error);
	if (r < 0)
		complain_and_fail("", error);
	else
		r = make_parts(&d, spec);
	if (r < 0)
		_exit(1); /* half made: nothing has begun, and no child is ours yet */
	begin(&d, spec);
	free_parts(&d);
	free_rest(&d);
	return d.exit_code;
}
