/* checkpoint/coordinator.h: when to take a checkpoint and what becomes of it. Pure: no I/O, clock or threads.
 *
 * Events go in (time passes, a task acknowledges, the store answers), actions come out of a queue and are carried out
 * by the job (runtime/job), which takes all of them after every event. One checkpoint is in flight unless max_in_flight
 * says more. The rules are Flink's CheckpointCoordinator with the differences of ARCHITECTURE.md ("Checkpoints"): a
 * failed checkpoint never fails the job; ids come from durably reserved blocks and are never used twice; nothing that
 * failed is ever restorable.
 *
 * The life of checkpoint N:   TRIGGER -> (acks) -> PUBLISH -> COMPLETE, SUBSUME older       or at any point -> ABORT
 *   - Every task acknowledges once: (attempt, id, task). Attempts that are not the present one count for nothing.
 *   - All acknowledged: PUBLISH, one at a time. The timeout no longer counts then; the outcome is waited for.
 *   - Published durable: COMPLETE(N) (tasks are told, committers commit), older pending ones are aborted (subsumed),
 *     and of completed ones all but the newest `retained` are SUBSUMEd (their files may go).
 *   - Published failed: ABORT(N, metadata). Unknown: RESTART: the attempt ends and recovery decides.
 *   - Declined, timed out, a newer one completed: ABORT(N): tasks are told, what they wrote for N may be deleted (not
 *     the parts of prepared epochs).
 * One thread.
 */
#ifndef WR_CHECKPOINT_COORDINATOR_H
#define WR_CHECKPOINT_COORDINATOR_H

#include "base/error.h"
#include "base/memory.h"
#include "os/seams.h"

struct wr_coordinator_options {
  uint64_t interval_ns;   /* of periodic checkpoints; 0: none */
  uint64_t min_pause_ns;  /* from the completion (or abort) of one to the trigger of the next periodic one */
  uint64_t timeout_ns;    /* from the trigger to the last acknowledgement */
  uint32_t retained;      /* completed checkpoints kept, at least 1 */
  uint32_t max_in_flight; /* 1 */
  uint32_t task_count;    /* tasks numbered 0 .. task_count-1, all acknowledge */
  uint64_t attempt;       /* start number of this attempt */
  uint64_t next_id;       /* first id that may be used */
  uint64_t id_limit;      /* ids from here on are not reserved yet */
};

/* Why a checkpoint is taken. Forced ones are triggered although a backlog waits, min_pause holds, or periodic ones are
 * off; they wait for one in flight to end. */
enum wr_checkpoint_reason {
  WR_CHECKPOINT_PERIODIC,
  WR_CHECKPOINT_REQUESTED, /* forced; by a user of the API, or the first one of a job. Not taken again when it fails.
                              One trigger, whatever its reason, serves all requests before it */
  WR_CHECKPOINT_FINAL,     /* forced; the last of a bounded job or of a stop: no periodic one is triggered after it was
                              asked for; when it fails it is taken again after the interval (1 s when that is 0);
                              after it completed nothing is triggered */
};

enum wr_abort_reason {
  WR_ABORT_TIMEOUT,
  WR_ABORT_DECLINED,  /* a task could not take its snapshot */
  WR_ABORT_CANCELLED, /* a task met a cancel marker or a newer barrier */
  WR_ABORT_SUBSUMED,  /* a newer one completed */
  WR_ABORT_METADATA,  /* the metadata could not be written */
  WR_ABORT_SHUTDOWN,  /* the attempt ends */
};
const char *wr_abort_reason_text(enum wr_abort_reason reason);

