/* What the parts of the simulated world share. */
#pragma once
#include "base/heap.h"
#include "base/json.h"
#include "base/memory.h"
#include "tests/unit/sim.h"

#define SIM_HOSTS   2
#define SIM_BUCKETS 16384

/* Something that will happen. */
struct happening {
	struct heap_node at;
	struct host *host; /* whose daemon it is for; NULL: it outlives them */
	void (*happen)(struct sim *sim, struct happening *h);
	void (*cut)(struct sim *sim, struct happening *h); /* its daemon died */
};

struct row {
	enum store_table table;
	char *key;
	cJSON *json;
	int mark;
	struct row *bucket, *next;
};

enum host_state {
	HOST_DOWN,
	HOST_AWAY,
	HOST_STANDBY,
	HOST_LEADS,
};

/* A machine with at most one daemon. */
struct host {
	struct sim *sim;
	unsigned index, boots;
	char machine[UUID_TEXT], boot_id[UUID_TEXT];
	usec_t ahead;	  /* its wall clock, of the true one */
	usec_t booted_at; /* on the world's clock */
	bool boot_known;  /* the launcher has seen this boot */
	enum host_state state;
	bool leads; /* as far as it knows: it holds `epoch` */
	bool loaded, lease_over;
	bool late; /* its renewals: the lease ends at lease_end */
	uint64_t epoch;
	usec_t lease_end; /* where nothing renews it, on the world's clock */
	struct core *core;
	usec_t wake_boot, wake_now;
	struct list units;
	bool stopped;
	unsigned n_deferred; /* what would have happened since */
	struct happening commit, read, take, renew, up;
	struct list reads;
	struct list ended; /* ends of processes to be told */
};

/* A process or a call: it outlives the core. */
struct process {
	struct happening end, tell;
	struct list link;
	struct sim *sim;
	struct host *host;
	unsigned boot; /* of the host */
	struct action_place place;
	char *cell;
	struct process *bucket; /* the next one there */
	struct sim_script script;
	struct launch *watched[4];
	usec_t started_at, ended_at;
	usec_t latest; /* its end by its timeout, on the world's clock */
	enum stop_reason stop;
	bool ended, died, timed_out, folder_gone;
};

struct call {
	struct happening h;
	struct list link;
	struct host *host;
	struct http_call *call; /* this one or the other; NULL: cancelled */
	struct query_call *query;
	struct action_place place; /* run_id empty: a lane's call, or a query */
	bool hangs;
};

struct sim {
	struct sim_options options;
	uint64_t dice;
	usec_t boot, start;
	char *lines[100]; /* the last of the trace, in a ring */
	size_t n_lines;
	struct heap happenings;
	struct host hosts[SIM_HOSTS];
	char *config;
	struct spec_kind specs[16];
	size_t n_kinds;
	struct row *buckets[SIM_BUCKETS];
	struct row *tables[STORE_TABLES], **ends[STORE_TABLES];
	unsigned n_rows[STORE_TABLES];
	struct {
		uint64_t epoch;
		struct host *holder;
		usec_t renewed_at; /* USEC_INFINITY: its holder is connected */
	} leader;
	struct sim_report {
		cJSON *row;
		struct host *held; /* not connected yet */
	} reports[64];
	size_t n_reports;
	struct list processes, calls;
	struct process *process_buckets[SIM_BUCKETS];
	usec_t secrets_take;
	usec_t pruned_before; /* what was older may be gone from the store */
	unsigned n_asked;
};

void sim_at(struct sim *sim, struct happening *h, usec_t in,
	void (*happen)(struct sim *sim, struct happening *h));
void sim_at_host(struct host *host, struct happening *h, usec_t in,
	void (*happen)(struct sim *sim, struct happening *h),
	void (*cut)(struct sim *sim, struct happening *h));
usec_t host_boot(const struct host *host);
usec_t host_now(const struct host *host);
void host_run(struct host *host);

/* sim_store.c */
void store_ports(struct host *host, struct store_port *ret);
void store_connect(struct host *host);
void store_disconnect(struct host *host, const char *why);
void store_cut(struct host *host); /* its daemon died */
void store_fini(struct sim *sim);
/* An effect goes out: breaks a rule where the lease is over. */
void store_check_lease(const struct host *host, const char *what);
struct row *row_find(const struct sim *sim, enum store_table table, const char *key);
void row_remove(struct sim *sim, struct row *row);

/* sim_faults.c */
void host_defer(struct host *host, struct happening *h);
void host_forget_stop(struct host *host);
void host_may_crash(struct host *host);

/* sim_prune.c */
void store_prune(void *self, struct prune *p);
void launcher_prune(void *self, struct prune *p);
cJSON *sim_kept(const struct sim *sim);

/* sim_launcher.c */
void launcher_ports(struct host *host, struct core_ports *ret);
void launcher_cut(struct host *host);
void launcher_reboot(struct host *host);
/* Of ends that came while the daemon was stopped. */
void launcher_tell_late(struct host *host);
void launcher_fini(struct sim *sim);
