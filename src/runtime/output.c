/* runtime/output.c: exchanges and outboxes. See output.h. */
#include "runtime/output.h"

#include "base/limits.h"

enum { HIGH_WATER_ITEMS = 4 }; /* what an operator may pile up in one queue before it is asked to return MORE */

enum weir_code wr_output_init(struct wr_output *output, struct wr_memory *memory, struct wr_task_metrics *metrics,
                              struct wr_item_queue *chained, uint32_t edge_count, struct weir_error *error) {
  *output = (struct wr_output){.memory = memory, .chained = chained, .metrics = metrics, .watermark_ms = INT64_MIN};
  wr_bytes_init(&output->key_scratch, memory, WR_MEMORY_ENGINE);
  if (edge_count == 0) return WEIR_OK;
  output->edges = wr_alloc_zeroed(memory, edge_count, sizeof *output->edges, WR_MEMORY_ENGINE);
  if (output->edges == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u edges", edge_count);
  output->edge_count = edge_count;
  return WEIR_OK;
}

static enum weir_code init_hash_edge(struct wr_output *output, struct wr_output_edge *edge, struct weir_error *error) {
  edge->group_targets = wr_alloc(output->memory, edge->max_parallelism * sizeof(uint16_t), WR_MEMORY_ENGINE);
  if (output->hashes == NULL)
    output->hashes = wr_alloc(output->memory, WR_BATCH_ROWS_MAX * sizeof(uint64_t), WR_MEMORY_ENGINE);
  bool missing = edge->group_targets == NULL || output->hashes == NULL;
  for (uint32_t i = 0; i < edge->target_count; i++) {
    struct wr_output_target *target = &edge->targets[i];
    wr_batch_builder_init(&target->builder, output->memory, edge->schema, true);
    target->rows = wr_alloc(output->memory, WR_BATCH_ROWS_MAX * sizeof(uint16_t), WR_MEMORY_ENGINE);
    missing = missing || target->rows == NULL;
  }
  if (missing) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a hash exchange");
  for (uint32_t group = 0; group < edge->max_parallelism; group++)
    edge->group_targets[group] = (uint16_t)wr_key_group_subtask(group, edge->target_count, edge->max_parallelism);
  return WEIR_OK;
}

enum weir_code wr_output_set_edge(struct wr_output *output, uint32_t index, const struct wr_edge *edge,
                                  const struct weir_schema *schema, struct wr_channel *const *channels, uint32_t count,
                                  uint32_t max_parallelism, struct weir_error *error) {
  WR_ASSERT(index < output->edge_count && count > 0);
  struct wr_output_edge *to = &output->edges[index];
  to->edge = edge;
  to->schema = schema;
  to->max_parallelism = max_parallelism;
  to->targets = wr_alloc_zeroed(output->memory, count, sizeof *to->targets, WR_MEMORY_ENGINE);
  if (to->targets == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u channels", count);
  to->target_count = count;
  for (uint32_t i = 0; i < count; i++) {
    to->targets[i].channel = channels[i];
    wr_item_queue_init(&to->targets[i].outbox, output->memory);
  }
  return edge->exchange == WR_EXCHANGE_HASH && count > 1 ? init_hash_edge(output, to, error) : WEIR_OK;
}

void wr_output_deinit(struct wr_output *output) {
  for (uint32_t e = 0; e < output->edge_count; e++) {
    struct wr_output_edge *edge = &output->edges[e];
    for (uint32_t i = 0; i < edge->target_count; i++) {
      wr_item_queue_deinit(&edge->targets[i].outbox);
      if (edge->targets[i].builder.memory != NULL) wr_batch_builder_deinit(&edge->targets[i].builder);
      wr_free(output->memory, edge->targets[i].rows);
    }
    wr_free(output->memory, edge->targets);
    wr_free(output->memory, edge->group_targets);
  }
  if (output->memory == NULL) return;
  wr_free(output->memory, output->edges);
  wr_free(output->memory, output->hashes);
  wr_bytes_deinit(&output->key_scratch);
  *output = (struct wr_output){0};
}

static enum weir_code put_batch(struct wr_output_target *target, struct wr_batch *batch, struct weir_error *error) {
  return wr_item_queue_push(&target->outbox, (struct wr_item){.kind = WR_ITEM_BATCH, .batch = batch}, 0, error);
}

static enum weir_code flush_target(struct wr_output_target *target, struct weir_error *error) {
  if (target->rows == NULL || wr_batch_builder_rows(&target->builder) == 0) return WEIR_OK;
  return put_batch(target, wr_batch_builder_take(&target->builder), error);
}

/* Appends the target's chosen rows of `batch`, in as many batches as it takes. */
static enum weir_code gather_rows(struct wr_output_target *target, const struct wr_batch *batch,
                                  struct weir_error *error) {
  uint32_t done = 0;
  while (done < target->row_count) {
    uint32_t room = target->builder.capacity_rows - wr_batch_builder_rows(&target->builder);
    uint32_t count = target->row_count - done < room ? target->row_count - done : room;
    WR_TRY(wr_batch_builder_gather(&target->builder, batch, target->rows + done, count, error));
    done += count;
    if (wr_batch_builder_is_full(&target->builder)) WR_TRY(flush_target(target, error));
  }
  return WEIR_OK;
}

static enum weir_code emit_hash(struct wr_output *output, struct wr_output_edge *edge, const struct wr_batch *batch,
                                struct weir_error *error) {
  WR_TRY(wr_key_hashes(batch, &edge->edge->key, &output->key_scratch, output->hashes, error));
  for (uint32_t i = 0; i < edge->target_count; i++)
    edge->targets[i].row_count = 0;
  uint64_t max_parallelism = edge->max_parallelism;
  bool power_of_two = (max_parallelism & (max_parallelism - 1)) == 0;
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint64_t hash = output->hashes[i];
    uint64_t group = power_of_two ? hash & (max_parallelism - 1) : hash % max_parallelism;
    struct wr_output_target *target = &edge->targets[edge->group_targets[group]];
    target->rows[target->row_count++] = (uint16_t)wr_batch_row(batch, i);
  }
  for (uint32_t i = 0; i < edge->target_count; i++)
    WR_TRY(gather_rows(&edge->targets[i], batch, error));
  return WEIR_OK;
}

static enum weir_code emit_to_edge(struct wr_output *output, struct wr_output_edge *edge, struct wr_batch *batch,
                                   struct weir_error *error) {
  if (edge->edge->exchange == WR_EXCHANGE_HASH && edge->target_count > 1) return emit_hash(output, edge, batch, error);
  uint32_t target = 0;
  if (edge->edge->exchange == WR_EXCHANGE_REBALANCE) {
    target = edge->next_target;
    edge->next_target = (edge->next_target + 1) % edge->target_count;
  }
  return put_batch(&edge->targets[target], wr_batch_ref(batch), error);
}

enum weir_code wr_output_emit(struct wr_output *output, uint32_t port, struct wr_batch *batch,
                              struct weir_error *error) {
  if (batch == NULL) return WEIR_OK;
  output->emitted_in_call++;
  atomic_fetch_add_explicit(&output->metrics->records_out, batch->selected_count, memory_order_relaxed);
  enum weir_code code = WEIR_OK;
  for (uint32_t e = 0; e < output->edge_count && code == WEIR_OK; e++)
    if (output->edges[e].edge->from_port == port) code = emit_to_edge(output, &output->edges[e], batch, error);
  if (code == WEIR_OK && port == 0 && output->chained != NULL)
    code = wr_item_queue_push(output->chained, (struct wr_item){.kind = WR_ITEM_BATCH, .batch = wr_batch_ref(batch)}, 0,
                              error);
  wr_batch_unref(batch);
  return code;
}

enum weir_code wr_output_broadcast(struct wr_output *output, struct wr_item item, struct weir_error *error) {
  WR_ASSERT(item.kind != WR_ITEM_BATCH);
  for (uint32_t e = 0; e < output->edge_count; e++) {
    for (uint32_t i = 0; i < output->edges[e].target_count; i++) {
      struct wr_output_target *target = &output->edges[e].targets[i];
      WR_TRY(flush_target(target, error));
      WR_TRY(wr_item_queue_push(&target->outbox, item, 0, error));
    }
  }
  return WEIR_OK;
}

static enum weir_code broadcast_and_chain(struct wr_output *output, struct wr_item item, struct weir_error *error) {
  WR_TRY(wr_output_broadcast(output, item, error));
  return output->chained == NULL ? WEIR_OK : wr_item_queue_push(output->chained, item, 0, error);
}

enum weir_code wr_output_watermark(struct wr_output *output, int64_t watermark_ms, struct weir_error *error) {
  if (watermark_ms <= output->watermark_ms) return WEIR_OK;
  output->watermark_ms = watermark_ms;
  return broadcast_and_chain(output, (struct wr_item){.kind = WR_ITEM_WATERMARK, .value = watermark_ms}, error);
}

enum weir_code wr_output_idle(struct wr_output *output, bool idle, struct weir_error *error) {
  if (idle == output->idle) return WEIR_OK;
  output->idle = idle;
  return broadcast_and_chain(output, (struct wr_item){.kind = WR_ITEM_IDLE, .value = idle}, error);
}

enum weir_code wr_output_barrier(struct wr_output *output, uint64_t checkpoint_id, struct weir_error *error) {
  return wr_output_broadcast(output, (struct wr_item){.kind = WR_ITEM_BARRIER, .value = (int64_t)checkpoint_id}, error);
}

bool wr_output_is_full(const struct wr_output *output) {
  if (output->chained != NULL && output->chained->length >= HIGH_WATER_ITEMS) return true;
  for (uint32_t e = 0; e < output->edge_count; e++)
    for (uint32_t i = 0; i < output->edges[e].target_count; i++)
      if (output->edges[e].targets[i].outbox.length >= HIGH_WATER_ITEMS) return true;
  return false;
}

enum weir_code wr_output_flush(struct wr_output *output, struct weir_error *error) {
  for (uint32_t e = 0; e < output->edge_count; e++)
    for (uint32_t i = 0; i < output->edges[e].target_count; i++)
      WR_TRY(flush_target(&output->edges[e].targets[i], error));
  return WEIR_OK;
}

bool wr_output_has_partial(const struct wr_output *output) {
  for (uint32_t e = 0; e < output->edge_count; e++)
    for (uint32_t i = 0; i < output->edges[e].target_count; i++)
      if (output->edges[e].targets[i].rows != NULL && wr_batch_builder_rows(&output->edges[e].targets[i].builder) != 0)
        return true;
  return false;
}

bool wr_output_drain(struct wr_output *output, bool *out_moved) {
  bool empty = true;
  for (uint32_t e = 0; e < output->edge_count; e++) {
    for (uint32_t i = 0; i < output->edges[e].target_count; i++) {
      struct wr_output_target *target = &output->edges[e].targets[i];
      struct wr_queued_item *front;
      while ((front = wr_item_queue_front(&target->outbox)) != NULL) {
        if (!wr_channel_push(target->channel, &front->item)) {
          empty = false;
          break;
        }
        (void)wr_item_queue_pop(&target->outbox);
        *out_moved = true;
      }
    }
  }
  return empty;
}
