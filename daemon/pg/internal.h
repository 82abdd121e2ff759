/* What the files of the store adapter share. */
#pragma once
#include "base/buf.h"
#include "base/heap.h"
#include "daemon/pg/connection.h"
#include "daemon/pg/pg.h"
#include "daemon/pg/statement.h"

enum pg_state {
	PG_AWAY,    /* no connection */
	PG_SESSION, /* its settings, and what stands between */
	PG_MIGRATE,
	PG_TAKE,    /* asks for the leader row, or whether it is still ours */
	PG_STANDBY, /* another daemon leads */
	PG_LOAD,    /* leads, and learns */
	PG_LEAD,
};

/* A session's settings: session.c. */
struct pg_session {
	struct pg_request request;
	struct pg_connection *connection;
	void (*done)(struct pg_session *s); /* not after an error: the connection breaks then */
	int backend;			    /* the server's process; 0: not yet known */
	bool pooled;			    /* ... is not the one that we were told */
};

/* The rows of one answer, put together as JSON: read.c. */
struct pg_document {
	struct pg_request request;
	const char *sql;
	char *values[4];
	int n_values;
	cJSON *json;
	bool bad;
	void (*done)(struct pg_document *d, const struct pg_error *error);
	void *owner;
};

struct pg {
	uv_loop_t *loop;
	struct open_count open;
	struct pg_events events;
	char *machine, *host;
	usec_t renew_every, patience, margin, poll_every;
	struct pg_address address;
	struct pg_limiter limiter;
	struct pg_connection write, read;
	struct pg_session write_session, read_session;
	struct deferred kick;
	enum pg_state state;
	char *why; /* the last word on being away */
	char *alarmed;
	usec_t alarmed_at;

	/* migrate.c */
	struct pg_request migration;
	int version;
	char *migration_text;

	/* leader.c */
	uv_timer_t tick; /* renews as a leader, looks as a standby */
	struct pg_request take, renew, give_up;
	bool taking, renewing;
	usec_t sent_at; /* boot: of the take or the renewal on the wire */
	uint64_t epoch; /* 0: does not lead */
	usec_t lease;	/* boot */
	bool loaded;	/* the core knows this epoch */
	char *holder;	/* the last told */
	int renewed_backend;
	/* a row that the server's clock will not let grow old: watched on ours */
	char *seen;
	usec_t seen_at;

	/* load.c */
	struct pg_document load;
	cJSON *loading;
	cJSON *load_open, *load_ended; /* ids still to load */
	bool load_red;

	/* statement.c, write.c */
	struct pg_schema schema;
	struct list units;  /* waiting */
	struct list flight; /* in the batch that is sent */
	size_t n_flight;
	struct pg_batch batch;
	struct pg_request batch_request;
	bool writing;
	uv_timer_t slow; /* a batch is tried again */
	bool slow_on;
	unsigned again; /* replays in a row */
	size_t singles; /* so many units go one by one */

	/* read.c */
	struct list reads;
	struct store_read *reading;
	struct pg_document history;
	bool read_ready;

	/* report.c */
	struct list reports; /* waiting to be inserted */
	size_t n_reports;
	struct pg_request report, listen, report_delete;
	struct pg_document collection;
	bool reporting, collecting, collect_again, deleting;
	cJSON *collected; /* rows handed over, to be deleted */
	unsigned collected_ticks;

	/* prune.c */
	struct prune *prune; /* NULL: nothing asked for */
	struct pg_request prune_request;
	char *prune_text;
	bool pruning;
	uint64_t pruned;

	bool started, stopping, giving_up, closing;
	uv_timer_t stop_timer;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

#define PG_POOLER_REFUSED                                                                          \
	"a pooler in transaction mode (pgbouncer's pool_mode) stands before the server: sessions " \
	"must last; connect to the server itself, or use session mode"

/* pg.c */
void pg_alarm(struct pg *pg, const char *format, ...) _printf_(2, 3);
/* The connection is broken off, and tried again slowly, with an alarm. */
void pg_refuse(struct pg *pg, const char *format, ...) _printf_(2, 3);
/* What every chain of requests does with an error: nothing when the connection is gone. */
void pg_chain_failed(struct pg *pg, const char *what, const struct pg_error *error);
/* Goes on with stopping, when something has ended. */
void pg_stop_step(struct pg *pg);
void pg_close(struct pg *pg);

/* session.c */
void pg_session_start(struct pg_session *s);
/* A pooler hands one session to both. */
bool pg_sessions_are_shared(const struct pg_session *a, const struct pg_session *b);

/* migrate.c; goes on with pg_leader_enter() */
void pg_migrate(struct pg *pg);

/* leader.c */
void pg_leader_init(struct pg *pg);
void pg_leader_enter(struct pg *pg);
void pg_leader_lost(struct pg *pg);
void pg_leader_loaded(struct pg *pg);
/* Goes on with pg_close(). */
void pg_leader_give_up(struct pg *pg);

/* load.c; goes on with pg_leader_loaded() */
void pg_load(struct pg *pg);
void pg_load_abort(struct pg *pg);

/* write.c */
void pg_write(struct pg *pg);
/* Hands every unit back. */
void pg_write_drop(struct pg *pg, const char *error);
bool pg_write_is_idle(const struct pg *pg);

/* read.c */
struct pg_waiting_read {
	struct list link;
	struct store_read *read;
};
extern const char *const pg_run_by_id; /* $1: the id */
/* Its empty document. */
cJSON *pg_run_json(void);
/* sql, values, n_values, json, done, owner and request.patience are set; values and json belong to
 * the document. Parts that are arrays in `json` are appended to. */
void pg_document_start(struct pg_document *d, struct pg_connection *c);
/* Repeatable, also while it waits; not while it is on the wire. */
void pg_document_fini(struct pg_document *d);
void pg_read_submit(struct pg *pg, struct store_read *read);
void pg_read(struct pg *pg);
void pg_read_drop(struct pg *pg);

/* prune.c */
void pg_prune_submit(struct pg *pg, struct prune *p);
void pg_prune(struct pg *pg);

/* report.c */
void pg_report_submit(struct pg *pg, const struct action_place *place, const cJSON *status);
void pg_report_send(struct pg *pg);
void pg_report_listen(struct pg *pg);
void pg_report_notified(struct pg_connection *c, const PGnotify *notify);
void pg_report_tick(struct pg *pg);
void pg_report_forget(struct pg *pg);
void pg_report_fini(struct pg *pg);
