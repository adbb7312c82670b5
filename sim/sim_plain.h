/* sim/sim_plain.h: the target of the job "plain", rows that go out by the clock (operators/plain_sink.h), and its
 * oracle.
 *
 * A write may fail before anything is in, in the middle, or when all is in. At-least-once, and no more:
 *
 *   - at the end no row is missing
 *   - within a start each partition's rows come in their order; only those of a write that failed come again
 *   - a start writes no row that is before the checkpoint which it has restored
 *
 * Host memory. One thread.
 */
#ifndef WR_SIM_PLAIN_H
#define WR_SIM_PLAIN_H

#include "operators/plain_sink.h"
#include "sim/sim_checkpoints.h"

struct sim_run;

struct sim_plain_row {
  uint32_t partition;
  int64_t position;
};

struct sim_plain {
  struct sim_run *run;
  struct sim_plain_row *rows; /* all that were ever written */
  size_t count, capacity;
  uint32_t fails_one_in;
  /* of the present start: */
  uint64_t start;
  int64_t first[SIM_LOG_PARTITIONS_MAX], last[SIM_LOG_PARTITIONS_MAX]; /* acknowledged; -1: none */
  bool first_is_judged[SIM_LOG_PARTITIONS_MAX];
  uint64_t restored_start; /* the start of which `restored` is known */
  struct sim_place restored[SIM_LOG_PARTITIONS_MAX];
};

/* `config` is a struct sim_plain. */
wr_new_plain_target sim_plain_new_target;
/* Between two steps of a life. */
void sim_plain_step(struct sim_run *run);
/* The target is emptied. */
void sim_plain_forget(struct sim_run *run);
/* After the last life. */
void sim_plain_judge(struct sim_run *run);

#endif
