/* state/snapshot.c: freezing, and writing a snapshot in slices. The task's thread.
 *
 * Freeze gives both sets of marks their new part by number alone, notes the tables, and makes room for what comes later
 * and must not fail. A step then writes tables in order, each as its rows were at the freeze: the copies of rows that
 * changed since, as far as there are whole chunks of them (saved.c), and then page by page what did not change, unless
 * it is better to wait for more copies (look_at_saved). At a table's end the rest of the copies follows. What is
 * encoded goes to the upload at once, as a copy, so a table that was written is free of the snapshot.
 */
#include "state/format.h"
#include "state/internal.h"

enum phase { PHASE_HEADER, PHASE_DROPS, PHASE_TABLES, PHASE_END };
enum {
  CHANGED_ROW_COST = 64, /* bytes of budget: a changed row lies anywhere and has to be fetched */
  PAGE_COST = 32,
  FETCHED_PAGES = 8,          /* ahead of the one that is written */
  LINE_BYTES = 64,            /* of the caches */
  CUMULATIVE_HANDLES_MIN = 3, /* a base and two deltas */
  HELD_SLICES = 16,           /* that the pages wait after one that had many copies: */
  HELD_ROWS_MIN = 64,         /* so many, */
  HELD_ROWS_MAX = 1024,       /* and of the rows that are left one in so many */
};

/* ---- freeze ---- */

static bool has_changed(const struct wr_table *table, uint32_t set) {
  return table->changed_tag[set] == table->backend->set_tag[set];
}

static uint64_t changed_in(const struct wr_backend *backend, uint32_t set) {
  uint64_t changed = 0;
  for (uint32_t s = 0; s < backend->state_count; s++)
    for (uint32_t t = 0; t < backend->states[s]->table_count; t++) {
      const struct wr_table *table = backend->states[s]->tables[t];
      if (has_changed(table, set)) changed += table->changed_count[set];
    }
  return changed;
}

static bool wants_base(const struct wr_backend *backend, uint64_t changed) {
  const struct handle_list *chain = &backend->chain;
  if (chain->count == 0 || changed > backend->row_count / 2) return true;
  uint64_t deltas = 0, base = chain->handles[0].length;
  for (uint32_t i = 1; i < chain->count; i++)
    deltas += chain->handles[i].length;
  bool is_outlived = base > WR_INLINE_STATE_BYTES_MAX && backend->base_rows / 2 > backend->row_count;
  return deltas > base / 2 || is_outlived;
}

/* Half of what the deltas hold, or more, was replaced by a later one: as much as is written again here at most. */
static bool wants_cumulative(const struct wr_backend *backend) {
  uint64_t distinct = changed_in(backend, MARKS_OF_CHAIN);
  return backend->chain.count >= CHAIN_HANDLES_MAX ||
         (backend->chain.count >= CUMULATIVE_HANDLES_MIN && backend->delta_rows / 2 >= distinct);
}

static bool make_room(struct wr_backend *backend) {
  struct snapshot *snapshot = &backend->snapshot;
  uint32_t tables = 0;
  for (uint32_t s = 0; s < backend->state_count; s++)
    tables += backend->states[s]->table_count;
  return wr_state_grow(backend, &snapshot->tables, &snapshot->table_capacity, sizeof(struct wr_table *), tables) &&
         wr_state_grow(backend, &backend->chain.handles, &backend->chain.capacity, sizeof(struct wr_handle),
                       backend->chain.count + 1) &&
         wr_state_grow(backend, &backend->next_chain.handles, &backend->next_chain.capacity, sizeof(struct wr_handle),
                       2);
}

static void freeze_tables(struct wr_backend *backend) {
  struct snapshot *snapshot = &backend->snapshot;
  snapshot->table_count = 0;
  for (uint32_t s = 0; s < backend->state_count; s++)
    for (uint32_t t = 0; t < backend->states[s]->table_count; t++) {
      struct wr_table *table = backend->states[s]->tables[t];
      table->is_known = true;
      table->frozen_pages = table->page_count;
      table->frozen_rows = table->row_count;
      table->cursor = 0;
      snapshot->frozen_rows += table->row_count;
      bool is_changed =
          has_changed(table, 1 - backend->set) || (snapshot->is_cumulative && has_changed(table, MARKS_OF_CHAIN));
      if (snapshot->is_base ? table->row_count == 0 : !is_changed) continue;
      table->snapshot_needs = true;
      snapshot->rows_left += table->changed_count[snapshot->is_cumulative ? MARKS_OF_CHAIN : 1 - backend->set];
      snapshot->tables[snapshot->table_count++] = table;
    }
}

