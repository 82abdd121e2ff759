/* The state folder: made where it may be, locked for one daemon, with the machine's own UUID. */
#pragma once

#define MACHINE_TEXT 37

struct state {
	char *path;		    /* absolute */
	char machine[MACHINE_TEXT]; /* this machine, for the store */
	char boot_id[MACHINE_TEXT];
	int lock; /* held for the life of the daemon, close-on-exec */
};

/* Blocks on local disk, before the loop runs. 0, or -errno with a sentence that the caller frees;
 * -EBUSY: another daemon holds it. */
int state_open(const char *path, struct state *ret, char **ret_error);
void state_close(struct state *s);
