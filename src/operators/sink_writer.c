/* operators/sink_writer.c: see sink_writer.h.
 *
 * Epochs are a list, oldest first; the last is the open one, all before it are closed and wait for their stages. The
 * open epoch has no stage before its first row. Always: closed epochs' ids ascend. One thread: its task's.
 */
#include "operators/sink_writer.h"

#include "runtime/sink.h"

#include <inttypes.h>

static const uint64_t LOOK_AGAIN_NS = 10ull * 1000 * 1000; /* while the backlog is over its limit: nobody wakes us */

const struct weir_schema wr_part_schema = {
    .fields = (const struct weir_field[]){{.name = "part", .type = WEIR_TYPE_BYTES, .nullable = false}},
    .field_count = 1};

struct epoch {
  struct epoch *next;
  uint64_t id;            /* of the barrier that closed it; 0: open */
  struct wr_stage *stage; /* NULL: no rows */
  uint64_t row_count;
};

struct sink_writer {
  struct wr_operator op;
  struct epoch *oldest, *open; /* the list; `open` is its last */
  wr_new_stage *new_stage;
  void *stage_config;
  uint64_t next_ordinal;   /* of a stage */
  uint64_t last_id;        /* the newest barrier that came here, or was called off */
  struct wr_bytes encoded; /* scratch: a part */
  bool no_space;           /* the log has said that the disk is full */
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
  if (writer->open != NULL)
    writer->open->next = epoch;
  else
    writer->oldest = epoch;
  writer->open = epoch;
  return WEIR_OK;
}

static void free_epoch(struct sink_writer *writer, struct epoch *epoch) {
  if (epoch->stage != NULL) epoch->stage->vtable->free(epoch->stage);
  wr_free(writer->op.context->memory, epoch);
}

static enum wr_upload_state step_stage(struct epoch *epoch, uint64_t now_ns, uint64_t *wake_at_ns) {
  return epoch->stage->vtable->step(epoch->stage, now_ns, wake_at_ns);
}

static void tell_space(struct sink_writer *writer, const struct epoch *full) {
  const struct wr_operator_context *context = writer->op.context;
  if (writer->no_space == (full != NULL)) return;
  writer->no_space = full != NULL;
  if (full != NULL)
    wr_log_write(context->seams->log, WR_LOG_WARN,
                 "sink %s, subtask %u: the disk of %s is full; the sink takes no more rows until there is room",
                 context->uid, context->subtask, full->stage->where);
  else
    wr_log_write(context->seams->log, WR_LOG_INFO, "sink %s, subtask %u: the disk has room again; the sink goes on",
                 context->uid, context->subtask);
}

/* A failed stage of an epoch ends the attempt: its rows are nowhere else. */
static enum weir_code stage_failed(struct sink_writer *writer, const struct epoch *epoch, struct weir_error *error) {
  *error = *epoch->stage->vtable->error(epoch->stage);
  return wr_error_prefix(error, "sink %s, subtask %u: the epoch's file cannot be written", writer->op.context->uid,
                         writer->op.context->subtask);
}

/* Advances every stage. */
static enum weir_code step_stages(struct sink_writer *writer, uint64_t *wake_at_ns, struct weir_error *error) {
  const struct epoch *full = NULL;
  for (struct epoch *epoch = writer->oldest; epoch != NULL; epoch = epoch->next) {
    if (epoch->stage == NULL) continue;
    enum wr_upload_state state = step_stage(epoch, writer->op.context->now_ns, wake_at_ns);
    if (state == WR_UPLOAD_FAILED) return stage_failed(writer, epoch, error);
    if (state == WR_UPLOAD_NO_SPACE) full = epoch;
  }
  tell_space(writer, full);
  return WEIR_OK;
}

/* Rule 2: over the limit, and no barrier on its way that would change that. */
static bool must_hold(const struct sink_writer *writer) {
  const struct wr_operator_context *context = writer->op.context;
  if (context->sink == NULL || !atomic_load_explicit(&context->sink->over_limit, memory_order_acquire)) return false;
  if (context->triggered_checkpoint_id == NULL) return true;
  return atomic_load_explicit(context->triggered_checkpoint_id, memory_order_acquire) <= writer->last_id;
}

