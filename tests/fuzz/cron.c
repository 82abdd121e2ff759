/* Cron expressions: a line with one, the rest a TZif file (or none: UTC). Slots come in order. */
#include "time/cron.h"
#include "tests/fuzz/fuzz.h"

static void walk(const struct cron *cron, const struct zone *zone)
{
	int64_t at = 1774749600, next;

	for (int i = 0; i < 3 && cron_next(cron, zone, at, &next) == 0; i++) {
		assert(next > at);
		at = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *eol = memchr(data, '\n', size);
	size_t len = eol ? (size_t)(eol - data) : size;
	_cleanup_free_ char *text = xstrndup((const char *)data, len), *error = NULL;
	struct zone *zone = NULL;
	struct cron *cron;

	if (cron_parse(text, &cron, &error) < 0) {
		assert(error && *error);
		return 0;
	}
	if (!eol || zone_parse(eol + 1, size - len - 1, &zone) < 0)
		zone = zone_utc();
	walk(cron, zone);
	zone_free(zone);
	cron_free(cron);
	return 0;
}
