/* runtime/item_queue.c: a ring that doubles. See item_queue.h. */
#include "runtime/item_queue.h"

enum { FIRST_CAPACITY = 8 };

void wr_item_queue_init(struct wr_item_queue *queue, struct wr_memory *memory) {
  *queue = (struct wr_item_queue){.memory = memory};
}

void wr_item_queue_deinit(struct wr_item_queue *queue) {
  while (queue->length != 0) {
    struct wr_queued_item queued = wr_item_queue_pop(queue);
    wr_item_drop(&queued.item);
  }
  if (queue->memory != NULL) wr_free(queue->memory, queue->items);
  *queue = (struct wr_item_queue){.memory = queue->memory};
}

static enum weir_code grow(struct wr_item_queue *queue, struct weir_error *error) {
  uint32_t capacity = queue->capacity == 0 ? FIRST_CAPACITY : queue->capacity * 2;
  struct wr_queued_item *items = wr_alloc(queue->memory, capacity * sizeof *items, WR_MEMORY_CHANNEL);
  if (items == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a queue of %u items", capacity);
  for (uint32_t i = 0; i < queue->length; i++)
    items[i] = queue->items[(queue->first + i) & (queue->capacity - 1)];
  wr_free(queue->memory, queue->items);
  queue->items = items;
  queue->capacity = capacity;
  queue->first = 0;
  return WEIR_OK;
}

enum weir_code wr_item_queue_push(struct wr_item_queue *queue, struct wr_item item, uint32_t input,
                                  struct weir_error *error) {
  if (queue->length == queue->capacity) {
    enum weir_code code = grow(queue, error);
    if (code != WEIR_OK) {
      wr_item_drop(&item);
      return code;
    }
  }
  queue->items[(queue->first + queue->length) & (queue->capacity - 1)] =
      (struct wr_queued_item){.item = item, .input = input};
  queue->length++;
  return WEIR_OK;
}

struct wr_queued_item wr_item_queue_pop(struct wr_item_queue *queue) {
  WR_ASSERT(queue->length != 0);
  struct wr_queued_item queued = queue->items[queue->first];
  queue->first = (queue->first + 1) & (queue->capacity - 1);
  queue->length--;
  return queued;
}
