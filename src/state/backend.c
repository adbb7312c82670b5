/* state/backend.c: the backend: its states, their namespaces, memory, and what is dropped. The task's thread.
 *
 * A dropped table leaves its state at once. Where the running snapshot still needs it, it stays until that is over;
 * then it is garbage, and every later call frees a few blocks of it, so that dropping never stalls.
 */
#include "state/internal.h"

#include <inttypes.h>

/* ---- memory ---- */

void *wr_state_alloc(struct wr_backend *backend, size_t bytes, enum wr_memory_tag tag) {
  void *block = wr_alloc(backend->memory, bytes, tag);
  if (block == NULL && (backend->garbage != NULL || backend->spare_chunks != NULL)) {
    uint32_t all = UINT32_MAX;
    wr_backend_sweep(backend, all);
    wr_saved_free_spare(backend, &all);
    block = wr_alloc(backend->memory, bytes, tag);
  }
  if (block != NULL) backend->bytes += bytes;
  return block;
}

void wr_state_release(struct wr_backend *backend, void *block, size_t bytes) {
  if (block == NULL) return;
  backend->bytes -= bytes;
  wr_free(backend->memory, block);
}

bool wr_state_grow(struct wr_backend *backend, void *array_pointer, uint32_t *capacity, size_t element_bytes,
                   uint32_t wanted) {
  if (wanted <= *capacity) return true;
  uint32_t larger = *capacity == 0 ? 4 : *capacity;
  while (larger < wanted)
    larger = larger > UINT32_MAX / 2 ? UINT32_MAX : larger * 2;
  void *old;
  memcpy(&old, array_pointer, sizeof old);
  void *grown = wr_state_alloc(backend, larger * element_bytes, WR_MEMORY_STATE);
  if (grown == NULL) return false;
  if (old != NULL) memcpy(grown, old, *capacity * element_bytes);
  wr_state_release(backend, old, *capacity * element_bytes);
  memcpy(array_pointer, &grown, sizeof grown);
  *capacity = larger;
  return true;
}

enum weir_code wr_state_no_memory(const struct wr_state *state, struct weir_error *error) {
  const struct wr_backend *backend = state->backend;
  return WR_FAIL(error, WEIR_NO_MEMORY,
                 "out of memory in state \"%s\": this subtask holds %" PRIu64 " rows in %" PRIu64
                 " bytes; raise the memory budget or the parallelism",
                 state->name, backend->row_count, backend->bytes);
}

void wr_backend_sweep(struct wr_backend *backend, uint32_t blocks) {
  while (backend->garbage != NULL && blocks > 0) {
    struct wr_table *table = backend->garbage;
    if (!wr_table_free_some(table, &blocks)) continue;
    backend->garbage = table->next_garbage;
    wr_state_release(backend, table, sizeof *table);
  }
  if (!backend->snapshot.is_running) wr_saved_free_spare(backend, &blocks);
}

/* ---- backend and states ---- */

