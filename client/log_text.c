/* {"info":{"msg":"1 of 4 OK created ...","level":"info",...},"data":{...}} is what dbt logs. */
#include "client/log_text.h"
#include <string.h>
#include "base/json.h"
#include "base/memory.h"

bool log_text_may_be_json(const char *line)
{
	return line[0] == '{';
}

static enum colour colour_of_level(const char *level)
{
	if (str_eq(level, "error"))
		return RED;
	if (str_eq(level, "warn"))
		return YELLOW;
	return str_eq(level, "debug") ? DIM : PLAIN;
}

/* Blanks at the end, and empty lines at the beginning: an indent is part of the message. */
static char *trimmed(const char *text)
{
	const char *begin = text;
	size_t len;

	for (const char *s = text; *s && strchr(" \t\r\n", *s); s++)
		if (*s == '\n')
			begin = s + 1;
	len = strlen(begin);
	while (len > 0 && strchr(" \t\r\n", begin[len - 1]))
		len--;
	return xstrndup(begin, len);
}

char *log_text_message(const char *line, size_t len, enum colour *ret_colour)
{
	_cleanup_json_ cJSON *json = NULL;
	const cJSON *info;
	const char *message;

	if (!log_text_may_be_json(line) || json_parse(line, len, &json) < 0)
		return NULL;
	info = json_get(json, "info");
	message = json_string(info, "msg");
	if (!message)
		return NULL;
	*ret_colour = colour_of_level(json_string(info, "level"));
	return trimmed(message);
}
