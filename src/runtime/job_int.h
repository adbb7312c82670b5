/* runtime/job_int.h: what the files of the master share: job.c (phases, life), job_run.c (deploying and running an
 * attempt), job_checkpoint.c (acknowledgements, metadata, the folder's calls). Nobody else includes it. */
#ifndef WR_RUNTIME_JOB_INT_H
#define WR_RUNTIME_JOB_INT_H

#include "runtime/attempt.h"
#include "runtime/job.h"
#include "runtime/recovery.h"

/* What the tasks have acknowledged of one checkpoint. */
struct wr_pending_checkpoint {
  uint64_t id;
  int64_t time_ms;
  uint64_t triggered_ns;
  struct wr_ack_entry *entries; /* owned; by arrival */
  uint32_t entry_count, entry_capacity;
};

enum { WR_PENDING_CHECKPOINTS = 4, WR_RETAINED_MAX = 64 };

/* The one call that works on the folder while the job runs; one at a time. */
enum wr_folder_job { WR_FOLDER_IDLE, WR_FOLDER_PUBLISH, WR_FOLDER_RESERVE, WR_FOLDER_CLEAN_UP, WR_FOLDER_END };

struct wr_source_state {
  uint32_t node;
  uint32_t first_task; /* number of subtask 0 */
  uint32_t parallelism;
  struct wr_enumerator *enumerator;
  struct wr_enumerator_context context;
  uint32_t *split_counts; /* per subtask */
  bool exhausted;         /* NO_MORE_SPLITS was sent */
};

/* What OPEN is at. */
enum wr_open_stage { WR_OPEN_FIND, WR_OPEN_VERIFY, WR_OPEN_COMPARE };

/* One of the calls that verify R's files at once. */
enum { WR_VERIFY_LANES = 4 };
struct wr_verify_lane {
  struct wr_call call;
  struct wr_recovery *recovery;
  bool is_running;
  enum weir_code code;
  struct weir_error error;
};

struct wr_job {
  struct wr_steppable steppable; /* first */
  const struct wr_graph *graph;
  struct wr_job_options options;
  struct wr_seams *seams;
  const struct wr_host *host;
  struct wr_memory *memory;
  struct wr_plan plan;
  struct wr_mailbox mailbox; /* events of tasks */
  struct wr_waker *waker;    /* of the worker that steps the master */
  atomic_bool stop_requested, cancel_requested, checkpoint_requested, over;

  enum wr_job_phase phase;
  uint64_t stop_since_ns;         /* when the stop was seen; 0: none */
  struct weir_error result;       /* code OK while nothing went wrong for good */
  struct weir_error last_failure; /* the transient one that led to the last restart */
  bool already_finished;
  bool restart;       /* TEARDOWN leads to DELAY, not to OVER */
  bool folder_marked; /* FINISH, STOP: the last record of the folder was written */
  uint64_t delay_ms;  /* the next restart's */
  uint64_t delay_until_ns;
  uint64_t healthy_since_ns; /* RUN reached; 0: not */

  struct wr_store store;
  struct wr_recovery recovery;
  enum wr_open_stage open_stage;
  struct wr_verify_lane verify_lanes[WR_VERIFY_LANES];
  struct wr_call call; /* OPEN, CLAIM, reset */
  enum weir_code call_code;
  struct weir_error call_error;
  bool call_running;
  bool reset_done; /* TEARDOWN: the targets are closed */

  uint32_t max_parallelism; /* of this attempt */
  struct wr_attempt attempt;
  bool has_attempt;
  struct wr_sink_shared **sinks;  /* per node; NULL where it is no sink or committer */
  struct wr_target **targets;     /* per node */
  uint64_t *marker_ids;           /* per node */
  _Atomic uint64_t rejected_rows; /* the targets'; of all attempts */
  struct wr_source_state *sources;
  uint32_t source_count;
  uint32_t deployed_count, settled_count, ended_count, committer_count;
  bool cancel_sent;
  bool needs_first_checkpoint;  /* before the first record */
  uint64_t first_checkpoint_id; /* its id once triggered; 0: not yet */
  uint64_t first_due_ns;        /* it failed and is taken again then; 0: it did not */
  bool reading;                 /* READ was sent */
  uint64_t open_since_ns;

