#include <stdio.h>
#include <string.h>
#include "base/memory.h"

static void *reserve;
static bool low;

void memory_reserve(size_t size)
{
	free(reserve);
	reserve = malloc(size);
	if (reserve)
		memset(reserve, 0, size); /* touched, or it would be a promise only */
	low = !reserve;
}

bool memory_is_low(void)
{
	return low;
}

static bool release_reserve(void)
{
	low = true;
	if (!reserve)
		return false;
	free(reserve);
	reserve = NULL;
	return true;
}

void *xrealloc(void *p, size_t size)
{
	void *q;

	if (size == 0)
		size = 1;
	q = realloc(p, size);
	if (!q && release_reserve())
		q = realloc(p, size);
	if (!q)
		abort();
	return q;
}

void *xmalloc(size_t size)
{
	return xrealloc(NULL, size);
}

void *xcalloc(size_t n, size_t size)
{
	void *p;
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		abort();
	p = xmalloc(bytes);
	memset(p, 0, bytes ? bytes : 1);
	return p;
}

void *xmemdup(const void *p, size_t size)
{
	void *q = xmalloc(size);

	if (size)
		memcpy(q, p, size);
	return q;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *q = xmalloc(len + 1);

	memcpy(q, s, len);
	q[len] = '\0';
	return q;
}

char *xstrdup(const char *s)
{
	return s ? xmemdup(s, strlen(s) + 1) : NULL;
}

char *xvasprintf(const char *format, va_list ap)
{
	va_list again;
	char *s, nothing[1];
	int n;

	va_copy(again, ap);
	n = vsnprintf(nothing, 1, format, again);
	va_end(again);
	if (n < 0)
		abort();
	s = xmalloc((size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, format, ap);
	return s;
}

char *xasprintf(const char *format, ...)
{
	va_list ap;
	char *s;

	va_start(ap, format);
	s = xvasprintf(format, ap);
	va_end(ap);
	return s;
}

void wipe_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void *xgrow(void *items, size_t n, size_t *cap, size_t size)
{
	size_t want, bytes;

	if (n < *cap)
		return items;
	want = *cap ? *cap * 2 : 8;
	if (want <= n)
		want = n + 1;
	if (__builtin_mul_overflow(want, size, &bytes))
		abort();
	*cap = want;
	return xrealloc(items, bytes);
}

char **strv_add(char **v, size_t *n, char *take)
{
	v = xrealloc(v, (*n + 2) * sizeof(*v));
	v[(*n)++] = take;
	v[*n] = NULL;
	return v;
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

size_t strv_length(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}
