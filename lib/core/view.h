/* What readers see: the JSON objects of the interface. */
#pragma once
#include "core/model.h"

/* The object of `show`; without cells, the object of `runs`. */
cJSON *view_run(const struct run *run, bool with_cells);
/* What its plan would do, and what was decided about it; NULL: it made none. */
cJSON *view_plan(const struct attempt *a);
/* The same head from a row of the store. */
cJSON *view_run_row(const cJSON *row);
