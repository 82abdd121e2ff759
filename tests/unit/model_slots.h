/* The rules of slots: each ends in exactly one record, and none is missing. */
#pragma once
#include "tests/unit/model.h"

struct model_slots;

struct model_slots *model_slots_new(void);
void model_slots_free(struct model_slots *s);
void model_slots_watch(struct model_slots *s, struct sim *sim);
void model_slots_touch(struct model_slots *s, const char *job);
void model_slots_clock_set(struct model_slots *s);
void model_slots_anew(struct model_slots *s);
void model_slots_row(struct model_slots *s, const cJSON *row);
void model_slots_configured(struct model_slots *s, const struct model_job *jobs, size_t n);
void model_slots_check(struct model_slots *s, const struct model_job *jobs, size_t n);
void model_slots_check_runs(struct model_slots *s);
