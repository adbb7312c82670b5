/* checkpoint/commit.c: see commit.h.
 *
 * How it works. Parts gather in `open`; barrier N makes them the newest entry of `epochs`, which is ascending.
 * Completed epochs are always the front of `epochs`, for a completion covers all ids up to its own. The epoch that is
 * being committed is epochs[0]; it stays there, and in every snapshot, until its commit is acknowledged. The caller
 * holds a shallow copy (`committing`) meanwhile, so that a barrier, which may move `epochs`, does not disturb a running
 * commit.
 *
 * What always holds: epochs ascend, each has a part; last_committed is below the first; nothing is dropped but by an
 * acknowledgement (or because the target's marker says at a restore that it is committed); on NO_MEMORY nothing
 * changed. One thread.
 *
 * A part, as stored (little-endian, as all of weir's formats; checked by the checksum of what it lies in):
 *
 *   u64  prepared_for    id of the checkpoint whose barrier closed it; at least 1
 *   u32  subtask         below WR_PARALLELISM_MAX
 *   u64  row_count
 *   ...  handle          see store/handle.c
 *
 * A snapshot of a committer:
 *
 *   u64  last_committed  0: none
 *   u32  epoch_count     then for each epoch, ids ascending and above last_committed:
 *   u64    checkpoint_id
 *   u32    part_count    at least 1; then the parts, each prepared for this id or a lower one
 *
 * An epoch's bytes are the sum of its handles' lengths; whether it is completed is not stored: what a restored
 * checkpoint carries is completed by that.
 */
#include "checkpoint/commit.h"

#include "base/limits.h"

#include <inttypes.h>

enum { PART_BYTES_MIN = 8 + 4 + 8 + 1, EPOCH_BYTES_MIN = 8 + 4 + PART_BYTES_MIN, CAPACITY_FIRST = 4 };

struct wr_commit {
  struct wr_memory *memory;
  struct wr_commit_limits limits;
  struct wr_part *open; /* came since the last barrier */
  uint32_t open_count, open_capacity;
  struct wr_epoch *epochs;
  uint32_t epoch_count, epoch_capacity;
  uint32_t completed_count; /* the first so many of `epochs` are completed */
  uint64_t completed_bytes; /* in them */
  uint64_t last_barrier;
  uint64_t last_committed;
  bool is_committing;
  struct wr_epoch committing; /* a shallow copy of epochs[0] for the caller */
};

/* ---- parts and snapshots ---- */

void wr_part_deinit(struct wr_memory *memory, struct wr_part *part) {
  wr_handle_deinit(memory, &part->handle);
}

static void deinit_parts(struct wr_memory *memory, struct wr_part *parts, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    wr_part_deinit(memory, &parts[i]);
  wr_free(memory, parts);
}

static void deinit_epoch(struct wr_memory *memory, struct wr_epoch *epoch) {
  deinit_parts(memory, epoch->parts, epoch->part_count);
  *epoch = (struct wr_epoch){0};
}

void wr_commit_snapshot_deinit(struct wr_memory *memory, struct wr_commit_snapshot *snapshot) {
  for (uint32_t i = 0; i < snapshot->epoch_count; i++)
    deinit_epoch(memory, &snapshot->epochs[i]);
  wr_free(memory, snapshot->epochs);
  *snapshot = (struct wr_commit_snapshot){0};
}

void wr_part_put(struct wr_bytes *out, const struct wr_part *part) {
  wr_bytes_put_u64(out, part->prepared_for);
  wr_bytes_put_u32(out, part->subtask);
  wr_bytes_put_u64(out, part->row_count);
  wr_handle_put(out, &part->handle);
}

