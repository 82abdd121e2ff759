/* What dbt prints and writes: log lines, run_results.json and sources.json, parted by a zero byte.
 */
#include "kinds/dbt_log.h"
#include "kinds/dbt_results.h"
#include "base/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size, *results = memchr(data, 0, size);
	const uint8_t *sources =
		results ? memchr(results + 1, 0, (size_t)(end - results - 1)) : NULL;
	struct dbt_log log = {0};

	dbt_log_feed(&log, data, (size_t)((results ? results : end) - data));
	if (results)
		dbt_results_read(&log.nodes, (const char *)results + 1,
			(size_t)((sources ? sources : end) - results - 1), NULL, 0);
	if (sources)
		dbt_sources_read(&log.nodes, (const char *)sources + 1, (size_t)(end - sources - 1),
			NULL, 0);
	dbt_log_explain_operation(&log);
	cJSON_Delete(dbt_nodes_rows(&log.nodes, true));
	dbt_log_fini(&log);
	return 0;
}
