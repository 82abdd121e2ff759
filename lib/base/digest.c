#include <openssl/evp.h>
#include <stdlib.h>
#include "base/digest.h"

void digest_hex(const void *data, size_t len, char ret[DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(len ? data : "", len, sum, &n, EVP_sha256(), NULL) != 1 ||
		n * 2 + 1 != DIGEST_HEX)
		abort(); /* no memory: see memory.h */
	for (unsigned i = 0; i < n; i++) {
		ret[2 * i] = digits[sum[i] >> 4];
		ret[2 * i + 1] = digits[sum[i] & 15];
	}
	ret[2 * n] = '\0';
}
