/* runtime/operator.h: what an operator is to the runtime: the one interface behind every source, operator and sink.
 *
 * An operator instance belongs to one subtask and is touched by one thread at a time (the worker that steps its task;
 * `restore_call` and the enumerator's calls are the exceptions, and say so). It never blocks: what can block goes into
 * a wr_call whose waker is context->waker.
 *
 * Life:  new -> open (register states) -> [state restored] -> restored -> process / poll / watermark / timers ... with
 * before_barrier, prepare, snapshot, complete, aborted in between -> end_input (once per input) -> still barriers ->
 * free.
 *
 * Results. OK: the batch (or event) was taken whole. MORE: the outbox is at its high-water mark (wr_output_is_full) or
 * the time is up; the operator keeps a cursor and the same call comes again, before any other input, so that a barrier
 * never meets an open cursor. WAIT: state or something else is not there yet; the same call comes again after the waker
 * or *wake_at. After the first write or output of a call, WAIT is a bug that the runtime detects. ERROR: context->error
 * is filled; its code decides what becomes of the job.
 */
#ifndef WR_RUNTIME_OPERATOR_H
#define WR_RUNTIME_OPERATOR_H

#include "checkpoint/commit.h"
#include "checkpoint/metadata.h"
#include "data/batch.h"
#include "data/batch_builder.h"
#include "state/state.h"
#include "state/timers.h"

enum wr_result {
  WR_RESULT_OK,
  WR_RESULT_MORE,
  WR_RESULT_WAIT,
  WR_RESULT_DONE, /* poll of a source only: all its splits have ended and no more will come */
  WR_RESULT_ERROR
};

struct wr_target; /* runtime/sink.h */
struct wr_output; /* runtime/output.h; an operator only calls the functions below */

/* Sends a batch out of `port` (0 is the main output); takes the caller's reference. Never refuses; NO_MEMORY ends the
 * attempt. NULL batches are passed over. */
enum weir_code wr_output_emit(struct wr_output *output, uint32_t port, struct wr_batch *batch,
                              struct weir_error *error);
/* Sends a watermark to all ports: no record with an earlier event time will follow. Milliseconds. Lower than before: no
 * effect. */
enum weir_code wr_output_watermark(struct wr_output *output, int64_t watermark_ms, struct weir_error *error);
/* Sources: nothing comes for a while; downstream must not wait for this subtask's watermark. False: it comes again. */
enum weir_code wr_output_idle(struct wr_output *output, bool idle, struct weir_error *error);
/* Only for an operator with `prepare`: the barrier that prepare(id) held back goes out now. */
enum weir_code wr_output_barrier(struct wr_output *output, uint64_t checkpoint_id, struct weir_error *error);
/* The high-water mark is reached: return MORE as soon as the cursor can be kept. */
bool wr_output_is_full(const struct wr_output *output);

/* What all subtasks of one sink and its committer share with the job. */
struct wr_sink_shared {
  atomic_bool over_limit;          /* the committer's backlog exceeds its limits */
  _Atomic uint64_t waiting_epochs; /* completed, not acknowledged (metric, stop message) */
  _Atomic uint64_t settled_id; /* the newest completed checkpoint all of whose epochs are acknowledged; the task's */
};

/* One split of a source, for the metrics. The reader makes it, puts it in front of the task's list, and keeps it until
 * the operator is freed; so the list can be walked from other threads as long as the task is there. */
struct wr_split_metrics {
  const struct wr_split_metrics *next;
  const char *topic;
  int32_t partition;
  _Atomic int64_t current_offset;   /* of the last record read; -1: none */
  _Atomic int64_t committed_offset; /* shown to the group; -1: none */
  _Atomic int64_t lag;              /* records behind the last one read; -1: not known */
};

/* Counters that the metrics read from other threads. Names as Flink's. */
struct wr_task_metrics {
  _Atomic uint64_t records_in, records_out, batches_in, bytes_in;
  _Atomic uint64_t busy_ns, idle_ns, back_pressured_ns;
  _Atomic int64_t watermark_ms;
  _Atomic uint64_t alignment_ns, snapshot_sync_ns, snapshot_async_ns, snapshot_stall_max_ns;
  _Atomic uint64_t source_records;  /* a source: records before its positions, over all its splits, restored included */
  _Atomic uint64_t splits;          /* a source: that it was given and counts in source_records */
  _Atomic uint64_t records_skipped; /* bad records that went to the dead-letter output */
  _Atomic uint64_t state_rows, state_bytes;
  _Atomic uint64_t commits_succeeded, commits_failed; /* offsets shown to a consumer group */
  _Atomic(const struct wr_split_metrics *) split_list;
};

