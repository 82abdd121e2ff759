/* What is in an action's folder: status.json, `started`, and lines of output.log. */
#include "daemon/proc/line.h"
#include "daemon/proc/status.h"
#include "tests/fuzz/fuzz.h"

static void read_lines(const char *p, const char *end)
{
	struct log_line last, *before = NULL;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((eol ? eol : end) - p);
		struct log_line line;

		if (log_line_parse(p, len, before, &line)) {
			assert(line.text >= p && line.text + line.len <= p + len);
			last = line;
			before = &last;
		}
		p += len + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* as they come from files: not terminated */
	_cleanup_free_ char *text = size ? xmemdup(data, size) : NULL;
	struct action_status status;
	struct shim_started started;

	if (!text)
		return 0;
	if (status_parse(text, size, &status) == 0)
		action_status_fini(&status);
	if (shim_started_parse(text, size, &started) == 0)
		shim_started_fini(&started);
	read_lines(text, text + size);
	return 0;
}
