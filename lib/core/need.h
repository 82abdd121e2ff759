/* What the needs of cells have come to, counted as cells end: of all cells that a need joins by the
 * same values there is one sum, so that ten thousand cells that need ten thousand others cost as
 * much as both together, not as their product. */
#pragma once
#include "core/model.h"

/* What the matching cells of one need say together. */
struct need_sum {
	unsigned n, n_open, n_failed, n_not_ok;
	unsigned n_away;	/* narrowed away: no part of the run */
	const struct cell *bad; /* the first that was not ok */
	enum outcome bad_outcome;
};

/* Of the cell's stage's need number `k`. Borrowed; it changes as cells end. */
const struct need_sum *need_sum(const struct cell *cell, size_t k);
/* Counts the end of the cell, and touches those for which that decides something. */
void needs_cell_ended(const struct cell *cell);
/* Which cells are part of the run has changed, or it is freed. */
void needs_forget(struct run *run);
