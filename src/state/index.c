/* state/index.c: see index.h. One thread. */
#include "state/internal.h"

static size_t segment_bytes(uint32_t slots) {
  return sizeof(struct index_segment) + (size_t)slots * sizeof(struct index_slot);
}

/* Rows in a segment before it grows. Linear probing slows down fast above 13/16. Segments fill at the same pace, so
 * each full-sized one has a limit of its own, from 10/16 on, or all would be split within a few batches. */
static uint32_t segment_limit(uint32_t slots, uint32_t tag, uint32_t depth) {
  uint32_t lowest = slots / 16 * 10, spread = slots / 16 * 3;
  if (slots < SEGMENT_SLOTS) return lowest + spread;
  uint32_t number = (uint32_t)((uint64_t)tag >> (32 - depth));
  return lowest + (uint32_t)((uint64_t)((number + 1) * 0x9e3779b1u) * spread >> 32);
}

static struct index_segment *segment_new(struct wr_backend *backend, uint32_t slots, uint32_t depth) {
  struct index_segment *segment = wr_state_alloc(backend, segment_bytes(slots), WR_MEMORY_STATE);
  if (segment == NULL) return NULL;
  segment->count = 0;
  segment->depth = depth;
  segment->unused = 0;
  memset(segment->slots, 0xff, (size_t)slots * sizeof(struct index_slot));
  return segment;
}

static void segment_add(struct index_segment *segment, uint32_t mask, uint32_t tag, uint32_t row_id) {
  uint32_t place = tag & mask;
  while (segment->slots[place].row_id != NO_ROW)
    place = (place + 1) & mask;
  segment->slots[place] = (struct index_slot){.tag = tag, .row_id = row_id};
  segment->count++;
}

static bool index_start(struct index *index, struct wr_backend *backend, uint32_t depth, uint32_t slots) {
  size_t entries = (size_t)1 << depth;
  struct index_segment **directory = wr_state_alloc(backend, entries * sizeof *directory, WR_MEMORY_STATE);
  if (directory == NULL) return false;
  *index = (struct index){.directory = directory, .depth = depth, .slot_mask = slots - 1};
  for (size_t i = 0; i < entries; i++)
    directory[i] = NULL;
  for (size_t i = 0; i < entries; i++) {
    directory[i] = segment_new(backend, slots, depth);
    if (directory[i] == NULL) {
      uint32_t all = UINT32_MAX;
      wr_index_free_some(index, backend, &all);
      return false;
    }
  }
  return true;
}

bool wr_index_presize(struct index *index, struct wr_backend *backend, uint64_t rows) {
  if (index->directory != NULL) return true;
  uint32_t slots = SEGMENT_SLOTS_FIRST, depth = 0;
  while (slots < SEGMENT_SLOTS && slots / 16 * 13 < rows)
    slots *= 2;
  while (depth < 20 && (uint64_t)(SEGMENT_SLOTS / 16 * 11) << depth < rows) /* few have a lower limit */
    depth++;
  return index_start(index, backend, depth, slots);
}

static bool double_only_segment(struct index *index, struct wr_backend *backend) {
  struct index_segment *old = index->directory[0];
  uint32_t old_slots = index->slot_mask + 1, slots = old_slots * 2;
  struct index_segment *larger = segment_new(backend, slots, 0);
  if (larger == NULL) return false;
  for (uint32_t i = 0; i < old_slots; i++)
    if (old->slots[i].row_id != NO_ROW) segment_add(larger, slots - 1, old->slots[i].tag, old->slots[i].row_id);
  index->directory[0] = larger;
  index->slot_mask = slots - 1;
  wr_state_release(backend, old, segment_bytes(old_slots));
  return true;
}

static bool double_directory(struct index *index, struct wr_backend *backend) {
  if (index->depth == 20) return false; /* 4,096 slots to each of 2^20 segments: more than there are row ids */
  size_t entries = (size_t)1 << index->depth;
  struct index_segment **directory = wr_state_alloc(backend, entries * 2 * sizeof *directory, WR_MEMORY_STATE);
  if (directory == NULL) return false;
  for (size_t i = 0; i < entries; i++)
    directory[2 * i] = directory[2 * i + 1] = index->directory[i];
  wr_state_release(backend, index->directory, entries * sizeof *directory);
  index->directory = directory;
  index->depth++;
  return true;
}

