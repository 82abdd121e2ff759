/* What an answer must be: the expectations of a http step, and of a check. */
#pragma once
#include "kinds/kind.h"

struct http_wants {
	const int64_t *codes; /* n_codes 0: 200 to 299 */
	size_t n_codes;
	const struct node *expect; /* fields of the JSON answer, expanded; NULL: any */
	const char *text;	   /* what the body must hold; NULL: anything */
};

bool http_status_fits(const struct http_wants *w, int status);
/* Whether all is met; if not, *ret_reason is one line for a person, what came masked and cut short,
 * that the caller frees: "503 instead of 2xx: Metabase is still initializing", "status is
 * \"initializing\", not \"ok\"". Groups in `expect` are compared member by member, so the answer
 * may hold more; lists and values as a whole. */
bool http_answer_fits(const struct http_wants *w, int status, const char *body, size_t body_len,
	const struct mask_set *mask, char **ret_reason);
