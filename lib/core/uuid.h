/* UUIDs of version 7 (RFC 9562): ordered by time, the rest from the random port. */
#pragma once
#include "core/model.h"

void uuid_make(struct core *core, char ret[UUID_TEXT]);