enum weir_code wr_part_read(struct wr_reader *reader, struct wr_memory *memory, struct wr_part *out_part,
                            struct weir_error *error) {
  size_t position = reader->position;
  struct wr_part part = {.prepared_for = wr_read_u64(reader), .subtask = wr_read_u32(reader)};
  part.row_count = wr_read_u64(reader);
  if (reader->failed) return WR_FAIL(error, WEIR_CORRUPT, "a part of an epoch ends early at byte %zu", position);
  if (part.prepared_for == 0 || part.subtask >= WR_PARALLELISM_MAX)
    return WR_FAIL(error, WEIR_CORRUPT,
                   "a part of an epoch at byte %zu names checkpoint %" PRIu64 ", subtask %" PRIu32
                   ": there can be no such part",
                   position, part.prepared_for, part.subtask);
  WR_TRY(wr_handle_read(reader, memory, &part.handle, error));
  *out_part = part;
  return WEIR_OK;
}

void wr_commit_snapshot_put(struct wr_bytes *out, const struct wr_commit_snapshot *snapshot) {
  wr_bytes_put_u64(out, snapshot->last_committed);
  wr_bytes_put_u32(out, snapshot->epoch_count);
  for (uint32_t e = 0; e < snapshot->epoch_count; e++) {
    const struct wr_epoch *epoch = &snapshot->epochs[e];
    wr_bytes_put_u64(out, epoch->checkpoint_id);
    wr_bytes_put_u32(out, epoch->part_count);
    for (uint32_t p = 0; p < epoch->part_count; p++)
      wr_part_put(out, &epoch->parts[p]);
  }
}

/* The parts of one epoch. `epoch` is valid, with the parts read so far, also on failure. */
static enum weir_code read_parts(struct wr_reader *reader, struct wr_memory *memory, uint32_t part_count,
                                 struct wr_epoch *epoch, struct weir_error *error) {
  for (; epoch->part_count < part_count; epoch->part_count++) {
    size_t position = reader->position;
    struct wr_part *part = &epoch->parts[epoch->part_count];
    WR_TRY(wr_part_read(reader, memory, part, error));
    bool late = part->prepared_for > epoch->checkpoint_id;
    if (late || part->handle.length > UINT64_MAX - epoch->bytes) {
      wr_part_deinit(memory, part);
      return WR_FAIL(error, WEIR_CORRUPT, "the part at byte %zu does not fit into epoch %" PRIu64 ": %s", position,
                     epoch->checkpoint_id, late ? "it was prepared for a later one" : "it is impossibly long");
    }
    epoch->bytes += part->handle.length;
  }
  return WEIR_OK;
}

static enum weir_code read_epoch(struct wr_reader *reader, struct wr_memory *memory, uint64_t above_id,
                                 struct wr_epoch *epoch, struct weir_error *error) {
  size_t position = reader->position;
  epoch->checkpoint_id = wr_read_u64(reader);
  uint32_t part_count = wr_read_u32(reader);
  if (reader->failed) return WR_FAIL(error, WEIR_CORRUPT, "an epoch ends early at byte %zu", position);
  if (epoch->checkpoint_id <= above_id)
    return WR_FAIL(error, WEIR_CORRUPT, "epoch %" PRIu64 " at byte %zu comes after %" PRIu64 ": ids must ascend",
                   epoch->checkpoint_id, position, above_id);
  if (part_count == 0 || part_count > (reader->length - reader->position) / PART_BYTES_MIN)
    return WR_FAIL(error, WEIR_CORRUPT, "epoch %" PRIu64 " at byte %zu can not have %" PRIu32 " parts",
                   epoch->checkpoint_id, position, part_count);
  epoch->parts = wr_alloc_zeroed(memory, part_count, sizeof *epoch->parts, WR_MEMORY_SINK);
  if (epoch->parts == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the %" PRIu32 " parts of epoch %" PRIu64, part_count,
                   epoch->checkpoint_id);
  return read_parts(reader, memory, part_count, epoch, error);
}

