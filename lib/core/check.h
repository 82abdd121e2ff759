/* Health checks: one state machine for each check and environment, polled through the http port
 * while this daemon leads or its store is away.
 *
 * Happy path: the timer -> the secrets, where it names some -> the call -> the answer is judged
 * (kinds/http_answer.h) -> after `rise` good ones in a row up, after `fall` bad ones down -> a
 * change is recorded, told, and opens gates. Failures: no answer in `timeout` counts as a bad one;
 * a Metabase that says it is initializing is `starting`, with its progress, and not down. */
#pragma once
#include "base/digest.h"
#include "core/model.h"

enum check_state {
	CHECK_UNKNOWN, /* not asked yet */
	CHECK_UP,
	CHECK_DOWN,
	CHECK_STARTING,
};

/* One stretch of a check's life, as the store has it. */
struct check_transition {
	enum check_state state; /* CHECK_UNKNOWN: none yet */
	usec_t at, ended_at;	/* wall clock; ended_at 0: it lasts */
	char *detail;		/* why; NULL: nothing to say */
};

struct check {
	struct core *core;
	char *name, *environment;      /* environment NULL: it is made for none */
	const struct spec_check *spec; /* the configuration's, or that of `def` */
	const struct spec_environment *scope;
	struct spec_job *def; /* of the runs that wait for it, the first; NULL: none does */
	unsigned watchers;
	bool configured;
	char meaning[DIGEST_HEX]; /* of all that its answers depend on */
	struct timer timer;	  /* the next poll */
	usec_t polled_at;	  /* boot; the last one */
	usec_t interval;	  /* that the timer was set by */
	bool asking, calling;	  /* for secrets; the endpoint */
	bool stale;		  /* what is asked for is not wanted any more */
	bool gone;		  /* nobody has it: freed when the secrets have come */
	struct secrets_request secrets;
	struct node *params; /* expanded with secrets, while a call is out */
	struct http_call call;
	/* what the answers said */
	struct check_transition now;
	bool sure;	    /* `now` is what this daemon has seen itself, not what was loaded */
	unsigned good, bad; /* answers in a row */
	char *reason;	    /* of the last bad one; NULL: it was good, or there was none */
	double progress;    /* of a starting one, 0 to 1; negative: not said */
	usec_t checked_at;  /* wall clock; 0: not yet */
	struct check_transition *unwritten; /* oldest first */
	size_t n_unwritten, cap_unwritten;
};

/* After each configuration: new ones begin, those that are gone end, others go on as they were. */
void checks_configure(struct core *core);
/* The store is ready. From a load: the last transition of each; NULL: only the connection was lost.
 */
void checks_load(struct core *core, const cJSON *transitions);
/* Another daemon leads: it polls. */
void checks_stop(struct core *core);
void checks_fini(struct core *core);
/* The state of a check of the run's own definition in that environment (NULL: none). One that the
 * configuration has no longer is polled while somebody waits for it. */
enum check_state check_state(
	struct core *core, const struct run *run, const char *name, const char *environment);
/* Somebody begins or ceases to wait for it. */
void check_watch(
	struct core *core, const struct run *run, const char *name, const char *environment);
void check_unwatch(struct core *core, const char *name, const char *environment);
/* "metabase is down since 06:12: connection refused"; the caller frees. */
char *check_describe(const struct core *core, const char *name, const char *environment);
/* In check_view.c: as core_view_checks() has them. */
cJSON *checks_view(const struct core *core);
const char *check_state_name(enum check_state state);
/* What gates go by: unknown until this daemon knows by itself. */
enum check_state check_state_now(const struct check *c);
/* NULL: none. One that is made for no environment is the same for all. */
struct check *check_find(const struct core *core, const char *name, const char *environment);

/* --- between check.c, which polls, and check_set.c, which has them ---------------------------- */

bool check_may_poll(const struct check *c);
void check_poll_soon(struct check *c);
void check_poll_later(struct check *c);
/* The timer's. */
void check_poll_now(struct core *core, struct timer *t);
/* Secrets that are on their way come, and are not used. */
void check_poll_cancel(struct check *c);
void check_poll_fini(struct check *c);
/* The present stretch is over. */
void check_end_stretch(struct check *c, usec_t at);
/* A row to be written; a later one of the same instant replaces the earlier one. */
void check_to_write(struct check *c, const struct check_transition *t);
/* Writes what is to be written, if the store is there. */
void check_write(struct check *c);
/* Out of the list, and freed. */
void check_remove(struct check *c);
