/* base/test_memory.h: a memory for tests that knows its living blocks and fails when told to. Any thread.
 *
 * Use: test_memory_init(&memory); give &memory.memory to the code under test; test_memory_fail_after(&memory, n, ...)
 * makes the allocation number n from now (counted from 1) fail, and all after it with `for_ever`. At the end
 * memory.living_count is the number of blocks that leaked; test_memory_drop_all frees them, as a killed engine's heap
 * is.
 */
#ifndef WR_BASE_TEST_MEMORY_H
#define WR_BASE_TEST_MEMORY_H

#include "base/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* In front of each block; the living ones form a ring. */
struct test_memory_block {
  struct test_memory_block *next, *previous;
  size_t bytes;
  uint64_t tag;
};
_Static_assert(sizeof(struct test_memory_block) % 16 == 0, "blocks stay aligned");

struct test_memory {
  struct wr_memory memory;
  pthread_mutex_t lock;            /* guards all below */
  struct test_memory_block living; /* the ring's own node */
  uint64_t living_count;
  uint64_t living_bytes;
  uint64_t allocations; /* asked for since init, failed ones too; a resize counts */
  uint64_t failures;    /* of these, how many were refused */
  uint64_t countdown;   /* 0: none fails; n: the n-th from now fails */
  bool for_ever;        /* and so do all after it */
};

/* Under the lock. */
static inline bool test_memory_refuses(struct test_memory *test) {
  test->allocations++;
  if (test->countdown == 0 || (test->countdown > 1 && --test->countdown != 0)) return false;
  if (!test->for_ever) test->countdown = 0;
  test->failures++;
  return true;
}

static inline void test_memory_link(struct test_memory *test, struct test_memory_block *block) {
  block->next = &test->living;
  block->previous = test->living.previous;
  block->previous->next = block;
  test->living.previous = block;
  test->living_count++;
  test->living_bytes += block->bytes;
  atomic_fetch_add(&test->memory.tag_bytes[block->tag], block->bytes);
}

static inline void test_memory_unlink(struct test_memory *test, struct test_memory_block *block) {
  block->next->previous = block->previous;
  block->previous->next = block->next;
  test->living_count--;
  test->living_bytes -= block->bytes;
  atomic_fetch_sub(&test->memory.tag_bytes[block->tag], block->bytes);
}

static inline void *test_memory_allocate(struct wr_memory *memory, size_t bytes, enum wr_memory_tag tag) {
  struct test_memory *test = (struct test_memory *)memory;
  pthread_mutex_lock(&test->lock);
  struct test_memory_block *block = NULL;
  if (!test_memory_refuses(test) && bytes <= SIZE_MAX - sizeof *block) block = malloc(sizeof *block + bytes);
  if (block != NULL) {
    block->bytes = bytes;
    block->tag = tag;
    test_memory_link(test, block);
    memset(block + 1, 0xa5, bytes); /* so that nobody leans on zeros */
  }
  pthread_mutex_unlock(&test->lock);
  return block == NULL ? NULL : block + 1;
}

static inline void test_memory_release(struct wr_memory *memory, void *data) {
  struct test_memory *test = (struct test_memory *)memory;
  struct test_memory_block *block = (struct test_memory_block *)data - 1;
  pthread_mutex_lock(&test->lock);
  test_memory_unlink(test, block);
  free(block);
  pthread_mutex_unlock(&test->lock);
}

/* Always moves, so that a pointer kept across a resize is found by the sanitizer. */
static inline void *test_memory_resize(struct wr_memory *memory, void *data, size_t bytes) {
  const struct test_memory_block *block = (const struct test_memory_block *)data - 1;
  void *moved = test_memory_allocate(memory, bytes, (enum wr_memory_tag)block->tag);
  if (moved == NULL) return NULL;
  memcpy(moved, data, bytes < block->bytes ? bytes : block->bytes);
  test_memory_release(memory, data);
  return moved;
}

static inline void test_memory_init(struct test_memory *test) {
  memset(test, 0, sizeof *test);
  test->memory.allocate = test_memory_allocate;
  test->memory.resize = test_memory_resize;
  test->memory.release = test_memory_release;
  pthread_mutex_init(&test->lock, NULL);
  test->living.next = test->living.previous = &test->living;
}

/* n = 0: none fails any more. */
static inline void test_memory_fail_after(struct test_memory *test, uint64_t n, bool for_ever) {
  pthread_mutex_lock(&test->lock);
  test->countdown = n;
  test->for_ever = for_ever;
  pthread_mutex_unlock(&test->lock);
}

/* Frees every living block; what pointed into them must not be used again. */
static inline void test_memory_drop_all(struct test_memory *test) {
  while (test->living.next != &test->living)
    test_memory_release(&test->memory, test->living.next + 1);
}

#endif
