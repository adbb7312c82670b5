/* data/batch_builder.h: builds batches, by whole columns or by single values. One thread.
 *
 * Use: init once; then again and again: append values column by column or row by row, take() a finished batch. Columns
 * are allocated once per batch at full size (capacity_rows); take() hands them over without a copy, but copies a batch
 * of few rows into a block of its own size and keeps the large one for the next. Every function that allocates can fail
 * with NO_MEMORY; the builder then still holds the complete rows it had.
 */
#ifndef WR_DATA_BATCH_BUILDER_H
#define WR_DATA_BATCH_BUILDER_H

#include "base/limits.h"
#include "data/batch.h"

struct wr_batch_builder {
  struct wr_memory *memory;
  const struct weir_schema *schema; /* borrowed */
  uint32_t capacity_rows; /* of each batch: WR_BATCH_ROWS_MAX, fewer where so many exceed WR_BATCH_BYTES_MAX */
  uint32_t row_bytes;     /* of all columns together */
  bool has_row_kinds;
  size_t heap_used_bytes; /* string bytes in the heaps of the batch being built */
  struct wr_batch *batch; /* being built; NULL between take() and the next append */
  struct wr_heap *heap;   /* the last of the batch's heaps while it has room (also in batch->heaps) */
};

void wr_batch_builder_init(struct wr_batch_builder *builder, struct wr_memory *memory, const struct weir_schema *schema,
                           bool has_row_kinds);
void wr_batch_builder_deinit(struct wr_batch_builder *builder);
/* Rows so far. */
static inline uint32_t wr_batch_builder_rows(const struct wr_batch_builder *builder) {
  return builder->batch == NULL ? 0 : builder->batch->row_count;
}
/* True at WR_BATCH_ROWS_MAX rows or WR_BATCH_BYTES_MAX bytes (columns count by rows used): send it before the next row.
 */
static inline bool wr_batch_builder_is_full(const struct wr_batch_builder *builder) {
  uint32_t rows = wr_batch_builder_rows(builder);
  return rows >= builder->capacity_rows ||
         (size_t)rows * builder->row_bytes + builder->heap_used_bytes >= WR_BATCH_BYTES_MAX;
}
/* Makes the batch exist. Obligatory before the first set_*() of a batch. Its columns can then also be written directly
 * at row_count and beyond, up to capacity_rows: values, a validity bit per value where a column has validity bits, the
 * row kind where there are kinds; then row_count and selected_count grow together. */
enum weir_code wr_batch_builder_begin(struct wr_batch_builder *builder, struct weir_error *error);

/* Values of the row at index row_count; then end_row() counts it. A nullable field that was not set is NULL; set twice,
 * the last value counts. set_null() of a field that is not nullable is INVALID. */
void wr_batch_builder_set_bigint(struct wr_batch_builder *builder, uint32_t field, int64_t value);
void wr_batch_builder_set_int(struct wr_batch_builder *builder, uint32_t field, int32_t value);
void wr_batch_builder_set_boolean(struct wr_batch_builder *builder, uint32_t field, bool value);
void wr_batch_builder_set_double(struct wr_batch_builder *builder, uint32_t field, double value);
void wr_batch_builder_set_timestamp(struct wr_batch_builder *builder, uint32_t field, struct weir_timestamp value);
enum weir_code wr_batch_builder_set_null(struct wr_batch_builder *builder, uint32_t field, struct weir_error *error);
/* STRING and BYTES; copies. */
enum weir_code wr_batch_builder_set_bytes(struct wr_batch_builder *builder, uint32_t field, const void *bytes,
                                          size_t length, struct weir_error *error);
void wr_batch_builder_end_row(struct wr_batch_builder *builder, enum weir_row_kind kind);
/* Forgets what was set since the last end_row(). */
void wr_batch_builder_cancel_row(struct wr_batch_builder *builder);

/* Appends rows `rows[0..count)` of `source` (same schema), all columns, kinds and strings, gathered column by column.
 * Strings longer than a view are copied into the builder's heap. `count` must fit into what the capacity leaves. */
enum weir_code wr_batch_builder_gather(struct wr_batch_builder *builder, const struct wr_batch *source,
                                       const uint16_t *rows, uint32_t count, struct weir_error *error);

/* The finished batch, one reference, the caller's; NULL when there are no rows. */
struct wr_batch *wr_batch_builder_take(struct wr_batch_builder *builder);

#endif
