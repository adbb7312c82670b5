/* operators/count.c: see count.h.
 *
 * A batch is done in three passes without a call per row: the state finds or makes all rows; the counts are raised; the
 * output is gathered column by column. While a batch is at hand, the count of a key that it has already met is stored
 * as its complement, so that it is negative: that is how the first row of each key is told from the others. No count is
 * negative otherwise, and none is left so when the call returns.
 *
 * Worker of the task.
 */
#include "operators/count.h"

#include "base/limits.h"
#include "operators/key_columns.h"

struct count {
  struct wr_operator base;
  struct wr_table *table;
  bool is_bigint; /* the key is one BIGINT that is never NULL */
  struct weir_schema *key_schema;
  struct wr_bytes key_scratch;
  int64_t *bigints; /* keys gathered through a selection; WR_BATCH_ROWS_MAX of each */
  struct wr_key *keys;
  uint16_t *firsts; /* selected index of the first row of each key of the batch */
  uint16_t *rows;   /* the same as row numbers: what the output is gathered from */
};

static const struct weir_field value_fields[] = {{"count", WEIR_TYPE_BIGINT, false}};
const struct weir_schema wr_count_value_schema = {value_fields, 1};

static enum weir_code count_open(struct wr_operator *op, struct weir_error *error) {
  struct count *count = (struct count *)op;
  struct wr_operator_context *context = op->context;
  struct wr_state *state = NULL;
  const struct wr_state_descriptor descriptor = {
      .name = "count", .key = count->key_schema, .value = &wr_count_value_schema};
  WR_TRY(wr_backend_register(context->backend, &descriptor, &state, error));
  count->table = wr_state_table(state, 0);
  if (count->table == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for the state of '%s'", context->uid);
  return WEIR_OK;
}

static enum wr_prepare prepare(struct count *count, const struct wr_batch *batch, struct weir_error *error) {
  const struct wr_key_fields *key = &count->base.context->key;
  uint32_t n = batch->selected_count;
  if (!count->is_bigint) {
    if (wr_keys_of_batch(batch, key, &count->key_scratch, count->keys, error) != WEIR_OK) return WR_PREPARE_FAILED;
    return wr_table_prepare(count->table, count->keys, n, WR_ACCESS_WRITE, error);
  }
  const int64_t *keys = wr_column_bigints(&batch->columns[key->fields[0]]);
  if (batch->selection != NULL) {
    for (uint32_t i = 0; i < n; i++)
      count->bigints[i] = keys[batch->selection[i]];
    keys = count->bigints;
  }
  return wr_table_prepare_bigints(count->table, keys, n, WR_ACCESS_WRITE, error);
}

/* Adds 1 for each of the n rows; fills firsts. Returns how many keys there are. */
static uint32_t add_rows(struct count *count, uint32_t n) {
  void *const *values = wr_table_rows(count->table);
  uint16_t *firsts = count->firsts;
  uint32_t key_count = 0;
  for (uint32_t i = 0; i < n; i++) {
    int64_t *value = values[i];
    int64_t old = *value, met = old >> 63; /* all ones: met before in this batch */
    firsts[key_count] = (uint16_t)i;
    key_count += (uint32_t)(met + 1);
    *value = (old ^ ~met) - 1; /* the complement of the count plus 1 */
  }
  return key_count;
}

/* The same where rows can also take back. */
static uint32_t add_changes(struct count *count, const struct wr_batch *batch) {
  void *const *values = wr_table_rows(count->table);
  uint32_t key_count = 0;
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    enum weir_row_kind kind = wr_batch_row_kind(batch, wr_batch_row(batch, i));
    int64_t *value = values[i];
    if (*value >= 0) {
      count->firsts[key_count++] = (uint16_t)i;
      *value = ~*value;
    }
    if (kind == WEIR_INSERT || kind == WEIR_UPDATE_AFTER)
      *value -= 1;
    else if (*value != ~(int64_t)0)
      *value += 1;
  }
  return key_count;
}

/* Puts the counts back and fills the output's last column and kinds. Keys without rows are deleted; a new one of these
 * leaves no trace, so `firsts` and what is returned are those that go out. */