enum weir_code wr_backend_freeze(struct wr_backend *backend, uint64_t checkpoint_id, bool full,
                                 struct weir_error *error) {
  struct snapshot *snapshot = &backend->snapshot;
  WR_ASSERT(!snapshot->is_running);
  bool is_cumulative = wants_cumulative(backend);
  struct wr_handle base = {.length = 0};
  if (!make_room(backend) ||
      (is_cumulative && wr_handle_copy(backend->memory, &backend->chain.handles[0], &base, NULL) != WEIR_OK))
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the snapshot of checkpoint %llu",
                   (unsigned long long)checkpoint_id);
  wr_backend_unite(backend); /* an outcome that is still unknown: as if aborted */
  uint64_t changed = changed_in(backend, backend->set);
  bool is_base = full || wants_base(backend, changed);
  bool is_empty =
      is_base ? backend->chain.count == 0 && backend->row_count == 0 : changed == 0 && backend->drops.first == NULL;
  is_cumulative = is_cumulative && !is_base && !is_empty;
  if (is_cumulative)
    backend->next_chain.handles[backend->next_chain.count++] = base;
  else
    wr_handle_deinit(backend->memory, &base);
  backend->set = 1 - backend->set;
  backend->set_tag[backend->set] = backend->next_tag++;
  backend->epoch++;
  backend->frozen_drops = backend->drops;
  backend->drops = (struct drop_list){0};
  backend->outcome_open = true;
  backend->frozen_checkpoint = checkpoint_id;
  backend->frozen_is_base = is_base;
  backend->frozen_is_cumulative = is_cumulative;
  backend->frozen_is_empty = is_empty;
  backend->frozen_generation = backend->next_generation;
  snapshot->is_running = true;
  snapshot->is_base = is_base;
  snapshot->is_cumulative = is_cumulative;
  snapshot->is_empty = is_empty;
  snapshot->saved_rows = snapshot->held_slices = 0;
  snapshot->rows_left = 0;
  snapshot->phase = PHASE_HEADER;
  snapshot->checkpoint_id = checkpoint_id;
  snapshot->next_table = 0;
  snapshot->table_begun = false;
  snapshot->next_drop = is_cumulative ? backend->chain_drops.first : NULL;
  if (snapshot->next_drop == NULL) snapshot->next_drop = backend->frozen_drops.first;
  snapshot->rows_written = snapshot->deletions_written = snapshot->drops_written = snapshot->frozen_rows = 0;
  freeze_tables(backend);
  return WEIR_OK;
}

/* ---- encoding ---- */

static void append(struct snapshot *snapshot, const void *bytes, size_t length) {
  if (snapshot->upload == NULL || length == 0) return;
  if (wr_upload_append(snapshot->upload, bytes, length, snapshot->error) != WEIR_OK) snapshot->upload = NULL;
}

static void append_out(struct snapshot *snapshot) {
  if (wr_bytes_check(&snapshot->out, snapshot->error) != WEIR_OK) snapshot->upload = NULL;
  append(snapshot, snapshot->out.data, snapshot->out.length);
  wr_bytes_clear(&snapshot->out);
}

static void put_record(struct wr_bytes *out, uint8_t kind, uint64_t length) {
  wr_bytes_put_u8(out, kind);
  wr_bytes_put_u64(out, length);
}

static void put_schema(struct wr_bytes *out, const struct weir_schema *schema) {
  wr_bytes_put_u32(out, schema->field_count);
  for (uint32_t i = 0; i < schema->field_count; i++) {
    wr_bytes_put_string(out, schema->fields[i].name);
    wr_bytes_put_u8(out, (uint8_t)schema->fields[i].type);
    wr_bytes_put_u8(out, schema->fields[i].nullable);
  }
}

