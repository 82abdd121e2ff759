/* What people read of a log line: the message, where a program logs JSON. */
#pragma once
#include "client/output.h"

/* Is the line the beginning of an object, so that it must be whole before it can be read? */
bool log_text_may_be_json(const char *line);

/* The message of a line of dbt's JSON log, which may have newlines, without blanks around it ("":
 * it says nothing), and the colour of its level. NULL: the line is anything else, to be shown as
 * it is. The caller frees. */
char *log_text_message(const char *line, size_t len, enum colour *ret_colour);
