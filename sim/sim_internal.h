/* sim/sim_internal.h: the inside of a world, shared by sim_world.c (time, trace), sim_calls.c (coroutines, kills),
 * sim_files.c (operations), sim_disk.c (the harness' hands), sim_sqlite.c and the sim_kafka files. Nobody else includes
 * it. One thread. */
#ifndef WR_SIM_INTERNAL_H
#define WR_SIM_INTERNAL_H

#include "sim/sim_disk.h"
#include "sim/sim_model.h"

#include <sqlite3.h>

struct sim_coroutine;
struct sim_job;

/* An open file. */
struct wr_file {
  struct sim_inode *inode;
  char *path;          /* as it was opened, folded */
  uint64_t generation; /* 0: opened by the harness; outlives kills */
  bool writable;
  bool loses_nothing;              /* a failed fsync leaves un-synced writes as they are (SQLite's files) */
  struct wr_file *next, *previous; /* all open files, newest first */
};

struct sim_event {
  uint64_t at_ns, serial;          /* the order */
  struct sim_coroutine *coroutine; /* to be resumed; or NULL: */
  void (*run)(void *context);      /* an event of the harness */
  void *context;
};

struct sim_adopted {
  void *handle;
  void (*release)(void *handle);
};

struct sim_world {
  struct wr_seams seams;
  struct sim_memory memory;
  struct wr_clock clock;
  struct wr_entropy entropy;
  struct wr_files files;
  struct wr_calls calls;
  struct wr_watches watches;
  struct wr_log log;
  struct sim_world_options options;

  struct wr_random harness_random, schedule_random, fault_random, entropy_random, power_random, watch_random;
  uint64_t now_ns;
  int64_t wall_shift_ms;
  uint64_t generation; /* from 1 */
  uint64_t direct;     /* depth of sim_world_direct */
  bool crashed, killing;

  struct sim_event *events; /* a heap, the next first */
  size_t event_count, event_capacity;
  uint64_t event_serial;

  struct sim_coroutine *coroutines; /* all; see sim_calls.c */
  struct sim_coroutine *current;    /* NULL: the harness runs */
  uint64_t running;                 /* coroutines with a job */
  struct sim_job *waiting, **waiting_end;
  uint64_t waiting_count, job_serial;
  struct sim_adopted *adopted;
  size_t adopted_count, adopted_capacity;

  struct sim_fault_plan plan;
  uint64_t fault_counts[SIM_FAULT_COUNT];
  uint64_t no_space_until_ns[SIM_FAULT_RULES_MAX];

  struct sim_model model;
  struct wr_file *open_files;
  uint64_t operations, operations_of[SIM_OPERATION_COUNT];
  uint64_t dead_operations;   /* asked for by a killed generation, since the kill */
  uint64_t fail_at, crash_at; /* values of `operations`; 0: none */
  enum weir_code fail_code;
  bool fail_for_ever, failed;
  enum sim_crash_side crash_side;
  uint64_t capacity_bytes;
  void (*seen)(void *context, const struct sim_disk_event *event);
  void *seen_context;

  uint64_t trace_hash, trace_lines;
  void (*on_log)(void *context, enum wr_log_level level, const char *text);
  void *on_log_context;

  sqlite3_vfs vfs;
  char vfs_name[32];
  uint64_t sqlite_serial; /* of temporary files */
};

/* The world of a table that lies inside it. */
#define SIM_WORLD_OF(table, member) ((struct sim_world *)(void *)((char *)(table)-offsetof(struct sim_world, member)))

/* sim_world.c */
void sim_event_add(struct sim_world *world, struct sim_event event);
/* Takes back the events that resume coroutines. */
void sim_events_drop_coroutines(struct sim_world *world);
bool sim_fault_draw(struct sim_world *world, const struct sim_fault_rule *rule, enum sim_fault fault);
uint64_t sim_draw_between(struct wr_random *random, uint64_t low, uint64_t high);

/* sim_calls.c */
void sim_calls_init(struct sim_world *world);
void sim_calls_deinit(struct sim_world *world);
/* Runs a coroutine until it hands over. Not from within one. */
void sim_coroutine_resume(struct sim_world *world, struct sim_coroutine *coroutine);
/* Within a coroutine: hands over; it goes on after `delay_ns`. */
void sim_coroutine_sleep(struct sim_world *world, uint64_t delay_ns);
/* Within a coroutine: the world has crashed; it goes on when it is killed. */
void sim_coroutine_crash(struct sim_world *world);
/* True when whoever runs now belongs to a killed generation. */
bool sim_is_dead(const struct sim_world *world);

/* sim_files.c */
void sim_files_init(struct sim_world *world);
/* Frees the open files of killed generations; of all when `all`. */
void sim_files_drop(struct sim_world *world, bool all);

/* sim_sqlite.c */
void sim_sqlite_init(struct sim_world *world);
void sim_sqlite_deinit(struct sim_world *world);
/* Forgets locks and shared memory. */
void sim_sqlite_forget(struct sim_world *world);

#endif
