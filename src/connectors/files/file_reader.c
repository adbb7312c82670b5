/* connectors/files/file_reader.c: the reader as an operator. See file_reader.h.
 *
 * A poll takes what calls have answered, builds rows of one slot after the other until a batch is full or a bounded
 * piece of work is done, and sees to it that the next pieces are being read. What is built leaves by source_rows.h.
 */
#include "connectors/files/file_reader.h"

#include <stdio.h>

static struct wr_files_reader *reader_of(struct wr_operator *op) {
  return (struct wr_files_reader *)op;
}

/* ---- reading ---- */

/* Builds rows of one slot. *out_made: there was something to do. */
static enum weir_code build(struct wr_files_reader *reader, struct wr_reader_slot *slot, bool *out_made,
                            struct weir_error *error) {
  bool wants = true;
  if (slot->text != NULL) {
    uint64_t before = slot->file->split.position;
    const struct wr_reader_file *file = slot->file;
    WR_TRY(wr_reader_build(reader, slot, &wants, error));
    *out_made = *out_made || file->split.position != before || slot->file == NULL;
  }
  if (!wants || slot->file == NULL) return WEIR_OK;
  bool more = false;
  WR_TRY(wr_reader_next_text(reader, slot, &more, error));
  *out_made = *out_made || more;
  return WEIR_OK;
}

/* One slot that has text gets one piece of work. */
static enum weir_code build_next(struct wr_files_reader *reader, bool *out_made, struct weir_error *error) {
  bool made = false;
  for (unsigned i = 0; i < WR_READER_SLOTS && !made; i++) {
    struct wr_reader_slot *slot = &reader->slots[reader->next_slot];
    reader->next_slot = (reader->next_slot + 1) % WR_READER_SLOTS;
    if (slot->file == NULL || (slot->text == NULL && !slot->ready)) continue;
    bool had_rows = wr_source_rows_any(&reader->built);
    WR_TRY(build(reader, slot, &made, error));
    if (!had_rows && wr_source_rows_any(&reader->built)) reader->built.since_ns = reader->op.context->now_ns;
  }
  *out_made = *out_made || made;
  return WEIR_OK;
}

static enum weir_code tell_time(struct wr_files_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                struct weir_error *error) {
  wr_source_time_begin(&reader->built.time);
  for (uint32_t i = 0; i < reader->file_count; i++)
    if (reader->files[i]->state != WR_FILE_ENDED)
      wr_source_time_count(&reader->built.time, &reader->files[i]->time, reader->op.context->now_ns, wake_at_ns);
  return wr_source_time_tell(&reader->built.time, reader->op.context->output, out_made, error);
}

static enum weir_code poll_once(struct wr_files_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                struct weir_error *error) {
  WR_TRY(wr_reader_look(reader, wake_at_ns, out_made, error));
  WR_TRY(wr_reader_step_slots(reader, out_made, error));
  WR_TRY(build_next(reader, out_made, error));
  WR_TRY(wr_reader_step_slots(reader, out_made, error));
  bool nothing_more = !*out_made && wr_reader_is_dry(reader);
  WR_TRY(wr_source_rows_flush_when_due(&reader->built, nothing_more, out_made, wake_at_ns, error));
  if (!wr_source_rows_any(&reader->built)) WR_TRY(tell_time(reader, wake_at_ns, out_made, error));
  return WEIR_OK;
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct wr_files_reader *reader = reader_of(op);
  bool made = false;
  if (wr_output_is_full(op->context->output)) return WR_RESULT_WAIT;
  if (poll_once(reader, wake_at_ns, &made, &op->context->error) != WEIR_OK) return WR_RESULT_ERROR;
  if (reader->no_more_splits && reader->ended_count == reader->file_count && !wr_source_rows_any(&reader->built))
    return WR_RESULT_DONE;
  return made ? WR_RESULT_OK : WR_RESULT_WAIT;
}

/* ---- checkpoints ---- */

static enum wr_result before_barrier(struct wr_operator *op, uint64_t id, uint64_t *wake_at_ns) {
  (void)id;
  (void)wake_at_ns;
  return wr_source_rows_flush(&reader_of(op)->built, &op->context->error) == WEIR_OK ? WR_RESULT_OK : WR_RESULT_ERROR;
}

static enum weir_code snapshot_splits(struct wr_operator *op, struct wr_bytes *out_splits, struct weir_error *error) {
  struct wr_files_reader *reader = reader_of(op);
  WR_ASSERT(!wr_source_rows_any(&reader->built));
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, op->context->memory, WR_MEMORY_SNAPSHOT);
  for (uint32_t i = 0; i < reader->file_count; i++) {
    struct wr_file_split split = wr_reader_split(reader, reader->files[i]);
    wr_bytes_clear(&bytes);
    wr_file_split_put(&bytes, &split);
    wr_bytes_put_block(out_splits, bytes.data, bytes.length);
    if (bytes.failed) out_splits->failed = true;
  }
  wr_bytes_deinit(&bytes);
  return wr_bytes_check(out_splits, error);
}

/* ---- splits ---- */

static void free_file(struct wr_files_reader *reader, struct wr_reader_file *file) {
  struct wr_memory *memory = reader->op.context->memory;
  wr_file_split_deinit(&file->split, memory);
  wr_free(memory, file->path);
  wr_free(memory, file->skipped_tail);
  wr_free(memory, file->skipped_start);
  wr_free(memory, file);
}

