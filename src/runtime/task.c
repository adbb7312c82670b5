/* runtime/task.c: the life of a task, its messages, and its step. See task.h. */
#include "runtime/task_int.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

enum {
  UNITS_PER_STEP = 4,                /* batches taken in one step: together about 1 ms at the most */
  UNITS_BETWEEN_SLICES = 1,          /* the same, where a running snapshot took its part of the step */
  PARTIAL_BATCH_NS = 5 * 1000 * 1000 /* how long a half-built batch may wait */
};

/* ---- events ---- */

struct wr_task_event *wr_task_event_new(struct wr_task *task, enum wr_task_event_kind kind) {
  struct wr_task_event *event = wr_alloc_zeroed(task->memory, 1, sizeof *event, WR_MEMORY_ENGINE);
  if (event != NULL) event->kind = kind;
  return event;
}

void wr_task_send(struct wr_task *task, struct wr_task_event *event) {
  event->attempt = task->options.store->start_number;
  event->task = task->options.task_index;
  wr_mailbox_push(task->options.job_mailbox, &event->link);
  task->options.job_waker->wake(task->options.job_waker);
}

void wr_task_event_free(struct wr_memory *memory, struct wr_task_event *event) {
  if (event->kind == WR_EVENT_FAILED) return;
  for (uint32_t i = 0; i < event->entry_count; i++)
    wr_subtask_state_deinit(memory, &event->entries[i].state);
  wr_free(memory, event->entries);
  wr_free(memory, event);
}

static enum weir_code send_plain(struct wr_task *task, enum wr_task_event_kind kind) {
  struct wr_task_event *event = wr_task_event_new(task, kind);
  if (event == NULL) return WR_FAIL(&task->error, WEIR_NO_MEMORY, "out of memory in %s", task->name);
  wr_task_send(task, event);
  return WEIR_OK;
}

/* A task that was cancelled fails no more: nobody would ever cancel it again. */
static void fail(struct wr_task *task) {
  WR_ASSERT(task->error.code != WEIR_OK);
  if (task->state == WR_TASK_STOPPING) return;
  task->state = WR_TASK_FAILED;
  task->failed_event.kind = WR_EVENT_FAILED;
  task->failed_event.error = task->error;
  wr_task_send(task, &task->failed_event);
}

/* ---- restore ---- */

/* What the subtask of the same number stored, when the parallelism is the same. */
static struct wr_subtask_state *own_state(const struct wr_operator_state *state, uint32_t subtask,
                                          uint32_t parallelism) {
  if (state == NULL || state->parallelism != parallelism) return NULL;
  for (uint32_t i = 0; i < state->subtask_count; i++)
    if (state->subtasks[i].subtask == subtask) return &state->subtasks[i];
  return NULL;
}

