/* SHA-256 by OpenSSL's libcrypto (loaded anyway by libpq and libcurl). */
#pragma once
#include <stddef.h>

#define DIGEST_HEX 65
/* Lower-case hexadecimal with its NUL. */
void digest_hex(const void *data, size_t len, char ret[DIGEST_HEX]);
