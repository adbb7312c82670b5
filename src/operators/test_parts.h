/* operators/test_parts.h: parts and epochs for tests of targets, made by hand, inline. One thread. */
#ifndef WR_OPERATORS_TEST_PARTS_H
#define WR_OPERATORS_TEST_PARTS_H

#include "checkpoint/commit.h"
#include "data/batch_builder.h"
#include "data/wire.h"

/* The bytes, in a handle. */
static inline struct wr_handle test_handle_of(struct wr_bytes *bytes) {
  struct wr_handle handle = {0};
  size_t length = 0;
  WR_ASSERT(!bytes->failed);
  handle.inline_bytes = wr_bytes_take(bytes, &length);
  handle.length = length;
  handle.digest = wr_digest_of(handle.inline_bytes, length);
  return handle;
}

/* A part whose payload is the batch, encoded, in the handle. Aborts without memory. */
static inline struct wr_part test_part_of(struct wr_memory *memory, uint64_t checkpoint_id, uint32_t subtask,
                                          const struct wr_batch *batch) {
  struct wr_part part = {.prepared_for = checkpoint_id, .subtask = subtask, .row_count = batch->selected_count};
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, memory, WR_MEMORY_SINK);
  wr_wire_put_batch(&bytes, batch);
  part.handle = test_handle_of(&bytes);
  return part;
}

/* An epoch of one part; release with test_epoch_deinit. */
static inline struct wr_epoch test_epoch_of(struct wr_memory *memory, uint64_t checkpoint_id,
                                            const struct wr_batch *batch) {
  struct wr_epoch epoch = {.checkpoint_id = checkpoint_id, .part_count = 1, .completed = true};
  epoch.parts = wr_alloc_zeroed(memory, 1, sizeof *epoch.parts, WR_MEMORY_SINK);
  WR_ASSERT(epoch.parts != NULL);
  epoch.parts[0] = test_part_of(memory, checkpoint_id, 0, batch);
  epoch.bytes = epoch.parts[0].handle.length;
  return epoch;
}

static inline void test_epoch_deinit(struct wr_memory *memory, struct wr_epoch *epoch) {
  for (uint32_t i = 0; i < epoch->part_count; i++)
    wr_part_deinit(memory, &epoch->parts[i]);
  wr_free(memory, epoch->parts);
  *epoch = (struct wr_epoch){0};
}

#endif
