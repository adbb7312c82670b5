/* sim/sim_held.c: see sim_held.h.
 *
 * The state of an app is a text with a line for each row that is held: "E 17 p0.ndjson 16" is due at 17 of event time.
 */
#include "sim/sim_held.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_ROWS = 8, PARTITION_BYTES = 40, LINE_BYTES = 128, APP_BYTES = 1024 };
static const int64_t END_MS = INT64_C(1) << 60; /* no watermark but the last comes here */

static const struct weir_field text_fields[] = {{"text", WEIR_TYPE_STRING, false}};
static const struct weir_schema text_schema = {text_fields, 1};
static const struct weir_field row_fields[] = {
    {"partition", WEIR_TYPE_STRING, false}, {"position", WEIR_TYPE_BIGINT, false}, {"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema row_schema = {row_fields, 3};

struct row {
  char partition[PARTITION_BYTES], app[APP_BYTES];
  int64_t position;
};

struct sim_held_buffer {
  struct sim_held_buffer *next;
  struct row rows[BUFFER_ROWS];
  uint32_t count;
  bool has_ended;
};

static void copy_text(char *out, size_t capacity, const char *text, size_t length) {
  WR_ASSERT(length < capacity);
  memcpy(out, text, length);
  out[length] = 0;
}

static enum weir_code emit(struct weir_operator *op, const char *partition, int64_t position, const char *app,
                           struct weir_error *error) {
  weir_set_bytes(op, 0, partition, strlen(partition));
  weir_set_bigint(op, 1, position);
  weir_set_bytes(op, 2, app, strlen(app));
  return weir_emit(op, WEIR_INSERT, error);
}

/* ---- hold ---- */

static enum weir_code open_hold(struct weir_operator *op, struct weir_error *error) {
  return weir_operator_declare_state(op, "held", &text_schema, NULL, error);
}

static enum weir_code hold_row(struct weir_operator *op, const struct weir_batch *batch, uint32_t row,
                               struct weir_error *error) {
  struct weir_state *held = weir_operator_state(op, "held");
  char line[LINE_BYTES];
  size_t partition_length = 0, before_length = 0;
  const char *partition = weir_batch_bytes(batch, 0, row, &partition_length);
  int64_t position = weir_batch_bigint(batch, 1, row);
  bool by_clock = position % 3 == 0;
  int64_t due_ms = by_clock ? weir_operator_now_ms(op) + position % 50 : position + position % 7;
  int length = snprintf(line, sizeof line, "%c %" PRId64 " %.*s %" PRId64 "\n", by_clock ? 'P' : 'E', due_ms,
                        (int)partition_length, partition, position);
  void *value = weir_state_put(held, row);
  const char *before = weir_state_bytes(held, value, 0, &before_length);
  char *text = malloc(before_length + (size_t)length);
  WR_ASSERT(text != NULL);
  if (before_length > 0) memcpy(text, before, before_length);
  memcpy(text + before_length, line, (size_t)length);
  enum weir_code code = weir_state_set_bytes(held, value, 0, text, before_length + (size_t)length, error);
  free(text);
  if (code == WEIR_OK)
    code = weir_timer_register(op, by_clock ? WEIR_PROCESSING_TIME : WEIR_EVENT_TIME, due_ms, row, error);
  return code == WEIR_OK ? weir_timer_register(op, WEIR_EVENT_TIME, END_MS, row, error) : code;
}

static enum weir_code hold_rows(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  enum weir_code code = WEIR_OK;
  for (uint32_t row = 0; row < weir_batch_row_count(batch) && code == WEIR_OK; row++)
    code = hold_row(op, batch, row, error);
  return code;
}

/* Sends the lines that are due, and takes them out of `text`. */
static enum weir_code let_out(struct weir_operator *op, char kind, int64_t time_ms, const char *app, char *text,
                              uint32_t *out_count, struct weir_error *error) {
  char *kept = text;
  enum weir_code code = WEIR_OK;
  *out_count = 0;
  for (char *line = text, *next; *line != 0 && code == WEIR_OK; line = next) {
    char line_kind = 0, partition[PARTITION_BYTES];
    int64_t due_ms = 0, position = 0;
    next = strchr(line, '\n') + 1;
    WR_ASSERT(sscanf(line, "%c %" SCNd64 " %39s %" SCNd64, &line_kind, &due_ms, partition, &position) == 4);
    if (time_ms == END_MS || (line_kind == kind && due_ms == time_ms)) {
      code = emit(op, partition, position, app, error);
      ++*out_count;
    } else {
      size_t length = (size_t)(next - line);
      memmove(kept, line, length);
      kept += length;
    }
  }
  *kept = 0;
  return code;
}

static enum weir_code fire(struct weir_operator *op, enum weir_time time, const struct weir_batch *keys, uint32_t row,
                           int64_t time_ms, struct weir_error *error) {
  struct weir_state *held = weir_operator_state(op, "held");
  bool by_clock = time == WEIR_PROCESSING_TIME;
  char app[APP_BYTES];
  size_t length = 0, app_length = 0;
  const char *key = weir_batch_bytes(keys, 0, row, &app_length);
  copy_text(app, sizeof app, key, app_length);
  if (time_ms > (by_clock ? weir_operator_now_ms(op) : weir_operator_watermark_ms(op)))
    return weir_fail(error, WEIR_OPERATOR, "a timer of %" PRId64 " fires too early", time_ms);
  const void *value = weir_state_get(held, row);
  const char *bytes = value == NULL ? NULL : weir_state_bytes(held, value, 0, &length);
  char *text = malloc(length + 1);
  WR_ASSERT(text != NULL);
  copy_text(text, length + 1, bytes == NULL ? "" : bytes, length);
  uint32_t count = 0;
  enum weir_code code = let_out(op, by_clock ? 'P' : 'E', time_ms, app, text, &count, error);
  /* What waits for the clock may have been let out by the end of the input. */
  if (code == WEIR_OK && count == 0 && !by_clock && time_ms != END_MS)
    code = weir_fail(error, WEIR_OPERATOR, "a timer of %" PRId64 " fires, and nothing is due", time_ms);
  if (code == WEIR_OK && *text == 0) weir_state_clear(held, row);
  if (code == WEIR_OK && *text != 0 && count > 0)
    code = weir_state_set_bytes(held, weir_state_put(held, row), 0, text, strlen(text), error);
  free(text);
  return code;
}

static enum weir_code fire_all(struct weir_operator *op, enum weir_time time, const struct weir_batch *keys,
                               const int64_t *times_ms, struct weir_error *error) {
  enum weir_code code = WEIR_OK;
  for (uint32_t row = 0; row < weir_batch_row_count(keys) && code == WEIR_OK; row++)
    code = fire(op, time, keys, row, times_ms[row], error);
  return code;
}

/* ---- pass ---- */

static enum weir_code open_pass(struct weir_operator *op, struct weir_error *error) {
  (void)error;
  struct sim_held *held = weir_operator_config(op);
  struct sim_held_buffer *buffer = calloc(1, sizeof *buffer);
  WR_ASSERT(buffer != NULL);
  buffer->next = held->buffers;
  held->buffers = buffer;
  weir_operator_set_instance(op, buffer);
  return WEIR_OK;
}

static enum weir_code send_buffered(struct weir_operator *op, struct weir_error *error) {
  struct sim_held_buffer *buffer = weir_operator_instance(op);
  enum weir_code code = WEIR_OK;
  for (uint32_t i = 0; i < buffer->count && code == WEIR_OK; i++)
    code = emit(op, buffer->rows[i].partition, buffer->rows[i].position, buffer->rows[i].app, error);
  buffer->count = 0;
  return code;
}

static enum weir_code pass_rows(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  struct sim_held_buffer *buffer = weir_operator_instance(op);
  enum weir_code code = WEIR_OK;
  for (uint32_t row = 0; row < weir_batch_row_count(batch) && code == WEIR_OK; row++) {
    size_t length = 0;
    if (buffer->count == BUFFER_ROWS) code = send_buffered(op, error);
    struct row *kept = &buffer->rows[buffer->count++];
    const char *text = weir_batch_bytes(batch, 0, row, &length);
    copy_text(kept->partition, sizeof kept->partition, text, length);
    kept->position = weir_batch_bigint(batch, 1, row);
    text = weir_batch_bytes(batch, 2, row, &length);
    copy_text(kept->app, sizeof kept->app, text, length);
  }
  return code;
}

static enum weir_code end_pass(struct weir_operator *op, struct weir_error *error) {
  struct sim_held_buffer *buffer = weir_operator_instance(op);
  if (buffer->has_ended) return weir_fail(error, WEIR_OPERATOR, "the input ends twice");
  buffer->has_ended = true;
  enum weir_code code = send_buffered(op, error);
  return code == WEIR_OK && weir_operator_subtask(op) == 0 ? emit(op, SIM_HELD_END, 0, SIM_HELD_END, error) : code;
}

/* ---- the stream ---- */

struct weir_stream *sim_held_build(struct sim_held *held, struct weir_stream *rows) {
  held->hold = (struct weir_operator_definition){.size = sizeof held->hold,
                                                 .name = "hold",
                                                 .output = &row_schema,
                                                 .open = open_hold,
                                                 .process = hold_rows,
                                                 .timers = fire_all};
  held->pass = (struct weir_operator_definition){.size = sizeof held->pass,
                                                 .name = "pass",
                                                 .output = &row_schema,
                                                 .config = held,
                                                 .open = open_pass,
                                                 .process = pass_rows,
                                                 .before_barrier = send_buffered,
                                                 .end_input = end_pass};
  struct weir_stream *let_out_rows = weir_process(weir_key_by(rows, "app_id"), "hold", &held->hold);
  return weir_process(let_out_rows, "pass", &held->pass);
}

void sim_held_deinit(struct sim_held *held) {
  while (held->buffers != NULL) {
    struct sim_held_buffer *next = held->buffers->next;
    free(held->buffers);
    held->buffers = next;
  }
}
