/* state/table.c: pages, slots and marks of a table; see internal.h. The task's thread.
 *
 * A free slot comes from the list of deleted ones, else from the newest page, else from a new page (the lowest hole, or
 * one behind the last). Pages are given back only when the table is dropped.
 */
#include "state/internal.h"

static size_t page_bytes(const struct wr_state *state) {
  return state->rows_offset + (size_t)state->page_slots * state->layout.row_size;
}

struct wr_table *wr_table_new(struct wr_state *state, int64_t name_space) {
  struct wr_backend *backend = state->backend;
  struct wr_table *table = wr_state_alloc(backend, sizeof *table, WR_MEMORY_STATE);
  if (table == NULL) return NULL;
  *table = (struct wr_table){.backend = backend,
                             .state = state,
                             .name_space = name_space,
                             .generation = backend->next_generation++,
                             .free_row = NO_ROW};
  wr_blobs_init(&table->blobs, backend);
  return table;
}

static void free_results(struct wr_table *table) {
  size_t each = sizeof *table->rows + sizeof *table->row_ids + sizeof *table->row_is_new;
  wr_state_release(table->backend, table->rows, table->result_capacity * each);
  table->rows = NULL;
  table->result_capacity = table->result_count = 0;
}

static void free_block(struct wr_table *table, struct page_group *group) {
  wr_state_release(table->backend, group->block, block_bytes(table->state));
  group->block = NULL;
}

static bool free_pages(struct wr_table *table, uint32_t *blocks) {
  while (table->page_count > 0 && *blocks > 0) {
    uint32_t last = table->page_count - 1;
    if (group_of(table, last)->block != NULL) {
      uint8_t **place = page_place(table, last);
      if (*place != NULL) --*blocks;
      wr_state_release(table->backend, *place, page_bytes(table->state));
      *place = NULL;
    }
    table->page_count--;
    if ((last & (GROUP_PAGES - 1)) == 0) free_block(table, group_of(table, last));
  }
  return table->page_count == 0;
}

bool wr_table_free_some(struct wr_table *table, uint32_t *blocks) {
  free_results(table);
  wr_saved_end(table);
  if (!free_pages(table, blocks)) return false;
  for (uint32_t i = 0; i < table->group_count; i++) /* a group without pages, where memory ran out */
    free_block(table, &table->groups[i]);
  wr_state_release(table->backend, table->groups, table->group_capacity * sizeof *table->groups);
  table->groups = NULL;
  table->group_count = table->group_capacity = 0;
  return wr_blobs_free_some(&table->blobs, blocks) && wr_index_free_some(&table->index, table->backend, blocks);
}

void wr_table_free(struct wr_table *table) {
  uint32_t all = UINT32_MAX;
  while (!wr_table_free_some(table, &all))
    all = UINT32_MAX;
  wr_state_release(table->backend, table, sizeof *table);
}

/* ---- pages and slots ---- */

static bool make_group(struct wr_table *table, uint32_t group) {
  struct wr_backend *backend = table->backend;
  if (!wr_state_grow(backend, &table->groups, &table->group_capacity, sizeof *table->groups, group + 1)) return false;
  for (; table->group_count <= group; table->group_count++)
    table->groups[table->group_count] = (struct page_group){.block = NULL}; /* tag 0 is no tag */
  if (table->groups[group].block != NULL) return true;
  struct group_block *made = wr_state_alloc(backend, block_bytes(table->state), WR_MEMORY_STATE);
  if (made == NULL) return false;
  memset(made, 0, block_bytes(table->state));
  table->groups[group].block = made;
  return true;
}

bool wr_table_make_page(struct wr_table *table, uint32_t page_number) {
  const struct wr_state *state = table->state;
  if ((uint64_t)(page_number + 1) << state->page_shift > NO_ROW) return false;
  if (!make_group(table, page_number >> GROUP_PAGES_SHIFT)) return false;
  uint8_t **place = page_place(table, page_number);
  if (*place == NULL) {
    *place = wr_state_alloc(table->backend, page_bytes(state), WR_MEMORY_STATE);
    if (*place == NULL) return false;
    memset(*place, 0, state->rows_offset);
  }
  if (table->page_count <= page_number) table->page_count = page_number + 1;
  return true;
}

