/* What the daemon and a shim tell each other. Both sides include this file; it depends on nothing.
 *
 * The daemon spawns the shim's program with
 *     argv     { "nightjar-shim" }, no environment, cwd "/"
 *     fd 0     /dev/null
 *     fd 1, 2  /dev/null
 *     fd 3     the order: a sealed memfd, read from offset 0
 *     fd 4     the action's folder, O_PATH|O_DIRECTORY
 *     fd 5     the lock, its flock held: kept open until the end, and from the child
 *     fd 6     optional: the cgroup folder the child is to be made in, O_DIRECTORY|O_PATH
 *
 * Order: SHIM_MAGIC, then fields, each `uint32 tag, uint32 length, bytes` (host byte order), ended
 * by SHIM_END. A repeated tag adds to a list. An unknown tag is skipped: a newer daemon may say
 * more.
 *
 * In the action's folder the shim writes:
 *   started      once, by rename, right before the child is made (boot id, pid of the shim and its
 * start time):
 *                {"version":1,"boot_id":"...","pid":123,"start_time":456 (field 22 of
 * /proc/PID/stat), "at":"RFC3339nano"}. Not synced to the disk: that it is missing proves that
 * nothing was run only within the boot that action.json names. output.log   lines `RFC3339nano
 * stdout|stderr F|P text`, up to half of log_cap; then output.1, output.2   in turn, each of at
 * most a quarter of log_cap, the older one overwritten; the first line of each is
 *                `# offset N` : how many bytes of log were written before it, these first lines not
 *                counted. A tail file appears whole with its first line, by rename (output.new); a
 *                log file then only grows. Its last line is `F`, also when the child did not end
 * it. status.json  at the end, by rename and fsync of the preallocated status.json.new
 *                {"version":1,"end":"exited|signalled|not_started","code","signal","stop":null|reason,
 *                 "lease_over":bool,"oom_killed":bool,"message":null|text,"started_at","ended_at"
 *                 (RFC3339 with µs, UTC; null when not started),"max_rss" (bytes),"cpu_ms",
 *                 "output_bytes","output_dropped"} ("code" and "signal": null where they do not
 *                 apply; bytes of output as it is after masking; dropped: not in the log any more)
 * and reads:
 *   stop         one word of stop_reason_name(), made by rename; the daemon then sends SIGUSR1
 *                through the shim's pidfd.
 * Signals to the shim: SIGUSR1: read `stop` and end the child; SIGTERM: shutdown; SIGINT, SIGHUP
 * ignored. One that comes before the shim can take it ends it, with nothing run and no `started`.
 */
#pragma once
#include <stdint.h>

#define SHIM_MAGIC   "NJSHIM01"
#define SHIM_VERSION 1

#define SHIM_FD_ORDER  3
#define SHIM_FD_FOLDER 4
#define SHIM_FD_LOCK   5
#define SHIM_FD_CGROUP 6

enum shim_tag {
	SHIM_END = 0,
	SHIM_ARGV = 1,		/* list of strings, without their NUL */
	SHIM_ENV = 2,		/* list of NAME=VALUE */
	SHIM_CWD = 3,		/* absolute */
	SHIM_FILE = 4,		/* NAME NUL ENV NUL content: written 0600 into the private folder; a
				 * non-empty ENV is set to its path in the child's environment */
	SHIM_MASK = 5,		/* list of byte patterns */
	SHIM_LOG_CAP = 6,	/* uint64 bytes */
	SHIM_TIMEOUT = 7,	/* int64 µs; 0: none */
	SHIM_KILL_AFTER = 8,	/* int64 µs */
	SHIM_STOP_SIGNAL = 9,	/* int32 */
	SHIM_STOP_GROUP = 10,	/* uint8: 1: to the child's process group, 0: to the child alone */
	SHIM_START_BEFORE = 11, /* int64 µs of CLOCK_BOOTTIME; 0: no bound */
	SHIM_PRIVATE = 12, /* absolute path of a folder (memory-backed where there is some) that the
			    * shim makes 0700 for files and TMPDIR and removes at the end */
	SHIM_MAKE_DIRECTORY = 13, /* list of absolute paths to make, 0700, parents exist */
	SHIM_SCRUB = 14, /* absolute path of a folder: what the child left there is masked at the
			  * end, folders that hold an action.json apart */
	SHIM_UNTOUCHED = 15, /* list of files below that folder, relative to it, that stay as they
			      * are */
};

#define SHIM_LINE_MAX	16384	    /* bytes of text in one log line */
#define SHIM_DRAIN_USEC 2000000	    /* after the child's exit, for what grandchildren still print */
#define SHIM_ORDER_MAX	(16u << 20) /* a larger order is refused by both sides */