static enum weir_code make_path(struct wr_files_reader *reader, struct wr_reader_file *file, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX];
  int length = snprintf(path, sizeof path, "%s/%s", reader->config->folder, file->split.name);
  if (length < 0 || (size_t)length >= sizeof path)
    return WR_FAIL(error, WEIR_INVALID, "the path of %s is longer than %zu bytes", file->split.name, sizeof path - 1);
  file->path = wr_copy_string(reader->op.context->memory, path, WR_MEMORY_SOURCE);
  return file->path == NULL ? WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %s", path) : WEIR_OK;
}

static enum weir_code reserve_file(struct wr_files_reader *reader, struct weir_error *error) {
  if (reader->file_count < reader->file_capacity) return WEIR_OK;
  uint32_t capacity = reader->file_capacity == 0 ? 8 : reader->file_capacity * 2;
  void *files =
      wr_resize(reader->op.context->memory, reader->files, capacity * sizeof *reader->files, WR_MEMORY_SOURCE);
  if (files == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u files", capacity);
  reader->files = files;
  reader->file_capacity = capacity;
  return WEIR_OK;
}

static enum weir_code add_split(struct wr_operator *op, const uint8_t *bytes, size_t length, struct weir_error *error) {
  struct wr_files_reader *reader = reader_of(op);
  WR_TRY(reserve_file(reader, error));
  struct wr_reader_file *file = wr_alloc_zeroed(op->context->memory, 1, sizeof *file, WR_MEMORY_SOURCE);
  if (file == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a file of source %s", op->context->uid);
  file->time = wr_split_time_of(op->context->now_ns);
  enum weir_code code = wr_file_split_read(bytes, length, op->context->memory, &file->split, error);
  if (code == WEIR_OK) code = make_path(reader, file, error);
  if (code != WEIR_OK) {
    free_file(reader, file);
    return code;
  }
  reader->files[reader->file_count++] = file;
  atomic_fetch_add_explicit(&op->context->metrics->source_records, file->split.record, memory_order_relaxed);
  if (file->split.has_stop && file->split.position >= file->split.stop) file->split.ended = true;
  if (file->split.ended) {
    file->state = WR_FILE_ENDED;
    reader->ended_count++;
  } else {
    wr_reader_queue(reader, file);
  }
  return WEIR_OK;
}

static void no_more_splits(struct wr_operator *op) {
  reader_of(op)->no_more_splits = true;
}

/* ---- life ---- */

static bool is_idle(struct wr_operator *op) {
  const struct wr_files_reader *reader = reader_of(op);
  bool idle = atomic_load_explicit(&reader->look.state, memory_order_acquire) != WR_CALL_SUBMITTED;
  for (unsigned i = 0; i < WR_READER_SLOTS; i++)
    if (atomic_load_explicit(&reader->slots[i].input.call.state, memory_order_acquire) == WR_CALL_SUBMITTED)
      idle = false;
  return idle;
}

static void free_reader(struct wr_operator *op) {
  struct wr_files_reader *reader = reader_of(op);
  struct wr_memory *memory = op->context->memory;
  WR_ASSERT(is_idle(op));
  struct wr_watches *watches = op->context->seams->watches;
  if (watches != NULL) watches->drop(watches, &reader->watch);
  for (unsigned i = 0; i < WR_READER_SLOTS; i++) {
    struct wr_reader_slot *slot = &reader->slots[i];
    wr_file_input_deinit(&slot->input);
    wr_free(memory, slot->buffers[0]);
    wr_free(memory, slot->buffers[1]);
    wr_free(memory, slot->joined);
  }
  for (uint32_t i = 0; i < reader->file_count; i++)
    free_file(reader, reader->files[i]);
  wr_free(memory, reader->files);
  wr_free(memory, reader->look_files);
  wr_source_rows_deinit(&reader->built);
  wr_free(memory, reader);
}

static const struct wr_operator_vtable vtable = {.name = "files source",
                                                 .poll = poll,
                                                 .before_barrier = before_barrier,
                                                 .snapshot_splits = snapshot_splits,
                                                 .add_split = add_split,
                                                 .no_more_splits = no_more_splits,
                                                 .is_idle = is_idle,
                                                 .free = free_reader};

enum weir_code wr_files_reader_new(const struct wr_files_config *config, struct wr_operator_context *context,
                                   struct wr_operator **out_operator, struct weir_error *error) {
  *out_operator = NULL;
  struct wr_files_reader *reader = wr_alloc_zeroed(context->memory, 1, sizeof *reader, WR_MEMORY_SOURCE);
  if (reader == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  reader->op = (struct wr_operator){.vtable = &vtable, .context = context};
  reader->config = config;
  const struct wr_record_fields fields = {.schema = config->schema,
                                          .partition_field = config->partition_field,
                                          .position_field = config->position_field,
                                          .event_time_field = config->event_time_field};
  for (unsigned i = 0; i < WR_READER_SLOTS; i++)
    wr_file_input_init(&reader->slots[i].input, context->seams->files, context->waker);
  wr_reader_init_look(reader);
  enum weir_code code = wr_source_rows_init(&reader->built, context, &fields, config->out_of_orderness_ms,
                                            config->idle_timeout_ms, error);
  if (code != WEIR_OK) {
    free_reader(&reader->op);
    return code;
  }
  *out_operator = &reader->op;
  return WEIR_OK;
}
