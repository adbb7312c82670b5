/* sim/sim_fault_run.h: one whole history of a job, always the same, with one fault (or two) at a chosen point.
 *
 * The history: a log of two partitions (files, or a topic of a healthy cluster) that grows, bad lines that go to the
 * dead-letter file.
 *
 *   FIRST    starts new, takes checkpoints, commits; after a fixed time the power is cut
 *   SECOND   restores at another parallelism, commits what waited, goes on; stopped with a checkpoint
 *   LAST     restores at another parallelism, bounded: reads all, ends, FINISHED
 *   AGAIN    started once more: says that it has finished, and touches nothing
 *
 * The point says what happens at the n-th allocation, file operation (SQLite's, and calls of Kafka and SQL, too) or
 * allocation of SQLite's own: it fails, or the world crashes there; with `again`, a crash falls at the `again`-th file
 * operation after it. A life that a fault has ended is started again at another parallelism with everything healthy,
 * and the history goes on. In the end all oracles of sim_run.h speak: the table and the dead-letter file are exact,
 * nothing leaked in any clean end, errors were such as the fault excuses, and no life failed that had no fault in it.
 *
 * The same seed and point give the same run. One thread.
 */
#ifndef WR_SIM_FAULT_RUN_H
#define WR_SIM_FAULT_RUN_H

#include "sim/sim_jobs.h"
#include "sim/sim_run.h"

/* X(NAME, "name", what is counted, failing for ever) */
#define SIM_POINTS(X)                                                                                                  \
  X(MEMORY_ONCE, "memory-once", MEMORY, false)                                                                         \
  X(MEMORY_EVER, "memory-ever", MEMORY, true)                                                                          \
  X(SQLITE_ONCE, "sqlite-memory-once", SQLITE, false)                                                                  \
  X(SQLITE_EVER, "sqlite-memory-ever", SQLITE, true)                                                                   \
  X(IO_ONCE, "io-once", FILES, false)                                                                                  \
  X(IO_EVER, "io-ever", FILES, true)                                                                                   \
  X(SPACE_ONCE, "space-once", FILES, false)                                                                            \
  X(SPACE_EVER, "space-ever", FILES, true)                                                                             \
  X(KILL_BEFORE, "kill-before", CRASH, false)                                                                          \
  X(KILL_AFTER, "kill-after", CRASH, false)                                                                            \
  X(POWER_BEFORE, "power-before", CRASH, false)                                                                        \
  X(POWER_AFTER, "power-after", CRASH, false)

enum sim_point_kind {
#define SIM_POINT_ENUM(name, text, domain, ever) SIM_POINT_##name,
  SIM_POINTS(SIM_POINT_ENUM)
#undef SIM_POINT_ENUM
      SIM_POINT_COUNT
};
enum sim_point_domain { SIM_DOMAIN_MEMORY, SIM_DOMAIN_SQLITE, SIM_DOMAIN_FILES, SIM_DOMAIN_CRASH };

const char *sim_point_text(enum sim_point_kind kind);
/* SIM_POINT_COUNT: there is none of this name. */
enum sim_point_kind sim_point_of(const char *text);

struct sim_point {
  enum sim_job_kind job;
  bool directory; /* its rows go to files in a folder, which are taken away at times */
  bool topic;     /* the log is a topic, not files */
  bool to_topic;  /* its rows go to a topic */
  bool to_server; /* to an SQL server */
  enum sim_point_kind kind;
  uint64_t n;     /* from 1; 0: no fault at all */
  uint64_t again; /* of file operations: a crash, counted from the n-th; 0: none */
};

struct sim_fault_report {
  bool reached;       /* the n-th was there */
  bool reached_again; /* and the crash after it */
  bool ended;         /* the fault ended the job */
  uint64_t faults[SIM_FAULT_COUNT];
  uint64_t operations_of[16]; /* file operations by enum sim_operation_kind */
  uint64_t lives, restarts, checkpoints, checkpoints_failed, epochs, steps;
  uint64_t allocations, sqlite_allocations, file_operations, records, bad_records;
  uint64_t trace_hash;
  char violation[1024]; /* empty: none */
};

/* Puts counting between SQLite and its memory. Once, before anything uses SQLite. */
void sim_fault_run_init(void);
/* True when no oracle objects. `trace` may be NULL; `verbose` tells each life on standard error. */
bool sim_fault_run(uint64_t seed, struct sim_point point, FILE *trace, bool verbose,
                   struct sim_fault_report *out_report);

#endif
