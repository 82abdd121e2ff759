/* The parts of the kind `terraform` among themselves.
 *
 * All that later decisions rest on is in `memory`, which every note keeps whole, so that a replay
 * is only reading it back:
 *   init        the data folder is initialised           plans, looks   how many there were
 *   changes     [{"address","action"}] of the last plan   hash           of its file
 *   show        what terraform_show_read() made of it
 *   applied     something may have been changed, by this attempt or one before it
 *   foreseen    [address] what the plan before the first apply would have taken away
 *   doubt       [address] creates that may have happened without the state knowing
 *   proved      {"all","databases"} what Metabase was synced for when the attempt began
 *   sync        the same: what the next attempt is to have synced first
 *   wanted      [{"schema","name","column","database"}] look-ups that failed
 *   rounds      how many proved syncs there were in a row
 *   lookups     [{"address","base","each","key"}] look-ups that failed; null: one that is not known
 *   after       what the look is for: "names", "doubt", "login"
 *   end         {"outcome","reason"} how the attempt ends once what is still to do is done */
#pragma once
#include "base/json.h"
#include "kinds/kind.h"
#include "kinds/terraform_command.h"
#include "kinds/terraform_log.h"

#define TERRAFORM_PLANS_MAX  3
#define TERRAFORM_ROUNDS_MAX 3

struct terraform {
	struct node *params; /* expanded, without a secret in them; NULL: not begun */
	char *directory, *data_directory;
	char *backend;	     /* options of init; NULL: none, or secret */
	bool backend_secret; /* the data folder is inside the attempt, and gone with it */
	bool has_metabase;   /* its environment has one */
	bool plan_only;
	struct terraform_log log;
	cJSON *memory;
	char action[ACTION_NAME_MAX]; /* the last one that was commanded */
};

/* terraform_memory.c */
/* What the attempt before this one leaves to this one. */
void terraform_carry(struct terraform *t, const cJSON *before);
int64_t terraform_count(struct terraform *t, const char *key); /* one more: the new number */
void terraform_forget(struct terraform *t, const char *key);
bool terraform_list_has(const cJSON *list, const char *address);
/* Adds to the list of addresses under key. */
void terraform_list_add(struct terraform *t, const char *key, const char *address);
/* The note of an event: the memory, and the command that was given. */
void terraform_note(struct terraform *t, struct kind_command *cmd);
/* And back; false: it cannot be read, and the command ends the attempt. */
bool terraform_recall(struct terraform *t, const cJSON *note, struct kind_command *cmd);

/* terraform_spawn.c */
/* Which plan of the attempt this is, from 1. */
unsigned terraform_plan_number(const struct terraform *t);
/* "apply_2" is an action "apply". */
bool terraform_is_action(const char *action, const char *name);
/* As struct kind's `spawn`. */
int terraform_spawn(void *state, const struct kind_context *ctx, const char *action,
	struct kind_spawn *ret, char **ret_error);

/* terraform_next.c: the command for what is to be done now, */
void terraform_enter_done(struct kind_command *ret, enum outcome outcome, char *take_reason);
void terraform_enter_sync(struct kind_command *ret);
void terraform_enter_look(struct terraform *t, const char *after, struct kind_command *ret);
void terraform_enter_init(struct terraform *t, struct kind_command *ret);
void terraform_enter_plan(struct terraform *t, struct kind_command *ret);
void terraform_enter_show(struct terraform *t, struct kind_command *ret);
void terraform_enter_apply(struct terraform *t, struct kind_command *ret);
void terraform_enter_ask(struct terraform *t, struct kind_command *ret);
void terraform_enter_end(
	struct terraform *t, enum outcome outcome, char *take_reason, struct kind_command *ret);
void terraform_enter_ended(struct terraform *t, struct kind_command *ret);
void terraform_enter_not_ready(struct terraform *t, struct kind_command *ret);
/* and for what follows a thing that is done. */
void terraform_after_init(struct terraform *t, struct kind_command *ret);
void terraform_after_sync(struct terraform *t, struct kind_command *ret);
void terraform_after_look(
	struct terraform *t, const struct kind_context *ctx, struct kind_command *ret);
void terraform_after_show(
	struct terraform *t, const struct kind_context *ctx, struct kind_command *ret);

/* terraform_judge.c */
struct terraform_verdict {
	enum terraform_class class;
	char *reason; /* one line; the caller frees */
};
/* What the errors of an action come to; TF_CLASS_UNKNOWN where it said none. */
struct terraform_verdict terraform_judge(
	const struct terraform_log *log, const struct action_status *status);
/* Creates that may have happened: those with a lost answer or, where nobody knows how it ended, all
 * that had begun. */
void terraform_doubt(struct terraform *t, bool interrupted);
/* The addresses that this plan takes away and the first one did not, as text; NULL: none, or
 * nothing was applied before. The caller frees. */
char *terraform_unforeseen(const struct terraform *t);

/* terraform_metabase.c */
/* Keeps the errors about look-ups: `lookups`. */
void terraform_note_lookups(struct terraform *t);
/* Which databases and tables they are about: `sync` and `wanted`. */
void terraform_want_sync(struct terraform *t);
/* "analytics.orders of Global", ...: the caller frees. */
char *terraform_wanted_text(const struct terraform *t);
/* Each of them is of a database that was synced before this attempt. */
bool terraform_wanted_was_proved(const struct terraform *t);
/* What the proof says: `proved`, and rows of the table sync. */
cJSON *terraform_take_proof(
	struct terraform *t, const struct kind_context *ctx, const struct kind_event *event);
/* Fills in what the look or the sync is for. */
int terraform_join(struct terraform *t, const struct kind_context *ctx, bool look,
	struct lane_want *ret, char **ret_error);
/* The look found tables that are not there: a sentence naming them, else NULL. The caller frees. */
char *terraform_missing_tables(
	const struct terraform *t, const struct kind_context *ctx, const cJSON *result);
/* The creates in doubt that the plan has; a sentence about one that cannot be looked up, or NULL.
 */
char *terraform_doubt_unknowable(const struct terraform *t);
bool terraform_doubt_planned(const struct terraform *t);
/* The look found what the state does not know: a sentence, else NULL. The caller frees. */
char *terraform_found_twin(const struct terraform *t, const cJSON *result);
