/* sim/sim_run.h: one seed: a whole history of one job, with kills and faults, and the oracles over it.
 *
 * From the seed are drawn: the job (sim_jobs.h), the log (files or a topic) and its growth, the mode, how often
 * checkpoints are taken, which faults happen where and how often (each run has its own mixture), slow and stuck tasks,
 * WAIT from state, limits. Then the job lives several lives, at changing parallelism: each ends by a kill at a random
 * step, at a file operation (before or after it took effect), by a power cut, or by a stop. In the last life faults
 * cease after a while and the log is whole; it must end, and then the oracles speak:
 *
 *   - the table, or the files that were made and taken away, equal what a naive reader of the log counts; each bad
 *     record is in the dead-letter file once
 *   - no epoch was committed before a checkpoint that carries it was durable; what R carried was committed before any
 *     source read, for every sink; epochs went out in ascending order
 *   - nothing was removed that a readable checkpoint names, and never the newest durable checkpoint
 *   - memory, open files and calls are back to nothing after each clean end; nothing hangs; no error that nobody caused
 *   - what was tampered with between two lives is refused, or makes no difference (sim_tamper.h)
 *   - a commit of a run that was taken over is turned down (sim_zombie.h)
 *   - a topic is begun where the checkpoint says, and believed when it says no for long (sim_run_kafka.h)
 *   - a table on an SQL server is right after each commit (sim_sink_sql.h), and rows that it does not take are named in
 *     files, where the run leaves them out (sim_left_out.h)
 *   - stop positions never move; a stop makes its last checkpoint also while the target cannot be written to
 *   - the folder is sound, and a finished job that is started again says so and touches nothing
 *
 * The same seed gives the same trace. One thread.
 */
#ifndef WR_SIM_RUN_H
#define WR_SIM_RUN_H

#include "checkpoint/barriers.h"
#include "sim/sim_world.h"