static bool add_page(struct wr_table *table) {
  while (table->next_hole < table->page_count && page_of(table, table->next_hole) != NULL)
    table->next_hole++;
  uint32_t page_number = table->next_hole;
  if (!wr_table_make_page(table, page_number)) return false;
  table->next_hole = page_number + 1;
  table->fresh_row = page_number << table->state->page_shift;
  table->fresh_end = table->fresh_row + table->state->page_slots;
  return true;
}

uint32_t wr_table_take_slot_unmarked(struct wr_table *table) {
  uint32_t row_id = table->free_row;
  if (row_id != NO_ROW) {
    memcpy(&table->free_row, row_of(table, row_id), sizeof table->free_row);
    return row_id;
  }
  if (table->fresh_row == table->fresh_end && !add_page(table)) return NO_ROW;
  return table->fresh_row++;
}

uint32_t wr_table_take_slot(struct wr_table *table) {
  uint32_t row_id = wr_table_take_slot_unmarked(table);
  if (row_id == NO_ROW || wr_table_mark(table, row_id, false)) return row_id;
  wr_table_give_slot(table, row_id);
  return NO_ROW;
}

void wr_table_give_slot(struct wr_table *table, uint32_t row_id) {
  memcpy(row_of(table, row_id), &table->free_row, sizeof table->free_row);
  table->free_row = row_id;
}

/* ---- marks ---- */

/* Does the running snapshot still have to write this row as it is now? */
static bool snapshot_needs_row(const struct wr_table *table, uint32_t row_id) {
  const struct wr_backend *backend = table->backend;
  if (!table->snapshot_needs || row_id >> table->state->page_shift >= table->frozen_pages || row_id < table->cursor)
    return false;
  if (backend->snapshot.is_base || wr_table_is_marked(table, row_id, 1 - backend->set)) return true;
  return backend->snapshot.is_cumulative && wr_table_is_marked(table, row_id, MARKS_OF_CHAIN);
}

static void count_change(struct wr_table *table, uint32_t set, uint64_t count) {
  uint32_t tag = table->backend->set_tag[set];
  if (table->changed_tag[set] != tag) {
    table->changed_tag[set] = tag;
    table->changed_count[set] = 0;
  }
  table->changed_count[set] += count;
}

/* The page's marks of a set; those of its group are cleared where they are of an older one. */
static uint64_t *present_marks(struct wr_table *table, uint32_t page_number, uint32_t set) {
  if (!marks_present(table, page_number, set)) {
    memset(marks_of(table, page_number & ~(uint32_t)(GROUP_PAGES - 1), set), 0, set_bytes(table->state));
    group_of(table, page_number)->tags[set] = table->backend->set_tag[set];
  }
  return marks_of(table, page_number, set);
}

static void set_mark(struct wr_table *table, uint32_t row_id, uint32_t set) {
  uint32_t slot = row_id & (table->state->page_slots - 1);
  present_marks(table, row_id >> table->state->page_shift, set)[slot / 64] |= (uint64_t)1 << (slot % 64);
  count_change(table, set, 1);
}

bool wr_table_mark_slow(struct wr_table *table, uint32_t row_id, bool is_live) {
  if (snapshot_needs_row(table, row_id) && !wr_saved_add(table, row_id, is_live)) return false;
  set_mark(table, row_id, table->backend->set);
  return true;
}

/* Adds those of a page to another set; returns how many are new there. */
static uint64_t add_marks(struct wr_table *table, uint32_t page_number, uint32_t from, uint32_t to) {
  const uint64_t *added = marks_of(table, page_number, from);
  uint64_t *marks = present_marks(table, page_number, to), count = 0;
  for (uint32_t i = 0; i < table->state->mark_words; i++) {
    count += (uint64_t)__builtin_popcountll(added[i] & ~marks[i]);
    marks[i] |= added[i];
  }
  return count;
}

void wr_table_mark_chain(struct wr_table *table, uint32_t page_number) {
  uint32_t frozen = 1 - table->backend->set;
  if (marks_present(table, page_number, frozen))
    count_change(table, MARKS_OF_CHAIN, add_marks(table, page_number, frozen, MARKS_OF_CHAIN));
}

