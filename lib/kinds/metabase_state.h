/* What the files of the Metabase lane share: what is known of one Metabase, and who wants what.
 *
 *   metabase_lane.c     members, the one call that is out, its answer
 *   metabase_choose.c   which call comes next
 *   metabase_call.c     what a call is as a request, and what an answer that is none means
 *   metabase_session.c  API key or log-in
 *   metabase_tasks.c    the task list: which syncs ended well, what the queue is busy with
 *   metabase_trigger.c  one database: when its sync is triggered, and when it is proved
 *   metabase_tables.c   databases, tables, fields and things, as Metabase lists them
 *   metabase_proof.c    what is expected, what of it is there, who is served
 *   metabase_want.c     what is wanted, and its lane
 *   metabase_words.c    sentences, progress and results
 *
 *   wish      one member's want while it is in the lane
 *   part      one database of a wish
 *   trigger   a request for a sync; `covers`: wants that came before that instant are met by it,
 *             for the sync that it makes had not begun to read the warehouse then
 *   round     a proved sync that left tables missing */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "base/memory.h"
#include "kinds/metabase.h"

/* --- session ------------------------------------------------------------------------------ */

struct session {
	char *api_key, *username, *password;
	char *id;	 /* of the session; NULL: none */
	bool proved;	 /* a call was answered well with it */
	usec_t login_at; /* not before: the throttle */
	unsigned throttled;
};
void session_init(struct session *s, const struct metabase_want *want);
void session_fini(struct session *s);
bool session_needs_login(const struct session *s);
/* {"username","password"}; to be wiped. */
char *session_login_body(const struct session *s);
/* "X-API-Key: ..."; to be wiped. NULL: what there is can be no header. */
char *session_header(const struct session *s);

enum session_verdict {
	SESSION_GOOD,
	SESSION_LATER,	 /* throttled until login_at */
	SESSION_REFUSED, /* *ret_reason */
	SESSION_STRANGE, /* no answer that a Metabase gives */
};
/* The answer to the log-in. */
enum session_verdict session_logged_in(
	struct session *s, int status, const cJSON *answer, usec_t at, char **ret_reason);
/* A call was answered with 401: true: another log-in may help; false: *ret_reason. */
bool session_expired(struct session *s, char **ret_reason);

/* --- tasks -------------------------------------------------------------------------------- */

enum task_kind {
	TASK_SYNC,
	TASK_TABLES, /* sync-tables */
	TASK_FIELDS, /* sync-fields */
	TASK_STEP,   /* another step of a sync */
	TASK_ANALYZE,
	TASK_SCAN, /* field values */
	TASK_OTHER,
};

enum task_status {
	TASK_STARTED,
	TASK_SUCCESS,
	TASK_FAILED,
};

struct task {
	int64_t id, database;
	enum task_kind kind;
	enum task_status status;
	usec_t started_at, ended_at; /* by Metabase's clock; 0: unknown */
	char name[40];
	char *said; /* of one that failed; NULL: nothing */
};

/* Rows by id, the newest few hundred. */
struct tasks {
	struct task *rows;
	size_t n, cap;
	int64_t highest; /* id ever seen */
	int64_t dead;	 /* what is `started` up to this id will never end: Metabase restarted */
};
void tasks_fini(struct tasks *t);
/* A page of the list. False: it is none; nothing was taken then. *ret_moved is set where something
 * is new. */
bool tasks_read(struct tasks *t, const cJSON *page, const struct mask_set *mask, bool *ret_moved);
/* Metabase was away: what had begun has died with it. */
void tasks_died(struct tasks *t);
/* The newest whole sync of the database with an id above `above`; NULL: none. */
const struct task *tasks_sync(const struct tasks *t, int64_t database, int64_t above);
/* `started`, and neither known to be dead nor overtaken by a newer one of its database. */
bool task_is_live(const struct tasks *t, const struct task *task);
/* What the one queue seems to be at: the newest of its works, if that is live and not older than
 * a few hours. NULL: nothing that can be seen. */
const struct task *tasks_busy(const struct tasks *t, usec_t at);
/* The step that a live sync is at; NULL: unknown. */
const struct task *tasks_step(const struct tasks *t, const struct task *sync);

enum steps {
	STEPS_WELL,
	STEPS_UNSEEN, /* one cannot be seen, or not its end */
	STEPS_FAILED,
};
/* What became of sync-tables and sync-fields of a sync that ended. *ret_step, where not all is
 * well: its name. *ret_said may be NULL. */
