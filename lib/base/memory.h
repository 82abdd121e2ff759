/* Allocation for the daemon. Small requests cannot fail from the caller's point of view: when
 * malloc says no, a reserve set aside at the start is released and the request tried once more;
 * when even that fails the process aborts, which is safe at any instant because every state that
 * matters is in the store or in an action's folder. What others control in size (socket requests,
 * artifacts, output) is bounded by an explicit cap before it gets here. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/cleanup.h"

/* Sets `size` bytes aside (called once at the start; again after a release, when all is calm). */
void memory_reserve(size_t size);
/* True once the reserve has been spent: the daemon then refuses new work. */
bool memory_is_low(void);

void *xmalloc(size_t size) __attribute__((malloc));
void *xcalloc(size_t n, size_t size) __attribute__((malloc));
void *xrealloc(void *p, size_t size);
void *xmemdup(const void *p, size_t size);
/* NULL gives NULL. */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) _printf_(1, 2);
char *xvasprintf(const char *format, va_list ap) __attribute__((returns_nonnull, nonnull(1)));

/* Frees a string that may be a secret, wiped first. NULL is fine. */
void wipe_free(char *s);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
/* Grows a dynamic array so that it holds at least n + 1 items of `size` bytes. */
void *xgrow(void *items, size_t n, size_t *cap, size_t size);
#define XGROW(items, n, cap) ((items) = xgrow((items), (n), &(cap), sizeof(*(items))))

/* A NULL-terminated array of strings. */
char **strv_add(char **v, size_t *n, char *take);
void strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)
#define _cleanup_strv_ _cleanup_(cleanup_strv_free)
size_t strv_length(char *const *v);