void wr_table_mark_restored(struct wr_table *table, uint32_t row_id) {
  if (!wr_table_is_marked(table, row_id, MARKS_OF_CHAIN)) set_mark(table, row_id, MARKS_OF_CHAIN);
}

void wr_table_unite_marks(struct wr_table *table) {
  const struct wr_backend *backend = table->backend;
  uint32_t frozen = 1 - backend->set;
  if (table->changed_tag[frozen] != backend->set_tag[frozen]) return;
  for (uint32_t number = 0; number < table->page_count; number++)
    if (page_of(table, number) != NULL && marks_present(table, number, frozen))
      (void)add_marks(table, number, frozen, backend->set);
  count_change(table, backend->set, table->changed_count[frozen]);
}

void wr_table_end_snapshot(struct wr_table *table) {
  if (!table->snapshot_needs) return;
  table->snapshot_needs = false;
  wr_saved_end(table);
  wr_blobs_release_held(&table->blobs);
}

/* ---- rows ---- */

struct wr_key wr_row_key(const struct row_layout *layout, const uint8_t *row) {
  if (layout->is_bigint) return (struct wr_key){.bytes = row, .length = 8};
  const union bytes_reference *reference = (const union bytes_reference *)(const void *)row;
  if (reference->near.length == REFERENCE_NULL) return (struct wr_key){.bytes = row, .is_null = true};
  return (struct wr_key){.bytes = reference_bytes(reference), .length = reference->near.length};
}

uint32_t wr_row_key_group(enum group_rule rule, uint32_t max_parallelism, const struct wr_key *key) {
  if (rule != GROUP_OF_TIMER) return wr_key_group(wr_hash_key(key->bytes, key->length), max_parallelism);
  /* A NULL key's timer ends before the length. */
  uint32_t offset = key->length < TIMER_KEY_OFFSET ? key->length : TIMER_KEY_OFFSET;
  return wr_key_group(wr_hash_key(key->bytes + offset, key->length - offset), max_parallelism);
}

void wr_table_give_blobs(struct wr_table *table, const uint8_t *row) {
  const struct row_layout *layout = &table->state->layout;
  for (uint32_t i = 0; i < layout->blob_count; i++) {
    const void *place = row + layout->blob_offsets[i];
    const union bytes_reference *reference = place;
    if (reference_is_far(reference))
      wr_blobs_give(&table->blobs, reference->far.blob, reference->far.length, blob_is_held(table, reference));
  }
}

void wr_table_remove_row(struct wr_table *table, uint32_t row_id) {
  wr_index_remove(&table->index, wr_table_tag_of_row(table, row_of(table, row_id)), row_id);
  wr_table_give_blobs(table, row_of(table, row_id));
  *life_of(table, row_id) = 0;
  wr_table_give_slot(table, row_id);
  table->row_count--;
  table->backend->row_count--;
}

/* ---- reading ---- */

bool wr_table_next(struct wr_table *table, uint32_t *cursor, uint32_t *out_row_id, struct wr_key *out_key,
                   const void **out_value) {
  const struct wr_state *state = table->state;
  uint64_t row_id = *cursor, end = (uint64_t)table->page_count << state->page_shift;
  while (row_id < end) {
    uint32_t page_number = (uint32_t)(row_id >> state->page_shift), slot = (uint32_t)row_id & (state->page_slots - 1);
    uint8_t *page = page_of(table, page_number);
    if (page == NULL) {
      row_id = (uint64_t)(page_number + 1) << state->page_shift;
      continue;
    }
    while (slot < state->page_slots && page[slot] == 0)
      slot++;
    row_id = ((uint64_t)page_number << state->page_shift) + slot;
    if (slot == state->page_slots) continue;
    *out_row_id = (uint32_t)row_id;
    *out_value = wr_table_row(table, (uint32_t)row_id, out_key);
    *cursor = (uint32_t)row_id + 1;
    return true;
  }
  *cursor = (uint32_t)end;
  return false;
}

uint64_t wr_table_row_count(const struct wr_table *table) {
  return table->row_count;
}

const void *wr_table_row(struct wr_table *table, uint32_t row_id, struct wr_key *out_key) {
  const uint8_t *row = row_of(table, row_id);
  WR_ASSERT(*life_of(table, row_id) == 1);
  *out_key = wr_row_key(&table->state->layout, row);
  return row + table->state->layout.value_offset;
}
