/* A Metabase in memory: databases, one queue of syncs, the task list; answers to the lane's calls.
 * Time is the test's own.
 *
 * A sync: `read` s for the catalogue (what is in the warehouse when that is over is what it sees),
 * then its row, `tables` s, `fields` s, its end, and `analyze` s more on the queue. */
#pragma once
#include "kinds_fixture.h"
#include "kinds/metabase.h"

enum {
	MB_DATABASES = 8,
	MB_TABLES = 8,
	MB_ROWS = 400,
	MB_QUEUE = 32,
	MB_TROUBLES = 8,
};
#define MB_START ((usec_t)1760000000 * USEC_SEC)

struct mb_table {
	const char *name; /* schema analytics; NULL: no more */
	usec_t built_at;  /* in the warehouse since; -1: never */
	bool unreadable, cruft;
	bool known, complete; /* to Metabase */
	const char *columns;  /* "a,b" in the warehouse */
	const char *fields;   /* as known; NULL: none */
};

struct mb_database {
	const char *name; /* NULL: none with this id (its place + 1) */
	const char *user;
	bool sample;
	unsigned read, tables, fields, analyze; /* s */
	struct mb_table table[MB_TABLES];
	unsigned fail_fields, fail_sync, sick, drop; /* so many times */
	unsigned posts;
};

struct mb_row {
	int64_t database;
	const char *task, *status, *said;
	usec_t started_at, ended_at;
};

/* So many answers to a path that begins so are: */
struct mb_trouble {
	const char *path;
	const char *method; /* NULL: any */
	unsigned times, skip;
	int status; /* 0: */
	enum http_trouble trouble;
	const char *body;
	usec_t takes;
	bool after; /* what was asked is done all the same */
};

struct mb {
	usec_t now;
	struct mb_database database[MB_DATABASES];
	struct mb_row row[MB_ROWS];
	size_t n_rows;
	int64_t queue[MB_QUEUE];
	size_t n_queue;
	int phase; /* of what runs; 0: nothing */
	int64_t running;
	usec_t phase_ends;
	size_t sync_row, step_row;
	struct mb_trouble trouble[MB_TROUBLES];
	bool down, starting;
	const char *api_key, *password; /* what is right */
	bool disabled;
	unsigned throttled;	    /* s */
	unsigned sessions, expired; /* the session's number; those up to this are over */
	bool no_filter;		    /* an old one: it does not know `task` */
	unsigned calls, logins, lists;
	char log[16384]; /* every call, a line each */
};

void mb_init(struct mb *mb);
/* Lets its world go on until then. */
void mb_advance(struct mb *mb, usec_t until);
/* When something happens by itself; USEC_INFINITY: never. */
usec_t mb_next(const struct mb *mb);
void mb_enqueue(struct mb *mb, int64_t database);
size_t mb_row(struct mb *mb, int64_t database, const char *task, usec_t started_at);
/* Its process ends, and comes back empty-handed. */
void mb_stop(struct mb *mb);
void mb_begin(struct mb *mb);
/* Answers the call; *ret_takes: how long that takes. The body is the caller's. */
void mb_answer(
	struct mb *mb, const struct kind_request *r, struct kind_event *ret, usec_t *ret_takes);
