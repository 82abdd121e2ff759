/* How far a step has come, for people. */
#pragma once
#include <cjson/cJSON.h>
#include "base/buf.h"

/* Appends "31 of 44 nodes, 1 failed, now stg_events" from a step kind's progress; nothing for
 * none. Its texts are escaped. */
void buf_progress(struct buf *b, const cJSON *progress);
