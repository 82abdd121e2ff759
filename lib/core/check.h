/* Health checks: one state machine for each check and environment, polled through the http port
 * while this daemon leads or its store is away.
 *
 * Happy path: the timer -> the secrets, where it names some -> the call -> the answer is judged
 * (kinds/http_answer.h) -> after `rise` good ones in a row up, after `fall` bad ones down -> a
 * change is recorded, told, and opens gates. Failures: no answer in `timeout` counts as a bad one;
 * a Metabase that says it is initializing is `starting`, with its progress, and not down. */
#pragma once
#include "core/model.h"

enum check_state {
	CHECK_UNKNOWN, /* not asked yet */
	CHECK_UP,
	CHECK_DOWN,
	CHECK_STARTING,
};

/* After each configuration: new ones begin, those that are gone end, others go on as they were. */
void checks_configure(struct core *core);
/* From the load: the last transition of each. */
void checks_load(struct core *core, const cJSON *transitions);
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
cJSON *checks_view(const struct core *core);
