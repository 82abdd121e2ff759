/* What a fuzz target is: bytes in, no crash, no leak, no loop, and whatever it asserts besides.
 * tests/fuzz/run builds and runs them; corpus/TARGET/ has what each begins with. */
#pragma once
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
