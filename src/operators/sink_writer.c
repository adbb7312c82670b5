/* operators/sink_writer.c: see sink_writer.h.
 *
 * Epochs are a list, oldest first; the last is the open one, all before it are closed and wait for their uploads. The
 * open epoch has no upload before its first row. Always: closed epochs' ids ascend. One thread: its task's.
 */
#include "operators/sink_writer.h"

#include "data/wire.h"
#include "runtime/sink.h"

#include <inttypes.h>

static const uint64_t LOOK_AGAIN_NS = 10ull * 1000 * 1000; /* while the backlog is over its limit: nobody wakes us */

const struct weir_schema wr_part_schema = {
    .fields = (const struct weir_field[]){{.name = "part", .type = WEIR_TYPE_BYTES, .nullable = false}},
    .field_count = 1};

struct epoch {
  struct epoch *next;
  uint64_t id;              /* of the barrier that closed it; 0: open */
  struct wr_upload *upload; /* NULL: no rows */
  uint64_t row_count;
  uint64_t begin_ns; /* when it was opened; 0: before the first row of this attempt */
  uint64_t interval; /* the one that the last row came in */
};

struct sink_writer {
  struct wr_operator op;
  struct epoch *oldest, *open; /* the list; `open` is its last */
  uint64_t roll_interval_ns;   /* 0: none */
  uint64_t last_id;            /* the newest barrier that came here, or was called off */
  struct wr_bytes encoded;     /* scratch */
  bool no_space;               /* the log has said that the disk is full */
};

static struct sink_writer *writer_of(struct wr_operator *op) {
  return (struct sink_writer *)op;
}

