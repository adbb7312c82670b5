/* os/large_blocks.c: see large_blocks.h. A chunk begins with its own struct and is aligned to its size, so that a block
 * finds its chunk by its address. */
#include "os/large_blocks.h"

#include "base/error.h"

#include <string.h>
#include <sys/mman.h>

enum {
  CHUNK_BYTES = 2 * 1024 * 1024,
  BLOCK_BYTES_MIN = 1024,
  BLOCK_BYTES_MAX = 64 * 1024,
  CLASS_STEP_BYTES = BLOCK_BYTES_MAX / WR_LARGE_BLOCK_CLASSES, /* from one class to the next */
  STATE_BYTES_MIN = 32 * 1024 * 1024,
};

struct wr_large_chunk {
  struct wr_large_chunk *next, *previous; /* of the chunks of its class that have room */
  void *given_back;                       /* blocks, linked through their first 8 bytes */
  uint32_t class;
  uint32_t block_count; /* living */
  uint32_t fresh;       /* where the part begins that was never used */
  uint32_t unused[7];
};
_Static_assert(sizeof(struct wr_large_chunk) == 64, "blocks begin at a line of the cache");

static struct wr_large_chunk *map_chunk(void) {
  char *place = mmap(NULL, 2 * (size_t)CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) return NULL;
  size_t before = -(size_t)(uintptr_t)place & (CHUNK_BYTES - 1);
  if (before != 0) munmap(place, before);
  munmap(place + before + CHUNK_BYTES, CHUNK_BYTES - before);
  madvise(place + before, CHUNK_BYTES, MADV_HUGEPAGE); /* a wish */
  return (struct wr_large_chunk *)(void *)(place + before);
}

static uint32_t class_bytes(uint32_t class) {
  return (class + 1) * CLASS_STEP_BYTES;
}

static bool is_full(const struct wr_large_chunk *chunk) {
  return chunk->given_back == NULL && chunk->fresh + class_bytes(chunk->class) > CHUNK_BYTES;
}

static void link_chunk(struct wr_large_blocks *blocks, struct wr_large_chunk *chunk) {
  struct wr_large_chunk **first = &blocks->with_room[chunk->class];
  chunk->previous = NULL;
  chunk->next = *first;
  if (*first != NULL) (*first)->previous = chunk;
  *first = chunk;
}

static void unlink_chunk(struct wr_large_blocks *blocks, struct wr_large_chunk *chunk) {
  if (chunk->next != NULL) chunk->next->previous = chunk->previous;
  if (chunk->previous != NULL)
    chunk->previous->next = chunk->next;
  else
    blocks->with_room[chunk->class] = chunk->next;
}

/* The chunk that gives the next block of a class. */
static struct wr_large_chunk *present_chunk(struct wr_large_blocks *blocks, uint32_t class) {
  if (blocks->with_room[class] != NULL) return blocks->with_room[class];
  struct wr_large_chunk *chunk = blocks->reserve;
  blocks->reserve = NULL;
  if (chunk == NULL) chunk = map_chunk();
  if (chunk == NULL) return NULL;
  *chunk = (struct wr_large_chunk){.class = class, .fresh = sizeof *chunk};
  link_chunk(blocks, chunk);
  blocks->chunk_count++;
  return chunk;
}

static void *take(struct wr_block_source *source, size_t bytes) {
  struct wr_large_blocks *blocks = (struct wr_large_blocks *)source;
  WR_ASSERT(bytes >= BLOCK_BYTES_MIN && bytes <= BLOCK_BYTES_MAX);
  uint32_t class = (uint32_t)((bytes - 1) / CLASS_STEP_BYTES);
  void *block = NULL;
  pthread_mutex_lock(&blocks->lock);
  struct wr_large_chunk *chunk = present_chunk(blocks, class);
  if (chunk != NULL) {
    block = chunk->given_back;
    if (block != NULL) {
      memcpy(&chunk->given_back, block, sizeof chunk->given_back);
    } else {
      block = (char *)chunk + chunk->fresh;
      chunk->fresh += class_bytes(class);
    }
    chunk->block_count++;
    if (is_full(chunk)) unlink_chunk(blocks, chunk);
  }
  pthread_mutex_unlock(&blocks->lock);
  return block;
}

static void end_reserve(struct wr_large_blocks *blocks) {
  if (blocks->reserve != NULL) munmap(blocks->reserve, CHUNK_BYTES);
  blocks->reserve = NULL;
}

static void give(struct wr_block_source *source, void *block) {
  struct wr_large_blocks *blocks = (struct wr_large_blocks *)source;
  struct wr_large_chunk *chunk = (struct wr_large_chunk *)((uintptr_t)block & ~(uintptr_t)(CHUNK_BYTES - 1));
  pthread_mutex_lock(&blocks->lock);
  if (is_full(chunk)) link_chunk(blocks, chunk);
  memcpy(block, &chunk->given_back, sizeof chunk->given_back);
  chunk->given_back = block;
  if (--chunk->block_count == 0) {
    unlink_chunk(blocks, chunk);
    end_reserve(blocks);
    blocks->reserve = chunk;
    if (--blocks->chunk_count == 0) end_reserve(blocks);
  }
  pthread_mutex_unlock(&blocks->lock);
}

void wr_large_blocks_init(struct wr_large_blocks *blocks) {
  memset(blocks, 0, sizeof *blocks);
  blocks->source = (struct wr_block_source){.take = take,
                                            .give = give,
                                            .block_bytes_min = BLOCK_BYTES_MIN,
                                            .block_bytes_max = BLOCK_BYTES_MAX,
                                            .state_bytes_min = STATE_BYTES_MIN};
  pthread_mutex_init(&blocks->lock, NULL);
}

void wr_large_blocks_deinit(struct wr_large_blocks *blocks) {
  WR_ASSERT(blocks->chunk_count == 0 && blocks->reserve == NULL);
  pthread_mutex_destroy(&blocks->lock);
}
