/* What is wrong with a configuration: collected, so that all of it is said in one go. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/cleanup.h"

struct complaint {
	char *file; /* NULL: no file to name */
	unsigned line;
	bool is_warning;
	char *message;
};

struct complaints {
	struct complaint *items;
	size_t n, cap;
	size_t n_errors;
};

void complaints_fini(struct complaints *c);
void complain(struct complaints *c, const char *file, unsigned line, const char *format, ...)
	_printf_(4, 5);
void complain_warning(struct complaints *c, const char *file, unsigned line, const char *format,
	...) _printf_(4, 5);
/* "FILE:LINE: message" or "FILE:LINE: warning: message"; the caller frees. */
char *complaint_text(const struct complaint *c);
/* In the order of file and line, duplicates dropped. */
void complaints_sort(struct complaints *c);