enum steps tasks_steps(const struct tasks *t, const struct task *sync, const char **ret_step,
	const char **ret_said);

/* --- databases and their triggers --------------------------------------------------------- */

struct trigger {
	bool open;	  /* neither proved nor failed */
	usec_t at;	  /* when it was first asked for; 0: never */
	usec_t covers;	  /* see above */
	int64_t baseline; /* a row above it is this trigger's */
	unsigned posts;
	usec_t again_at, patience; /* the next request, if nothing comes of it */
	bool lost;		   /* Metabase restarted: it must be asked again */
	int64_t mark;		   /* of how far its sync is, to see it move */
	bool steps_read[2];	   /* since its row ended */
};

struct database {
	int64_t id;
	char *raw;		    /* its name as it is */
	char *name, *engine, *user; /* one line each; user and engine may be NULL */
	bool sample, listed;
	struct trigger trigger;
	usec_t fresh_at; /* decisions need a task list asked for since then */
	int64_t awaited; /* a sync that ran when one was wanted: its row; 0: none */
	usec_t awaited_until;
	usec_t not_before; /* the next trigger */
	char *trouble;	   /* the last failure, in words; NULL: none */
	unsigned failures; /* in a row: syncs that failed, or could not be triggered */
	unsigned rounds;   /* proved syncs that left something missing, in a row */
	usec_t round_at;   /* when such a one is tried again */
	/* its tables */
	usec_t look_sent_at, look_at, look_pace;
};

/* --- wishes ------------------------------------------------------------------------------- */

enum seen_state {
	SEEN_MISSING,
	SEEN_INCOMPLETE,
	SEEN_FIELDS, /* it is there; whether its columns are, must be asked */
	SEEN_SHORT,  /* columns are missing */
	SEEN_THERE,
};

/* One expected table. */
struct seen {
	const struct metabase_table *table;
	enum seen_state state;
	int64_t id;
	struct database *db; /* of `anywhere`: where it was found; NULL: nowhere */
	bool hidden;	     /* by Metabase, for its name */
	char *column;	     /* SEEN_SHORT: the first that is missing */
	usec_t fields_at;    /* SEEN_SHORT: ask again */
};

enum part_state {
	PART_WAITING,
	PART_PROVED,
	PART_FAILED,
};

struct part {
	const struct metabase_database *wanted; /* NULL: one of `all` */
	struct database *db;			/* NULL: there is none (PART_FAILED) */
	enum part_state state;
	char *reason;
	usec_t since, ended_at;
	usec_t synced_at; /* its sync was proved; 0: not yet */
	usec_t looked_at; /* the look that `seen` is from was asked for */
	struct seen *seen;
	size_t n_seen;
};

struct found {
	const struct metabase_thing *thing;
	int64_t id;
};

struct wish {
	struct lane_member *member;
	struct metabase_want *want;
	usec_t joined_at, deadline;
	bool resolved; /* its databases are known */
	struct part *parts;
	size_t n_parts;
	struct seen *anywhere;
	unsigned things_read; /* a bit for each type */
	struct found *found;
	size_t n_found, cap_found;
};

/* --- the lane ----------------------------------------------------------------------------- */

enum call_type {
	CALL_NONE,
	CALL_LOGIN,
	CALL_DATABASES,
	CALL_SYNCS,  /* the task list: whole syncs */
	CALL_TASKS,  /* all of it */
	CALL_TABLES, /* the steps sync-tables */
	CALL_FIELDS, /* the steps sync-fields */
	CALL_TRIGGER,
	CALL_LOOK,
	CALL_COLUMNS,
	CALL_THINGS,
};

struct call {
	enum call_type type;
	struct database *db;
	int64_t table;	   /* CALL_COLUMNS */
	const char *thing; /* CALL_THINGS: the type; static */
	usec_t sent_at;
};

struct metabase {
	char *url;
	struct session session;
	struct mask_set *mask;
	bool mask_stale;
	struct wish **wishes;
	size_t n_wishes, cap_wishes;
	struct database **databases;
	size_t n_databases, cap_databases;
	usec_t listed_at; /* the databases were asked for then; 0: never */
	struct tasks tasks;
	usec_t syncs_at, tasks_at; /* asked for then */
	usec_t poll_at, pace;
	unsigned page; /* rows of one */
	struct call call;
	/* It is away: */
	usec_t away_since, retry_at;
	unsigned troubles; /* in a row */
	bool was_down;	   /* not merely slow: it restarts */
	char *trouble;	   /* why, in words; NULL: it answers */
};

