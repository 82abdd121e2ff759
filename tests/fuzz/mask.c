/* Masking: the first line is a secret, the second says how the rest is cut into reads; nothing of
 * the secret is in what comes out, and it is the same however it was cut. */
#include "base/mask.h"
#include "tests/fuzz/fuzz.h"

static void feed(
	const struct mask_set *set, const uint8_t *data, size_t size, size_t piece, struct buf *out)
{
	struct mask_stream stream = MASK_STREAM_NULL;

	for (size_t i = 0; i < size; i += piece)
		mask_stream_feed(set, &stream, data + i, MIN(piece, size - i), out);
	mask_stream_end(set, &stream, out);
	mask_stream_fini(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *eol = memchr(data, '\n', size);
	_cleanup_buf_ struct buf whole = BUF_NULL, cut = BUF_NULL;
	struct mask_set *set;
	size_t len = eol ? (size_t)(eol - data) : 0, piece;

	if (!eol || size - len < 3 || len > 200)
		return 0;
	piece = eol[1] % 17 + 1u;
	set = mask_set_new();
	mask_set_add_secret(set, (const char *)data, len);
	mask_set_build(set);
	feed(set, eol + 2, size - len - 2, SIZE_MAX, &whole);
	feed(set, eol + 2, size - len - 2, piece, &cut);
	assert(whole.len == cut.len && (whole.len == 0 || !memcmp(whole.data, cut.data, cut.len)));
	if (len >= MASK_MIN_LENGTH && whole.len && !memchr(data, '*', len))
		assert(!memmem(whole.data, whole.len, data, len));
	mask_set_free(set);
	return 0;
}
