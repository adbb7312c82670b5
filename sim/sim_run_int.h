/* sim/sim_run_int.h: what sim_run.c and sim_oracle.c share. */
#ifndef WR_SIM_RUN_INT_H
#define WR_SIM_RUN_INT_H

#include "sim/sim_directory.h"
#include "sim/sim_histories.h"
#include "sim/sim_host.h"
#include "sim/sim_jobs.h"
#include "sim/sim_left_out.h"
#include "sim/sim_plain.h"
#include "sim/sim_run.h"
#include "sim/sim_run_kafka.h"
#include "sim/sim_sink_sql.h"
#include "sim/sim_sink_topic.h"
#include "sim/sim_tamper.h"

enum { SIM_NODES_MAX = 16 };

struct sim_run {
  const struct sim_run_options *options;
  struct sim_run_report *report;
  struct wr_random random;
  struct sim_world *world;
  struct sim_host host;
  struct sim_log log;
  struct sim_kafka *kafka; /* the log is a topic; NULL: files */
  struct sim_run_kafka topic;
  struct sim_sink_topic sink_topic; /* rows go to a topic, if it has one */
  struct sim_sink_sql sink_sql;     /* or to an SQL server */
  struct sim_left_out left_out;     /* which may not take some */
  struct sim_plain plain;
  uint64_t held_ends; /* rows that say that the input has ended */
  uint64_t ends_max;  /* and how many there may be: a life without bound goes on after an end */
  bool was_bounded;   /* the life before */
  enum sim_job_kind kind;
  bool directory; /* rows go to files in /out instead of a table */
  bool directory_is_csv;
  uint32_t directory_rollover_ms; /* 0: the option's default */
  uint32_t marker_crash_one_in;   /* markers of files, on average, between two power cuts; 0: none */
  struct sim_late_stage late;     /* of a folder sink */
  bool power_goes;                /* the crash that was ordered is a power cut */
  uint32_t take_one_in;           /* steps, on average, between two looks of who takes them away; 0: nobody does */
  bool dead_letter;               /* bad records are skipped to /out/dead-letter.ndjson */
  struct wr_commit_limits limits; /* all 0: the defaults */
  struct sim_job_graph graph;
  struct wr_job_options job_options;
  char folder[32];
  uint64_t checkpoint_interval_ms; /* as drawn; a life may have its own */
  struct wr_job *job;              /* of this life; NULL between lives */
  uint32_t lives;
  bool last_life, finished;
  bool database_moved; /* its user has moved a database away that SQLite had spoilt */
  bool fresh_pending;  /* a fresh start was killed before it was surely made: it is given again */
  bool bounded_growth; /* from life `bounded_from` on the job is bounded while its log grows */
  uint32_t bounded_from;
  uint64_t faults_end_ns; /* of the last life */
  struct sim_tamper tamper;
  struct sim_histories histories;
  struct sim_stops stops;
  struct sqlite3 *rival;                                /* holds the database's lock; NULL: nobody */
  uint64_t rival_from_ns, rival_until_ns, zombie_at_ns; /* of this life; UINT64_MAX: not at all */
  bool stop_while_running;
  bool stop_must_snapshot;               /* nothing stands in the way of the last checkpoint of this stop */
  uint64_t last_epoch[SIM_NODES_MAX];    /* per node: the last epoch that went out in this life */
  uint64_t settled_start;                /* the start whose sources were seen to begin */
  uint64_t counts[SIM_LOG_APPS_MAX];     /* while it is judged: the newest count of each app; UINT64_MAX: none */
  uint8_t *seen[SIM_LOG_PARTITIONS_MAX]; /* and how often each place of the log was seen */
};

/* Draws of the history. */
static inline uint64_t below(struct sim_run *run, uint64_t bound) {
  return wr_random_below(&run->random, bound);
}

static inline bool one_in(struct sim_run *run, uint64_t n) {
  return wr_random_one_in(&run->random, n);
}

__attribute__((format(printf, 2, 3))) void sim_violation(struct sim_run *run, const char *format, ...);

/* Makes the graph and begins to watch. */
bool sim_oracle_init(struct sim_run *run, struct weir_error *error);
void sim_oracle_new_life(struct sim_run *run);
/* Between two steps of a life. */
void sim_oracle_step(struct sim_run *run);
/* After the last life. */
void sim_oracle_judge(struct sim_run *run);
void sim_oracle_deinit(struct sim_run *run);
/* What a target says, while it is judged: the newest count of an app; one row of the log. */
void sim_oracle_saw_count(struct sim_run *run, const char *app, uint64_t pv);
void sim_oracle_saw_row(struct sim_run *run, const char *partition, int64_t position, const char *app);

#endif
