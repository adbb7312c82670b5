/* runtime/task_snapshot.c: a task at a barrier, and its running snapshot.
 *
 * FLUSH       operator by operator, head to tail: before_barrier, then what it sent runs through the rest of the chain
 * barrier     goes out on every edge at once (a sink's own barrier waits for its prepare)
 * snapshot    the synchronous part, tail to head: marks of keyed state are frozen, splits and small state are copied
 * release     the channels are released, and slices of the asynchronous part are written between records
 *
 * A failure of the synchronous part fails the attempt (only memory can fail there). A failure of the asynchronous part
 * fails the checkpoint: it is declined, the marks are united with the new ones, the next delta has them.
 */
#include "runtime/task_int.h"

#include "base/limits.h"

/* A step writes slices up to a time, and no more than so many: the simulator's clock stands still meanwhile. */
enum { SLICE_BYTES = 64 * 1024, SLICES_PER_STEP = 16, SLICES_NS = 1000 * 1000 };

void wr_task_begin_barrier(struct wr_task *task, uint64_t id) {
  WR_ASSERT(task->barrier_stage == WR_BARRIER_NONE);
  task->barrier_stage = WR_BARRIER_FLUSH;
  task->barrier_id = id;
  task->barrier_link = 0;
}

enum weir_code wr_task_give_up(struct wr_task *task, uint64_t id, enum wr_abort_reason reason,
                               const struct weir_error *cause) {
  if (id > task->last_barrier_id) task->last_barrier_id = id;
  struct wr_item cancel = {.kind = WR_ITEM_CANCEL, .value = (int64_t)id};
  for (uint32_t i = 0; i < task->link_count; i++)
    WR_TRY(wr_output_broadcast(&task->links[i].output, cancel, &task->error));
  struct wr_task_event *event = wr_task_event_new(task, WR_EVENT_DECLINE);
  if (event == NULL) return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory in %s", task->name);
  event->id = id;
  event->reason = reason;
  if (cause != NULL) event->error = *cause;
  wr_task_send(task, event);
  return WEIR_OK;
}

static enum weir_code send_barrier(struct wr_task *task, uint64_t id) {
  for (uint32_t i = 0; i < task->link_count; i++) {
    struct wr_link *link = &task->links[i];
    if (link->op->vtable->prepare != NULL) {
      WR_TRY(link->op->vtable->prepare(link->op, id, &task->error));
      continue;
    }
    WR_TRY(wr_output_barrier(&link->output, id, &task->error));
  }
  return WEIR_OK;
}

static enum weir_code inline_handle(struct wr_task *task, struct wr_bytes *bytes, struct wr_handle *out_handle) {
  WR_TRY(wr_bytes_check(bytes, &task->error));
  *out_handle = (struct wr_handle){.digest = wr_digest_of(bytes->data, bytes->length)};
  size_t length = 0;
  out_handle->inline_bytes = wr_bytes_take(bytes, &length);
  out_handle->length = length;
  return WEIR_OK;
}

/* Each block of `bytes` becomes one inline handle. */
static enum weir_code split_handles(struct wr_task *task, const struct wr_bytes *bytes,
                                    struct wr_subtask_state *state) {
  uint32_t count = 0;
  struct wr_reader reader = wr_reader_of(bytes->data, bytes->length);
  size_t length = 0;
  while (reader.position < reader.length && wr_read_block(&reader, &length) != NULL)
    count++;
  if (count == 0) return WEIR_OK;
  state->splits = wr_alloc_zeroed(task->memory, count, sizeof *state->splits, WR_MEMORY_SNAPSHOT);
  if (state->splits == NULL) return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory for %u splits", count);
  reader = wr_reader_of(bytes->data, bytes->length);
  for (state->split_count = 0; state->split_count < count; state->split_count++) {
    const uint8_t *data = wr_read_block(&reader, &length);
    struct wr_handle view = {.length = length, .digest = wr_digest_of(data, length)};
    view.inline_bytes = wr_copy_bytes(task->memory, data, length, WR_MEMORY_SNAPSHOT);
    if (view.inline_bytes == NULL) return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory for a split");
    state->splits[state->split_count] = view;
  }
  return WEIR_OK;
}

