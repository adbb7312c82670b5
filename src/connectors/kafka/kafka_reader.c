/* connectors/kafka/kafka_reader.c: the reader as an operator. See kafka_reader.h.
 *
 * A poll looks after the client, builds rows of one partition after the other until a batch is full or a bounded piece
 * of work is done, and sends them (source_rows.h). While the output is full nothing is taken, and the client stops
 * fetching at its bounds.
 */
#include "connectors/kafka/kafka_reader.h"

#include <inttypes.h>
#include <stdio.h>

static struct wr_kafka_reader *reader_of(struct wr_operator *op) {
  return (struct wr_kafka_reader *)op;
}

/* ---- reading ---- */

static enum weir_code tell_time(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                struct weir_error *error) {
  if (reader->built.time.field < 0) return WEIR_OK;
  wr_source_time_begin(&reader->built.time);
  for (uint32_t i = 0; i < reader->count; i++)
    if (reader->readings[i]->state != WR_KAFKA_ENDED)
      wr_source_time_count(&reader->built.time, &reader->readings[i]->time, reader->op.context->now_ns, wake_at_ns);
  return wr_source_time_tell(&reader->built.time, reader->op.context->output, out_made, error);
}

static enum weir_code poll_once(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                struct weir_error *error) {
  bool had_rows = wr_source_rows_any(&reader->built);
  WR_TRY(wr_kafka_reader_step_client(reader, wake_at_ns, out_made, error));
  WR_TRY(wr_kafka_reader_build(reader, out_made, error));
  if (!had_rows) reader->built.since_ns = reader->op.context->now_ns;
  WR_TRY(wr_source_rows_flush_when_due(&reader->built, reader->is_dry, out_made, wake_at_ns, error));
  return wr_source_rows_any(&reader->built) ? WEIR_OK : tell_time(reader, wake_at_ns, out_made, error);
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct wr_kafka_reader *reader = reader_of(op);
  bool made = false;
  if (wr_output_is_full(op->context->output)) return WR_RESULT_WAIT;
  if (poll_once(reader, wake_at_ns, &made, &op->context->error) != WEIR_OK) return WR_RESULT_ERROR;
  if (reader->no_more_splits && reader->ended_count == reader->count && !wr_source_rows_any(&reader->built))
    return WR_RESULT_DONE;
  return made ? WR_RESULT_OK : WR_RESULT_WAIT;
}

/* ---- checkpoints ---- */

static enum wr_result before_barrier(struct wr_operator *op, uint64_t id, uint64_t *wake_at_ns) {
  (void)wake_at_ns;
  struct wr_kafka_reader *reader = reader_of(op);
  enum weir_code code = wr_source_rows_flush(&reader->built, &op->context->error);
  if (code == WEIR_OK) code = wr_kafka_reader_keep_offsets(reader, id, &op->context->error);
  return code == WEIR_OK ? WR_RESULT_OK : WR_RESULT_ERROR;
}

static enum weir_code snapshot_splits(struct wr_operator *op, struct wr_bytes *out_splits, struct weir_error *error) {
  struct wr_kafka_reader *reader = reader_of(op);
  WR_ASSERT(!wr_source_rows_any(&reader->built));
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, op->context->memory, WR_MEMORY_SNAPSHOT);
  for (uint32_t i = 0; i < reader->count; i++) {
    wr_bytes_clear(&bytes);
    wr_kafka_split_put(&bytes, &reader->readings[i]->split);
    wr_bytes_put_block(out_splits, bytes.data, bytes.length);
    if (bytes.failed) out_splits->failed = true;
  }
  wr_bytes_deinit(&bytes);
  return wr_bytes_check(out_splits, error);
}

static void complete(struct wr_operator *op, uint64_t id) {
  wr_kafka_reader_commit(reader_of(op), id);
}

static void aborted(struct wr_operator *op, uint64_t id) {
  wr_kafka_reader_forget_offsets(reader_of(op), id, false);
}

/* ---- splits ---- */

