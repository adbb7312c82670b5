/* runtime/task.h: one subtask of one vertex: a chain of operators that is stepped.
 *
 * A step does, in this order, a bounded piece of each: messages of the job; the outboxes; the operators' own polls; a
 * running snapshot; a barrier that is being handled; what waits between chained operators; new input. While an outbox
 * holds something no new input is taken.
 *
 * At barrier N (row by row as the article has it): the operators flush, head to tail; the barrier is sent on; the
 * synchronous part of the snapshot, tail to head; the channels are released; the asynchronous part goes on in slices
 * between records; then the acknowledgement.
 *
 * The job and its tasks speak through messages only: job -> task by wr_task_post, task -> job by events in the job's
 * mailbox. Everything else of a task belongs to the worker that steps it. Every event carries the task's attempt.
 */
#ifndef WR_RUNTIME_TASK_H
#define WR_RUNTIME_TASK_H

#include "checkpoint/coordinator.h"
#include "runtime/gate.h"
#include "runtime/output.h"
#include "runtime/worker.h"

/* ---- job -> task ---- */

enum wr_task_message_kind {
  WR_TASK_TRIGGER,        /* sources: put barrier `id` into the stream */
  WR_TASK_COMPLETE,       /* checkpoint `id` is durable */
  WR_TASK_ABORT,          /* checkpoint `id` failed */
  WR_TASK_ADD_SPLIT,      /* sources: `split` (moved) */
  WR_TASK_NO_MORE_SPLITS, /* sources */
  WR_TASK_READ,           /* sources: reading may begin */
  WR_TASK_STOP_READING,   /* sources: no more reading; not an end of input */
  WR_TASK_ASK,            /* `question` */
  WR_TASK_CANCEL          /* end as soon as nothing runs; the step then answers DONE */
};
/* What somebody outside wants to know of the state of one operator of the task. It is answered exactly once, and is the
 * asker's again with the last touch of `answer`. */
struct wr_task_question {
  const char *uid; /* of the operator */
  /* In the task's thread, between two calls of operators; about a millisecond. `backend` NULL: the task does not run
   * now, or has no such operator with keyed state. */
  void (*answer)(struct wr_task_question *question, struct wr_backend *backend);
};
struct wr_task_message {
  struct wr_message link; /* first */
  enum wr_task_message_kind kind;
  uint64_t id;
  struct wr_split split;
  struct wr_task_question *question;
};

/* ---- task -> job ---- */

enum wr_task_event_kind {
  WR_EVENT_DEPLOYED, /* opened and restored: it can get barriers */
  WR_EVENT_SETTLED,  /* committers: everything restored is committed */
  WR_EVENT_ACK,      /* checkpoint `id`: `entries` */
  WR_EVENT_DECLINE,  /* checkpoint `id`: `reason`, and `error` when a snapshot failed */
  WR_EVENT_ENDED,    /* its input has ended and everything that follows from that went out */
  WR_EVENT_FAILED    /* `error`; it does nothing more */
};
/* What one operator of the task stored. */
struct wr_ack_entry {
  uint32_t node;
  uint32_t ended_inputs; /* bit i: end_input(i) had run; a source: bit 0, its splits have ended */
  struct wr_subtask_state state;
};
struct wr_task_event {
  struct wr_message link; /* first */
  enum wr_task_event_kind kind;
  uint64_t attempt;
  uint32_t task;
  uint64_t id;
  enum wr_abort_reason reason;
  struct weir_error error;
  struct wr_ack_entry *entries; /* owned */
  uint32_t entry_count;
};
/* FAILED events live in their task and are not freed by this. */
void wr_task_event_free(struct wr_memory *memory, struct wr_task_event *event);

/* ---- the task ---- */

struct wr_task;

/* Where a task's channels are: made by the attempt. */
struct wr_task_wiring {
  struct wr_channel **inputs; /* input channels of the head */
  uint32_t *input_numbers;    /* which input each feeds */
  uint8_t *always_aligned;
  uint32_t input_count;
};

struct wr_task_options {
  const struct wr_graph *graph;
  const struct wr_vertex *vertex;
  uint32_t task_index;
  uint32_t subtask;
  uint32_t max_parallelism;
  enum wr_mode mode;
  bool bounded;
  struct wr_seams *seams;
  struct wr_store *store;
  struct wr_waker *waker;         /* of the worker that will step it */
  struct wr_mailbox *job_mailbox; /* events go here, then job_waker */
  struct wr_waker *job_waker;
  const struct wr_metadata *restored; /* R; NULL: fresh. Outlives the deployment */
  bool allow_non_restored;
  uint64_t last_checkpoint_id; /* ids up to it are over */
  const _Atomic uint64_t *triggered_id;
  struct wr_sink_shared **sinks;         /* per graph node; NULL where it is no sink */
  struct wr_target **targets;            /* per graph node; committers */
  const uint64_t *marker_checkpoint_ids; /* per graph node; committers */
  uint64_t index_seed;
  uint32_t state_wait_one_in; /* simulator */
};

/* Nothing runs yet: wire outputs next (wr_task_set_edge), then attach to a worker. */
enum weir_code wr_task_new(const struct wr_task_options *options, const struct wr_task_wiring *wiring,
                           struct wr_task **out_task, struct weir_error *error);
/* Edges of the chain's operators: `channels` by target subtask. Call for each edge that leaves the vertex. */
enum weir_code wr_task_set_edge(struct wr_task *task, const struct wr_edge *edge, struct wr_channel *const *channels,
                                uint32_t count, struct weir_error *error);
struct wr_steppable *wr_task_steppable(struct wr_task *task);
/* After its steppable was detached (or if it never was attached). NULL is fine. */
void wr_task_free(struct wr_task *task);
/* Posts a message (moved) and wakes the task. Any thread. */
void wr_task_post(struct wr_task *task, struct wr_task_message *message);
/* Posts CANCEL; needs no memory. Once. Any thread. */
void wr_task_cancel(struct wr_task *task);
const struct wr_task_metrics *wr_task_metrics(const struct wr_task *task);
const char *wr_task_name(const struct wr_task *task);

#endif
