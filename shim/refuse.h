/* What stands in the way of a start, as a sentence for status.json. */
#pragma once
#include "base/cleanup.h"

/* Puts the sentence into *ret_message (the caller frees) and returns -error. */
int refuse(char **ret_message, int error, const char *format, ...) _printf_(3, 4);
