/* operators/epoch_rows.c: see epoch_rows.h. `pending` holds at least the encoded batch at hand; what was taken is moved
 * out of the way when more is needed, so it stays near the size of one batch plus one block. */
#include "operators/epoch_rows.h"

#include "data/wire.h"

#include <inttypes.h>

void wr_epoch_rows_init(struct wr_epoch_rows *rows, struct wr_store *store, struct wr_memory *memory,
                        const struct weir_schema *schema, const struct wr_epoch *epoch) {
  *rows = (struct wr_epoch_rows){.store = store, .memory = memory, .schema = schema, .epoch = epoch};
  wr_bytes_init(&rows->pending, memory, WR_MEMORY_SINK);
}

void wr_epoch_rows_deinit(struct wr_epoch_rows *rows) {
  wr_blob_close(rows->blob);
  rows->blob = NULL;
  wr_bytes_deinit(&rows->pending);
}

static size_t available(const struct wr_epoch_rows *rows) {
  return rows->pending.length - rows->pending_taken;
}

/* Appends the next block. *out_end: the part has none any more. */
static enum weir_code read_block(struct wr_epoch_rows *rows, bool *out_end, struct weir_error *error) {
  if (rows->pending_taken > 0) {
    size_t rest = available(rows);
    memmove(rows->pending.data, rows->pending.data + rows->pending_taken, rest);
    rows->pending.length = rest;
    rows->pending_taken = 0;
  }
  const uint8_t *data = NULL;
  size_t length = 0;
  WR_TRY(wr_blob_next(rows->blob, &data, &length, error));
  *out_end = length == 0;
  wr_bytes_put(&rows->pending, data, length);
  return wr_bytes_check(&rows->pending, error);
}

/* Reads on until `pending` has `wanted` bytes, or the part ends. */
static enum weir_code want(struct wr_epoch_rows *rows, size_t wanted, struct weir_error *error) {
  bool end = false;
  while (!end && available(rows) < wanted)
    WR_TRY(read_block(rows, &end, error));
  return WEIR_OK;
}

static const struct wr_part *present_part(const struct wr_epoch_rows *rows) {
  return &rows->epoch->parts[rows->next_part - 1];
}

static enum weir_code end_part(struct wr_epoch_rows *rows, struct weir_error *error) {
  wr_blob_close(rows->blob);
  rows->blob = NULL;
  const struct wr_part *part = present_part(rows);
  if (rows->part_rows == part->row_count) return WEIR_OK;
  return WR_FAIL(error, WEIR_CORRUPT, "epoch %" PRIu64 ": the part of subtask %u holds %" PRIu64 " rows, not %" PRIu64,
                 rows->epoch->checkpoint_id, part->subtask, rows->part_rows, part->row_count);
}

static enum weir_code begin_part(struct wr_epoch_rows *rows, struct weir_error *error) {
  const struct wr_part *part = &rows->epoch->parts[rows->next_part++];
  rows->part_rows = 0;
  rows->pending_taken = 0;
  wr_bytes_clear(&rows->pending);
  return wr_blob_open(rows->store, &part->handle, &rows->blob, error);
}

static enum weir_code next_in_part(struct wr_epoch_rows *rows, struct wr_batch **out_batch, struct weir_error *error) {
  enum { PREFIX_BYTES = 4 };
  WR_TRY(want(rows, PREFIX_BYTES, error));
  if (available(rows) == 0) return end_part(rows, error);
  struct wr_reader prefix = wr_reader_of(rows->pending.data + rows->pending_taken, available(rows));
  WR_TRY(want(rows, PREFIX_BYTES + (size_t)wr_read_u32(&prefix), error));
  struct wr_reader reader = wr_reader_of(rows->pending.data + rows->pending_taken, available(rows));
  WR_TRY(wr_wire_read_batch(&reader, rows->schema, rows->memory, out_batch, error));
  rows->pending_taken += reader.position;
  rows->part_rows += (*out_batch)->row_count;
  return WEIR_OK;
}

enum weir_code wr_epoch_rows_next(struct wr_epoch_rows *rows, struct wr_batch **out_batch, struct weir_error *error) {
  *out_batch = NULL;
  while (*out_batch == NULL) {
    if (rows->blob == NULL) {
      if (rows->next_part == rows->epoch->part_count) return WEIR_OK;
      WR_TRY(begin_part(rows, error));
    }
    enum weir_code code = next_in_part(rows, out_batch, error);
    if (code != WEIR_OK) {
      const struct wr_part *part = present_part(rows);
      return wr_error_prefix(error, "epoch %" PRIu64 ", part of subtask %u (%s)", rows->epoch->checkpoint_id,
                             part->subtask, part->handle.file[0] == 0 ? "inside the checkpoint" : part->handle.file);
    }
  }
  return WEIR_OK;
}
