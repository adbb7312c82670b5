/* runtime/channel.c: see channel.h. A ring of slots with two counters that only grow: `pushed` is written by the
 * producer, `popped` by the consumer; slot i of the ring holds item number n where n mod SLOTS is i.
 *
 * Each side keeps a copy of the other's counter and reads the real one only when the copy says "full" or "empty", and
 * what one side writes lies on cache lines of its own.
 *
 * Room. A batch needs length < WR_CHANNEL_ITEMS_MAX and bytes + its own <= WR_CHANNEL_BYTES_MAX, or a ring without
 * bytes; a control item needs length < WR_CHANNEL_ITEMS_MAX + CONTROL_ITEMS.
 *
 * Wake-ups. None is lost, because on either way each side first writes and then reads what the other one writes, all
 * four with seq_cst: in the one order of these operations at least one side's read comes after the other's write.
 *
 *   consumer sleeps on an empty ring: it wrote popped = n, then read pushed = n. The push of item n writes
 *     pushed = n + 1, then reads popped. Were both reads too early, each would come before the other's write, which is
 *     a circle. So the consumer sees the item, or the producer sees popped = n, "was empty", and wakes.
 *   producer sleeps on a full ring: it wrote producer_waits = true, then read popped and found no room still. A pop
 *     writes popped, then reads producer_waits. So the producer sees the room, or the pop sees the flag.
 *
 * A pop that sees the flag wakes only once half the ring is free (a producer that is faster would else be woken for
 * every single item) and leaves the flag standing until then. That ends: a consumer that may read reads on to the empty
 * ring. It clears the flag before it wakes, so a failed push whose flag was cleared is followed by a wake, after which
 * the producer tries again.
 */
#include "runtime/channel.h"

#include "base/limits.h"

enum {
  SLOTS = 128,           /* a power of two, so that a counter's low bits are the slot */
  CONTROL_ITEMS = 16,    /* entries that batches leave free */
  SEPARATION_BYTES = 128 /* two cache lines: the processor fetches them in pairs */
};
_Static_assert(WR_CHANNEL_ITEMS_MAX + CONTROL_ITEMS <= SLOTS, "every entry has a slot");

struct wr_channel {
  struct wr_memory *memory;
  struct wr_waker *producer;
  struct wr_waker *consumer;
  char before_producer[SEPARATION_BYTES];

  /* Written by the producer. */
  _Atomic uint64_t pushed;       /* items so far */
  _Atomic uint64_t pushed_bytes; /* of the batches among them */
  uint64_t popped_seen;          /* what it last read of the consumer's; never ahead of them */
  uint64_t popped_bytes_seen;
  char before_consumer[SEPARATION_BYTES];

  /* Written by the consumer. */
  _Atomic uint64_t popped;
  _Atomic uint64_t popped_bytes;
  uint64_t pushed_seen; /* what it last read of the producer's; never ahead of it */
  char before_flag[SEPARATION_BYTES];

  /* Written by both, seldom. */
  atomic_bool producer_waits; /* a push has failed and nobody has woken the producer for it */
  char before_slots[SEPARATION_BYTES];

  struct wr_item slots[SLOTS];
};

