/* base/memory.c: malloc behind the memory seam. Each block is preceded by 16 bytes: its length and its tag. Any thread.
 */
#include "base/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

struct block_header {
  uint64_t bytes;
  uint64_t tag;
};
_Static_assert(sizeof(struct block_header) == 16, "the header keeps the alignment of malloc");

static bool heap_reserve(struct wr_heap_memory *heap, uint64_t bytes) {
  uint64_t total = atomic_fetch_add_explicit(&heap->total_bytes, bytes, memory_order_relaxed) + bytes;
  if (heap->budget_bytes != 0 && total > heap->budget_bytes) {
    atomic_fetch_sub_explicit(&heap->total_bytes, bytes, memory_order_relaxed);
    return false;
  }
  return true;
}

static void *heap_allocate(struct wr_memory *memory, size_t bytes, enum wr_memory_tag tag) {
  struct wr_heap_memory *heap = (struct wr_heap_memory *)memory;
  if (bytes > SIZE_MAX - sizeof(struct block_header) || !heap_reserve(heap, bytes)) return NULL;
  struct block_header *header = malloc(sizeof *header + bytes);
  if (header == NULL) {
    atomic_fetch_sub_explicit(&heap->total_bytes, bytes, memory_order_relaxed);
    return NULL;
  }
  header->bytes = bytes;
  header->tag = tag;
  atomic_fetch_add_explicit(&memory->tag_bytes[tag], bytes, memory_order_relaxed);
  return header + 1;
}

static void heap_release(struct wr_memory *memory, void *block) {
  struct wr_heap_memory *heap = (struct wr_heap_memory *)memory;
  struct block_header *header = (struct block_header *)block - 1;
  atomic_fetch_sub_explicit(&heap->total_bytes, header->bytes, memory_order_relaxed);
  atomic_fetch_sub_explicit(&memory->tag_bytes[header->tag], header->bytes, memory_order_relaxed);
  free(header);
}

static void *heap_resize(struct wr_memory *memory, void *block, size_t bytes) {
  struct wr_heap_memory *heap = (struct wr_heap_memory *)memory;
  struct block_header *header = (struct block_header *)block - 1;
  uint64_t before = header->bytes;
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
