/* The five fields of a cron expression, and the words that stand for them. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "base/memory.h"
#include "base/text.h"
#include "time/cron.h"
#include "time/cron_fields.h"

#define EXPRESSION_MAX 1024
#define SHOWN_MAX      48
#define FIELDS	       "minute, hour, day of month, month, day of week"

static const char *const months[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct field {
	const char *name;
	int low, high;
	int last;		  /* where `5/2` and a range that was written backwards end */
	const char *const *names; /* of the values from `low` on */
} fields[] = {
	{"minute", 0, 59, 59, NULL},
	{"hour", 0, 23, 23, NULL},
	{"day of month", 1, 31, 31, NULL},
	{"month", 1, 12, 12, months},
	{"day of week", 0, 7, 6, weekdays},
};
#define N_FIELDS ARRAY_SIZE(fields)

static const struct word {
	const char *word, *expression;
} words[] = {
	{"@hourly", "0 * * * *"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"},
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@reboot", NULL},
};

/* A piece of the expression. */
struct span {
	const char *at;
	size_t len;
};

static struct span span_of(const char *at, const char *end)
{
	return (struct span){.at = at, .len = (size_t)(end - at)};
}

/* Cuts at the first `c`; false, and nothing changed, without one. */
static bool span_cut(struct span *s, char c, struct span *ret_behind)
{
	const char *found = s->len > 0 ? memchr(s->at, c, s->len) : NULL;

	if (!found)
		return false;
	*ret_behind = span_of(found + 1, s->at + s->len);
	s->len = (size_t)(found - s->at);
	return true;
}

static char *shown(struct span s)
{
	return text_one_line(s.at, s.len, SHOWN_MAX);
}

/* L, 15W, LW, fri#2, ?: what other crons know. */
static bool is_extension(struct span s)
{
	size_t n = s.len;

	if (memchr(s.at, '#', n) || memchr(s.at, '?', n))
		return true;
	while (n > 0 && strchr("LlWw", s.at[n - 1]))
		n--;
	if (n == s.len)
		return false;
	while (n > 0 && s.at[n - 1] >= '0' && s.at[n - 1] <= '9')
		n--;
	return n == 0;
}

static char *not_a_value(const struct field *f, struct span s)
{
	_cleanup_free_ char *text = shown(s);

	if (s.len == 0)
		return xasprintf("%s: a value is missing", f->name);
	if (is_extension(s))
		return xasprintf("%s: \"%s\" is an extension of other crons (L, W, # and ?) that "
				 "is not known here",
			f->name, text);
	if (f->names)
		return xasprintf("%s: \"%s\" is neither a number nor a name (%s to %s)", f->name,
			text, f->names[0], f->names[f->last - f->low]);
	return xasprintf("%s: \"%s\" is not a number", f->name, text);
}

/* Decimal digits, stopping short of an overflow: a larger number is as wrong as this one. */
static bool digits(struct span s, int *ret)
{
	int n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		n = MIN(n * 10 + (s.at[i] - '0'), 100000000);
	}
	*ret = n;
	return s.len > 0;
}

