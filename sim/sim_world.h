/* sim/sim_world.h: the simulated world: virtual time, calls on stacks of their own, faults, the trace, kills.
 *
 * A world implements `struct wr_seams` for one engine at a time (its present *generation*) on one thread, from one
 * seed: the same seed, driven the same way, gives the same run bit for bit, and the same trace hash.
 *
 * How it is driven. The harness alternates: step the engine's tasks (which read the clock and submit calls), then
 * `sim_world_advance`, which runs the next due event. Virtual time moves only there and in `sim_world_advance_to`.
 * A submitted `struct wr_call` waits a small random time (and for a free one of `options.threads`), then runs on a
 * coroutine; at every file operation it hands over: an event is queued at now + the latency of the operation, and the
 * operation takes effect when that event is run. So anything can fall between the begin and the effect of an fsync.
 *
 * A crash: `sim_world_kill`, at any time between two events; or by order, at the n-th file operation from now
 * (sim_disk_crash_at in sim_disk.h), where the world stops: `sim_world_crashed` is true, `sim_world_advance` does
 * nothing more, and the harness kills. A kill runs the generation's coroutines to their ends with every file operation
 * failing at once and without effect, releases what was adopted, wakes nobody; then the harness drops the engine's
 * memory (sim_memory_drop_all(sim_world_memory(world))) and starts the next engine, which is the next generation.
 *
 * Outside of a coroutine, and inside sim_world_direct(world, true), the files table works at once: no faults, no time,
 * no operation counted, no trace.
 *
 * Several worlds may live in one process, one after the other or together, all on one thread. A world that uses SQLite
 * seeds SQLite's own generator of random numbers, which the process has only one of: two worlds that use it at the same
 * time disturb each other's traces.
 */
#ifndef WR_SIM_WORLD_H
#define WR_SIM_WORLD_H

#include "base/random.h"
#include "os/seams.h"
#include "sim/sim_memory.h"

#include <stdio.h>

struct sim_world;

/* ---- faults ---- */

/* X(NAME, text). The first group happens to operations, by the plan or by order; the second is what crashes do; they
 * are only counted. */