/* Appends a new open epoch. */
static enum weir_code open_epoch(struct sink_writer *writer, struct weir_error *error) {
  struct wr_memory *memory = writer->op.context->memory;
  struct epoch *epoch = wr_alloc_zeroed(memory, 1, sizeof *epoch, WR_MEMORY_SINK);
  if (epoch == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for an epoch of sink %s", writer->op.context->uid);
  epoch->begin_ns = writer->op.context->now_ns;
  if (writer->open != NULL)
    writer->open->next = epoch;
  else
    writer->oldest = epoch;
  writer->open = epoch;
  return WEIR_OK;
}

static void free_epoch(struct sink_writer *writer, struct epoch *epoch) {
  wr_upload_free(epoch->upload);
  wr_free(writer->op.context->memory, epoch);
}

static enum weir_code begin_upload(struct sink_writer *writer, struct weir_error *error) {
  struct wr_operator_context *context = writer->op.context;
  const struct wr_upload_options options = {
      .kind = WR_BLOB_EPOCH, .uid = context->uid, .subtask = context->subtask, .wait_for_space = true};
  return wr_upload_new(context->store, &options, context->waker, &writer->open->upload, error);
}

static void tell_space(struct sink_writer *writer, bool no_space) {
  if (writer->no_space == no_space) return;
  writer->no_space = no_space;
  const struct wr_operator_context *context = writer->op.context;
  if (no_space)
    wr_log_write(context->seams->log, WR_LOG_WARN,
                 "sink %s, subtask %u: the disk of %s is full; the sink takes no more rows until there is room",
                 context->uid, context->subtask, context->store->folder);
  else
    wr_log_write(context->seams->log, WR_LOG_INFO, "sink %s, subtask %u: the disk has room again; the sink goes on",
                 context->uid, context->subtask);
}

/* A failed upload of an epoch ends the attempt: its rows are nowhere else. */
static enum weir_code upload_failed(struct sink_writer *writer, const struct epoch *epoch, struct weir_error *error) {
  *error = *wr_upload_error(epoch->upload);
  return wr_error_prefix(error, "sink %s, subtask %u: the epoch's file cannot be written", writer->op.context->uid,
                         writer->op.context->subtask);
}

/* Advances every upload. */
static enum weir_code step_uploads(struct sink_writer *writer, uint64_t *wake_at_ns, struct weir_error *error) {
  bool no_space = false;
  for (struct epoch *epoch = writer->oldest; epoch != NULL; epoch = epoch->next) {
    if (epoch->upload == NULL) continue;
    enum wr_upload_state state = wr_upload_step(epoch->upload, writer->op.context->now_ns, wake_at_ns);
    if (state == WR_UPLOAD_FAILED) return upload_failed(writer, epoch, error);
    no_space = no_space || state == WR_UPLOAD_NO_SPACE;
  }
  tell_space(writer, no_space);
  return WEIR_OK;
}

/* Rule 2: over the limit, and no barrier on its way that would change that. */
static bool must_hold(const struct sink_writer *writer) {
  const struct wr_operator_context *context = writer->op.context;
  if (context->sink == NULL || !atomic_load_explicit(&context->sink->over_limit, memory_order_acquire)) return false;
  if (context->triggered_checkpoint_id == NULL) return true;
  return atomic_load_explicit(context->triggered_checkpoint_id, memory_order_acquire) <= writer->last_id;
}

static enum weir_code append_batch(struct sink_writer *writer, const struct wr_batch *batch, struct weir_error *error) {
  wr_bytes_clear(&writer->encoded);
  wr_wire_put_batch(&writer->encoded, batch);
  WR_TRY(wr_bytes_check(&writer->encoded, error));
  WR_TRY(wr_upload_append(writer->open->upload, writer->encoded.data, writer->encoded.length, error));
  writer->open->row_count += batch->selected_count;
  return WEIR_OK;
}

/* An empty batch, where `batch` comes in another interval of the epoch than what is before it. */
static enum weir_code append_border(struct sink_writer *writer, const struct wr_batch *batch,
                                    struct weir_error *error) {
  struct epoch *epoch = writer->open;
  const uint64_t now_ns = writer->op.context->now_ns;
  if (writer->roll_interval_ns == 0) return WEIR_OK;
  if (epoch->begin_ns == 0) epoch->begin_ns = now_ns;
  uint64_t interval = (now_ns - epoch->begin_ns) / writer->roll_interval_ns;
  if (interval == epoch->interval) return WEIR_OK;
  epoch->interval = interval;
  struct wr_batch border = *batch;
  border.selected_count = 0;
  return append_batch(writer, &border, error);
}

static enum wr_result process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns) {
  (void)input;
  struct sink_writer *writer = writer_of(op);
  struct weir_error *error = &op->context->error;
  if (batch->selected_count == 0) return WR_RESULT_OK;
  if (must_hold(writer)) {
    uint64_t again_ns = op->context->now_ns + LOOK_AGAIN_NS;
    if (*wake_at_ns > again_ns) *wake_at_ns = again_ns;
    return WR_RESULT_WAIT;
  }
  if (writer->open->upload == NULL && begin_upload(writer, error) != WEIR_OK) return WR_RESULT_ERROR;
  switch (wr_upload_step(writer->open->upload, op->context->now_ns, wake_at_ns)) {
  case WR_UPLOAD_OPEN:
    break;
  case WR_UPLOAD_NO_SPACE:
    tell_space(writer, true);
    return WR_RESULT_WAIT;
  case WR_UPLOAD_FAILED:
    upload_failed(writer, writer->open, error);
    return WR_RESULT_ERROR;
  default:
    return WR_RESULT_WAIT;
  }
  if (append_border(writer, batch, error) != WEIR_OK) return WR_RESULT_ERROR;
  return append_batch(writer, batch, error) == WEIR_OK ? WR_RESULT_OK : WR_RESULT_ERROR;
}

static enum weir_code prepare(struct wr_operator *op, uint64_t id, struct weir_error *error) {
  struct sink_writer *writer = writer_of(op);
  struct epoch *closed = writer->open;
  WR_TRY(open_epoch(writer, error));
  closed->id = id;
  if (id > writer->last_id) writer->last_id = id;
  if (closed->upload != NULL) wr_upload_finish(closed->upload);
  return WEIR_OK;
}

