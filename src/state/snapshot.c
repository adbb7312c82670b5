/* state/snapshot.c: freezing, and writing a snapshot in slices. The task's thread.
 *
 * Freeze gives both sets of marks their new part by number alone, notes the tables, and makes room for what comes later
 * and must not fail. A step then writes tables in order, each by ascending row id, as the rows were at the freeze: a
 * row that changed since lies saved at its page (table.c), every other is still what it was. What is encoded goes to
 * the upload at once, as a copy, so a table that was written is free of the snapshot.
 */
#include "state/format.h"
#include "state/internal.h"

enum phase { PHASE_HEADER, PHASE_DROPS, PHASE_TABLES, PHASE_END };
enum {
  CHANGED_ROW_COST = 64, /* bytes of budget: a changed row lies anywhere and has to be fetched */
  PAGE_COST = 32,
  FETCHED_PAGES = 8,
  CUMULATIVE_HANDLES_MIN = 3, /* a base and two deltas */
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
  snapshot->serial++;
  snapshot->is_running = true;
  snapshot->is_base = is_base;
  snapshot->is_cumulative = is_cumulative;
  snapshot->is_empty = is_empty;
  snapshot->phase = PHASE_HEADER;
  snapshot->checkpoint_id = checkpoint_id;
  snapshot->next_table = 0;
  snapshot->next_drop = is_cumulative ? backend->chain_drops.first : NULL;
  if (snapshot->next_drop == NULL) snapshot->next_drop = backend->frozen_drops.first;
  snapshot->rows_written = snapshot->deletions_written = snapshot->drops_written = snapshot->frozen_rows = 0;
  freeze_tables(backend);
  return WEIR_OK;
}

/* ---- encoding ---- */

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

/* ---- rows of one page ---- */

/* What one slice takes from one page. */
struct page_part {
  struct wr_table *table;
  uint8_t *data;
  uint32_t first_row;                /* row id of slot 0 */
  uint32_t row_count, deleted_count; /* of snapshot.row_slots, deleted_slots */
  size_t blob_bytes;
  uint32_t end_slot; /* the slots before it are done */
};

static bool frozen_is_live(const struct page_part *part, uint32_t slot) {
  const struct saved_row *saved = part->table->backend->snapshot.saved[slot];
  return ((saved != NULL ? saved->header : page_headers(part->data)[slot]) & ROW_LIVE) != 0;
}

static uint16_t frozen_group(const struct page_part *part, uint32_t slot) {
  const struct wr_backend *backend = part->table->backend;
  const struct wr_state *state = part->table->state;
  const struct saved_row *saved = backend->snapshot.saved[slot];
  if (saved == NULL) return page_headers(part->data)[slot] & ROW_KEY_GROUP;
  if (!(saved->header & ROW_LIVE)) return saved->header & ROW_KEY_GROUP;
  struct wr_key key = wr_row_key(&state->layout, saved->row);
  return (uint16_t)wr_row_key_group(state->group_rule, backend->options.max_parallelism, &key);
}

static const uint8_t *frozen_row(const struct page_part *part, uint32_t slot) {
  const struct saved_row *saved = part->table->backend->snapshot.saved[slot];
  const struct wr_state *state = part->table->state;
  return saved != NULL ? saved->row : part->data + state->rows_offset + (size_t)slot * state->layout.row_size;
}

static size_t blob_bytes_of(const struct row_layout *layout, const uint8_t *row) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < layout->blob_count; i++) {
    const void *place = row + layout->blob_offsets[i];
    const union bytes_reference *reference = place;
    if (reference_is_far(reference)) bytes += reference->far.length;
  }
  return bytes;
}

/* The first marked slot from `slot` on; `slots` when there is none. */
static uint32_t next_marked(const uint64_t *marks, uint32_t slot, uint32_t slots) {
  while (slot < slots) {
    uint64_t word = marks[slot / 64] >> (slot % 64);
    if (word != 0) return slot + (uint32_t)__builtin_ctzll(word);
    slot = (slot / 64 + 1) * 64;
  }
  return slots;
}

