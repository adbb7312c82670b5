/* operators/batch_view.c: the public view of a batch (weir/batch.h) over data/batch.h. A struct weir_batch is a struct
 * wr_batch under another name. Any thread. */
#include "weir/batch.h"

#include "data/batch.h"

static const struct wr_batch *inner(const struct weir_batch *batch) {
  return (const struct wr_batch *)batch;
}

/* Checks what a program can get wrong, and finds the value. */
static const void *value_at(const struct weir_batch *view, uint32_t field, uint32_t row, enum weir_type type) {
  const struct wr_batch *batch = inner(view);
  WR_ASSERT(field < batch->schema->field_count && row < batch->selected_count);
  WR_ASSERT(batch->schema->fields[field].type == type);
  return (const char *)batch->columns[field].values + (size_t)wr_batch_row(batch, row) * wr_type_width(type);
}

uint32_t weir_batch_row_count(const struct weir_batch *batch) {
  return inner(batch)->selected_count;
}

const struct weir_schema *weir_batch_schema(const struct weir_batch *batch) {
  return inner(batch)->schema;
}

enum weir_row_kind weir_batch_row_kind(const struct weir_batch *batch, uint32_t row) {
  WR_ASSERT(row < inner(batch)->selected_count);
  return wr_batch_row_kind(inner(batch), wr_batch_row(inner(batch), row));
}

bool weir_batch_is_null(const struct weir_batch *view, uint32_t field, uint32_t row) {
  const struct wr_batch *batch = inner(view);
  WR_ASSERT(field < batch->schema->field_count && row < batch->selected_count);
  return wr_column_is_null(&batch->columns[field], wr_batch_row(batch, row));
}

bool weir_batch_boolean(const struct weir_batch *batch, uint32_t field, uint32_t row) {
  return *(const uint8_t *)value_at(batch, field, row, WEIR_TYPE_BOOLEAN) != 0;
}

int32_t weir_batch_int(const struct weir_batch *batch, uint32_t field, uint32_t row) {
  return *(const int32_t *)value_at(batch, field, row, WEIR_TYPE_INT);
}

int64_t weir_batch_bigint(const struct weir_batch *batch, uint32_t field, uint32_t row) {
  return *(const int64_t *)value_at(batch, field, row, WEIR_TYPE_BIGINT);
}

double weir_batch_double(const struct weir_batch *batch, uint32_t field, uint32_t row) {
  return *(const double *)value_at(batch, field, row, WEIR_TYPE_DOUBLE);
}

struct weir_timestamp weir_batch_timestamp(const struct weir_batch *batch, uint32_t field, uint32_t row) {
  return *(const struct weir_timestamp *)value_at(batch, field, row, WEIR_TYPE_TIMESTAMP);
}

const char *weir_batch_bytes(const struct weir_batch *view, uint32_t field, uint32_t row, size_t *out_length) {
  const struct wr_batch *batch = inner(view);
  WR_ASSERT(field < batch->schema->field_count);
  bool is_string = batch->schema->fields[field].type == WEIR_TYPE_STRING;
  const struct wr_view *bytes = value_at(view, field, row, is_string ? WEIR_TYPE_STRING : WEIR_TYPE_BYTES);
  *out_length = (size_t)bytes->length;
  return wr_view_bytes(batch, bytes);
}

const void *weir_batch_column(const struct weir_batch *view, uint32_t field, enum weir_type type,
                              const uint16_t **out_rows) {
  const struct wr_batch *batch = inner(view);
  WR_ASSERT(field < batch->schema->field_count && batch->schema->fields[field].type == type);
  WR_ASSERT(type != WEIR_TYPE_STRING && type != WEIR_TYPE_BYTES);
  *out_rows = batch->selection;
  return batch->columns[field].values;
}
