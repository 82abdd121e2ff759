/* The query port: a question to a warehouse that only reads, each on a connection of its own.
 *
 * Every query is bounded: its timeout counts from the first try to connect, the server gets the
 * same bound, and an answer above the cap is refused. Names are resolved in the pool. At most eight
 * are under way at once; the others wait their turn. */
#pragma once
#include <uv.h>
#include "core/ports.h"

struct queries;

/* `answered(arg)` comes after each `done`. */
struct queries *queries_new(uv_loop_t *loop, void (*answered)(void *arg), void *arg);
void queries_port(struct queries *q, struct query_port *ret);
/* Queries under way end without `done`. Frees itself, then calls `closed`, never from within. NULL
 * is fine: nothing is called. */
void queries_close(struct queries *q, void (*closed)(void *arg), void *arg);
