/* Scoped release and small helpers. A variable marked _cleanup_(f) is handed to f when it
 * leaves its scope; TAKE_PTR() moves a pointer out of such a variable. */
#pragma once
#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#undef MIN /* sys/param.h has these too */
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* From a pointer to a member to the struct it is embedded in. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) _taken = (p);                                                        \
		(p) = NULL;                                                                        \
		_taken;                                                                            \
	})

/* Defines cleanup_NAME(T *) for use with _cleanup_: calls free_fn when the pointer is set. */
#define DEFINE_CLEANUP(type, free_fn)                                                              \
	static inline void cleanup_##free_fn(type *p)                                              \
	{                                                                                          \
		if (*p)                                                                            \
			free_fn(*p);                                                               \
	}

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(cleanup_freep)
