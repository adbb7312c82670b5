/* connectors/print/print.c: see print.h. While a call runs, `text` is the call's. One thread, and the call's. */
#include "connectors/print/print.h"

#include "formats/civil_time.h"
#include "formats/value_text.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- texts ---- */

static void put_text(struct wr_bytes *out, const char *text) {
  wr_bytes_put(out, text, strlen(text));
}

static void put_double(struct wr_bytes *out, double value) {
  char text[WR_DOUBLE_TEXT_MAX];
  wr_bytes_put(out, text, wr_text_of_double(value, text));
}

/* As LocalDateTime.toString: seconds only where there are any, fractions in groups of three digits. */
static void put_timestamp(struct wr_bytes *out, struct weir_timestamp time) {
  struct wr_civil_time civil = wr_civil_time_of(time);
  char text[96];
  snprintf(text, sizeof text, "%04" PRId64 "-%02u-%02uT%02u:%02u", civil.year, civil.month, civil.day, civil.hour,
           civil.minute);
  put_text(out, text);
  if (civil.second == 0 && civil.nanosecond == 0) return;
  snprintf(text, sizeof text, ":%02u", civil.second);
  put_text(out, text);
  if (civil.nanosecond == 0) return;
  if (civil.nanosecond % 1000000 == 0)
    snprintf(text, sizeof text, ".%03u", civil.nanosecond / 1000000);
  else if (civil.nanosecond % 1000 == 0)
    snprintf(text, sizeof text, ".%06u", civil.nanosecond / 1000);
  else
    snprintf(text, sizeof text, ".%09u", civil.nanosecond);
  put_text(out, text);
}

static void put_bytes(struct wr_bytes *out, const uint8_t *bytes, size_t length) {
  char text[8];
  put_text(out, "[");
  for (size_t i = 0; i < length; i++) {
    snprintf(text, sizeof text, "%s%d", i == 0 ? "" : ", ", (int8_t)bytes[i]);
    put_text(out, text);
  }
  put_text(out, "]");
}

static void put_value(struct wr_bytes *out, const struct wr_batch *batch, uint32_t field, uint32_t row) {
  const struct wr_column *column = &batch->columns[field];
  char text[32];
  if (wr_column_is_null(column, row)) {
    put_text(out, "null");
    return;
  }
  switch (batch->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN:
    put_text(out, ((const uint8_t *)column->values)[row] != 0 ? "true" : "false");
    return;
  case WEIR_TYPE_INT:
    snprintf(text, sizeof text, "%" PRId32, ((const int32_t *)column->values)[row]);
    break;
  case WEIR_TYPE_BIGINT:
    snprintf(text, sizeof text, "%" PRId64, wr_column_bigints(column)[row]);
    break;
  case WEIR_TYPE_DOUBLE:
    put_double(out, ((const double *)column->values)[row]);
    return;
  case WEIR_TYPE_TIMESTAMP:
    put_timestamp(out, ((const struct weir_timestamp *)column->values)[row]);
    return;
  default: {
    const struct wr_view *view = &wr_column_views(column)[row];
    const char *bytes = wr_view_bytes(batch, view);
    if (batch->schema->fields[field].type == WEIR_TYPE_STRING)
      wr_bytes_put(out, bytes, (size_t)view->length);
    else
      put_bytes(out, (const uint8_t *)bytes, (size_t)view->length);
    return;
  }
  }
  put_text(out, text);
}

void wr_print_put_row(struct wr_bytes *out, const struct wr_batch *batch, uint32_t row) {
  static const char *const kinds[] = {
      [WEIR_INSERT] = "+I[", [WEIR_UPDATE_BEFORE] = "-U[", [WEIR_UPDATE_AFTER] = "+U[", [WEIR_DELETE] = "-D["};
  put_text(out, kinds[wr_batch_row_kind(batch, row)]);
  for (uint32_t i = 0; i < batch->schema->field_count; i++) {
    if (i > 0) put_text(out, ", ");
    put_value(out, batch, i, row);
  }
  put_text(out, "]\n");
}

/* ---- the operator ---- */

struct printer {
  struct wr_operator op;
  struct wr_print_stream *stream;
  struct wr_call call;
  bool running; /* the call was submitted, its answer not yet taken */
  struct wr_bytes text;
  enum weir_code code;
  struct weir_error call_error;
};

