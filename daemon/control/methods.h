/* The functions of the methods, for the table in methods.c. */
#pragma once
#include "daemon/control/call.h"

/* operate.c */
void method_start_run(struct call *call);
void method_cancel_run(struct call *call);
void method_approve(struct call *call);
void method_reject(struct call *call);
void method_retry_run(struct call *call);
void method_pause(struct call *call);
void method_resume(struct call *call);
void method_reload(struct call *call);
void method_drain(struct call *call);

/* logs.c */
void method_logs(struct call *call);
extern const struct stream_ops logs_stream;
void logs_notice(struct control *control, const struct core_notice *notice);
void logs_look(void *control);

/* watch.c */
void method_watch(struct call *call);
extern const struct stream_ops watch_stream;

/* service.c */
void method_get_info(struct call *call);
void method_get_interface_description(struct call *call);
