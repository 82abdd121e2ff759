/* The rule of approvals once more: nothing goes out that nobody has approved. */
#pragma once
#include "tests/unit/sim.h"

void model_gate_effect(
	const struct sim *sim, const struct action_place *p, const struct spec_step *step);
/* Was anybody asked in that run? Its deadlines then move. */
bool model_gate_asked(const struct sim *sim, const char *run_id);
