/* state/apply.c: applies tables, rows and deletions of a snapshot to the tables they belong to. Inside a call.
 *
 * Everything that is read is checked before it is used: lengths, row ids, key groups (against the key itself) and bytes
 * references. After a failure the backend is only good for being freed.
 */
#include "state/load.h"

enum { HASHED_ROWS = 64 }; /* rows whose keys are hashed at once */

#define WRONG_GROUP "a row's key group is not its key's, or not this subtask's"
#define BYTES_OF_NO_ROW "a record has bytes of no row"

bool wr_load_grow(struct loader *loader, void *array_pointer, uint32_t *capacity, size_t element_bytes,
                  uint32_t wanted) {
  if (wanted <= *capacity) return true;
  uint32_t larger = *capacity == 0 ? 8 : *capacity;
  while (larger < wanted)
    larger *= 2;
  void *array;
  memcpy(&array, array_pointer, sizeof array);
  array = wr_resize(loader->memory, array, larger * element_bytes, WR_MEMORY_SNAPSHOT);
  if (array == NULL) return false;
  memcpy(array_pointer, &array, sizeof array);
  *capacity = larger;
  return true;
}

/* ---- tables ---- */

static uint32_t table_place(const struct loader *loader, uint32_t state, int64_t name_space) {
  uint32_t low = 0, high = loader->table_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const struct loaded_table *table = loader->tables[middle];
    if (table->state < state || (table->state == state && table->name_space < name_space)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static struct loaded_table *find_table(const struct loader *loader, uint32_t state, int64_t name_space) {
  uint32_t place = table_place(loader, state, name_space);
  if (place == loader->table_count) return NULL;
  struct loaded_table *table = loader->tables[place];
  return table->state == state && table->name_space == name_space ? table : NULL;
}

static enum weir_code add_table(struct loader *loader, uint32_t state, int64_t name_space, uint64_t generation,
                                struct loaded_table **out_table, struct weir_error *error) {
  if (!wr_load_grow(loader, &loader->tables, &loader->table_capacity, sizeof(struct loaded_table *),
                    loader->table_count + 1))
    return LOAD_NO_MEMORY(error);
  struct loaded_table *table = wr_alloc_zeroed(loader->memory, 1, sizeof *table, WR_MEMORY_SNAPSHOT);
  if (table == NULL) return LOAD_NO_MEMORY(error);
  *table = (struct loaded_table){.state = state, .name_space = name_space, .generation = generation};
  if (loader->states[state].target != NULL) {
    table->target = wr_state_table(loader->states[state].target, name_space);
    if (table->target == NULL) {
      wr_free(loader->memory, table);
      return LOAD_NO_MEMORY(error);
    }
    if (loader->keeps_ids) {
      table->target->generation = generation;
      table->target->is_known = true;
    }
    if (loader->backend->next_generation <= generation) loader->backend->next_generation = generation + 1;
  }
  uint32_t place = table_place(loader, state, name_space);
  memmove(loader->tables + place + 1, loader->tables + place,
          (loader->table_count - place) * sizeof(struct loaded_table *));
  loader->tables[place] = table;
  loader->table_count++;
  *out_table = table;
  return WEIR_OK;
}

enum weir_code wr_load_begin_table(struct loader *loader, uint32_t state, int64_t name_space, uint64_t generation,
                                   struct weir_error *error) {
  struct loaded_table *table = find_table(loader, state, name_space);
  if (table != NULL && (loader->stream.is_base || table->generation != generation))
    return STREAM_DAMAGED(&loader->stream, error, "a table stands twice");
  if (table == NULL) WR_TRY(add_table(loader, state, name_space, generation, &table, error));
  loader->stream.table = table;
  return WEIR_OK;
}

static void free_table(struct loader *loader, struct loaded_table *table) {
  for (uint32_t i = 0; i < table->map_count; i++)
    wr_free(loader->memory, table->map[i]);
  wr_free(loader->memory, table->map);
  wr_free(loader->memory, table);
}

void wr_load_free_tables(struct loader *loader) {
  for (uint32_t i = 0; i < loader->table_count; i++)
    free_table(loader, loader->tables[i]);
  wr_free(loader->memory, loader->tables);
  loader->tables = NULL;
  loader->table_count = loader->table_capacity = 0;
}

uint64_t wr_load_live_rows(const struct loader *loader, uint32_t state) {
  uint64_t live = 0;
  for (uint32_t i = 0; i < loader->table_count; i++) {
    const struct loaded_table *table = loader->tables[i];
    if (table->state == state) live += loader->keeps_ids && table->target ? table->target->row_count : table->live;
  }
  return live;
}

/* ---- the place of a row ---- */

/* Where the map keeps the new id of an old one; NULL without memory. */
static uint32_t *map_entry(struct loader *loader, struct loaded_table *table, uint32_t row_id) {
  uint32_t part = row_id >> ID_MAP_SHIFT;
  if (!wr_load_grow(loader, &table->map, &table->map_capacity, sizeof *table->map, part + 1)) return NULL;
  for (; table->map_count <= part; table->map_count++)
    table->map[table->map_count] = NULL;
  if (table->map[part] == NULL) {
    table->map[part] = wr_alloc(loader->memory, ID_MAP_ROWS * sizeof(uint32_t), WR_MEMORY_SNAPSHOT);
    if (table->map[part] == NULL) return NULL;
    memset(table->map[part], 0xff, ID_MAP_ROWS * sizeof(uint32_t));
  }
  return &table->map[part][row_id & (ID_MAP_ROWS - 1)];
}

static void count_row(struct wr_table *target, bool is_more) {
  target->row_count += is_more ? 1 : (uint64_t)-1;
  target->backend->row_count += is_more ? 1 : (uint64_t)-1;
}

/* The page's data, made where it is missing; NULL without memory. */
static uint8_t *own_page(struct wr_table *target, uint32_t page_number) {
  bool is_there = page_number < target->page_count && page_of(target, page_number) != NULL;
  return is_there || wr_table_make_page(target, page_number) ? page_of(target, page_number) : NULL;
}

/* The place where the row goes: its own page and slot. What lived there is replaced. */
static uint32_t place_kept(struct wr_table *target, uint32_t row_id, bool is_base) {
  if (own_page(target, row_id >> target->state->page_shift) == NULL) return NO_ROW;
  if (*life_of(target, row_id) != 0) {
    wr_table_give_blobs(target, row_of(target, row_id));
  } else {
    count_row(target, true);
  }
  if (!is_base) wr_table_mark_restored(target, row_id);
  return row_id;
}

static uint32_t place_mapped(struct loaded_table *table, uint32_t *entry) {
  if (*entry != NO_ROW) {
    if (table->target != NULL) wr_table_give_blobs(table->target, row_of(table->target, *entry));
    return *entry;
  }
  uint32_t row_id = table->target == NULL ? 0 : wr_table_take_slot_unmarked(table->target);
  if (row_id == NO_ROW) return NO_ROW;
  *entry = row_id;
  table->live++;
  if (table->target != NULL) count_row(table->target, true);
  return row_id;
}

static void clear_mapped(struct loaded_table *table, uint32_t *entry) {
  if (*entry == NO_ROW) return;
  table->live--;
  if (table->target != NULL) {
    wr_table_give_blobs(table->target, row_of(table->target, *entry));
    *life_of(table->target, *entry) = 0;
    wr_table_give_slot(table->target, *entry);
    count_row(table->target, false);
  }
  *entry = NO_ROW;
}

static enum weir_code delete_row(struct loader *loader, struct loaded_table *table, uint32_t row_id,
                                 struct weir_error *error) {
  if (!loader->keeps_ids || table->target == NULL) {
    uint32_t *entry = map_entry(loader, table, row_id);
    if (entry == NULL) return LOAD_NO_MEMORY(error);
    clear_mapped(table, entry);
    return WEIR_OK;
  }
  struct wr_table *target = table->target;
  uint32_t page_number = row_id >> target->state->page_shift;
  if (page_number >= target->page_count || page_of(target, page_number) == NULL || *life_of(target, row_id) == 0)
    return WEIR_OK; /* made and deleted between two snapshots */
  wr_table_mark_restored(target, row_id);
  wr_table_give_blobs(target, row_of(target, row_id));
  *life_of(target, row_id) = 0;
  count_row(target, false);
  return WEIR_OK;
}

/* The next cumulative delta says it again. */
static enum weir_code keep_drop(struct loader *loader, const struct loaded_table *table, struct weir_error *error) {
  struct wr_backend *backend = loader->backend;
  if (table->generation >= backend->base_generation) return WEIR_OK;
  struct drop_record *record = wr_state_alloc(backend, sizeof *record, WR_MEMORY_STATE);
  if (record == NULL) return LOAD_NO_MEMORY(error);
  *record = (struct drop_record){
      .state = table->target->state->number, .name_space = table->name_space, .generation = table->generation};
  wr_drops_add(&backend->chain_drops, record);
  return WEIR_OK;
}

enum weir_code wr_load_drop(struct loader *loader, uint32_t state, int64_t name_space, uint64_t generation,
                            struct weir_error *error) {
  uint32_t place = table_place(loader, state, name_space);
  struct loaded_table *table = find_table(loader, state, name_space);
  if (table == NULL || table->generation != generation) return WEIR_OK; /* it never had a row that was stored */
  if (table->target != NULL && loader->keeps_ids) {
    WR_TRY(keep_drop(loader, table, error));
    table->target->is_known = false; /* its drop is stored already */
    WR_TRY(wr_state_drop(table->target->state, name_space, error));
  } else {
    for (uint32_t i = 0; i < table->map_count; i++)
      for (uint32_t j = 0; table->map[i] != NULL && j < ID_MAP_ROWS; j++)
        clear_mapped(table, &table->map[i][j]);
  }
  loader->table_count--;
  memmove(loader->tables + place, loader->tables + place + 1,
          (loader->table_count - place) * sizeof(struct loaded_table *));
  free_table(loader, table);
  return WEIR_OK;
}

/* ---- rows ---- */

/* The head and lists of a rows or deletions record. */
struct row_list {
  uint32_t count;
  uint32_t first_row;    /* of near ones */
  const uint8_t *ids;    /* not aligned: u32 each, u16 of near ones */
  const uint8_t *groups; /* key groups of near ones, u16 each; else NULL */
  const uint8_t *end;    /* of the lists */
};

static uint16_t u16_at(const uint8_t *data, uint32_t i) {
  uint16_t value;
  memcpy(&value, data + (size_t)i * sizeof value, sizeof value);
  return value;
}

static uint32_t u32_at(const uint8_t *data, uint32_t i) {
  uint32_t value;
  memcpy(&value, data + (size_t)i * sizeof value, sizeof value);
  return value;
}

static enum weir_code read_list(struct loader *loader, const uint8_t *data, uint64_t length, bool is_near,
                                uint32_t row_size, struct row_list *out_list, struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(data, (size_t)length);
  const size_t listed_bytes = 4; /* either way */
  out_list->first_row = is_near ? wr_read_u32(&reader) : 0;
  out_list->count = wr_read_u32(&reader);
  if (reader.failed || (length - reader.position) / (listed_bytes + row_size) < out_list->count)
    return STREAM_DAMAGED(&loader->stream, error, "a list of rows is longer than its record");
  out_list->ids = data + reader.position;
  out_list->groups = is_near ? out_list->ids + (size_t)out_list->count * 2 : NULL;
  out_list->end = out_list->ids + (size_t)out_list->count * listed_bytes;
  return WEIR_OK;
}

static enum weir_code read_id(struct loader *loader, const struct row_list *list, uint32_t i, uint32_t *out_row_id,
                              struct weir_error *error) {
  uint64_t row_id = list->groups != NULL ? (uint64_t)list->first_row + u16_at(list->ids, i) : u32_at(list->ids, i);
  *out_row_id = (uint32_t)row_id;
  if (row_id >= NO_ROW - PAGE_SLOTS_MAX) return STREAM_DAMAGED(&loader->stream, error, "a row id makes no sense");
  return WEIR_OK;
}

/* A row's key has this group: it is one of the chain's, and what the record says where it says it. */
static enum weir_code check_group(struct loader *loader, const struct row_list *list, uint32_t i, uint32_t group,
                                  struct weir_error *error) {
  bool is_said = list->groups == NULL || u16_at(list->groups, i) == group;
  if (is_said && group >= loader->chain->range.first && group < loader->chain->range.end) return WEIR_OK;
  return STREAM_DAMAGED(&loader->stream, error, WRONG_GROUP);
}

enum weir_code wr_load_deletions(struct loader *loader, const uint8_t *data, uint64_t length, bool is_near,
                                 struct weir_error *error) {
  struct row_list list;
  WR_TRY(read_list(loader, data, length, is_near, 0, &list, error));
  if (list.end != data + length || loader->stream.is_base)
    return STREAM_DAMAGED(&loader->stream, error, "a list of deletions makes no sense");
  for (uint32_t i = 0; i < list.count; i++) {
    uint32_t row_id;
    WR_TRY(read_id(loader, &list, i, &row_id, error));
    WR_TRY(delete_row(loader, loader->stream.table, row_id, error));
  }
  loader->stream.deletions += list.count;
  return WEIR_OK;
}

/* A stored row with its bytes. */
struct stored_row {
  const uint8_t *row;   /* not aligned */
  const uint8_t *blobs; /* of its references, in order */
  uint64_t blob_bytes;
};

static uint32_t stored_length(const struct stored_row *stored, uint32_t offset) {
  uint32_t length;
  memcpy(&length, stored->row + offset, 4);
  return length;
}

/* Sums and checks a row's references; `*left` is what is left of the record for blobs. */
static enum weir_code measure_row(struct loader *loader, const struct row_layout *layout, struct stored_row *stored,
                                  uint64_t left, struct weir_error *error) {
  stored->blob_bytes = 0;
  for (uint32_t i = 0; i < layout->blob_count; i++) {
    uint32_t length = stored_length(stored, layout->blob_offsets[i]);
    bool is_key = layout->blob_offsets[i] == 0;
    if (is_key && length == REFERENCE_NULL && layout->has_null_key) continue;
    if (length > (is_key ? (uint32_t)KEY_BYTES_MAX : (uint32_t)WR_RECORD_BYTES_MAX))
      return STREAM_DAMAGED(&loader->stream, error, "a key or value is longer than it may be");
    if (length > REFERENCE_INLINE_MAX) stored->blob_bytes += length;
  }
  if (stored->blob_bytes > left) return STREAM_DAMAGED(&loader->stream, error, "a record's bytes end too early");
  return WEIR_OK;
}

static struct wr_key stored_key(const struct row_layout *layout, const struct stored_row *stored) {
  if (layout->is_bigint) return (struct wr_key){.bytes = stored->row, .length = 8};
  uint32_t length = stored_length(stored, 0);
  if (length == REFERENCE_NULL) return (struct wr_key){.bytes = stored->row, .is_null = true};
  return (struct wr_key){.bytes = length <= REFERENCE_INLINE_MAX ? stored->row + 4 : stored->blobs, .length = length};
}

/* Copies a stored row to its place and gives it blobs of its own. False: no memory. */
static bool fill_row(struct wr_table *target, uint32_t row_id, const struct stored_row *stored) {
  const struct row_layout *layout = &target->state->layout;
  uint8_t *row = row_of(target, row_id);
  const uint8_t *bytes = stored->blobs;
  memcpy(row, stored->row, layout->row_size);
  for (uint32_t i = 0; i < layout->blob_count; i++) {
    union bytes_reference *reference = (union bytes_reference *)(void *)(row + layout->blob_offsets[i]);
    uint32_t length = reference->near.length;
    if (length == REFERENCE_NULL) continue;
    if (length <= REFERENCE_INLINE_MAX) {
      memset(reference->near.bytes + length, 0, REFERENCE_INLINE_MAX - length);
      continue;
    }
    reference->far.blob = wr_blobs_take(&target->blobs, length);
    reference->far.epoch = 0;
    if (reference->far.blob == NULL) return false;
    memcpy(reference->far.blob->data, bytes, length);
    bytes += length;
  }
  return true;
}

static enum weir_code apply_row(struct loader *loader, uint32_t row_id, uint32_t group, const struct stored_row *stored,
                                struct weir_error *error) {
  struct loaded_table *table = loader->stream.table;
  if (group < loader->range.first || group >= loader->range.end) return delete_row(loader, table, row_id, error);
  uint32_t place;
  if (loader->keeps_ids && table->target != NULL) {
    place = place_kept(table->target, row_id, loader->stream.is_base);
  } else {
    uint32_t *entry = map_entry(loader, table, row_id);
    place = entry == NULL ? NO_ROW : place_mapped(table, entry);
  }
  if (place == NO_ROW) return LOAD_NO_MEMORY(error);
  if (table->target == NULL) return WEIR_OK;
  if (!fill_row(table->target, place, stored)) return LOAD_NO_MEMORY(error);
  *life_of(table->target, place) = 1;
  return WEIR_OK;
}

/* Are the rows of fixed size and for their own places, with a number as key? Then they go the short way. */
static bool are_plain(const struct loader *loader) {
  const struct loaded_table *table = loader->stream.table;
  const struct loaded_state *state = &loader->states[table->state];
  return loader->keeps_ids && table->target != NULL && state->layout.is_bigint && state->layout.blob_count == 0 &&
         state->group_rule == GROUP_OF_KEY;
}

/* The key groups that the keys of rows `from` to `end` have. */
static void groups_of_keys(const struct loader *loader, const uint8_t *rows, uint32_t row_size, uint32_t from,
                           uint32_t end, uint32_t *out_groups) {
  int64_t keys[HASHED_ROWS] = {0};
  uint64_t hashes[HASHED_ROWS];
  for (uint32_t i = from; i < end; i++)
    memcpy(&keys[i - from], rows + (size_t)i * row_size, sizeof keys[0]);
  wr_hash_keys_u64(keys, NULL, end - from, hashes);
  for (uint32_t i = 0; i < end - from; i++)
    out_groups[i] = wr_key_group(hashes[i], loader->max_parallelism);
}

/* Rows `from` to `end`, of which there are HASHED_ROWS at most. */
static enum weir_code apply_plain(struct loader *loader, const struct row_list *list, const uint8_t *rows,
                                  uint32_t from, uint32_t end, struct weir_error *error) {
  struct wr_table *target = loader->stream.table->target;
  uint32_t row_size = target->state->layout.row_size, groups[HASHED_ROWS], page_number = UINT32_MAX;
  uint8_t *page = NULL;
  groups_of_keys(loader, rows, row_size, from, end, groups);
  for (uint32_t i = from; i < end; i++) {
    uint32_t row_id;
    WR_TRY(read_id(loader, list, i, &row_id, error));
    WR_TRY(check_group(loader, list, i, groups[i - from], error)); /* ids are kept: the chain's range is ours */
    if (row_id >> target->state->page_shift != page_number) {
      page_number = row_id >> target->state->page_shift;
      page = own_page(target, page_number);
      if (page == NULL) return LOAD_NO_MEMORY(error);
    }
    uint32_t slot = row_id & (target->state->page_slots - 1);
    if (page[slot] == 0) count_row(target, true);
    if (!loader->stream.is_base) wr_table_mark_restored(target, row_id);
    page[slot] = 1;
    memcpy(page + target->state->rows_offset + (size_t)slot * row_size, rows + (size_t)i * row_size, row_size);
  }
  return WEIR_OK;
}

static enum weir_code load_plain(struct loader *loader, const struct row_list *list, const uint8_t *end,
                                 struct weir_error *error) {
  const uint8_t *rows = list->end;
  if (rows + (size_t)list->count * loader->stream.table->target->state->layout.row_size != end)
    return STREAM_DAMAGED(&loader->stream, error, BYTES_OF_NO_ROW);
  for (uint32_t from = 0; from < list->count; from += HASHED_ROWS) {
    uint32_t left = list->count - from;
    WR_TRY(apply_plain(loader, list, rows, from, from + (left < HASHED_ROWS ? left : HASHED_ROWS), error));
  }
  return WEIR_OK;
}

static enum weir_code load_any(struct loader *loader, const struct row_list *list, const uint8_t *end,
                               struct weir_error *error) {
  const struct loaded_state *state = &loader->states[loader->stream.table->state];
  const struct row_layout *layout = &state->layout;
  struct stored_row stored = {.row = list->end};
  stored.blobs = stored.row + (size_t)list->count * layout->row_size;
  for (uint32_t i = 0; i < list->count; i++) {
    uint32_t row_id;
    WR_TRY(read_id(loader, list, i, &row_id, error));
    WR_TRY(measure_row(loader, layout, &stored, (uint64_t)(end - stored.blobs), error));
    struct wr_key key = stored_key(layout, &stored);
    uint32_t group = wr_row_key_group(state->group_rule, loader->max_parallelism, &key);
    WR_TRY(check_group(loader, list, i, group, error));
    WR_TRY(apply_row(loader, row_id, group, &stored, error));
    stored.row += layout->row_size;
    stored.blobs += stored.blob_bytes;
  }
  if (stored.blobs != end) return STREAM_DAMAGED(&loader->stream, error, BYTES_OF_NO_ROW);
  return WEIR_OK;
}

enum weir_code wr_load_rows(struct loader *loader, const uint8_t *data, uint64_t length, bool is_near,
                            struct weir_error *error) {
  struct loaded_state *state = &loader->states[loader->stream.table->state];
  struct row_list list;
  WR_TRY(read_list(loader, data, length, is_near, state->layout.row_size, &list, error));
  if (are_plain(loader))
    WR_TRY(load_plain(loader, &list, data + length, error));
  else
    WR_TRY(load_any(loader, &list, data + length, error));
  loader->stream.rows += list.count;
  state->stored_bytes += length;
  return WEIR_OK;
}