static enum weir_code append(struct sink_writer *writer, const struct wr_batch *batch, struct weir_error *error) {
  struct wr_stage *stage = writer->open->stage;
  const struct wr_operator_context *context = writer->op.context;
  enum weir_code code = stage->vtable->append(stage, batch, context->now_ns, error);
  if (code != WEIR_OK) return wr_error_prefix(error, "sink %s, subtask %u", context->uid, context->subtask);
  writer->open->row_count += batch->selected_count;
  return WEIR_OK;
}

static enum wr_result process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns) {
  (void)input;
  struct sink_writer *writer = writer_of(op);
  struct weir_error *error = &op->context->error;
  struct epoch *open = writer->open;
  if (batch->selected_count == 0) return WR_RESULT_OK;
  if (must_hold(writer)) {
    uint64_t again_ns = op->context->now_ns + LOOK_AGAIN_NS;
    if (*wake_at_ns > again_ns) *wake_at_ns = again_ns;
    return WR_RESULT_WAIT;
  }
  if (open->stage == NULL &&
      writer->new_stage(writer->stage_config, op->context, writer->next_ordinal++, &open->stage, error) != WEIR_OK)
    return WR_RESULT_ERROR;
  switch (step_stage(open, op->context->now_ns, wake_at_ns)) {
  case WR_UPLOAD_OPEN:
    return append(writer, batch, error) == WEIR_OK ? WR_RESULT_OK : WR_RESULT_ERROR;
  case WR_UPLOAD_NO_SPACE:
    tell_space(writer, open);
    return WR_RESULT_WAIT;
  case WR_UPLOAD_FAILED:
    stage_failed(writer, open, error);
    return WR_RESULT_ERROR;
  default:
    return WR_RESULT_WAIT;
  }
}

static enum weir_code prepare(struct wr_operator *op, uint64_t id, struct weir_error *error) {
  struct sink_writer *writer = writer_of(op);
  struct epoch *closed = writer->open;
  WR_TRY(open_epoch(writer, error));
  closed->id = id;
  if (id > writer->last_id) writer->last_id = id;
  if (closed->stage != NULL) closed->stage->vtable->finish(closed->stage);
  return WEIR_OK;
}

/* Sends the part of a closed epoch whose stage is done, as a batch of one row. */
static enum weir_code emit_part(struct sink_writer *writer, struct epoch *epoch, struct weir_error *error) {
  struct wr_operator_context *context = writer->op.context;
  struct wr_part part = {.prepared_for = epoch->id, .subtask = context->subtask, .row_count = epoch->row_count};
  epoch->stage->vtable->take_handle(epoch->stage, &part.handle);
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
  if (epoch->stage != NULL) WR_TRY(emit_part(writer, epoch, error));
  WR_TRY(wr_output_barrier(writer->op.context->output, epoch->id, error));
  writer->oldest = epoch->next;
  free_epoch(writer, epoch);
  return WEIR_OK;
}

static bool is_answerable(struct epoch *epoch, uint64_t now_ns, uint64_t *wake_at_ns) {
  if (epoch->id == 0) return false;
  return epoch->stage == NULL || step_stage(epoch, now_ns, wake_at_ns) == WR_UPLOAD_DONE;
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct sink_writer *writer = writer_of(op);
  struct weir_error *error = &op->context->error;
  if (step_stages(writer, wake_at_ns, error) != WEIR_OK) return WR_RESULT_ERROR;
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
    if (epoch->stage != NULL && !epoch->stage->vtable->is_idle(epoch->stage)) return false;
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

enum weir_code wr_sink_writer_new(struct wr_operator_context *context, wr_new_stage *new_stage, void *stage_config,
                                  struct wr_operator **out_operator, struct weir_error *error) {
  *out_operator = NULL;
  struct sink_writer *writer = wr_alloc_zeroed(context->memory, 1, sizeof *writer, WR_MEMORY_SINK);
  if (writer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the writer of sink %s", context->uid);
  writer->op = (struct wr_operator){.vtable = &vtable, .context = context};
  writer->new_stage = new_stage;
  writer->stage_config = stage_config;
  wr_bytes_init(&writer->encoded, context->memory, WR_MEMORY_SINK);
  enum weir_code code = open_epoch(writer, error);
  if (code != WEIR_OK) {
    free_writer(&writer->op);
    return code;
  }
  *out_operator = &writer->op;
  return WEIR_OK;
}
