/* What terraform complains of, and what is to be done about it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum terraform_class {
	TF_CLASS_UNKNOWN,   /* permanent in effect */
	TF_CLASS_FAILED,    /* the same again would end the same */
	TF_CLASS_TRANSIENT, /* it passes, and what was asked has not been done */
	TF_CLASS_LOST,	    /* no answer: what was asked may have been done */
	TF_CLASS_LOGIN,	    /* the provider could not log in, for whatever reason */
	TF_CLASS_NOT_READY, /* a look-up that a sync of Metabase mends */
	TF_CLASS_STALE,	    /* the plan is no longer one for this state */
	TF_CLASS_INIT,	    /* the data folder needs another init */
	TF_CLASS_HALTED,    /* what follows an interrupt */
	TF_CLASS_PERSON,    /* the state is in danger */
};

/* One error. All but the summary may be NULL. */
struct terraform_error {
	char *summary, *detail;
	char *address; /* of the resource */
	char *file;
	long line;
	char *code;  /* the line of the configuration */
	char *about; /* the values that the expression has: "data.metabase_table.x is object ..." */
	char *each;  /* the key of for_each, where the expression says which */
	char *key;   /* the key that was not found, where the expression says which */
};
void terraform_error_fini(struct terraform_error *e);

enum terraform_class terraform_class(const struct terraform_error *e);
/* "Resource precondition failed: The table is empty (main.tf:12, terraform_data.x)": one line. The
 * caller frees. */
char *terraform_error_line(const struct terraform_error *e);
