/* TZif files (RFC 8536), versions 1 to 4. The bytes may come from anywhere: every count is checked
 * against what is there before it is used. */
#include <errno.h>
#include <string.h>
#include "base/memory.h"
#include "time/zone.h"
#include "time/zone_rule.h"

#define HEADER 44
#define TYPE   6 /* bytes of a local time type */

/* Beyond it the calendar's years leave an int: no offset changes there. */
#define CALENDAR_END ((int64_t)60000000000000000)

struct zone {
	int64_t *times; /* ascending */
	int *offsets;	/* from that time on */
	size_t n;
	int first; /* before all times */
	bool has_rule;
	struct zone_rule rule;
	int64_t rule_from; /* the file's last transition, also where that changed no offset */
};

struct block {
	uint32_t isut, isstd, leap, times, types, chars;
	size_t time_size;
	const uint8_t *data;
	uint64_t len;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be_time(const uint8_t *p, size_t size)
{
	if (size == 4)
		return (int32_t)be32(p);
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* The header and data block at the start of `data`; false if they are not all there. */
static bool block_read(const uint8_t *data, size_t len, size_t time_size, struct block *ret)
{
	struct block b = {.time_size = time_size};

	if (len < HEADER || memcmp(data, "TZif", 4) != 0)
		return false;
	b.isut = be32(data + 20);
	b.isstd = be32(data + 24);
	b.leap = be32(data + 28);
	b.times = be32(data + 32);
	b.types = be32(data + 36);
	b.chars = be32(data + 40);
	b.data = data + HEADER;
	b.len = (uint64_t)b.times * (time_size + 1) + (uint64_t)b.types * TYPE + b.chars +
		(uint64_t)b.leap * (time_size + 4) + b.isstd + b.isut;
	if (b.len > len - HEADER)
		return false;
	*ret = b;
	return true;
}

static bool type_offset(const struct block *b, size_t type, int *ret)
{
	const uint8_t *types = b->data + b->times * (b->time_size + 1);
	int32_t offset;

	if (type >= b->types)
		return false;
	offset = (int32_t)be32(types + type * TYPE);
	if (offset < -ZONE_OFFSET_MAX || offset > ZONE_OFFSET_MAX)
		return false;
	*ret = offset;
	return true;
}

/* Transitions that leave the offset as it is (another name, another flag) are dropped. */
static bool take_block(struct zone *z, const struct block *b)
{
	const uint8_t *types = b->data + b->times * b->time_size;
	int64_t last = INT64_MIN;
	int now;

	if (!type_offset(b, 0, &z->first))
		return false;
	now = z->first;
	z->times = xcalloc((size_t)b->times + 1, sizeof(*z->times));
	z->offsets = xcalloc((size_t)b->times + 1, sizeof(*z->offsets));
	for (uint32_t i = 0; i < b->times; i++) {
		int64_t at = be_time(b->data + i * b->time_size, b->time_size);
		int offset;

		if ((i > 0 && at <= last) || !type_offset(b, types[i], &offset))
			return false;
		last = at;
		if (offset == now)
			continue;
		z->times[z->n] = at;
		z->offsets[z->n++] = now = offset;
	}
	z->rule_from = last;
	return true;
}

/* A newline, the TZ string, a newline. An empty string: nothing is known of the future. */
static bool take_footer(struct zone *z, const uint8_t *data, size_t len)
{
	const uint8_t *end;

	if (len < 2 || data[0] != '\n')
		return false;
	end = memchr(data + 1, '\n', len - 1);
	if (!end)
		return false;
	if (end == data + 1)
		return true;
	z->has_rule = zone_rule_parse((const char *)data + 1, (size_t)(end - data) - 1, &z->rule);
	return z->has_rule;
}

/* The rule holds from the last transition on, where the file should agree with it. */
static bool take_all(struct zone *z, const uint8_t *data, size_t len)
{
	struct block b;

	if (!block_read(data, len, 4, &b))
		return false;
	if (data[4] == 0)
		return take_block(z, &b);
	data += HEADER + b.len;
	len -= HEADER + b.len;
	if (!block_read(data, len, 8, &b) || !take_block(z, &b))
		return false;
	return take_footer(z, data + HEADER + b.len, len - HEADER - b.len);
}

int zone_parse(const void *data, size_t len, struct zone **ret)
{
	_cleanup_(cleanup_zone_free) struct zone *z = xnew(struct zone);

	if (!take_all(z, data, len))
		return -EBADMSG;
	*ret = TAKE_PTR(z);
	return 0;
}

struct zone *zone_utc(void)
{
	return xnew(struct zone);
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	free(z->times);
	free(z->offsets);
	free(z);
}

/* How many transitions are at or before that instant. */
static size_t passed(const struct zone *z, int64_t seconds)
{
	size_t low = 0, high = z->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (z->times[middle] <= seconds)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool rule_holds(const struct zone *z, int64_t seconds)
{
	return z->has_rule && seconds >= z->rule_from && seconds > -CALENDAR_END &&
	       seconds < CALENDAR_END;
}

static int listed_offset(const struct zone *z, size_t n_passed)
{
	return n_passed == 0 ? z->first : z->offsets[n_passed - 1];
}

int zone_offset(const struct zone *z, int64_t seconds)
{
	if (rule_holds(z, seconds))
		return zone_rule_offset(&z->rule, seconds);
	return listed_offset(z, passed(z, seconds));
}

int64_t zone_next_transition(const struct zone *z, int64_t seconds)
{
	size_t n;

	if (rule_holds(z, seconds))
		return zone_rule_next(&z->rule, seconds);
	n = passed(z, seconds);
	if (n < z->n)
		return z->times[n];
	if (seconds >= z->rule_from || !rule_holds(z, z->rule_from))
		return INT64_MAX;
	if (zone_rule_offset(&z->rule, z->rule_from) != listed_offset(z, n))
		return z->rule_from;
	return zone_rule_next(&z->rule, z->rule_from);
}
