#include <string.h>
#include "tests/unit/unit.h"
#include "base/mask.h"
#include "base/memory.h"

static const char secret[] = "s3cr3t/\"P\xc3\xa9ss w<rd>";

static struct mask_set *set_of(const char *a, const char *b)
{
	struct mask_set *set = mask_set_new();

	mask_set_add_secret(set, a, strlen(a));
	if (b)
		mask_set_add_secret(set, b, strlen(b));
	mask_set_build(set);
	return set;
}

/* Fed in two parts, cut at every place, and byte by byte: always the same answer. */
static void check_masked(const struct mask_set *set, const char *in, const char *expected)
{
	size_t len = strlen(in);

	for (size_t cut = 0; cut <= len + 1; cut++) {
		struct mask_stream s = MASK_STREAM_NULL;
		struct buf out = BUF_NULL;

		if (cut <= len) {
			mask_stream_feed(set, &s, in, cut, &out);
			mask_stream_feed(set, &s, in + cut, len - cut, &out);
		} else {
			for (size_t i = 0; i < len; i++)
				mask_stream_feed(set, &s, in + i, 1, &out);
		}
		mask_stream_end(set, &s, &out);
		assert_string_equal(buf_str(&out), expected);
		mask_stream_fini(&s);
		buf_fini(&out);
	}
}

static void every_form_of_a_secret_is_masked(void **state)
{
	static const char *const forms[] = {
		secret,
		"s3cr3t%2F%22P%C3%A9ss%20w%3Crd%3E",
		"s3cr3t%2f%22P%c3%a9ss+w%3crd%3e",
		"s3cr3t/%22P%C3%A9ss%20w%3Crd%3E",
		"s3cr3t/\\\"P\xc3\xa9ss w<rd>",
		"s3cr3t\\/\\\"P\xc3\xa9ss w<rd>",
		"s3cr3t/\\\"P\\u00e9ss w<rd>",
		"s3cr3t/\\\"P\xc3\xa9ss w\\u003crd\\u003e",
	};
	struct mask_set *set = set_of(secret, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_free_ char *in = xasprintf("before %s after", forms[i]);

		check_masked(set, in, "before *** after");
	}
	mask_set_free(set);
}

/* Python: base64.b64encode(b"x" * n + b"correct horse battery staple" + b"y" * (2 - n)) */
static void base64_is_masked_at_each_of_its_three_alignments(void **state)
{
	static const char *const encoded[] = {
		"Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZXl5",
		"eGNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGV5",
		"eHhjb3JyZWN0IGhvcnNlIGJhdHRlcnkgc3RhcGxl",
	};
	struct mask_set *set = set_of("correct horse battery staple", NULL);

	for (size_t i = 0; i < 3; i++) {
		_cleanup_free_ char *out = mask_string(set, encoded[i]);

		assert_non_null(strstr(out, "***"));
		assert_true(strlen(out) <= 3 + 4 + 4);
	}
	mask_set_free(set);
}

/* printf %s "$SECRET" | base64 */
static void base64_in_lines_is_masked_line_by_line(void **state)
{
	struct mask_set *set = set_of("a password phrase that is so long that base64(1) must break "
				      "its line somewhere",
		NULL);

	check_masked(set,
		"YSBwYXNzd29yZCBwaHJhc2UgdGhhdCBpcyBzbyBsb25nIHRoYXQgYmFzZTY0KDEpIG11c3QgYnJl\n"
		"YWsgaXRzIGxpbmUgc29tZXdoZXJl\n",
		"***\n***\n");
	mask_set_free(set);
}

static void what_javascript_and_go_leave_as_it_is_does_not_hide_a_secret(void **state)
{
	struct mask_set *set = set_of("it's (that) & <more>", NULL);

	check_masked(set, "it's%20(that)%20%26%20%3Cmore%3E", "***");
	check_masked(set, "it's (that) \\u0026 \\u003cmore\\u003e", "***");
	mask_set_free(set);
}

static void each_line_of_a_secret_is_masked_alone(void **state)
{
	struct mask_set *set = set_of("first-line-of-it\r\nsecond-line-of-it\n", NULL);

	check_masked(set, "a second-line-of-it b", "a *** b");
	check_masked(set, "a first-line-of-it b", "a *** b");
	mask_set_free(set);
}

static void values_inside_a_json_secret_are_masked_and_keys_are_not(void **state)
{
	struct mask_set *set = set_of(
		"{\"private_key\": \"-----BEGIN\\nabcdefgh\\n\", \"n\": [\"leaf-value-1\"]}", NULL);

	check_masked(set, "private_key leaf-value-1.", "private_key ***.");
	check_masked(set, "-----BEGIN\\nabcdefgh\\n", "***");
	check_masked(set, "> abcdefgh", "> ***");
	mask_set_free(set);
}