  struct wr_coordinator *coordinator;
  _Atomic uint64_t triggered_id;
  struct wr_pending_checkpoint pending[WR_PENDING_CHECKPOINTS];
  uint64_t retained[WR_RETAINED_MAX];
  uint32_t retained_count;
  struct wr_handle *drop; /* files of failed checkpoints */
  uint32_t drop_count, drop_capacity;
  bool clean_up_due;

  struct wr_call folder_call;
  enum wr_folder_job folder_job;
  struct wr_metadata metadata; /* PUBLISH */
  bool metadata_has_files;
  uint64_t publish_id;              /* asked for and not begun; 0: none */
  uint64_t reserve_to;              /* asked for and not begun; 0: none */
  struct wr_identity next_identity; /* RESERVE, END */
  enum wr_publish_outcome folder_outcome;
  struct weir_error folder_error;
  struct weir_error failure; /* what a task or the folder said of checkpoint `failure_id`; 0: nothing was said */
  uint64_t failure_id;
  struct wr_folder_cleanup cleanup;
  uint64_t *cleanup_retained;
  struct wr_handle *cleanup_drop;
  uint32_t cleanup_drop_count;

  atomic_flag status_lock;
  struct wr_job_status status; /* the master's own */
  struct wr_job_status shown;  /* what others read, under the lock */
  struct weir_error error;     /* scratch of the step */
};

/* Around what others may look at: the shown status, and the attempt's tasks. Held for a few copies only. */
static inline void wr_job_lock(struct wr_job *job) {
  while (atomic_flag_test_and_set_explicit(&job->status_lock, memory_order_acquire)) {
  }
}
static inline void wr_job_unlock(struct wr_job *job) {
  atomic_flag_clear_explicit(&job->status_lock, memory_order_release);
}

void wr_job_log(struct wr_job *job, enum wr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void wr_job_enter(struct wr_job *job, enum wr_job_phase phase);
/* The attempt has failed: restart or end, by the class of the error. */
void wr_job_fail(struct wr_job *job, const struct weir_error *error);

/* job_run.c */
enum weir_code wr_job_deploy(struct wr_job *job);
/* Enumerators: assigns splits. */
enum weir_code wr_job_step_sources(struct wr_job *job, uint64_t now_ns, uint64_t *wake_at_ns, bool *out_progress);
bool wr_job_sources_ready(const struct wr_job *job);
/* Every split that was assigned has come to its task. */
bool wr_job_splits_arrived(const struct wr_job *job);
bool wr_job_sources_idle(const struct wr_job *job);
bool wr_job_is_settled_up_to(const struct wr_job *job, uint64_t id);
uint64_t wr_job_waiting_epochs(const struct wr_job *job);
void wr_job_free_attempt(struct wr_job *job);
void wr_job_update_status(struct wr_job *job);

/* job_checkpoint.c */
enum weir_code wr_job_handle_event(struct wr_job *job, struct wr_task_event *event, uint64_t now_ns);
enum weir_code wr_job_step_checkpoints(struct wr_job *job, uint64_t now_ns, uint64_t *wake_at_ns, bool *out_progress);
/* Looks after the folder's call; begins the next one. */
enum weir_code wr_job_step_folder(struct wr_job *job, uint64_t now_ns, bool *out_progress);
/* The last record: FINISHED, or stopped cleanly. Answers through folder_marked. */
void wr_job_mark_end(struct wr_job *job, bool finished);
bool wr_job_folder_is_idle(struct wr_job *job);
void wr_job_drop_checkpoints(struct wr_job *job);

#endif