static uint64_t schema_bytes(const struct weir_schema *schema) {
  uint64_t bytes = 4;
  for (uint32_t i = 0; i < schema->field_count; i++)
    bytes += 4 + strlen(schema->fields[i].name) + 2;
  return bytes;
}

static void put_header(struct wr_backend *backend, struct wr_bytes *out) {
  const struct snapshot *snapshot = &backend->snapshot;
  wr_bytes_put_u32(out, STREAM_MAGIC);
  wr_bytes_put_u16(out, STREAM_FORMAT);
  wr_bytes_put_u8(out, snapshot->is_base ? STREAM_BASE : STREAM_DELTA);
  wr_bytes_put_u8(out, 0);
  wr_bytes_put_u64(out, snapshot->checkpoint_id);
  uint64_t stands_on = snapshot->is_cumulative ? backend->base_checkpoint : backend->chain_checkpoint;
  wr_bytes_put_u64(out, snapshot->is_base ? 0 : stands_on);
  wr_bytes_put_u32(out, backend->options.range.first);
  wr_bytes_put_u32(out, backend->options.range.end);
  wr_bytes_put_u32(out, backend->options.max_parallelism);
  wr_bytes_put_u32(out, backend->state_count);
  for (uint32_t i = 0; i < backend->state_count; i++) {
    const struct wr_state *state = backend->states[i];
    put_record(out, RECORD_STATE,
               4 + strlen(state->name) + 2 + 1 + 8 + schema_bytes(state->key) + schema_bytes(state->value));
    wr_bytes_put_string(out, state->name);
    wr_bytes_put_u16(out, ROW_FORMAT);
    wr_bytes_put_u8(out, (uint8_t)state->group_rule);
    wr_bytes_put_u64(out, state->time_to_live_ms);
    put_schema(out, state->key);
    put_schema(out, state->value);
  }
}

static void put_table(struct wr_bytes *out, uint8_t kind, uint32_t state, int64_t name_space, uint64_t generation) {
  put_record(out, kind, RECORD_TABLE_BYTES);
  wr_bytes_put_u32(out, state);
  wr_bytes_put_u64(out, (uint64_t)name_space);
  wr_bytes_put_u64(out, generation);
}

static void put_end(const struct snapshot *snapshot, struct wr_bytes *out) {
  put_record(out, RECORD_END, RECORD_END_BYTES);
  wr_bytes_put_u64(out, snapshot->rows_written);
  wr_bytes_put_u64(out, snapshot->deletions_written);
  wr_bytes_put_u64(out, snapshot->drops_written);
  wr_bytes_put_u64(out, snapshot->frozen_rows);
}

/* ---- rows ---- */

static size_t blob_bytes_of(const struct row_layout *layout, const uint8_t *row) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < layout->blob_count; i++) {
    const void *place = row + layout->blob_offsets[i];
    const union bytes_reference *reference = place;
    if (reference_is_far(reference)) bytes += reference->far.length;
  }
  return bytes;
}

static uint8_t *fill_list(uint8_t *to, const struct listed_rows *list) {
  memcpy(to, &list->count, 4);
  memcpy(to + RECORD_LIST_HEAD_BYTES, list->ids, list->count * sizeof *list->ids);
  return to + RECORD_LIST_HEAD_BYTES + list->count * sizeof *list->ids;
}

/* Copies a row; the bytes of its blobs go to `*blobs`, which moves on. */
static void fill_row(const struct row_layout *layout, const uint8_t *row, uint8_t *to, uint8_t **blobs) {
  memcpy(to, row, layout->row_size);
  for (uint32_t i = 0; i < layout->gap_count; i++)
    memset(to + layout->gaps[i].offset, 0, layout->gaps[i].length);
  for (uint32_t i = 0; i < layout->blob_count; i++) {
    const void *place = row + layout->blob_offsets[i];
    const union bytes_reference *reference = place;
    if (!reference_is_far(reference)) continue;
    memset(to + layout->blob_offsets[i] + 4, 0, sizeof *reference - 4);
    memcpy(*blobs, reference->far.blob->data, reference->far.length);
    *blobs += reference->far.length;
  }
}

