/* state/saved.c: rows that the running snapshot needs as they were, copied before they change. The task's thread.
 *
 * A copy is made while its row is in the caches, for it is about to be changed, and lies where the snapshot finds it
 * without looking: the table's row ids are cut into *ranges* of 65,536, as far as one record reaches, each with an open
 * *chunk* of some 4 KiB that takes copies in the order of changes. A full chunk waits for the snapshot, which writes it
 * as one record before it goes on with the pages, and is used again then; so few chunks are in use at a time, and those
 * are in the caches. What is saved once is never looked for again: its mark says so.
 */
#include "state/internal.h"

static struct saved_chunk *take_chunk(struct wr_table *table, uint32_t first_row) {
  struct wr_backend *backend = table->backend;
  struct saved_chunk *chunk = backend->spare_chunks;
  const size_t row_bytes = 2 * sizeof(uint16_t) + table->state->layout.row_size, slack = sizeof(uint64_t);
  if (chunk != NULL && chunk->bytes >= sizeof *chunk + slack + row_bytes) {
    backend->spare_chunks = chunk->next;
  } else {
    size_t bytes = SAVED_CHUNK_BYTES;
    if (bytes < sizeof *chunk + slack + row_bytes) bytes = sizeof *chunk + slack + row_bytes;
    chunk = wr_state_alloc(backend, bytes, WR_MEMORY_SNAPSHOT);
    if (chunk == NULL) return NULL;
    chunk->bytes = bytes;
  }
  size_t capacity = (chunk->bytes - sizeof *chunk - slack) / row_bytes;
  chunk->next = NULL;
  chunk->first_row = first_row;
  chunk->count = 0;
  chunk->capacity = capacity < PAGE_SLOTS_MAX ? (uint32_t)capacity : PAGE_SLOTS_MAX;
  chunk->rows_offset = (chunk->capacity * 2 * (uint32_t)sizeof(uint16_t) + 7) / 8 * 8;
  return chunk;
}

static bool make_ranges(struct wr_table *table) {
  uint64_t rows = (uint64_t)table->frozen_pages << table->state->page_shift;
  uint32_t count = (uint32_t)(((rows - 1) >> SAVED_RANGE_SHIFT) + 1);
  table->open_chunks = wr_state_alloc(table->backend, count * sizeof(struct saved_chunk *), WR_MEMORY_SNAPSHOT);
  if (table->open_chunks == NULL) return false;
  table->open_count = count;
  for (uint32_t i = 0; i < count; i++)
    table->open_chunks[i] = NULL;
  return true;
}

static void queue_chunk(struct wr_table *table, struct saved_chunk *chunk) {
  if (table->full_chunks == NULL)
    table->full_chunks = chunk;
  else
    table->last_full_chunk->next = chunk;
  table->last_full_chunk = chunk;
}

bool wr_saved_add(struct wr_table *table, uint32_t row_id, bool is_live) {
  if (!is_live && table->backend->snapshot.is_base) return true; /* a base has no deletions */
  if (table->open_chunks == NULL && !make_ranges(table)) return false;
  uint32_t range = row_id >> SAVED_RANGE_SHIFT;
  struct saved_chunk *chunk = table->open_chunks[range];
  if (chunk == NULL) {
    chunk = take_chunk(table, range << SAVED_RANGE_SHIFT);
    if (chunk == NULL) return false;
    table->open_chunks[range] = chunk;
  }
  uint32_t row_size = table->state->layout.row_size, place = chunk->count++;
  uint16_t *slots = (uint16_t *)(void *)chunk->data;
  slots[place] = (uint16_t)(row_id - chunk->first_row);
  /* A living row's key group follows from its key: the header in the page is a line of memory that nobody needs. */
  slots[chunk->capacity + place] = is_live ? ROW_LIVE : *header_of(table, row_id);
  if (is_live) memcpy(chunk->data + chunk->rows_offset + (size_t)place * row_size, row_of(table, row_id), row_size);
  if (chunk->count == chunk->capacity) {
    queue_chunk(table, chunk);
    table->open_chunks[range] = NULL;
  }
  return true;
}

void wr_saved_close(struct wr_table *table) {
  if (table->open_chunks == NULL) return;
  for (uint32_t i = 0; i < table->open_count; i++)
    if (table->open_chunks[i] != NULL) queue_chunk(table, table->open_chunks[i]);
  wr_state_release(table->backend, table->open_chunks, table->open_count * sizeof(struct saved_chunk *));
  table->open_chunks = NULL;
  table->open_count = 0;
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
