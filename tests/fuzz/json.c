/* The strict reader of JSON: what it takes, it prints and takes again, the same. */
#include "base/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ cJSON *once = NULL, *again = NULL;
	_cleanup_free_ char *text = NULL, *text_again = NULL;

	if (json_parse((const char *)data, size, &once) < 0)
		return 0;
	text = json_print(once);
	assert(json_parse(text, strlen(text), &again) == 0);
	text_again = json_print(again);
	assert(strcmp(text, text_again) == 0);
	return 0;
}
