/* state/blobs.c: see blobs.h. Pools belong to one table; the task's thread. */
#include "state/internal.h"

struct blob_chunk {
  struct blob_chunk *next;
  size_t bytes; /* of the whole block */
  size_t used;  /* of `data` */
  _Alignas(16) uint8_t data[];
};

/* A blob too large for the classes; the blob itself begins at `blob`. */
struct blob_large {
  struct blob_large *next, *previous;
  size_t bytes;
  struct blob blob;
};

struct blob_list {
  struct blob *first, *last;
};
struct blob_lists {
  struct blob *unused[BLOB_CLASSES];
  struct blob_list held[BLOB_CLASSES];
  struct blob *held_large;
};

/* 16, 32 .. 128, then 160, 192, 224, 256, 320 ... 4096. */
static uint32_t class_of(size_t bytes) {
  if (bytes <= 128) return (uint32_t)((bytes + 15) / 16 - 1);
  uint32_t doubling = 63 - (uint32_t)__builtin_clzll(bytes - 1); /* bytes are in (2^doubling, 2^(doubling + 1)] */
  return 8 + (doubling - 7) * 4 + (uint32_t)((bytes - 1 - ((size_t)1 << doubling)) >> (doubling - 2));
}

static size_t class_bytes(uint32_t class) {
  if (class < 8) return (size_t)(class + 1) * 16;
  uint32_t doubling = 7 + (class - 8) / 4;
  return ((size_t)1 << doubling) + (size_t)((class - 8) % 4 + 1) * ((size_t)1 << (doubling - 2));
}

void wr_blobs_init(struct blob_pool *pool, struct wr_backend *backend) {
  *pool = (struct blob_pool){.backend = backend};
}

static void free_large(struct blob_pool *pool, struct blob_large *large) {
  if (large->next == large) {
    pool->large = NULL;
  } else {
    large->next->previous = large->previous;
    large->previous->next = large->next;
    if (pool->large == large) pool->large = large->next;
  }
  wr_state_release(pool->backend, large, large->bytes);
}

bool wr_blobs_free_some(struct blob_pool *pool, uint32_t *blocks) {
  for (; *blocks > 0 && pool->large != NULL; --*blocks)
    free_large(pool, pool->large);
  for (; *blocks > 0 && pool->chunks != NULL; --*blocks) {
    struct blob_chunk *chunk = pool->chunks;
    pool->chunks = chunk->next;
    wr_state_release(pool->backend, chunk, chunk->bytes);
  }
  if (pool->large != NULL || pool->chunks != NULL) return false;
  wr_state_release(pool->backend, pool->lists, sizeof *pool->lists);
  pool->lists = NULL;
  return true;
}

static struct blob *take_large(struct blob_pool *pool, uint32_t length) {
  size_t bytes = sizeof(struct blob_large) + length;
  struct blob_large *large = wr_state_alloc(pool->backend, bytes, WR_MEMORY_STATE);
  if (large == NULL) return NULL;
  large->bytes = bytes;
  large->next = large->previous = large;
  if (pool->large != NULL) {
    large->next = pool->large;
    large->previous = pool->large->previous;
    large->previous->next = large;
    pool->large->previous = large;
  }
  pool->large = large;
  return &large->blob;
}

static struct blob_chunk *add_chunk(struct blob_pool *pool) {
  size_t bytes = pool->chunks == NULL ? BLOB_CHUNK_FIRST_BYTES : BLOB_CHUNK_BYTES;
  struct blob_chunk *chunk = wr_state_alloc(pool->backend, bytes, WR_MEMORY_STATE);
  if (chunk == NULL) return NULL;
  *chunk = (struct blob_chunk){.next = pool->chunks, .bytes = bytes};
  pool->chunks = chunk;
  return chunk;
}

struct blob *wr_blobs_take(struct blob_pool *pool, uint32_t length) {
  if (pool->lists == NULL) {
    pool->lists = wr_state_alloc(pool->backend, sizeof *pool->lists, WR_MEMORY_STATE);
    if (pool->lists == NULL) return NULL;
    memset(pool->lists, 0, sizeof *pool->lists);
  }
  size_t bytes = sizeof(struct blob) + (size_t)length;
  if (bytes > BLOB_CLASS_BYTES_MAX) return take_large(pool, length);
  uint32_t class = class_of(bytes);
  struct blob *blob = pool->lists->unused[class];
  if (blob != NULL) {
    pool->lists->unused[class] = blob->next;
    return blob;
  }
  bytes = class_bytes(class);
  struct blob_chunk *chunk = pool->chunks;
  if (chunk == NULL || chunk->bytes - sizeof *chunk - chunk->used < bytes) chunk = add_chunk(pool);
  if (chunk == NULL) return NULL;
  blob = (struct blob *)(void *)(chunk->data + chunk->used);
  chunk->used += bytes;
  return blob;
}

static struct blob_large *large_of(struct blob *blob) {
  return (struct blob_large *)(void *)((uint8_t *)blob - offsetof(struct blob_large, blob));
}

void wr_blobs_give(struct blob_pool *pool, struct blob *blob, uint32_t length, bool is_held) {
  struct blob_lists *lists = pool->lists;
  size_t bytes = sizeof(struct blob) + (size_t)length;
  if (bytes > BLOB_CLASS_BYTES_MAX) {
    if (is_held) {
      blob->next = lists->held_large;
      lists->held_large = blob;
    } else {
      free_large(pool, large_of(blob));
    }
    return;
  }
  uint32_t class = class_of(bytes);
  if (!is_held) {
    blob->next = lists->unused[class];
    lists->unused[class] = blob;
    return;
  }
  struct blob_list *held = &lists->held[class];
  blob->next = held->first;
  held->first = blob;
  if (held->last == NULL) held->last = blob;
}

void wr_blobs_release_held(struct blob_pool *pool) {
  struct blob_lists *lists = pool->lists;
  if (lists == NULL) return;
  for (uint32_t class = 0; class < BLOB_CLASSES; class ++) {
    struct blob_list *held = &lists->held[class];
    if (held->first == NULL) continue;
    held->last->next = lists->unused[class];
    lists->unused[class] = held->first;
    *held = (struct blob_list){0};
  }
  while (lists->held_large != NULL) {
    struct blob *blob = lists->held_large;
    lists->held_large = blob->next;
    free_large(pool, large_of(blob));
  }
}
