/* What `terraform show -json PLANFILE` tells: it holds every value, secret or not, so only names,
 * ids and addresses are taken from it. */
#pragma once
#include <cjson/cJSON.h>
#include <stddef.h>

/* {"creates":[{"address","type","name"}]   everything that the plan creates; `type` as
 *              metabase_thing has it and `name` as Metabase shows it, null where they are not
 * known, "known":[{"type","name","id"}]          things of Metabase that the state knows,
 *  "tables":[{"address","schema","name","database"}]}  look-ups of tables; `database` is its name
 *              or, where that is not known, its id, and null where neither is
 * NULL where it cannot be read. The caller frees. */
cJSON *terraform_show_read(const char *data, size_t len);
