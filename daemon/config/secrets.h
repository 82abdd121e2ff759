/* The secrets port on files: one a secret, read anew for each fetch, so that a rotation needs no
 * restart. */
#pragma once
#include "core/ports.h"
#include "daemon/loop/loop.h"

struct secrets;

/* Jobs are counted in `count`; free it when that is closed. */
struct secrets *secrets_new(uv_loop_t *loop, struct open_count *count);
void secrets_free(struct secrets *s);
/* From the next fetch on; NULL: there are none. */
void secrets_set_directory(struct secrets *s, const char *directory);
void secrets_port(struct secrets *s, struct secrets_port *ret);
