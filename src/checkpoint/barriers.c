/* checkpoint/barriers.c: see barriers.h.
 *
 * How it works. `newest` is the highest id that was begun or given up. An id up to it that is not in `pending` is over:
 * its barriers and cancel markers are swallowed. `pending` holds the ids that some channels brought and some did not,
 * ascending, each with one bit per channel. exactly-once is the case of one place in `pending`, with every channel
 * held; at-least-once has 50 places, and holds only channels that are marked always_aligned. In both, a new id that
 * finds no place gives up the oldest.
 *
 * Channels are first in, first out, so a channel that brings id N, or its cancel marker, will never bring a lower id
 * that it has not brought: such ids can not complete any more and are given up there and then. (Flink's tracker leaves
 * them until a newer id completes. Here that could wait for ever: an end of input, or a held channel, may be what waits
 * for the lower id, with the newer barrier behind it.)
 *
 * What always holds: `pending` is ascending and no id in it is above `newest`; an entry lacks at least one channel;
 * while a snapshot is being taken (`snapshotting`) every channel is held; ids in `aborted_early` are above `newest`.
 * One thread.
 */
#include "checkpoint/barriers.h"

#include <string.h>

/* A checkpoint that some channels brought and some did not. */
struct pending_barrier {
  uint64_t id;
  uint32_t brought_count;
  uint64_t *brought; /* one bit per channel */
};

struct wr_barriers {
  enum wr_mode mode;
  uint32_t channel_count;
  uint32_t word_count;     /* of `brought` */
  uint8_t *always_aligned; /* one byte per channel, in the same block of memory */
  uint64_t newest;
  uint64_t snapshotting; /* the id whose snapshot is being taken; 0: none */
  struct pending_barrier pending[WR_PENDING_BARRIERS_MAX];
  uint32_t pending_count;
  uint32_t pending_max;
  uint64_t aborted_early[WR_PENDING_BARRIERS_MAX]; /* aborted by the coordinator before a barrier came; in no order */
  uint32_t aborted_early_count;
  uint64_t aborted_floor;                          /* ids up to it that are above `newest` count as aborted early */
  uint64_t cancelled[WR_PENDING_BARRIERS_MAX + 1]; /* decisions not yet asked for, ascending */
  uint32_t cancelled_taken;
  uint32_t cancelled_count;
};

enum { NO_PLACE = UINT32_MAX };

