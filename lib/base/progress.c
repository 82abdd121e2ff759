#include "base/json.h"
#include "base/progress.h"
#include "base/text.h"
#include <string.h>

void buf_progress(struct buf *b, const cJSON *progress)
{
	int64_t done = json_int(progress, "done", -1), total = json_int(progress, "total", -1);
	int64_t failed = json_int(progress, "failed", 0);
	const char *running = json_string(progress, "now"), *text = json_string(progress, "text");
	const char *unit = json_string(progress, "unit");
	size_t start = b->len;
	if (text) {
		text_escape(b, text, strlen(text));
		return;
	}
	if (done >= 0 && total > 0)
		buf_printf(b, "%lld of %lld %s", (long long)done, (long long)total,
			unit ? unit : "nodes");
	else if (done > 0)
		buf_printf(b, "%lld %s", (long long)done, unit ? unit : "nodes");
	if (failed > 0)
		buf_printf(b, "%s%lld failed", b->len > start ? ", " : "", (long long)failed);
	if (running) {
		buf_puts(b, b->len > start ? ", now " : "now ");
		text_escape(b, running, strlen(running));
	}
}
