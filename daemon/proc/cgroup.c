/* A cgroup for each action's child: see cgroup.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/proc/cgroup.h"

/* The path behind "0::" in /proc/self/cgroup, or NULL. */
static char *own_path(void)
{
	char text[8192], *line;
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return NULL;
	line += *line == '\n' ? 4 : 3;
	return xstrndup(line, strcspn(line, "\n"));
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* systemd marks what it hands over: for users by user.delegate, else by trusted.delegate. */
static bool is_delegated(const char *path)
{
	char value[8];

	return (getxattr(path, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1') ||
	       (getxattr(path, "trusted.delegate", value, sizeof(value)) == 1 && value[0] == '1');
}

static void remove_left_overs(const char *root)
{
	DIR *dir = opendir(root);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (strncmp(entry->d_name, "nightjar-", strlen("nightjar-")) == 0)
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR); /* EBUSY: it lives */
	closedir(dir);
}

char *cgroup_root(void)
{
	_cleanup_free_ char *own = own_path(), *path = NULL;

	if (!own)
		return NULL;
	path = xasprintf("%s%s",
		is_cgroup2("/sys/fs/cgroup") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified", own);
	if (!is_cgroup2(path) || !is_delegated(path) || access(path, W_OK | X_OK) < 0)
		return NULL;
	remove_left_overs(path);
	return TAKE_PTR(path);
}

int cgroup_make(const char *path, int *ret_fd)
{
	int fd;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static void kill_all(const char *path)
{
	_cleanup_free_ char *file = xasprintf("%s/cgroup.kill", path);
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) == 1)
		for (int i = 0; i < 20 && rmdir(path) < 0 && errno == EBUSY; i++)
			usleep(5000); /* on the pool: the kernel is at it */
	close(fd);
}

void cgroup_remove(const char *path, bool kill)
{
	if (rmdir(path) < 0 && errno == EBUSY && kill)
		kill_all(path);
}
