/* connectors/directory/directory_stage.c: the folder sink's stage (operators/stage.h): an epoch's rows of one subtask
 * become lines in the task, and files in PATH/.weir in calls, one at a time.
 *
 *   the task:  append -> lines -> (step: enough of them, no call runs) -> writing -> the call
 *   the call:  opens, writes, syncs and closes files; at the end syncs PATH/.weir
 *
 * No two stages ever write a file of one name: names hold incarnation, start number, subtask and ordinal. So what a
 * stage that was given up, or of a run that was taken over, still writes is in nobody's way.
 *
 * A full disk is waited for where nothing is lost by it: creating a file and writing to it are tried again, from where
 * they stood. A sync or close that failed fails the stage. What it has staged then, and what is not taken, is swept by
 * a later start (directory_target.c).
 *
 * Between submit and done `output`, `writing` and what is below "the call's" belong to the call's thread, all else to
 * the task's.
 */
#include "connectors/directory/directory_files.h"
#include "connectors/directory/directory_part.h"

#include <stdio.h>

enum { CHUNK_BYTES = 512 * 1024 }; /* are written at once; FULL is said when so many wait */
static const uint64_t space_retry_ns = 100 * 1000000ull;

struct directory_stage {
  struct wr_stage stage;
  struct wr_call call;
  struct wr_memory *memory;
  struct wr_calls *calls;

  /* the task's */
  enum wr_upload_state state;
  bool finishing;
  struct wr_directory_lines lines;
  struct wr_directory_part part;
  uint64_t retry_at_ns;    /* NO_SPACE: when to try again */
  struct wr_handle handle; /* DONE: owned until taken */

  /* the call's */
  struct wr_directory_text writing;
  struct wr_directory_output output;
  bool ends;           /* then the last file is ended too */
  enum weir_code code; /* what the call ended with */
  struct weir_error error;
  char folder[WR_PATH_BYTES_MAX];
};

static struct directory_stage *self_of(const struct wr_stage *stage) {
  return (struct directory_stage *)stage;
}

/* ---- the call ---- */

static void run_call(struct wr_call *call) {
  struct directory_stage *self = (struct directory_stage *)((char *)call - offsetof(struct directory_stage, call));
  self->code = wr_directory_output_write(&self->output, &self->writing, self->ends, &self->error);
  if (self->code == WEIR_NOT_FOUND)
    self->code = WR_FAIL(&self->error, WEIR_REFUSED, "%s was removed while the job runs; put it back", self->folder);
}

/* ---- the task ---- */

static enum weir_code append(struct wr_stage *stage, const struct wr_batch *batch, uint64_t now_ns,
                             struct weir_error *error) {
  struct directory_stage *self = self_of(stage);
  WR_ASSERT(!self->finishing && self->state == WR_UPLOAD_OPEN);
  return wr_directory_lines_put(&self->lines, batch, now_ns, error);
}

static enum wr_upload_state fail(struct directory_stage *self) {
  wr_directory_output_abandon(&self->output);
  return self->state = WR_UPLOAD_FAILED;
}

/* All is durable: the record of it becomes the handle. */
static enum wr_upload_state make_handle(struct directory_stage *self) {
  struct wr_bytes record;
  wr_bytes_init(&record, self->memory, WR_MEMORY_SINK);
  self->part.file_count = self->output.file_count;
  self->part.bytes = self->output.bytes;
  wr_directory_record_put(&record, &self->part);
  self->code = wr_bytes_check(&record, &self->error);
  if (self->code == WEIR_OK)
    self->code = wr_handle_of_bytes(self->memory, record.data, record.length, &self->handle, &self->error);
  wr_bytes_deinit(&record);
  return self->code == WEIR_OK ? (self->state = WR_UPLOAD_DONE) : fail(self);
}

static enum wr_upload_state call_ended(struct directory_stage *self, uint64_t now_ns) {
  if (self->code == WEIR_NO_SPACE && self->output.may_go_on) {
    self->retry_at_ns = now_ns + space_retry_ns;
    return self->state = WR_UPLOAD_NO_SPACE;
  }
  if (self->code != WEIR_OK) return fail(self);
  if (self->ends) return make_handle(self);
  wr_bytes_clear(&self->writing.bytes);
  wr_bytes_clear(&self->writing.cuts);
  return self->state = WR_UPLOAD_OPEN;
}

/* No call runs: makes the next one, if one is due. */
static enum wr_upload_state step_idle(struct directory_stage *self) {
  if (!self->finishing && self->lines.text.bytes.length < CHUNK_BYTES) return self->state = WR_UPLOAD_OPEN;
  struct wr_directory_text empty = self->writing;
  self->writing = self->lines.text;
  self->lines.text = empty;
  self->ends = self->finishing;
  wr_call_submit(self->calls, &self->call);
  return self->state = self->finishing ? WR_UPLOAD_CLOSING : WR_UPLOAD_OPEN;
}

