#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* it would be the same for all */
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>
#include "base/memory.h"
#include "daemon/journal/journal.h"

#define QUEUE_MAX    4096
#define FIELDS_MAX   12
#define MESSAGE_MAX  (32 * 1024)
#define CLOSE_WAIT_S 1

struct entry {
	struct list link;
	int priority;
	char *fields[FIELDS_MAX]; /* "NAME=value", the first one MESSAGE= */
	size_t n;
};

struct journal {
	bool to_journal;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake, idle;
	struct list queue;
	size_t n_queued;
	uint64_t dropped, dropped_untold;
	bool busy, closing;
};

/* --- entries
 * -------------------------------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->fields[i]);
	free(e);
}

static void add_field(struct entry *e, const char *name, const char *value)
{
	if (value && e->n < FIELDS_MAX)
		e->fields[e->n++] = xasprintf("%s=%.*s", name, MESSAGE_MAX, value);
}

static struct entry *entry_new(int priority, const char *message)
{
	struct entry *e = xnew(struct entry);
	char digit[2] = {(char)('0' + priority), '\0'};

	e->priority = priority;
	add_field(e, "MESSAGE", message);
	add_field(e, "PRIORITY", digit);
	add_field(e, "SYSLOG_IDENTIFIER", "nightjard");
	return e;
}

/* --- the thread
 * ------------------------------------------------------------------------------------ */

static void send_to_journal(const struct entry *e)
{
	struct iovec iov[FIELDS_MAX];

	for (size_t i = 0; i < e->n; i++)
		iov[i] = (struct iovec){.iov_base = e->fields[i], .iov_len = strlen(e->fields[i])};
	sd_journal_sendv(iov, (int)e->n);
}

static void send_to_stderr(const struct entry *e)
{
	static const char *const names[] = {
		"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"};

	fprintf(stderr, "nightjard: %s: %s\n", names[e->priority & 7],
		e->fields[0] + strlen("MESSAGE="));
}

static void send_entry(struct journal *j, const struct entry *e)
{
	if (j->to_journal)
		send_to_journal(e);
	else
		send_to_stderr(e);
}

static struct entry *next_entry(struct journal *j)
{
	struct entry *e;

	if (j->dropped_untold) {
		_cleanup_free_ char *message = xasprintf("%llu messages were dropped: the journal "
							 "did not take them in time",
			(unsigned long long)j->dropped_untold);

		j->dropped_untold = 0;
		return entry_new(LOG_WARNING, message);
	}
	e = list_entry(list_first(&j->queue), struct entry, link);
	list_remove(&e->link);
	j->n_queued--;
	return e;
}

static void *write_entries(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->mutex);
	for (;;) {
		struct entry *e;

		while (list_empty(&j->queue) && !j->closing)
			pthread_cond_wait(&j->wake, &j->mutex);
		if (list_empty(&j->queue))
			break;
		e = next_entry(j);
		j->busy = true;
		pthread_mutex_unlock(&j->mutex);
		send_entry(j, e);
		entry_free(e);
		pthread_mutex_lock(&j->mutex);
		j->busy = false;
	}
	pthread_cond_signal(&j->idle);
	pthread_mutex_unlock(&j->mutex);
	return NULL;
}

/* --- from the loop
 * ----------------------------------------------------------------------------------- */

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

static void put(struct journal *j, struct entry *e)
{
	bool full;

	pthread_mutex_lock(&j->mutex);
	full = j->n_queued >= QUEUE_MAX;
	if (full) {
		j->dropped++;
		j->dropped_untold++;
	} else {
		list_append(&j->queue, &e->link);
		j->n_queued++;
		pthread_cond_signal(&j->wake);
	}
	pthread_mutex_unlock(&j->mutex);
	if (full)
		entry_free(e);
}

void journal_notice(struct journal *j, const struct core_notice *n)
{
	char attempt[16];
	struct entry *e;

	if (n->event == EVENT_PROGRESS)
		return;
	e = entry_new(n->priority, n->message);
	add_field(e, "MESSAGE_ID", core_event_table[n->event].message_id);
	add_field(e, "NIGHTJAR_JOB", n->job);
	add_field(e, "NIGHTJAR_RUN", n->run);
	add_field(e, "NIGHTJAR_CELL", n->cell);
	add_field(e, "NIGHTJAR_STEP", n->step);
	add_field(e, "NIGHTJAR_OUTCOME", n->outcome);
	if (n->attempt) {
		snprintf(attempt, sizeof(attempt), "%u", n->attempt);
		add_field(e, "NIGHTJAR_ATTEMPT", attempt);
	}
	put(j, e);
}

void journal_say(struct journal *j, int priority, const char *format, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, format);
	message = xvasprintf(format, ap);
	va_end(ap);
	put(j, entry_new(priority, message));
}

uint64_t journal_dropped(struct journal *j)
{
	uint64_t n;

	pthread_mutex_lock(&j->mutex);
	n = j->dropped;
	pthread_mutex_unlock(&j->mutex);
	return n;
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
