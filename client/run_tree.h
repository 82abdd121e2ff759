/* A run as a tree of cells, steps and attempts: for show and start --wait. */
#pragma once
#include "client/client.h"

/* The head: name, outcome, times. */
void run_tree_head(struct buf *b, const cJSON *run, usec_t now);
void run_tree_cell(struct buf *b, const cJSON *cell, usec_t now);
/* A cell in one line: what it is, or what its live attempt does. */
void run_tree_cell_line(struct buf *b, const cJSON *cell, usec_t now);