enum weir_code wr_commit_snapshot_read(struct wr_reader *reader, struct wr_memory *memory,
                                       struct wr_commit_snapshot *out_snapshot, struct weir_error *error) {
  size_t position = reader->position;
  struct wr_commit_snapshot snapshot = {.last_committed = wr_read_u64(reader)};
  uint32_t epoch_count = wr_read_u32(reader);
  if (reader->failed) return WR_FAIL(error, WEIR_CORRUPT, "the state of a committer ends early at byte %zu", position);
  if (epoch_count > (reader->length - reader->position) / EPOCH_BYTES_MIN)
    return WR_FAIL(error, WEIR_CORRUPT, "the state of a committer at byte %zu can not have %" PRIu32 " epochs",
                   position, epoch_count);
  if (epoch_count > 0) {
    snapshot.epochs = wr_alloc_zeroed(memory, epoch_count, sizeof *snapshot.epochs, WR_MEMORY_SINK);
    if (snapshot.epochs == NULL)
      return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %" PRIu32 " epochs", epoch_count);
  }
  enum weir_code code = WEIR_OK;
  uint64_t above_id = snapshot.last_committed;
  while (code == WEIR_OK && snapshot.epoch_count < epoch_count) {
    struct wr_epoch *epoch = &snapshot.epochs[snapshot.epoch_count++];
    code = read_epoch(reader, memory, above_id, epoch, error);
    above_id = epoch->checkpoint_id;
  }
  if (code != WEIR_OK) {
    wr_commit_snapshot_deinit(memory, &snapshot);
    return code;
  }
  *out_snapshot = snapshot;
  return WEIR_OK;
}

/* ---- the comparison ---- */

static bool carries(const struct wr_commit_snapshot *snapshot, uint64_t checkpoint_id) {
  for (uint32_t i = 0; i < snapshot->epoch_count; i++)
    if (snapshot->epochs[i].checkpoint_id == checkpoint_id) return true;
  return false;
}

/* The marker was claimed before the job that wrote R ran, and each epoch's rows and its id in the marker are committed
 * in one transaction. "In doubt" are the epochs that R carries: committed or not, only the marker can tell.
 *
 *   R     marker                                       answer
 *   ----  -------------------------------------------  ------------------------------------------------------------
 *   none  missing                                      OK: nothing of this job was ever there
 *   none  another incarnation                          FOREIGN: rows of an earlier life, or another folder's run
 *   none  this one, start above ours                   FENCED: a copy of this folder started later
 *   none  this one, id 0                               OK: claimed, then killed before the first checkpoint
 *   none  this one, id > 0                             NEWER_OUTPUT: rows are out and no checkpoint knows of them
 *   r     missing, sink not in R                       OK: the sink is new
 *   r     missing, something committed or in doubt     LOST: the target was replaced, or forgot (retention)
 *   r     missing, nothing committed or in doubt       OK: no row of an epoch up to r can be there or be missing
 *   r     another incarnation                          OTHER
 *   r     this one, start above ours                   FENCED
 *   r     this one, id > r                             NEWER_OUTPUT: R's rows after id would come twice
 *   r     this one, id < last_committed                LOST: the target was rolled back; those epochs' rows are gone
 *   r     this one, id = last_committed, or of an      OK: epochs up to id are committed, the rest are to be
 *         epoch that R carries, or r
 *   r     this one, id <= r, sink not in R             OK: it was taken out of the job, and is put in again
 *   r     this one, another id below r                 OTHER_HISTORY: no id is given out twice, so R was made by a job
 *                                                      that had gone on from a checkpoint before epoch id
 *
 * FENCED goes before what the id says, for then another run owns the marker and moves it. A target that had forgotten
 * its marker is claimed with r itself, whether R carries an epoch of that id or not. */
