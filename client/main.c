/* nightjar: asks nightjard over its socket, and tells it what to do.
 *
 *   main.c        this: the command line, the table of commands, their help
 *   client.h      what the commands share
 *   call.c        calls, and what their errors mean for the exit status
 *   varlink.c     messages on the socket
 *   output.c      colours, times, tables; cleans what is printed
 *   log_text.c    what people read of a log line
 *   wait.c        start --wait: follows a run to its end
 *   next_cron.c   next --cron, which needs no daemon
 *
 *   approve.c cancel.c checks.c drain.c jobs.c logs.c metrics.c next.c pause.c reload.c retry.c
 *   runs.c show.c start.c status.c watch.c why.c       one command each (approve and reject, pause
 *                                                      and resume share one)
 *
 * To add a command: a file, its line in client.h, its entry in the table below, and its paragraph
 * in man/nightjar.1.
 *
 * Exit status: 0 well, 1 it failed, 2 usage, 3 no daemon there, 4 not allowed. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"
#include "client/client.h"

#define SOCKET_DEFAULT "/run/nightjar/nightjar.sock"

/* clang-format off */
static const struct command commands[] = { /* sorted */
	{ "approve", "REF", "let a step that waits for an approval go on",
	  "Shows what it would change first, and asks; --yes is for scripts. REF is a run, a cell or a\n"
	  "step below which one step waits, such as nightly#128/apply/staging.",
	  OPTION_REASON | OPTION_YES, 1, 1, command_approve },
	{ "cancel", "REF", "end a run, a cell or a step",
	  "What runs is interrupted the way its kind wants it; what has not begun does not.",
	  OPTION_REASON, 1, 1, command_cancel },
	{ "checks", "", "the health endpoints and what they say",
	  "Red ones first, each with what it was before: the last -n changes (5).",
	  OPTION_NUMBER, 0, 0, command_checks },
	{ "drain", "", "start nothing more, and wait until nothing runs", NULL,
	  OPTION_REASON, 0, 0, command_drain },
	{ "help", "[COMMAND]", "this, or what a command does", NULL, 0, 0, 1, command_help },
	{ "jobs", "", "the jobs, their schedules, and how they last went", NULL,
	  0, 0, 0, command_jobs },
	{ "logs", "REF", "what the attempts printed",
	  "REF is a job (its last run), a run, or a part of one: nightly#128/build/staging/postgres,\n"
	  "or one attempt of a step of it: nightly#128/build/staging/postgres/build.2.",
	  OPTION_FOLLOW | OPTION_FAILED | OPTION_RAW, 1, 1, command_logs },
	{ "metrics", "", "counters and gauges, for Prometheus", NULL, 0, 0, 0, command_metrics },
	{ "next", "[JOB]", "when jobs are due",
	  "With --cron EXPR it needs no daemon: the slots of that expression in --timezone ZONE (UTC)\n"
	  "after --after INSTANT (now), which is exclusive.",
	  OPTION_NUMBER | OPTION_CRON, 0, 1, command_next },
	{ "pause", "JOB", "fire no more slots of a job", NULL, OPTION_REASON, 1, 1, command_pause },
	{ "reject", "REF", "end a step that waits for an approval, as failed",
	  "Shows what it would have changed first, and asks; --yes is for scripts.",
	  OPTION_REASON | OPTION_YES, 1, 1, command_reject },
	{ "reload", "", "read the configuration again",
	  "All of it or nothing: where it is wrong the former one stays.", 0, 0, 0, command_reload },
	{ "resume", "JOB", "fire slots again, from now on", NULL,
	  OPTION_REASON, 1, 1, command_resume },
	{ "retry", "RUN", "run the cells of a run again that are not ok",
	  "As a new run, by the configuration of now; with --dry-run only says which cells.",
	  OPTION_ONLY | OPTION_DRY_RUN | OPTION_REASON, 1, 1, command_retry },
	{ "runs", "[JOB]", "the newest runs", NULL, OPTION_NUMBER, 0, 1, command_runs },
	{ "show", "RUN", "a run: its cells, steps and attempts",
	  "RUN is nightly#128, or a job: its last run.", 0, 1, 1, command_show },
	{ "start", "JOB", "start a job by hand",
	  "Prints the run's name. With --wait it shows how the run goes on, and exits 0 only if its\n"
	  "outcome is ok.",
	  OPTION_ONLY | OPTION_WAIT | OPTION_REASON, 1, 1, command_start },
	{ "status", "", "what is red, what waits, runs and is due (also without a command)", NULL,
	  0, 0, 0, command_status },
	{ "watch", "", "what happens, as it happens, until ^C", NULL, 0, 0, 0, command_watch },
	{ "why", "JOB INSTANT", "what became of a slot",
	  "INSTANT is RFC 3339, or 2026-03-29T06:00 in UTC.", 0, 2, 2, command_why },
};

