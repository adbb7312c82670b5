/* base/memory.h: the memory seam. All memory of an engine comes from one `struct wr_memory`, given at its start.
 *
 * Each allocation names a tag, so that the metrics can say what holds the memory, and can fail: NULL is an answer that
 * every caller handles. Production uses wr_heap_memory below (malloc, accounting per tag, a budget). The simulator has
 * its own, which knows every living block, so that a killed engine's whole heap can be dropped, and can make any
 * allocation fail. Blocks are aligned to 16 bytes. Any thread.
 */
#ifndef WR_BASE_MEMORY_H
#define WR_BASE_MEMORY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, text) */
#define WR_MEMORY_TAGS(X)                                                                                              \
  X(ENGINE, "engine") /* graphs, tasks, small structures */                                                            \
  X(BATCH, "batches")                                                                                                  \
  X(CHANNEL, "channels")                                                                                               \
  X(STATE, "state")        /* rows, pages, indexes */                                                                  \
  X(SNAPSHOT, "snapshots") /* copies made for running snapshots, upload buffers */                                     \
  X(SOURCE, "sources")                                                                                                 \
  X(SINK, "sinks")                                                                                                     \
  X(USER, "operators") /* what a user's operator asks for */

enum wr_memory_tag {
#define WR_MEMORY_TAG_ENUM(name, text) WR_MEMORY_##name,
  WR_MEMORY_TAGS(WR_MEMORY_TAG_ENUM)
#undef WR_MEMORY_TAG_ENUM
      WR_MEMORY_TAG_COUNT
};

struct wr_memory {
  void *(*allocate)(struct wr_memory *memory, size_t bytes, enum wr_memory_tag tag);
  /* As realloc: on failure the old block stays. The tag stays that of the first allocation. */
  void *(*resize)(struct wr_memory *memory, void *block, size_t bytes);
  void (*release)(struct wr_memory *memory, void *block);
  _Atomic uint64_t tag_bytes[WR_MEMORY_TAG_COUNT]; /* living bytes per tag, without the allocator's own overhead */
};

/* Uninitialised memory; NULL when there is none. `bytes` may be 0 (a valid, unique block). */
static inline void *wr_alloc(struct wr_memory *memory, size_t bytes, enum wr_memory_tag tag) {
  return memory->allocate(memory, bytes, tag);
}
/* `count` times `bytes`, zeroed; NULL also when the product overflows. */
void *wr_alloc_zeroed(struct wr_memory *memory, size_t count, size_t bytes, enum wr_memory_tag tag);
/* `block` may be NULL, then `tag` counts. */
void *wr_resize(struct wr_memory *memory, void *block, size_t bytes, enum wr_memory_tag tag);
/* `block` may be NULL. */
static inline void wr_free(struct wr_memory *memory, void *block) {
  if (block != NULL) memory->release(memory, block);
}
/* A copy of a string, or of `length` bytes with a zero after them. */
char *wr_copy_string(struct wr_memory *memory, const char *string, enum wr_memory_tag tag);
void *wr_copy_bytes(struct wr_memory *memory, const void *bytes, size_t length, enum wr_memory_tag tag);
const char *wr_memory_tag_text(enum wr_memory_tag tag);

/* Where the heap takes blocks of large state from instead of malloc (os/large_blocks.h). Any thread. */
struct wr_block_source {
  void *(*take)(struct wr_block_source *source, size_t bytes); /* aligned to 16; NULL: none, malloc is asked */
  void (*give)(struct wr_block_source *source, void *block);
  size_t block_bytes_min, block_bytes_max; /* what it is asked for */
  uint64_t state_bytes_min;                /* while less state lives, malloc is asked */
};

/* malloc with accounting. Above `budget_bytes` (0: none) allocations fail. */
struct wr_heap_memory {
  struct wr_memory memory;
  _Atomic uint64_t total_bytes;
  uint64_t budget_bytes;
  struct wr_block_source *large_state; /* NULL: none. Set before the first block, and there until the last is freed */
};
void wr_heap_memory_init(struct wr_heap_memory *heap, uint64_t budget_bytes);

#endif
