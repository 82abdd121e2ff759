/* cJSON, made strict and short to use. See the traps: trailing garbage, NUL in strings,
 * case-insensitive look-ups, bad UTF-8. */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

DEFINE_CLEANUP(cJSON *, cJSON_Delete)
#define _cleanup_json_ _cleanup_(cleanup_cJSON_Delete)

/* Parses exactly these bytes: valid UTF-8, no \u0000, no duplicate keys, nothing behind it, nesting
 * at most
 * 64. Returns 0, or -EBADMSG with *ret untouched. */
int json_parse(const char *data, size_t len, cJSON **ret);

/* Case-sensitive look-ups; NULL / the default when missing or of another type. */
cJSON *json_get(const cJSON *object, const char *key);
const char *json_string(const cJSON *object, const char *key);
int64_t json_int(const cJSON *object, const char *key, int64_t otherwise);
bool json_bool(const cJSON *object, const char *key, bool otherwise);

/* Setters replace; a NULL string is a JSON null. They return what they added. */
cJSON *json_set_string(cJSON *object, const char *key, const char *value);
cJSON *json_set_int(cJSON *object, const char *key, int64_t value);
cJSON *json_set_bool(cJSON *object, const char *key, bool value);
cJSON *json_set_null(cJSON *object, const char *key);
/* Takes `item` (NULL: a JSON null). */
cJSON *json_set(cJSON *object, const char *key, cJSON *item);
/* RFC 3339 in UTC with microseconds; 0 gives null. */
cJSON *json_set_time(cJSON *object, const char *key, int64_t usec);
/* The instant under key, 0 when missing, null or no instant. */
int64_t json_time(const cJSON *object, const char *key);

/* Compact text, the caller frees. */
char *json_print(const cJSON *value);
