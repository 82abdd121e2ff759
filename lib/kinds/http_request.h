/* What a http step and a check ask alike: their keys as one request. */
#pragma once
#include "kinds/kind.h"

/* 0, or -EINVAL with a sentence: it is no word like GET or POST. */
int http_method_check(const char *method, char **ret_error);
/* Asking twice is harmless: GET and HEAD. */
bool http_method_is_safe(const char *method);
/* Fills in url, method, headers, body and the bounds of the answer; the timeout is the caller's.
 * `params` is expanded: it may hold secrets. 0, or -EINVAL with a sentence. */
int http_request_fill(
	const struct node *params, const char *method, struct kind_request *ret, char **ret_error);
/* The key `codes`; the caller frees. *ret_n 0: 200 to 299. */
int64_t *http_codes(const struct node *params, size_t *ret_n);
