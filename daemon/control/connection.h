/* One client: NUL-terminated messages in and out, one call at a time. */
#pragma once
#include "base/buf.h"
#include "daemon/control/peer.h"
#include "daemon/control/server.h"

struct call;

struct connection {
	struct list link; /* control.connections */
	struct control *control;
	struct control_user *user;
	uv_pipe_t pipe;
	uv_timer_t timer; /* what it waits for, by state */
	unsigned n_handles;

	enum connection_state {
		CONNECTION_IDLE, /* between calls; the timer runs while half a message is there */
		CONNECTION_CALLING,  /* the timer is the call's deadline, none for a stream */
		CONNECTION_FLUSHING, /* answered; the timer is the reply's */
		CONNECTION_CLOSING,
	} state;
	struct peer peer;
	char *who; /* NULL until somebody asked the name service */
	struct buf in;
	size_t scanned; /* so many bytes of it hold no NUL */
	bool reading, half, eof;
	bool unhurried; /* the last reply may take any time */
	bool turn;	/* the timer means: go on with the next message */
	bool in_next;	/* connection_next() is on the stack */
	struct call *call;
	size_t queued; /* bytes written and not yet taken */
};

/* Takes the next client from the listener, or closes it at once where there are too many. */
void connection_accept(struct control *control);
/* Sends one message (len without its NUL; taken). The last one of a call frees the connection for
 * the next. A client that does not read is dropped. */
void connection_send(struct connection *c, char *take_text, size_t len, bool last);
/* The call is over without a reply. */
void connection_done(struct connection *c);
/* Bounds the wait for the call's answer. */
void connection_deadline(struct connection *c, uint64_t ms);
void connection_drop(struct connection *c);
