/* Masking: an Aho-Corasick automaton over the patterns, and the forms that a secret takes.
 *
 * Matches that overlap or touch become one "***". Bytes are held back while they are a prefix of
 * some pattern: the depth of the automaton's node says how many.
 *
 * No pattern is shorter than MASK_MIN_LENGTH, so most bytes are never looked at: where nothing is
 * held, the last three bytes of a window as long as the shortest pattern say how far away the next
 * match can begin (Wu and Manber's shifts). The automaton takes over where eight bytes may well
 * begin a pattern, and gives back when what it holds is short. */
#include <stdint.h>
#include <string.h>
#include "base/mask.h"
#include "base/memory.h"

#define MASKED "***"

struct pattern {
	unsigned char *bytes;
	size_t len;
};

/* A node's children are a chain of edges: few in most nodes, and the set is small. */
struct node {
	uint32_t first_edge; /* 0: none */
	uint32_t fail;
	uint32_t depth;
	uint32_t match; /* the longest pattern that ends here; 0: none */
};

struct edge {
	uint32_t next_edge;
	uint32_t to;
	unsigned char byte;
};

struct mask_set {
	struct pattern *patterns;
	size_t n_patterns, cap_patterns;
	struct node *nodes; /* nodes[0] is the root */
	size_t n_nodes, cap_nodes;
	struct edge *edges; /* edges[0] is nobody's */
	size_t n_edges, cap_edges;
	uint32_t root[256];    /* the root's children, for speed */
	unsigned char *shifts; /* by the hash of three bytes */
	unsigned char *begins; /* 1: eight bytes with this hash begin some pattern */
	unsigned hash_bits;
	unsigned window; /* the shortest pattern, or WINDOW_MAX */
};

/* --- the set ------------------------------------------------------------------------------ */

struct mask_set *mask_set_new(void)
{
	return xnew(struct mask_set);
}

void mask_set_free(struct mask_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n_patterns; i++) {
		explicit_bzero(set->patterns[i].bytes, set->patterns[i].len);
		free(set->patterns[i].bytes);
	}
	free(set->patterns);
	if (set->edges)
		explicit_bzero(set->edges, set->n_edges * sizeof(*set->edges));
	free(set->edges);
	free(set->nodes);
	free(set->shifts);
	free(set->begins);
	free(set);
}

void mask_set_add_pattern(struct mask_set *set, const void *pattern, size_t len)
{
	if (len < MASK_MIN_LENGTH)
		return;
	for (size_t i = 0; i < set->n_patterns; i++)
		if (set->patterns[i].len == len &&
			memcmp(set->patterns[i].bytes, pattern, len) == 0)
			return;
	XGROW(set->patterns, set->n_patterns, set->cap_patterns);
	set->patterns[set->n_patterns++] = (struct pattern){xmemdup(pattern, len), len};
}

size_t mask_set_count(const struct mask_set *set)
{
	return set ? set->n_patterns : 0;
}

const void *mask_set_pattern(const struct mask_set *set, size_t i, size_t *ret_len)
{
	*ret_len = set->patterns[i].len;
	return set->patterns[i].bytes;
}

/* --- the forms of a secret ---------------------------------------------------------------- */

/* Tools that make base64 break its lines: base64(1) and MIME at 76, openssl and PEM at 64. */
static void add_wrapped(struct mask_set *set, const struct buf *text)
{
	static const size_t widths[] = {76, 64};

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++)
		for (size_t at = 0; text->len > widths[i] && at < text->len; at += widths[i])
			mask_set_add_pattern(set, text->data + at, MIN(widths[i], text->len - at));
}

/* Base64 without its ends: at each alignment only the characters that the secret alone decides. */
static void add_base64(
	struct mask_set *set, const unsigned char *s, size_t len, const char *alphabet)
{
	for (size_t shift = 0; shift < 3; shift++) {
		size_t skip = (8 * shift + 5) / 6; /* characters that a byte before it shares */
		size_t bits = 8 * (shift + len), whole = bits / 6;
		_cleanup_buf_ struct buf out = BUF_NULL;

		for (size_t i = skip; i < whole; i++) {
			unsigned value = 0;

			for (size_t b = 6 * i; b < 6 * i + 6; b++) {
				size_t at = b - 8 * shift;

				value = value << 1 | (s[at / 8] >> (7 - at % 8) & 1);
			}
			buf_putc(&out, alphabet[value]);
		}
		if (out.len)
			mask_set_add_pattern(set, out.data, out.len);
		if (shift == 0)
			add_wrapped(set, &out);
		if (out.data)
			explicit_bzero(out.data, out.len);
	}
}

