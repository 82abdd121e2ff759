/* The migrations, embedded at build time by embed.py, in order: the first makes version 1. */
#pragma once
#include <stddef.h>

extern const char *const pg_migrations[];
extern const size_t pg_n_migrations;