static enum wr_upload_state step(struct wr_stage *stage, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct directory_stage *self = self_of(stage);
  if (self->state == WR_UPLOAD_DONE || self->state == WR_UPLOAD_FAILED) return self->state;
  if (wr_call_take_done(&self->call)) {
    enum wr_upload_state state = call_ended(self, now_ns);
    if (state == WR_UPLOAD_DONE || state == WR_UPLOAD_FAILED) return state;
  }
  bool running = !wr_call_is_idle(&self->call);
  if (!running && self->state == WR_UPLOAD_NO_SPACE) {
    if (now_ns < self->retry_at_ns) {
      if (self->retry_at_ns < *wake_at_ns) *wake_at_ns = self->retry_at_ns;
      return WR_UPLOAD_NO_SPACE;
    }
    wr_call_submit(self->calls, &self->call);
    return WR_UPLOAD_NO_SPACE;
  }
  if (!running) return step_idle(self);
  if (self->state == WR_UPLOAD_NO_SPACE) return WR_UPLOAD_NO_SPACE; /* a try that runs has not ended the shortage */
  if (self->finishing) return self->state = WR_UPLOAD_CLOSING;
  return self->state = self->lines.text.bytes.length >= CHUNK_BYTES ? WR_UPLOAD_FULL : WR_UPLOAD_OPEN;
}

static void finish(struct wr_stage *stage) {
  self_of(stage)->finishing = true;
}

static void take_handle(struct wr_stage *stage, struct wr_handle *out_handle) {
  struct directory_stage *self = self_of(stage);
  WR_ASSERT(self->state == WR_UPLOAD_DONE);
  *out_handle = self->handle;
  self->handle = (struct wr_handle){0};
}

static const struct weir_error *error_of(const struct wr_stage *stage) {
  WR_ASSERT(self_of(stage)->state == WR_UPLOAD_FAILED);
  return &self_of(stage)->error;
}

static bool is_idle(const struct wr_stage *stage) {
  return atomic_load_explicit(&self_of(stage)->call.state, memory_order_acquire) != WR_CALL_SUBMITTED;
}

static void free_stage(struct wr_stage *stage) {
  struct directory_stage *self = self_of(stage);
  WR_ASSERT(is_idle(stage));
  wr_directory_output_abandon(&self->output);
  wr_directory_lines_deinit(&self->lines);
  wr_directory_text_deinit(&self->writing);
  wr_handle_deinit(self->memory, &self->handle);
  wr_free(self->memory, self);
}

static const struct wr_stage_vtable vtable = {.append = append,
                                              .step = step,
                                              .finish = finish,
                                              .take_handle = take_handle,
                                              .error = error_of,
                                              .is_idle = is_idle,
                                              .free = free_stage};

static enum weir_code set_names(struct directory_stage *self, const struct wr_directory_config *config,
                                const struct wr_store *store, struct weir_error *error) {
  int length = snprintf(self->folder, sizeof self->folder, "%s/.weir", config->path);
  WR_TRY(wr_directory_check_length(length, config->path, error));
  self->stage.where = self->folder;
  self->output.folder = self->folder;
  self->output.suffix = wr_directory_suffix(config->format);
  const struct wr_directory_place place = {.path = config->path,
                                           .folder = self->folder,
                                           .uid = config->uid,
                                           .hash = wr_directory_hash(store->job_name, config->uid)};
  return wr_directory_staged_base(&place, &self->part, self->output.base, error);
}

enum weir_code wr_directory_stage_new(void *stage_config, const struct wr_operator_context *context, uint64_t ordinal,
                                      struct wr_stage **out_stage, struct weir_error *error) {
  const struct wr_directory_config *config = stage_config;
  const struct wr_store *store = context->store;
  struct directory_stage *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for an epoch of sink %s", config->uid);
  self->stage.vtable = &vtable;
  self->memory = context->memory;
  self->calls = context->seams->calls;
  self->call.run = run_call;
  self->call.waker = context->waker;
  self->output.files = context->seams->files;
  self->part = (struct wr_directory_part){
      .subtask = context->subtask, .start_number = store->start_number, .ordinal = ordinal, .format = config->format};
  memcpy(self->part.incarnation, store->incarnation, WR_INCARNATION_BYTES);
  wr_directory_text_init(&self->writing, self->memory);
  enum weir_code code = wr_directory_lines_init(&self->lines, config, context->input_schema, context->memory, error);
  if (code == WEIR_OK) code = set_names(self, config, store, error);
  if (code != WEIR_OK) {
    free_stage(&self->stage);
    return code;
  }
  *out_stage = &self->stage;
  return WEIR_OK;
}
