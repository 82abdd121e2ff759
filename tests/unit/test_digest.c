#include "tests/unit/unit.h"
#include "base/digest.h"

static void digests_are_sha_256_in_hexadecimal(void **state)
{
	char hex[DIGEST_HEX];

	digest_hex(NULL, 0, hex);
	assert_string_equal(
		hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_hex("abc", 3, hex);
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_sha_256_in_hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