/* Writes what was listed; `blob_bytes` are those of the living rows. */
static void put_rows(struct snapshot *snapshot, const struct row_layout *layout, size_t blob_bytes) {
  struct wr_bytes *out = &snapshot->out;
  const struct listed_rows *living = &snapshot->living, *deleted = &snapshot->deleted;
  if (living->count != 0) {
    size_t length =
        RECORD_LIST_HEAD_BYTES + (size_t)living->count * (RECORD_LISTED_BYTES + layout->row_size) + blob_bytes;
    put_record(out, RECORD_ROWS, length);
    uint8_t *to = wr_bytes_reserve(out, length);
    if (to == NULL) return;
    to = fill_list(to, living);
    uint8_t *blobs = to + (size_t)living->count * layout->row_size;
    for (uint32_t i = 0; i < living->count; i++, to += layout->row_size)
      fill_row(layout, snapshot->living_rows[i], to, &blobs);
    out->length += length;
    snapshot->rows_written += living->count;
  }
  if (deleted->count != 0) {
    size_t length = RECORD_LIST_HEAD_BYTES + (size_t)deleted->count * RECORD_LISTED_BYTES;
    put_record(out, RECORD_DELETIONS, length);
    uint8_t *to = wr_bytes_reserve(out, length);
    if (to == NULL) return;
    fill_list(to, deleted);
    out->length += length;
    snapshot->deletions_written += deleted->count;
  }
}

/* ---- rows of a page ---- */

/* Which slots of a page the snapshot still wants: of a delta those that are marked, of a base any; but none that
 * changed since the freeze. */
struct wanted_slots {
  const uint64_t *marks;   /* NULL: any */
  const uint64_t *changed; /* NULL: none */
  uint32_t count;          /* of the page */
};

/* The set with what a delta writes. */
static uint32_t set_of_delta(const struct wr_backend *backend) {
  return backend->snapshot.is_cumulative ? MARKS_OF_CHAIN : 1 - backend->set;
}

static struct wanted_slots wanted_of(const struct wr_table *table, uint32_t page_number) {
  const struct wr_backend *backend = table->backend;
  bool has_changed = marks_present(table, page_number, backend->set);
  return (struct wanted_slots){
      .marks = backend->snapshot.is_base ? NULL : marks_of(table, page_number, set_of_delta(backend)),
      .changed = has_changed ? marks_of(table, page_number, backend->set) : NULL,
      .count = table->state->page_slots,
  };
}

/* The first wanted slot from `slot` on; the count of slots when there is none. */
static uint32_t next_wanted(const struct wanted_slots *wanted, uint32_t slot) {
  while (slot < wanted->count) {
    uint64_t word = wanted->marks == NULL ? UINT64_MAX : wanted->marks[slot / 64];
    if (wanted->changed != NULL) word &= ~wanted->changed[slot / 64];
    word >>= slot % 64;
    if (word != 0) {
      slot += (uint32_t)__builtin_ctzll(word);
      return slot < wanted->count ? slot : wanted->count;
    }
    slot = (slot / 64 + 1) * 64;
  }
  return wanted->count;
}

/* Fetches the rows of a page that a delta wants, and what says whether they live. */
static void fetch_page(const struct wr_table *table, uint32_t page_number) {
  const struct wr_state *state = table->state;
  uint8_t *page = page_of(table, page_number);
  if (page == NULL || !marks_present(table, page_number, set_of_delta(table->backend))) return;
  const struct wanted_slots wanted = wanted_of(table, page_number);
  for (uint32_t slot = next_wanted(&wanted, 0); slot < state->page_slots; slot = next_wanted(&wanted, slot + 1)) {
    const uint8_t *row = page + state->rows_offset + (size_t)slot * state->layout.row_size;
    __builtin_prefetch(page + slot);
    __builtin_prefetch(row);
    if (state->layout.row_size > LINE_BYTES) __builtin_prefetch(row + LINE_BYTES);
    __builtin_prefetch(row + state->layout.row_size - 1);
  }
}