struct wr_operator_context {
  struct wr_seams *seams;
  struct wr_memory *memory;
  struct wr_store *store;
  struct wr_waker *waker; /* of the task; for calls and uploads */
  struct wr_output *output;
  struct wr_task_metrics *metrics;
  struct wr_sink_shared *sink;   /* sinks and committers; else NULL */
  struct wr_target *target;      /* a committer's: connected, compared and claimed; else NULL. The job's, outlives it */
  uint64_t marker_checkpoint_id; /* a committer's: what the target's marker says is committed already */
  struct wr_backend *backend;    /* a keyed operator's state; else NULL */
  const char *uid;
  const struct weir_schema *input_schema;  /* of input 0; NULL for sources */
  const struct weir_schema *output_schema; /* of port 0; NULL where nothing goes out */
  struct wr_key_fields key;                /* of input 0; count 0 where not keyed */
  uint32_t subtask, parallelism, max_parallelism;
  enum wr_mode mode;
  bool bounded;
  const _Atomic uint64_t *triggered_checkpoint_id; /* the newest id that the job has triggered; 0: none */
  uint64_t now_ns;                                 /* monotonic, as of this step */
  int64_t now_ms;                                  /* wall time, as of this step (processing time) */
  int64_t watermark_ms;                            /* of the operator's inputs, INT64_MIN before the first */
  struct weir_error error;                         /* filled by whoever returns ERROR */
};

struct wr_operator {
  const struct wr_operator_vtable *vtable;
  struct wr_operator_context *context; /* outlives the operator */
};

/* All functions except `free` and one of process/poll may be NULL. */
struct wr_operator_vtable {
  const char *name;
  /* Registers states in context->backend. Nothing is restored yet. */
  enum weir_code (*open)(struct wr_operator *op, struct weir_error *error);
  /* State is back. `state` is what this operator stored at R: exactly one subtask's when the parallelism is the same
   * (or is 1), NULL on a fresh start or at another parallelism. Only `raw` and `commit` of it are the operator's
   * business; a committer moves `commit` out. */
  enum weir_code (*restored)(struct wr_operator *op, struct wr_subtask_state *state, struct weir_error *error);
  /* One batch of input `input`. The operator borrows it; it takes a reference if it keeps it. */
  enum wr_result (*process)(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns);
  /* The watermark of all inputs together rose to context->watermark_ms; fires event-time timers. The runtime sends the
   * watermark on after OK. */
  enum wr_result (*watermark)(struct wr_operator *op, uint64_t *wake_at_ns);
  /* Called at each step of the task: a source reads, a sink or committer looks after its calls, processing-time timers
   * fire. OK: did something, call again soon. WAIT: nothing to do before the waker or *wake_at_ns (which it may lower).
   */
  enum wr_result (*poll)(struct wr_operator *op, uint64_t *wake_at_ns);
  /* Barrier `id` comes: emit what is held (flush), before the barrier is sent on. */
  enum wr_result (*before_barrier)(struct wr_operator *op, uint64_t id, uint64_t *wake_at_ns);
  /* Only a sink (tail of its task): barrier `id` closes the open epoch. The runtime then does not send the barrier; the
   * operator does, by wr_output_barrier, from a later poll, in order of ids, after what belongs in front of it. */
  enum weir_code (*prepare)(struct wr_operator *op, uint64_t id, struct weir_error *error);
  /* The synchronous part: `out->raw_bytes` and splits below. Keyed state is the runtime's. Fast: no walk over state. */
  enum weir_code (*snapshot)(struct wr_operator *op, uint64_t id, struct wr_bytes *out_raw, struct weir_error *error);
  /* A committer: a deep copy of what it stores, in place of raw bytes. */
  enum weir_code (*snapshot_commit)(struct wr_operator *op, uint64_t id, struct wr_commit_snapshot *out_commit,
                                    struct weir_error *error);
  /* A source: its splits at the barrier, appended as blocks (wr_bytes_put_block), one per split. */
  enum weir_code (*snapshot_splits)(struct wr_operator *op, struct wr_bytes *out_splits, struct weir_error *error);
  void (*complete)(struct wr_operator *op, uint64_t id); /* at most once per id, ascending; may be skipped */
  void (*aborted)(struct wr_operator *op, uint64_t id);
  /* The input has ended (watermark INT64_MAX has been seen before). MORE and WAIT as in process. */
  enum wr_result (*end_input)(struct wr_operator *op, uint32_t input, uint64_t *wake_at_ns);
  /* Sources: a split is this subtask's from now on; no more will come. The runtime calls poll only while reading is
   * allowed: after the first checkpoint, and not any more once the job is stopping. */
  enum weir_code (*add_split)(struct wr_operator *op, const uint8_t *bytes, size_t length, struct weir_error *error);
  void (*no_more_splits)(struct wr_operator *op);
  /* A committer: all that was restored is committed; until then no source starts. */
  bool (*is_settled)(struct wr_operator *op);
  /* No call of it runs and nothing outside touches it: it can be freed. Asked at a teardown only, again after each
   * wake: an operator that has something open begins to close it. Default (NULL): always. */
  bool (*is_idle)(struct wr_operator *op);
  void (*free)(struct wr_operator *op);
};

#endif