/* What encoders leave as it is beside letters and digits: RFC 3986, with the slash of a path, and
 * JavaScript's. */
static const char *const unreserved[] = {"-._~", "-._~/", "-._~!*'()"};

static bool is_unreserved(unsigned char c, const char *also)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(also, c));
}

static void add_percent(struct mask_set *set, const unsigned char *s, size_t len,
	const char *digits, bool plus, const char *keep)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	for (size_t i = 0; i < len; i++) {
		if (is_unreserved(s[i], keep)) {
			buf_putc(&out, (char)s[i]);
		} else if (plus && s[i] == ' ') {
			buf_putc(&out, '+');
		} else {
			buf_putc(&out, '%');
			buf_putc(&out, digits[s[i] >> 4]);
			buf_putc(&out, digits[s[i] & 15]);
		}
	}
	mask_set_add_pattern(set, out.data, out.len);
	explicit_bzero(out.data, out.len);
}

struct json_style {
	bool slash;	    /* \/ */
	bool long_controls; /* \u000a for \n */
	bool html;	    /* <, > and & as \u003c ... */
	bool quote;	    /* ' likewise */
	bool ascii;	    /* everything beyond ASCII as \uXXXX */
	const char *digits;
};

static void put_unit(struct buf *out, unsigned unit, const char *digits)
{
	buf_puts(out, "\\u");
	for (int shift = 12; shift >= 0; shift -= 4)
		buf_putc(out, digits[unit >> shift & 15]);
}

/* One code point of valid UTF-8 as one or two \uXXXX; returns its length, 0 if it is not valid. */
static size_t put_code_point(
	struct buf *out, const unsigned char *s, size_t len, const char *digits)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	unsigned c = s[0] & (0xffu >> (n + 1));

	if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s[i] & 0x3f);
	if (c >= 0x10000) {
		put_unit(out, 0xd800 + ((c - 0x10000) >> 10), digits);
		put_unit(out, 0xdc00 + ((c - 0x10000) & 0x3ff), digits);
	} else {
		put_unit(out, c, digits);
	}
	return n;
}

static size_t put_json(
	struct buf *out, const unsigned char *s, size_t len, const struct json_style *style)
{
	static const char shorts[] = "\b\t\n\f\r", letters[] = "btnfr";
	const char *at = *s ? strchr(shorts, *s) : NULL;
	size_t n;

	if (*s == '"' || *s == '\\' || (*s == '/' && style->slash)) {
		buf_putc(out, '\\');
		buf_putc(out, (char)*s);
	} else if (at && !style->long_controls) {
		buf_putc(out, '\\');
		buf_putc(out, letters[at - shorts]);
	} else if (*s < 0x20 || (style->quote && *s == '\'') ||
		   (style->html && *s < 0x80 && strchr("<>&", *s))) {
		put_unit(out, *s, style->digits);
	} else if (*s >= 0x80 && style->ascii &&
		   (n = put_code_point(out, s, len, style->digits)) > 0) {
		return n;
	} else {
		buf_putc(out, (char)*s);
	}
	return 1;
}

static void add_json(
	struct mask_set *set, const unsigned char *s, size_t len, const struct json_style *style)
{
	_cleanup_buf_ struct buf out = BUF_NULL;

	for (size_t i = 0; i < len;)
		i += put_json(&out, s + i, len - i, style);
	mask_set_add_pattern(set, out.data, out.len);
	explicit_bzero(out.data, out.len);
}