/* Takes slots from `slot` on, while they cost no more than `budget`; at least one. Returns the cost. */
static size_t gather(struct page_part *part, uint32_t slot, size_t budget) {
  struct wr_table *table = part->table;
  struct snapshot *snapshot = &table->backend->snapshot;
  const struct row_layout *layout = &table->state->layout;
  const uint64_t *marks = NULL; /* of a delta: only what is marked counts */
  if (!snapshot->is_base)
    marks = page_marks(table, part->first_row >> table->state->page_shift,
                       snapshot->is_cumulative ? MARKS_OF_CHAIN : 1 - table->backend->set);
  size_t cost = 0;
  for (; slot < table->state->page_slots && cost < budget; slot++) {
    if (marks != NULL) slot = next_marked(marks, slot, table->state->page_slots);
    if (slot == table->state->page_slots) break;
    if (frozen_is_live(part, slot)) {
      size_t blobs = blob_bytes_of(layout, frozen_row(part, slot));
      snapshot->row_slots[part->row_count++] = (uint16_t)slot;
      part->blob_bytes += blobs;
      cost += layout->row_size + 4 + blobs + (marks != NULL ? CHANGED_ROW_COST : 0);
    } else if (marks != NULL) {
      snapshot->deleted_slots[part->deleted_count++] = (uint16_t)slot;
      cost += 4 + CHANGED_ROW_COST;
    }
  }
  part->end_slot = slot;
  return cost;
}

