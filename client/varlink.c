/* Framing: a message is JSON and a NUL. Replies are bounded too: a socket file may be anybody's. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/memory.h"
#include "client/varlink.h"

#define REPLY_MAX (256u << 20)

struct varlink {
	int fd;
	struct buf in;
	size_t scanned;
};

void varlink_reply_fini(struct varlink_reply *reply)
{
	cJSON_Delete(reply->message);
	*reply = VARLINK_REPLY_NULL;
}

int varlink_open(const char *path, struct varlink **ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	struct varlink *v = xnew(struct varlink);
	v->fd = fd;
	*ret = v;
	return 0;
}

void varlink_free(struct varlink *v)
{
	if (!v)
		return;
	close(v->fd);
	buf_fini(&v->in);
	free(v);
}

int varlink_send(struct varlink *v, const char *method, cJSON *take_parameters, bool more)
{
	_cleanup_json_ cJSON *call = cJSON_CreateObject();
	json_set_string(call, "method", method);
	json_set(call, "parameters", take_parameters ? take_parameters : cJSON_CreateObject());
	if (more)
		json_set_bool(call, "more", true);
	_cleanup_free_ char *text = json_print(call);
	size_t len = strlen(text) + 1, sent = 0;
	while (sent < len) {
		ssize_t n = send(v->fd, text + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE ? -ECONNRESET : -errno;
		sent += (size_t)n;
	}
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_readable(struct varlink *v, int timeout_ms)
{
	struct pollfd p = {.fd = v->fd, .events = POLLIN};
	int64_t end = now_ms() + timeout_ms;
	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : MAX(end - now_ms(), 0);
		int n = poll(&p, 1, (int)left);
		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int read_more(struct varlink *v, int timeout_ms)
{
	char chunk[65536];
	int r = wait_readable(v, timeout_ms);
	if (r < 0)
		return r;
	ssize_t n = read(v->fd, chunk, sizeof(chunk));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	if (v->in.len + (size_t)n > REPLY_MAX)
		return -EBADMSG;
	buf_append(&v->in, chunk, (size_t)n);
	return 0;
}

static int parse_reply(const char *text, size_t len, struct varlink_reply *ret)
{
	static const cJSON nothing = {.type = cJSON_Object};
	_cleanup_json_ cJSON *message = NULL;
	int r = json_parse(text, len, &message);
	if (r < 0)
		return r;
	const cJSON *parameters = json_get(message, "parameters");
	if (!cJSON_IsObject(message))
		return -EBADMSG;
	*ret = (struct varlink_reply){
		.error = json_string(message, "error"),
		.parameters = cJSON_IsObject(parameters) ? parameters : &nothing,
		.continues = json_bool(message, "continues", false),
	};
	ret->message = TAKE_PTR(message);
	return 0;
}

int varlink_receive(struct varlink *v, int timeout_ms, struct varlink_reply *ret)
{
	for (;;) {
		const char *nul = v->in.len > v->scanned ? memchr(v->in.data + v->scanned, '\0',
								   v->in.len - v->scanned)
							 : NULL;
		if (nul) {
			size_t len = (size_t)(nul - v->in.data);
			int r = parse_reply(v->in.data, len, ret);
			buf_consume(&v->in, len + 1);
			v->scanned = 0;
			return r;
		}
		v->scanned = v->in.len;
		int r = read_more(v, timeout_ms);
		if (r < 0)
			return r;
	}
}
