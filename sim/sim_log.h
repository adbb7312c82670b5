/* sim/sim_log.h: the simulated log: what will be written into the partition files, or into a topic's partitions
 * (sim_topic.h), when, and what must come of it.
 *
 * Everything is drawn from a seed before the run: the lines of each partition (records of a skewed choice of apps with
 * other fields around app_id, blank lines, bad lines where those are skipped), and the times at which the files grow,
 * often in the middle of a line. The model is what a naive reader of the whole log would count. Host memory. One
 * thread.
 */
#ifndef WR_SIM_LOG_H
#define WR_SIM_LOG_H

#include "sim/sim_disk.h"
#include "sim/sim_topic.h"

enum { SIM_LOG_PARTITIONS_MAX = 5, SIM_LOG_APPS_MAX = 64, SIM_LOG_STEPS_MAX = 64, SIM_LOG_APP_BYTES_MAX = 1000 };

static const int64_t SIM_LOG_NOT_PRODUCED = INT64_MAX;

enum sim_line_kind { SIM_LINE_RECORD, SIM_LINE_BLANK, SIM_LINE_BAD };

struct sim_line {
  enum sim_line_kind kind;
  uint32_t app;   /* RECORD */
  size_t begin;   /* of its first byte in the file */
  int64_t offset; /* a topic: of its record; SIM_LOG_NOT_PRODUCED before it is there */
};

struct sim_partition {
  char name[32];
  char path[96];
  char *text;
  size_t length, capacity;
  struct sim_line *lines;
  uint32_t line_count;
  /* growth: at step_ns[i] the file has step_end[i] bytes */
  uint64_t step_ns[SIM_LOG_STEPS_MAX];
  size_t step_end[SIM_LOG_STEPS_MAX];
  uint32_t step_count, steps_done;
};

struct sim_log_options {
  uint64_t seed;
  const char *folder;
  uint32_t partitions, apps;
  uint32_t lines;       /* of all partitions together */
  bool bad_lines;       /* some lines are no records */
  bool all_at_once;     /* the files are whole from the start */
  bool whole_lines;     /* they never end in the middle of a line */
  uint32_t app_bytes;   /* names of apps are made this long; 0: short ones */
  uint64_t duration_ns; /* over which the files grow */
  /* A topic instead of files: */
  struct sim_world *world;
  struct sim_kafka *kafka; /* NULL: files */
  bool transactions;       /* some records are in one */
  uint64_t open_ns;        /* that is open for so long, at most */
  bool uncommitted;        /* who reads it reads uncommitted records too */
};

struct sim_log {
  struct sim_log_options options;
  struct sim_partition partitions[SIM_LOG_PARTITIONS_MAX];
  char apps[SIM_LOG_APPS_MAX][SIM_LOG_APP_BYTES_MAX + 1];
  uint64_t app_counts[SIM_LOG_APPS_MAX];
  uint64_t records, bad;
  struct sim_topic topics[SIM_LOG_PARTITIONS_MAX];
  struct wr_random random; /* of what is drawn while it is produced */
};

/* Draws it; nothing is on the disk yet. */
void sim_log_init(struct sim_log *log, const struct sim_log_options *options);
void sim_log_deinit(struct sim_log *log);
/* Writes what is due by now; with `all`, everything that is left. */
void sim_log_grow(struct sim_log *log, struct sim_world *world, bool all);
/* The model from now on is that of a reader who takes only the records of a partition that begin before `end` (bytes,
 * or an offset); only those from the offset `begin` on. */
void sim_log_end_at(struct sim_log *log, uint32_t partition, uint64_t end);
void sim_log_begin_at(struct sim_log *log, uint32_t partition, int64_t begin);
/* The line that a record's position (its number, or its offset) speaks of; NULL: there is none. */
const struct sim_line *sim_log_line_at(const struct sim_log *log, uint32_t partition, int64_t position);
/* When the next piece is due; UINT64_MAX: none. */
uint64_t sim_log_next_ns(const struct sim_log *log);

#endif
