/* What a plan would change: addresses and actions, never values. */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/text.h"

#define TERRAFORM_CHANGES_MAX 10000

struct terraform_change {
	char *address;
	char *action;	/* create, update, delete, replace, read, import, move, remove */
	unsigned to_do; /* how many ends its apply has: a replacement has two */
	unsigned done;	/* how many there have been */
	bool started, errored;
};

struct terraform_changes {
	struct terraform_change *items;
	size_t n, cap;
};
void terraform_changes_fini(struct terraform_changes *c);
/* NULL where there is none, or too many to add. */
struct terraform_change *terraform_change_find(struct terraform_changes *c, const char *address);
struct terraform_change *terraform_change_add(
	struct terraform_changes *c, const char *address, const char *action);

/* Of things that are changed, not of reads. */
size_t terraform_changes_total(const struct terraform_changes *c);
size_t terraform_changes_done(const struct terraform_changes *c);

/* By address: terraform tells them as it finds them, differently each time. */
void terraform_changes_sort(struct terraform_changes *c);
/* [{"address","action"}], and back. */
cJSON *terraform_changes_to_json(const struct terraform_changes *c);
void terraform_changes_from_json(struct terraform_changes *c, const cJSON *json);
/* {"add","change","destroy","replace"} of such an array. */
cJSON *terraform_changes_summary(const cJSON *changes);
/* "2 to add, 1 to replace", "1 added"; what there is none of is not said; "" for none at all. The
 * caller frees. */
char *terraform_changes_text(const cJSON *changes, bool done);
/* True for what takes something away. */
bool terraform_action_destroys(const char *action);
/* The row of the table plan. */
cJSON *terraform_plan_row(
	const char *hash, const cJSON *changes, usec_t made_at, const char *environment);