static enum weir_code reserve(struct wr_kafka_reader *reader, struct weir_error *error) {
  if (reader->count < reader->capacity) return WEIR_OK;
  uint32_t capacity = reader->capacity == 0 ? 8 : reader->capacity * 2;
  void *readings =
      wr_resize(reader->op.context->memory, reader->readings, capacity * sizeof *reader->readings, WR_MEMORY_SOURCE);
  if (readings == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u partitions", capacity);
  reader->readings = readings;
  reader->capacity = capacity;
  return WEIR_OK;
}

/* Puts the partition where the metrics find it. */
static void publish(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading) {
  struct wr_task_metrics *metrics = reader->op.context->metrics;
  reading->metrics.topic = reader->config->topic;
  reading->metrics.partition = reading->split.partition;
  reading->sent_offset = -1;
  atomic_store_explicit(&reading->metrics.committed_offset, -1, memory_order_relaxed);
  atomic_store_explicit(&reading->metrics.lag, -1, memory_order_relaxed);
  wr_kafka_reading_publish(reading, -1);
  reading->metrics.next = atomic_load_explicit(&metrics->split_list, memory_order_relaxed);
  atomic_store_explicit(&metrics->split_list, &reading->metrics, memory_order_release);
}

static enum weir_code add_split(struct wr_operator *op, const uint8_t *bytes, size_t length, struct weir_error *error) {
  struct wr_kafka_reader *reader = reader_of(op);
  WR_TRY(reserve(reader, error));
  struct wr_kafka_reading *reading = wr_alloc_zeroed(op->context->memory, 1, sizeof *reading, WR_MEMORY_SOURCE);
  if (reading == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a partition of source %s", op->context->uid);
  enum weir_code code = wr_kafka_split_read(bytes, length, &reading->split, error);
  if (code != WEIR_OK) {
    wr_free(op->context->memory, reading);
    return code;
  }
  struct wr_kafka_split *split = &reading->split;
  snprintf(reading->name, sizeof reading->name, "%" PRId32, split->partition);
  reading->time = wr_split_time_of(op->context->now_ns);
  reader->readings[reader->count++] = reading;
  atomic_fetch_add_explicit(&op->context->metrics->source_records, split->records, memory_order_relaxed);
  publish(reader, reading);
  split->ended = split->has_stop && split->position >= split->stop;
  reading->state = split->ended ? WR_KAFKA_ENDED : WR_KAFKA_TO_ASSIGN;
  if (split->ended)
    reader->ended_count++;
  else
    reader->to_assign_count++;
  return WEIR_OK;
}

static void no_more_splits(struct wr_operator *op) {
  reader_of(op)->no_more_splits = true;
}

/* ---- life ---- */

static bool is_idle(struct wr_operator *op) {
  return wr_kafka_reader_close(reader_of(op));
}

static void free_reader(struct wr_operator *op) {
  struct wr_kafka_reader *reader = reader_of(op);
  struct wr_memory *memory = op->context->memory;
  WR_ASSERT(reader->consumer == NULL && reader->inquiry.admin == NULL);
  wr_kafka_reader_forget_offsets(reader, UINT64_MAX, true);
  for (uint32_t i = 0; i < reader->count; i++)
    wr_free(memory, reader->readings[i]);
  wr_free(memory, reader->readings);
  wr_source_rows_deinit(&reader->built);
  wr_free(memory, reader);
}

static const struct wr_operator_vtable vtable = {.name = "Kafka source",
                                                 .poll = poll,
                                                 .before_barrier = before_barrier,
                                                 .snapshot_splits = snapshot_splits,
                                                 .complete = complete,
                                                 .aborted = aborted,
                                                 .add_split = add_split,
                                                 .no_more_splits = no_more_splits,
                                                 .is_idle = is_idle,
                                                 .free = free_reader};

enum weir_code wr_kafka_reader_new(const struct wr_kafka_config *config, struct wr_operator_context *context,
                                   struct wr_operator **out_operator, struct weir_error *error) {
  *out_operator = NULL;
  struct wr_kafka_reader *reader = wr_alloc_zeroed(context->memory, 1, sizeof *reader, WR_MEMORY_SOURCE);
  if (reader == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  reader->op = (struct wr_operator){.vtable = &vtable, .context = context};
  reader->config = config;
  reader->connection = config->connection;
  reader->connection.uid = context->uid;
  const struct wr_record_fields fields = wr_kafka_fields(config);
  wr_kafka_reader_init_client(reader);
  enum weir_code code = wr_source_rows_init(&reader->built, context, &fields, config->out_of_orderness_ms,
                                            config->idle_timeout_ms, error);
  if (code != WEIR_OK) {
    free_reader(&reader->op);
    return code;
  }
  *out_operator = &reader->op;
  return WEIR_OK;
}