#define SIM_FAULTS(X)                                                                                                  \
  X(READ_ERROR, "EIO on read")                                                                                         \
  X(WRITE_ERROR, "EIO on write")                                                                                       \
  X(SYNC_ERROR, "EIO on fsync, un-synced writes lost")                                                                 \
  X(OPEN_ERROR, "EIO on open")                                                                                         \
  X(CLOSE_ERROR, "EIO on close, un-synced writes lost")                                                                \
  X(TRUNCATE_ERROR, "EIO on truncate")                                                                                 \
  X(INFO_ERROR, "EIO on fstat or stat")                                                                                \
  X(LOCK_ERROR, "EIO on lock")                                                                                         \
  X(RENAME_ERROR, "EIO on rename")                                                                                     \
  X(REMOVE_ERROR, "EIO on remove")                                                                                     \
  X(MAKE_FOLDER_ERROR, "EIO on mkdir")                                                                                 \
  X(SYNC_FOLDER_ERROR, "EIO on fsync of a folder")                                                                     \
  X(LIST_ERROR, "EIO on list")                                                                                         \
  X(NO_SPACE, "disk full")                                                                                             \
  X(SHORT_WRITE, "short write")                                                                                        \
  X(SLOW, "slow operation")                                                                                            \
  X(SLOW_SYNC, "very slow fsync")                                                                                      \
  X(KAFKA_BROKER_AWAY, "broker away")                                                                                  \
  X(KAFKA_ALL_AWAY, "all brokers away")                                                                                \
  X(KAFKA_NO_LEADER, "partition without a leader")                                                                     \
  X(KAFKA_LEADER_MOVED, "leader moved during a fetch")                                                                 \
  X(KAFKA_NO_ANSWER, "no answer of a broker until the time-out")                                                       \
  X(KAFKA_SLOW_ANSWER, "slow answer of a broker")                                                                      \
  X(KAFKA_SMALL_FETCH, "fetch of a record or two")                                                                     \
  X(KAFKA_END_LATE, "end of a partition told late")                                                                    \
  X(KAFKA_END_AGAIN, "end of a partition told again")                                                                  \
  X(KAFKA_WRONG_TOPIC, "wrong: no such topic")                                                                         \
  X(KAFKA_WRONG_PARTITION, "wrong: no such partition")                                                                 \
  X(KAFKA_WRONG_RANGE, "wrong: out of range")                                                                          \
  X(KAFKA_WRONG_RIGHTS, "wrong: not allowed")                                                                          \
  X(KAFKA_COMMIT_FAILED, "offsets not taken by the group")                                                             \
  X(KAFKA_WRITE_LOST, "messages of a transaction not delivered")                                                       \
  X(KAFKA_GONE_AT_LOOK, "connection gone: at a look at the topic")                                                     \
  X(KAFKA_GONE_AT_FENCE, "connection gone: at a fence")                                                                \
  X(KAFKA_GONE_AT_MARKER, "connection gone: at the reading of a marker")                                               \
  X(KAFKA_GONE_AT_WRITE, "connection gone: at a write")                                                                \
  X(KAFKA_GONE_AT_COMMIT, "connection gone: at a commit")                                                              \
  X(KAFKA_GONE_AT_ABORT, "connection gone: at an abort")                                                               \
  X(KAFKA_COORDINATOR_MOVED, "coordinator of the transactions moved")                                                  \
  X(KAFKA_COMMIT_ABORTED, "transaction aborted instead of committed")                                                  \
  X(KAFKA_COMMIT_NOT_DONE, "transaction not committed, and no answer")                                                 \
  X(KAFKA_COMMIT_LATE, "transaction committed after the answer was given up")                                          \
  X(KAFKA_COMMIT_UNHEARD, "transaction committed, and no answer")                                                      \
  X(KAFKA_COMMIT_FENCED, "transaction committed, answered with fenced")                                                \
  X(KAFKA_COMMIT_OF_KILLED, "transaction of a killed process committed later")                                         \
  X(KAFKA_UNDECIDED, "transaction undecided for a while")                                                              \
  X(KAFKA_TRANSACTION_TIMED_OUT, "transaction timed out")                                                              \
  X(KAFKA_FENCED, "producer fenced out")                                                                               \
  X(SQL_GONE, "connection to an SQL server gone")                                                                      \
  X(SQL_ANSWER_LOST, "answer of an SQL server lost")                                                                   \
  X(SQL_SILENT, "SQL server silent until the time-out")                                                                \
  X(SQL_SLOW, "slow answer of an SQL server")                                                                          \
  X(SQL_RESTARTED, "SQL server restarted")                                                                             \
  X(SQL_NO_SPACE, "disk of an SQL server full")                                                                        \
  X(SQL_READ_ONLY, "SQL server read-only")                                                                             \
  X(SQL_DEADLOCK, "victim of a deadlock")                                                                              \
  X(SQL_COMMIT_REFUSED, "COMMIT refused")                                                                              \
  X(SQL_COMMIT_NOT_DONE, "COMMIT not done, and no answer")                                                             \
  X(SQL_COMMIT_LATE, "COMMIT done after the answer was given up")                                                      \
  X(SQL_COMMIT_UNHEARD, "COMMIT done, and no answer")                                                                  \
  X(SQL_COMMIT_OF_KILLED, "COMMIT of a killed process done later")                                                     \
  X(SQL_TURNED_AWAY, "SQL server refuses a connection")                                                                \
  X(SQL_LOCK_TIMEOUT, "lock waited for in vain")                                                                       \
  X(SQL_CUT, "transaction without a client rolled back")                                                               \
  X(ORDERED_ERROR, "the n-th operation failed")                                                                        \
  X(PROCESS_KILL, "process kill")                                                                                      \
  X(POWER_CUT, "power cut")                                                                                            \
  X(CALL_CUT, "call in flight at a kill")                                                                              \
  X(WRITE_LOST, "un-synced write lost")                                                                                \
  X(WRITE_TORN, "un-synced write torn")                                                                                \
  X(WRITE_REORDERED, "un-synced write kept after a lost one")                                                          \
  X(WRITE_ZEROED, "file grown, data lost: zeros")                                                                      \
  X(ENTRY_LOST, "creation or removal of a name lost")                                                                  \
  X(RENAME_LOST, "rename lost")

enum sim_fault {
#define SIM_FAULT_ENUM(name, text) SIM_FAULT_##name,
  SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
      SIM_FAULT_COUNT
};

/* The faults of all paths that begin with `prefix`: kind k happens once in one_in[k] operations that it can happen to;
 * 0 is never. NO_SPACE begins a window in which writes that grow a file, and creations, under this rule fail. */
struct sim_fault_rule {
  char prefix[256];
  uint32_t one_in[SIM_FAULT_COUNT];
};

enum { SIM_FAULT_RULES_MAX = 8 };