static void overlapping_and_touching_matches_become_one(void **state)
{
	struct mask_set *set = set_of("abcdefgh", "efghijkl");

	check_masked(set, "abcdefghijkl", "***");
	check_masked(set, "abcdefghefghijkl!", "***!");
	check_masked(set, "abcdefg efghijk", "abcdefg efghijk");
	mask_set_free(set);
}

static void a_match_inside_a_prefix_that_comes_to_nothing_is_still_masked(void **state)
{
	struct mask_set *set = set_of("xxabcdefghyyyy", "abcdefgh");

	check_masked(set, "xxabcdefghyyz", "xx***yyz");
	check_masked(set, "xxabcdefgh", "xx***");
	mask_set_free(set);
}

static void only_a_live_prefix_is_held_back(void **state)
{
	struct mask_set *set = set_of("password-1", NULL);
	struct mask_stream s = MASK_STREAM_NULL;
	struct buf out = BUF_NULL;

	mask_stream_feed(set, &s, "say passw", 9, &out);
	assert_string_equal(buf_str(&out), "say ");
	mask_stream_feed(set, &s, "x", 1, &out);
	assert_string_equal(buf_str(&out), "say passwx");
	mask_stream_fini(&s);
	buf_fini(&out);
	mask_set_free(set);
}

static void a_short_secret_is_no_pattern_and_an_empty_set_masks_nothing(void **state)
{
	struct mask_set *set = set_of("short", NULL);

	assert_int_equal(mask_set_count(set), 0);
	check_masked(set, "a short text", "a short text");
	check_masked(NULL, "a short text", "a short text");
	mask_set_free(set);
}

/* What a search at every place would give. */
static char *masked_plainly(const struct mask_set *set, const char *in, size_t len)
{
	_cleanup_free_ char *marks = xcalloc(len + 1, 1);
	struct buf out = BUF_NULL;

	for (size_t i = 0; i < mask_set_count(set); i++) {
		size_t n;
		const void *pattern = mask_set_pattern(set, i, &n);

		for (size_t at = 0; at + n <= len; at++)
			if (memcmp(in + at, pattern, n) == 0)
				memset(marks + at, 1, n);
	}
	for (size_t i = 0; i < len; i++) {
		if (!marks[i])
			buf_putc(&out, in[i]);
		else if (i == 0 || !marks[i - 1])
			buf_puts(&out, "***");
	}
	return buf_steal(&out);
}

static void random_letters(unsigned *seed, char *to, size_t len, unsigned letters)
{
	for (size_t i = 0; i < len; i++) {
		*seed = *seed * 1103515245 + 12345;
		to[i] = (char)('a' + (*seed >> 16) % letters);
	}
}

/* Few letters, so that prefixes, overlaps and false beginnings are everywhere; in random pieces. */
static void random_texts_are_masked_as_by_a_search_at_every_place(void **state)
{
	for (unsigned round = 0; round < 2000; round++) {
		unsigned seed = round, letters = 1 + round % 3;
		struct mask_set *set = mask_set_new();
		struct mask_stream s = MASK_STREAM_NULL;
		struct buf out = BUF_NULL;
		char in[256];

		for (unsigned i = 0; i < 1 + round % 12; i++) {
			char pattern[24];

			random_letters(&seed, pattern, sizeof(pattern), letters);
			mask_set_add_pattern(set, pattern, MASK_MIN_LENGTH + seed / 65536 % 16);
		}
		mask_set_build(set);
		random_letters(&seed, in, sizeof(in), letters);
		_cleanup_free_ char *expected = masked_plainly(set, in, sizeof(in));
		for (size_t at = 0, n; at < sizeof(in); at += n) {
			random_letters(&seed, (char[1]){0}, 1, 1);
			n = MIN(1 + seed / 65536 % (1 + round % 100), sizeof(in) - at);
			mask_stream_feed(set, &s, in + at, n, &out);
		}
		mask_stream_end(set, &s, &out);
		assert_string_equal(buf_str(&out), expected);
		mask_stream_fini(&s);
		buf_fini(&out);
		mask_set_free(set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_secret_is_masked),
		cmocka_unit_test(base64_is_masked_at_each_of_its_three_alignments),
		cmocka_unit_test(base64_in_lines_is_masked_line_by_line),
		cmocka_unit_test(what_javascript_and_go_leave_as_it_is_does_not_hide_a_secret),
		cmocka_unit_test(each_line_of_a_secret_is_masked_alone),
		cmocka_unit_test(values_inside_a_json_secret_are_masked_and_keys_are_not),
		cmocka_unit_test(overlapping_and_touching_matches_become_one),
		cmocka_unit_test(a_match_inside_a_prefix_that_comes_to_nothing_is_still_masked),
		cmocka_unit_test(only_a_live_prefix_is_held_back),
		cmocka_unit_test(random_texts_are_masked_as_by_a_search_at_every_place),
		cmocka_unit_test(a_short_secret_is_no_pattern_and_an_empty_set_masks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
