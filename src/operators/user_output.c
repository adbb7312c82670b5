/* operators/user_output.c: the rows that a user's operator emits, gathered into batches. Worker of the task. */
#include "operators/user_int.h"

void user_output_new(struct weir_operator *op) {
  const struct weir_schema *schema = op->base.context->output_schema;
  if (schema != NULL) wr_batch_builder_init(&op->builder, op->base.context->memory, schema, true);
}

void user_output_free(struct weir_operator *op) {
  if (op->base.context->output_schema != NULL) wr_batch_builder_deinit(&op->builder);
}

static enum weir_code send(struct weir_operator *op, struct weir_error *error) {
  struct wr_batch *batch = wr_batch_builder_take(&op->builder);
  if (batch == NULL) return WEIR_OK;
  /* A stream of nothing but +I needs no kinds, and what follows is faster without them. */
  if (!op->has_kinds) batch->row_kinds = NULL;
  op->has_kinds = false;
  return wr_output_emit(op->base.context->output, 0, batch, error);
}

static void forget_row(struct weir_operator *op) {
  if (op->row_begun) wr_batch_builder_cancel_row(&op->builder);
  op->row_begun = false;
  op->row_code = WEIR_OK;
}

enum weir_code user_output_flush(struct weir_operator *op, struct weir_error *error) {
  if (op->base.context->output_schema == NULL) return WEIR_OK;
  forget_row(op);
  return send(op, error);
}

/* True when a value may be set. */
static bool begin_row(struct weir_operator *op, uint32_t field) {
  WR_ASSERT(op->may_emit && op->base.context->output_schema != NULL);
  WR_ASSERT(field < op->builder.schema->field_count);
  if (op->row_code != WEIR_OK) return false;
  if (!op->row_begun) op->row_code = wr_batch_builder_begin(&op->builder, &op->row_error);
  op->row_begun = op->row_code == WEIR_OK;
  return op->row_begun;
}

void weir_set_boolean(struct weir_operator *op, uint32_t field, bool value) {
  if (begin_row(op, field)) wr_batch_builder_set_boolean(&op->builder, field, value);
}

void weir_set_int(struct weir_operator *op, uint32_t field, int32_t value) {
  if (begin_row(op, field)) wr_batch_builder_set_int(&op->builder, field, value);
}

void weir_set_bigint(struct weir_operator *op, uint32_t field, int64_t value) {
  if (begin_row(op, field)) wr_batch_builder_set_bigint(&op->builder, field, value);
}

void weir_set_double(struct weir_operator *op, uint32_t field, double value) {
  if (begin_row(op, field)) wr_batch_builder_set_double(&op->builder, field, value);
}

void weir_set_timestamp(struct weir_operator *op, uint32_t field, struct weir_timestamp value) {
  if (begin_row(op, field)) wr_batch_builder_set_timestamp(&op->builder, field, value);
}

void weir_set_bytes(struct weir_operator *op, uint32_t field, const void *bytes, size_t length) {
  if (!begin_row(op, field)) return;
  op->row_code = wr_batch_builder_set_bytes(&op->builder, field, bytes, length, &op->row_error);
}

enum weir_code weir_emit(struct weir_operator *op, enum weir_row_kind kind, struct weir_error *error) {
  if (!begin_row(op, 0)) {
    enum weir_code code = op->row_code;
    if (error != NULL) *error = op->row_error;
    forget_row(op);
    return code;
  }
  wr_batch_builder_end_row(&op->builder, kind);
  op->row_begun = false;
  op->has_kinds = op->has_kinds || kind != WEIR_INSERT;
  return wr_batch_builder_is_full(&op->builder) ? send(op, error) : WEIR_OK;
}

/* `rows` are at most WR_BATCH_ROWS_MAX row numbers. */
static enum weir_code gather(struct weir_operator *op, const struct wr_batch *batch, const uint16_t *rows,
                             uint32_t count, struct weir_error *error) {
  for (uint32_t done = 0; done < count;) {
    uint32_t room = op->builder.capacity_rows - wr_batch_builder_rows(&op->builder);
    uint32_t here = count - done < room ? count - done : room;
    WR_TRY(wr_batch_builder_gather(&op->builder, batch, rows + done, here, error));
    op->has_kinds = op->has_kinds || batch->row_kinds != NULL;
    done += here;
    if (wr_batch_builder_is_full(&op->builder)) WR_TRY(send(op, error));
  }
  return WEIR_OK;
}

enum weir_code weir_emit_rows(struct weir_operator *op, const struct weir_batch *view, const uint32_t *rows,
                              uint32_t count, struct weir_error *error) {
  const struct wr_batch *batch = (const struct wr_batch *)view;
  WR_ASSERT(op->may_emit && op->base.context->output_schema != NULL);
  forget_row(op);
  if (batch->schema != op->known_schema) {
    if (!wr_schema_equal(batch->schema, op->builder.schema))
      return WR_FAIL(error, WEIR_INVALID, "rows of another schema than its output's cannot be emitted as they are");
    op->known_schema = batch->schema;
  }
  uint16_t numbers[256];
  for (uint32_t done = 0; done < count;) {
    uint32_t here = 0;
    for (; here < 256 && done + here < count; here++) {
      WR_ASSERT(rows[done + here] < batch->selected_count);
      numbers[here] = (uint16_t)wr_batch_row(batch, rows[done + here]);
    }
    WR_TRY(gather(op, batch, numbers, here, error));
    done += here;
  }
  return WEIR_OK;
}