/* The first rule whose prefix fits counts; a path without a rule has no faults. The plan may be changed at any time. */
struct sim_fault_plan {
  struct sim_fault_rule rules[SIM_FAULT_RULES_MAX];
  size_t rule_count;
  uint64_t slow_ns_max;      /* SLOW: 10 ms to this */
  uint64_t slow_sync_ns_max; /* SLOW_SYNC: 100 ms to this */
  uint64_t no_space_ns_max;  /* length of a NO_SPACE window: up to this */
  uint64_t away_ns_max;      /* how long brokers and leaders are away: up to this */
};

/* ---- the world ---- */

struct sim_world_options {
  uint64_t seed;
  FILE *trace;      /* every line of the trace is printed here; NULL: only hashed */
  uint32_t threads; /* calls that run at once; the others wait in order; 0: 8 */
  bool fast_disk;   /* every operation takes 1 ns: for fault loops, which do not need time */
};

/* NULL when the machine has no memory. */
struct sim_world *sim_world_new(const struct sim_world_options *options);
/* No call may be in flight: kill first, or run to the end. The engine's memory must have been freed or dropped. */
void sim_world_free(struct sim_world *world);

/* The tables for the engine, the same in every generation. */
struct wr_seams *sim_world_seams(struct sim_world *world);
/* The engine's memory (also in the seams). */
struct sim_memory *sim_world_memory(struct sim_world *world);
/* A stream of random numbers for the harness' own choices; the world never draws from it. */
struct wr_random *sim_world_random(struct sim_world *world);
/* Read and changed in place. */
struct sim_fault_plan *sim_world_faults(struct sim_world *world);
uint64_t sim_world_fault_count(const struct sim_world *world, enum sim_fault fault);
const char *sim_fault_text(enum sim_fault fault);

/* ---- time and events ---- */

uint64_t sim_world_now_ns(const struct sim_world *world);
/* Runs the next event, moving time forward to it. False when none is pending, or the world has crashed. */
bool sim_world_advance(struct sim_world *world);
/* When the next event is due; UINT64_MAX when none is pending. */
uint64_t sim_world_next_event_ns(const struct sim_world *world);
/* Runs every event that is due up to `at_ns`, then sets the time to it. Stops early when the world crashes: false. */
bool sim_world_advance_to(struct sim_world *world, uint64_t at_ns);
/* Moves the wall clock, not the monotonic one. */
void sim_world_shift_wall(struct sim_world *world, int64_t by_ms);
/* An event of the harness: `run` is called (not on a coroutine) when it is due. It survives kills. */
void sim_world_schedule(struct sim_world *world, uint64_t at_ns, void (*run)(void *context), void *context);
/* Calls submitted and not finished, waiting ones too. */
uint64_t sim_world_calls_in_flight(const struct sim_world *world);

/* Runs `run` on a coroutine of the present generation, with faults and time, and advances the world until it is done:
 * for code that uses the files table before there are tasks. False when the world crashed first; then kill: it runs
 * `run` to its end. */
bool sim_world_run(struct sim_world *world, void (*run)(void *context), void *context);

/* ---- kills ---- */

enum sim_kill {
  SIM_KILL_PROCESS, /* the page cache stays */
  SIM_KILL_POWER,   /* what was not synced is kept, lost or torn, by the seed */
};

/* True from an ordered crash on (sim_disk_crash_at) until the kill. */
bool sim_world_crashed(const struct sim_world *world);
/* Ends the present generation and begins the next. Not from within a coroutine. Takes back sim_disk_crash_at; leaves
 * the plan, sim_disk_fail_nth and the harness' events. SQLite connections that the harness opened must be closed. */
void sim_world_kill(struct sim_world *world, enum sim_kill kill);
uint64_t sim_world_generation(const struct sim_world *world);

/* While on, the files table works at once and without faults, also in a coroutine. Counted: calls nest. */
void sim_world_direct(struct sim_world *world, bool on);

/* ---- trace ---- */

/* Every file operation with its arguments and outcome, every call's start and end, every log line, every fault and kill
 * goes in, with its time. */
uint64_t sim_world_trace_hash(const struct sim_world *world);
uint64_t sim_world_trace_lines(const struct sim_world *world);
/* The harness' own line. */
__attribute__((format(printf, 2, 3))) void sim_world_trace(struct sim_world *world, const char *format, ...);

/* Log lines of the engine are also handed to `line`; for tests that look for one. NULL: nobody. */
void sim_world_on_log(struct sim_world *world, void (*line)(void *context, enum wr_log_level level, const char *text),
                      void *context);

#endif