static enum weir_code snapshot_operator(struct wr_task *task, struct wr_link *link, uint64_t id) {
  const struct wr_operator_vtable *vtable = link->op->vtable;
  struct wr_subtask_state *state = &link->snapshot;
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, task->memory, WR_MEMORY_SNAPSHOT);
  enum weir_code code = WEIR_OK;
  if (vtable->snapshot != NULL) {
    WR_TRY_GOTO(code, out, vtable->snapshot(link->op, id, &bytes, &task->error));
    WR_TRY_GOTO(code, out, inline_handle(task, &bytes, &state->raw));
  }
  if (vtable->snapshot_splits != NULL) {
    wr_bytes_clear(&bytes);
    WR_TRY_GOTO(code, out, vtable->snapshot_splits(link->op, &bytes, &task->error));
    WR_TRY_GOTO(code, out, wr_bytes_check(&bytes, &task->error));
    WR_TRY_GOTO(code, out, split_handles(task, &bytes, state));
  }
  if (vtable->snapshot_commit != NULL) {
    WR_TRY_GOTO(code, out, vtable->snapshot_commit(link->op, id, &state->commit, &task->error));
    state->has_commit = true;
  }
out:
  wr_bytes_deinit(&bytes);
  return code;
}

static enum weir_code snapshot_link(struct wr_task *task, struct wr_link *link, uint64_t id) {
  link->snapshot = (struct wr_subtask_state){.subtask = task->options.subtask};
  link->snapshot_ended_inputs = link->ended_inputs;
  WR_TRY(snapshot_operator(task, link, id));
  if (link->backend == NULL) return WEIR_OK;
  link->snapshot.range =
      wr_key_group_range_of(task->options.subtask, task->options.vertex->parallelism, task->options.max_parallelism);
  struct wr_upload_options upload = {.kind = WR_BLOB_STATE,
                                     .uid = link->definition->uid,
                                     .subtask = task->options.subtask,
                                     .spare = &link->upload_spare};
  WR_TRY(wr_upload_new(task->options.store, &upload, task->options.waker, &link->upload, &task->error));
  link->backend_written = false;
  return wr_backend_freeze(link->backend, id, false, &task->error);
}

static enum weir_code take_snapshot(struct wr_task *task, uint64_t id) {
  task->snapshot_id = id;
  for (uint32_t i = task->link_count; i-- > 0;)
    WR_TRY(snapshot_link(task, &task->links[i], id));
  return WEIR_OK;
}

/* Snapshot code has kept the step from returning since `before_ns`. Returns the time. */
static uint64_t note_stall(struct wr_task *task, uint64_t before_ns) {
  uint64_t after_ns = task->options.seams->clock->monotonic_ns(task->options.seams->clock);
  if (after_ns - before_ns > atomic_load_explicit(&task->metrics.snapshot_stall_max_ns, memory_order_relaxed))
    atomic_store_explicit(&task->metrics.snapshot_stall_max_ns, after_ns - before_ns, memory_order_relaxed);
  return after_ns;
}

/* The operators have flushed and the chain is empty. */
static enum weir_code pass_barrier(struct wr_task *task) {
  uint64_t id = task->barrier_id;
  task->barrier_stage = WR_BARRIER_NONE;
  task->last_barrier_id = id;
  if (id <= task->last_aborted_id) {
    WR_TRY(wr_task_give_up(task, id, WR_ABORT_CANCELLED, NULL));
  } else {
    uint64_t before_ns = task->options.seams->clock->monotonic_ns(task->options.seams->clock);
    WR_TRY(send_barrier(task, id));
    WR_TRY(take_snapshot(task, id));
    task->snapshot_started_ns = note_stall(task, before_ns);
    atomic_store_explicit(&task->metrics.snapshot_sync_ns, task->snapshot_started_ns - before_ns, memory_order_relaxed);
  }
  if (task->has_gate) wr_gate_snapshot_taken(&task->gate, id);
  if (task->next_trigger_id > id) wr_task_begin_barrier(task, task->next_trigger_id);
  task->next_trigger_id = 0;
  return WEIR_OK;
}