/* Fetches what is known of a group's pages. */
static void fetch_group(const struct wr_table *table, uint32_t page_number) {
  if (page_number >= table->frozen_pages || group_of(table, page_number)->block == NULL) return;
  const uint8_t *block = (const uint8_t *)group_of(table, page_number)->block;
  for (size_t offset = 0; offset < block_bytes(table->state); offset += LINE_BYTES)
    __builtin_prefetch(block + offset);
}

/* Fetches what a delta needs of the pages from `page_number` on, as far as they were not fetched. It lies anywhere, and
 * to wait for each row alone would take longer than all else. */
static void fetch_pages(const struct wr_table *table, uint32_t page_number) {
  struct snapshot *snapshot = &table->backend->snapshot;
  uint32_t end = page_number + FETCHED_PAGES < table->frozen_pages ? page_number + FETCHED_PAGES : table->frozen_pages;
  if (snapshot->fetched_end < page_number) snapshot->fetched_end = page_number;
  for (; snapshot->fetched_end < end; snapshot->fetched_end++) {
    if (snapshot->fetched_end % GROUP_PAGES == 0) fetch_group(table, snapshot->fetched_end + GROUP_PAGES);
    fetch_page(table, snapshot->fetched_end);
  }
}

/* Writes slots of the page from that of the cursor on, while they cost no more than `budget`; at least one. Moves the
 * cursor, and returns the cost. */
static size_t write_slots(struct wr_table *table, uint32_t page_number, size_t budget) {
  struct snapshot *snapshot = &table->backend->snapshot;
  const struct wr_state *state = table->state;
  const struct wanted_slots wanted = wanted_of(table, page_number);
  uint8_t *data = page_of(table, page_number);
  uint32_t first_row = page_number << state->page_shift, slot = (uint32_t)table->cursor & (state->page_slots - 1);
  size_t cost = 0, blob_bytes = 0, row_cost = wanted.marks != NULL ? CHANGED_ROW_COST : 0;
  snapshot->living.count = snapshot->deleted.count = 0;
  for (; slot < state->page_slots && cost < budget; slot++) {
    slot = next_wanted(&wanted, slot);
    if (slot == state->page_slots) break;
    if (data[slot] != 0) {
      const uint8_t *row = data + state->rows_offset + (size_t)slot * state->layout.row_size;
      size_t blobs = blob_bytes_of(&state->layout, row);
      snapshot->living_rows[snapshot->living.count] = row;
      snapshot->living.ids[snapshot->living.count++] = first_row + slot;
      blob_bytes += blobs;
      cost += state->layout.row_size + RECORD_LISTED_BYTES + blobs + row_cost;
    } else if (wanted.marks != NULL) {
      snapshot->deleted.ids[snapshot->deleted.count++] = first_row + slot;
      cost += RECORD_LISTED_BYTES + row_cost;
    }
  }
  put_rows(snapshot, &state->layout, blob_bytes);
  uint64_t listed = snapshot->living.count + snapshot->deleted.count;
  snapshot->rows_left -= listed < snapshot->rows_left ? listed : snapshot->rows_left;
  table->cursor = (uint64_t)first_row + slot;
  return cost;
}

/* Writes what it can of the page that the table's cursor is in; returns the cost. */
static size_t write_page(struct wr_table *table, size_t budget) {
  struct wr_backend *backend = table->backend;
  struct snapshot *snapshot = &backend->snapshot;
  uint32_t page_number = (uint32_t)(table->cursor >> table->state->page_shift);
  if (!snapshot->is_base) fetch_pages(table, page_number);
  bool is_wanted = page_of(table, page_number) != NULL;
  if (is_wanted && !snapshot->is_base) {
    is_wanted = marks_present(table, page_number, 1 - backend->set) ||
                (snapshot->is_cumulative && marks_present(table, page_number, MARKS_OF_CHAIN));
  }
  if (!is_wanted) {
    table->cursor = (uint64_t)(page_number + 1) << table->state->page_shift;
    return PAGE_COST;
  }
  if (!snapshot->is_base) wr_table_mark_chain(table, page_number);
  return write_slots(table, page_number, budget) + PAGE_COST;
}

/* ---- rows of a chunk ---- */

