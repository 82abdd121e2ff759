/* The order's bytes are copied once into private memory and used in place: a string gets its NUL
 * over the first byte of the next field's tag, once that tag has been read. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "shim/order.h"
#include "shim/protocol.h"
#include "shim/refuse.h"

#define LOG_CAP_DEFAULT (UINT64_C(64) << 20)
#define LOG_CAP_MIN	4096
#define SEALS		(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

/* Into memory of our own: the descriptor is shared, so its offset is left alone. */
static int load(int fd, struct order *order, char **ret_message)
{
	struct stat st;
	size_t done = 0;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return refuse(ret_message, EBADF, "the order is not sealed");
	if (fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > SHIM_ORDER_MAX)
		return refuse(ret_message, E2BIG, "the order is too large");
	order->size = (size_t)st.st_size;
	order->data = xcalloc(1, order->size + 1);
	while (done < order->size) {
		ssize_t n = pread(fd, order->data + done, order->size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return refuse(ret_message, EIO, "the order cannot be read");
		done += (size_t)n;
	}
	return 0;
}

struct field {
	uint32_t tag, len;
	char *data;
};

/* Moves *at behind the next field. False when the bytes do not hold it. */
static bool next_field(struct order *order, size_t *at, struct field *ret)
{
	struct field f;

	if (order->size - *at < sizeof(f.tag))
		return false;
	memcpy(&f.tag, order->data + *at, sizeof(f.tag));
	order->data[*at] = '\0';
	*at += sizeof(f.tag);
	f.len = 0;
	if (f.tag != SHIM_END) {
		if (order->size - *at < sizeof(f.len))
			return false;
		memcpy(&f.len, order->data + *at, sizeof(f.len));
		*at += sizeof(f.len);
		if (order->size - *at < f.len)
			return false;
	}
	f.data = order->data + *at;
	*at += f.len;
	*ret = f;
	return true;
}

static bool is_string(const struct field *f)
{
	return !memchr(f->data, '\0', f->len);
}

static bool add_string(const struct field *f, char ***list, size_t *n, size_t *cap)
{
	if (!is_string(f))
		return false;
	XGROW(*list, *n + 1, *cap);
	(*list)[(*n)++] = f->data;
	(*list)[*n] = NULL;
	return true;
}

static bool set_path(const struct field *f, char **path)
{
	if (!is_string(f) || f->len == 0 || f->data[0] != '/')
		return false;
	*path = f->data;
	return true;
}

static bool set_number(const struct field *f, void *number, size_t size)
{
	if (f->len != size)
		return false;
	memcpy(number, f->data, size);
	return true;
}

static bool set_span(const struct field *f, int64_t *span)
{
	return set_number(f, span, sizeof(*span)) && *span >= 0;
}

static bool add_file(struct order *order, const struct field *f)
{
	struct order_file file = {.name = f->data};
	const char *end = f->data + f->len, *nul = memchr(f->data, '\0', f->len);

	if (!nul || nul == f->data || strchr(f->data, '/') || f->data[0] == '.')
		return false;
	file.env = nul + 1;
	nul = memchr(file.env, '\0', (size_t)(end - file.env));
	if (!nul || strchr(file.env, '='))
		return false;
	file.content = (struct order_bytes){.data = nul + 1, .len = (size_t)(end - nul - 1)};
	XGROW(order->files, order->n_files, order->cap_files);
	order->files[order->n_files++] = file;
	return true;
}

static bool add_mask(struct order *order, const struct field *f)
{
	XGROW(order->masks, order->n_masks, order->cap_masks);
	order->masks[order->n_masks++] = (struct order_bytes){.data = f->data, .len = f->len};
	return true;
}

static bool take_field(struct order *order, const struct field *f)
{
	uint8_t group;

	switch (f->tag) {
	case SHIM_ARGV:
		return add_string(f, &order->argv, &order->n_argv, &order->cap_argv);
	case SHIM_ENV:
		return add_string(f, &order->env, &order->n_env, &order->cap_env) &&
		       memchr(f->data, '=', f->len) && f->data[0] != '=';
	case SHIM_MAKE_DIRECTORY:
		return f->len > 0 && f->data[0] == '/' &&
		       add_string(f, &order->directories, &order->n_directories,
			       &order->cap_directories);
	case SHIM_CWD:
		return set_path(f, &order->cwd);
	case SHIM_PRIVATE:
		return set_path(f, &order->private);
	case SHIM_SCRUB:
		return set_path(f, &order->scrub);
	case SHIM_UNTOUCHED:
		return add_string(f, &order->untouched, &order->n_untouched, &order->cap_untouched);
	case SHIM_FILE:
		return add_file(order, f);
	case SHIM_MASK:
		return add_mask(order, f);
	case SHIM_LOG_CAP:
		return set_number(f, &order->log_cap, sizeof(order->log_cap));
	case SHIM_TIMEOUT:
		return set_span(f, &order->timeout);
	case SHIM_KILL_AFTER:
		return set_span(f, &order->kill_after);
	case SHIM_START_BEFORE:
		return set_span(f, &order->start_before);
	case SHIM_STOP_SIGNAL:
		return set_number(f, &order->stop_signal, sizeof(order->stop_signal)) &&
		       order->stop_signal > 0 && order->stop_signal <= SIGRTMAX;
	case SHIM_STOP_GROUP:
		if (!set_number(f, &group, sizeof(group)))
			return false;
		order->stop_group = group;
		return true;
	default:
		return true; /* from a newer daemon */
	}
}

static int parse(struct order *order, char **ret_message)
{
	size_t at = strlen(SHIM_MAGIC);
	struct field f;

	if (order->size < at || memcmp(order->data, SHIM_MAGIC, at) != 0)
		return refuse(ret_message, EBADMSG, "the order is of another version");
	for (;;) {
		if (!next_field(order, &at, &f))
			return refuse(ret_message, EBADMSG, "the order is cut off");
		if (f.tag == SHIM_END)
			return 0;
		/* Its NUL comes with the next tag, so what is checked now is bounded by len. */
		if (!take_field(order, &f))
			return refuse(ret_message, EBADMSG, "the order's field %u is wrong", f.tag);
	}
}

int order_read(int fd, struct order *order, char **ret_message)
{
	int r;

	*order = (struct order){
		.log_cap = LOG_CAP_DEFAULT,
		.kill_after = 10000000,
		.stop_signal = SIGTERM,
	};
	r = load(fd, order, ret_message);
	if (r < 0)
		return r;
	r = parse(order, ret_message);
	if (r < 0)
		return r;
	if (order->n_argv == 0)
		return refuse(ret_message, EINVAL, "the order names no program");
	if (order->n_files > 0 && !order->private)
		return refuse(ret_message, EINVAL, "the order has files and no folder for them");
	if (order->log_cap < LOG_CAP_MIN)
		order->log_cap = LOG_CAP_MIN;
	return 0;
}

void order_fini(struct order *order)
{
	free(order->data);
	free(order->argv);
	free(order->env);
	free(order->directories);
	free(order->untouched);
	free(order->files);
	free(order->masks);
	*order = ORDER_NULL;
}

static char **find_env(const struct order *order, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < order->n_env; i++)
		if (strncmp(order->env[i], name, len) == 0 && order->env[i][len] == '=')
			return &order->env[i];
	return NULL;
}

const char *order_get_env(const struct order *order, const char *name)
{
	char **at = find_env(order, name);

	return at ? *at + strlen(name) + 1 : NULL;
}

void order_set_env(struct order *order, const char *name, const char *value, bool replace)
{
	char **at = find_env(order, name);

	if (at && !replace)
		return;
	if (!at) {
		XGROW(order->env, order->n_env + 1, order->cap_env);
		at = &order->env[order->n_env++];
		order->env[order->n_env] = NULL;
	}
	*at = xasprintf("%s=%s", name, value); /* lives as long as the process */
}
