/* operators/rows_stage.c: the common stage (stage.h): an epoch's rows, as encoded batches (data/wire.h), in an upload.
 * One thread: its task's. */
#include "data/wire.h"
#include "operators/stage.h"

struct rows_stage {
  struct wr_stage stage;
  struct wr_memory *memory;
  struct wr_upload *upload;
  struct wr_bytes encoded; /* scratch */
};

static struct rows_stage *rows_of(const struct wr_stage *stage) {
  return (struct rows_stage *)stage;
}

static enum weir_code append(struct wr_stage *stage, const struct wr_batch *batch, uint64_t now_ns,
                             struct weir_error *error) {
  (void)now_ns;
  struct rows_stage *rows = rows_of(stage);
  wr_bytes_clear(&rows->encoded);
  wr_wire_put_batch(&rows->encoded, batch);
  WR_TRY(wr_bytes_check(&rows->encoded, error));
  return wr_upload_append(rows->upload, rows->encoded.data, rows->encoded.length, error);
}

static enum wr_upload_state step(struct wr_stage *stage, uint64_t now_ns, uint64_t *wake_at_ns) {
  return wr_upload_step(rows_of(stage)->upload, now_ns, wake_at_ns);
}

static void finish(struct wr_stage *stage) {
  wr_upload_finish(rows_of(stage)->upload);
}

static void take_handle(struct wr_stage *stage, struct wr_handle *out_handle) {
  wr_upload_take_handle(rows_of(stage)->upload, out_handle);
}

static const struct weir_error *error_of(const struct wr_stage *stage) {
  return wr_upload_error(rows_of(stage)->upload);
}

static bool is_idle(const struct wr_stage *stage) {
  return wr_upload_is_idle(rows_of(stage)->upload);
}

static void free_rows(struct wr_stage *stage) {
  struct rows_stage *rows = rows_of(stage);
  wr_upload_free(rows->upload);
  wr_bytes_deinit(&rows->encoded);
  wr_free(rows->memory, rows);
}

static const struct wr_stage_vtable vtable = {.append = append,
                                              .step = step,
                                              .finish = finish,
                                              .take_handle = take_handle,
                                              .error = error_of,
                                              .is_idle = is_idle,
                                              .free = free_rows};

enum weir_code wr_rows_stage_new(void *config, const struct wr_operator_context *context, uint64_t ordinal,
                                 struct wr_stage **out_stage, struct weir_error *error) {
  (void)config;
  (void)ordinal;
  const struct wr_upload_options options = {
      .kind = WR_BLOB_EPOCH, .uid = context->uid, .subtask = context->subtask, .wait_for_space = true};
  struct rows_stage *rows = wr_alloc_zeroed(context->memory, 1, sizeof *rows, WR_MEMORY_SINK);
  if (rows == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for an epoch of sink %s", context->uid);
  rows->stage = (struct wr_stage){.vtable = &vtable, .where = context->store->folder};
  rows->memory = context->memory;
  wr_bytes_init(&rows->encoded, context->memory, WR_MEMORY_SINK);
  enum weir_code code = wr_upload_new(context->store, &options, context->waker, &rows->upload, error);
  if (code != WEIR_OK) {
    free_rows(&rows->stage);
    return code;
  }
  *out_stage = &rows->stage;
  return WEIR_OK;
}