static uint32_t finish_counts(struct count *count, const struct wr_batch *batch, uint32_t key_count,
                              struct wr_batch *out) {
  void *const *values = wr_table_rows(count->table);
  const uint8_t *is_new = wr_table_row_is_new(count->table);
  int64_t *counts = out->columns[out->schema->field_count - 1].values;
  uint32_t kept = 0;
  for (uint32_t k = 0; k < key_count; k++) {
    uint16_t i = count->firsts[k];
    int64_t *value = values[i];
    *value = ~*value;
    counts[kept] = *value;
    count->rows[kept] = (uint16_t)wr_batch_row(batch, i);
    out->row_kinds[kept] = is_new[i] != 0 ? WEIR_INSERT : *value == 0 ? WEIR_DELETE : WEIR_UPDATE_AFTER;
    bool goes_out = *value != 0 || is_new[i] == 0;
    if (*value == 0) wr_table_delete(count->table, i);
    kept += goes_out;
  }
  return kept;
}

static enum weir_code count_batch(struct count *count, const struct wr_batch *batch, struct weir_error *error) {
  struct wr_operator_context *context = count->base.context;
  uint32_t n = batch->selected_count;
  uint32_t key_count = batch->row_kinds == NULL ? add_rows(count, n) : add_changes(count, batch);
  struct wr_batch *out = wr_batch_new(context->memory, context->output_schema, key_count, true);
  if (out == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a batch of %u counts", key_count);
  uint32_t rows = finish_counts(count, batch, key_count, out);
  if (rows == 0) {
    wr_batch_unref(out);
    return WEIR_OK;
  }
  enum weir_code code = WEIR_OK;
  for (uint32_t i = 0; i < context->key.count && code == WEIR_OK; i++)
    code = wr_column_gather(out, i, batch, context->key.fields[i], count->rows, rows, error);
  if (code != WEIR_OK) {
    wr_batch_unref(out);
    return code;
  }
  out->row_count = out->selected_count = rows;
  return wr_output_emit(context->output, 0, out, error);
}

static enum wr_result count_process(struct wr_operator *op, uint32_t input, struct wr_batch *batch,
                                    uint64_t *wake_at_ns) {
  struct count *count = (struct count *)op;
  struct wr_operator_context *context = op->context;
  (void)input;
  if (batch->selected_count == 0) return WR_RESULT_OK;
  switch (prepare(count, batch, &context->error)) {
  case WR_PREPARE_READY:
    break;
  case WR_PREPARE_WAIT:
    if (context->now_ns < *wake_at_ns) *wake_at_ns = context->now_ns;
    return WR_RESULT_WAIT;
  case WR_PREPARE_FAILED:
    return WR_RESULT_ERROR;
  }
  return count_batch(count, batch, &context->error) == WEIR_OK ? WR_RESULT_OK : WR_RESULT_ERROR;
}

static void count_free(struct wr_operator *op) {
  struct count *count = (struct count *)op;
  struct wr_memory *memory = op->context->memory;
  wr_bytes_deinit(&count->key_scratch);
  wr_free(memory, count->key_schema);
  wr_free(memory, count->bigints);
  wr_free(memory, count->keys);
  wr_free(memory, count->firsts);
  wr_free(memory, count->rows);
  wr_free(memory, count);
}

static const struct wr_operator_vtable count_vtable = {
    .name = "count", .open = count_open, .process = count_process, .free = count_free};

enum weir_code wr_count_new(struct wr_operator_context *context, struct wr_operator **out_operator,
                            struct weir_error *error) {
  struct wr_memory *memory = context->memory;
  struct count *count = wr_alloc_zeroed(memory, 1, sizeof *count, WR_MEMORY_ENGINE);
  if (count == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for operator '%s'", context->uid);
  count->base = (struct wr_operator){.vtable = &count_vtable, .context = context};
  count->is_bigint = wr_key_is_bigint(context->input_schema, &context->key);
  count->key_schema = wr_key_schema(memory, context->input_schema, &context->key, NULL);
  wr_bytes_init(&count->key_scratch, memory, WR_MEMORY_ENGINE);
  count->bigints = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *count->bigints, WR_MEMORY_ENGINE);
  count->keys = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *count->keys, WR_MEMORY_ENGINE);
  count->firsts = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *count->firsts, WR_MEMORY_ENGINE);
  count->rows = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *count->rows, WR_MEMORY_ENGINE);
  if (count->key_schema == NULL || count->bigints == NULL || count->keys == NULL || count->firsts == NULL ||
      count->rows == NULL) {
    count_free(&count->base);
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for operator '%s'", context->uid);
  }
  *out_operator = &count->base;
  return WEIR_OK;
}
