#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* it would be the same for all */
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/memory.h"
#include "daemon/journal/journal.h"

#define QUEUE_MAX    4096
#define OUTPUT_MAX   3072 /* of them: a flood of output leaves room for what is said about it */
#define FIELDS_MAX   13
#define PIECE_MAX    (32 * 1024)
#define GATHER_USEC  2000 /* what comes together is sent together: a line alone is no wake-up */
#define MESSAGE_MAX  (32 * 1024)
#define CLOSE_WAIT_S 1

/* In one piece with its text: output may come by the million lines. */
struct entry {
	struct list link;
	int priority;
	size_t n;
	struct iovec fields[FIELDS_MAX]; /* "NAME=value", the first one MESSAGE= */
	char text[];
};

struct field {
	const char *name, *value; /* a value that is NULL is left out */
};

struct journal {
	bool to_journal;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake, idle;
	struct list queue;
	atomic_size_t n_queued;
	atomic_uint_fast64_t dropped, dropped_untold;
	bool busy, closing;
};

/* --- entries ------------------------------------------------------------------------------ */

/* Returns the length of NAME= and value. */
static size_t measure(const struct field *f, size_t *ret_name)
{
	*ret_name = strlen(f->name);
	return *ret_name + MIN(strlen(f->value), (size_t)MESSAGE_MAX);
}

static struct entry *entry_make(int priority, const struct field *fields, size_t n)
{
	size_t room = 0, names[FIELDS_MAX], lengths[FIELDS_MAX];
	struct entry *e;
	char *to;

	for (size_t i = 0; i < n; i++) {
		lengths[i] = fields[i].value ? measure(&fields[i], &names[i]) : 0;
		room += lengths[i];
	}
	e = xmalloc(sizeof(*e) + room);
	e->priority = priority;
	e->n = 0;
	list_init(&e->link);
	to = e->text;
	for (size_t i = 0; i < n; i++) {
		if (!fields[i].value)
			continue;
		memcpy(to, fields[i].name, names[i]);
		memcpy(to + names[i], fields[i].value, lengths[i] - names[i]);
		e->fields[e->n++] = (struct iovec){.iov_base = to, .iov_len = lengths[i]};
		to += lengths[i];
	}
	return e;
}

static struct entry *entry_new(int priority, const char *message)
{
	char digit[2] = {(char)('0' + priority), '\0'};
	const struct field fields[] = {
		{"MESSAGE=", message},
		{"PRIORITY=", digit},
		{"SYSLOG_IDENTIFIER=", "nightjard"},
	};

	return entry_make(priority, fields, ARRAY_SIZE(fields));
}

/* --- the thread --------------------------------------------------------------------------- */

static void add_line(struct buf *piece, const struct entry *e)
{
	static const char *const names[] = {
		"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"};
	const struct iovec *message = &e->fields[0];
	size_t skip = strlen("MESSAGE=");

	buf_puts(piece, "nightjard: ");
	buf_puts(piece, names[e->priority & 7]);
	buf_puts(piece, ": ");
	buf_append(piece, (const char *)message->iov_base + skip, message->iov_len - skip);
	buf_putc(piece, '\n');
}