/* A chunk full of living rows without blobs lies as its record does. */
static void put_whole_chunk(struct snapshot *snapshot, const struct saved_chunk *chunk, size_t row_size) {
  size_t bytes = (size_t)chunk->living * (RECORD_LISTED_BYTES + row_size);
  put_record(&snapshot->out, RECORD_ROWS, RECORD_LIST_HEAD_BYTES + bytes);
  wr_bytes_put_u32(&snapshot->out, chunk->living);
  append_out(snapshot);
  append(snapshot, chunk->data, bytes);
  snapshot->rows_written += chunk->living;
}

static size_t put_chunk(struct snapshot *snapshot, struct saved_chunk *chunk, const struct row_layout *layout) {
  const uint32_t *ids = saved_ids(chunk);
  const uint8_t *row = saved_rows(chunk);
  size_t blob_bytes = 0;
  snapshot->living.count = snapshot->deleted.count = 0;
  for (uint32_t i = 0; i < chunk->living; i++, row += layout->row_size) {
    blob_bytes += blob_bytes_of(layout, row);
    snapshot->living_rows[i] = row;
    snapshot->living.ids[snapshot->living.count++] = ids[i];
  }
  for (uint32_t i = chunk->capacity - chunk->deleted; i < chunk->capacity; i++)
    snapshot->deleted.ids[snapshot->deleted.count++] = ids[i];
  put_rows(snapshot, layout, blob_bytes);
  return blob_bytes;
}

/* Writes the oldest chunk of saved rows; returns the cost. */
static size_t write_chunk(struct wr_table *table) {
  struct snapshot *snapshot = &table->backend->snapshot;
  const struct row_layout *layout = &table->state->layout;
  struct saved_chunk *chunk = table->full_chunks;
  size_t cost =
      (size_t)chunk->living * (RECORD_LISTED_BYTES + layout->row_size) + (size_t)chunk->deleted * RECORD_LISTED_BYTES;
  if (chunk->living == chunk->capacity && layout->blob_count == 0)
    put_whole_chunk(snapshot, chunk, layout->row_size);
  else
    cost += put_chunk(snapshot, chunk, layout);
  wr_saved_end_chunk(table);
  return cost;
}

static size_t write_chunks(struct wr_table *table, size_t budget) {
  size_t cost = 0;
  while (table->full_chunks != NULL && cost < budget)
    cost += write_chunk(table);
  return cost;
}

/* ---- slices ---- */

static void end_table(struct wr_backend *backend, struct wr_table *table) {
  wr_table_end_snapshot(table);
  if (!table->is_dropped) return;
  table->next_garbage = backend->garbage;
  backend->garbage = table;
}

/* True when all of the table is written. Adds to `*cost`. */
static bool write_table(struct wr_table *table, size_t budget, size_t *cost) {
  struct snapshot *snapshot = &table->backend->snapshot;
  snapshot->fetched_end = 0; /* between two slices the caches are used for other things */
  if (!snapshot->table_begun) {
    put_table(&snapshot->out, RECORD_TABLE, table->state->number, table->name_space, table->generation);
    snapshot->table_begun = true;
  }
  *cost += write_chunks(table, budget - *cost);
  if (*cost < budget && snapshot->held_slices > 0) return false;
  uint64_t end = (uint64_t)table->frozen_pages << table->state->page_shift;
  while (table->cursor < end && *cost < budget)
    *cost += write_page(table, budget - *cost);
  if (table->cursor < end) return false;
  wr_saved_close(table); /* no row is behind the cursor, so none is saved from here on */
  if (*cost < budget) *cost += write_chunks(table, budget - *cost);
  return table->full_chunks == NULL;
}

static void write_tables(struct wr_backend *backend, size_t budget) {
  struct snapshot *snapshot = &backend->snapshot;
  size_t cost = 0;
  while (snapshot->next_table < snapshot->table_count && cost < budget) {
    struct wr_table *table = snapshot->tables[snapshot->next_table];
    if (!write_table(table, budget, &cost)) break;
    end_table(backend, table);
    snapshot->next_table++;
    snapshot->table_begun = false;
    cost += RECORD_HEADER_BYTES + RECORD_TABLE_BYTES;
  }
  if (snapshot->next_table == snapshot->table_count) snapshot->phase = PHASE_END;
}