static enum weir_code restore_backend(struct wr_task *task, struct wr_link *link, struct weir_error *error) {
  const struct wr_operator_state *state = wr_metadata_find(task->options.restored, link->definition->uid);
  if (state == NULL) return WEIR_OK;
  struct wr_backend_chain *chains =
      wr_alloc_zeroed(task->memory, state->subtask_count + 1, sizeof *chains, WR_MEMORY_STATE);
  if (chains == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory to restore %s", task->name);
  struct wr_key_group_range mine =
      wr_key_group_range_of(task->options.subtask, task->options.vertex->parallelism, task->options.max_parallelism);
  uint32_t count = 0;
  for (uint32_t i = 0; i < state->subtask_count; i++) {
    const struct wr_subtask_state *subtask = &state->subtasks[i];
    if (subtask->keyed_count == 0 || subtask->range.first >= mine.end || subtask->range.end <= mine.first) continue;
    chains[count++] =
        (struct wr_backend_chain){.handles = subtask->keyed, .count = subtask->keyed_count, .range = subtask->range};
  }
  enum weir_code code = WEIR_OK;
  uint64_t dropped = 0;
  if (count != 0)
    code = wr_backend_restore(link->backend, task->options.store, chains, count, task->options.allow_non_restored,
                              &dropped, error);
  task->dropped_rows += dropped;
  wr_free(task->memory, chains);
  return code;
}

static void run_restore(struct wr_call *call) {
  struct wr_task *task = (struct wr_task *)((char *)call - offsetof(struct wr_task, restore_call));
  task->restore_code = WEIR_OK;
  for (uint32_t i = 0; i < task->link_count && task->restore_code == WEIR_OK; i++)
    if (task->links[i].backend != NULL)
      task->restore_code = restore_backend(task, &task->links[i], &task->restore_error);
}

static enum weir_code finish_deployment(struct wr_task *task) {
  if (task->restore_code != WEIR_OK) {
    task->error = task->restore_error;
    return task->restore_code;
  }
  if (task->dropped_rows != 0)
    wr_log_write(task->options.seams->log, WR_LOG_WARN, "%s: %" PRIu64 " rows of state that nobody takes were dropped",
                 task->name, task->dropped_rows);
  for (uint32_t i = task->link_count; i-- > 0;) {
    struct wr_link *link = &task->links[i];
    const struct wr_operator_state *state =
        task->options.restored == NULL ? NULL : wr_metadata_find(task->options.restored, link->definition->uid);
    /* A source finds out anew: it says DONE again when its splits have ended. */
    if (state != NULL && (task->has_gate || i != 0)) link->ended_inputs = state->ended_inputs;
    if (link->op->vtable->restored == NULL) continue;
    struct wr_subtask_state *own = own_state(state, task->options.subtask, task->options.vertex->parallelism);
    WR_TRY(link->op->vtable->restored(link->op, own, &task->error));
  }
  task->state = WR_TASK_RUNNING;
  return send_plain(task, WR_EVENT_DEPLOYED);
}

static enum wr_step deploy_step(struct wr_task *task) {
  bool needs_call = false;
  for (uint32_t i = 0; i < task->link_count; i++)
    needs_call = needs_call || (task->links[i].backend != NULL && task->options.restored != NULL);
  if (!needs_call) return finish_deployment(task) == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
  if (task->restore_call.run == NULL) {
    task->restore_call.run = run_restore;
    task->restore_call.waker = task->options.waker;
    wr_call_submit(task->options.seams->calls, &task->restore_call);
    return WR_STEP_BLOCKED;
  }
  if (!wr_call_take_done(&task->restore_call)) return WR_STEP_BLOCKED;
  return finish_deployment(task) == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
}

/* ---- messages ---- */

static struct wr_link *source_of(struct wr_task *task) {
  return task->has_gate ? NULL : &task->links[0];
}

static enum weir_code handle_abort(struct wr_task *task, uint64_t id) {
  if (id > task->last_aborted_id) task->last_aborted_id = id;
  if (task->snapshot_id == id) wr_task_snapshot_cancel(task);
  for (uint32_t i = task->link_count; i-- > 0;) {
    struct wr_link *link = &task->links[i];
    if (link->backend != NULL) wr_backend_aborted(link->backend, id);
    if (link->op->vtable->aborted != NULL) link->op->vtable->aborted(link->op, id);
  }
  if (!task->has_gate || task->state != WR_TASK_RUNNING) return WEIR_OK;
  struct wr_gate_event event = wr_gate_aborted(&task->gate, id);
  return event.kind == WR_GATE_CANCELLED ? wr_task_give_up(task, event.id, WR_ABORT_CANCELLED, NULL) : WEIR_OK;
}

static void handle_complete(struct wr_task *task, uint64_t id) {
  task->completed_id = id;
  for (uint32_t i = task->link_count; i-- > 0;) {
    struct wr_link *link = &task->links[i];
    if (link->backend != NULL) wr_backend_completed(link->backend, id);
    if (link->op->vtable->complete != NULL) link->op->vtable->complete(link->op, id);
  }
}

static void answer(struct wr_task *task, struct wr_task_message *message) {
  struct wr_task_question *question = message->question;
  struct wr_backend *backend = NULL;
  message->question = NULL;
  for (uint32_t i = 0; i < task->link_count && task->state == WR_TASK_RUNNING; i++)
    if (strcmp(task->links[i].definition->uid, question->uid) == 0) backend = task->links[i].backend;
  question->answer(question, backend);
}

static enum weir_code handle_message(struct wr_task *task, struct wr_task_message *message) {
  struct wr_link *source = source_of(task);
  switch (message->kind) {
  case WR_TASK_TRIGGER:
    WR_ASSERT(source != NULL);
    if (task->barrier_stage != WR_BARRIER_NONE)
      task->next_trigger_id = message->id;
    else if (message->id > task->last_barrier_id)
      wr_task_begin_barrier(task, message->id);
    return WEIR_OK;
  case WR_TASK_COMPLETE:
    handle_complete(task, message->id);
    return WEIR_OK;
  case WR_TASK_ABORT:
    return handle_abort(task, message->id);
  case WR_TASK_ADD_SPLIT:
    WR_ASSERT(source != NULL);
    WR_TRY(source->op->vtable->add_split(source->op, message->split.bytes, message->split.length, &task->error));
    atomic_fetch_add_explicit(&task->metrics.splits, 1, memory_order_release);
    task->options.job_waker->wake(task->options.job_waker);
    return WEIR_OK;
  case WR_TASK_NO_MORE_SPLITS:
    WR_ASSERT(source != NULL);
    source->op->vtable->no_more_splits(source->op);
    return WEIR_OK;
  case WR_TASK_READ:
    task->may_read = true;
    return WEIR_OK;
  case WR_TASK_STOP_READING:
    task->may_read = false;
    return WEIR_OK;
  case WR_TASK_ASK:
    answer(task, message);
    return WEIR_OK;
  case WR_TASK_CANCEL:
    task->state = WR_TASK_STOPPING;
    return WEIR_OK;
  }
  return WEIR_OK;
}

static void free_message(struct wr_task *task, struct wr_task_message *message) {
  if (message->question != NULL) message->question->answer(message->question, NULL);
  if (message == &task->cancel_message) return;
  wr_free(task->memory, message->split.bytes);
  wr_free(task->memory, message);
}

enum wr_step wr_task_handle_messages(struct wr_task *task) {
  struct wr_message *message = wr_mailbox_take(&task->mailbox);
  if (message == NULL) return WR_STEP_NOTHING;
  enum weir_code code = WEIR_OK;
  while (message != NULL) {
    struct wr_message *next = message->next;
    struct wr_task_message *mine = (struct wr_task_message *)message;
    bool running = task->state == WR_TASK_RUNNING || task->state == WR_TASK_DEPLOYING;
    if (mine->kind == WR_TASK_CANCEL || (running && code == WEIR_OK)) {
      enum weir_code handled = handle_message(task, mine);
      if (code == WEIR_OK) code = handled;
    }
    free_message(task, mine);
    message = next;
  }
  return code == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
}

void wr_task_post(struct wr_task *task, struct wr_task_message *message) {
  wr_mailbox_push(&task->mailbox, &message->link);
  task->options.waker->wake(task->options.waker);
}

void wr_task_cancel(struct wr_task *task) {
  task->cancel_message.kind = WR_TASK_CANCEL;
  wr_task_post(task, &task->cancel_message);
}

/* ---- input ---- */

static enum wr_step poll_source(struct wr_task *task, uint64_t *wake_at_ns) {
  struct wr_link *link = &task->links[0];
  if (!task->may_read || task->source_done) return WR_STEP_NOTHING;
  link->output.emitted_in_call = 0;
  enum wr_result result = link->op->vtable->poll(link->op, wake_at_ns);
  if (result == WR_RESULT_WAIT) return WR_STEP_NOTHING;
  if (result == WR_RESULT_DONE) {
    task->source_done = true;
    link->ended_inputs = 1;
    if (wr_chain_end_output(task, 0) != WEIR_OK) return WR_STEP_FAILED;
  }
  return wr_chain_result(task, link, result);
}

static enum wr_step read_gate(struct wr_task *task) {
  struct wr_gate_event event = wr_gate_next(&task->gate);
  struct wr_item item = {.kind = WR_ITEM_BATCH};
  enum weir_code code = WEIR_OK;
  switch (event.kind) {
  case WR_GATE_EMPTY:
    return WR_STEP_NOTHING;
  case WR_GATE_BATCH:
    item.batch = event.batch;
    atomic_fetch_add_explicit(&task->metrics.records_in, event.batch->selected_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&task->metrics.batches_in, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&task->metrics.bytes_in, event.batch->bytes, memory_order_relaxed);
    code = wr_chain_feed(task, item, event.input);
    break;
  case WR_GATE_WATERMARK:
    item = (struct wr_item){.kind = WR_ITEM_WATERMARK, .value = event.watermark_ms};
    atomic_store_explicit(&task->metrics.watermark_ms, event.watermark_ms, memory_order_relaxed);
    code = wr_chain_feed(task, item, 0);
    break;
  case WR_GATE_IDLE:
    item = (struct wr_item){.kind = WR_ITEM_IDLE, .value = event.idle};
    code = wr_chain_feed(task, item, 0);
    break;
  case WR_GATE_END:
    item = (struct wr_item){.kind = WR_ITEM_END};
    code = wr_chain_feed(task, item, event.input);
    break;
  case WR_GATE_SNAPSHOT:
    wr_task_begin_barrier(task, event.id);
    break;
  case WR_GATE_CANCELLED:
    code = wr_task_give_up(task, event.id, WR_ABORT_CANCELLED, NULL);
    break;
  case WR_GATE_NOTHING:
    break;
  }
  return code == WEIR_OK ? WR_STEP_PROGRESS : WR_STEP_FAILED;
}

/* ---- the step ---- */

static bool drain_outputs(struct wr_task *task, bool *out_moved) {
  bool empty = true;
  for (uint32_t i = 0; i < task->link_count; i++)
    if (!wr_output_drain(&task->links[i].output, out_moved)) empty = false;
  return empty;
}

/* Sinks, committers and timers look after themselves. Not those that have flushed for the barrier at hand: what they
 * took up or sent now would be in no snapshot. */
static enum wr_step poll_operators(struct wr_task *task, uint64_t *wake_at_ns) {
  enum wr_step result = WR_STEP_NOTHING;
  uint32_t first = task->has_gate ? 0 : 1;
  if (task->barrier_stage == WR_BARRIER_FLUSH && task->barrier_link > first) first = task->barrier_link;
  for (uint32_t i = first; i < task->link_count; i++) {
    struct wr_link *link = &task->links[i];
    if (link->op->vtable->poll == NULL) continue;
    enum wr_result polled = link->op->vtable->poll(link->op, wake_at_ns);
    if (polled == WR_RESULT_ERROR) {
      task->error = link->context.error;
      return WR_STEP_FAILED;
    }
    if (polled == WR_RESULT_OK || polled == WR_RESULT_MORE) result = WR_STEP_PROGRESS;
  }
  return result;
}

static enum weir_code report(struct wr_task *task) {
  struct wr_link *tail = &task->links[task->link_count - 1];
  if (!task->settled && tail->op->vtable->is_settled != NULL && tail->op->vtable->is_settled(tail->op)) {
    task->settled = true;
    WR_TRY(send_plain(task, WR_EVENT_SETTLED));
  }
  if (task->completed_id != 0 && tail->context.sink != NULL && tail->op->vtable->is_settled != NULL &&
      tail->op->vtable->is_settled(tail->op) &&
      atomic_load_explicit(&tail->context.sink->settled_id, memory_order_relaxed) != task->completed_id) {
    atomic_store_explicit(&tail->context.sink->settled_id, task->completed_id, memory_order_release);
    task->options.job_waker->wake(task->options.job_waker);
  }
  if (!task->ended && tail->output_ended && wr_chain_is_empty(task)) {
    task->ended = true;
    WR_TRY(send_plain(task, WR_EVENT_ENDED));
  }
  return WEIR_OK;
}

/* Batches that are half built leave when there is no more input, or when their time is up. */
static enum wr_step flush_partial(struct wr_task *task, bool out_of_input, uint64_t now_ns, uint64_t *wake_at_ns) {
  bool partial = false;
  for (uint32_t i = 0; i < task->link_count; i++)
    partial = partial || wr_output_has_partial(&task->links[i].output);
  if (!partial) {
    task->partial_since_ns = 0;
    return WR_STEP_NOTHING;
  }
  if (task->partial_since_ns == 0) task->partial_since_ns = now_ns;
  if (!out_of_input && now_ns - task->partial_since_ns < PARTIAL_BATCH_NS) {
    uint64_t due_ns = task->partial_since_ns + PARTIAL_BATCH_NS;
    if (due_ns < *wake_at_ns) *wake_at_ns = due_ns;
    return WR_STEP_NOTHING;
  }
  task->partial_since_ns = 0;
  for (uint32_t i = 0; i < task->link_count; i++)
    if (wr_output_flush(&task->links[i].output, &task->error) != WEIR_OK) return WR_STEP_FAILED;
  return WR_STEP_PROGRESS;
}

/* New input, `units` batches at most, as far as nothing stands in the way. */
static enum wr_step input_step(struct wr_task *task, uint32_t units, uint64_t now_ns, uint64_t *wake_at_ns) {
  enum wr_step result = WR_STEP_NOTHING;
  bool moved = false;
  for (uint32_t unit = 0; unit < units; unit++) {
    if (!drain_outputs(task, &moved)) return moved ? WR_STEP_PROGRESS : WR_STEP_BLOCKED;
    enum wr_step step = task->barrier_stage != WR_BARRIER_NONE ? wr_task_barrier_step(task, wake_at_ns)
                                                               : wr_chain_run(task, wake_at_ns);
    if (step == WR_STEP_NOTHING) step = task->has_gate ? read_gate(task) : poll_source(task, wake_at_ns);
    if (step == WR_STEP_BLOCKED) {
      if (flush_partial(task, false, now_ns, wake_at_ns) == WR_STEP_FAILED) return WR_STEP_FAILED;
      return result == WR_STEP_PROGRESS ? WR_STEP_PROGRESS : WR_STEP_BLOCKED;
    }
    if (step == WR_STEP_FAILED) return step;
    if (step == WR_STEP_NOTHING) {
      step = flush_partial(task, true, now_ns, wake_at_ns);
      if (step == WR_STEP_NOTHING) return result;
    }
    if (step == WR_STEP_FAILED) return step;
    result = WR_STEP_PROGRESS;
  }
  enum wr_step flushed = flush_partial(task, false, now_ns, wake_at_ns);
  return flushed == WR_STEP_FAILED ? flushed : result;
}

static void measure_alignment(struct wr_task *task, uint64_t now_ns) {
  if (!task->has_gate) return;
  bool aligning = wr_gate_is_aligning(&task->gate);
  if (aligning && task->alignment_started_ns == 0) task->alignment_started_ns = now_ns;
  if (!aligning && task->alignment_started_ns != 0) {
    atomic_fetch_add_explicit(&task->metrics.alignment_ns, now_ns - task->alignment_started_ns, memory_order_relaxed);
    task->alignment_started_ns = 0;
  }
}

static enum wr_step run_step(struct wr_task *task, uint64_t now_ns, uint64_t *wake_at_ns) {
  enum wr_step polled = poll_operators(task, wake_at_ns);
  if (polled == WR_STEP_FAILED) return polled;
  enum wr_step snapshot = wr_task_snapshot_step(task, now_ns, wake_at_ns);
  if (snapshot == WR_STEP_FAILED) return snapshot;
  /* The longer the slices take, the more rows change before they are written, and have to be copied. */
  uint32_t units = snapshot == WR_STEP_PROGRESS ? UNITS_BETWEEN_SLICES : UNITS_PER_STEP;
  enum wr_step input = input_step(task, units, now_ns, wake_at_ns);
  if (input == WR_STEP_FAILED) return input;
  bool moved = false;
  bool drained = drain_outputs(task, &moved);
  measure_alignment(task, now_ns);
  if (drained && report(task) != WEIR_OK) return WR_STEP_FAILED;
  if (polled == WR_STEP_PROGRESS || snapshot == WR_STEP_PROGRESS || input == WR_STEP_PROGRESS || moved)
    return WR_STEP_PROGRESS;
  return drained ? WR_STEP_NOTHING : WR_STEP_BLOCKED;
}

static bool is_quiet(struct wr_task *task) {
  if (!wr_call_is_idle(&task->restore_call) && !wr_call_take_done(&task->restore_call)) return false;
  if (!wr_task_uploads_idle(task)) return false;
  for (uint32_t i = 0; i < task->link_count; i++) {
    struct wr_operator *op = task->links[i].op;
    if (op->vtable->is_idle != NULL && !op->vtable->is_idle(op)) return false;
  }
  return true;
}

static void begin_step(struct wr_task *task, uint64_t now_ns) {
  struct wr_clock *clock = task->options.seams->clock;
  int64_t now_ms = clock->wall_ms(clock);
  for (uint32_t i = 0; i < task->link_count; i++) {
    task->links[i].context.now_ns = now_ns;
    task->links[i].context.now_ms = now_ms;
  }
}

static void measure_state(struct wr_task *task) {
  uint64_t rows = 0, bytes = 0;
  for (uint32_t i = 0; i < task->link_count; i++) {
    const struct wr_backend *backend = task->links[i].backend;
    if (backend == NULL) continue;
    rows += wr_backend_row_count(backend);
    bytes += wr_backend_bytes(backend);
  }
  atomic_store_explicit(&task->metrics.state_rows, rows, memory_order_relaxed);
  atomic_store_explicit(&task->metrics.state_bytes, bytes, memory_order_relaxed);
}

static void measure_step(struct wr_task *task, enum wr_step step, uint64_t now_ns) {
  struct wr_clock *clock = task->options.seams->clock;
  _Atomic uint64_t *counter = step == WR_STEP_PROGRESS  ? &task->metrics.busy_ns
                              : step == WR_STEP_BLOCKED ? &task->metrics.back_pressured_ns
                                                        : &task->metrics.idle_ns;
  atomic_fetch_add_explicit(counter, clock->monotonic_ns(clock) - now_ns, memory_order_relaxed);
  if (step == WR_STEP_PROGRESS && task->state == WR_TASK_RUNNING) measure_state(task);
}

static enum wr_progress task_step(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct wr_task *task = (struct wr_task *)steppable;
  begin_step(task, now_ns);
  enum wr_step messages = wr_task_handle_messages(task);
  if (messages == WR_STEP_FAILED) {
    fail(task);
    return WR_PROGRESS_MADE;
  }
  enum wr_step step = WR_STEP_NOTHING;
  switch (task->state) {
  case WR_TASK_DEPLOYING:
    step = deploy_step(task);
    break;
  case WR_TASK_RUNNING:
    step = run_step(task, now_ns, wake_at_ns);
    break;
  case WR_TASK_FAILED:
    break;
  case WR_TASK_STOPPING:
    return is_quiet(task) ? WR_PROGRESS_DONE : WR_PROGRESS_NONE;
  }
  if (step == WR_STEP_FAILED) {
    fail(task);
    return WR_PROGRESS_MADE;
  }
  measure_step(task, step, now_ns);
  return step == WR_STEP_PROGRESS || messages == WR_STEP_PROGRESS ? WR_PROGRESS_MADE : WR_PROGRESS_NONE;
}

/* ---- making and freeing ---- */

static void fill_context(struct wr_task *task, struct wr_link *link) {
  const struct wr_task_options *options = &task->options;
  const struct wr_node *node = link->definition;
  link->context = (struct wr_operator_context){
      .seams = options->seams,
      .memory = task->memory,
      .store = options->store,
      .waker = options->waker,
      .output = &link->output,
      .metrics = &task->metrics,
      .sink = options->sinks == NULL ? NULL : options->sinks[link->node],
      .target = options->targets == NULL ? NULL : options->targets[link->node],
      .marker_checkpoint_id = options->marker_checkpoint_ids == NULL ? 0 : options->marker_checkpoint_ids[link->node],
      .backend = link->backend,
      .uid = node->uid,
      .input_schema = node->input_count == 0 ? NULL : node->input_schemas[0],
      .output_schema = node->port_count == 0 ? NULL : node->port_schemas[0],
      .key = node->key,
      .subtask = options->subtask,
      .parallelism = options->vertex->parallelism,
      .max_parallelism = options->max_parallelism,
      .mode = options->mode,
      .bounded = options->bounded,
      .triggered_checkpoint_id = options->triggered_id,
      .watermark_ms = INT64_MIN,
  };
}

static enum weir_code make_link(struct wr_task *task, uint32_t index, struct weir_error *error) {
  const struct wr_task_options *options = &task->options;
  struct wr_link *link = &task->links[index];
  link->node = options->vertex->nodes[index];
  link->definition = &options->graph->nodes[link->node];
  wr_item_queue_init(&link->pending, task->memory);
  if (link->definition->key.count != 0) {
    struct wr_backend_options backend = {
        .memory = task->memory,
        .range = wr_key_group_range_of(options->subtask, options->vertex->parallelism, options->max_parallelism),
        .max_parallelism = options->max_parallelism,
        .index_seed = options->index_seed,
        .wait_one_in = options->state_wait_one_in,
        .wait_seed = options->index_seed + options->task_index};
    WR_TRY(wr_backend_new(&backend, &link->backend, error));
  }
  uint32_t edges = 0;
  for (uint32_t e = 0; e < options->graph->edge_count; e++) {
    const struct wr_edge *edge = &options->graph->edges[e];
    bool inside = index + 1 < task->link_count && edge->to_node == options->vertex->nodes[index + 1];
    edges += edge->from_node == link->node && !inside;
  }
  struct wr_item_queue *chained = index + 1 < task->link_count ? &task->links[index + 1].pending : NULL;
  WR_TRY(wr_output_init(&link->output, task->memory, &task->metrics, chained, edges, error));
  fill_context(task, link);
  WR_TRY(link->definition->new_operator(link->definition->config, &link->context, &link->op, error));
  return link->op->vtable->open == NULL ? WEIR_OK : link->op->vtable->open(link->op, error);
}

static enum weir_code make_task(struct wr_task *task, const struct wr_task_wiring *wiring, struct weir_error *error) {
  const struct wr_task_options *options = &task->options;
  uint32_t count = options->vertex->node_count;
  task->links = wr_alloc_zeroed(task->memory, count, sizeof *task->links, WR_MEMORY_ENGINE);
  if (task->links == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a task of %u operators", count);
  task->link_count = count;
  const struct wr_node *head = &options->graph->nodes[options->vertex->nodes[0]];
  const struct wr_node *tail = &options->graph->nodes[options->vertex->nodes[count - 1]];
  if (count == 1)
    snprintf(task->name, sizeof task->name, "%s[%u]", head->uid, options->subtask);
  else
    snprintf(task->name, sizeof task->name, "%.60s..%.60s[%u]", head->uid, tail->uid, options->subtask);
  task->steppable.name = task->name;
  task->head_input_count = head->input_count;
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(make_link(task, i, error));
  if (head->input_count == 0) return WEIR_OK;
  task->has_gate = true;
  return wr_gate_init(&task->gate, task->memory, options->mode, wiring->input_count, wiring->inputs,
                      wiring->input_numbers, wiring->always_aligned, options->last_checkpoint_id, error);
}

enum weir_code wr_task_new(const struct wr_task_options *options, const struct wr_task_wiring *wiring,
                           struct wr_task **out_task, struct weir_error *error) {
  struct wr_memory *memory = options->seams->memory;
  struct wr_task *task = wr_alloc_zeroed(memory, 1, sizeof *task, WR_MEMORY_ENGINE);
  if (task == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a task");
  task->options = *options;
  task->memory = memory;
  task->steppable.step = task_step;
  task->steppable.owner = options->job_waker;
  task->last_barrier_id = task->last_aborted_id = options->last_checkpoint_id;
  task->metrics.watermark_ms = INT64_MIN;
  enum weir_code code = make_task(task, wiring, error);
  if (code != WEIR_OK) {
    wr_task_free(task);
    return code;
  }
  *out_task = task;
  return WEIR_OK;
}

enum weir_code wr_task_set_edge(struct wr_task *task, const struct wr_edge *edge, struct wr_channel *const *channels,
                                uint32_t count, struct weir_error *error) {
  for (uint32_t i = 0; i < task->link_count; i++) {
    struct wr_link *link = &task->links[i];
    if (link->node != edge->from_node) continue;
    return wr_output_set_edge(&link->output, link->edges_set++, edge, link->definition->port_schemas[edge->from_port],
                              channels, count, task->options.max_parallelism, error);
  }
  return WR_FAIL(error, WEIR_INTERNAL, "edge from node %u does not leave %s", edge->from_node, task->name);
}

struct wr_steppable *wr_task_steppable(struct wr_task *task) {
  return &task->steppable;
}

void wr_task_free(struct wr_task *task) {
  if (task == NULL) return;
  struct wr_message *message = wr_mailbox_take(&task->mailbox);
  while (message != NULL) {
    struct wr_message *next = message->next;
    free_message(task, (struct wr_task_message *)message);
    message = next;
  }
  if (task->links != NULL) wr_task_snapshot_deinit(task);
  for (uint32_t i = task->link_count; i-- > 0;) {
    struct wr_link *link = &task->links[i];
    if (link->op != NULL) link->op->vtable->free(link->op);
    wr_backend_free(link->backend);
    wr_item_queue_deinit(&link->pending);
    wr_output_deinit(&link->output);
  }
  wr_gate_deinit(&task->gate);
  wr_free(task->memory, task->links);
  wr_free(task->memory, task);
}

const struct wr_task_metrics *wr_task_metrics(const struct wr_task *task) {
  return &task->metrics;
}

const char *wr_task_name(const struct wr_task *task) {
  return task->name;
}