enum weir_code wr_channel_new(struct wr_memory *memory, struct wr_waker *producer, struct wr_waker *consumer,
                              struct wr_channel **out_channel, struct weir_error *error) {
  WR_ASSERT(producer != NULL && consumer != NULL);
  struct wr_channel *channel = wr_alloc_zeroed(memory, 1, sizeof *channel, WR_MEMORY_CHANNEL);
  if (channel == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a channel between two tasks");
  channel->memory = memory;
  channel->producer = producer;
  channel->consumer = consumer;
  *out_channel = channel;
  return WEIR_OK;
}

void wr_channel_free(struct wr_channel *channel) {
  if (channel == NULL) return;
  uint64_t end = atomic_load_explicit(&channel->pushed, memory_order_acquire);
  for (uint64_t n = atomic_load_explicit(&channel->popped, memory_order_acquire); n != end; n++) {
    const struct wr_item *item = &channel->slots[n % SLOTS];
    if (item->kind == WR_ITEM_BATCH) wr_batch_unref(item->batch);
  }
  wr_free(channel->memory, channel);
}

static uint64_t item_bytes(const struct wr_item *item) {
  return item->kind == WR_ITEM_BATCH ? item->batch->bytes : 0;
}

/* By what the producer has seen of the consumer. */
static bool has_room(const struct wr_channel *channel, const struct wr_item *item) {
  uint64_t length = atomic_load_explicit(&channel->pushed, memory_order_relaxed) - channel->popped_seen;
  if (item->kind != WR_ITEM_BATCH) return length < WR_CHANNEL_ITEMS_MAX + CONTROL_ITEMS;
  uint64_t bytes = atomic_load_explicit(&channel->pushed_bytes, memory_order_relaxed) - channel->popped_bytes_seen;
  return length < WR_CHANNEL_ITEMS_MAX && (bytes == 0 || bytes + item->batch->bytes <= WR_CHANNEL_BYTES_MAX);
}

/* popped_bytes is written before popped, so what is read after it is at least as new. */
static void look_at_consumer(struct wr_channel *channel) {
  channel->popped_seen = atomic_load_explicit(&channel->popped, memory_order_seq_cst);
  channel->popped_bytes_seen = atomic_load_explicit(&channel->popped_bytes, memory_order_relaxed);
}

bool wr_channel_push(struct wr_channel *channel, const struct wr_item *item) {
  if (!has_room(channel, item)) {
    look_at_consumer(channel);
    if (!has_room(channel, item)) {
      atomic_store_explicit(&channel->producer_waits, true, memory_order_seq_cst);
      look_at_consumer(channel);
      if (!has_room(channel, item)) return false;
    }
  }
  uint64_t n = atomic_load_explicit(&channel->pushed, memory_order_relaxed);
  uint64_t bytes = atomic_load_explicit(&channel->pushed_bytes, memory_order_relaxed) + item_bytes(item);
  channel->slots[n % SLOTS] = *item;
  atomic_store_explicit(&channel->pushed_bytes, bytes, memory_order_relaxed);
  atomic_store_explicit(&channel->pushed, n + 1, memory_order_seq_cst);
  look_at_consumer(channel);
  if (channel->popped_seen == n) channel->consumer->wake(channel->consumer);
  return true;
}

const struct wr_item *wr_channel_peek_at(struct wr_channel *channel, uint32_t n) {
  uint64_t at = atomic_load_explicit(&channel->popped, memory_order_relaxed) + n;
  if (at >= channel->pushed_seen) {
    channel->pushed_seen = atomic_load_explicit(&channel->pushed, memory_order_seq_cst);
    if (at >= channel->pushed_seen) return NULL;
  }
  return &channel->slots[at % SLOTS];
}

const struct wr_item *wr_channel_peek(struct wr_channel *channel) {
  return wr_channel_peek_at(channel, 0);
}

/* Half of the ring is free, as the consumer knows it: items that came since it last looked do not count, so it may wake
 * a little early. */
static bool is_half_free(const struct wr_channel *channel, uint64_t popped, uint64_t popped_bytes) {
  uint64_t pushed_bytes = atomic_load_explicit(&channel->pushed_bytes, memory_order_relaxed);
  uint64_t pushed = atomic_load_explicit(&channel->pushed, memory_order_relaxed);
  return pushed - popped <= WR_CHANNEL_ITEMS_MAX / 2 && pushed_bytes - popped_bytes <= WR_CHANNEL_BYTES_MAX / 2;
}

struct wr_item wr_channel_pop(struct wr_channel *channel) {
  const struct wr_item *front = wr_channel_peek(channel);
  WR_ASSERT(front != NULL);
  struct wr_item item = *front;
  uint64_t bytes = atomic_load_explicit(&channel->popped_bytes, memory_order_relaxed) + item_bytes(&item);
  uint64_t n = atomic_load_explicit(&channel->popped, memory_order_relaxed) + 1;
  atomic_store_explicit(&channel->popped_bytes, bytes, memory_order_release);
  atomic_store_explicit(&channel->popped, n, memory_order_seq_cst);
  if (atomic_load_explicit(&channel->producer_waits, memory_order_seq_cst) && is_half_free(channel, n, bytes)) {
    atomic_store_explicit(&channel->producer_waits, false, memory_order_seq_cst);
    channel->producer->wake(channel->producer);
  }
  return item;
}

/* The consumer's counter first: what is read of the producer's afterwards is at least as new, and so never smaller. */
uint32_t wr_channel_length(const struct wr_channel *channel) {
  uint64_t popped = atomic_load_explicit(&channel->popped, memory_order_seq_cst);
  return (uint32_t)(atomic_load_explicit(&channel->pushed, memory_order_seq_cst) - popped);
}

uint64_t wr_channel_bytes(const struct wr_channel *channel) {
  uint64_t popped_bytes = atomic_load_explicit(&channel->popped_bytes, memory_order_acquire);
  return atomic_load_explicit(&channel->pushed_bytes, memory_order_relaxed) - popped_bytes;
}
