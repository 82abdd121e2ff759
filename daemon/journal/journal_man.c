/* Makes nightjar-journal(7) at build time: journal_man FRAME prints the frame with the table of
 * events in place of the line @EVENTS@. Progress is told to watchers alone. */
#include <stdio.h>
#include <string.h>
#include "core/ports.h"

static void put_name(const char *name)
{
	for (; *name; name++)
		fputs(*name == '-' ? "\\-" : (char[]){*name, '\0'}, stdout);
}

static void put_event(const struct core_event_info *event)
{
	static const char *const priorities[] = {
		"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

	fputs(".It ", stdout);
	put_name(event->name);
	printf(" Pq Li %s\n%s\n.br\n.Li %s\n", priorities[event->priority], event->doc,
		event->message_id);
}

static void put_events(void)
{
	puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < CORE_EVENTS; i++)
		if (i != EVENT_PROGRESS)
			put_event(&core_event_table[i]);
	puts(".El");
}

int main(int argc, char **argv)
{
	char line[1024];
	FILE *frame = argc == 2 ? fopen(argv[1], "re") : NULL;

	if (!frame) {
		fputs("usage: journal_man FRAME\n", stderr);
		return 2;
	}
	while (fgets(line, sizeof(line), frame)) {
		if (strcmp(line, "@EVENTS@\n") == 0)
			put_events();
		else
			fputs(line, stdout);
	}
	fclose(frame);
	return 0;
}
