/* schedules N: the milliseconds that the next slots of N schedules take, parsing included; then
 * those of N calls of mktime() in a zone with DST, the C library's way to one instant. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/memory.h"
#include "time/cron.h"

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct zone *paris(void)
{
	static char data[1 << 16];
	struct zone *z = NULL;
	FILE *file = fopen("/usr/share/zoneinfo/Europe/Paris", "r");
	size_t n = file ? fread(data, 1, sizeof(data), file) : 0;

	if (file)
		fclose(file);
	return n && zone_parse(data, n, &z) == 0 ? z : zone_utc();
}

static int64_t next_of(unsigned i, const struct zone *z, int64_t after)
{
	static const char *const days[] = {"* * *", "* * 1-5", "1 * *", "29 2 *", "*/3 jan-jun *"};
	_cleanup_(cleanup_cron_free) struct cron *c = NULL;
	_cleanup_free_ char *error = NULL;
	char expression[64];
	int64_t next = 0;

	snprintf(expression, sizeof(expression), "%u %u %s", i % 60, i / 60 % 24,
		days[i % ARRAY_SIZE(days)]);
	if (cron_parse(expression, &c, &error) == 0)
		cron_next(c, z, after, &next);
	return next;
}

int main(int argc, char *argv[])
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
	_cleanup_(cleanup_zone_free) struct zone *z = paris();
	time_t now = time(NULL);
	int64_t sum = 0;
	double before = now_ms(), after;

	for (unsigned i = 0; i < n; i++)
		sum += next_of(i, z, now);
	after = now_ms();
	printf("%.3f ", after - before);
	setenv("TZ", "Europe/Paris", 1);
	tzset();
	before = now_ms();
	for (unsigned i = 0; i < n; i++) {
		struct tm tm = {
			.tm_year = 126, .tm_mon = (int)(i % 12), .tm_mday = 1, .tm_hour = 3};

		tm.tm_isdst = -1;
		sum += mktime(&tm);
	}
	printf("%.3f\n", now_ms() - before);
	return sum == 0;
}
