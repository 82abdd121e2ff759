/* A configuration file and all that it includes, read with libconfig into the neutral tree. */
#pragma once
#include "base/complaint.h"
#include "spec/tree.h"

/* 0 with *ret set, even where there are complaints of single values, so that the rest can be
 * checked in the same go; -EINVAL with complaints when there is no tree. Blocks: reads files. */
int config_read_tree(const char *path, struct complaints *complaints, struct node **ret);
