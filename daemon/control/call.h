/* One call of a method: made by call_begin(), answered once. A call lives until it is answered and
 * nothing asks about it any more, so its parameters outlive the core's operation. */
#pragma once
#include "base/json.h"
#include "daemon/control/connection.h"

struct method;

struct call {
	struct list link; /* control.calls */
	struct control *control;
	struct connection *connection; /* NULL: answered, or the client is gone */
	const struct method *method;
	cJSON *parameters; /* checked against the method's table; never NULL */
	bool more, oneway;
	char *who, *reason;
	struct core_only *only;
	struct core_op op;
	struct work naming; /* asks for the peer's name */
	uid_t uid;
	unsigned n_holds; /* what still refers to it: itself until answered, the core, the pool */
	void *stream;	  /* the method's own, see method.stream */
};

enum param_type {
	PARAM_NONE,
	PARAM_STRING,
	PARAM_BOOL,
	PARAM_INT,
	PARAM_ONLY, /* a list of {key, value} */
};

struct param {
	const char *name;
	enum param_type type;
	bool required;
};

/* What a streaming method adds. */
struct stream_ops {
	bool paced; /* it minds how much is queued */
	/* The client has taken what was sent, but for `queued` bytes. May be NULL. */
	void (*drained)(struct call *call, size_t queued);
	/* The client is gone: give back what call->stream holds. */
	void (*gone)(struct call *call);
};

struct method {
	const char *name;
	bool operate;			 /* else reading */
	bool patient;			 /* no deadline: it may take hours */
	const struct stream_ops *stream; /* NULL: one reply */
	void (*run)(struct call *call);
	const char *subject; /* the parameter that says what it is about, for the audit */
	struct param params[5];
};

struct interface {
	const char *name, *description;
	const struct method *methods;
	size_t n_methods;
};
extern const struct interface control_interfaces[];
extern const size_t n_control_interfaces;

/* Checks the message and calls its method. Negative: this is no varlink, drop the client. */
int call_begin(struct connection *c, const char *message, size_t len);

/* The last reply; frees the call (a NULL object: {}). Both take the parameters. */
void call_reply(struct call *call, cJSON *take_parameters);
/* One reply of a stream. Returns false when the call (and the client) went away over it. */
bool call_continue(struct call *call, cJSON *take_parameters);
/* A NULL interface: this one's. */
void call_error(struct call *call, const char *interface, const char *name, cJSON *take_parameters);
/* {"message": text} */
void call_error_message(struct call *call, const char *name, const char *message);
/* Prepares call->op for the core and holds the call until the core answers. The answer is passed
 * on as it is. */
struct core_op *call_op(struct call *call);
/* The same with another way to answer; it must call call_op_over() last. */
struct core_op *call_op_with(
	struct call *call, void (*done)(struct core_op *, enum core_error, const char *, cJSON *));
void call_op_over(struct call *call);
/* Answers with the core's error; error is not CORE_OK. */
void call_core_error(struct call *call, enum core_error error, const char *message);

/* The values of the parameter "only"; they live as long as the call. */
struct core_only *call_only(struct call *call, size_t *ret_n);

/* --- for the connection ------------------------------------------------------------------- */

bool call_is_stream(const struct call *call);
bool call_is_paced(const struct call *call);
void call_client_gone(struct call *call);
void call_drained(struct call *call, size_t queued);
/* The deadline has passed. */
void call_late(struct call *call);
/* For teardown: what is left of it is freed when its last holder lets go. */
void call_forget(struct call *call);