static bool split(struct index *index, struct wr_backend *backend, uint32_t tag) {
  struct index_segment *old = index_segment_of(index, tag);
  if (old->depth == index->depth && !double_directory(index, backend)) return false;
  uint32_t slots = index->slot_mask + 1, depth = old->depth + 1;
  struct index_segment *halves[2] = {segment_new(backend, slots, depth), segment_new(backend, slots, depth)};
  if (halves[0] == NULL || halves[1] == NULL) {
    wr_state_release(backend, halves[0], segment_bytes(slots));
    wr_state_release(backend, halves[1], segment_bytes(slots));
    return false;
  }
  for (uint32_t i = 0; i < slots; i++) {
    struct index_slot slot = old->slots[i];
    if (slot.row_id != NO_ROW)
      segment_add(halves[slot.tag >> (32 - depth) & 1], index->slot_mask, slot.tag, slot.row_id);
  }
  size_t shared = (size_t)1 << (index->depth - old->depth); /* entries that pointed to it */
  size_t first = ((uint64_t)tag >> (32 - index->depth)) & ~(shared - 1);
  for (size_t i = 0; i < shared; i++)
    index->directory[first + i] = halves[i >= shared / 2];
  wr_state_release(backend, old, segment_bytes(slots));
  return true;
}

bool wr_index_reserve(struct index *index, struct wr_backend *backend, uint32_t tag) {
  if (index->directory == NULL) return index_start(index, backend, 0, SEGMENT_SLOTS_FIRST);
  for (;;) {
    const struct index_segment *segment = index_segment_of(index, tag);
    if (segment->count < segment_limit(index->slot_mask + 1, tag, segment->depth)) return true;
    bool grown =
        index->slot_mask + 1 < SEGMENT_SLOTS ? double_only_segment(index, backend) : split(index, backend, tag);
    if (!grown) return false;
  }
}

void wr_index_add(struct index *index, uint32_t tag, uint32_t row_id) {
  segment_add(index_segment_of(index, tag), index->slot_mask, tag, row_id);
}

void wr_index_remove(struct index *index, uint32_t tag, uint32_t row_id) {
  struct index_segment *segment = index_segment_of(index, tag);
  struct index_slot *slots = segment->slots;
  uint32_t mask = index->slot_mask, hole = tag & mask;
  while (slots[hole].row_id != row_id) {
    WR_ASSERT(slots[hole].row_id != NO_ROW);
    hole = (hole + 1) & mask;
  }
  /* Each later row of the run moves into the hole, unless that would put it before its own place. */
  for (uint32_t i = (hole + 1) & mask; slots[i].row_id != NO_ROW; i = (i + 1) & mask) {
    uint32_t home = slots[i].tag & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    slots[hole] = slots[i];
    hole = i;
  }
  slots[hole] = (struct index_slot){.tag = NO_ROW, .row_id = NO_ROW};
  segment->count--;
}

bool wr_index_free_some(struct index *index, struct wr_backend *backend, uint32_t *blocks) {
  if (index->directory == NULL) return true;
  size_t entries = (size_t)1 << index->depth;
  /* From the back, for the entries of one segment lie side by side; what was freed is NULL. */
  size_t end = entries;
  while (end > 0 && index->directory[end - 1] == NULL)
    end--;
  while (end > 0 && *blocks > 0) {
    struct index_segment *segment = index->directory[end - 1];
    while (end > 0 && index->directory[end - 1] == segment)
      index->directory[--end] = NULL;
    wr_state_release(backend, segment, segment_bytes(index->slot_mask + 1));
    --*blocks;
  }
  if (end > 0) return false;
  wr_state_release(backend, index->directory, entries * sizeof *index->directory);
  *index = (struct index){0};
  return true;
}
