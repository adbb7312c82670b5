/* sim/sim_memory.c: see sim_memory.h. A block is a header, the bytes, and a zone of 16 known bytes behind them; all
 * living blocks are a doubly linked list, newest first. One thread. */
#include "sim/sim_memory.h"

#include "base/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ZONE_BYTES = 16, FRESH_BYTE = 0xcd, FREED_BYTE = 0xdd, ZONE_BYTE = 0xfd };

struct sim_memory_block {
  struct sim_memory_block *newer, *older;
  uint64_t bytes;
  uint64_t serial; /* the allocation's number */
  uint64_t tag;
  uint64_t living; /* LIVING while it is */
};
_Static_assert(sizeof(struct sim_memory_block) % 16 == 0, "the header keeps the alignment of malloc");

static const uint64_t LIVING = 0x6c6976696e67u;

static unsigned char *block_bytes(struct sim_memory_block *block) {
  return (unsigned char *)(block + 1);
}

static struct sim_memory_block *block_of(void *bytes) {
  struct sim_memory_block *block = (struct sim_memory_block *)bytes - 1;
  WR_ASSERT(block->living == LIVING);
  return block;
}

static bool allocation_fails(struct sim_memory *memory, uint64_t more_bytes) {
  memory->allocations++;
  bool fails = memory->fail_at != 0 && (memory->allocations == memory->fail_at ||
                                        (memory->fail_for_ever && memory->allocations > memory->fail_at));
  fails = fails || (memory->budget_bytes != 0 && memory->bytes + more_bytes > memory->budget_bytes);
  if (fails) memory->failures++;
  return fails;
}

static void account(struct sim_memory *memory, uint64_t tag, uint64_t more, uint64_t less) {
  memory->bytes = memory->bytes + more - less;
  if (memory->bytes > memory->bytes_peak) memory->bytes_peak = memory->bytes;
  atomic_fetch_add_explicit(&memory->memory.tag_bytes[tag], more - less, memory_order_relaxed);
}

static void *block_new(struct sim_memory *memory, size_t bytes, uint64_t tag) {
  if (bytes > SIZE_MAX - sizeof(struct sim_memory_block) - ZONE_BYTES) return NULL;
  struct sim_memory_block *block = malloc(sizeof *block + bytes + ZONE_BYTES);
  if (block == NULL) return NULL;
  *block = (struct sim_memory_block){
      .older = memory->newest, .bytes = bytes, .serial = memory->allocations, .tag = tag, .living = LIVING};
  if (memory->newest != NULL) memory->newest->newer = block;
  memory->newest = block;
  memset(block_bytes(block), FRESH_BYTE, bytes);
  memset(block_bytes(block) + bytes, ZONE_BYTE, ZONE_BYTES);
  memory->blocks++;
  account(memory, tag, bytes, 0);
  return block_bytes(block);
}

static void block_free(struct sim_memory *memory, struct sim_memory_block *block) {
  for (size_t i = 0; i < ZONE_BYTES; i++)
    WR_ASSERT(block_bytes(block)[block->bytes + i] == ZONE_BYTE); /* else somebody wrote behind the block */
  if (block->newer != NULL)
    block->newer->older = block->older;
  else
    memory->newest = block->older;
  if (block->older != NULL) block->older->newer = block->newer;
  memory->blocks--;
  account(memory, block->tag, 0, block->bytes);
  block->living = 0;
  memset(block_bytes(block), FREED_BYTE, block->bytes);
  free(block);
}

static void *memory_allocate(struct wr_memory *table, size_t bytes, enum wr_memory_tag tag) {
  struct sim_memory *memory = (struct sim_memory *)table;
  WR_ASSERT(tag < WR_MEMORY_TAG_COUNT);
  if (allocation_fails(memory, bytes)) return NULL;
  return block_new(memory, bytes, tag);
}

/* Always moves, so that a pointer kept over a resize is found. */
static void *memory_resize(struct wr_memory *table, void *bytes, size_t new_bytes) {
  struct sim_memory *memory = (struct sim_memory *)table;
  struct sim_memory_block *block = block_of(bytes);
  if (allocation_fails(memory, new_bytes > block->bytes ? new_bytes - block->bytes : 0)) return NULL;
  void *moved = block_new(memory, new_bytes, block->tag);
  if (moved == NULL) return NULL;
  memcpy(moved, bytes, new_bytes < block->bytes ? new_bytes : block->bytes);
  block_free(memory, block);
  return moved;
}

static void memory_release(struct wr_memory *table, void *bytes) {
  block_free((struct sim_memory *)table, block_of(bytes));
}

void sim_memory_init(struct sim_memory *memory) {
  memset(memory, 0, sizeof *memory);
  memory->memory.allocate = memory_allocate;
  memory->memory.resize = memory_resize;
  memory->memory.release = memory_release;
}

void sim_memory_deinit(struct sim_memory *memory) {
  sim_memory_drop_all(memory);
}

void sim_memory_fail_nth(struct sim_memory *memory, uint64_t n, bool for_ever) {
  memory->fail_at = n == 0 ? 0 : memory->allocations + n;
  memory->fail_for_ever = for_ever;
}

void sim_memory_drop_all(struct sim_memory *memory) {
  while (memory->newest != NULL)
    block_free(memory, memory->newest);
}

uint64_t sim_memory_report(const struct sim_memory *memory, FILE *out) {
  for (struct sim_memory_block *block = memory->newest; block != NULL; block = block->older) {
    fprintf(out, "living block: allocation %" PRIu64 ", %" PRIu64 " bytes, %s:", block->serial, block->bytes,
            wr_memory_tag_text((enum wr_memory_tag)block->tag));
    for (size_t i = 0; i < block->bytes && i < 16; i++)
      fprintf(out, " %02x", block_bytes(block)[i]);
    fputc('\n', out);
  }
  return memory->blocks;
}
