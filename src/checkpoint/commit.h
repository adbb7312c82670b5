/* checkpoint/commit.h: the order in which one sink's prepared epochs are committed. Pure: no I/O, clock or threads.
 *
 * One committer per sink collects the parts of all subtasks. Parts that arrive before its barrier N are epoch N (also
 * parts that were prepared for an earlier, aborted checkpoint). A prepared epoch belongs to the sink, not to the
 * checkpoint that carried it: if N fails, epoch N stays and is carried in every later checkpoint until its commit is
 * acknowledged. When checkpoint N completes, all epochs up to N are committed, ascending, one at a time.
 *
 * A target holds one marker: {incarnation, start number, checkpoint id of the last committed epoch}. On recovery the
 * marker is compared first (wr_commit_compare), for every sink, before anything is changed; then claimed; then what R
 * carries is settled; only then the job runs. One thread.
 */
#ifndef WR_CHECKPOINT_COMMIT_H
#define WR_CHECKPOINT_COMMIT_H

#include "base/bytes.h"
#include "store/store.h"

/* What a target remembers of this (job, sink uid). */
struct wr_marker {
  bool present; /* the target has a marker row of this job and sink */
  uint8_t incarnation[WR_INCARNATION_BYTES];
  uint64_t start_number;
  uint64_t checkpoint_id; /* 0: claimed, nothing committed yet */
};

/* One subtask's share of an epoch: where its rows are. */
struct wr_part {
  uint64_t prepared_for; /* the checkpoint whose barrier closed it */
  uint32_t subtask;
  uint64_t row_count;
  struct wr_handle handle;
};

struct wr_epoch {
  uint64_t checkpoint_id;
  struct wr_part *parts; /* in order of arrival; per subtask in order of writing */
  uint32_t part_count;
  uint64_t bytes;
  bool completed; /* its checkpoint completed: it may be, and must be, committed */
};

/* What a checkpoint stores of a committer. */
struct wr_commit_snapshot {
  uint64_t last_committed; /* checkpoint id of the last epoch acknowledged as committed; 0: none */
  struct wr_epoch *epochs; /* pending, ascending */
  uint32_t epoch_count;
};

void wr_part_deinit(struct wr_memory *memory, struct wr_part *part);
void wr_part_put(struct wr_bytes *out, const struct wr_part *part);
enum weir_code wr_part_read(struct wr_reader *reader, struct wr_memory *memory, struct wr_part *out_part,
                            struct weir_error *error);
void wr_commit_snapshot_put(struct wr_bytes *out, const struct wr_commit_snapshot *snapshot);
enum weir_code wr_commit_snapshot_read(struct wr_reader *reader, struct wr_memory *memory,
                                       struct wr_commit_snapshot *out_snapshot, struct weir_error *error);
void wr_commit_snapshot_deinit(struct wr_memory *memory, struct wr_commit_snapshot *snapshot);

/* ---- the comparison of rule 4 ---- */

enum wr_compare {
  WR_COMPARE_OK,
  WR_COMPARE_FOREIGN,       /* a fresh start, but the target has a marker of another incarnation of this job */
  WR_COMPARE_LOST,          /* marker below what R says was committed, or missing where R says that something was
                               committed or is in doubt: target replaced, rolled back, or it forgot (retention) */
  WR_COMPARE_NEWER_OUTPUT,  /* marker above R: newer output is out than what R knows */
  WR_COMPARE_OTHER_HISTORY, /* marker of an epoch below R that R neither records as committed nor carries */
  WR_COMPARE_FENCED,        /* a higher start number of this incarnation holds the marker */
  WR_COMPARE_OTHER          /* R is of this incarnation, the marker of another: another run writes there */
};
/* `r` is the id of the checkpoint that is restored, 0 for none; `snapshot` is what it stored for this sink (NULL: R
 * does not know the sink, it begins empty). `incarnation` is the one that wrote R (or the new one, when r is 0);
 * `start_number` is the last start number durably recorded in the folder before this start. */
enum wr_compare wr_commit_compare(const struct wr_marker *marker, const uint8_t *incarnation, uint64_t start_number,
                                  uint64_t r, const struct wr_commit_snapshot *snapshot);

/* ---- the machine ---- */

struct wr_commit;

struct wr_commit_limits {
  uint32_t epochs_max; /* rule 2: epochs in completed checkpoints, not yet acknowledged; default 8 */
  uint64_t bytes_max;  /* of what their handles name in the job's folder; default 256 MiB */
};

/* Restored from R (`snapshot` NULL: begins empty; its epochs are moved out of it): all restored epochs are committable;
 * those up to `marker_checkpoint_id` are already committed in the target. */
enum weir_code wr_commit_new(struct wr_memory *memory, const struct wr_commit_limits *limits,
                             struct wr_commit_snapshot *snapshot, uint64_t marker_checkpoint_id,
                             struct wr_commit **out_commit, struct weir_error *error);
void wr_commit_free(struct wr_commit *commit);

/* A part came in; moved in. */
enum weir_code wr_commit_part(struct wr_commit *commit, struct wr_part *part, struct weir_error *error);
/* Barrier N: what came since is epoch N (no epoch when nothing came). */
enum weir_code wr_commit_barrier(struct wr_commit *commit, uint64_t checkpoint_id, struct weir_error *error);
/* A view of what checkpoint N must store; valid until the next call. */
struct wr_commit_snapshot wr_commit_snapshot_view(const struct wr_commit *commit);
/* Checkpoint N completed: epochs up to N are to be committed. Ids older than one already seen change nothing. */
void wr_commit_completed(struct wr_commit *commit, uint64_t checkpoint_id);

/* The epoch to commit now: the oldest completed one, when none is being committed. NULL: nothing to do. The caller
 * commits it and answers with one of the functions below. */
const struct wr_epoch *wr_commit_begin_next(struct wr_commit *commit);
void wr_commit_acknowledged(struct wr_commit *commit, uint64_t checkpoint_id); /* committed, or was already */
void wr_commit_retry(struct wr_commit *commit, uint64_t checkpoint_id); /* a transient failure: it is next again */

/* Rule 2: completed and not yet acknowledged epochs exceed a limit. */
bool wr_commit_is_over_limit(const struct wr_commit *commit);
uint32_t wr_commit_waiting_epochs(const struct wr_commit *commit); /* completed, not acknowledged */
uint32_t wr_commit_pending_epochs(const struct wr_commit *commit); /* all that are held */
/* Nothing completed waits. */
bool wr_commit_is_settled(const struct wr_commit *commit);
uint64_t wr_commit_last_committed(const struct wr_commit *commit);

#endif
