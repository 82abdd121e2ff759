/* What the commands share: the command line as it was given, the daemon's answers, and how things
 * are printed (output.h). */
#pragma once
#include "client/output.h"
#include "client/varlink.h"

enum {
	STATUS_WELL = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_NO_DAEMON = 3,
	STATUS_NOT_ALLOWED = 4,
};

/* The command line, taken apart; the strings are argv's. */
struct client {
	const char *socket;
	bool json, follow, failed, raw, wait, dry_run, yes;
	const char *reason, *cron, *timezone, *after, *number;
	const char **only; /* KEY=VALUE, as written */
	size_t n_only;
	char **words; /* behind the command */
	int n_words;
	const struct command *command;
	struct varlink *link; /* NULL until the first call */
};

/* Which options a command takes. */
enum {
	OPTION_FOLLOW = 1 << 0,
	OPTION_FAILED = 1 << 1,
	OPTION_ONLY = 1 << 2,
	OPTION_WAIT = 1 << 3,
	OPTION_REASON = 1 << 4,
	OPTION_DRY_RUN = 1 << 5,
	OPTION_NUMBER = 1 << 6,
	OPTION_CRON = 1 << 7, /* --cron, --timezone, --after */
	OPTION_RAW = 1 << 8,
	OPTION_YES = 1 << 9,
};

struct command {
	const char *name;
	const char *usage; /* what follows the name */
	const char *doc;   /* one line */
	const char *help;  /* more; may be NULL */
	unsigned options;
	int min_words, max_words;
	int (*run)(struct client *client); /* the exit status */
};

/* One file a command; the table is in main.c. */
int command_approve(struct client *client);
int command_cancel(struct client *client);
int command_checks(struct client *client);
int command_drain(struct client *client);
int command_help(struct client *client);
int command_jobs(struct client *client);
int command_logs(struct client *client);
int command_metrics(struct client *client);
int command_next(struct client *client);
int command_pause(struct client *client);
int command_reject(struct client *client);
int command_reload(struct client *client);
int command_resume(struct client *client);
int command_retry(struct client *client);
int command_runs(struct client *client);
int command_show(struct client *client);
int command_start(struct client *client);
int command_status(struct client *client);
int command_watch(struct client *client);
int command_why(struct client *client);

/* --- call.c: the daemon ------------------------------------------------------------------- */

/* Calls a method of org.nightjar.Scheduler. Returns an exit status: STATUS_WELL with *ret the
 * reply (NULL ret: not wanted), else after having said on standard error what is wrong. */
int client_call(struct client *client, const char *method, cJSON *take_parameters,
	struct varlink_reply *ret);
/* Begins a streaming call; then client_next() until it says STATUS_WELL with !ret->continues. */
int client_stream(struct client *client, const char *method, cJSON *take_parameters);
int client_next(struct client *client, struct varlink_reply *ret);
/* One call on a connection of its own that says nothing; 0 or a negative errno, and an answer that
 * is an error is -EPROTO. */
int client_ask(struct varlink *link, const char *method, cJSON *take_parameters,
	struct varlink_reply *ret);
/* Says what the daemon's error means; an exit status. */
int client_error(const struct varlink_reply *reply);

/* {"reason": what --reason says} */
cJSON *client_parameters(const struct client *client);
/* Adds what --only says. Returns false, after a message, where one is no KEY=VALUE. */
bool client_add_only(const struct client *client, cJSON *parameters);
/* Adds what -n says under `key`. Returns false, after a message, where it is no such number. */
bool client_add_number(const struct client *client, cJSON *parameters, const char *key);

/* "nightjar: ..." on standard error. */
void client_say(const char *format, ...) _printf_(1, 2);
/* The same with a hint at --help; STATUS_USAGE. */
int client_usage(const struct client *client, const char *format, ...) _printf_(2, 3);

/* --- checks.c ----------------------------------------------------------------------------- */

enum colour colour_of_check(const char *state);
/* Red ones first. */
void each_check(
	const cJSON *checks, void (*each)(void *context, const cJSON *check), void *context);

/* --- wait.c ------------------------------------------------------------------------------- */

/* Waits for the run's end and shows how it goes on. The exit status. */
int client_wait(struct client *client, const char *run);

/* --- next_cron.c -------------------------------------------------------------------------- */

/* next --cron, which needs no daemon; the strings as written, NULL where not given. The exit
 * status. */
int next_cron(const char *expr, const char *zone, const char *after, const char *n, bool json);