enum weir_code wr_barriers_new(struct wr_memory *memory, enum wr_mode mode, uint32_t channel_count,
                               const uint8_t *always_aligned, uint64_t last_id, struct wr_barriers **out_barriers,
                               struct weir_error *error) {
  WR_ASSERT(channel_count > 0);
  uint32_t pending_max = mode == WR_EXACTLY_ONCE ? 1 : WR_PENDING_BARRIERS_MAX;
  uint32_t word_count = (channel_count - 1) / 64 + 1;
  size_t words_bytes = (size_t)pending_max * word_count * sizeof(uint64_t);
  struct wr_barriers *barriers =
      wr_alloc_zeroed(memory, 1, sizeof *barriers + words_bytes + channel_count, WR_MEMORY_ENGINE);
  if (barriers == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the barriers of %u channels", channel_count);
  barriers->mode = mode;
  barriers->channel_count = channel_count;
  barriers->word_count = word_count;
  barriers->newest = last_id;
  barriers->pending_max = pending_max;
  uint64_t *words = (uint64_t *)(barriers + 1);
  for (uint32_t i = 0; i < pending_max; i++)
    barriers->pending[i].brought = words + (size_t)i * word_count;
  barriers->always_aligned = (uint8_t *)(words + (size_t)pending_max * word_count);
  if (always_aligned != NULL) memcpy(barriers->always_aligned, always_aligned, channel_count);
  *out_barriers = barriers;
  return WEIR_OK;
}

void wr_barriers_free(struct wr_memory *memory, struct wr_barriers *barriers) {
  wr_free(memory, barriers);
}

static bool has_brought(const struct pending_barrier *pending, uint32_t channel) {
  return (pending->brought[channel / 64] >> (channel % 64) & 1) != 0;
}

static bool has_brought_any(const struct wr_barriers *barriers, uint32_t channel) {
  for (uint32_t i = 0; i < barriers->pending_count; i++)
    if (has_brought(&barriers->pending[i], channel)) return true;
  return false;
}

static uint32_t find_pending(const struct wr_barriers *barriers, uint64_t id) {
  for (uint32_t i = 0; i < barriers->pending_count; i++)
    if (barriers->pending[i].id == id) return i;
  return NO_PLACE;
}

/* Appends an entry that nobody brought yet. */
static uint32_t append_pending(struct wr_barriers *barriers, uint64_t id) {
  struct pending_barrier *pending = &barriers->pending[barriers->pending_count];
  pending->id = id;
  pending->brought_count = 0;
  memset(pending->brought, 0, barriers->word_count * sizeof *pending->brought);
  return barriers->pending_count++;
}

/* Removes one entry; its bits go to the place that becomes free. */
static void remove_pending(struct wr_barriers *barriers, uint32_t place) {
  struct pending_barrier removed = barriers->pending[place];
  barriers->pending_count--;
  memmove(&barriers->pending[place], &barriers->pending[place + 1], (barriers->pending_count - place) * sizeof removed);
  barriers->pending[barriers->pending_count] = removed;
}

static void decide_cancelled(struct wr_barriers *barriers, uint64_t id) {
  WR_ASSERT(barriers->cancelled_count < WR_PENDING_BARRIERS_MAX + 1);
  barriers->cancelled[barriers->cancelled_count++] = id;
}

static void give_up(struct wr_barriers *barriers, uint32_t place) {
  decide_cancelled(barriers, barriers->pending[place].id);
  remove_pending(barriers, place);
}

/* `channel` has reached `id`: it will bring no lower id any more. */
static void give_up_unreachable(struct wr_barriers *barriers, uint32_t channel, uint64_t id) {
  for (uint32_t i = 0; i < barriers->pending_count && barriers->pending[i].id < id;) {
    if (has_brought(&barriers->pending[i], channel))
      i++;
    else
      give_up(barriers, i);
  }
}

static bool is_aborted_early(const struct wr_barriers *barriers, uint64_t id) {
  if (id <= barriers->aborted_floor) return true;
  for (uint32_t i = 0; i < barriers->aborted_early_count; i++)
    if (barriers->aborted_early[i] == id) return true;
  return false;
}

/* `id` is begun or given up: what was remembered of ids up to it is of no more use. */
static void raise_newest(struct wr_barriers *barriers, uint64_t id) {
  barriers->newest = id;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < barriers->aborted_early_count; i++)
    if (barriers->aborted_early[i] > id) barriers->aborted_early[kept++] = barriers->aborted_early[i];
  barriers->aborted_early_count = kept;
}

/* When there is no room the lowest is forgotten, and with it all ids below count as aborted: that can only give up a
 * checkpoint that the coordinator has left 50 aborted ones behind. */
static void remember_aborted(struct wr_barriers *barriers, uint64_t id) {
  if (is_aborted_early(barriers, id)) return;
  if (barriers->aborted_early_count < WR_PENDING_BARRIERS_MAX) {
    barriers->aborted_early[barriers->aborted_early_count++] = id;
    return;
  }
  uint64_t *lowest = &id;
  for (uint32_t i = 0; i < barriers->aborted_early_count; i++)
    if (barriers->aborted_early[i] < *lowest) lowest = &barriers->aborted_early[i];
  barriers->aborted_floor = *lowest;
  *lowest = id;
}

static struct wr_barrier_decision take_decision(struct wr_barriers *barriers) {
  if (barriers->cancelled_taken == barriers->cancelled_count) {
    barriers->cancelled_taken = barriers->cancelled_count = 0;
    return (struct wr_barrier_decision){.kind = WR_BARRIER_NOTHING};
  }
  uint64_t id = barriers->cancelled[barriers->cancelled_taken++];
  return (struct wr_barrier_decision){.kind = WR_BARRIER_CANCELLED, .id = id};
}

