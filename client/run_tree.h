/* A run as a tree of cells, steps and attempts: for show and start --wait. */
#pragma once
#include "client/client.h"

/* The head: name, outcome, times. */
void run_tree_head(struct buf *b, const cJSON *run, usec_t now);
void run_tree_cell(struct buf *b, const cJSON *cell, usec_t now);
/* The head and its cells, each in one line: what it is, or what its live attempt does. Where that
 * is more than `most` lines, only those that run or are not well. Returns how many lines it is. */
unsigned run_tree_lines(struct buf *b, const cJSON *run, unsigned most, usec_t now);