enum wr_compare wr_commit_compare(const struct wr_marker *marker, const uint8_t *incarnation, uint64_t start_number,
                                  uint64_t r, const struct wr_commit_snapshot *snapshot) {
  if (r == 0) snapshot = NULL;
  uint64_t last_committed = snapshot == NULL ? 0 : snapshot->last_committed;
  if (!marker->present) {
    bool in_doubt = snapshot != NULL && snapshot->epoch_count > 0;
    return last_committed > 0 || in_doubt ? WR_COMPARE_LOST : WR_COMPARE_OK;
  }
  if (memcmp(marker->incarnation, incarnation, WR_INCARNATION_BYTES) != 0)
    return r == 0 ? WR_COMPARE_FOREIGN : WR_COMPARE_OTHER;
  if (marker->start_number > start_number) return WR_COMPARE_FENCED;
  if (marker->checkpoint_id > r) return WR_COMPARE_NEWER_OUTPUT;
  if (marker->checkpoint_id < last_committed) return WR_COMPARE_LOST;
  if (marker->checkpoint_id == last_committed || marker->checkpoint_id == r || snapshot == NULL) return WR_COMPARE_OK;
  return carries(snapshot, marker->checkpoint_id) ? WR_COMPARE_OK : WR_COMPARE_OTHER_HISTORY;
}

/* ---- the machine ---- */

static void mark_completed(struct wr_commit *commit) {
  struct wr_epoch *epoch = &commit->epochs[commit->completed_count++];
  epoch->completed = true;
  commit->completed_bytes += epoch->bytes;
}

enum weir_code wr_commit_new(struct wr_memory *memory, const struct wr_commit_limits *limits,
                             struct wr_commit_snapshot *snapshot, uint64_t marker_checkpoint_id,
                             struct wr_commit **out_commit, struct weir_error *error) {
  struct wr_commit *commit = wr_alloc_zeroed(memory, 1, sizeof *commit, WR_MEMORY_SINK);
  if (commit == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a committer");
  commit->memory = memory;
  commit->limits = *limits;
  commit->last_committed = marker_checkpoint_id;
  if (snapshot != NULL) {
    WR_ASSERT(marker_checkpoint_id == 0 || marker_checkpoint_id >= snapshot->last_committed);
    commit->last_committed =
        marker_checkpoint_id > snapshot->last_committed ? marker_checkpoint_id : snapshot->last_committed;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < snapshot->epoch_count; i++) {
      WR_ASSERT(snapshot->epochs[i].checkpoint_id > commit->last_barrier);
      commit->last_barrier = snapshot->epochs[i].checkpoint_id;
      if (snapshot->epochs[i].checkpoint_id <= commit->last_committed)
        deinit_epoch(memory, &snapshot->epochs[i]);
      else
        snapshot->epochs[kept++] = snapshot->epochs[i];
    }
    commit->epochs = snapshot->epochs;
    commit->epoch_count = kept;
    commit->epoch_capacity = snapshot->epoch_count;
    *snapshot = (struct wr_commit_snapshot){0};
  }
  while (commit->completed_count < commit->epoch_count)
    mark_completed(commit);
  *out_commit = commit;
  return WEIR_OK;
}

void wr_commit_free(struct wr_commit *commit) {
  if (commit == NULL) return;
  deinit_parts(commit->memory, commit->open, commit->open_count);
  for (uint32_t i = 0; i < commit->epoch_count; i++)
    deinit_epoch(commit->memory, &commit->epochs[i]);
  wr_free(commit->memory, commit->epochs);
  wr_free(commit->memory, commit);
}

/* Room for one more of `count` entries in *table, which may move. */
static enum weir_code grow(struct wr_memory *memory, void **table, uint32_t count, uint32_t *capacity,
                           size_t entry_bytes, struct weir_error *error) {
  if (count < *capacity) return WEIR_OK;
  WR_ASSERT(*capacity <= UINT32_MAX / 2);
  uint32_t larger = *capacity == 0 ? CAPACITY_FIRST : *capacity * 2;
  void *moved = wr_resize(memory, *table, larger * entry_bytes, WR_MEMORY_SINK);
  if (moved == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %" PRIu32 " parts or epochs that wait for their commit",
                   larger);
  *table = moved;
  *capacity = larger;
  return WEIR_OK;
}

