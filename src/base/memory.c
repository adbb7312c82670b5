/* base/memory.c: malloc behind the memory seam. Each block is preceded by 16 bytes: its length and its tag, which also
 * says whether it came from the source of large state. Any thread. */
#include "base/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { OF_SOURCE = 0x100 }; /* beside the tag */

struct block_header {
  uint64_t bytes;
  uint64_t tag;
};
_Static_assert(sizeof(struct block_header) == 16, "the header keeps the alignment of malloc");

static enum wr_memory_tag tag_of(const struct block_header *header) {
  return (enum wr_memory_tag)(header->tag & ~(uint64_t)OF_SOURCE);
}

static bool heap_reserve(struct wr_heap_memory *heap, uint64_t bytes) {
  uint64_t total = atomic_fetch_add_explicit(&heap->total_bytes, bytes, memory_order_relaxed) + bytes;
  if (heap->budget_bytes != 0 && total > heap->budget_bytes) {
    atomic_fetch_sub_explicit(&heap->total_bytes, bytes, memory_order_relaxed);
    return false;
  }
  return true;
}

/* NULL: malloc is asked. */
static struct block_header *take_large(struct wr_heap_memory *heap, size_t bytes, enum wr_memory_tag tag) {
  struct wr_block_source *source = heap->large_state;
  if (source == NULL || tag != WR_MEMORY_STATE || bytes < source->block_bytes_min || bytes > source->block_bytes_max ||
      atomic_load_explicit(&heap->memory.tag_bytes[tag], memory_order_relaxed) < source->state_bytes_min)
    return NULL;
  return source->take(source, bytes);
}

static void *heap_allocate(struct wr_memory *memory, size_t bytes, enum wr_memory_tag tag) {
  struct wr_heap_memory *heap = (struct wr_heap_memory *)memory;
  if (bytes > SIZE_MAX - sizeof(struct block_header) || !heap_reserve(heap, bytes)) return NULL;
  struct block_header *header = take_large(heap, sizeof *header + bytes, tag);
  bool is_of_source = header != NULL;
  if (header == NULL) header = malloc(sizeof *header + bytes);
  if (header == NULL) {
    atomic_fetch_sub_explicit(&heap->total_bytes, bytes, memory_order_relaxed);
    return NULL;
  }
  header->bytes = bytes;
  header->tag = is_of_source ? (uint64_t)tag | OF_SOURCE : tag;
  atomic_fetch_add_explicit(&memory->tag_bytes[tag], bytes, memory_order_relaxed);
  return header + 1;
}

static void heap_release(struct wr_memory *memory, void *block) {
  struct wr_heap_memory *heap = (struct wr_heap_memory *)memory;
  struct block_header *header = (struct block_header *)block - 1;
  atomic_fetch_sub_explicit(&heap->total_bytes, header->bytes, memory_order_relaxed);
  atomic_fetch_sub_explicit(&memory->tag_bytes[tag_of(header)], header->bytes, memory_order_relaxed);
  if ((header->tag & OF_SOURCE) != 0)
    heap->large_state->give(heap->large_state, header);
  else
    free(header);
}

static void *move_block(struct wr_memory *memory, struct block_header *header, size_t bytes) {
  void *moved = heap_allocate(memory, bytes, tag_of(header));
  if (moved == NULL) return NULL;
  memcpy(moved, header + 1, bytes < header->bytes ? bytes : (size_t)header->bytes);
  heap_release(memory, header + 1);
  return moved;
}

static void *heap_resize(struct wr_memory *memory, void *block, size_t bytes) {
  struct wr_heap_memory *heap = (struct wr_heap_memory *)memory;
  struct block_header *header = (struct block_header *)block - 1;
  uint64_t before = header->bytes;
  if ((header->tag & OF_SOURCE) != 0) return move_block(memory, header, bytes);
  if (bytes > SIZE_MAX - sizeof *header || (bytes > before && !heap_reserve(heap, bytes - before))) return NULL;
  struct block_header *moved = realloc(header, sizeof *header + bytes);
  if (moved == NULL) {
    if (bytes > before) atomic_fetch_sub_explicit(&heap->total_bytes, bytes - before, memory_order_relaxed);
    return NULL;
  }
  if (bytes < before) atomic_fetch_sub_explicit(&heap->total_bytes, before - bytes, memory_order_relaxed);
  moved->bytes = bytes;
  atomic_fetch_add_explicit(&memory->tag_bytes[moved->tag], bytes - before, memory_order_relaxed);
  return moved + 1;
}

void wr_heap_memory_init(struct wr_heap_memory *heap, uint64_t budget_bytes) {
  memset(heap, 0, sizeof *heap);
  heap->memory.allocate = heap_allocate;
  heap->memory.resize = heap_resize;
  heap->memory.release = heap_release;
  heap->budget_bytes = budget_bytes;
}

void *wr_alloc_zeroed(struct wr_memory *memory, size_t count, size_t bytes, enum wr_memory_tag tag) {
  if (bytes != 0 && count > SIZE_MAX / bytes) return NULL;
  void *block = wr_alloc(memory, count * bytes, tag);
  if (block != NULL) memset(block, 0, count * bytes);
  return block;
}

void *wr_resize(struct wr_memory *memory, void *block, size_t bytes, enum wr_memory_tag tag) {
  return block == NULL ? wr_alloc(memory, bytes, tag) : memory->resize(memory, block, bytes);
}

void *wr_copy_bytes(struct wr_memory *memory, const void *bytes, size_t length, enum wr_memory_tag tag) {
  char *copy = wr_alloc(memory, length + 1, tag);
  if (copy == NULL) return NULL;
  if (length != 0) memcpy(copy, bytes, length);
  copy[length] = 0;
  return copy;
}

char *wr_copy_string(struct wr_memory *memory, const char *string, enum wr_memory_tag tag) {
  return wr_copy_bytes(memory, string, strlen(string), tag);
}

const char *wr_memory_tag_text(enum wr_memory_tag tag) {
  static const char *const texts[] = {
#define TAG_TEXT(name, text) text,
      WR_MEMORY_TAGS(TAG_TEXT)
#undef TAG_TEXT
  };
  return texts[tag];
}