/* Sends the part of a closed epoch whose upload is done, as a batch of one row. */
static enum weir_code emit_part(struct sink_writer *writer, struct epoch *epoch, struct weir_error *error) {
  struct wr_operator_context *context = writer->op.context;
  struct wr_part part = {.prepared_for = epoch->id, .subtask = context->subtask, .row_count = epoch->row_count};
  wr_upload_take_handle(epoch->upload, &part.handle);
  wr_bytes_clear(&writer->encoded);
  wr_part_put(&writer->encoded, &part);
  wr_part_deinit(context->memory, &part);
  WR_TRY(wr_bytes_check(&writer->encoded, error));
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, context->memory, &wr_part_schema, false);
  enum weir_code code = wr_batch_builder_begin(&builder, error);
  if (code == WEIR_OK)
    code = wr_batch_builder_set_bytes(&builder, 0, writer->encoded.data, writer->encoded.length, error);
  if (code == WEIR_OK) {
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
    code = wr_output_emit(context->output, 0, wr_batch_builder_take(&builder), error);
  }
  wr_batch_builder_deinit(&builder);
  return code;
}

/* Answers for the oldest epoch. */
static enum weir_code answer(struct sink_writer *writer, struct weir_error *error) {
  struct epoch *epoch = writer->oldest;
  if (epoch->upload != NULL) WR_TRY(emit_part(writer, epoch, error));
  WR_TRY(wr_output_barrier(writer->op.context->output, epoch->id, error));
  writer->oldest = epoch->next;
  free_epoch(writer, epoch);
  return WEIR_OK;
}

static bool is_answerable(struct epoch *epoch, uint64_t now_ns, uint64_t *wake_at_ns) {
  if (epoch->id == 0) return false;
  return epoch->upload == NULL || wr_upload_step(epoch->upload, now_ns, wake_at_ns) == WR_UPLOAD_DONE;
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct sink_writer *writer = writer_of(op);
  struct weir_error *error = &op->context->error;
  if (step_uploads(writer, wake_at_ns, error) != WEIR_OK) return WR_RESULT_ERROR;
  enum wr_result result = WR_RESULT_WAIT;
  while (is_answerable(writer->oldest, op->context->now_ns, wake_at_ns)) {
    if (answer(writer, error) != WEIR_OK) return WR_RESULT_ERROR;
    result = WR_RESULT_OK;
  }
  return result;
}

/* A checkpoint that was given up: its barrier may never come here, and is waited for no longer. What prepare() closed
 * for it stays as it is: the part goes on to the committer and into the next epoch there. */
static void aborted(struct wr_operator *op, uint64_t id) {
  struct sink_writer *writer = writer_of(op);
  if (id > writer->last_id) writer->last_id = id;
}

static bool is_idle(struct wr_operator *op) {
  for (const struct epoch *epoch = writer_of(op)->oldest; epoch != NULL; epoch = epoch->next)
    if (epoch->upload != NULL && !wr_upload_is_idle(epoch->upload)) return false;
  return true;
}

static void free_writer(struct wr_operator *op) {
  struct sink_writer *writer = writer_of(op);
  for (struct epoch *epoch = writer->oldest, *next; epoch != NULL; epoch = next) {
    next = epoch->next;
    free_epoch(writer, epoch);
  }
  wr_bytes_deinit(&writer->encoded);
  wr_free(op->context->memory, writer);
}

static const struct wr_operator_vtable vtable = {.name = "sink writer",
                                                 .process = process,
                                                 .poll = poll,
                                                 .prepare = prepare,
                                                 .aborted = aborted,
                                                 .is_idle = is_idle,
                                                 .free = free_writer};

enum weir_code wr_sink_writer_new(struct wr_operator_context *context, uint64_t roll_interval_ns,
                                  struct wr_operator **out_operator, struct weir_error *error) {
  *out_operator = NULL;
  struct sink_writer *writer = wr_alloc_zeroed(context->memory, 1, sizeof *writer, WR_MEMORY_SINK);
  if (writer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the writer of sink %s", context->uid);
  writer->op = (struct wr_operator){.vtable = &vtable, .context = context};
  writer->roll_interval_ns = roll_interval_ns;
  wr_bytes_init(&writer->encoded, context->memory, WR_MEMORY_SINK);
  enum weir_code code = open_epoch(writer, error);
  if (code != WEIR_OK) {
    free_writer(&writer->op);
    return code;
  }
  *out_operator = &writer->op;
  return WEIR_OK;
}
