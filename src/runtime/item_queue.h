/* runtime/item_queue.h: an unbounded queue of items within one task: what waits between two chained operators, and what
 * waits in the outbox for room in a channel. It owns the batches in it. One thread. */
#ifndef WR_RUNTIME_ITEM_QUEUE_H
#define WR_RUNTIME_ITEM_QUEUE_H

#include "runtime/channel.h"

struct wr_queued_item {
  struct wr_item item;
  uint32_t input; /* of the operator that gets it */
};

struct wr_item_queue {
  struct wr_memory *memory;
  struct wr_queued_item *items; /* a ring of `capacity`, a power of two (or 0) */
  uint32_t capacity;
  uint32_t first;
  uint32_t length;
};

void wr_item_queue_init(struct wr_item_queue *queue, struct wr_memory *memory);
/* Drops what is in it. */
void wr_item_queue_deinit(struct wr_item_queue *queue);
/* Takes the item's reference, also when it fails (it is dropped then). */
enum weir_code wr_item_queue_push(struct wr_item_queue *queue, struct wr_item item, uint32_t input,
                                  struct weir_error *error);
static inline struct wr_queued_item *wr_item_queue_front(struct wr_item_queue *queue) {
  return queue->length == 0 ? NULL : &queue->items[queue->first];
}
/* Takes the front, which must be there; its reference is the caller's. */
struct wr_queued_item wr_item_queue_pop(struct wr_item_queue *queue);

static inline void wr_item_drop(struct wr_item *item) {
  if (item->kind == WR_ITEM_BATCH) wr_batch_unref(item->batch);
}

#endif