enum wr_step wr_task_barrier_step(struct wr_task *task, uint64_t *wake_at_ns) {
  if (task->barrier_stage == WR_BARRIER_NONE) return WR_STEP_NOTHING;
  enum wr_step step = wr_chain_run(task, wake_at_ns);
  if (step != WR_STEP_NOTHING) return step;
  if (task->barrier_link == task->link_count) {
    wr_task_snapshot_cancel(task); /* An older one still being written: its checkpoint is over. */
    for (uint32_t i = 0; i < task->link_count; i++)
      if (task->links[i].upload != NULL) return WR_STEP_BLOCKED;
    if (wr_task_handle_messages(task) == WR_STEP_FAILED) return WR_STEP_FAILED;
    if (task->state != WR_TASK_RUNNING) return WR_STEP_BLOCKED;
    return pass_barrier(task) == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
  }
  struct wr_link *link = &task->links[task->barrier_link];
  enum wr_result result = WR_RESULT_OK;
  link->output.emitted_in_call = 0;
  if (link->op->vtable->before_barrier != NULL)
    result = link->op->vtable->before_barrier(link->op, task->barrier_id, wake_at_ns);
  if (result == WR_RESULT_OK) task->barrier_link++;
  return wr_chain_result(task, link, result);
}

/* ---- the asynchronous part ---- */

static void retire_upload(struct wr_task *task, struct wr_link *link) {
  struct wr_upload *upload = link->upload;
  link->upload = NULL;
  if (upload == NULL) return;
  if (wr_upload_is_idle(upload)) {
    wr_upload_free(upload);
    return;
  }
  for (size_t i = 0; i < sizeof task->retired / sizeof task->retired[0]; i++) {
    if (task->retired[i] != NULL && wr_upload_is_idle(task->retired[i])) {
      wr_upload_free(task->retired[i]);
      task->retired[i] = NULL;
    }
    if (task->retired[i] == NULL) {
      task->retired[i] = upload;
      return;
    }
  }
  /* All places are held by writes that hang: keep this one in its link's place; the next barrier waits for it. */
  link->upload = upload;
}

void wr_task_snapshot_cancel(struct wr_task *task) {
  for (uint32_t i = 0; i < task->link_count; i++) {
    struct wr_link *link = &task->links[i];
    retire_upload(task, link);
    if (link->backend != NULL) wr_backend_snapshot_cancel(link->backend);
    wr_subtask_state_deinit(task->memory, &link->snapshot);
    link->snapshot = (struct wr_subtask_state){0};
  }
  task->snapshot_id = 0;
}

bool wr_task_uploads_idle(struct wr_task *task) {
  for (size_t i = 0; i < sizeof task->retired / sizeof task->retired[0]; i++)
    if (task->retired[i] != NULL && !wr_upload_is_idle(task->retired[i])) return false;
  for (uint32_t i = 0; i < task->link_count; i++)
    if (task->links[i].upload != NULL && !wr_upload_is_idle(task->links[i].upload)) return false;
  return true;
}

void wr_task_snapshot_deinit(struct wr_task *task) {
  for (uint32_t i = 0; i < task->link_count; i++) {
    wr_upload_free(task->links[i].upload);
    wr_subtask_state_deinit(task->memory, &task->links[i].snapshot);
  }
  for (size_t i = 0; i < sizeof task->retired / sizeof task->retired[0]; i++)
    wr_upload_free(task->retired[i]);
  for (uint32_t i = 0; i < task->link_count; i++)
    wr_upload_spare_deinit(&task->links[i].upload_spare, task->options.store->seams->memory);
}

/* The chain of handles that restores this link's keyed state. */
static enum weir_code copy_chain(struct wr_task *task, struct wr_link *link) {
  uint32_t count = 0;
  const struct wr_handle *chain = wr_backend_chain(link->backend, &count);
  if (count == 0) return WEIR_OK;
  struct wr_subtask_state *state = &link->snapshot;
  state->keyed = wr_alloc_zeroed(task->memory, count, sizeof *state->keyed, WR_MEMORY_SNAPSHOT);
  if (state->keyed == NULL) return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory for %u handles", count);
  for (; state->keyed_count < count; state->keyed_count++)
    WR_TRY(wr_handle_copy(task->memory, &chain[state->keyed_count], &state->keyed[state->keyed_count], &task->error));
  return WEIR_OK;
}

