/* cJSON, made strict and short to use. A text is first checked against the grammar by a scanner of
 * our own (which also counts nesting, so that neither recurses far), then parsed, then searched for
 * duplicate keys. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/instant.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

#define NESTING_MAX 64

struct scan {
	const char *p, *end;
};

static char peek(const struct scan *s)
{
	return s->p < s->end ? *s->p : '\0';
}

static bool take(struct scan *s, char c)
{
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || (*s->p >= '\t' && *s->p <= '\r' && *s->p != '\v' &&
							 *s->p != '\f')))
		s->p++;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

static bool scan_digits(struct scan *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > start;
}

static bool scan_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return scan_digits(s);
	}
	return true;
}

/* Behind the backslash. cJSON checks the surrogates. */
static bool scan_escape(struct scan *s)
{
	unsigned value = 0;

	if (s->p >= s->end)
		return false;
	if (*s->p != 'u')
		return *s->p && strchr("\"\\/bfnrt", *s->p++);
	if (s->end - s->p < 5)
		return false;
	s->p++;
	for (int i = 0; i < 4; i++, s->p++) {
		const char *digits = "0123456789abcdefABCDEF",
			   *at = *s->p ? strchr(digits, *s->p) : NULL;

		if (!at)
			return false;
		value |= at != digits;
	}
	return value != 0;
}

static bool scan_string(struct scan *s)
{
	if (!take(s, '"'))
		return false;
	while (s->p < s->end) {
		unsigned char c = (unsigned char)*s->p++;

		if (c == '"')
			return true;
		if (c < 0x20 || (c == '\\' && !scan_escape(s)))
			return false;
	}
	return false;
}

static bool scan_scalar(struct scan *s)
{
	switch (peek(s)) {
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

static bool scan_key(struct scan *s)
{
	skip_space(s);
	if (!scan_string(s))
		return false;
	skip_space(s);
	return take(s, ':');
}

static bool scan_value(struct scan *s, int depth);

static bool scan_group(struct scan *s, bool is_object, int depth)
{
	char close = is_object ? '}' : ']';

	if (depth >= NESTING_MAX)
		return false;
	s->p++;
	skip_space(s);
	if (take(s, close))
		return true;
	for (;;) {
		if ((is_object && !scan_key(s)) || !scan_value(s, depth + 1))
			return false;
		if (take(s, close))
			return true;
		if (!take(s, ','))
			return false;
	}
}

static bool scan_value(struct scan *s, int depth)
{
	char c;
	bool good;

	skip_space(s);
	c = peek(s);
	good = c == '{' || c == '[' ? scan_group(s, c == '{', depth) : scan_scalar(s);
	skip_space(s);
	return good;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool keys_are_unique(const cJSON *object)
{
	size_t n = (size_t)cJSON_GetArraySize(object), i = 0;
	_cleanup_free_ char **keys = NULL;
	const cJSON *item;

	if (n < 2)
		return true;
	keys = xcalloc(n, sizeof(*keys));
	cJSON_ArrayForEach(item, object) keys[i++] = item->string;
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (i = 1; i < n; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			return false;
	return true;
}

static bool has_duplicates(const cJSON *value)
{
	const cJSON *item;

	if (cJSON_IsObject(value) && !keys_are_unique(value))
		return true;
	cJSON_ArrayForEach(item, value)
	{
		if (has_duplicates(item))
			return true;
	}
	return false;
}

int json_parse(const char *data, size_t len, cJSON **ret)
{
	struct scan s = {.p = data, .end = data + len};
	_cleanup_json_ cJSON *value = NULL;

	if (len == 0 || !utf8_is_valid(data, len) || !scan_value(&s, 0) || s.p != s.end)
		return -EBADMSG;
	value = cJSON_ParseWithLength(data, len);
	if (!value || has_duplicates(value))
		return -EBADMSG;
	*ret = TAKE_PTR(value);
	return 0;
}

/* By the first letter first: every key that is set is looked for, and most are not there. */
cJSON *json_get(const cJSON *object, const char *key)
{
	cJSON *item = cJSON_IsObject(object) ? object->child : NULL;

	while (item && (!item->string || *item->string != *key || strcmp(item->string, key) != 0))
		item = item->next;
	return item;
}

const char *json_string(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(json_get(object, key));
}

int64_t json_int(const cJSON *object, const char *key, int64_t otherwise)
{
	const cJSON *item = json_get(object, key);
	double d;

	if (cJSON_IsRaw(item))
		return strtoll(item->valuestring, NULL, 10); /* made by json_set_int */
	if (!cJSON_IsNumber(item))
		return otherwise;
	d = item->valuedouble;
	if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) || d != trunc(d))
		return otherwise;
	return (int64_t)d;
}

bool json_bool(const cJSON *object, const char *key, bool otherwise)
{
	const cJSON *item = json_get(object, key);

	return cJSON_IsBool(item) ? cJSON_IsTrue(item) : otherwise;
}

cJSON *json_set(cJSON *object, const char *key, cJSON *item)
{
	if (!item)
		item = cJSON_CreateNull();
	if (!item)
		abort(); /* no memory: see memory.h */
	if (json_get(object, key))
		cJSON_ReplaceItemInObjectCaseSensitive(object, key, item);
	else if (!cJSON_AddItemToObject(object, key, item))
		abort();
	return item;
}

/* What is not UTF-8 would make the whole document unreadable. */
static char *repair(const char *s, size_t len)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	while (len > 0) {
		size_t n = utf8_sequence(s, len);

		buf_append(&out, n ? s : "\xef\xbf\xbd", n ? n : 3);
		n = MAX(n, (size_t)1);
		s += n;
		len -= n;
	}
	return buf_steal(&out);
}

cJSON *json_set_string(cJSON *object, const char *key, const char *value)
{
	_cleanup_free_ char *repaired = NULL;

	if (!value)
		return json_set_null(object, key);
	if (!utf8_is_valid(value, strlen(value)))
		value = repaired = repair(value, strlen(value));
	return json_set(object, key, cJSON_CreateString(value));
}

cJSON *json_set_int(cJSON *object, const char *key, int64_t value)
{
	char digits[24];

	/* cJSON would print a long one as 1e+15. */
	if (value > -1000000000000 && value < 1000000000000)
		return json_set(object, key, cJSON_CreateNumber((double)value));
	snprintf(digits, sizeof(digits), "%lld", (long long)value);
	return json_set(object, key, cJSON_CreateRaw(digits));
}

cJSON *json_set_bool(cJSON *object, const char *key, bool value)
{
	return json_set(object, key, cJSON_CreateBool(value));
}

cJSON *json_set_null(cJSON *object, const char *key)
{
	return json_set(object, key, cJSON_CreateNull());
}

cJSON *json_set_time(cJSON *object, const char *key, int64_t usec)
{
	char text[INSTANT_MAX];

	return json_set_string(object, key, usec ? instant_format(usec, text) : NULL);
}

int64_t json_time(const cJSON *object, const char *key)
{
	usec_t t = 0;

	return instant_parse(json_string(object, key), &t) ? t : 0;
}

char *json_print(const cJSON *value)
{
	char *text = cJSON_PrintUnformatted(value);

	if (!text)
		abort(); /* no memory: see memory.h */
	return text;
}
