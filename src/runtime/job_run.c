/* runtime/job_run.c: the master deploys an attempt and looks after its sources. */
#include "runtime/job_int.h"

#include "base/limits.h"

/* ---- shared things of sinks ---- */

static enum weir_code make_sink_tables(struct wr_job *job) {
  uint32_t nodes = job->graph->node_count;
  job->sinks = wr_alloc_zeroed(job->memory, nodes, sizeof *job->sinks, WR_MEMORY_SINK);
  job->targets = wr_alloc_zeroed(job->memory, nodes, sizeof *job->targets, WR_MEMORY_SINK);
  job->marker_ids = wr_alloc_zeroed(job->memory, nodes, sizeof *job->marker_ids, WR_MEMORY_SINK);
  if (job->sinks == NULL || job->targets == NULL || job->marker_ids == NULL)
    return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for the sinks");
  job->committer_count = 0;
  for (uint32_t s = 0; s < job->recovery.sink_count; s++) {
    const struct wr_recovery_sink *sink = &job->recovery.sinks[s];
    struct wr_sink_shared *shared = wr_alloc_zeroed(job->memory, 1, sizeof *shared, WR_MEMORY_SINK);
    if (shared == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for the sinks");
    job->committer_count++;
    job->sinks[sink->node] = shared;
    job->targets[sink->node] = sink->target;
    job->marker_ids[sink->node] = sink->marker_checkpoint_id;
    for (uint32_t e = 0; e < job->graph->edge_count; e++) /* the writer that feeds it has the same */
      if (job->graph->edges[e].to_node == sink->node) job->sinks[job->graph->edges[e].from_node] = shared;
  }
  return WEIR_OK;
}

static void free_sink_tables(struct wr_job *job) {
  for (uint32_t n = 0; job->sinks != NULL && n < job->graph->node_count; n++)
    if (job->sinks[n] != NULL && job->graph->nodes[n].new_target != NULL) wr_free(job->memory, job->sinks[n]);
  wr_free(job->memory, job->sinks);
  wr_free(job->memory, job->targets);
  wr_free(job->memory, job->marker_ids);
  job->sinks = NULL;
  job->targets = NULL;
  job->marker_ids = NULL;
}

bool wr_job_is_settled_up_to(const struct wr_job *job, uint64_t id) {
  for (uint32_t n = 0; n < job->graph->node_count; n++)
    if (job->sinks[n] != NULL && atomic_load_explicit(&job->sinks[n]->settled_id, memory_order_acquire) < id)
      return false;
  return true;
}

uint64_t wr_job_waiting_epochs(const struct wr_job *job) {
  uint64_t waiting = 0;
  for (uint32_t n = 0; job->sinks != NULL && n < job->graph->node_count; n++)
    if (job->sinks[n] != NULL && job->graph->nodes[n].new_target != NULL)
      waiting += atomic_load_explicit(&job->sinks[n]->waiting_epochs, memory_order_relaxed);
  return waiting;
}

/* ---- sources ---- */

static uint32_t first_task_of(const struct wr_job *job, uint32_t node, uint32_t *out_parallelism) {
  uint32_t first = 0;
  for (uint32_t v = 0; v < job->plan.vertex_count; v++) {
    *out_parallelism = job->plan.vertices[v].parallelism;
    if (job->plan.vertices[v].nodes[0] == node) return first;
    first += job->plan.vertices[v].parallelism;
  }
  WR_ASSERT(false);
  return 0;
}

/* The union of what all subtasks had stored, as views. */
static enum weir_code restored_splits(struct wr_job *job, const char *uid, struct wr_split **out_splits,
                                      uint32_t *out_count) {
  *out_splits = NULL;
  *out_count = 0;
  const struct wr_operator_state *state =
      job->recovery.has_restored ? wr_metadata_find(&job->recovery.restored, uid) : NULL;
  uint32_t count = 0;
  for (uint32_t i = 0; state != NULL && i < state->subtask_count; i++)
    count += state->subtasks[i].split_count;
  if (count == 0) return WEIR_OK;
  struct wr_split *splits = wr_alloc_zeroed(job->memory, count, sizeof *splits, WR_MEMORY_SOURCE);
  if (splits == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for %u splits", count);
  for (uint32_t i = 0; i < state->subtask_count; i++)
    for (uint32_t k = 0; k < state->subtasks[i].split_count; k++) {
      const struct wr_handle *handle = &state->subtasks[i].splits[k];
      splits[(*out_count)++] = (struct wr_split){.bytes = handle->inline_bytes, .length = handle->length};
    }
  *out_splits = splits;
  return WEIR_OK;
}

/* A source that the restored checkpoint does not know has still to look at what there is. */
static bool stops_are_fixed(const struct wr_job *job, const char *uid) {
  const struct wr_recovery *recovery = &job->recovery;
  return job->options.bounded && recovery->has_restored && recovery->restored.bounded &&
         wr_metadata_find(&recovery->restored, uid) != NULL;
}

static enum weir_code make_source(struct wr_job *job, uint32_t node, struct wr_source_state *source) {
  const struct wr_node *definition = &job->graph->nodes[node];
  source->node = node;
  source->first_task = first_task_of(job, node, &source->parallelism);
  source->context = (struct wr_enumerator_context){.seams = job->seams,
                                                   .memory = job->memory,
                                                   .waker = job->waker,
                                                   .uid = definition->uid,
                                                   .bounded = job->options.bounded,
                                                   .stops_are_fixed = stops_are_fixed(job, definition->uid)};
  source->split_counts =
      wr_alloc_zeroed(job->memory, source->parallelism, sizeof *source->split_counts, WR_MEMORY_SOURCE);
  if (source->split_counts == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for a source");
  struct wr_split *splits = NULL;
  uint32_t count = 0;
  WR_TRY(restored_splits(job, definition->uid, &splits, &count));
  enum weir_code code =
      definition->new_enumerator(definition->config, &source->context, splits, count, &source->enumerator, &job->error);
  wr_free(job->memory, splits);
  return code;
}

static enum weir_code make_sources(struct wr_job *job) {
  job->sources = wr_alloc_zeroed(job->memory, job->graph->node_count, sizeof *job->sources, WR_MEMORY_SOURCE);
  if (job->sources == NULL) return WR_FAIL(&job->error, WEIR_NO_MEMORY, "out of memory for the sources");
  for (uint32_t n = 0; n < job->graph->node_count; n++)
    if (job->graph->nodes[n].kind == WR_NODE_SOURCE) WR_TRY(make_source(job, n, &job->sources[job->source_count++]));
  return WEIR_OK;
}

static enum weir_code assign(struct wr_job *job, struct wr_source_state *source, struct wr_split *split) {
  uint32_t chosen = 0;
  for (uint32_t i = 1; i < source->parallelism; i++)
    if (source->split_counts[i] < source->split_counts[chosen]) chosen = i;
  source->split_counts[chosen]++;
  enum weir_code code =
      wr_attempt_post(&job->attempt, source->first_task + chosen, WR_TASK_ADD_SPLIT, 0, split, &job->error);
  wr_free(job->memory, split->bytes);
  return code;
}

enum weir_code wr_job_step_sources(struct wr_job *job, uint64_t now_ns, uint64_t *wake_at_ns, bool *out_progress) {
  for (uint32_t i = 0; i < job->source_count; i++) {
    struct wr_source_state *source = &job->sources[i];
    struct wr_enumerator *enumerator = source->enumerator;
    WR_TRY(enumerator->vtable->step(enumerator, now_ns, wake_at_ns, &job->error));
    struct wr_split split;
    while (enumerator->vtable->take_split(enumerator, &split)) {
      *out_progress = true;
      WR_TRY(assign(job, source, &split));
    }
    if (source->exhausted || !enumerator->vtable->is_ready(enumerator) || !enumerator->vtable->is_exhausted(enumerator))
      continue;
    source->exhausted = true;
    for (uint32_t k = 0; k < source->parallelism; k++)
      WR_TRY(wr_attempt_post(&job->attempt, source->first_task + k, WR_TASK_NO_MORE_SPLITS, 0, NULL, &job->error));
  }
  return WEIR_OK;
}

bool wr_job_sources_ready(const struct wr_job *job) {
  for (uint32_t i = 0; i < job->source_count; i++)
    if (!job->sources[i].enumerator->vtable->is_ready(job->sources[i].enumerator)) return false;
  return true;
}

bool wr_job_splits_arrived(const struct wr_job *job) {
  for (uint32_t i = 0; i < job->source_count; i++)
    for (uint32_t k = 0; k < job->sources[i].parallelism; k++) {
      const struct wr_task *task = job->attempt.tasks[job->sources[i].first_task + k];
      uint64_t arrived = atomic_load_explicit(&wr_task_metrics(task)->splits, memory_order_acquire);
      if (arrived < job->sources[i].split_counts[k]) return false;
    }
  return true;
}

bool wr_job_sources_idle(const struct wr_job *job) {
  for (uint32_t i = 0; i < job->source_count; i++) {
    struct wr_enumerator *enumerator = job->sources[i].enumerator;
    if (enumerator != NULL && enumerator->vtable->is_idle != NULL && !enumerator->vtable->is_idle(enumerator))
      return false;
  }
  return true;
}

/* ---- the attempt ---- */

static enum weir_code make_coordinator(struct wr_job *job) {
  struct wr_coordinator_options options = {.interval_ns = job->options.checkpoint_interval_ms * 1000000u,
                                           .min_pause_ns = job->options.checkpoint_min_pause_ms * 1000000u,
                                           .timeout_ns = job->options.checkpoint_timeout_ms * 1000000u,
                                           .retained = job->options.checkpoints_retained,
                                           .max_in_flight = 1,
                                           .task_count = job->plan.task_count,
                                           .attempt = job->store.start_number,
                                           .next_id =
                                               job->recovery.identity.checkpoint_id_limit - WR_CHECKPOINT_ID_BLOCK,
                                           .id_limit = job->recovery.identity.checkpoint_id_limit};
  job->retained_count = 0;
  uint32_t skip =
      job->recovery.retained_count > WR_RETAINED_MAX / 2 ? job->recovery.retained_count - WR_RETAINED_MAX / 2 : 0;
  for (uint32_t i = skip; i < job->recovery.retained_count; i++)
    job->retained[job->retained_count++] = job->recovery.retained[i];
  return wr_coordinator_new(job->memory, &options, job->retained, job->retained_count, &job->coordinator, &job->error);
}

enum weir_code wr_job_deploy(struct wr_job *job) {
  const struct wr_recovery *recovery = &job->recovery;
  job->max_parallelism = recovery->has_restored              ? recovery->restored.max_parallelism
                         : job->options.max_parallelism != 0 ? job->options.max_parallelism
                                                             : WR_KEY_GROUPS_DEFAULT;
  for (uint32_t v = 0; v < job->plan.vertex_count; v++)
    if (job->plan.vertices[v].parallelism > job->max_parallelism)
      return WR_FAIL(&job->error, WEIR_INVALID, "parallelism %u is over the maximum parallelism %u of this job's state",
                     job->plan.vertices[v].parallelism, job->max_parallelism);
  job->needs_first_checkpoint = !recovery->has_restored || recovery->restored.bounded != job->options.bounded;
  job->first_checkpoint_id = 0;
  atomic_store(&job->triggered_id, 0);
  WR_TRY(make_sink_tables(job));
  WR_TRY(make_coordinator(job));
  uint64_t seed = 0;
  job->seams->entropy->fill(job->seams->entropy, &seed, sizeof seed);
  struct wr_attempt_options options = {
      .task = {.max_parallelism = job->max_parallelism,
               .mode = job->options.mode,
               .bounded = job->options.bounded,
               .seams = job->seams,
               .store = &job->store,
               .job_mailbox = &job->mailbox,
               .job_waker = job->waker,
               .restored = recovery->has_restored ? &recovery->restored : NULL,
               .allow_non_restored = job->options.allow_non_restored,
               .last_checkpoint_id = recovery->identity.checkpoint_id_limit - WR_CHECKPOINT_ID_BLOCK - 1,
               .triggered_id = &job->triggered_id,
               .sinks = job->sinks,
               .targets = job->targets,
               .marker_checkpoint_ids = job->marker_ids,
               .index_seed = seed,
               .state_wait_one_in = job->options.state_wait_one_in},
      .host = job->host};
  struct wr_attempt attempt;
  WR_TRY(wr_attempt_init(&attempt, job->memory, job->graph, &job->plan, &options, &job->error));
  wr_job_lock(job);
  job->attempt = attempt;
  job->has_attempt = true;
  wr_job_unlock(job);
  WR_TRY(make_sources(job));
  wr_attempt_attach(&job->attempt, job->host);
  return WEIR_OK;
}

void wr_job_free_attempt(struct wr_job *job) {
  for (uint32_t i = 0; i < job->source_count; i++) {
    struct wr_source_state *source = &job->sources[i];
    if (source->enumerator != NULL) source->enumerator->vtable->free(source->enumerator);
    wr_free(job->memory, source->split_counts);
  }
  wr_free(job->memory, job->sources);
  job->sources = NULL;
  job->source_count = 0;
  wr_job_lock(job);
  struct wr_attempt attempt = job->attempt;
  bool had = job->has_attempt;
  job->attempt = (struct wr_attempt){0};
  job->has_attempt = false;
  wr_job_unlock(job);
  if (had) wr_attempt_deinit(&attempt);
  if (job->coordinator != NULL) wr_coordinator_free(job->memory, job->coordinator);
  job->coordinator = NULL;
  wr_job_drop_checkpoints(job);
  free_sink_tables(job);
  job->deployed_count = job->settled_count = job->ended_count = job->committer_count = 0;
  job->cancel_sent = job->reading = false;
  job->first_due_ns = 0;
}

/* Sums over the tasks; the master's own fields are kept as they go. */
void wr_job_update_status(struct wr_job *job) {
  struct wr_job_status next = job->status;
  next.phase = job->phase;
  next.waiting_epochs = wr_job_waiting_epochs(job);
  next.rows_rejected = atomic_load_explicit(&job->rejected_rows, memory_order_relaxed);
  if (job->has_attempt) {
    next.source_records = next.records_skipped = next.snapshot_stall_max_ns = next.state_rows = next.state_bytes = 0;
    for (uint32_t i = 0; i < job->attempt.task_count; i++) {
      const struct wr_task_metrics *metrics = wr_task_metrics(job->attempt.tasks[i]);
      next.source_records += atomic_load_explicit(&metrics->source_records, memory_order_relaxed);
      next.records_skipped += atomic_load_explicit(&metrics->records_skipped, memory_order_relaxed);
      next.state_rows += atomic_load_explicit(&metrics->state_rows, memory_order_relaxed);
      next.state_bytes += atomic_load_explicit(&metrics->state_bytes, memory_order_relaxed);
      uint64_t stall_ns = atomic_load_explicit(&metrics->snapshot_stall_max_ns, memory_order_relaxed);
      if (stall_ns > next.snapshot_stall_max_ns) next.snapshot_stall_max_ns = stall_ns;
    }
  }
  job->status = next;
  wr_job_lock(job);
  job->shown = next;
  wr_job_unlock(job);
}
