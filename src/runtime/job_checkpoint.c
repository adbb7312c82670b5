/* runtime/job_checkpoint.c: the master's share of a checkpoint: it carries out what the coordinator decides.
 *
 * Acknowledgements are collected per checkpoint; when all have come they become one wr_metadata, which is published in
 * a call. While the job runs one call at a time works on the folder: publish, reserve ids, clean up, the last record.
 */
#include "runtime/job_int.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

static const uint64_t RETRY_NS = 1000000000; /* where there is no interval */

/* ---- what is pending ---- */

static struct wr_pending_checkpoint *find_pending(struct wr_job *job, uint64_t id) {
  for (uint32_t i = 0; i < WR_PENDING_CHECKPOINTS; i++)
    if (job->pending[i].id == id) return &job->pending[i];
  return NULL;
}

static void free_entries(struct wr_job *job, struct wr_ack_entry *entries, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    wr_subtask_state_deinit(job->memory, &entries[i].state);
}

/* The file that only this checkpoint's snapshot wrote: the last of the chain. Without memory the file stays until the
 * next start's clean-up. */
static void drop_file(struct wr_job *job, const struct wr_handle *handle) {
  if (handle->file[0] == 0) return;
  if (job->drop_count == job->drop_capacity) {
    uint32_t capacity = job->drop_capacity == 0 ? 16 : job->drop_capacity * 2;
    struct wr_handle *drop = wr_resize(job->memory, job->drop, capacity * sizeof *drop, WR_MEMORY_ENGINE);
    if (drop == NULL) return;
    job->drop = drop;
    job->drop_capacity = capacity;
  }
  job->drop[job->drop_count] = (struct wr_handle){.offset = 0};
  memcpy(job->drop[job->drop_count++].file, handle->file, sizeof handle->file);
  job->clean_up_due = true;
}

static void discard_entries(struct wr_job *job, struct wr_ack_entry *entries, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (entries[i].state.keyed_count != 0) drop_file(job, &entries[i].state.keyed[entries[i].state.keyed_count - 1]);
  free_entries(job, entries, count);
}

static void end_pending(struct wr_job *job, uint64_t id, bool discard) {
  struct wr_pending_checkpoint *pending = find_pending(job, id);
  if (pending == NULL) return;
  if (discard)
    discard_entries(job, pending->entries, pending->entry_count);
  else
    free_entries(job, pending->entries, pending->entry_count);
  wr_free(job->memory, pending->entries);
  *pending = (struct wr_pending_checkpoint){0};
}

void wr_job_drop_checkpoints(struct wr_job *job) {
  for (uint32_t i = 0; i < WR_PENDING_CHECKPOINTS; i++)
    if (job->pending[i].id != 0) end_pending(job, job->pending[i].id, false);
  wr_free(job->memory, job->drop);
  job->drop = NULL;
  job->drop_count = job->drop_capacity = 0;
  job->clean_up_due = false;
  job->publish_id = job->reserve_to = 0;
  job->retained_count = 0;
}

/* ---- events of tasks ---- */