enum weir_code wr_backend_new(const struct wr_backend_options *options, struct wr_backend **out_backend,
                              struct weir_error *error) {
  WR_ASSERT(options->max_parallelism > 0 && options->max_parallelism <= WR_KEY_GROUPS_MAX);
  WR_ASSERT(options->range.first <= options->range.end && options->range.end <= options->max_parallelism);
  struct wr_backend *backend = wr_alloc_zeroed(options->memory, 1, sizeof *backend, WR_MEMORY_STATE);
  if (backend == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a state backend");
  backend->memory = options->memory;
  backend->options = *options;
  backend->bytes = sizeof *backend;
  backend->next_generation = 1;
  backend->set_tag[0] = 1;
  backend->set_tag[1] = 2;
  backend->set_tag[MARKS_OF_CHAIN] = 3;
  backend->next_tag = 4;
  backend->epoch = 1;
  wr_bytes_init(&backend->snapshot.out, options->memory, WR_MEMORY_SNAPSHOT);
  *out_backend = backend;
  return WEIR_OK;
}

static void free_state(struct wr_state *state) {
  struct wr_backend *backend = state->backend;
  for (uint32_t i = 0; i < state->table_count; i++)
    wr_table_free(state->tables[i]);
  wr_state_release(backend, state->tables, state->table_capacity * sizeof(struct wr_table *));
  wr_layout_deinit(&state->layout, backend->memory);
  wr_free(backend->memory, state->name);
  wr_free(backend->memory, state->key);
  wr_free(backend->memory, state->value);
  wr_state_release(backend, state, sizeof *state);
}

void wr_backend_free(struct wr_backend *backend) {
  if (backend == NULL) return;
  wr_backend_snapshot_cancel(backend);
  wr_backend_unite(backend); /* frees the handle whose outcome is open */
  wr_backend_sweep(backend, UINT32_MAX);
  for (uint32_t i = 0; i < backend->state_count; i++)
    free_state(backend->states[i]);
  wr_drops_free(backend, &backend->drops);
  wr_drops_free(backend, &backend->frozen_drops);
  wr_drops_free(backend, &backend->chain_drops);
  wr_handles_clear(backend, &backend->chain);
  wr_handles_clear(backend, &backend->next_chain);
  wr_state_release(backend, backend->snapshot.tables, backend->snapshot.table_capacity * sizeof(struct wr_table *));
  wr_bytes_deinit(&backend->snapshot.out);
  wr_free(backend->memory, backend);
}

static void set_geometry(struct wr_state *state) {
  uint32_t row = state->layout.row_size + 1;
  while (state->page_shift < 10 && (size_t)row << (state->page_shift + 1) <= PAGE_BYTES)
    state->page_shift++;
  state->page_slots = 1u << state->page_shift;
  WR_ASSERT(state->page_slots <= PAGE_SLOTS_MAX);
  state->mark_words = (state->page_slots + 63) / 64;
  state->rows_offset = (state->page_slots + 15) / 16 * 16;
}

static enum weir_code fill_state(struct wr_state *state, const struct wr_state_descriptor *descriptor,
                                 struct weir_error *error) {
  struct wr_memory *memory = state->backend->memory;
  state->name = wr_copy_string(memory, descriptor->name, WR_MEMORY_STATE);
  state->key = wr_schema_copy(memory, descriptor->key);
  state->value = wr_schema_copy(memory, descriptor->value);
  if (state->name == NULL || state->key == NULL || state->value == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for state \"%s\"", descriptor->name);
  enum weir_code code = wr_layout_init(&state->layout, memory, state->key, state->value, error);
  if (code != WEIR_OK && error != NULL) wr_error_prefix(error, "state \"%s\"", descriptor->name);
  WR_TRY(code);
  state->time_to_live_ms = descriptor->time_to_live_ms;
  set_geometry(state);
  return WEIR_OK;
}

enum weir_code wr_backend_register_rule(struct wr_backend *backend, const struct wr_state_descriptor *descriptor,
                                        enum group_rule rule, struct wr_state **out_state, struct weir_error *error) {
  for (uint32_t i = 0; i < backend->state_count; i++)
    if (strcmp(backend->states[i]->name, descriptor->name) == 0)
      return WR_FAIL(error, WEIR_INVALID, "the operator has two states named \"%s\"", descriptor->name);
  if (backend->state_count == WR_STATES_PER_OPERATOR_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "state \"%s\": an operator has at most %d states", descriptor->name,
                   WR_STATES_PER_OPERATOR_MAX);
  struct wr_state *state = wr_state_alloc(backend, sizeof *state, WR_MEMORY_STATE);
  if (state == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for state \"%s\"", descriptor->name);
  *state = (struct wr_state){.backend = backend, .number = backend->state_count, .group_rule = rule};
  enum weir_code code = fill_state(state, descriptor, error);
  if (code != WEIR_OK) {
    free_state(state);
    return code;
  }
  backend->states[backend->state_count++] = state;
  *out_state = state;
  return WEIR_OK;
}

enum weir_code wr_backend_register(struct wr_backend *backend, const struct wr_state_descriptor *descriptor,
                                   struct wr_state **out_state, struct weir_error *error) {
  return wr_backend_register_rule(backend, descriptor, GROUP_OF_KEY, out_state, error);
}

uint64_t wr_backend_bytes(const struct wr_backend *backend) {
  return backend->bytes + backend->snapshot.out.capacity;
}

uint64_t wr_backend_row_count(const struct wr_backend *backend) {
  return backend->row_count;
}

/* ---- namespaces ---- */

/* Where the namespace is, or would be. */
static uint32_t table_place(const struct wr_state *state, int64_t name_space) {
  uint32_t low = 0, high = state->table_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (state->tables[middle]->name_space < name_space) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

struct wr_table *wr_state_table(struct wr_state *state, int64_t name_space) {
  WR_ASSERT(name_space != INT64_MIN); /* where a walk starts */
  uint32_t place = table_place(state, name_space);
  if (place < state->table_count && state->tables[place]->name_space == name_space) return state->tables[place];
  if (!wr_state_grow(state->backend, &state->tables, &state->table_capacity, sizeof(struct wr_table *),
                     state->table_count + 1))
    return NULL;
  struct wr_table *table = wr_table_new(state, name_space);
  if (table == NULL) return NULL;
  memmove(state->tables + place + 1, state->tables + place, (state->table_count - place) * sizeof(struct wr_table *));
  state->tables[place] = table;
  state->table_count++;
  return table;
}

bool wr_state_next_namespace(struct wr_state *state, int64_t *cursor, struct wr_table **out_table) {
  if (*cursor == INT64_MAX) return false;
  uint32_t place = table_place(state, *cursor + 1);
  if (place == state->table_count) return false;
  *out_table = state->tables[place];
  *cursor = (*out_table)->name_space;
  return true;
}

enum weir_code wr_state_drop(struct wr_state *state, int64_t name_space, struct weir_error *error) {
  struct wr_backend *backend = state->backend;
  uint32_t place = table_place(state, name_space);
  if (place == state->table_count || state->tables[place]->name_space != name_space) return WEIR_OK;
  struct wr_table *table = state->tables[place];
  if (table->is_known) {
    struct drop_record *record = wr_state_alloc(backend, sizeof *record, WR_MEMORY_STATE);
    if (record == NULL) return wr_state_no_memory(state, error);
    *record = (struct drop_record){.state = state->number, .name_space = name_space, .generation = table->generation};
    wr_drops_add(&backend->drops, record);
  }
  state->table_count--;
  memmove(state->tables + place, state->tables + place + 1, (state->table_count - place) * sizeof(struct wr_table *));
  backend->row_count -= table->row_count;
  if (table->snapshot_needs) {
    table->is_dropped = true;
    return WEIR_OK;
  }
  table->next_garbage = backend->garbage;
  backend->garbage = table;
  return WEIR_OK;
}