static enum wr_snapshot_progress write_slices(struct wr_task *task, struct wr_link *link,
                                              struct weir_error *out_cause) {
  struct wr_clock *clock = task->options.seams->clock;
  uint64_t end_ns = clock->monotonic_ns(clock) + SLICES_NS;
  enum wr_snapshot_progress progress = WR_SNAPSHOT_MORE;
  for (uint32_t i = 0; i < SLICES_PER_STEP && progress == WR_SNAPSHOT_MORE; i++) {
    progress = wr_backend_snapshot_step(link->backend, link->upload, SLICE_BYTES, out_cause);
    if (clock->monotonic_ns(clock) >= end_ns) break;
  }
  return progress;
}

/* One link's upload. NOTHING: it is done. */
static enum wr_step upload_step(struct wr_task *task, struct wr_link *link, uint64_t now_ns, uint64_t *wake_at_ns,
                                struct weir_error *out_cause) {
  if (link->upload == NULL) return WR_STEP_NOTHING;
  switch (wr_upload_step(link->upload, now_ns, wake_at_ns)) {
  case WR_UPLOAD_OPEN: {
    if (link->backend_written) return WR_STEP_BLOCKED;
    enum wr_snapshot_progress progress = write_slices(task, link, out_cause);
    if (progress == WR_SNAPSHOT_FAILED) return WR_STEP_FAILED;
    if (progress == WR_SNAPSHOT_WRITTEN) {
      link->backend_written = true;
      wr_upload_finish(link->upload);
    }
    return WR_STEP_PROGRESS;
  }
  case WR_UPLOAD_FULL:
  case WR_UPLOAD_NO_SPACE:
  case WR_UPLOAD_CLOSING:
    return WR_STEP_BLOCKED;
  case WR_UPLOAD_DONE: {
    struct wr_handle handle;
    wr_upload_take_handle(link->upload, &handle);
    wr_upload_free(link->upload);
    link->upload = NULL;
    wr_backend_snapshot_uploaded(link->backend, task->snapshot_id, &handle);
    if (copy_chain(task, link) == WEIR_OK) return WR_STEP_PROGRESS;
    *out_cause = task->error;
    return WR_STEP_FAILED;
  }
  case WR_UPLOAD_FAILED:
    break;
  }
  *out_cause = *wr_upload_error(link->upload);
  return WR_STEP_FAILED;
}

static enum weir_code acknowledge(struct wr_task *task, uint64_t now_ns) {
  struct wr_task_event *event = wr_task_event_new(task, WR_EVENT_ACK);
  if (event == NULL) return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory in %s", task->name);
  event->entries = wr_alloc_zeroed(task->memory, task->link_count, sizeof *event->entries, WR_MEMORY_SNAPSHOT);
  if (event->entries == NULL) {
    wr_task_event_free(task->memory, event);
    return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory in %s", task->name);
  }
  event->id = task->snapshot_id;
  event->entry_count = task->link_count;
  for (uint32_t i = 0; i < task->link_count; i++) {
    struct wr_link *link = &task->links[i];
    event->entries[i] =
        (struct wr_ack_entry){.node = link->node, .ended_inputs = link->snapshot_ended_inputs, .state = link->snapshot};
    link->snapshot = (struct wr_subtask_state){0};
  }
  task->snapshot_id = 0;
  atomic_store_explicit(&task->metrics.snapshot_async_ns, now_ns - task->snapshot_started_ns, memory_order_relaxed);
  wr_task_send(task, event);
  return WEIR_OK;
}

enum wr_step wr_task_snapshot_step(struct wr_task *task, uint64_t now_ns, uint64_t *wake_at_ns) {
  if (task->snapshot_id == 0) return WR_STEP_NOTHING;
  enum wr_step result = WR_STEP_NOTHING;
  uint64_t before_ns = task->options.seams->clock->monotonic_ns(task->options.seams->clock);
  for (uint32_t i = 0; i < task->link_count; i++) {
    struct weir_error cause = {.code = WEIR_OK};
    enum wr_step step = upload_step(task, &task->links[i], now_ns, wake_at_ns, &cause);
    if (step == WR_STEP_FAILED) {
      uint64_t id = task->snapshot_id;
      wr_task_snapshot_cancel(task);
      return wr_task_give_up(task, id, WR_ABORT_DECLINED, &cause) == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
    }
    if (step == WR_STEP_PROGRESS || (step == WR_STEP_BLOCKED && result == WR_STEP_NOTHING)) result = step;
  }
  (void)note_stall(task, before_ns);
  if (result != WR_STEP_NOTHING) return result;
  return acknowledge(task, now_ns) == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
}