/* Things that the runs must have met, counted like faults. */
#define SIM_EVENTS(X)                                                                                                  \
  X(LIFE, "lives")                                                                                                     \
  X(KILL_AT_STEP, "kill at a step")                                                                                    \
  X(KILL_AT_OPERATION, "kill at a file operation")                                                                     \
  X(KILL_IN_RECOVERY, "kill before the job ran again")                                                                 \
  X(STOP, "stop with a checkpoint")                                                                                    \
  X(STOP_FAILED, "stop that could not end cleanly")                                                                    \
  X(RESCALE, "start at another parallelism")                                                                           \
  X(RESTORE, "restore from a checkpoint")                                                                              \
  X(FRESH, "fresh start")                                                                                              \
  X(RESTART, "restart within the process")                                                                             \
  X(CHECKPOINT, "checkpoint completed")                                                                                \
  X(CHECKPOINT_FAILED, "checkpoint failed")                                                                            \
  X(EPOCH_COMMITTED, "epoch committed")                                                                                \
  X(EPOCH_COMMITTED_FIRST, "epoch committed at a recovery")                                                            \
  X(SETTLED_TABLE, "recovery that found epochs for a table")                                                           \
  X(SETTLED_DIRECTORY, "recovery that found epochs for files")                                                         \
  X(SETTLED_TOPIC, "recovery that found epochs for a topic")                                                           \
  X(SETTLED_SQL, "recovery that found epochs for an SQL server")                                                       \
  X(SETTLED_DEAD_LETTERS, "recovery that found epochs of dead letters")                                                \
  X(HELD, "slow or stuck task")                                                                                        \
  X(LIMIT_ONE, "run with a backlog limit of 1")                                                                        \
  X(STATE_WAIT, "run in which state answers WAIT")                                                                     \
  X(TAMPER_CHECKPOINT, "newest checkpoint damaged or away")                                                            \
  X(TAMPER_TARGET, "target emptied or as it was before")                                                               \
  X(TAMPER_STAGED, "staged file cut short or away")                                                                    \
  X(TAMPER_LOG, "log file replaced, cut, renamed or away")                                                             \
  X(REFUSED, "start refused because of that")                                                                          \
  X(HISTORY_FIRST, "checkpoint mended after the job had gone on")                                                      \
  X(HISTORY_SECOND, "checkpoints of another history put back")                                                         \
  X(HISTORY_REFUSED, "start refused: two histories")                                                                   \
  X(ZOMBIE, "commit of a run that was taken over")                                                                     \
  X(RIVAL, "database locked by another program")                                                                       \
  X(BOUNDED_GROWTH, "bounded life while the log grows")                                                                \
  X(DIRECTORY, "run whose rows go to files in a folder")                                                               \
  X(STAGED_LATE, "file staged by a run that was taken over")                                                           \
  X(FILE_TAKEN, "finished file taken away")                                                                            \
  X(TOPIC, "log that is a topic")                                                                                      \
  X(BEGUN_AT_CHECKPOINT, "partition begun where a checkpoint says")                                                    \
  X(PARTITION_FOUND_LATER, "partition found after the start")                                                          \
  X(RETENTION, "records removed behind all checkpoints")                                                               \
  X(SHOWN, "offset shown to the group")                                                                                \
  X(TOPIC_HARMED, "topic gone, cut, made again or forbidden")                                                          \
  X(HARM_REFUSED, "job ended because of that")                                                                         \
  X(SINK_TOPIC, "run whose rows go to a topic")                                                                        \
  X(MESSAGE_REFUSED, "message too long for its topic")                                                                 \
  X(ZOMBIE_FIRST, "epoch of an older run committed before a claim")                                                    \
  X(FORGOTTEN, "marker forgotten by the brokers after a clean stop")                                                   \
  X(FORGOTTEN_REFUSED, "start refused: marker forgotten, epochs in doubt")                                             \
  X(TOPIC_OLDER, "topic as it was before, at a start")                                                                 \
  X(TOPIC_REPLACED, "topic replaced by an older copy in a life")                                                       \
  X(REPLACED_REFUSED, "job ended because of that")                                                                     \
  X(SINK_SQL, "run whose rows go to an SQL server")                                                                    \
  X(SQL_COMPARED, "table compared with the model at a commit")                                                         \
  X(SQL_LOCKED, "row locked by another program")                                                                       \
  X(SQL_TABLE_DROPPED, "table dropped while the job runs")                                                             \
  X(SQL_MARKERS_DROPPED, "table of markers dropped while it runs")                                                     \
  X(SQL_FORBIDDEN, "right to the table taken away while it runs")                                                      \
  X(SQL_ROW_REFUSED, "row that the table does not take")                                                               \
  X(SQL_REPLACED, "server replaced by an older copy while it runs")                                                    \
  X(SQL_AHEAD, "marker ahead of all checkpoints")                                                                      \
  X(SQL_HARM_REFUSED, "job ended because of one of these")                                                             \
  X(SQL_CHANGED, "server empty or an older copy at a start")                                                           \
  X(SQL_LEAVES_OUT, "run that leaves out rows the table refuses")                                                      \
  X(SQL_LEFT_OUT, "row left out of the table")                                                                         \
  X(SQL_LEFT_OUT_EPOCH, "epoch committed without some rows")                                                           \
  X(SQL_LEFT_OUT_AGAIN, "file of such rows made by a later try too")                                                   \
  X(SQL_LEFT_OUT_NO_MORE, "file of such rows removed again")                                                           \
  X(SQL_LEFT_OUT_KILLED, "life that ended between such a file and COMMIT")                                             \
  X(SQL_RULE_CHANGED, "other rows refused while the job runs")                                                         \
  X(HELD_JOB, "run whose rows wait for timers")                                                                        \
  X(PLAIN_FAILED, "write of a plain sink that failed")                                                                 \
  X(PLAIN_DOUBLED, "row that a plain sink wrote again")                                                                \
  X(BAD_RECORD, "bad record to the dead-letter file")                                                                  \
  X(TOO_HIGH, "too high or doubled after an unaligned checkpoint")

enum sim_event {
#define SIM_EVENT_ENUM(name, text) SIM_EVENT_##name,
  SIM_EVENTS(SIM_EVENT_ENUM)
#undef SIM_EVENT_ENUM
      SIM_EVENT_COUNT
};
const char *sim_event_text(enum sim_event event);

struct sim_run_report {
  uint64_t faults[SIM_FAULT_COUNT];
  uint64_t events[SIM_EVENT_COUNT];
  uint64_t records, file_operations, steps;
  uint64_t trace_hash;
  char violation[1024]; /* empty: none */
};

struct sim_run_options {
  uint64_t seed;
  const enum wr_mode *mode; /* NULL: drawn; else this one, everything else as the seed has it */
  bool to_topic;            /* its rows go to a topic; else it is drawn where they go */
  FILE *trace;              /* the world's trace; NULL: none */
  bool verbose;             /* what is drawn, and each life, on standard error */
};

/* True when no oracle objects. */
bool sim_run(const struct sim_run_options *options, struct sim_run_report *out_report);

#endif
