/* What an action is to do: filled in from its kind and its step when the intent is durable and the
 * secrets are there. */
#pragma once
#include "core/model.h"

/* Fills in the launch, the call, the query or the want. Negative with a sentence, masked, in
 * *ret_error: it cannot be done. */
int effect_fill(struct action *action, char **ret_error);
/* Only where it is: for a process that is to be found, and no more can be known of it. */
void effect_fill_place(struct action *action);