static void run_write(struct wr_call *call) {
  struct printer *printer = (struct printer *)((char *)call - offsetof(struct printer, call));
  printer->code =
      printer->stream->write(printer->stream, printer->text.data, printer->text.length, &printer->call_error);
}

/* OK: nothing is being written. */
static enum wr_result settle(struct printer *printer) {
  if (!printer->running) return WR_RESULT_OK;
  if (!wr_call_take_done(&printer->call)) return WR_RESULT_WAIT;
  printer->running = false;
  if (printer->code == WEIR_OK) return WR_RESULT_OK;
  printer->op.context->error = printer->call_error;
  return WR_RESULT_ERROR;
}

static enum wr_result process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns) {
  (void)input;
  (void)wake_at_ns;
  struct printer *printer = (struct printer *)op;
  enum wr_result result = settle(printer);
  if (result != WR_RESULT_OK || batch->selected_count == 0) return result;
  wr_bytes_clear(&printer->text);
  for (uint32_t i = 0; i < batch->selected_count; i++)
    wr_print_put_row(&printer->text, batch, wr_batch_row(batch, i));
  if (wr_bytes_check(&printer->text, &op->context->error) != WEIR_OK) return WR_RESULT_ERROR;
  printer->running = true;
  wr_call_submit(op->context->seams->calls, &printer->call);
  return WR_RESULT_OK;
}

static enum wr_result before_barrier(struct wr_operator *op, uint64_t id, uint64_t *wake_at_ns) {
  (void)id;
  (void)wake_at_ns;
  return settle((struct printer *)op);
}

static enum wr_result end_input(struct wr_operator *op, uint32_t input, uint64_t *wake_at_ns) {
  (void)input;
  (void)wake_at_ns;
  return settle((struct printer *)op);
}

static enum weir_code open_printer(struct wr_operator *op, struct weir_error *error) {
  (void)error;
  if (op->context->subtask == 0)
    wr_log_write(op->context->seams->log, WR_LOG_INFO,
                 "sink %s prints at-least-once: records since the last checkpoint are printed again after a restart",
                 op->context->uid);
  return WEIR_OK;
}

static bool is_idle(struct wr_operator *op) {
  return atomic_load_explicit(&((struct printer *)op)->call.state, memory_order_acquire) != WR_CALL_SUBMITTED;
}

static void free_printer(struct wr_operator *op) {
  WR_ASSERT(is_idle(op));
  wr_bytes_deinit(&((struct printer *)op)->text);
  wr_free(op->context->memory, op);
}

static const struct wr_operator_vtable vtable = {.name = "print",
                                                 .open = open_printer,
                                                 .process = process,
                                                 .before_barrier = before_barrier,
                                                 .end_input = end_input,
                                                 .is_idle = is_idle,
                                                 .free = free_printer};

static enum weir_code new_printer(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                  struct weir_error *error) {
  *out_operator = NULL;
  struct printer *printer = wr_alloc_zeroed(context->memory, 1, sizeof *printer, WR_MEMORY_SINK);
  if (printer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for sink %s", context->uid);
  printer->op = (struct wr_operator){.vtable = &vtable, .context = context};
  printer->stream = config;
  printer->call.run = run_write;
  printer->call.waker = context->waker;
  wr_bytes_init(&printer->text, context->memory, WR_MEMORY_SINK);
  *out_operator = &printer->op;
  return WEIR_OK;
}

enum weir_code wr_print_node(const char *uid, const struct weir_schema *schema, uint32_t parallelism,
                             struct wr_print_stream *stream, struct wr_node *out_node, struct weir_error *error) {
  *out_node = (struct wr_node){.kind = WR_NODE_OPERATOR,
                               .parallelism = parallelism,
                               .input_count = 1,
                               .input_schemas = {schema},
                               .chain = true,
                               .config = stream,
                               .new_operator = new_printer};
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length > 0 && (size_t)length < sizeof out_node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a print sink has 1 to %d bytes", WR_UID_BYTES_MAX);
}

/* ---- standard output ---- */

static enum weir_code write_stdout(struct wr_print_stream *stream, const void *text, size_t length,
                                   struct weir_error *error) {
  (void)stream;
  if (fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0) return WEIR_OK;
  return WR_FAIL(error, WEIR_OPERATOR, "cannot write to standard output: it was closed, or its disk is full");
}

struct wr_print_stream *wr_print_stdout(void) {
  static const struct wr_print_stream stream = {.write = write_stdout};
  return (struct wr_print_stream *)&stream;
}