/* A cumulative delta has those of the chain first. */
static struct drop_record *drop_after(const struct wr_backend *backend, const struct drop_record *drop) {
  return drop == backend->chain_drops.last ? backend->frozen_drops.first : drop->next;
}

static size_t write_drops(struct wr_backend *backend, size_t budget) {
  struct snapshot *snapshot = &backend->snapshot;
  size_t cost = 0;
  for (; snapshot->next_drop != NULL && cost < budget; snapshot->next_drop = drop_after(backend, snapshot->next_drop)) {
    const struct drop_record *drop = snapshot->next_drop;
    put_table(&snapshot->out, RECORD_DROP, drop->state, drop->name_space, drop->generation);
    snapshot->drops_written++;
    cost += RECORD_HEADER_BYTES + RECORD_TABLE_BYTES;
  }
  if (snapshot->next_drop == NULL) snapshot->phase = PHASE_TABLES;
  return cost;
}

/* While many of a delta's rows are saved between two slices, the pages wait. Rows that changed before the freeze tend
 * to change again, and one that is saved is in the caches then, while the pages' rows lie anywhere and each has to be
 * fetched. There is an end of it, for every slice that is held back has new copies; and where it would be far, the
 * pages do not wait. */
static void look_at_saved(struct snapshot *snapshot) {
  uint64_t saved = snapshot->saved_rows;
  if (!snapshot->is_base && saved >= HELD_ROWS_MIN && saved * HELD_ROWS_MAX >= snapshot->rows_left)
    snapshot->held_slices = HELD_SLICES;
  else if (snapshot->held_slices > 0)
    snapshot->held_slices--;
  snapshot->rows_left -= saved < snapshot->rows_left ? saved : snapshot->rows_left;
  snapshot->saved_rows = 0;
}

/* True when all is encoded. */
static bool write_slice(struct wr_backend *backend, size_t budget) {
  struct snapshot *snapshot = &backend->snapshot;
  if (snapshot->is_empty) return true;
  size_t cost = 0;
  look_at_saved(snapshot);
  if (snapshot->phase == PHASE_HEADER) {
    put_header(backend, &snapshot->out);
    snapshot->phase = snapshot->is_base ? PHASE_TABLES : PHASE_DROPS;
  }
  if (snapshot->phase == PHASE_DROPS) cost = write_drops(backend, budget);
  if (snapshot->phase == PHASE_TABLES && cost < budget) write_tables(backend, budget - cost);
  if (snapshot->phase != PHASE_END) return false;
  put_end(snapshot, &snapshot->out);
  return true;
}

static void end_snapshot(struct wr_backend *backend) {
  struct snapshot *snapshot = &backend->snapshot;
  for (; snapshot->next_table < snapshot->table_count; snapshot->next_table++)
    end_table(backend, snapshot->tables[snapshot->next_table]);
  snapshot->is_running = false;
  wr_bytes_deinit(&snapshot->out);
}

static bool is_all_held(const struct snapshot *snapshot) {
  return snapshot->held_slices > 0 && snapshot->phase == PHASE_TABLES &&
         snapshot->tables[snapshot->next_table]->full_chunks == NULL;
}

enum wr_snapshot_progress wr_backend_snapshot_step(struct wr_backend *backend, struct wr_upload *upload,
                                                   size_t budget_bytes, struct weir_error *error) {
  struct snapshot *snapshot = &backend->snapshot;
  WR_ASSERT(snapshot->is_running);
  wr_backend_sweep(backend, SWEEP_PER_CALL);
  snapshot->upload = upload;
  snapshot->error = error;
  bool is_done = write_slice(backend, budget_bytes == 0 ? 1 : budget_bytes);
  append_out(snapshot);
  if (snapshot->upload == NULL) return WR_SNAPSHOT_FAILED;
  if (!is_done) return is_all_held(snapshot) ? WR_SNAPSHOT_LATER : WR_SNAPSHOT_MORE;
  end_snapshot(backend);
  return WR_SNAPSHOT_WRITTEN;
}

void wr_backend_snapshot_cancel(struct wr_backend *backend) {
  if (!backend->snapshot.is_running) return;
  end_snapshot(backend);
  wr_backend_unite(backend);
}