static const struct option_doc {
	const char *name, *argument;
	char letter; /* 0: none */
	unsigned command_option; /* 0: global */
	const char *doc;
} options[] = {
	{ "after", "INSTANT", 0, OPTION_CRON, "with --cron: slots after this instant (now)" },
	{ "cron", "EXPR", 0, OPTION_CRON, "the slots of this expression, without a daemon" },
	{ "dry-run", NULL, 0, OPTION_DRY_RUN, "only say what it would do" },
	{ "failed", NULL, 0, OPTION_FAILED, "only attempts that did not end well" },
	{ "follow", NULL, 'f', OPTION_FOLLOW, "go on until what REF names has ended" },
	{ "number", "N", 'n', OPTION_NUMBER, "how many, up to 1000" },
	{ "only", "KEY=VALUE", 0, OPTION_ONLY, "narrow the matrix; may be given several times" },
	{ "raw", NULL, 0, OPTION_RAW, "JSON as it was logged, not its message" },
	{ "reason", "TEXT", 0, OPTION_REASON, "why, for the record" },
	{ "timezone", "ZONE", 0, OPTION_CRON, "with --cron: the zone (UTC)" },
	{ "wait", NULL, 0, OPTION_WAIT, "wait for the run's end" },
	{ "yes", NULL, 0, OPTION_YES, "do not ask" },
	{ "color", "WHEN", 0, 0, "auto, always or never" },
	{ "help", NULL, 'h', 0, "this" },
	{ "json", NULL, 0, 0, "one JSON document (streams: one a line)" },
	{ "socket", "PATH", 0, 0, "the daemon's socket ($NIGHTJAR_SOCKET, " SOCKET_DEFAULT ")" },
	{ "version", NULL, 0, 0, "the version" },
};
/* clang-format on */

/* --- help --------------------------------------------------------------------------------- */

static void print_option(const struct option_doc *option)
{
	_cleanup_free_ char *text = xasprintf("%s%c%s--%s%s%s", option->letter ? "-" : "",
		option->letter ? option->letter : ' ', option->letter ? ", " : "   ", option->name,
		option->argument ? " " : "", option->argument ? option->argument : "");
	printf("  %-24s %s\n", text, option->doc);
}

static void print_options(unsigned which)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (which ? (options[i].command_option & which) : !options[i].command_option)
			print_option(&options[i]);
}

static int help_of(const struct command *command)
{
	printf("usage: nightjar %s%s%s%s\n\n%s\n", command->name,
		command->options ? " [OPTION]..." : "", *command->usage ? " " : "", command->usage,
		command->doc);
	if (command->help)
		printf("%s\n", command->help);
	if (command->options) {
		printf("\n");
		print_options(command->options);
	}
	printf("\nand everywhere:\n");
	print_options(0);
	return STATUS_WELL;
}

static int help_of_all(void)
{
	printf("usage: nightjar [OPTION]... [COMMAND]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_free_ char *text = xasprintf("%s %s", commands[i].name, commands[i].usage);
		printf("  %-18s %s\n", text, commands[i].doc);
	}
	printf("\n");
	print_options(0);
	printf("\nExit status: 0 well, 1 it failed, 2 usage, 3 no daemon there, 4 not allowed.\n"
	       "See nightjar(1).\n");
	return STATUS_WELL;
}

static int compare(const void *name, const void *command)
{
	return strcmp(name, ((const struct command *)command)->name);
}

static const struct command *command_find(const char *name)
{
	return bsearch(name, commands, ARRAY_SIZE(commands), sizeof(commands[0]), compare);
}

static int no_such_command(const struct client *client, const char *name)
{
	const char *names[ARRAY_SIZE(commands)];
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	const char *meant = text_nearest(name, names, ARRAY_SIZE(names));
	if (meant)
		return client_usage(
			client, "there is no command \"%s\"; did you mean %s?", name, meant);
	return client_usage(client, "there is no command \"%s\"", name);
}

int command_help(struct client *client)
{
	if (client->n_words == 0)
		return help_of_all();
	const struct command *command = command_find(client->words[0]);
	client->command = NULL;
	return command ? help_of(command) : no_such_command(client, client->words[0]);
}

/* --- the command line --------------------------------------------------------------------- */

struct parsed {
	unsigned given; /* OPTION_... */
	bool help, version;
	enum colour_when colour;
};

static bool parse_colour(const char *text, enum colour_when *ret)
{
	static const char *const words[] = {"auto", "always", "never"};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_eq(text, words[i])) {
			*ret = (enum colour_when)i;
			return true;
		}
	}
	return false;
}

