/* runtime/chain.c: the operators of one task, one after the other, without recursion.
 *
 * Between two operators stands a queue. The deepest operator that has something waiting goes first, so queues stay
 * short, and an operator that answers MORE or WAIT holds up everything before it but nothing behind it. The queues are
 * empty when a barrier is handled: that is the place between two records where the snapshot belongs.
 */
#include "runtime/task_int.h"

enum wr_step wr_chain_result(struct wr_task *task, struct wr_link *link, enum wr_result result) {
  switch (result) {
  case WR_RESULT_OK:
  case WR_RESULT_MORE:
  case WR_RESULT_DONE:
    return WR_STEP_PROGRESS;
  case WR_RESULT_WAIT:
    if (link->output.emitted_in_call == 0) return WR_STEP_BLOCKED;
    WR_FAIL(&task->error, WEIR_INTERNAL, "operator %s answered WAIT after it had sent output", link->definition->uid);
    return WR_STEP_FAILED;
  case WR_RESULT_ERROR:
    break;
  }
  task->error = link->context.error;
  return WR_STEP_FAILED;
}

bool wr_chain_is_empty(const struct wr_task *task) {
  for (uint32_t i = 0; i < task->link_count; i++)
    if (task->links[i].pending.length != 0) return false;
  return true;
}

enum weir_code wr_chain_feed(struct wr_task *task, struct wr_item item, uint32_t input) {
  return wr_item_queue_push(&task->links[0].pending, item, input, &task->error);
}

enum weir_code wr_chain_end_output(struct wr_task *task, uint32_t index) {
  struct wr_link *link = &task->links[index];
  if (link->output_ended) return WEIR_OK;
  link->output_ended = true;
  WR_TRY(wr_output_watermark(&link->output, INT64_MAX, &task->error));
  struct wr_item end = {.kind = WR_ITEM_END};
  WR_TRY(wr_output_broadcast(&link->output, end, &task->error));
  if (index + 1 < task->link_count) return wr_item_queue_push(&task->links[index + 1].pending, end, 0, &task->error);
  return WEIR_OK;
}

/* Takes the front item away when its operator is done with it. */
static enum wr_step finish_front(struct wr_task *task, struct wr_link *link, enum wr_result result) {
  enum wr_step step = wr_chain_result(task, link, result);
  if (step == WR_STEP_PROGRESS && result == WR_RESULT_OK) {
    struct wr_queued_item queued = wr_item_queue_pop(&link->pending);
    wr_item_drop(&queued.item);
  }
  return step;
}

static enum wr_step run_watermark(struct wr_task *task, struct wr_link *link, int64_t value, uint64_t *wake_at_ns) {
  link->context.watermark_ms = value;
  enum wr_result result = WR_RESULT_OK;
  if (link->op->vtable->watermark != NULL) result = link->op->vtable->watermark(link->op, wake_at_ns);
  if (result == WR_RESULT_OK && wr_output_watermark(&link->output, value, &task->error) != WEIR_OK)
    return WR_STEP_FAILED;
  return finish_front(task, link, result);
}

static enum wr_step run_end(struct wr_task *task, uint32_t index, uint32_t input, uint64_t *wake_at_ns) {
  struct wr_link *link = &task->links[index];
  uint32_t bit = UINT32_C(1) << input;
  enum wr_result result = WR_RESULT_OK;
  if ((link->ended_inputs & bit) == 0 && link->op->vtable->end_input != NULL)
    result = link->op->vtable->end_input(link->op, input, wake_at_ns);
  if (result != WR_RESULT_OK) return finish_front(task, link, result);
  link->ends_seen |= bit;
  link->ended_inputs |= bit;
  uint32_t inputs = index == 0 ? task->head_input_count : 1;
  bool is_last = link->ends_seen == (UINT32_C(1) << inputs) - 1;
  if (is_last && wr_chain_end_output(task, index) != WEIR_OK) return WR_STEP_FAILED;
  return finish_front(task, link, WR_RESULT_OK);
}

static enum wr_step run_front(struct wr_task *task, uint32_t index, uint64_t *wake_at_ns) {
  struct wr_link *link = &task->links[index];
  struct wr_queued_item *front = wr_item_queue_front(&link->pending);
  uint32_t input = front->input;
  link->output.emitted_in_call = 0;
  switch (front->item.kind) {
  case WR_ITEM_BATCH:
    /* After an end that was restored: a job that was bounded goes on without bounds, and will end anew. */
    link->ended_inputs &= ~(UINT32_C(1) << input) | link->ends_seen;
    return finish_front(task, link, link->op->vtable->process(link->op, input, front->item.batch, wake_at_ns));
  case WR_ITEM_WATERMARK:
    return run_watermark(task, link, front->item.value, wake_at_ns);
  case WR_ITEM_IDLE:
    if (wr_output_idle(&link->output, front->item.value != 0, &task->error) != WEIR_OK) return WR_STEP_FAILED;
    return finish_front(task, link, WR_RESULT_OK);
  case WR_ITEM_END:
    return run_end(task, index, input, wake_at_ns);
  case WR_ITEM_BARRIER:
  case WR_ITEM_CANCEL:
    break;
  }
  WR_FAIL(&task->error, WEIR_INTERNAL, "a barrier got into the chain of %s", task->name);
  return WR_STEP_FAILED;
}

enum wr_step wr_chain_run(struct wr_task *task, uint64_t *wake_at_ns) {
  for (uint32_t i = task->link_count; i-- > 0;)
    if (task->links[i].pending.length != 0) return run_front(task, i, wake_at_ns);
  return WR_STEP_NOTHING;
}