enum weir_code wr_commit_part(struct wr_commit *commit, struct wr_part *part, struct weir_error *error) {
  void *open = commit->open;
  enum weir_code code =
      grow(commit->memory, &open, commit->open_count, &commit->open_capacity, sizeof *commit->open, error);
  commit->open = open;
  if (code != WEIR_OK) return code;
  commit->open[commit->open_count++] = *part;
  *part = (struct wr_part){0};
  return WEIR_OK;
}

enum weir_code wr_commit_barrier(struct wr_commit *commit, uint64_t checkpoint_id, struct weir_error *error) {
  WR_ASSERT(checkpoint_id > commit->last_barrier && checkpoint_id > commit->last_committed);
  if (commit->open_count > 0) {
    void *epochs = commit->epochs;
    enum weir_code code =
        grow(commit->memory, &epochs, commit->epoch_count, &commit->epoch_capacity, sizeof *commit->epochs, error);
    commit->epochs = epochs;
    if (code != WEIR_OK) return code;
    struct wr_epoch *epoch = &commit->epochs[commit->epoch_count++];
    *epoch = (struct wr_epoch){.checkpoint_id = checkpoint_id, .parts = commit->open, .part_count = commit->open_count};
    for (uint32_t i = 0; i < epoch->part_count; i++)
      epoch->bytes += epoch->parts[i].handle.length;
    commit->open = NULL;
    commit->open_count = commit->open_capacity = 0;
  }
  commit->last_barrier = checkpoint_id;
  return WEIR_OK;
}

struct wr_commit_snapshot wr_commit_snapshot_view(const struct wr_commit *commit) {
  return (struct wr_commit_snapshot){
      .last_committed = commit->last_committed, .epochs = commit->epochs, .epoch_count = commit->epoch_count};
}

void wr_commit_completed(struct wr_commit *commit, uint64_t checkpoint_id) {
  while (commit->completed_count < commit->epoch_count &&
         commit->epochs[commit->completed_count].checkpoint_id <= checkpoint_id)
    mark_completed(commit);
}

const struct wr_epoch *wr_commit_begin_next(struct wr_commit *commit) {
  if (commit->is_committing || commit->completed_count == 0) return NULL;
  commit->is_committing = true;
  commit->committing = commit->epochs[0];
  return &commit->committing;
}

void wr_commit_acknowledged(struct wr_commit *commit, uint64_t checkpoint_id) {
  WR_ASSERT(commit->is_committing && commit->committing.checkpoint_id == checkpoint_id);
  commit->is_committing = false;
  commit->last_committed = checkpoint_id;
  commit->completed_bytes -= commit->epochs[0].bytes;
  deinit_epoch(commit->memory, &commit->epochs[0]);
  commit->completed_count--;
  commit->epoch_count--;
  memmove(commit->epochs, commit->epochs + 1, commit->epoch_count * sizeof *commit->epochs);
}

void wr_commit_retry(struct wr_commit *commit, uint64_t checkpoint_id) {
  WR_ASSERT(commit->is_committing && commit->committing.checkpoint_id == checkpoint_id);
  commit->is_committing = false;
}

bool wr_commit_is_over_limit(const struct wr_commit *commit) {
  return commit->completed_count > commit->limits.epochs_max || commit->completed_bytes > commit->limits.bytes_max;
}

uint32_t wr_commit_waiting_epochs(const struct wr_commit *commit) {
  return commit->completed_count;
}

uint32_t wr_commit_pending_epochs(const struct wr_commit *commit) {
  return commit->epoch_count;
}

bool wr_commit_is_settled(const struct wr_commit *commit) {
  return commit->completed_count == 0;
}

uint64_t wr_commit_last_committed(const struct wr_commit *commit) {
  return commit->last_committed;
}