static int take_global(
	struct client *client, struct parsed *parsed, const char *name, const char *value)
{
	if (str_eq(name, "socket"))
		client->socket = value;
	else if (str_eq(name, "json"))
		client->json = true;
	else if (str_eq(name, "help"))
		parsed->help = true;
	else if (str_eq(name, "version"))
		parsed->version = true;
	else if (!parse_colour(value, &parsed->colour))
		return client_usage(client, "--color takes auto, always or never");
	return STATUS_WELL;
}

static void take_option(struct client *client, unsigned option, const char *name, const char *value)
{
	switch (option) {
	case OPTION_FOLLOW:
		client->follow = true;
		break;
	case OPTION_FAILED:
		client->failed = true;
		break;
	case OPTION_RAW:
		client->raw = true;
		break;
	case OPTION_WAIT:
		client->wait = true;
		break;
	case OPTION_DRY_RUN:
		client->dry_run = true;
		break;
	case OPTION_YES:
		client->yes = true;
		break;
	case OPTION_REASON:
		client->reason = value;
		break;
	case OPTION_NUMBER:
		client->number = value;
		break;
	case OPTION_ONLY:
		client->only[client->n_only++] = value;
		break;
	case OPTION_CRON:
		if (str_eq(name, "cron"))
			client->cron = value;
		else if (str_eq(name, "after"))
			client->after = value;
		else
			client->timezone = value;
		break;
	}
}

static int parse_options(struct client *client, int argc, char **argv, struct parsed *parsed)
{
	struct option table[ARRAY_SIZE(options) + 1] = {0};
	char letters[2 * ARRAY_SIZE(options) + 2] = ":";
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int has_argument = options[i].argument ? required_argument : no_argument;
		table[i] = (struct option){options[i].name, has_argument, NULL, 256 + (int)i};
		if (options[i].letter)
			snprintf(letters + strlen(letters), 3, "%c%s", options[i].letter,
				options[i].argument ? ":" : "");
	}
	opterr = 0;
	for (;;) {
		int c = getopt_long(argc, argv, letters, table, NULL);
		if (c == -1)
			return STATUS_WELL;
		if (c == ':')
			return client_usage(client, "%s needs a value", argv[optind - 1]);
		if (c == '?')
			return client_usage(client, "there is no option %s, or it takes no value",
				argv[optind - 1]);
		size_t i = c >= 256 ? (size_t)c - 256 : 0;
		while (c < 256 && options[i].letter != c)
			i++;
		if (options[i].command_option) {
			parsed->given |= options[i].command_option;
			take_option(client, options[i].command_option, options[i].name, optarg);
		} else {
			int status = take_global(client, parsed, options[i].name, optarg);
			if (status)
				return status;
		}
	}
}

static const char *first_of(unsigned which)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].command_option & which)
			return options[i].name;
	return NULL;
}

static int check_words(const struct client *client)
{
	const struct command *command = client->command;
	if (client->n_words < command->min_words)
		return client_usage(client, "it needs %s", command->usage);
	if (client->n_words > command->max_words)
		return client_usage(
			client, "\"%s\" is too much", client->words[command->max_words]);
	return STATUS_WELL;
}

static int run(struct client *client, int argc, char **argv)
{
	struct parsed parsed = {0};
	int status = parse_options(client, argc, argv, &parsed);
	if (status)
		return status;
	out_colours(parsed.colour);
	if (parsed.version) {
		printf("nightjar %s\n", NIGHTJAR_VERSION);
		return STATUS_WELL;
	}
	if (parsed.help && optind == argc)
		return help_of_all();
	const char *name = optind < argc ? argv[optind++] : "status";
	client->command = command_find(name);
	if (!client->command)
		return no_such_command(client, name);
	if (parsed.help)
		return help_of(client->command);
	const char *wrong = first_of(parsed.given & ~client->command->options);
	if (wrong)
		return client_usage(client, "it takes no --%s", wrong);
	client->words = argv + optind;
	client->n_words = argc - optind;
	status = check_words(client);
	return status ? status : client->command->run(client);
}

int main(int argc, char **argv)
{
	const char *socket = getenv("NIGHTJAR_SOCKET");
	struct client client = {
		.socket = socket && *socket ? socket : SOCKET_DEFAULT,
		.only = xcalloc((size_t)argc + 1, sizeof(char *)),
	};
	signal(SIGPIPE, SIG_DFL); /* `nightjar logs ... | head` just ends */
	int status = run(&client, argc, argv);
	varlink_free(client.link);
	free(client.only);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		client_say("what was to be printed could not be");
		return status ? status : STATUS_FAILED;
	}
	return status;
}
