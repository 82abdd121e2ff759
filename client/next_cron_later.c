/* Stands in for next_cron.c where the tree has none yet: see meson.build. */
#include "client/client.h"

int next_cron(const char *expr, const char *zone, const char *after, const char *n, bool json)
{
	client_say("next --cron is not there yet");
	return STATUS_FAILED;
}
