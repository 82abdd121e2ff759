/* next --cron: the slots of any expression in any zone of the system, without a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/instant.h"
#include "base/memory.h"
#include "client/client.h"
#include "time/cron.h"

#define ZONES	    "/usr/share/zoneinfo/"
#define ZONE_MAX    ((size_t)1 << 20)
#define SLOTS_MAX   100000
#define SLOTS_SHOWN 5

struct question {
	struct cron *cron;
	struct zone *zone;
	int64_t after;
	uint64_t n;
};

static void question_fini(struct question *q)
{
	cron_free(q->cron);
	zone_free(q->zone);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Never a way out of the folder: no dots, no slash in front. */
static bool zone_name_is_valid(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_+-/";

	return *name && *name != '/' && strlen(name) <= 64 && name[strspn(name, letters)] == '\0';
}

/* Returns 0 or a negative errno. */
static int read_all(int fd, struct buf *ret)
{
	char part[8192];

	for (;;) {
		ssize_t n = read(fd, part, sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (ret->len + (size_t)n > ZONE_MAX)
			return -EFBIG;
		buf_append(ret, part, (size_t)n);
	}
}

static int zone_read(const char *name, struct zone **ret)
{
	_cleanup_free_ char *path = xasprintf(ZONES "%s", name);
	_cleanup_(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_buf_ struct buf data = BUF_NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	r = read_all(fd, &data);
	return r < 0 ? r : zone_parse(data.data, data.len, ret);
}

static bool zone_find(const char *name, struct zone **ret)
{
	int r = -ENOENT;

	if (!name || str_eq(name, "UTC")) {
		*ret = zone_utc();
		return true;
	}
	if (zone_name_is_valid(name))
		r = zone_read(name, ret);
	if (r == 0)
		return true;
	if (r == -ENOENT || r == -ENOTDIR || r == -EBADMSG)
		client_say("--timezone: \"%s\" is no time zone of this system", name);
	else
		client_say("--timezone: \"%s\" cannot be read: %s", name, strerror(-r));
	return false;
}

/* Also within a second: what is behind 10:00:00.5 is behind 10:00:00 too, for slots are whole. */
static bool after_find(const char *text, int64_t *ret)
{
	usec_t t;

	if (!text) {
		*ret = time(NULL);
		return true;
	}
	if (!instant_parse(text, &t)) {
		client_say("--after: \"%s\" is no instant such as 2026-03-29T01:30:00Z", text);
		return false;
	}
	*ret = t / USEC_SEC - (t % USEC_SEC < 0);
	return true;
}

static bool number_find(const char *text, uint64_t *ret)
{
	uint64_t n = SLOTS_SHOWN;

	if (text && (!parse_u64(text, &n) || n < 1 || n > SLOTS_MAX)) {
		client_say("-n: \"%s\" is no number from 1 to %d", text, SLOTS_MAX);
		return false;
	}
	*ret = n;
	return true;
}

static bool cron_find(const char *expr, struct cron **ret)
{
	_cleanup_free_ char *error = NULL;

	if (cron_parse(expr, ret, &error) == 0)
		return true;
	client_say("--cron: %s", error);
	return false;
}

static void print_slot(const struct question *q, int64_t slot, bool json)
{
	char utc[INSTANT_MAX], local[INSTANT_MAX];

	instant_format_slot(slot * USEC_SEC, utc);
	instant_format_local(slot * USEC_SEC, zone_offset(q->zone, slot), local);
	printf(json ? "{\"utc\":\"%s\",\"local\":\"%s\"}\n" : "%s  %s\n", utc, local);
}

int next_cron(const char *expr, const char *zone, const char *after, const char *n, bool json)
{
	_cleanup_(question_fini) struct question q = {0};
	int64_t slot;
	uint64_t i;

	if (!cron_find(expr, &q.cron) || !zone_find(zone, &q.zone) ||
		!after_find(after, &q.after) || !number_find(n, &q.n))
		return STATUS_USAGE;
	slot = q.after;
	for (i = 0; i < q.n && cron_next(q.cron, q.zone, slot, &slot) == 0; i++)
		print_slot(&q, slot, json);
	if (i == 0) {
		client_say("never: %s",
			cron_is_reboot(q.cron) ? "@reboot names no time" : "no date is like that");
		return STATUS_FAILED;
	}
	return STATUS_WELL;
}
