/* weir/job.h: running a job: start, look, read state, stop. Any thread, except where it says otherwise.
 *
 * A job runs on threads of its own, one per core that its parallelism can use. The program that started it goes on:
 *
 * ```c
 * struct weir_job *job = NULL;
 * struct weir_error error;
 * enum weir_code code = weir_job_start(builder, options, &job, &error);
 * if (code == WEIR_OK) code = weir_job_run(job, WEIR_RUN_SIGNALS | WEIR_RUN_PROGRESS, &error);
 * weir_job_free(&job);
 * if (code != WEIR_OK) fprintf(stderr, "%s\n", error.message);
 * return weir_code_exit(code);
 * ```
 */
#ifndef WEIR_JOB_H
#define WEIR_JOB_H

#include "weir/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_job;

/* Starts the job of `builder` with `options` (NULL: defaults). The options are read now; the builder is borrowed until
 * weir_job_free, and may not be changed meanwhile. A job whose sinks all are print or blackhole, and whose option
 * "state" is not set, leaves no folder: it uses one of its own below TMPDIR (or /tmp) and removes it at its end.
 *
 * INVALID (graph, options), NO_MEMORY, IO. What goes wrong later is the job's result. Free the job with weir_job_free.
 */
enum weir_code weir_job_start(struct weir_job_builder *builder, const struct weir_options *options,
                              struct weir_job **out_job, struct weir_error *error);

/* What weir_job_run does beside waiting. */
enum {
  WEIR_RUN_SIGNALS = 1, /* SIGINT and SIGTERM: the first stops the job with a checkpoint, the second ends the process at
                           once with exit code 1. They are blocked in this thread meanwhile; every other thread of the
                           program must have them blocked too. */
  WEIR_RUN_PROGRESS = 2 /* a progress line on standard error, if that is a terminal */
};
/* Waits for the end and returns the job's result. */
enum weir_code weir_job_run(struct weir_job *job, unsigned flags, struct weir_error *error);
/* Waits up to `timeout_ms` (-1: for ever). True: it is over. */
bool weir_job_wait(struct weir_job *job, int64_t timeout_ms);
/* Once it is over: OK when a bounded job came to its end or the job was stopped with a checkpoint; CANCELLED; else why
 * it failed. TIMEOUT: it is not over. */
enum weir_code weir_job_result(struct weir_job *job, struct weir_error *error);

/* Stop: the sources stop reading, a last checkpoint is made and committed; the next start goes on from it. */
void weir_job_stop(struct weir_job *job);
/* Ends at once, without a checkpoint; the next start goes on from the last one. */
void weir_job_cancel(struct weir_job *job);
/* Makes a checkpoint soon, without waiting for it. */
void weir_job_checkpoint(struct weir_job *job);
/* Cancels what still runs, waits for its end, frees it and sets *job to NULL. NULL and a pointer to NULL are fine. No
 * other thread may be in a call with this job. */
void weir_job_free(struct weir_job **job);

/* ---- a look from outside ---- */

/* Counters of a job. Those of records and state are as fresh as the tasks' last steps. The caller sets `size`. */
struct weir_job_status {
  size_t size;       /* sizeof(struct weir_job_status) */
  const char *phase; /* "running", ...: static storage */
  bool is_over;
  bool was_finished;              /* it had come to its end in an earlier run: nothing was done */
  uint64_t start_number;          /* of the job's folder: grows at every start and every restart */
  uint64_t restored_checkpoint;   /* that this start went on from; 0: none */
  uint64_t latest_checkpoint;     /* the last completed; 0: none */
  uint64_t checkpoints_completed; /* by this process */
  uint64_t checkpoints_failed;
  uint64_t restarts;                /* within this process */
  uint64_t source_records;          /* records before the sources' positions, those of earlier runs too */
  uint64_t source_records_restored; /* the same where this start began */
  uint64_t records_skipped;         /* bad records that went to the dead-letter file */
  uint64_t rows_rejected;           /* that a target did not take and that were left out, by this process */
  uint64_t waiting_epochs;          /* of sinks: in completed checkpoints, not yet committed */
  uint64_t last_checkpoint_ns;      /* how long the last one took */
  uint64_t recovery_ns;             /* from this start to its first record */
  uint64_t state_rows, state_bytes;
};
void weir_job_read_status(struct weir_job *job, struct weir_job_status *out_status);
/* Status and the metrics of every task as one JSON object, with Flink's names, written as snprintf does: cut to `size`,
 * ended with a zero; returns the length of the whole text (the next call can need more). */
size_t weir_job_metrics(struct weir_job *job, char *buffer, size_t size);

/* A value of a key. */
struct weir_value {
  enum weir_type type;
  bool is_null;
  union {
    bool boolean;
    int32_t int_value;
    int64_t bigint;
    double double_value;
    struct weir_timestamp timestamp;
    struct {
      const char *data;
      size_t length;
    } bytes; /* STRING and BYTES */
  } as;
};

/* Reads keyed state of the running job: rows of (key fields..., fields of the value) of state `state` of operator
 * `uid`, in batches, which are handed to `rows`, in this thread, and are valid until it returns. With `key` (one value
 * per key field) the row of that key, if there is one; with NULL all rows of all subtasks. It is what the operator
 * holds at that moment, not a checkpoint: a restart can take it back, and rows that change while all are read are seen
 * before or after.
 *
 * NOT_FOUND: no such operator or state. INVALID: the key has other types. BUSY: the job is not running now (it starts,
 * restarts or is over). */
enum weir_code weir_job_read_state(struct weir_job *job, const char *uid, const char *state,
                                   const struct weir_value *key, uint32_t key_count,
                                   void (*rows)(void *argument, const struct weir_batch *batch), void *argument,
                                   struct weir_error *error);

#ifdef __cplusplus
}
#endif

#endif
