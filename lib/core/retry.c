/* After the end of an attempt: is there to be another, and when? */
#include "core/attempt.h"
#include "core/gate.h"

#define NOT_READY_FIRST	    (30 * USEC_SEC)
#define NOT_READY_MOST	    (10 * USEC_MINUTE)
#define NEVER_STARTED_FIRST USEC_SEC
#define NEVER_STARTED_MOST  USEC_MINUTE

static unsigned counted_attempts(const struct step *step)
{
	unsigned n = 0;

	for (size_t i = 0; i < step->n_attempts; i++)
		n += step->attempts[i]->counted;
	return n;
}

static usec_t backoff(struct core *core, const struct spec_retry *retry, unsigned tries)
{
	double delay = (double)retry->delay;
	uint64_t dice;

	for (unsigned i = 1; i < tries && delay < (double)USEC_DAY; i++)
		delay *= retry->factor;
	if (retry->max_delay)
		delay = MIN(delay, (double)retry->max_delay);
	if (retry->jitter > 0) {
		dice = core->ports.random.next(core->ports.random.self) >> 11;
		delay *= 1 - retry->jitter + 2 * retry->jitter * (double)dice / 0x1p53;
	}
	return (usec_t)MIN(delay, (double)(30 * USEC_DAY));
}

static bool not_ready_again(const struct attempt *a, usec_t *ret_delay)
{
	usec_t delay = NOT_READY_FIRST / 2;

	for (size_t i = 0; i < a->step->n_attempts && delay < NOT_READY_MOST; i++)
		if (a->step->attempts[i]->outcome == OUTCOME_NOT_READY)
			delay *= 2;
	delay = MIN(delay, NOT_READY_MOST);
	if (delay > gate_ready_left(a))
		return false;
	*ret_delay = delay;
	return true;
}

/* Doubling with each one in a row. */
static usec_t never_started_delay(const struct step *step)
{
	usec_t delay = NEVER_STARTED_FIRST;

	for (size_t i = step->n_attempts - 1; i > 0 && delay < NEVER_STARTED_MOST; i--) {
		if (!step->attempts[i - 1]->never_started)
			break;
		delay *= 2;
	}
	return MIN(delay, NEVER_STARTED_MOST);
}

bool attempt_is_retried(struct attempt *a, usec_t *ret_delay)
{
	const struct spec_retry *retry = &a->step->spec->retry;
	unsigned tries = counted_attempts(a->step);

	if (a->outcome == OUTCOME_OK || a->final || a->step->cell->stop || a->step->cancelled)
		return false;
	if (a->never_started) {
		*ret_delay = never_started_delay(a->step);
		return true;
	}
	if (a->outcome == OUTCOME_NOT_READY)
		return not_ready_again(a, ret_delay);
	if (!(retry->on & 1u << a->outcome) || tries >= retry->attempts)
		return false;
	*ret_delay = backoff(a->step->cell->run->core, retry, tries);
	return true;
}
