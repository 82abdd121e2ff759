/* Notices to the journal, or to standard error where there is none.
 *
 * Happy path: journal_notice() makes the fields, puts them into a bounded queue and returns; one
 * thread sends them, and sleeps while there are none.
 * Failures: journald does not drain: the queue fills, what comes then is dropped and counted, and
 * the count is the first thing said when there is room again. sd_journal_send blocks in that case,
 * which is why the loop never calls it. */
#pragma once
#include <stdbool.h>
#include "core/ports.h"

struct journal;

/* to_journal false: to standard error, as "PRIORITY message". NULL when no thread can be made. */
struct journal *journal_new(bool to_journal);
/* True where a service manager or a journal listens: NOTIFY_SOCKET, or JOURNAL_STREAM on stderr. */
bool journal_is_there(void);
void journal_notice(struct journal *j, const struct core_notice *notice);
/* A message of the daemon's own, at a syslog priority. */
void journal_say(struct journal *j, int priority, const char *format, ...) _printf_(3, 4);
/* How many were dropped so far. */
uint64_t journal_dropped(struct journal *j);
/* Sends what waits, for at most a second. */
void journal_free(struct journal *j);
