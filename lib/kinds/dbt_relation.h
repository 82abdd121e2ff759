/* The names of relations as dbt writes them. */
#pragma once
#include <stdbool.h>

/* Schema and name of "db"."schema"."name", `project.dataset.table`, [db].[schema].[name] or plain
 * words, without their quotes; the caller frees. False: it is no such name. */
bool dbt_relation_parse(const char *text, char **ret_schema, char **ret_name);
