/* What terraform prints, as plan and as apply, and what `show -json` says: after a zero byte. */
#include "kinds/terraform_log.h"
#include "kinds/terraform_show.h"
#include "tests/fuzz/fuzz.h"

static void read_lines(const char *p, const char *end, bool applies, const cJSON *changes)
{
	struct terraform_log log = {0};

	terraform_log_begin(&log, applies, changes);
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((eol ? eol : end) - p);
		_cleanup_free_ char *line = xstrndup(p, len), *news = NULL;

		terraform_log_text(&log, len % 7 ? STREAM_STDOUT : STREAM_STDERR, line,
			strlen(line), !eol, &news);
		p += len + 1;
	}
	cJSON_Delete(terraform_log_progress(&log));
	terraform_log_fini(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *end = text + size, *show = memchr(text, 0, size);

	read_lines(text, show ? show : end, false, NULL);
	read_lines(text, show ? show : end, true, NULL);
	if (show)
		cJSON_Delete(terraform_show_read(show + 1, (size_t)(end - show - 1)));
	return 0;
}
