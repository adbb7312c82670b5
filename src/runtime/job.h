/* runtime/job.h: the master of a job: recovery, the coordinator's actions, restarts, the end.
 *
 * The job is a steppable on the host's first worker and speaks with tasks by messages. A start goes through phases:
 *
 *   OPEN      (call) folder locked, identity and R read, markers of all targets read and compared; nothing changed yet
 *   CLAIM     (call) identity published with the next start number and a block of ids, R again, targets claimed
 *   DEPLOY    channels and tasks made, state restored (calls of the tasks), splits assigned
 *   SETTLE    committers commit what R carried; no source reads, no checkpoint is triggered
 *   RUN       first checkpoint where one is needed before the first record, then sources read
 *   FINISH    bounded: all tasks ended, last checkpoint, its commits, FINISHED recorded
 *   STOP      on request: sources stop reading, last checkpoint, its commits; in 30 s
 *   TEARDOWN  tasks are cancelled and waited for, calls and a publish that was begun too; then over, or a delay
 *
 * A transient failure restarts the attempt by exponential delay; a permanent one ends the job with its error. Every
 * restart goes the whole way through OPEN: within the process or in a new one, recovery is the same code.
 *
 * Functions marked "any thread" may be called while it runs; the rest before start or after it is over.
 */
#ifndef WR_RUNTIME_JOB_H
#define WR_RUNTIME_JOB_H

#include "checkpoint/folder.h"
#include "runtime/task.h"

struct wr_job_options {
  const char *name;         /* the job's name; borrowed, as `folder` */
  const char *folder;       /* of this one job */
  uint32_t parallelism;     /* of nodes that do not say; at least 1 */
  uint32_t max_parallelism; /* 0: what R says, else 128 */
  enum wr_mode mode;
  bool bounded;
  bool fresh;             /* move the old folder aside, begin a new incarnation */
  bool accept_duplicates; /* rule 4: where in doubt, write */
  bool accept_loss;       /* rule 4: where in doubt, leave out */
  bool allow_non_restored;
  uint64_t checkpoint_interval_ms; /* default 1,000 */
  uint64_t checkpoint_min_pause_ms;
  uint64_t checkpoint_timeout_ms; /* default 600,000 */
  uint32_t checkpoints_retained;  /* default 2 */
  uint64_t
      restart_delay_initial_ms;  /* default 1,000; times 1.5 up to the maximum; back to it after an hour of health */
  uint64_t restart_delay_max_ms; /* default 60,000 */
  uint64_t stop_timeout_ms;      /* default 30,000 */
  uint32_t state_wait_one_in;    /* simulator: prepare answers WAIT at random */
};
void wr_job_options_default(struct wr_job_options *options);

enum wr_job_phase {
  WR_JOB_OPEN,
  WR_JOB_CLAIM,
  WR_JOB_DEPLOY,
  WR_JOB_SETTLE,
  WR_JOB_RUN,
  WR_JOB_FINISH,
  WR_JOB_STOP,
  WR_JOB_TEARDOWN,
  WR_JOB_DELAY, /* waits before the next attempt */
  WR_JOB_OVER
};
const char *wr_job_phase_text(enum wr_job_phase phase);

/* A look from outside. */
struct wr_job_status {
  enum wr_job_phase phase;
  uint64_t start_number;
  uint64_t restored_checkpoint;   /* R of this attempt; 0: none */
  uint64_t latest_checkpoint;     /* completed; 0: none */
  uint64_t checkpoints_completed; /* by this process */
  uint64_t checkpoints_failed;
  uint64_t restarts;                /* within this process */
  uint64_t source_records;          /* position: records before it, all splits, restored ones included */
  uint64_t source_records_restored; /* the same at the restore */
  uint64_t records_skipped;
  uint64_t rows_rejected;      /* left out of committed epochs, by this process */
  uint64_t waiting_epochs;     /* completed, not yet committed */
  uint64_t last_checkpoint_ns; /* from trigger to durable, the last one */
  uint64_t recovery_ns;        /* from OPEN to RUN of this attempt */
  uint64_t snapshot_stall_max_ns;
  uint64_t state_rows, state_bytes;
};

struct wr_job;

/* The graph was checked (wr_graph_check) and outlives the job, as do seams and host. */
enum weir_code wr_job_new(const struct wr_graph *graph, const struct wr_job_options *options, struct wr_seams *seams,
                          const struct wr_host *host, struct wr_job **out_job, struct weir_error *error);
/* Attaches itself to the host. Once. */
void wr_job_start(struct wr_job *job);
/* Any thread: stop with a last checkpoint and its commits. */
void wr_job_stop(struct wr_job *job);
/* Any thread: end at once, without a checkpoint; the next start goes on from the last one. */
void wr_job_cancel(struct wr_job *job);
/* Any thread: take a checkpoint now. */
void wr_job_request_checkpoint(struct wr_job *job);
/* Any thread: true when it has ended and nothing of it runs any more: it may be freed. */
bool wr_job_is_over(const struct wr_job *job);
/* After it is over: OK, and *out_already_finished (may be NULL) when the folder said so before anything ran; else why
 * it ended. */
enum weir_code wr_job_result(const struct wr_job *job, bool *out_already_finished, struct weir_error *error);
/* Any thread. */
void wr_job_read_status(struct wr_job *job, struct wr_job_status *out_status);
/* Any thread: calls for each task of the present attempt, in order; the metrics may be read while `each` runs. */
void wr_job_each_task(struct wr_job *job,
                      void (*each)(void *argument, const char *name, const struct wr_task_metrics *metrics),
                      void *argument);
/* Any thread: asks the task of subtask `subtask` of the operator `uid`, when it next steps. NOT_FOUND: there is no such
 * operator or subtask; BUSY: no attempt runs; NO_MEMORY: then the question is not asked. */
enum weir_code wr_job_ask(struct wr_job *job, const char *uid, uint32_t subtask, struct wr_task_question *question,
                          struct weir_error *error);
/* Any thread: how many subtasks an operator has, and how many key groups there are, in the present attempt. As above.
 */
enum weir_code wr_job_operator_shape(struct wr_job *job, const char *uid, uint32_t *out_parallelism,
                                     uint32_t *out_max_parallelism, struct weir_error *error);
/* Over (or never started). NULL is fine. */
void wr_job_free(struct wr_job *job);

#endif
