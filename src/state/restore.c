/* state/restore.c: fills a backend from stored chains, and describes a chain. Inside a call.
 *
 * Rows are placed first, all of them, without an index; then each table's index is built in one pass, sized beforehand,
 * and in the same pass a key that stands twice is found.
 */
#include "state/load.h"

#include <inttypes.h>
#include <stdio.h>

enum { INDEX_ROWS = 32 }; /* rows whose index slots are fetched at once */

/* ---- after the rows: free slots and index ---- */

/* With kept row ids: whatever does not live in a page that exists is free. The lowest is used first. */
static void link_free_slots(struct wr_table *table) {
  const struct wr_state *state = table->state;
  for (uint32_t number = table->page_count; number-- > 0;) {
    if (page_of(table, number) == NULL) continue;
    const uint8_t *page = page_of(table, number);
    for (uint32_t slot = state->page_slots; slot-- > 0;)
      if (page[slot] == 0) wr_table_give_slot(table, (number << state->page_shift) + slot);
  }
}

static enum weir_code index_row(struct wr_table *table, uint32_t tag, uint32_t row_id, struct weir_error *error) {
  struct index *index = &table->index;
  if (!wr_index_reserve(index, table->backend, tag)) return wr_state_no_memory(table->state, error);
  const struct index_slot *slots = index_segment_of(index, tag)->slots;
  uint32_t place = tag & index->slot_mask;
  for (; slots[place].row_id != NO_ROW; place = (place + 1) & index->slot_mask)
    if (slots[place].tag == tag && wr_table_rows_equal(table, slots[place].row_id, row_id))
      return WR_FAIL(error, WEIR_CORRUPT, "the stored state is damaged: state \"%s\" holds one key twice",
                     table->state->name);
  wr_index_add_at(index, tag, place, row_id);
  return WEIR_OK;
}

/* Rows on their way into the index: the slot of one is fetched while those before it are added. */
struct waiting_rows {
  struct {
    uint32_t tag, row_id;
  } rows[INDEX_ROWS];
  uint32_t count; /* that ever came */
};

static enum weir_code index_waiting(struct wr_table *table, struct waiting_rows *waiting, uint32_t number,
                                    struct weir_error *error) {
  return index_row(table, waiting->rows[number % INDEX_ROWS].tag, waiting->rows[number % INDEX_ROWS].row_id, error);
}

static enum weir_code index_page(struct wr_table *table, uint32_t page_number, struct waiting_rows *waiting,
                                 struct weir_error *error) {
  const struct wr_state *state = table->state;
  const uint8_t *page = page_of(table, page_number), *row = page + state->rows_offset;
  for (uint32_t slot = 0; slot < state->page_slots; slot++, row += state->layout.row_size) {
    if (page[slot] == 0) continue;
    uint32_t tag = wr_table_tag_of_row(table, row), number = waiting->count++;
    __builtin_prefetch(&index_segment_of(&table->index, tag)->slots[tag & table->index.slot_mask], 1);
    if (number >= INDEX_ROWS) WR_TRY(index_waiting(table, waiting, number, error));
    waiting->rows[number % INDEX_ROWS].tag = tag;
    waiting->rows[number % INDEX_ROWS].row_id = (page_number << state->page_shift) + slot;
  }
  return WEIR_OK;
}

static enum weir_code build_index(struct wr_table *table, struct weir_error *error) {
  struct waiting_rows waiting = {.count = 0};
  if (table->row_count == 0) return WEIR_OK;
  if (!wr_index_presize(&table->index, table->backend, table->row_count))
    return wr_state_no_memory(table->state, error);
  for (uint32_t number = 0; number < table->page_count; number++) {
    if (page_of(table, number) == NULL) continue;
    WR_TRY(index_page(table, number, &waiting, error));
  }
  uint32_t first = waiting.count < INDEX_ROWS ? 0 : waiting.count - INDEX_ROWS;
  for (uint32_t number = first; number < waiting.count; number++)
    WR_TRY(index_waiting(table, &waiting, number, error));
  return WEIR_OK;
}

static enum weir_code finish_tables(struct wr_backend *backend, bool keeps_ids, struct weir_error *error) {
  for (uint32_t s = 0; s < backend->state_count; s++)
    for (uint32_t t = 0; t < backend->states[s]->table_count; t++) {
      struct wr_table *table = backend->states[s]->tables[t];
      if (keeps_ids) link_free_slots(table);
      WR_TRY(build_index(table, error));
    }
  return WEIR_OK;
}

/* ---- restore ---- */

