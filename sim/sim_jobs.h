/* sim/sim_jobs.h: the jobs of the simulator on the public interface, with eyes on their targets.
 *
 *   pv    files, or a topic -> key by app_id -> count -> SQLite, upsert
 *   seen  files, or a topic -> SQLite, insert without a key, one row a record
 *
 *   held   as seen, through operators that keep rows until a timer fires or the input ends (sim_held.h)
 *   plain  as seen, into a target that takes rows by the clock (sim_plain.h)
 *
 * In some runs the rows of the first two go to files in a folder, to a topic, or to an SQL server, instead.
 *
 * Each target is wrapped: before a commit goes through, the watch sees the epoch. The graph lives in memory of its own
 * and outlives every engine of the run, as a program's would. One thread.
 */
#ifndef WR_SIM_JOBS_H
#define WR_SIM_JOBS_H

#include "api/api_int.h"
#include "operators/sink_nodes.h"
#include "connectors/kafka/kafka_target.h"
#include "sim/sim_held.h"
#include "sim/sim_log.h"
#include "sim/sim_plain.h"
#include "sim/sim_sql.h"
#include "sim/sim_zombie.h"

enum sim_job_kind { SIM_JOB_PV, SIM_JOB_SEEN, SIM_JOB_HELD, SIM_JOB_PLAIN };

enum { SIM_SINKS_MAX = 4 };

struct sim_job_graph;

/* Called inside the commit's call, before the target does anything. */
struct sim_watch {
  void (*commit)(void *context, const char *uid, const struct wr_epoch *epoch);
  void *context;
};

struct sim_wrapped_sink {
  struct sim_job_graph *owner;
  struct wr_sink_config *config;
  void *target_config;
  enum weir_code (*new_target)(void *config, const struct wr_target_context *context, struct wr_target **out_target,
                               struct weir_error *error);
  const char *uid;
  uint64_t out_id; /* of the last epoch that is out, as the attempt that claimed the target last knows */
  bool is_settled; /* that attempt has told the target that what R carried is committed */
};

struct sim_job_graph {
  struct wr_heap_memory memory;
  struct weir_job_builder builder;
  const struct wr_graph *graph;
  struct sim_watch watch;
  struct sim_world *world;
  struct sim_wrapped_sink sinks[SIM_SINKS_MAX];
  uint32_t sink_count;
  struct sim_zombie zombie; /* of the last commit that was begun */
  bool zombie_commits;      /* it makes that commit, late, when a later start is about to claim the target */
  bool zombie_is_early;     /* or, of a target beside which parts are staged, to look whether they are there */
  uint64_t zombie_commit_count;
  struct wr_kafka_sink_config kafka_sink;
  struct wr_sql_config sql_sink;
  struct sim_held held;
};

struct sim_job_options {
  enum sim_job_kind kind;
  struct sim_world *world;
  const char *log_folder;  /* "/log" */
  struct sim_kafka *kafka; /* not NULL: its topic is read instead */
  const char *topic;
  bool uncommitted;               /* uncommitted records too */
  uint64_t discovery_interval_ms; /* of its partitions */
  const char *database;           /* "/out/t.db" */
  const char *directory;          /* not NULL: the rows go to files there instead */
  bool directory_is_csv;
  uint32_t directory_rollover_ms; /* 0: the option's default */
  struct sim_kafka *sink_kafka;   /* not NULL: they go to its topic, "rows" */
  struct sim_sql *sink_sql;       /* not NULL: they go to its table */
  bool leaves_out;                /* but those that it does not take */
  uint32_t sink_timeout_ms;       /* of its transactions; 0: the default */
  struct sim_plain *plain;        /* where the rows of that job go, and how often */
  int64_t plain_interval_ms;
  const char *dead_letter; /* not NULL: bad records are skipped to it */
  struct wr_commit_limits limits;
  struct sim_watch watch;
};

/* False: `error` says why. */
bool sim_job_graph_init(struct sim_job_graph *job, const struct sim_job_options *options, struct weir_error *error);
/* False when the graph's memory did not come back to nothing. */
bool sim_job_graph_deinit(struct sim_job_graph *job);
const char *sim_job_name(enum sim_job_kind kind);

#endif
