/* runtime/channel.h: the bounded ring between two tasks: one producer, one consumer, no lock.
 *
 * Items travel in order: batches, watermarks, idleness, barriers, cancel markers, ends of input. A ring is full at
 * WR_CHANNEL_ITEMS_MAX entries or when the batches in it exceed WR_CHANNEL_BYTES_MAX (one batch always fits into an
 * empty ring); the few control items in a row that a task can send have room kept free for them. A full ring is
 * back-pressure: push answers false, and the consumer wakes the producer when it has made room.
 *
 * The ring can be walked by its consumer without consuming (wr_channel_peek_at), so that an unaligned checkpoint could
 * take what is in flight.
 *
 * push: the producer's thread. pop, peek: the consumer's thread. Counters: any thread.
 */
#ifndef WR_RUNTIME_CHANNEL_H
#define WR_RUNTIME_CHANNEL_H

#include "data/batch.h"
#include "os/seams.h"

enum wr_item_kind {
  WR_ITEM_BATCH,
  WR_ITEM_WATERMARK, /* value: milliseconds */
  WR_ITEM_IDLE,      /* value: 1 idle, 0 active again */
  WR_ITEM_BARRIER,   /* value: checkpoint id */
  WR_ITEM_CANCEL,    /* value: checkpoint id: it is given up */
  WR_ITEM_END        /* the producer's input has ended; barriers may still follow */
};

struct wr_item {
  enum wr_item_kind kind;
  union {
    struct wr_batch *batch; /* one reference travels with the item */
    int64_t value;
  };
};

struct wr_channel;

/* The wakers are those of the two tasks' workers; they outlive the channel. */
enum weir_code wr_channel_new(struct wr_memory *memory, struct wr_waker *producer, struct wr_waker *consumer,
                              struct wr_channel **out_channel, struct weir_error *error);
/* Drops what is in it. Both sides must have stopped. NULL is fine. */
void wr_channel_free(struct wr_channel *channel);

/* False: full, nothing was taken. Wakes the consumer when the ring was empty. */
bool wr_channel_push(struct wr_channel *channel, const struct wr_item *item);
/* The next item, without taking it; NULL: empty. Valid until pop. */
const struct wr_item *wr_channel_peek(struct wr_channel *channel);
/* The n-th item from the front; NULL: there are fewer. */
const struct wr_item *wr_channel_peek_at(struct wr_channel *channel, uint32_t n);
/* Takes the front item, which must be there. Wakes a producer that found the ring full, once half of it is free. */
struct wr_item wr_channel_pop(struct wr_channel *channel);
uint32_t wr_channel_length(const struct wr_channel *channel);
uint64_t wr_channel_bytes(const struct wr_channel *channel);

#endif
