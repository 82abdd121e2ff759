/* What the files of daemon/http share. */
#pragma once
#include <curl/curl.h>
#include "base/list.h"
#include "daemon/http/http.h"

#define CONNECT_MS	 10000L
#define SLOW_BYTES	 10L
#define HEADER_BYTES_MAX ((size_t)256 * 1024)

struct http {
	uv_loop_t *loop;
	struct open_count open;
	void (*answered)(void *arg), *answered_arg;
	CURLM *multi;	       /* NULL before the first call */
	uv_timer_t timer;      /* libcurl's one timer */
	struct list transfers; /* with libcurl */
	struct list refused;   /* never begun, their `done` is still to come */
	struct deferred refuse;
	bool closing;
	void (*closed)(void *arg), *closed_arg;
};

/* One call under way. */
struct transfer {
	struct list link; /* http.transfers or http.refused */
	struct http *http;
	struct http_call *call;
	CURL *easy;
	struct curl_slist *headers;
	struct buf body;
	size_t cap, header_bytes;
	usec_t timeout, slow;
	uint64_t began; /* uv_hrtime() */
	char *place;	/* "host:port" */
	int socket_errno;
	bool body_too_large, header_too_large;
	char error[CURL_ERROR_SIZE];
	char *refusal; /* why it was not even begun: a sentence, not yet masked */
};

/* transfer.c: never NULL; with `refusal` set there is nothing to hand to libcurl. */
struct transfer *transfer_new(struct http *h, struct http_call *call);
void transfer_free(struct transfer *t);

/* explain.c: why there is no answer, masked and in one line; the caller frees. */
char *transfer_explain(struct transfer *t, CURLcode code, enum http_trouble *ret_trouble);
