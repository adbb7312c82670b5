/* sim/sim_tamper.h: what others do to a job's files between two of its lives, and what the job must make of it.
 *
 *   the newest checkpoint damaged in one bit, cut short, or away     an older one is restored, or the start is refused
 *   the same with a data file that it names                          the same
 *   the target's folder as it was some lives ago, or emptied         the start goes on, or is refused
 *   a staged file that it carries cut short, or away                 an older one is restored, or the start is refused
 *   a partition file replaced by a copy of itself                    the job goes on
 *   a partition file replaced by another, cut, renamed, or away      the job ends with GONE before it has read on
 *
 * A refusal leaves the job's identity as it was; what was tampered with is then put back, and the next life goes on. A
 * start that goes on must be right about it: the oracles at the end of the run say whether it was. A checkpoint that
 * was passed over may come back later (sim_histories.h).
 *
 * Also here: the stop positions of a bounded job. Once a durable checkpoint has them they never move, and they say what
 * of the log counts. Host memory. One thread.
 */
#ifndef WR_SIM_TAMPER_H
#define WR_SIM_TAMPER_H

#include "runtime/job.h"
#include "sim/sim_log.h"

struct sim_run;

enum sim_tamper_kind {
  SIM_TAMPER_NONE,
  SIM_TAMPER_CHECKPOINT_DAMAGED,
  SIM_TAMPER_CHECKPOINT_GONE,
  SIM_TAMPER_DATA_FILE,
  SIM_TAMPER_FIRST_HISTORY, /* these two as sim_histories.h says */
  SIM_TAMPER_SECOND_HISTORY,
  SIM_TAMPER_TARGET_OLDER,
  SIM_TAMPER_TARGET_EMPTY,
  SIM_TAMPER_STAGED,
  SIM_TAMPER_LOG_COPIED,
  SIM_TAMPER_LOG_REPLACED,
  SIM_TAMPER_LOG_SHRUNK,
  SIM_TAMPER_LOG_RENAMED,
  SIM_TAMPER_LOG_GONE,
  SIM_TAMPER_COUNT
};

struct sim_tamper {
  enum sim_tamper_kind kind; /* of the present life */
  char path[300];            /* of the file that was tampered with */
  uint8_t *saved;            /* its bytes before */
  size_t saved_length;
  uint8_t *identity; /* the job's, before the life */
  size_t identity_length;
  uint64_t start_before; /* what it says */
  bool has_older;        /* a copy of the target's folder is kept */
  bool refused;          /* the life ended by refusing */
};

struct sim_stops {
  bool known[SIM_LOG_PARTITIONS_MAX];
  uint64_t at[SIM_LOG_PARTITIONS_MAX]; /* bytes, or offsets */
};

/* What the job's folder says; with `in_doubt` and start number 0 where it says nothing. */
struct wr_identity sim_identity(struct sim_run *run);
/* Before a life that is not fresh and not the last. */
void sim_tamper_before(struct sim_run *run);
/* May the life end with this? Notes it. */
bool sim_tamper_excuses(struct sim_run *run, enum weir_code code);
/* After the life; `phase` is that in which it was killed, OVER when it ended. Puts back what was refused. */
void sim_tamper_after(struct sim_run *run, enum wr_job_phase phase);
/* While this is true the log's files are not as they were written, and nobody writes to them. */
bool sim_tamper_holds_log(const struct sim_run *run);
void sim_tamper_deinit(struct sim_run *run);

/* Between lives of a bounded job whose log grows: compares the stop positions with those known so far. */
void sim_stops_look(struct sim_run *run);
/* At the end: the model's log ends at the stop positions. */
void sim_stops_apply(struct sim_run *run);

#endif
