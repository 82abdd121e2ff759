/* Many questions in one process, for tests/system/test_cron.py: reads lines
 *   ZONE TAB AFTER TAB N TAB EXPRESSION
 * with AFTER in seconds since 1970, and answers each by one line: the next N slots in such seconds,
 * space between, fewer when no more will come; or "error: " and the sentence. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "time/cron.h"

#define ZONES_MAX 1024

static struct known_zone {
	char *name;
	struct zone *zone;
} zones[ZONES_MAX];

static struct zone *zone_read(const char *name)
{
	static char data[1 << 20];
	_cleanup_free_ char *path = xasprintf("/usr/share/zoneinfo/%s", name);
	FILE *file = fopen(path, "r");
	struct zone *z = NULL;

	if (!file)
		return NULL;
	size_t len = fread(data, 1, sizeof(data), file);
	fclose(file);
	return zone_parse(data, len, &z) == 0 ? z : NULL;
}

static struct zone *zone_find(const char *name)
{
	struct known_zone *k = zones;

	for (; k < zones + ZONES_MAX && k->name; k++)
		if (strcmp(k->name, name) == 0)
			return k->zone;
	if (k == zones + ZONES_MAX)
		return NULL;
	*k = (struct known_zone){.name = xstrdup(name), .zone = zone_read(name)};
	return k->zone;
}

static void answer(char *line)
{
	_cleanup_(cleanup_cron_free) struct cron *c = NULL;
	_cleanup_free_ char *error = NULL;
	const char *name = strsep(&line, "\t"), *after = strsep(&line, "\t");
	const char *n = strsep(&line, "\t");
	struct zone *z = zone_find(name);
	int64_t t = after ? strtoll(after, NULL, 10) : 0;

	if (!line || !z) {
		printf("error: %s\n", line ? "no such zone" : "no such line");
		return;
	}
	if (cron_parse(line, &c, &error) < 0) {
		printf("error: %s\n", error);
		return;
	}
	for (long i = strtol(n, NULL, 10); i > 0 && cron_next(c, z, t, &t) == 0; i--)
		printf("%" PRId64 " ", t);
	printf("\n");
}

int main(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		answer(line);
	}
	for (struct known_zone *k = zones; k < zones + ZONES_MAX && k->name; k++) {
		zone_free(k->zone);
		free(k->name);
	}
	return 0;
}
