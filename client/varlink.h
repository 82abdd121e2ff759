/* A varlink client: one connection, blocking, one call at a time. */
#pragma once
#include "base/json.h"

struct varlink;

struct varlink_reply {
	cJSON *message;		 /* owned */
	const char *error;	 /* NULL: it went well */
	const cJSON *parameters; /* never NULL */
	bool continues;
};
void varlink_reply_fini(struct varlink_reply *reply);
#define VARLINK_REPLY_NULL ((struct varlink_reply){0})
#define _cleanup_reply_	   _cleanup_(varlink_reply_fini)

/* Returns 0 or a negative errno. */
int varlink_open(const char *path, struct varlink **ret);
void varlink_free(struct varlink *v);
DEFINE_CLEANUP(struct varlink *, varlink_free)

/* Takes the parameters (NULL: none). Returns 0 or a negative errno. */
int varlink_send(struct varlink *v, const char *method, cJSON *take_parameters, bool more);
/* Waits for the next reply, at most `timeout_ms` (negative: for ever). Returns 0, -ETIMEDOUT,
 * -ECONNRESET when the other side is gone, -EBADMSG for what is no varlink. */
int varlink_receive(struct varlink *v, int timeout_ms, struct varlink_reply *ret);