static void write_piece(struct buf *piece)
{
	size_t done = 0;

	while (done < piece->len) {
		ssize_t n = write(STDERR_FILENO, piece->data + done, piece->len - done);

		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	buf_clear(piece);
}

static void send_all(const struct journal *j, struct list *entries)
{
	_cleanup_buf_ struct buf piece = BUF_NULL;

	while (!list_empty(entries)) {
		struct entry *e = list_entry(list_first(entries), struct entry, link);

		list_remove(&e->link);
		if (j->to_journal)
			sd_journal_sendv(e->fields, (int)e->n);
		else
			add_line(&piece, e);
		if (piece.len >= PIECE_MAX)
			write_piece(&piece);
		free(e);
	}
	if (piece.len > 0)
		write_piece(&piece);
}

/* Everything that waits, in turn; they count as waiting until they have been sent. */
static size_t take_entries(struct journal *j, struct list *entries)
{
	uint64_t untold = atomic_exchange(&j->dropped_untold, 0);

	list_init(entries);
	if (untold) {
		_cleanup_free_ char *message = xasprintf("%llu messages were dropped: the journal "
							 "did not take them in time",
			(unsigned long long)untold);

		list_append(entries, &entry_new(LOG_WARNING, message)->link);
	}
	while (!list_empty(&j->queue)) {
		struct list *first = list_first(&j->queue);

		list_remove(first);
		list_append(entries, first);
	}
	return j->n_queued;
}

static void *write_entries(void *arg)
{
	struct journal *j = arg;
	struct list entries;

	pthread_mutex_lock(&j->mutex);
	for (;;) {
		size_t n;

		while (list_empty(&j->queue) && !j->closing)
			pthread_cond_wait(&j->wake, &j->mutex);
		if (list_empty(&j->queue))
			break;
		j->busy = true;
		if (!j->closing) {
			pthread_mutex_unlock(&j->mutex);
			usleep(GATHER_USEC);
			pthread_mutex_lock(&j->mutex);
		}
		n = take_entries(j, &entries);
		pthread_mutex_unlock(&j->mutex);
		send_all(j, &entries);
		pthread_mutex_lock(&j->mutex);
		j->n_queued -= n;
		j->busy = false;
	}
	pthread_cond_signal(&j->idle);
	pthread_mutex_unlock(&j->mutex);
	return NULL;
}

/* --- from the loop ------------------------------------------------------------------------ */

bool journal_is_there(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long dev, ino;
	struct stat st;

	if (getenv("NOTIFY_SOCKET") && access("/run/systemd/journal/socket", W_OK) == 0)
		return true;
	return stream && sscanf(stream, "%lu:%lu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

struct journal *journal_new(bool to_journal)
{
	struct journal *j = xnew(struct journal);

	j->to_journal = to_journal;
	list_init(&j->queue);
	pthread_mutex_init(&j->mutex, NULL);
	pthread_cond_init(&j->wake, NULL);
	pthread_cond_init(&j->idle, NULL);
	if (pthread_create(&j->thread, NULL, write_entries, j) == 0)
		return j;
	free(j);
	return NULL;
}

/* Is there room? What there is none for is counted. Only the loop adds, so that there still is
 * when put() follows. */
static bool has_room(struct journal *j, size_t most)
{
	if (atomic_load_explicit(&j->n_queued, memory_order_relaxed) < most)
		return true;
	atomic_fetch_add_explicit(&j->dropped, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&j->dropped_untold, 1, memory_order_relaxed);
	return false;
}

static void put(struct journal *j, struct entry *e)
{
	pthread_mutex_lock(&j->mutex);
	if (list_empty(&j->queue))
		pthread_cond_signal(&j->wake);
	list_append(&j->queue, &e->link);
	j->n_queued++;
	pthread_mutex_unlock(&j->mutex);
}

void journal_notice(struct journal *j, const struct core_notice *n)
{
	char digit[2] = {(char)('0' + n->priority), '\0'}, attempt[16];
	const struct field fields[] = {
		{"MESSAGE=", n->message},
		{"PRIORITY=", digit},
		{"SYSLOG_IDENTIFIER=", "nightjard"},
		{"MESSAGE_ID=", core_event_table[n->event].message_id},
		{"NIGHTJAR_JOB=", n->job},
		{"NIGHTJAR_RUN=", n->run},
		{"NIGHTJAR_CELL=", n->cell},
		{"NIGHTJAR_STEP=", n->step},
		{"NIGHTJAR_OUTCOME=", n->outcome},
		{"NIGHTJAR_CHECK=", n->check},
		{"NIGHTJAR_ENVIRONMENT=", n->environment},
		{"NIGHTJAR_ATTEMPT=", n->attempt ? attempt : NULL},
	};

	if (n->event == EVENT_PROGRESS ||
		!has_room(j, n->event == EVENT_OUTPUT ? OUTPUT_MAX : QUEUE_MAX))
		return;
	snprintf(attempt, sizeof(attempt), "%u", n->attempt);
	put(j, entry_make(n->priority, fields, ARRAY_SIZE(fields)));
}

void journal_say(struct journal *j, int priority, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, format);
	message = xvasprintf(format, ap);
	va_end(ap);
	if (has_room(j, QUEUE_MAX))
		put(j, entry_new(priority, message));
}

uint64_t journal_dropped(struct journal *j)
{
	return j->dropped;
}

/* Where the thread hangs in journald the memory is left to the process's end. */
void journal_free(struct journal *j)
{
	struct timespec until;
	int r = 0;

	if (!j)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_S;
	pthread_mutex_lock(&j->mutex);
	j->closing = true;
	pthread_cond_signal(&j->wake);
	while ((!list_empty(&j->queue) || j->busy) && r == 0)
		r = pthread_cond_timedwait(&j->idle, &j->mutex, &until);
	pthread_mutex_unlock(&j->mutex);
	if (r != 0) {
		pthread_detach(j->thread);
		return;
	}
	pthread_join(j->thread, NULL);
	pthread_cond_destroy(&j->wake);
	pthread_cond_destroy(&j->idle);
	pthread_mutex_destroy(&j->mutex);
	free(j);
}