static int value(const struct field *f, struct span s, int *ret, char **ret_error)
{
	int n;

	for (int i = 0; f->names && f->names[i]; i++) {
		if (s.len == 3 && strncasecmp(f->names[i], s.at, 3) == 0) {
			*ret = f->low + i;
			return 0;
		}
	}
	if (!digits(s, &n)) {
		*ret_error = not_a_value(f, s);
		return -EINVAL;
	}
	if (n < f->low || n > f->high) {
		_cleanup_free_ char *text = shown(s);

		*ret_error = xasprintf("%s: %s is not in %d-%d", f->name, text, f->low, f->high);
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

static int step_of(const struct field *f, struct span s, int *ret, char **ret_error)
{
	_cleanup_free_ char *text = shown(s);
	int n;

	if (!digits(s, &n)) {
		*ret_error =
			s.len == 0
				? xasprintf("%s: the step behind the slash is missing", f->name)
				: xasprintf("%s: the step \"%s\" is not a number", f->name, text);
		return -EINVAL;
	}
	if (n == 0) {
		*ret_error = xasprintf("%s: a step of 0 leads nowhere", f->name);
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

static char *backwards(const struct field *f, struct span from, struct span to)
{
	_cleanup_free_ char *a = shown(from), *b = shown(to);

	return xasprintf("%s: the range %s-%s runs backwards; %s-%d,%d-%s goes round", f->name, a,
		b, a, f->last, f->low, b);
}

/* `*`, `5`, `5-9`: the first and last value. */
static int range(const struct field *f, struct span s, int *ret_from, int *ret_to, char **ret_error)
{
	struct span from = s, to;
	int a, b, r;

	if (s.len == 1 && *s.at == '*') {
		*ret_from = f->low;
		*ret_to = f->high;
		return 0;
	}
	if (!span_cut(&from, '-', &to))
		to = from;
	r = value(f, from, &a, ret_error);
	if (r == 0)
		r = value(f, to, &b, ret_error);
	if (r < 0)
		return r;
	if (b < a) {
		*ret_error = backwards(f, from, to);
		return -EINVAL;
	}
	*ret_from = a;
	*ret_to = b;
	return 0;
}

/* A range and its step; a single value with a step goes on to the end of the field. */
static int term(const struct field *f, struct span s, uint64_t *bits, char **ret_error)
{
	struct span behind;
	int from, to, step = 1, r;
	bool stepped = span_cut(&s, '/', &behind);

	r = range(f, s, &from, &to, ret_error);
	if (r == 0 && stepped)
		r = step_of(f, behind, &step, ret_error);
	if (r < 0)
		return r;
	if (stepped && from == to) /* 5-5/2 as well */
		to = f->high;
	for (int i = from; i <= to; i += step)
		*bits |= UINT64_C(1) << i;
	return 0;
}

static int list(const struct field *f, struct span s, uint64_t *ret, char **ret_error)
{
	struct span behind;
	uint64_t bits = 0;
	bool more;

	do {
		more = span_cut(&s, ',', &behind);
		int r = term(f, s, &bits, ret_error);

		if (r < 0)
			return r;
		s = behind;
	} while (more);
	*ret = bits;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Returns how many there are; only the first `max` are stored. */
static size_t split(const char *s, struct span *ret, size_t max)
{
	size_t n = 0;

	for (;;) {
		const char *start;

		while (is_blank(*s))
			s++;
		if (!*s)
			return n;
		for (start = s; *s && !is_blank(*s);)
			s++;
		if (n < max)
			ret[n] = span_of(start, s);
		n++;
	}
}

static char *wrong_count(size_t n)
{
	if (n == 0)
		return xstrdup("the cron expression is empty");
	if (n == 6)
		return xstrdup("6 fields where cron has five (" FIELDS "): a field for seconds or "
			       "years is not known here");
	return xasprintf("%zu field%s where cron has five (" FIELDS ")", n, n == 1 ? "" : "s");
}

static char *unknown_word(struct span s)
{
	_cleanup_free_ char *text = shown(s);
	const char *all[ARRAY_SIZE(words)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		all[i] = words[i].word;
	near = text_nearest(text, all, ARRAY_SIZE(all));
	if (near)
		return xasprintf("\"%s\" is not known; did you mean %s?", text, near);
	return xasprintf("\"%s\" is not known; there are @hourly, @daily, @midnight, @weekly, "
			 "@monthly, @yearly, @annually and @reboot",
		text);
}

static const struct word *word_find(struct span s)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i].word) == s.len && strncasecmp(words[i].word, s.at, s.len) == 0)
			return &words[i];
	return NULL;
}

/* Both day fields must match and no month has such a day; otherwise a slot comes in the end. */
static bool never(const struct cron *c)
{
	if (!c->day_and)
		return false;
	for (int month = 1; month <= 12; month++) {
		uint32_t all = (uint32_t)((UINT64_C(2) << cron_month_days(month, true)) - 1);

		if (c->months & 1u << month && c->days & all)
			return false;
	}
	return true;
}

static int parse_fields(const struct span s[N_FIELDS], struct cron *c, char **ret_error)
{
	uint64_t bits[N_FIELDS];

	for (size_t i = 0; i < N_FIELDS; i++) {
		int r = list(&fields[i], s[i], &bits[i], ret_error);

		if (r < 0)
			return r;
	}
	c->minutes = bits[0];
	c->hours = (uint32_t)bits[1];
	c->days = (uint32_t)bits[2];
	c->months = (uint16_t)bits[3];
	c->weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f);
	c->follows_wall = *s[0].at == '*' || *s[1].at == '*';
	c->day_and = *s[2].at == '*' || *s[4].at == '*';
	c->is_never = never(c);
	return 0;
}

static int parse(const char *expression, struct cron *c, char **ret_error)
{
	struct span s[N_FIELDS];
	const struct word *word;
	size_t n;

	if (strnlen(expression, EXPRESSION_MAX + 1) > EXPRESSION_MAX) {
		*ret_error = xasprintf("a cron expression of more than %d bytes", EXPRESSION_MAX);
		return -EINVAL;
	}
	n = split(expression, s, N_FIELDS);
	if (n == 1 && *s[0].at == '@') {
		word = word_find(s[0]);
		if (!word) {
			*ret_error = unknown_word(s[0]);
			return -EINVAL;
		}
		if (!word->expression) {
			c->is_reboot = true;
			return 0;
		}
		n = split(word->expression, s, N_FIELDS);
	}
	if (n != N_FIELDS) {
		*ret_error = wrong_count(n);
		return -EINVAL;
	}
	return parse_fields(s, c, ret_error);
}

int cron_parse(const char *expression, struct cron **ret, char **ret_error)
{
	_cleanup_(cleanup_cron_free) struct cron *c = xnew(struct cron);
	int r = parse(expression, c, ret_error);

	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

void cron_free(struct cron *c)
{
	free(c);
}
