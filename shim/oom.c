/* No controller is enabled for the child's own cgroup, so the first folder upwards that has a
 * memory.events is the unit's. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "shim/oom.h"

static const char *const places[] = {
	"memory.events",
	"../memory.events",
	"../../memory.events",
};

uint64_t oom_kills(int cgroup)
{
	char text[512], *at;
	ssize_t n;
	int fd = -1;

	for (size_t i = 0; i < ARRAY_SIZE(places) && fd < 0 && cgroup >= 0; i++)
		fd = openat(cgroup, places[i], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\noom_kill ");
	return at ? strtoull(at + strlen("\noom_kill "), NULL, 10) : 0;
}
