/* Instants as text live one floor below, because JSON is written there. */
#pragma once
#include "base/instant.h"
