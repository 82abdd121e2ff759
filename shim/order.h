/* The order: what the daemon wants run, from the sealed memfd. shim/protocol.h has the format. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_bytes {
	const void *data;
	size_t len;
};

struct order_file {
	const char *name;
	const char *env; /* "": in no variable */
	struct order_bytes content;
};

/* All strings lie in `data`. */
struct order {
	char *data;
	size_t size;
	char **argv, **env, **directories,
		**untouched; /* each NULL-terminated, never NULL once read */
	size_t n_argv, n_env, n_directories, n_untouched;
	size_t cap_argv, cap_env, cap_directories, cap_untouched;
	struct order_file *files;
	size_t n_files, cap_files;
	struct order_bytes *masks;
	size_t n_masks, cap_masks;
	char *cwd, *private, *scrub; /* NULL: not said */
	uint64_t log_cap;
	int64_t timeout, kill_after, start_before; /* µs */
	int stop_signal;
	bool stop_group;
};

#define ORDER_NULL ((struct order){0})

/* Reads and checks the whole order. 0, or negative errno with a sentence in *ret_message, which the
 * caller frees; the order is then not to be used (order_fini is still fine). */
int order_read(int fd, struct order *order, char **ret_message);
void order_fini(struct order *order);

/* Sets NAME to VALUE in the child's environment; keeps a value that is there unless `replace`. */
void order_set_env(struct order *order, const char *name, const char *value, bool replace);
/* The value in the child's environment, or NULL. */
const char *order_get_env(const struct order *order, const char *name);
