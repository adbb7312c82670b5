/* runtime/task_int.h: what the files of a task share: task.c (life, messages, step), chain.c (operators one after the
 * other), task_snapshot.c (barrier and snapshot). Nobody else includes it. */
#ifndef WR_RUNTIME_TASK_INT_H
#define WR_RUNTIME_TASK_INT_H

#include "runtime/task.h"

/* One operator of the chain. */
struct wr_link {
  uint32_t node; /* in the graph */
  const struct wr_node *definition;
  struct wr_operator *op;
  struct wr_operator_context context;
  struct wr_output output;
  uint32_t edges_set;
  struct wr_item_queue pending; /* items for this operator, in order */
  struct wr_backend *backend;   /* keyed operators */
  uint32_t ends_seen;           /* bit i: the end of input i has come, in this attempt */
  uint32_t ended_inputs;        /* bit i: end_input(i) has run, perhaps before R: then it is not run again */
  bool output_ended;            /* its END went out */
  /* the running snapshot's share */
  struct wr_upload *upload;
  struct wr_upload_spare upload_spare;
  bool backend_written;
  struct wr_subtask_state snapshot;
  uint32_t snapshot_ended_inputs;
};

enum wr_task_state {
  WR_TASK_DEPLOYING, /* operators are open; keyed state is being restored in a call */
  WR_TASK_RUNNING,
  WR_TASK_FAILED,  /* FAILED was sent; waits for CANCEL */
  WR_TASK_STOPPING /* CANCEL came; waits until nothing runs */
};

/* What handling a barrier has come to. */
enum wr_barrier_stage { WR_BARRIER_NONE, WR_BARRIER_FLUSH };

struct wr_task {
  struct wr_steppable steppable; /* first */
  struct wr_task_options options;
  struct wr_memory *memory;
  char name[WR_UID_BYTES_MAX + 16];
  enum wr_task_state state;
  struct wr_mailbox mailbox;
  struct wr_task_metrics metrics;
  struct wr_gate gate;
  bool has_gate;
  uint32_t head_input_count;
  struct wr_link *links;
  uint32_t link_count;
  bool may_read;             /* sources: READ came, STOP_READING did not */
  bool source_done;          /* the source said DONE */
  bool ended;                /* ENDED was sent */
  bool settled;              /* SETTLED was sent */
  uint64_t partial_since_ns; /* when half-built output began to wait; 0: none */

  struct wr_call restore_call;
  enum weir_code restore_code;
  struct weir_error restore_error;
  uint64_t dropped_rows;

  enum wr_barrier_stage barrier_stage;
  uint64_t barrier_id;
  uint32_t barrier_link;    /* FLUSH: the operator that flushes */
  uint64_t next_trigger_id; /* sources: triggered while a barrier was being handled; 0: none */
  uint64_t last_aborted_id;
  uint64_t last_barrier_id; /* handled (taken or given up) */

  uint64_t completed_id; /* the last completed checkpoint it was told of */
  uint64_t snapshot_id;  /* the running snapshot; 0: none */
  uint64_t snapshot_started_ns;
  uint64_t alignment_started_ns; /* 0: not aligning */
  struct wr_upload *retired[4];  /* uploads of cancelled snapshots whose calls still run */

  struct wr_task_message cancel_message; /* always there, so that a task can be ended without memory */
  struct wr_task_event failed_event;     /* always there, so that even "out of memory" can be told */
  struct weir_error error;               /* scratch of the step */
};

/* What a piece of a step came to. */
enum wr_step {
  WR_STEP_NOTHING, /* nothing to do */
  WR_STEP_PROGRESS,
  WR_STEP_BLOCKED, /* there is something, but it must wait; nothing behind it may go on */
  WR_STEP_FAILED   /* task->error */
};

/* chain.c */
enum wr_step wr_chain_run(struct wr_task *task, uint64_t *wake_at_ns);
bool wr_chain_is_empty(const struct wr_task *task);
/* Puts an event of the gate in front of the head operator. */
enum weir_code wr_chain_feed(struct wr_task *task, struct wr_item item, uint32_t input);
/* The output of link `index` has ended: END to its edges and to the next operator. */
enum weir_code wr_chain_end_output(struct wr_task *task, uint32_t index);
/* What a call of an operator came to, as a step; checks the rule about WAIT after output. */
enum wr_step wr_chain_result(struct wr_task *task, struct wr_link *link, enum wr_result result);

/* task_snapshot.c */
void wr_task_begin_barrier(struct wr_task *task, uint64_t id);
enum wr_step wr_task_barrier_step(struct wr_task *task, uint64_t *wake_at_ns);
enum wr_step wr_task_snapshot_step(struct wr_task *task, uint64_t now_ns, uint64_t *wake_at_ns);
void wr_task_snapshot_cancel(struct wr_task *task);
/* Forwards a cancel marker and declines. */
enum weir_code wr_task_give_up(struct wr_task *task, uint64_t id, enum wr_abort_reason reason,
                               const struct weir_error *cause);
bool wr_task_uploads_idle(struct wr_task *task);
void wr_task_snapshot_deinit(struct wr_task *task);

/* task.c */
/* Everything in the mailbox. Called at each step, and again in front of a snapshot: what the job said before it
 * triggered the barrier at hand (above all that an older checkpoint completed) must count for it. */
enum wr_step wr_task_handle_messages(struct wr_task *task);
struct wr_task_event *wr_task_event_new(struct wr_task *task, enum wr_task_event_kind kind);
void wr_task_send(struct wr_task *task, struct wr_task_event *event);

#endif
