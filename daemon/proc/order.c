/* The order to a shim: see order.h. It is written twice, once to learn its size: so that secrets
 * lie in no block that realloc left behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/proc/order.h"
#include "daemon/proc/spawn.h"
#include "shim/protocol.h"

struct writer {
	char *data; /* NULL: only counts */
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->data && len > 0)
		memcpy(w->data + w->len, data, len);
	w->len += len;
}

static void put_head(struct writer *w, uint32_t tag, size_t len)
{
	uint32_t head[2] = {tag, (uint32_t)MIN(len, SHIM_ORDER_MAX)};

	put(w, head, sizeof(head));
}

static void put_bytes(struct writer *w, uint32_t tag, const void *data, size_t len)
{
	put_head(w, tag, len);
	put(w, data, len);
}

static void put_string(struct writer *w, uint32_t tag, const char *s)
{
	put_bytes(w, tag, s, strlen(s));
}

static void put_strings(struct writer *w, uint32_t tag, char *const *v)
{
	for (; v && *v; v++)
		put_string(w, tag, *v);
}

static void put_i64(struct writer *w, uint32_t tag, int64_t value)
{
	put_bytes(w, tag, &value, sizeof(value));
}

static void put_file(struct writer *w, const struct launch_file *f)
{
	const char *env = f->env ? f->env : "";
	size_t name_len = strlen(f->name) + 1, env_len = strlen(env) + 1;

	put_head(w, SHIM_FILE, name_len + env_len + f->len);
	put(w, f->name, name_len);
	put(w, env, env_len);
	put(w, f->content, f->len);
}

/* A relative path is the attempt's. */
static void put_path(struct writer *w, uint32_t tag, const char *attempt, const char *path)
{
	size_t len = strlen(path), base = path[0] == '/' ? 0 : strlen(attempt);

	put_head(w, tag, base > 0 ? base + 1 + len : len);
	if (base > 0) {
		put(w, attempt, base);
		put(w, "/", 1);
	}
	put(w, path, len);
}

static void put_masks(struct writer *w, const struct mask_set *set)
{
	for (size_t i = 0, n = set ? mask_set_count(set) : 0; i < n; i++) {
		size_t len;
		const void *pattern = mask_set_pattern(set, i, &len);

		put_bytes(w, SHIM_MASK, pattern, len);
	}
}

static void put_limits(struct writer *w, const struct launch *l)
{
	int32_t signal = l->stop_signal;
	uint8_t group = l->stop_group;

	put_bytes(w, SHIM_LOG_CAP, &l->log_cap, sizeof(l->log_cap));
	put_i64(w, SHIM_TIMEOUT, l->timeout == USEC_INFINITY ? 0 : l->timeout);
	put_i64(w, SHIM_KILL_AFTER, l->kill_after);
	if (signal > 0)
		put_bytes(w, SHIM_STOP_SIGNAL, &signal, sizeof(signal));
	put_bytes(w, SHIM_STOP_GROUP, &group, sizeof(group));
	put_i64(w, SHIM_START_BEFORE, l->start_before == USEC_INFINITY ? 0 : l->start_before);
}

static void put_order(
	struct writer *w, const struct launch *l, const char *attempt, const char *private_folder)
{
	put(w, SHIM_MAGIC, strlen(SHIM_MAGIC));
	put_strings(w, SHIM_ARGV, l->argv);
	put_strings(w, SHIM_ENV, l->env);
	put_path(w, SHIM_CWD, attempt, l->cwd ? l->cwd : attempt);
	for (size_t i = 0; i < l->n_files; i++)
		put_file(w, &l->files[i]);
	put_masks(w, l->mask);
	put_limits(w, l);
	put_string(w, SHIM_PRIVATE, private_folder);
	put_string(w, SHIM_SCRUB, attempt);
	put_strings(w, SHIM_UNTOUCHED, l->untouched);
	for (char *const *d = l->directories; d && *d; d++)
		put_path(w, SHIM_MAKE_DIRECTORY, attempt, *d);
	put_head(w, SHIM_END, 0);
}

static int seal(int fd, const char *data, size_t len)
{
	/* pwrite leaves the offset where the shim reads from */
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, data + done, len - done, done);

		if (n < 0)
			return -errno;
		done += n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return 0;
}

int order_make(const struct launch *l, const char *attempt, const char *private_folder, int *ret_fd)
{
	struct writer w = {0};
	int fd, r;

	put_order(&w, l, attempt, private_folder);
	if (w.len > SHIM_ORDER_MAX)
		return -E2BIG;
	fd = fd_move_high(memfd_create("nightjar-order", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (fd < 0)
		return fd;
	w = (struct writer){.data = xmalloc(w.len)};
	put_order(&w, l, attempt, private_folder);
	r = seal(fd, w.data, w.len);
	explicit_bzero(w.data, w.len);
	free(w.data);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
