#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/config/file.h"

/* Reads to the end, or to more than `max`. What was read into a block that grew is wiped: the
 * file may be a secret. */
static int read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
	size_t cap = 4096, len = 0;
	char *data = xmalloc(cap + 1);

	for (;;) {
		ssize_t n = read(fd, data + len, cap - len);
		char *larger;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || len + (size_t)n > max) {
			int r = n < 0 ? -errno : -EFBIG;

			explicit_bzero(data, cap);
			free(data);
			return r;
		}
		len += (size_t)n;
		if (n == 0)
			break;
		if (len < cap)
			continue;
		larger = xmalloc(cap * 2 + 1);
		memcpy(larger, data, len);
		explicit_bzero(data, cap);
		free(data);
		data = larger;
		cap *= 2;
	}
	data[len] = '\0';
	*ret = data;
	*ret_len = len;
	return 0;
}

int file_read(int dir, const char *path, size_t max, char **ret, size_t *ret_len)
{
	struct stat st;
	int fd, r;

	/* O_NONBLOCK: a fifo must not hold anybody up. */
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = read_all(fd, max, ret, ret_len);
	close(fd);
	return r;
}
