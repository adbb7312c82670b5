/* Tests of os/large_blocks.c behind the heap: blocks keep what is written into them, chunks go when they are empty. */
#include "base/random.h"
#include "base/test.h"
#include "os/large_blocks.h"
#include "os/thread.h"

enum { PLACES = 600, STEPS = 60000, BYTES_MAX = 70000, THREADS = 3 };

struct fixture {
  struct wr_heap_memory heap;
  struct wr_large_blocks blocks;
};

/* Any state counts as large. */
static void set_up(struct fixture *fixture, uint64_t budget_bytes) {
  wr_heap_memory_init(&fixture->heap, budget_bytes);
  wr_large_blocks_init(&fixture->blocks);
  fixture->blocks.source.state_bytes_min = 0;
  fixture->heap.large_state = &fixture->blocks.source;
}

static bool is_filled(const uint8_t *block, size_t bytes, uint8_t with) {
  for (size_t i = 0; i < bytes; i++)
    if (block[i] != with) return false;
  return true;
}

/* Takes, resizes and gives back at random; sizes around the limits too. */
struct user {
  struct wr_thread thread;
  struct wr_memory *memory;
  struct wr_random random;
  bool is_right;
};
static void use(void *argument) {
  struct user *user = argument;
  static _Thread_local struct {
    uint8_t *block;
    size_t bytes;
    uint8_t with;
  } places[PLACES];
  for (uint32_t step = 0; step < STEPS; step++) {
    size_t i = (size_t)wr_random_below(&user->random, PLACES), old = places[i].bytes;
    size_t bytes = 1 + (size_t)wr_random_below(&user->random, wr_random_one_in(&user->random, 3) ? BYTES_MAX : 5000);
    uint8_t *block = places[i].block;
    if (block != NULL && !is_filled(block, old, places[i].with)) user->is_right = false;
    if (block != NULL && !wr_random_one_in(&user->random, 4)) {
      wr_free(user->memory, block);
      places[i].block = NULL;
      continue;
    }
    enum wr_memory_tag tag = wr_random_one_in(&user->random, 8) ? WR_MEMORY_BATCH : WR_MEMORY_STATE;
    uint8_t *moved = wr_resize(user->memory, block, bytes, tag);
    if (moved == NULL || (uintptr_t)moved % 16 != 0) user->is_right = false;
    if (moved == NULL) continue;
    if (block != NULL && !is_filled(moved, old < bytes ? old : bytes, places[i].with)) user->is_right = false;
    places[i].block = moved;
    places[i].bytes = bytes;
    places[i].with = (uint8_t)wr_random_next(&user->random);
    memset(moved, places[i].with, bytes);
  }
  for (size_t i = 0; i < PLACES; i++) {
    wr_free(user->memory, places[i].block);
    places[i].block = NULL;
  }
}

TEST(blocks_keep_their_bytes) {
  struct fixture fixture;
  set_up(&fixture, 0);
  struct user users[THREADS];
  struct weir_error error;
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < THREADS; i++) {
    users[i] =
        (struct user){.memory = &fixture.heap.memory, .random = wr_random_of(seed + i * 1000003), .is_right = true};
    CHECK_INT(wr_thread_start(&users[i].thread, "user", use, &users[i], &error), WEIR_OK);
  }
  for (int i = 0; i < THREADS; i++)
    wr_thread_join(&users[i].thread);
  for (int i = 0; i < THREADS; i++)
    CHECK(users[i].is_right);
  CHECK_INT(fixture.heap.total_bytes, 0);
  CHECK_INT(fixture.heap.memory.tag_bytes[WR_MEMORY_STATE], 0);
  CHECK_INT(fixture.heap.memory.tag_bytes[WR_MEMORY_BATCH], 0);
  CHECK_INT(fixture.blocks.chunk_count, 0);
  CHECK(fixture.blocks.reserve == NULL);
  wr_large_blocks_deinit(&fixture.blocks);
}

TEST(only_large_state_is_cut) {
  struct fixture fixture;
  set_up(&fixture, 1 << 20);
  struct wr_memory *memory = &fixture.heap.memory;
  void *small = wr_alloc(memory, 100, WR_MEMORY_STATE), *other = wr_alloc(memory, 5000, WR_MEMORY_BATCH);
  CHECK_INT(fixture.blocks.chunk_count, 0);
  fixture.blocks.source.state_bytes_min = 1000;
  void *early = wr_alloc(memory, 5000, WR_MEMORY_STATE);
  CHECK_INT(fixture.blocks.chunk_count, 0);
  void *late = wr_alloc(memory, 5000, WR_MEMORY_STATE);
  CHECK_INT(fixture.blocks.chunk_count, 1);
  CHECK(wr_alloc(memory, (1 << 20) - 15000, WR_MEMORY_STATE) == NULL); /* the budget counts all */
  CHECK(memory->resize(memory, late, 1 << 20) == NULL);                /* and the old one stays */
  late = memory->resize(memory, late, 100);
  CHECK_INT(fixture.blocks.chunk_count, 0);
  wr_free(memory, small);
  wr_free(memory, other);
  wr_free(memory, early);
  wr_free(memory, late);
  CHECK_INT(fixture.heap.total_bytes, 0);
  wr_large_blocks_deinit(&fixture.blocks);
}

/* The chunks of a class are filled, then emptied in the same order, while one of another class stays. */
TEST(one_chunk_is_kept_in_reserve) {
  struct fixture fixture;
  set_up(&fixture, 0);
  struct wr_memory *memory = &fixture.heap.memory;
  void *blocks[500], *other = wr_alloc(memory, 2000, WR_MEMORY_STATE);
  for (size_t i = 0; i < 500; i++)
    blocks[i] = wr_alloc(memory, 16000, WR_MEMORY_STATE);
  CHECK_INT(fixture.blocks.chunk_count, 5); /* 129 blocks of 16,128 bytes each, and the other's */
  for (size_t i = 0; i < 500; i++)
    wr_free(memory, blocks[i]);
  CHECK_INT(fixture.blocks.chunk_count, 1);
  CHECK(fixture.blocks.reserve != NULL);
  wr_free(memory, wr_alloc(memory, 60000, WR_MEMORY_STATE)); /* taken from it, and put there again */
  CHECK(fixture.blocks.reserve != NULL);
  wr_free(memory, other);
  CHECK(fixture.blocks.reserve == NULL);
  wr_large_blocks_deinit(&fixture.blocks);
}

TEST_MAIN(TEST_CASE(blocks_keep_their_bytes), TEST_CASE(only_large_state_is_cut),
          TEST_CASE(one_chunk_is_kept_in_reserve))