#define POLL_FIRST USEC_SEC
#define POLL_MOST  (15 * USEC_SEC)

struct database *database_by_id(const struct metabase *l, int64_t id);

/* metabase_want.c: without a slash at the end, and without the /api that other programs want to be
 * told. The caller frees. */
char *metabase_base_url(const char *url);

/* metabase_choose.c */
/* Fills in the call; CALL_NONE: the instant to ask again at is returned. */
usec_t call_choose(struct metabase *l, usec_t at, struct call *ret);

/* metabase_call.c */
void call_request(struct metabase *l, struct kind_request *ret);
/* What came is quoted so: masked, one line, cut. The caller frees; never NULL. */
char *quote(const struct mask_set *mask, const char *text, size_t max);
/* "GET /api/task" */
char *call_name(const struct call *c);
enum answer {
	ANSWER_GOOD,	/* 200, to be read */
	ANSWER_LATER,	/* ask again in a while: *ret_reason */
	ANSWER_EXPIRED, /* 401 */
	ANSWER_SICK,	/* 422: the warehouse */
	ANSWER_FAILED,	/* asking again is of no use */
};
enum answer call_judge(
	const struct metabase *l, const struct kind_event *e, char **ret_reason, bool *ret_down);

/* metabase_trigger.c: of one database */
/* What to ask for it now, or CALL_NONE: then *ret_until, if it is sooner, is when to ask this
 * again. */
enum call_type trigger_next(struct metabase *l, struct database *db, usec_t at, usec_t *ret_until);
/* Metabase took it, or may have (`lost`: its answer did not come). */
void trigger_posted(struct metabase *l, struct database *db, usec_t sent_at, bool lost, usec_t at);
/* It could not be triggered, or its sync failed. */
void trigger_failed(struct metabase *l, struct database *db, char *take_reason, usec_t at);
/* After a page of the task list was read. */
void trigger_page_read(struct metabase *l, struct database *db, enum call_type page, usec_t at);
/* Metabase was down: what was asked of it is forgotten. */
void trigger_lost(struct database *db, usec_t at);
/* The task list is of interest. */
bool trigger_polls(const struct database *db);
/* Its sync, where one runs that was seen: for words. */
const struct task *trigger_row(const struct metabase *l, const struct database *db);

/* metabase_tables.c */
bool databases_read(struct metabase *l, const cJSON *answer);
/* Compares the tables of `db` with what is expected of it. False: the answer is none. */
bool tables_read(struct metabase *l, struct database *db, const cJSON *answer, usec_t sent_at,
	bool *ret_moved);
/* Such a table is no longer known. */
void fields_gone(struct metabase *l, int64_t table);
bool fields_read(
	struct metabase *l, struct database *db, int64_t table, const cJSON *answer, usec_t at);
/* The path of a list of such things; NULL: of databases, or no such type. */
const char *things_path(const char *type);
/* The type of a thing that was not asked for yet; NULL: none. */
const char *things_next(const struct wish *w);
/* Databases, from their own list. */
void things_find_databases(const struct metabase *l, struct wish *w);
bool things_read(struct metabase *l, const char *type, const cJSON *answer, usec_t sent_at);

/* metabase_proof.c */
struct wish *wish_new(struct lane_member *m, usec_t at);
void wish_free(struct wish *w);
/* The databases have been listed: what the wish means by its names. */
void wish_resolve(struct metabase *l, struct wish *w, usec_t at);
bool wish_is_open(const struct wish *w);
/* Something is not there yet. */
bool part_lacks(const struct wish *w, const struct part *p);
size_t part_n_there(const struct part *p);
/* Serves those whose every part is proved, or one of whose parts failed, or whose time is over. */
void wishes_settle(struct metabase *l, usec_t at);
void wish_serve(struct metabase *l, struct wish *w, enum outcome outcome, char *take_reason);
/* All that are open, and wait for this database (NULL: whatever they want), and, where `unsynced`,
 * for a sync of it. */
void wishes_fail(struct metabase *l, const struct database *db, bool unsynced, enum outcome outcome,
	const char *reason);
/* The part waits for a sync of its database to be proved. */
bool part_is_unsynced(const struct wish *w, const struct part *p);

/* metabase_words.c */
char *words_missing(const struct metabase *l, const struct wish *w, usec_t at);
char *words_hidden(const struct wish *w);
cJSON *words_result(const struct wish *w);
void words_progress(const struct metabase *l, struct wish *w, usec_t at);
char *words_no_such_database(const struct metabase *l, const struct metabase_database *wanted);