/* The next snapshot is a delta on this chain. */
static enum weir_code adopt_chain(struct wr_backend *backend, const struct wr_backend_chain *chain,
                                  uint64_t checkpoint_id, struct weir_error *error) {
  if (!wr_state_grow(backend, &backend->chain.handles, &backend->chain.capacity, sizeof(struct wr_handle),
                     chain->count))
    return LOAD_NO_MEMORY(error);
  for (uint32_t i = 0; i < chain->count; i++) {
    WR_TRY(wr_handle_copy(backend->memory, &chain->handles[i], &backend->chain.handles[i], error));
    backend->chain.count++;
  }
  backend->chain_checkpoint = checkpoint_id;
  return WEIR_OK;
}

static bool ranges_meet(struct wr_key_group_range a, struct wr_key_group_range b) {
  return a.first < b.end && b.first < a.end;
}

static uint64_t rows_without_target(const struct loader *loader, bool *out_any) {
  uint64_t rows = 0;
  for (uint32_t i = 0; i < loader->state_count; i++) {
    if (loader->states[i].target != NULL) continue;
    *out_any = true;
    rows += wr_load_live_rows(loader, i);
  }
  return rows;
}

enum weir_code wr_backend_restore(struct wr_backend *backend, struct wr_store *store,
                                  const struct wr_backend_chain *chains, uint32_t chain_count, bool allow_non_restored,
                                  uint64_t *out_dropped_rows, struct weir_error *error) {
  WR_ASSERT(backend->row_count == 0 && backend->chain.count == 0);
  struct wr_key_group_range range = backend->options.range;
  bool keeps_ids = chain_count == 1 && chains[0].range.first == range.first && chains[0].range.end == range.end;
  struct loader *loader = wr_alloc_zeroed(backend->memory, 1, sizeof *loader, WR_MEMORY_SNAPSHOT);
  if (loader == NULL) return LOAD_NO_MEMORY(error);
  enum weir_code code = WEIR_OK;
  bool has_dropped = false;
  *out_dropped_rows = 0;
  for (uint32_t i = 0; i < chain_count; i++) {
    if (chains[i].count == 0 || !ranges_meet(chains[i].range, range)) continue;
    *loader = (struct loader){.memory = backend->memory,
                              .store = store,
                              .backend = backend,
                              .allow_non_restored = allow_non_restored,
                              .keeps_ids = keeps_ids,
                              .range = range,
                              .chain = &chains[i]};
    code = wr_load_chain(loader, error);
    if (code == WEIR_OK) *out_dropped_rows += rows_without_target(loader, &has_dropped);
    wr_load_deinit(loader);
    if (code != WEIR_OK) goto out;
  }
  WR_TRY_GOTO(code, out, finish_tables(backend, keeps_ids, error));
  if (keeps_ids && !has_dropped) code = adopt_chain(backend, &chains[0], loader->checkpoint_id, error);
out:
  wr_free(backend->memory, loader);
  return code;
}

/* ---- describe ---- */

static enum weir_code describe_state(const struct loader *loader, uint32_t number,
                                     void (*line)(void *argument, const char *text), void *argument,
                                     struct weir_error *error) {
  const struct loaded_state *state = &loader->states[number];
  struct wr_bytes text;
  char counts[128];
  wr_bytes_init(&text, loader->memory, WR_MEMORY_SNAPSHOT);
  wr_bytes_put(&text, "state \"", 7);
  wr_bytes_put(&text, state->name, strlen(state->name));
  wr_bytes_put(&text, "\": key (", 8);
  wr_layout_put_schema(&text, &state->key);
  wr_bytes_put(&text, "), value (", 10);
  wr_layout_put_schema(&text, &state->value);
  snprintf(counts, sizeof counts, "), %" PRIu64 " rows, %" PRIu64 " bytes stored", wr_load_live_rows(loader, number),
           state->stored_bytes);
  wr_bytes_put(&text, counts, strlen(counts) + 1);
  enum weir_code code = wr_bytes_check(&text, error);
  if (code == WEIR_OK) line(argument, (const char *)text.data);
  wr_bytes_deinit(&text);
  return code;
}

enum weir_code wr_backend_describe(struct wr_store *store, const struct wr_backend_chain *chain,
                                   struct wr_memory *memory, void (*line)(void *argument, const char *text),
                                   void *argument, struct weir_error *error) {
  if (chain->count == 0) return WEIR_OK;
  struct loader *loader = wr_alloc_zeroed(memory, 1, sizeof *loader, WR_MEMORY_SNAPSHOT);
  if (loader == NULL) return LOAD_NO_MEMORY(error);
  *loader = (struct loader){.memory = memory, .store = store, .range = chain->range, .chain = chain};
  enum weir_code code = wr_load_chain(loader, error);
  for (uint32_t i = 0; code == WEIR_OK && i < loader->state_count; i++)
    code = describe_state(loader, i, line, argument, error);
  wr_load_deinit(loader);
  wr_free(memory, loader);
  return code;
}
