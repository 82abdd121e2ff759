/* TZif files: any bytes, and what such a zone then says. */
#include "time/zone.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t instants[] = {
		INT64_MIN / 2, -5000000000, 0, 1774749600, 4102444800, INT64_MAX / 2};
	struct zone *z;

	if (zone_parse(data, size, &z) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(instants) / sizeof(instants[0]); i++) {
		int64_t next = zone_next_transition(z, instants[i]);

		assert(next > instants[i]);
		assert(zone_offset(z, instants[i]) > -10 * 86400);
	}
	zone_free(z);
	return 0;
}
