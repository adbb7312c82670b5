/* state/saved.c: rows that the running snapshot needs as they were, copied before they change. The task's thread.
 *
 * A copy is made while its row is in the caches, for it is about to be changed, and lies where the snapshot finds it
 * without looking: copies go in the order of changes into an open *chunk* of some 4 KiB, laid out as a record. A full
 * chunk waits for the snapshot, which writes it before it goes on with the pages, and is used again then; so few chunks
 * are in use at a time, and those are in the caches. What is saved once is never looked for again: its mark says so.
 */
#include "state/internal.h"

enum { CAPACITY_STEP = 2 };

/* With room for some rows. */
static struct saved_chunk *take_chunk(struct wr_table *table) {
  struct wr_backend *backend = table->backend;
  struct saved_chunk *chunk = backend->spare_chunks;
  const size_t row_bytes = sizeof(uint32_t) + table->state->layout.row_size;
  const size_t least = sizeof *chunk + CAPACITY_STEP * row_bytes;
  if (chunk != NULL && chunk->bytes >= least) {
    backend->spare_chunks = chunk->next;
  } else {
    size_t bytes = SAVED_CHUNK_BYTES < least ? least : SAVED_CHUNK_BYTES;
    chunk = wr_state_alloc(backend, bytes, WR_MEMORY_SNAPSHOT);
    if (chunk == NULL) return NULL;
    chunk->bytes = bytes;
  }
  size_t capacity = (chunk->bytes - sizeof *chunk) / row_bytes;
  if (capacity > PAGE_SLOTS_MAX) capacity = PAGE_SLOTS_MAX;
  *chunk = (struct saved_chunk){.bytes = chunk->bytes, .capacity = (uint32_t)capacity / CAPACITY_STEP * CAPACITY_STEP};
  return chunk;
}

static void copy_row(const struct row_layout *layout, const uint8_t *row, uint8_t *to) {
  memcpy(to, row, layout->row_size);
  for (uint32_t i = 0; i < layout->gap_count; i++)
    memset(to + layout->gaps[i].offset, 0, layout->gaps[i].length);
}

bool wr_saved_add(struct wr_table *table, uint32_t row_id, bool is_live) {
  if (!is_live && table->backend->snapshot.is_base) return true; /* a base has no deletions */
  if (table->open_chunk == NULL) table->open_chunk = take_chunk(table);
  struct saved_chunk *chunk = table->open_chunk;
  if (chunk == NULL) return false;
  uint32_t place = is_live ? chunk->living++ : chunk->capacity - ++chunk->deleted;
  saved_ids(chunk)[place] = row_id;
  if (is_live)
    copy_row(&table->state->layout, row_of(table, row_id),
             saved_rows(chunk) + (size_t)place * table->state->layout.row_size);
  if (chunk->living + chunk->deleted == chunk->capacity) wr_saved_close(table);
  table->backend->snapshot.saved_rows++;
  return true;
}

void wr_saved_close(struct wr_table *table) {
  struct saved_chunk *chunk = table->open_chunk;
  if (chunk == NULL) return;
  if (table->full_chunks == NULL)
    table->full_chunks = chunk;
  else
    table->last_full_chunk->next = chunk;
  table->last_full_chunk = chunk;
  table->open_chunk = NULL;
}

void wr_saved_end_chunk(struct wr_table *table) {
  struct saved_chunk *chunk = table->full_chunks;
  table->full_chunks = chunk->next;
  chunk->next = table->backend->spare_chunks;
  table->backend->spare_chunks = chunk;
}

void wr_saved_end(struct wr_table *table) {
  wr_saved_close(table);
  if (table->full_chunks == NULL) return;
  table->last_full_chunk->next = table->backend->spare_chunks;
  table->backend->spare_chunks = table->full_chunks;
  table->full_chunks = NULL;
}

void wr_saved_free_spare(struct wr_backend *backend, uint32_t *blocks) {
  for (; backend->spare_chunks != NULL && *blocks > 0; --*blocks) {
    struct saved_chunk *chunk = backend->spare_chunks;
    backend->spare_chunks = chunk->next;
    wr_state_release(backend, chunk, chunk->bytes);
  }
}