static enum weir_code keep_entries(struct wr_job *job, struct wr_pending_checkpoint *pending,
                                   struct wr_task_event *event) {
  uint32_t needed = pending->entry_count + event->entry_count;
  if (needed > pending->entry_capacity) {
    uint32_t capacity = needed < 16 ? 16 : needed * 2;
    struct wr_ack_entry *entries =
        wr_resize(job->memory, pending->entries, capacity * sizeof *entries, WR_MEMORY_SNAPSHOT);
    if (entries == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for a checkpoint");
    pending->entries = entries;
    pending->entry_capacity = capacity;
  }
  memcpy(pending->entries + pending->entry_count, event->entries, event->entry_count * sizeof *event->entries);
  pending->entry_count = needed;
  event->entry_count = 0; /* moved */
  return WEIR_OK;
}

static enum weir_code handle_ack(struct wr_job *job, struct wr_task_event *event, uint64_t now_ns) {
  struct wr_pending_checkpoint *pending = find_pending(job, event->id);
  /* Kept before it is counted: the last acknowledgement may ask for the publish at once. */
  if (pending != NULL && event->attempt == job->store.start_number) WR_TRY(keep_entries(job, pending, event));
  enum wr_ack_result result =
      wr_coordinator_acknowledge(job->coordinator, event->attempt, event->id, event->task, now_ns);
  /* What a duplicate names may be in use: only what comes for a checkpoint that is over is removed. */
  if (result == WR_ACK_DUPLICATE)
    free_entries(job, event->entries, event->entry_count);
  else
    discard_entries(job, event->entries, event->entry_count);
  event->entry_count = 0;
  return WEIR_OK;
}

enum weir_code wr_job_handle_event(struct wr_job *job, struct wr_task_event *event, uint64_t now_ns) {
  if (event->attempt != job->store.start_number || job->phase == WR_JOB_TEARDOWN) return WEIR_OK;
  switch (event->kind) {
  case WR_EVENT_DEPLOYED:
    job->deployed_count++;
    return WEIR_OK;
  case WR_EVENT_SETTLED:
    job->settled_count++;
    return WEIR_OK;
  case WR_EVENT_ENDED:
    job->ended_count++;
    return WEIR_OK;
  case WR_EVENT_ACK:
    return handle_ack(job, event, now_ns);
  case WR_EVENT_DECLINE:
    if (event->error.code != WEIR_OK) {
      job->failure = event->error;
      job->failure_id = event->id;
      wr_error_prefix(&job->failure, "%s", wr_task_name(job->attempt.tasks[event->task]));
    }
    wr_coordinator_decline(job->coordinator, event->attempt, event->id, event->task, event->reason, now_ns);
    return WEIR_OK;
  case WR_EVENT_FAILED:
    job->error = event->error;
    return event->error.code;
  }
  return WEIR_OK;
}

/* ---- metadata ---- */

static enum weir_code fill_operator(struct wr_job *job, struct wr_pending_checkpoint *pending, uint32_t node,
                                    struct wr_operator_state *out) {
  uint32_t count = 0;
  out->ended_inputs = UINT32_MAX;
  for (uint32_t i = 0; i < pending->entry_count; i++)
    count += pending->entries[i].node == node;
  out->subtasks = wr_alloc_zeroed(job->memory, count + 1, sizeof *out->subtasks, WR_MEMORY_SNAPSHOT);
  if (out->subtasks == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for a checkpoint");
  out->parallelism = count;
  for (uint32_t i = 0; i < pending->entry_count; i++) {
    struct wr_ack_entry *entry = &pending->entries[i];
    if (entry->node != node) continue;
    out->ended_inputs &= entry->ended_inputs;
    out->subtasks[out->subtask_count++] = entry->state;
    entry->state = (struct wr_subtask_state){0};
  }
  for (uint32_t i = 1; i < out->subtask_count; i++)
    for (uint32_t k = i; k > 0 && out->subtasks[k - 1].subtask > out->subtasks[k].subtask; k--) {
      struct wr_subtask_state swap = out->subtasks[k];
      out->subtasks[k] = out->subtasks[k - 1];
      out->subtasks[k - 1] = swap;
    }
  return WEIR_OK;
}

static void sort_operators(struct wr_metadata *metadata) {
  for (uint32_t i = 1; i < metadata->operator_count; i++)
    for (uint32_t k = i; k > 0 && strcmp(metadata->operators[k - 1].uid, metadata->operators[k].uid) > 0; k--) {
      struct wr_operator_state swap = metadata->operators[k];
      metadata->operators[k] = metadata->operators[k - 1];
      metadata->operators[k - 1] = swap;
    }
}

static void note_file(void *argument, const struct wr_handle *handle) {
  bool *has_files = argument;
  *has_files = *has_files || handle->file[0] != 0;
}

static enum weir_code build_metadata(struct wr_job *job, struct wr_pending_checkpoint *pending) {
  struct wr_metadata *metadata = &job->metadata;
  *metadata = (struct wr_metadata){.start_number = job->store.start_number,
                                   .checkpoint_id = pending->id,
                                   .time_ms = pending->time_ms,
                                   .mode = job->options.mode,
                                   .max_parallelism = job->max_parallelism,
                                   .bounded = job->options.bounded};
  memcpy(metadata->incarnation, job->store.incarnation, WR_INCARNATION_BYTES);
  memcpy(metadata->job_name, job->recovery.identity.job_name, sizeof metadata->job_name);
  metadata->operators =
      wr_alloc_zeroed(job->memory, job->graph->node_count, sizeof *metadata->operators, WR_MEMORY_SNAPSHOT);
  if (metadata->operators == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for a checkpoint");
  for (uint32_t n = 0; n < job->graph->node_count; n++) {
    struct wr_operator_state *state = &metadata->operators[metadata->operator_count++];
    memcpy(state->uid, job->graph->nodes[n].uid, sizeof state->uid);
    WR_TRY(fill_operator(job, pending, n, state));
  }
  sort_operators(metadata);
  job->metadata_has_files = false;
  wr_metadata_each_file(metadata, note_file, &job->metadata_has_files);
  return WEIR_OK;
}

/* ---- the folder's call ---- */

static void run_folder_call(struct wr_call *call) {
  struct wr_job *job = (struct wr_job *)((char *)call - offsetof(struct wr_job, folder_call));
  struct wr_folder *folder = job->recovery.folder;
  job->folder_error.code = WEIR_OK;
  uint32_t removed = 0;
  switch (job->folder_job) {
  case WR_FOLDER_PUBLISH:
    job->folder_outcome =
        wr_folder_publish_checkpoint(folder, &job->metadata, job->metadata_has_files, &job->folder_error);
    break;
  case WR_FOLDER_RESERVE:
  case WR_FOLDER_END:
    job->folder_outcome = wr_folder_publish_identity(folder, &job->next_identity, &job->folder_error);
    break;
  case WR_FOLDER_CLEAN_UP:
    wr_folder_clean_up(folder, &job->cleanup, &removed, &job->folder_error);
    break;
  case WR_FOLDER_IDLE:
    break;
  }
}

static void begin_folder_call(struct wr_job *job, enum wr_folder_job kind) {
  job->folder_job = kind;
  job->folder_call.run = run_folder_call;
  job->folder_call.waker = job->waker;
  wr_call_submit(job->seams->calls, &job->folder_call);
}

bool wr_job_folder_is_idle(struct wr_job *job) {
  return job->folder_job == WR_FOLDER_IDLE;
}

static enum weir_code begin_clean_up(struct wr_job *job) {
  job->clean_up_due = false;
  job->cleanup_retained =
      wr_copy_bytes(job->memory, job->retained, job->retained_count * sizeof job->retained[0], WR_MEMORY_ENGINE);
  if (job->cleanup_retained == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for a clean-up");
  job->cleanup_drop = job->drop;
  job->cleanup_drop_count = job->drop_count;
  job->drop = NULL;
  job->drop_count = job->drop_capacity = 0;
  job->cleanup = (struct wr_folder_cleanup){.retained = job->cleanup_retained,
                                            .retained_count = job->retained_count,
                                            .present_start = job->store.start_number,
                                            .drop = job->cleanup_drop,
                                            .drop_count = job->cleanup_drop_count};
  begin_folder_call(job, WR_FOLDER_CLEAN_UP);
  return WEIR_OK;
}

/* The metadata could not be written: what only this checkpoint's snapshots wrote may go. */
static void discard_metadata(struct wr_job *job) {
  for (uint32_t o = 0; o < job->metadata.operator_count; o++) {
    const struct wr_operator_state *state = &job->metadata.operators[o];
    for (uint32_t i = 0; i < state->subtask_count; i++)
      if (state->subtasks[i].keyed_count != 0)
        drop_file(job, &state->subtasks[i].keyed[state->subtasks[i].keyed_count - 1]);
  }
}

static void finish_publish(struct wr_job *job, uint64_t now_ns) {
  uint64_t id = job->metadata.checkpoint_id;
  if (job->folder_outcome == WR_PUBLISH_FAILED) discard_metadata(job);
  wr_metadata_deinit(job->memory, &job->metadata);
  job->metadata = (struct wr_metadata){0};
  if (job->folder_outcome != WR_PUBLISH_DURABLE) {
    job->failure = job->folder_error;
    job->failure_id = id;
  }
  if (job->coordinator != NULL) wr_coordinator_published(job->coordinator, id, job->folder_outcome, now_ns);
}

static void finish_folder_call(struct wr_job *job, uint64_t now_ns) {
  enum wr_folder_job kind = job->folder_job;
  job->folder_job = WR_FOLDER_IDLE;
  switch (kind) {
  case WR_FOLDER_PUBLISH:
    finish_publish(job, now_ns);
    break;
  case WR_FOLDER_RESERVE:
    if (job->folder_outcome == WR_PUBLISH_DURABLE)
      job->recovery.identity = job->next_identity;
    else
      wr_job_log(job, WR_LOG_WARN, "checkpoint ids could not be reserved: %s", job->folder_error.message);
    if (job->coordinator != NULL)
      wr_coordinator_reserved(job->coordinator, job->recovery.identity.checkpoint_id_limit, now_ns);
    break;
  case WR_FOLDER_CLEAN_UP:
    if (job->folder_error.code != WEIR_OK)
      wr_job_log(job, WR_LOG_WARN, "old files could not be removed: %s", job->folder_error.message);
    wr_free(job->memory, job->cleanup_retained);
    wr_free(job->memory, job->cleanup_drop);
    job->cleanup_retained = NULL;
    job->cleanup_drop = NULL;
    break;
  case WR_FOLDER_END:
    job->folder_marked = true;
    break;
  case WR_FOLDER_IDLE:
    break;
  }
}

void wr_job_mark_end(struct wr_job *job, bool finished) {
  job->next_identity = job->recovery.identity;
  job->next_identity.finished = finished;
  job->next_identity.in_doubt = false;
  job->next_identity.checkpoint_id_limit = wr_coordinator_final_completed(job->coordinator) + 1;
  begin_folder_call(job, WR_FOLDER_END);
}

static enum weir_code begin_publish(struct wr_job *job, uint64_t now_ns) {
  uint64_t id = job->publish_id;
  job->publish_id = 0;
  struct wr_pending_checkpoint *pending = find_pending(job, id);
  WR_ASSERT(pending != NULL);
  enum weir_code code = build_metadata(job, pending);
  if (code == WEIR_OK) {
    begin_folder_call(job, WR_FOLDER_PUBLISH);
    return WEIR_OK;
  }
  wr_metadata_deinit(job->memory, &job->metadata);
  job->metadata = (struct wr_metadata){0};
  wr_coordinator_published(job->coordinator, id, WR_PUBLISH_FAILED, now_ns);
  return code;
}

enum weir_code wr_job_step_folder(struct wr_job *job, uint64_t now_ns, bool *out_progress) {
  bool finished = job->folder_job != WR_FOLDER_IDLE;
  if (finished) {
    if (!wr_call_take_done(&job->folder_call)) return WEIR_OK;
    finish_folder_call(job, now_ns);
    *out_progress = true;
  }
  if (job->folder_job != WR_FOLDER_IDLE || job->phase == WR_JOB_TEARDOWN) return WEIR_OK;
  if (job->publish_id != 0) return begin_publish(job, now_ns);
  if (job->reserve_to != 0) {
    job->next_identity = job->recovery.identity;
    job->next_identity.checkpoint_id_limit = job->reserve_to + WR_CHECKPOINT_ID_BLOCK;
    job->reserve_to = 0;
    begin_folder_call(job, WR_FOLDER_RESERVE);
    return WEIR_OK;
  }
  /* Not in the step that has ended a publish: the coordinator's answer is carried out in the next one, and until then
   * the new checkpoint is not among those that are retained. */
  if (job->clean_up_due && !finished) return begin_clean_up(job);
  return WEIR_OK;
}

/* ---- the coordinator's actions ---- */

static enum weir_code trigger(struct wr_job *job, const struct wr_coordinator_action *action, uint64_t now_ns) {
  struct wr_pending_checkpoint *pending = find_pending(job, 0);
  WR_ASSERT(pending != NULL);
  *pending = (struct wr_pending_checkpoint){
      .id = action->id, .time_ms = job->seams->clock->wall_ms(job->seams->clock), .triggered_ns = now_ns};
  if (job->needs_first_checkpoint && job->first_checkpoint_id == 0) job->first_checkpoint_id = action->id;
  job->first_due_ns = 0;
  /* Before any task can see the barrier: a sink that has stopped reading must read on when one is on its way. */
  atomic_store_explicit(&job->triggered_id, action->id, memory_order_release);
  WR_TRY(wr_attempt_post_all(&job->attempt, true, WR_TASK_TRIGGER, action->id, &job->error));
  for (uint32_t w = 0; w < job->host->worker_count; w++)
    job->host->workers[w].waker->wake(job->host->workers[w].waker);
  return WEIR_OK;
}

static enum weir_code complete(struct wr_job *job, uint64_t id, uint64_t now_ns) {
  struct wr_pending_checkpoint *pending = find_pending(job, id);
  job->status.last_checkpoint_ns = pending == NULL ? 0 : now_ns - pending->triggered_ns;
  job->status.checkpoints_completed++;
  job->status.latest_checkpoint = id;
  end_pending(job, id, false);
  WR_ASSERT(job->retained_count < WR_RETAINED_MAX);
  job->retained[job->retained_count++] = id;
  /* A checkpoint that was begun before the first record was asked for does not count as the first one. */
  if (job->needs_first_checkpoint && job->first_checkpoint_id != 0 && id >= job->first_checkpoint_id)
    job->needs_first_checkpoint = false;
  wr_job_log(job, WR_LOG_DEBUG, "checkpoint %" PRIu64 " completed in %.1f ms", id,
             (double)job->status.last_checkpoint_ns / 1e6);
  return wr_attempt_post_all(&job->attempt, false, WR_TASK_COMPLETE, id, &job->error);
}

static void subsume(struct wr_job *job, uint64_t id) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < job->retained_count; i++)
    if (job->retained[i] != id) job->retained[kept++] = job->retained[i];
  job->retained_count = kept;
  job->clean_up_due = true;
}

static uint64_t retry_ns(const struct wr_job *job) {
  return job->options.checkpoint_interval_ms != 0 ? job->options.checkpoint_interval_ms * 1000000u : RETRY_NS;
}

/* What was said of checkpoint `id` by who made it fail, in brackets; empty: nothing. */
struct cause {
  char text[WEIR_ERROR_MESSAGE_BYTES + 4];
};

static struct cause cause_of(const struct wr_job *job, uint64_t id) {
  struct cause cause = {.text = ""};
  if (job->failure_id == id) snprintf(cause.text, sizeof cause.text, " (%s)", job->failure.message);
  return cause;
}

static enum weir_code abort_checkpoint(struct wr_job *job, const struct wr_coordinator_action *action,
                                       uint64_t now_ns) {
  job->status.checkpoints_failed++;
  if (job->publish_id == action->id) job->publish_id = 0;
  end_pending(job, action->id, true);
  if (job->first_checkpoint_id == action->id) {
    job->first_checkpoint_id = 0;
    job->first_due_ns = now_ns + retry_ns(job); /* not at once: what failed may fail for long */
  }
  wr_job_log(job, WR_LOG_WARN, "checkpoint %" PRIu64 " failed: %s%s; the job goes on", action->id,
             wr_abort_reason_text(action->abort_reason), cause_of(job, action->id).text);
  return wr_attempt_post_all(&job->attempt, false, WR_TASK_ABORT, action->id, &job->error);
}

static enum weir_code carry_out(struct wr_job *job, const struct wr_coordinator_action *action, uint64_t now_ns) {
  switch (action->kind) {
  case WR_COORDINATOR_TRIGGER:
    return trigger(job, action, now_ns);
  case WR_COORDINATOR_PUBLISH:
    job->publish_id = action->id;
    return WEIR_OK;
  case WR_COORDINATOR_COMPLETE:
    return complete(job, action->id, now_ns);
  case WR_COORDINATOR_SUBSUME:
    subsume(job, action->id);
    return WEIR_OK;
  case WR_COORDINATOR_ABORT:
    return abort_checkpoint(job, action, now_ns);
  case WR_COORDINATOR_RESERVE_IDS:
    job->reserve_to = action->id;
    return WEIR_OK;
  case WR_COORDINATOR_RESTART:
    return WR_FAIL(&job->error, WEIR_IO,
                   "it is not known whether checkpoint %" PRIu64 " is durable%s; recovery decides by what is on disk",
                   action->id, cause_of(job, action->id).text);
  case WR_COORDINATOR_WARN_FAILING:
    wr_job_log(job, WR_LOG_ERROR, "%u checkpoints in a row have failed, the last one by: %s%s",
               wr_coordinator_failures_in_a_row(job->coordinator), wr_abort_reason_text(action->abort_reason),
               cause_of(job, action->id).text);
    return WEIR_OK;
  }
  return WEIR_OK;
}

enum weir_code wr_job_step_checkpoints(struct wr_job *job, uint64_t now_ns, uint64_t *wake_at_ns, bool *out_progress) {
  bool backlog = false;
  for (uint32_t n = 0; n < job->graph->node_count; n++)
    if (job->sinks[n] != NULL && atomic_load_explicit(&job->sinks[n]->over_limit, memory_order_relaxed)) backlog = true;
  wr_coordinator_set_backlog(job->coordinator, backlog);
  if (atomic_exchange_explicit(&job->checkpoint_requested, false, memory_order_relaxed))
    wr_coordinator_request(job->coordinator, WR_CHECKPOINT_REQUESTED);
  if (job->first_due_ns != 0 && now_ns >= job->first_due_ns) {
    job->first_due_ns = 0;
    wr_coordinator_request(job->coordinator, WR_CHECKPOINT_REQUESTED);
  }
  wr_coordinator_tick(job->coordinator, now_ns);
  struct wr_coordinator_action action;
  while (wr_coordinator_next_action(job->coordinator, &action)) {
    *out_progress = true;
    WR_TRY(carry_out(job, &action, now_ns));
  }
  uint64_t due_ns = wr_coordinator_wake_at(job->coordinator);
  if (job->first_due_ns != 0 && job->first_due_ns < due_ns) due_ns = job->first_due_ns;
  if (due_ns < *wake_at_ns) *wake_at_ns = due_ns;
  return WEIR_OK;
}