static uint8_t *fill_slots(const struct page_part *part, uint8_t *to, const uint16_t *slots, uint32_t count) {
  memcpy(to, &part->first_row, 4);
  memcpy(to + 4, &count, 4);
  to += RECORD_ROWS_HEAD_BYTES;
  memcpy(to, slots, count * sizeof *slots);
  to += count * sizeof *slots;
  for (uint32_t i = 0; i < count; i++) {
    uint16_t group = frozen_group(part, slots[i]);
    memcpy(to, &group, 2);
    to += 2;
  }
  return to;
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

static void put_part(const struct page_part *part, struct wr_bytes *out) {
  struct snapshot *snapshot = &part->table->backend->snapshot;
  const struct row_layout *layout = &part->table->state->layout;
  if (part->row_count != 0) {
    size_t length = RECORD_ROWS_HEAD_BYTES + (size_t)part->row_count * (4 + layout->row_size) + part->blob_bytes;
    put_record(out, RECORD_ROWS, length);
    uint8_t *to = wr_bytes_reserve(out, length);
    if (to == NULL) return;
    to = fill_slots(part, to, snapshot->row_slots, part->row_count);
    uint8_t *blobs = to + (size_t)part->row_count * layout->row_size;
    for (uint32_t i = 0; i < part->row_count; i++, to += layout->row_size)
      fill_row(layout, frozen_row(part, snapshot->row_slots[i]), to, &blobs);
    out->length += length;
    snapshot->rows_written += part->row_count;
  }
  if (part->deleted_count != 0) {
    size_t length = RECORD_ROWS_HEAD_BYTES + (size_t)part->deleted_count * 4;
    put_record(out, RECORD_DELETIONS, length);
    uint8_t *to = wr_bytes_reserve(out, length);
    if (to == NULL) return;
    fill_slots(part, to, snapshot->deleted_slots, part->deleted_count);
    out->length += length;
    snapshot->deletions_written += part->deleted_count;
  }
}

/* Fills snapshot.saved for a page (or clears it again). */
static void place_saved(struct snapshot *snapshot, const struct page *page, bool set) {
  if (page->saved_serial != snapshot->serial) return;
  for (struct saved_row *saved = page->saved; saved != NULL; saved = saved->next)
    snapshot->saved[saved->slot] = set ? saved : NULL;
}

/* Fetches the marked rows of a page, and their headers. */
static void fetch_marked(const struct wr_table *table, uint32_t page_number, uint32_t set) {
  const struct wr_state *state = table->state;
  const struct page *page = page_of(table, page_number);
  if (page->data == NULL || !page_has_marks(table->backend, page, set)) return;
  const uint64_t *marks = page_marks(table, page_number, set);
  for (uint32_t slot = next_marked(marks, 0, state->page_slots); slot < state->page_slots;
       slot = next_marked(marks, slot + 1, state->page_slots)) {
    const uint8_t *row = page->data + state->rows_offset + (size_t)slot * state->layout.row_size;
    __builtin_prefetch(page_headers(page->data) + slot);
    __builtin_prefetch(row);
    __builtin_prefetch(row + state->layout.row_size - 1);
  }
}

/* Fetches what the pages from `page_number` on need: the marked rows, and the saved ones, one step along each page's
 * list at a time. They lie anywhere, and to wait for each alone would take longer than all else. */
static void fetch_pages(const struct wr_table *table, const struct page_group *group, uint32_t page_number) {
  struct snapshot *snapshot = &table->backend->snapshot;
  const struct saved_row *rows[FETCHED_PAGES];
  uint32_t count = 0, first = page_number & (GROUP_PAGES - 1);
  uint32_t end = first + FETCHED_PAGES < GROUP_PAGES ? first + FETCHED_PAGES : GROUP_PAGES;
  for (uint32_t i = first; i < end; i++) {
    if (!snapshot->is_base)
      fetch_marked(table, page_number - first + i, snapshot->is_cumulative ? MARKS_OF_CHAIN : 1 - table->backend->set);
    if (group->pages[i].saved_serial == snapshot->serial) __builtin_prefetch(rows[count++] = group->pages[i].saved);
  }
  while (count != 0)
    for (uint32_t i = 0; i < count;) {
      rows[i] = rows[i]->next;
      if (rows[i] != NULL)
        __builtin_prefetch(rows[i++]);
      else
        rows[i] = rows[--count];
    }
  snapshot->fetched_end = page_number - first + end;
}

/* Writes what it can of the page that the table's cursor is in; returns the cost. */
static size_t write_page(struct wr_table *table, struct wr_bytes *out, size_t budget) {
  struct wr_backend *backend = table->backend;
  struct snapshot *snapshot = &backend->snapshot;
  uint32_t shift = table->state->page_shift, page_number = (uint32_t)(table->cursor >> shift);
  uint64_t next_page = (uint64_t)(page_number + 1) << shift;
  const struct page_group *group = table->groups[page_number >> GROUP_PAGES_SHIFT];
  const struct page *page = group == NULL ? NULL : page_of(table, page_number);
  if (group != NULL && page_number >= snapshot->fetched_end) fetch_pages(table, group, page_number);
  bool is_wanted = page != NULL && page->data != NULL;
  if (is_wanted && !snapshot->is_base)
    is_wanted = page_has_marks(backend, page, 1 - backend->set) ||
                (snapshot->is_cumulative && page_has_marks(backend, page, MARKS_OF_CHAIN));
  if (!is_wanted) {
    table->cursor = next_page;
    return PAGE_COST;
  }
  if (!snapshot->is_base) wr_table_mark_chain(table, page_number);
  struct page_part part = {.table = table, .data = page->data, .first_row = page_number << shift};
  place_saved(snapshot, page, true);
  size_t cost = gather(&part, (uint32_t)table->cursor & (table->state->page_slots - 1), budget);
  put_part(&part, out);
  place_saved(snapshot, page, false);
  table->cursor = part.end_slot == table->state->page_slots ? next_page : part.first_row + part.end_slot;
  return cost + PAGE_COST;
}

/* ---- slices ---- */

static void end_table(struct wr_backend *backend, struct wr_table *table) {
  wr_table_end_snapshot(table);
  if (!table->is_dropped) return;
  table->next_garbage = backend->garbage;
  backend->garbage = table;
}

/* Returns what it cost. */
static size_t write_tables(struct wr_backend *backend, size_t budget) {
  struct snapshot *snapshot = &backend->snapshot;
  struct wr_bytes *out = &snapshot->out;
  size_t cost = 0;
  while (snapshot->next_table < snapshot->table_count && cost < budget) {
    struct wr_table *table = snapshot->tables[snapshot->next_table];
    snapshot->fetched_end = 0; /* between two slices the caches are used for other things */
    if (table->cursor == 0) put_table(out, RECORD_TABLE, table->state->number, table->name_space, table->generation);
    uint64_t end = (uint64_t)table->frozen_pages << table->state->page_shift;
    while (table->cursor < end && cost < budget)
      cost += write_page(table, out, budget - cost);
    if (table->cursor < end) break;
    end_table(backend, table);
    snapshot->next_table++;
    cost += RECORD_HEADER_BYTES + RECORD_TABLE_BYTES;
  }
  if (snapshot->next_table == snapshot->table_count) snapshot->phase = PHASE_END;
  return cost;
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

/* True when all is encoded. */
static bool write_slice(struct wr_backend *backend, size_t budget) {
  struct snapshot *snapshot = &backend->snapshot;
  if (snapshot->is_empty) return true;
  size_t cost = 0;
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

enum wr_snapshot_progress wr_backend_snapshot_step(struct wr_backend *backend, struct wr_upload *upload,
                                                   size_t budget_bytes, struct weir_error *error) {
  struct snapshot *snapshot = &backend->snapshot;
  WR_ASSERT(snapshot->is_running);
  wr_backend_sweep(backend, SWEEP_PER_CALL);
  wr_bytes_clear(&snapshot->out);
  bool is_done = write_slice(backend, budget_bytes == 0 ? 1 : budget_bytes);
  if (wr_bytes_check(&snapshot->out, error) != WEIR_OK) return WR_SNAPSHOT_FAILED;
  if (snapshot->out.length != 0 && wr_upload_append(upload, snapshot->out.data, snapshot->out.length, error) != WEIR_OK)
    return WR_SNAPSHOT_FAILED;
  if (!is_done) return WR_SNAPSHOT_MORE;
  end_snapshot(backend);
  return WR_SNAPSHOT_WRITTEN;
}

void wr_backend_snapshot_cancel(struct wr_backend *backend) {
  if (!backend->snapshot.is_running) return;
  end_snapshot(backend);
  wr_backend_unite(backend);
}