static void add_all_json(struct mask_set *set, const unsigned char *s, size_t len)
{
	for (unsigned bits = 0; bits < 64; bits++)
		add_json(set, s, len,
			&(struct json_style){
				.slash = bits & 1,
				.long_controls = bits & 2,
				.html = bits & 4,
				.ascii = bits & 8,
				.digits = bits & 16 ? "0123456789ABCDEF" : "0123456789abcdef",
				.quote = bits & 32,
			});
}

/* One value in every form: as it is, and encoded. */
static void add_value(struct mask_set *set, const unsigned char *s, size_t len)
{
	static const char std[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char url[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	if (len < MASK_MIN_LENGTH)
		return;
	mask_set_add_pattern(set, s, len);
	add_base64(set, s, len, std);
	add_base64(set, s, len, url);
	for (unsigned bits = 0; bits < 4 * ARRAY_SIZE(unreserved); bits++)
		add_percent(set, s, len, bits & 1 ? "0123456789abcdef" : "0123456789ABCDEF",
			bits & 2, unreserved[bits / 4]);
	add_all_json(set, s, len);
}

/* The whole, and each line of it. */
static void add_text(struct mask_set *set, const unsigned char *s, size_t len)
{
	size_t begin = 0;

	add_value(set, s, len);
	for (size_t i = 0; i <= len && memchr(s, '\n', len); i++) {
		if (i < len && s[i] != '\n')
			continue;
		add_value(set, s + begin, i - begin - (i > begin && s[i - 1] == '\r'));
		begin = i + 1;
	}
}

static int hex_digit(unsigned char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* \uXXXX as UTF-8; units of a pair come one by one and are left as they are. */
static void put_utf8(struct buf *out, unsigned c)
{
	if (c < 0x80) {
		buf_putc(out, (char)c);
	} else if (c < 0x800) {
		buf_putc(out, (char)(0xc0 | c >> 6));
		buf_putc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_putc(out, (char)(0xe0 | c >> 12));
		buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_putc(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* An escape behind its backslash; returns how many bytes it took. */
static size_t unescape(struct buf *out, const unsigned char *s, size_t len)
{
	static const char letters[] = "btnfr", shorts[] = "\b\t\n\f\r";
	const char *at = *s ? strchr(letters, *s) : NULL;
	unsigned c = 0;

	if (at) {
		buf_putc(out, shorts[at - letters]);
		return 1;
	}
	if (*s != 'u' || len < 5) {
		buf_putc(out, (char)*s);
		return 1;
	}
	for (size_t i = 1; i <= 4; i++) {
		if (hex_digit(s[i]) < 0)
			return 1;
		c = c << 4 | (unsigned)hex_digit(s[i]);
	}
	put_utf8(out, c);
	return 5;
}

/* The string literals of a secret that is a JSON document (a service account's key, for one). */
static void add_json_leaves(struct mask_set *set, const unsigned char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		_cleanup_buf_ struct buf leaf = BUF_NULL;

		if (s[i++] != '"')
			continue;
		while (i < len && s[i] != '"') {
			if (s[i] == '\\' && i + 1 < len)
				i += 1 + unescape(&leaf, s + i + 1, len - i - 1);
			else
				buf_putc(&leaf, (char)s[i++]);
		}
		if (i >= len) /* never closed: no literal */
			return;
		i++;
		/* A key is public and may be a common word; a value is followed by no colon. */
		while (i < len && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r'))
			i++;
		if (leaf.len && (i >= len || s[i] != ':'))
			add_text(set, (const unsigned char *)leaf.data, leaf.len);
		if (leaf.data)
			explicit_bzero(leaf.data, leaf.len);
	}
}

void mask_set_add_secret(struct mask_set *set, const char *secret, size_t len)
{
	const unsigned char *s = (const unsigned char *)secret;

	add_text(set, s, len);
	if (len && (*s == '{' || *s == '['))
		add_json_leaves(set, s, len);
}

/* --- the automaton ------------------------------------------------------------------------ */

static uint32_t child(const struct mask_set *set, uint32_t node, unsigned char byte)
{
	if (node == 0)
		return set->root[byte];
	for (uint32_t e = set->nodes[node].first_edge; e; e = set->edges[e].next_edge)
		if (set->edges[e].byte == byte)
			return set->edges[e].to;
	return 0;
}

static uint32_t add_child(struct mask_set *set, uint32_t node, unsigned char byte)
{
	uint32_t to = (uint32_t)set->n_nodes;

	XGROW(set->nodes, set->n_nodes, set->cap_nodes);
	set->nodes[set->n_nodes++] = (struct node){.depth = set->nodes[node].depth + 1};
	XGROW(set->edges, set->n_edges, set->cap_edges);
	set->edges[set->n_edges] = (struct edge){
		.next_edge = set->nodes[node].first_edge,
		.to = to,
		.byte = byte,
	};
	set->nodes[node].first_edge = (uint32_t)set->n_edges++;
	if (node == 0)
		set->root[byte] = to;
	return to;
}

static void insert(struct mask_set *set, const struct pattern *p)
{
	uint32_t node = 0;

	for (size_t i = 0; i < p->len; i++) {
		uint32_t next = child(set, node, p->bytes[i]);

		node = next ? next : add_child(set, node, p->bytes[i]);
	}
	set->nodes[node].match = (uint32_t)p->len;
}

/* The longest proper suffix of node+byte that is a prefix of some pattern. */
static uint32_t follow(const struct mask_set *set, uint32_t node, unsigned char byte)
{
	uint32_t next;

	while (!(next = child(set, node, byte)) && node)
		node = set->nodes[node].fail;
	return next;
}

/* Breadth first, so that a node's fail is ready before its children are looked at. */
static void link_fails(struct mask_set *set)
{
	uint32_t *queue = xcalloc(set->n_nodes, sizeof(*queue));
	size_t head = 0, tail = 1;

	while (head < tail) {
		uint32_t node = queue[head++];

		for (uint32_t e = set->nodes[node].first_edge; e; e = set->edges[e].next_edge) {
			const struct edge *edge = &set->edges[e];
			struct node *to = &set->nodes[edge->to];

			to->fail = node ? follow(set, set->nodes[node].fail, edge->byte) : 0;
			to->match = MAX(to->match, set->nodes[to->fail].match);
			queue[tail++] = edge->to;
		}
	}
	free(queue);
}

/* --- skipping ----------------------------------------------------------------------------- */

#define GRAM	   3u
#define WINDOW_MAX 32u
#define TABLE_MAX  15u /* bits: 32 KiB, what the first cache holds */

static size_t hash_gram(const struct mask_set *set, const unsigned char *p)
{
	uint32_t w = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;

	return w * UINT32_C(0x9e3779b1) >> (32 - set->hash_bits);
}

static size_t hash_begin(const struct mask_set *set, const unsigned char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w * UINT64_C(0x9e3779b97f4a7c15) >> (64 - set->hash_bits);
}

/* Large enough that a text's bytes meet a pattern's by chance seldom. */
static void size_tables(struct mask_set *set)
{
	set->window = WINDOW_MAX;
	for (size_t i = 0; i < set->n_patterns; i++)
		set->window = (unsigned)MIN(set->window, set->patterns[i].len);
	set->hash_bits = 8;
	while (set->hash_bits < TABLE_MAX &&
		(size_t)1 << set->hash_bits < set->n_patterns * set->window * 32)
		set->hash_bits++;
}

static void make_shifts(struct mask_set *set)
{
	unsigned most;
	size_t size;

	size_tables(set);
	most = set->window - GRAM + 1;
	size = (size_t)1 << set->hash_bits;
	set->shifts = xmalloc(size);
	set->begins = xcalloc(size, 1);
	memset(set->shifts, (int)most, size);
	for (size_t i = 0; i < set->n_patterns; i++) {
		const unsigned char *bytes = set->patterns[i].bytes;

		for (unsigned at = 0; at < most; at++) {
			unsigned char *shift = &set->shifts[hash_gram(set, bytes + at)];

			*shift = MIN(*shift, (unsigned char)(most - 1 - at));
		}
		set->begins[hash_begin(set, bytes)] = 1;
	}
}

/* The first place from p on where a pattern may begin, or where less than a window is left. */
static const unsigned char *skip(
	const struct mask_set *set, const unsigned char *p, const unsigned char *end)
{
	const size_t window = set->window, last = window - GRAM;

	while ((size_t)(end - p) >= window) {
		unsigned shift = set->shifts[hash_gram(set, p + last)];

		if (shift == 0 && set->begins[hash_begin(set, p)])
			return p;
		p += shift ? shift : 1;
	}
	return p;
}

void mask_set_build(struct mask_set *set)
{
	XGROW(set->nodes, set->n_nodes, set->cap_nodes);
	set->nodes[set->n_nodes++] = (struct node){0};
	XGROW(set->edges, set->n_edges, set->cap_edges);
	set->edges[set->n_edges++] = (struct edge){0};
	for (size_t i = 0; i < set->n_patterns; i++)
		insert(set, &set->patterns[i]);
	link_fails(set);
	make_shifts(set);
}

/* --- streams ------------------------------------------------------------------------------ */

void mask_stream_fini(struct mask_stream *s)
{
	buf_fini(&s->held);
	buf_fini(&s->marks);
	*s = MASK_STREAM_NULL;
}

/* Releases the first n of the held bytes: what a match covers as one MASKED. */
static void release(struct mask_stream *s, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		bool covered = s->marks.data[i];

		if (!covered)
			buf_putc(out, s->held.data[i]);
		else if (!s->in_match)
			buf_puts(out, MASKED);
		s->in_match = covered;
	}
	buf_consume(&s->held, n);
	buf_consume(&s->marks, n);
}

static void feed_byte(
	const struct mask_set *set, struct mask_stream *s, unsigned char byte, struct buf *out)
{
	const struct node *node;

	s->state = follow(set, s->state, byte);
	node = &set->nodes[s->state];
	buf_putc(&s->held, (char)byte);
	buf_putc(&s->marks, 0);
	if (node->match)
		memset(s->marks.data + s->marks.len - node->match, 1, node->match);
	if (s->held.len > node->depth)
		release(s, s->held.len - node->depth, out);
}

/* Whether what is held is better looked for anew by skipping: short, no part of a match, and all
 * behind `from`, where the automaton began (else it would begin there for ever). */
static bool may_skip(const struct mask_set *set, const struct mask_stream *s,
	const unsigned char *from, const unsigned char *p)
{
	return s->held.len < set->window && (size_t)(p - from) > s->held.len &&
	       (s->held.len == 0 || !memchr(s->marks.data, 1, s->held.len));
}

/* Feeds the automaton until there is nothing left or skipping may go on; returns where. */
static const unsigned char *feed_until_plain(const struct mask_set *set, struct mask_stream *s,
	const unsigned char *p, const unsigned char *end, struct buf *out)
{
	const unsigned char *from = p;

	while (p < end) {
		feed_byte(set, s, *p++, out);
		if ((size_t)(end - p) >= set->window && may_skip(set, s, from, p)) {
			p -= s->held.len;
			buf_clear(&s->held);
			buf_clear(&s->marks);
			s->state = 0;
			break;
		}
	}
	return p;
}

void mask_stream_feed(const struct mask_set *set, struct mask_stream *s, const void *data,
	size_t len, struct buf *out)
{
	const unsigned char *p = data, *end = p + len;

	if (mask_set_count(set) == 0) {
		buf_append(out, data, len);
		return;
	}
	while (p < end) {
		const unsigned char *plain = p;

		if (s->held.len == 0) {
			p = skip(set, p, end);
			if (p > plain) {
				buf_append(out, plain, (size_t)(p - plain));
				s->in_match = false;
			}
		}
		p = feed_until_plain(set, s, p, end, out);
	}
}

void mask_stream_end(const struct mask_set *set, struct mask_stream *s, struct buf *out)
{
	release(s, s->held.len, out);
	s->state = 0;
	s->in_match = false;
}

char *mask_string(const struct mask_set *set, const char *text)
{
	struct mask_stream s = MASK_STREAM_NULL;
	struct buf out = BUF_NULL;

	mask_stream_feed(set, &s, text, strlen(text), &out);
	mask_stream_end(set, &s, &out);
	mask_stream_fini(&s);
	return buf_steal(&out);
}
