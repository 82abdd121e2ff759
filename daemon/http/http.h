/* The http port on libcurl's multi interface, driven by the loop.
 *
 * Every call is bounded: 10 s to connect, its own timeout and slowness, a cap on the answer and 256
 * KiB of header lines. Nothing is followed to another place, TLS is verified (by the certificates
 * of the system, or by SSL_CERT_FILE), a connection serves one call, and what is not http or https
 * is refused. A proxy is used where the daemon's own environment says http_proxy or https_proxy,
 * with no_proxy (without it: this machine). */
#pragma once
#include "core/ports.h"
#include "daemon/loop/loop.h"

struct http;

/* libcurl is not touched before the first call: it weighs megabytes. `answered(arg)` comes after
 * each `done`. */
struct http *http_new(uv_loop_t *loop, void (*answered)(void *arg), void *arg);
void http_port(struct http *h, struct http_port *ret);
/* Calls under way end without `done`. Frees itself, then calls `closed`, never from within. NULL is
 * fine: nothing is called. */
void http_close(struct http *h, void (*closed)(void *arg), void *arg);
