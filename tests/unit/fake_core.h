/* A made-up core for testing the socket without one: canned documents, and jobs whose names say
 * what becomes of an operation.
 *
 *   nightly   starts; its run lives for some calls of fake_core_step() and ends ok
 *   broken    the same, and ends failed
 *   refused, nostore, notleader, later, hang   what starting them answers (hang: nothing, ever)
 *   big       GetRun gives 10,000 cells
 *   chatty    Logs never ends */
#pragma once
#include "core/core.h"

struct fake_hooks {
	void *self;
	void (*notice)(void *self, const struct core_notice *notice);
	void (*audit)(void *self, const char *line);
};

struct core *fake_core_new(const struct fake_hooks *hooks);
/* Answers what was asked. */
void fake_core_answer(struct core *core);
/* Time goes on: runs move, and end. */
void fake_core_step(struct core *core);
/* Answers what never was, so that nothing leaks, and frees. */
void fake_core_free(struct core *core);
