/* checkpoint/metadata.h: what a completed checkpoint says: offsets and state of every operator, together.
 *
 * One file `chk-N` in the job's folder. A checkpoint is its metadata plus the data files that it names; metadata is
 * written last. Small state lies inside it, so a small job's checkpoint is this one file. The byte table is in
 * metadata.c. Everything that a restore needs is here by operator uid, never by place in the graph.
 */
#ifndef WR_CHECKPOINT_METADATA_H
#define WR_CHECKPOINT_METADATA_H

#include "checkpoint/barriers.h"
#include "checkpoint/commit.h"
#include "data/key.h"
#include "store/store.h"

/* What one subtask of one operator stored. Empty parts have no handles. */
struct wr_subtask_state {
  uint32_t subtask;
  struct wr_key_group_range range; /* of keyed state */
  struct wr_handle *keyed;         /* base, then deltas; borrowed from several checkpoints' files */
  uint32_t keyed_count;
  struct wr_handle *splits; /* union state, one handle per element (a source's splits); small: inline */
  uint32_t split_count;
  struct wr_handle raw; /* the operator's own bytes; `length` 0: none */
  bool has_commit;      /* a committer: `commit` is there */
  struct wr_commit_snapshot commit;
};

struct wr_operator_state {
  char uid[WR_UID_BYTES_MAX + 1];
  uint32_t parallelism;
  uint32_t ended_inputs; /* bit i: end_input(i) had run in all subtasks; a source: bit 0, its splits have ended */
  struct wr_subtask_state *subtasks;
  uint32_t subtask_count;
};

struct wr_metadata {
  uint8_t incarnation[WR_INCARNATION_BYTES];
  uint64_t start_number;
  uint64_t checkpoint_id;
  int64_t time_ms; /* wall time of the trigger */
  enum wr_mode mode;
  uint32_t max_parallelism;
  bool bounded; /* stop positions are fixed in the sources' splits */
  char job_name[WR_NAME_BYTES_MAX + 1];
  struct wr_operator_state *operators; /* sorted by uid */
  uint32_t operator_count;
};

void wr_subtask_state_deinit(struct wr_memory *memory, struct wr_subtask_state *state);
void wr_metadata_deinit(struct wr_memory *memory, struct wr_metadata *metadata);
/* The whole file's bytes, header and checksum included. */
enum weir_code wr_metadata_encode(struct wr_bytes *out, const struct wr_metadata *metadata, struct weir_error *error);
/* CORRUPT (position, what is wrong), NEWER. `name` is for the messages. */
enum weir_code wr_metadata_decode(const uint8_t *data, size_t length, const char *name, struct wr_memory *memory,
                                  struct wr_metadata *out_metadata, struct weir_error *error);
/* NULL when there is none. */
const struct wr_operator_state *wr_metadata_find(const struct wr_metadata *metadata, const char *uid);
/* Calls for every data file that it names (with repetitions): state chains, splits, raw, and the parts of epochs. */
void wr_metadata_each_file(const struct wr_metadata *metadata,
                           void (*each)(void *argument, const struct wr_handle *handle), void *argument);

#endif
