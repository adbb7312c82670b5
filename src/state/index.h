/* state/index.h: the hash index of a table: 32-bit tag to row id.
 *
 * Extendible hashing. A *segment* is an open-addressing table of 4,096 slots of 8 bytes; the directory, indexed by the
 * tag's top bits, points to segments; the tag's low bits give the place in the segment. A segment that is full is split
 * alone (about 10 us), and the directory (8 bytes a segment) doubles now and then, so nothing ever stalls for the size
 * of the table. A table's first segment starts with 64 slots and doubles. A tag is half of a seeded hash; who looks up
 * compares keys of rows with an equal tag. The index keeps no order that anybody may see.
 */
#ifndef WR_STATE_INDEX_H
#define WR_STATE_INDEX_H

#include "base/memory.h"

#include <stdbool.h>

struct wr_backend;

#define NO_ROW UINT32_MAX
enum { SEGMENT_SLOTS_FIRST = 64, SEGMENT_SLOTS = 4096 };

struct index_slot {
  uint32_t tag;
  uint32_t row_id; /* NO_ROW: the slot is empty */
};

struct index_segment {
  uint32_t count;
  uint32_t depth; /* how many top bits of the tag all of its rows share */
  uint64_t unused;
  struct index_slot slots[];
};

struct index {
  struct index_segment **directory; /* 1 << depth; NULL until the first row */
  uint32_t depth;
  uint32_t slot_mask; /* slots of every segment - 1 */
};

/* Makes room for one more row with this tag; false without memory (nothing changed). */
bool wr_index_reserve(struct index *index, struct wr_backend *backend, uint32_t tag);
/* Adds a row that is not there, after wr_index_reserve. */
void wr_index_add(struct index *index, uint32_t tag, uint32_t row_id);
/* Removes a row that is there. */
void wr_index_remove(struct index *index, uint32_t tag, uint32_t row_id);
/* Sizes an empty index for about `rows` rows, so that adding them splits little; false without memory. */
bool wr_index_presize(struct index *index, struct wr_backend *backend, uint64_t rows);
/* Frees about `*blocks` segments and lowers that; true when nothing is left. */
bool wr_index_free_some(struct index *index, struct wr_backend *backend, uint32_t *blocks);

static inline struct index_segment *index_segment_of(const struct index *index, uint32_t tag) {
  return index->directory[(uint64_t)tag >> (32 - index->depth)];
}

/* As wr_index_add, into the first empty slot from the tag's own on, which the caller has found. */
static inline void wr_index_add_at(struct index *index, uint32_t tag, uint32_t place, uint32_t row_id) {
  struct index_segment *segment = index_segment_of(index, tag);
  segment->slots[place] = (struct index_slot){.tag = tag, .row_id = row_id};
  segment->count++;
}

#endif
