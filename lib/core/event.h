/* Telling the observer what happened. */
#pragma once
#include "core/model.h"

/* Fills in what the run, cell, ... of `about` leaves out, and hands it on. `about` may be NULL. */
void core_notice(struct core *core, enum core_event event, const struct core_notice *about,
	const char *format, ...) _printf_(4, 5);
void run_notice(const struct run *run, enum core_event event, const char *format, ...)
	_printf_(3, 4);
void cell_notice(const struct cell *cell, enum core_event event, const char *format, ...)
	_printf_(3, 4);
void attempt_notice(const struct attempt *a, enum core_event event, const char *format, ...)
	_printf_(3, 4);
/* With an outcome that is not, or not yet, the attempt's. */
void attempt_notice_as(const struct attempt *a, enum core_event event, enum outcome outcome,
	const char *format, ...) _printf_(4, 5);
/* A line that it printed. */
void attempt_output(const struct attempt *a, const char *text);
