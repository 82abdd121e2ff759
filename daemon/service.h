/* systemd: readiness, the watchdog, and whether a stop means that the machine goes down. */
#pragma once
#include <stdbool.h>
#include <uv.h>
#include "daemon/loop/loop.h"

struct service {
	uv_loop_t *loop;
	struct open_count *count;
	uv_timer_t watchdog;
	bool has_watchdog;
	char status[256]; /* what STATUS= says now */
};

/* Starts the watchdog from the loop, where the unit asks for one. */
void service_init(struct service *s, uv_loop_t *loop, struct open_count *count);
void service_close(struct service *s);
void service_ready(struct service *s);
void service_reloading(struct service *s);
void service_stopping(struct service *s);
/* STATUS=, sent only when it changes. */
void service_status(struct service *s, const char *format, ...) _printf_(2, 3);

/* Asks systemctl whether the machine is going down; `answer` comes on the loop, false where there
 * is no systemd to ask, or no answer in five seconds. */
void service_ask_going_down(
	struct service *s, void (*answer)(void *arg, bool going_down), void *arg);
