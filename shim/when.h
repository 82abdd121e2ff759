/* The clocks, and instants as text. CLOCK_REALTIME is only ever written down; spans are measured on
 * CLOCK_BOOTTIME where the sleep of the machine counts, on CLOCK_MONOTONIC where it does not. */
#pragma once
#include <stdint.h>
#include <time.h>

#define WHEN_SEC   INT64_C(1000000)
#define WHEN_NEVER INT64_MAX
#define WHEN_MAX   32

/* µs on that clock. */
int64_t when_now(clockid_t clock);
/* 2026-11-21T06:00:00.123456Z from µs since 1970. */
void when_text(int64_t usec, char ret[WHEN_MAX]);
/* Now, with nanoseconds: always 30 bytes and a NUL. */
void when_nano(char ret[WHEN_MAX]);