enum wr_coordinator_action_kind {
  WR_COORDINATOR_TRIGGER,     /* tell the sources: put barrier `id` into the stream */
  WR_COORDINATOR_PUBLISH,     /* write the metadata of `id`; answer by wr_coordinator_published */
  WR_COORDINATOR_COMPLETE,    /* `id` is durable: tell all tasks */
  WR_COORDINATOR_SUBSUME,     /* completed checkpoint `id` is no longer retained */
  WR_COORDINATOR_ABORT,       /* `id` failed: tell all tasks `latest_completed` and this; drop its handles */
  WR_COORDINATOR_RESERVE_IDS, /* reserve ids up to at least `id` + a block durably; answer by wr_coordinator_reserved */
  WR_COORDINATOR_RESTART,     /* the outcome of publishing `id` is unknown: end the attempt and recover */
  WR_COORDINATOR_WARN_FAILING /* the third failure in a row (then every further third): log an error line with reason */
};
struct wr_coordinator_action {
  enum wr_coordinator_action_kind kind;
  uint64_t id;
  uint64_t latest_completed;         /* 0: none in this job's life as far as known */
  enum wr_abort_reason abort_reason; /* ABORT, WARN_FAILING */
  enum wr_checkpoint_reason reason;  /* TRIGGER */
};

enum wr_ack_result {
  WR_ACK_ACCEPTED,
  WR_ACK_DUPLICATE, /* ignore; nothing to discard. Also of a checkpoint that completed: what it names is in use */
  WR_ACK_LATE,      /* the checkpoint is over or unknown: discard what the acknowledgement names */
  WR_ACK_STALE      /* another attempt's: discard */
};

struct wr_coordinator;

/* `completed` are the retained checkpoints that a restore found, ascending (the last is R); may be empty. */
enum weir_code wr_coordinator_new(struct wr_memory *memory, const struct wr_coordinator_options *options,
                                  const uint64_t *completed, uint32_t completed_count,
                                  struct wr_coordinator **out_coordinator, struct weir_error *error);
void wr_coordinator_free(struct wr_memory *memory, struct wr_coordinator *coordinator);

/* Checkpoints may be triggered from now on: restored state is settled, sources have their splits. */
void wr_coordinator_start(struct wr_coordinator *coordinator, uint64_t now_ns);
/* Time passes. Call also after every other event; it is what triggers. */
void wr_coordinator_tick(struct wr_coordinator *coordinator, uint64_t now_ns);
/* When tick has something to do next (the past: at once); UINT64_MAX: not by time. */
uint64_t wr_coordinator_wake_at(const struct wr_coordinator *coordinator);
/* REQUESTED or FINAL. Triggers nothing yet: the next tick does. */
void wr_coordinator_request(struct wr_coordinator *coordinator, enum wr_checkpoint_reason reason);
/* Rule 2: too much waits to be committed: no periodic checkpoint while it is true. */
void wr_coordinator_set_backlog(struct wr_coordinator *coordinator, bool backlog);
enum wr_ack_result wr_coordinator_acknowledge(struct wr_coordinator *coordinator, uint64_t attempt, uint64_t id,
                                              uint32_t task, uint64_t now_ns);
void wr_coordinator_decline(struct wr_coordinator *coordinator, uint64_t attempt, uint64_t id, uint32_t task,
                            enum wr_abort_reason reason, uint64_t now_ns);
void wr_coordinator_published(struct wr_coordinator *coordinator, uint64_t id, enum wr_publish_outcome outcome,
                              uint64_t now_ns);
/* Ids below `id_limit` are durably reserved now. A failed reservation is answered with the old limit: it is asked again
 * after the interval (1 s when that is 0). */
void wr_coordinator_reserved(struct wr_coordinator *coordinator, uint64_t id_limit, uint64_t now_ns);
/* The attempt ends: everything in flight is aborted and nothing is triggered any more. A publish that was begun keeps
 * its outcome open: it still answers with COMPLETE, ABORT or RESTART. */
void wr_coordinator_stop(struct wr_coordinator *coordinator);

/* Takes the next action; false when there is none. */
bool wr_coordinator_next_action(struct wr_coordinator *coordinator, struct wr_coordinator_action *out_action);

/* A publish is under way: nothing may be restored before it has ended. */
bool wr_coordinator_is_publishing(const struct wr_coordinator *coordinator);
/* The final checkpoint completed, with this id; 0: not yet. */
uint64_t wr_coordinator_final_completed(const struct wr_coordinator *coordinator);
uint64_t wr_coordinator_latest_completed(const struct wr_coordinator *coordinator);
uint32_t wr_coordinator_failures_in_a_row(const struct wr_coordinator *coordinator);

#endif