/* What every event of a channel may count on: the channel can be read, and earlier decisions were all asked for. */
static void check_read(struct wr_barriers *barriers, uint32_t channel) {
  WR_ASSERT(channel < barriers->channel_count);
  WR_ASSERT(barriers->cancelled_taken == barriers->cancelled_count);
  WR_ASSERT(!wr_barriers_is_held(barriers, channel));
  barriers->cancelled_taken = barriers->cancelled_count = 0;
}

/* All channels brought pending[place]: it and, silently, all older ones leave. */
static struct wr_barrier_decision complete(struct wr_barriers *barriers, uint32_t place) {
  barriers->snapshotting = barriers->pending[place].id;
  for (uint32_t i = 0; i <= place; i++)
    remove_pending(barriers, 0);
  return (struct wr_barrier_decision){.kind = WR_BARRIER_SNAPSHOT, .id = barriers->snapshotting};
}

struct wr_barrier_decision wr_barriers_barrier(struct wr_barriers *barriers, uint32_t channel, uint64_t id) {
  check_read(barriers, channel);
  uint32_t place = find_pending(barriers, id);
  if (place == NO_PLACE && id > barriers->newest) {
    bool aborted = is_aborted_early(barriers, id);
    raise_newest(barriers, id);
    if (aborted) {
      give_up_unreachable(barriers, channel, id);
      decide_cancelled(barriers, id);
      return take_decision(barriers);
    }
    if (barriers->pending_count == barriers->pending_max) give_up(barriers, 0);
    place = append_pending(barriers, id);
  }
  if (place != NO_PLACE && !has_brought(&barriers->pending[place], channel)) {
    struct pending_barrier *pending = &barriers->pending[place];
    pending->brought[channel / 64] |= UINT64_C(1) << (channel % 64);
    pending->brought_count++;
    if (pending->brought_count == barriers->channel_count) return complete(barriers, place);
  }
  give_up_unreachable(barriers, channel, id);
  return take_decision(barriers);
}

struct wr_barrier_decision wr_barriers_more(struct wr_barriers *barriers) {
  return take_decision(barriers);
}

struct wr_barrier_decision wr_barriers_cancel(struct wr_barriers *barriers, uint32_t channel, uint64_t id) {
  check_read(barriers, channel);
  if (id > barriers->newest || find_pending(barriers, id) != NO_PLACE) {
    while (barriers->pending_count > 0 && barriers->pending[0].id <= id)
      give_up(barriers, 0);
    if (id > barriers->newest) {
      raise_newest(barriers, id);
      decide_cancelled(barriers, id);
    }
  } else {
    give_up_unreachable(barriers, channel, id);
  }
  return take_decision(barriers);
}

struct wr_barrier_decision wr_barriers_aborted(struct wr_barriers *barriers, uint64_t id) {
  uint32_t place = find_pending(barriers, id);
  if (place != NO_PLACE)
    give_up(barriers, place);
  else if (id > barriers->newest)
    remember_aborted(barriers, id);
  return take_decision(barriers);
}

void wr_barriers_snapshot_taken(struct wr_barriers *barriers, uint64_t id) {
  WR_ASSERT(id != 0 && barriers->snapshotting == id);
  barriers->snapshotting = 0;
}

bool wr_barriers_is_held(const struct wr_barriers *barriers, uint32_t channel) {
  if (barriers->snapshotting != 0) return true;
  if (barriers->pending_count == 0) return false;
  bool aligned = barriers->mode == WR_EXACTLY_ONCE || barriers->always_aligned[channel] != 0;
  return aligned && has_brought_any(barriers, channel);
}

bool wr_barriers_may_end(const struct wr_barriers *barriers, uint32_t channel) {
  return barriers->snapshotting == 0 && !has_brought_any(barriers, channel);
}

bool wr_barriers_is_aligning(const struct wr_barriers *barriers) {
  return barriers->pending_count > 0;
}
