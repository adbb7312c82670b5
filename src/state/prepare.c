/* state/prepare.c: access to rows by batch: find, insert, mark, and hand out pointers. The task's thread.
 *
 * A prepare runs over its keys in passes, so that the memory of many rows is fetched at once: hash and fetch the index
 * slot; find the first row with the tag and fetch its page, then itself; compare keys; and, for a WRITE, mark the rows
 * (which copies what a running snapshot needs). Then WRITE inserts what is missing (and marks it), and only then makes
 * pointers. When memory ends in between, the rows inserted so far are taken out again; marks that were set stay and
 * only make the next delta a little larger.
 */
#include "state/internal.h"

enum {
  LOOKUP_ROWS = 128, /* rows whose memory is fetched at once */
  LINE_BYTES = 64,
  FAR_PAGES = 512, /* a table of so many pages keeps even its pages and marks out of the caches */
};

/* The keys of one prepare, in either form. */
struct key_list {
  const int64_t *bigints;
  const struct wr_key *keys; /* where bigints is NULL */
};

static struct wr_key key_at(const struct key_list *list, uint32_t i) {
  if (list->bigints == NULL) return list->keys[i];
  return (struct wr_key){.bytes = (const uint8_t *)(list->bigints + i), .length = 8};
}

static uint32_t tag_of_bigint(const struct wr_table *table, int64_t key) {
  return (uint32_t)(wr_hash_index_u64((uint64_t)key, table->backend->options.index_seed) >> 32);
}

static uint32_t tag_of_key(const struct wr_table *table, const struct wr_key *key) {
  return (uint32_t)(wr_hash_index(key->bytes, key->length, table->backend->options.index_seed + key->is_null) >> 32);
}

static int64_t bigint_of_row(const uint8_t *row) {
  int64_t key;
  memcpy(&key, row, sizeof key);
  return key;
}

static bool row_has_key(const uint8_t *row, const struct wr_key *key) {
  const union bytes_reference *reference = (const union bytes_reference *)(const void *)row;
  if (key->is_null) return reference->near.length == REFERENCE_NULL;
  return reference->near.length == key->length &&
         (key->length == 0 || memcmp(reference_bytes(reference), key->bytes, key->length) == 0);
}

uint32_t wr_table_tag_of_row(const struct wr_table *table, const uint8_t *row) {
  if (table->state->layout.is_bigint) return tag_of_bigint(table, bigint_of_row(row));
  struct wr_key key = wr_row_key(&table->state->layout, row);
  return tag_of_key(table, &key);
}

bool wr_table_rows_equal(const struct wr_table *table, uint32_t a, uint32_t b) {
  if (table->state->layout.is_bigint) return bigint_of_row(row_of(table, a)) == bigint_of_row(row_of(table, b));
  struct wr_key key = wr_row_key(&table->state->layout, row_of(table, a));
  return row_has_key(row_of(table, b), &key);
}

/* ---- finding ---- */

static bool row_matches(const struct wr_table *table, uint32_t row_id, const struct key_list *list, uint32_t i) {
  const uint8_t *row = row_of(table, row_id);
  return list->bigints != NULL ? bigint_of_row(row) == list->bigints[i] : row_has_key(row, &list->keys[i]);
}

/* The row of key i, compared; NO_ROW. */
static uint32_t find_one(const struct wr_table *table, uint32_t tag, const struct key_list *list, uint32_t i) {
  const struct index *index = &table->index;
  const struct index_slot *slots = index_segment_of(index, tag)->slots;
  for (uint32_t place = tag & index->slot_mask; slots[place].row_id != NO_ROW; place = (place + 1) & index->slot_mask)
    if (slots[place].tag == tag && row_matches(table, slots[place].row_id, list, i)) return slots[place].row_id;
  return NO_ROW;
}

/* The first row with the tag, not compared. */
static uint32_t first_with_tag(const struct index *index, uint32_t tag) {
  const struct index_slot *slots = index_segment_of(index, tag)->slots;
  uint32_t place = tag & index->slot_mask;
  while (slots[place].tag != tag && slots[place].row_id != NO_ROW)
    place = (place + 1) & index->slot_mask;
  return slots[place].row_id;
}

/* What a WRITE will look at: where the page lies, and its marks. */
static void fetch_page(const struct wr_table *table, uint32_t row_id) {
  uint32_t page_number = row_id >> table->state->page_shift, slot = row_id & (table->state->page_slots - 1);
  __builtin_prefetch(page_place(table, page_number));
  __builtin_prefetch(marks_of(table, page_number, table->backend->set) + slot / 64, 1);
}

/* What is needed to save a row: is it one that the snapshot writes, and all of it. Its first line is there. */
static void fetch_row_to_save(const struct wr_table *table, uint32_t row_id) {
  const struct wr_state *state = table->state;
  uint32_t page_number = row_id >> state->page_shift, slot = row_id & (state->page_slots - 1);
  uint32_t row_size = state->layout.row_size;
  const uint8_t *row = row_of(table, row_id);
  __builtin_prefetch(marks_of(table, page_number, 1 - table->backend->set) + slot / 64);
  for (uint32_t offset = LINE_BYTES; offset < row_size; offset += LINE_BYTES)
    __builtin_prefetch(row + offset, 1);
  __builtin_prefetch(row + row_size - 1, 1);
}

/* Marks the rows that are there; false without memory for what a snapshot still needs of them. */
static bool mark_block(struct wr_table *table, uint32_t first, uint32_t end) {
  bool fetches = table->snapshot_needs && table->page_count >= FAR_PAGES;
  uint32_t unmarked[LOOKUP_ROWS], count = 0;
  for (uint32_t i = first; i < end; i++) {
    uint32_t row_id = table->row_ids[i];
    if (row_id == NO_ROW || wr_table_is_marked(table, row_id, table->backend->set)) continue;
    unmarked[count++] = row_id;
    if (fetches && row_id >= table->cursor) fetch_row_to_save(table, row_id);
  }
  for (uint32_t i = 0; i < count; i++) /* the same row may stand there twice */
    if (!wr_table_mark(table, unmarked[i], true)) return false;
  return true;
}

/* `mark`: marks the rows that are there; false without memory for what a snapshot still needs of them. */
static bool find_block(struct wr_table *table, const struct key_list *list, uint32_t first, uint32_t end, bool mark) {
  const struct index *index = &table->index;
  const uint32_t *tags = table->backend->tags;
  uint32_t *ids = table->row_ids;
  bool is_far = table->page_count >= FAR_PAGES;
  for (uint32_t i = first; i < end; i++)
    __builtin_prefetch(&index_segment_of(index, tags[i])->slots[tags[i] & index->slot_mask]);
  for (uint32_t i = first; i < end; i++) {
    ids[i] = first_with_tag(index, tags[i]);
    if (ids[i] == NO_ROW) continue;
    if (is_far)
      fetch_page(table, ids[i]);
    else
      __builtin_prefetch(row_of(table, ids[i]), 1);
  }
  for (uint32_t i = first; i < end && is_far; i++)
    if (ids[i] != NO_ROW) __builtin_prefetch(row_of(table, ids[i]), 1);
  for (uint32_t i = first; i < end; i++)
    if (ids[i] != NO_ROW && !row_matches(table, ids[i], list, i)) ids[i] = find_one(table, tags[i], list, i);
  return !mark || mark_block(table, first, end);
}

/* Fills tags and row ids (NO_ROW: missing), and marks what is there when it will be written; false without memory. */
static bool find_all(struct wr_table *table, const struct key_list *list, uint32_t n, enum wr_access access) {
  uint32_t *tags = table->backend->tags;
  if (list->bigints != NULL) {
    for (uint32_t i = 0; i < n; i++)
      tags[i] = tag_of_bigint(table, list->bigints[i]);
  } else {
    for (uint32_t i = 0; i < n; i++)
      tags[i] = tag_of_key(table, &list->keys[i]);
  }
  if (table->index.directory == NULL) {
    memset(table->row_ids, 0xff, n * sizeof *table->row_ids);
    return true;
  }
  for (uint32_t first = 0; first < n; first += LOOKUP_ROWS) {
    uint32_t end = n - first < LOOKUP_ROWS ? n : first + LOOKUP_ROWS;
    if (!find_block(table, list, first, end, access == WR_ACCESS_WRITE)) return false;
  }
  return true;
}

/* ---- inserting ---- */

static bool store_reference(struct wr_table *table, union bytes_reference *reference, const void *bytes,
                            uint32_t length) {
  if (length <= REFERENCE_INLINE_MAX) {
    memset(reference, 0, sizeof *reference);
    reference->near.length = length;
    if (length != 0) memcpy(reference->near.bytes, bytes, length);
    return true;
  }
  struct blob *blob = wr_blobs_take(&table->blobs, length);
  if (blob == NULL) return false;
  memcpy(blob->data, bytes, length);
  reference->far.length = length;
  reference->far.epoch = table->backend->epoch;
  reference->far.blob = blob;
  return true;
}

static bool store_key(struct wr_table *table, uint8_t *row, const struct wr_key *key) {
  if (table->state->layout.is_bigint) {
    memcpy(row, key->bytes, 8);
    return true;
  }
  union bytes_reference *reference = (union bytes_reference *)(void *)row;
  if (!store_reference(table, reference, key->bytes, key->length)) return false;
  if (key->is_null) reference->near.length = REFERENCE_NULL;
  return true;
}

/* NO_ROW: no memory, and nothing is inserted. */
static uint32_t insert(struct wr_table *table, uint32_t tag, const struct wr_key *key) {
  const struct wr_state *state = table->state;
  if (!wr_index_reserve(&table->index, table->backend, tag)) return NO_ROW;
  uint32_t row_id = wr_table_take_slot(table);
  if (row_id == NO_ROW) return NO_ROW;
  uint8_t *row = row_of(table, row_id);
  if (!store_key(table, row, key)) {
    wr_table_give_slot(table, row_id);
    return NO_ROW;
  }
  memset(row + state->layout.value_offset, 0, state->layout.row_size - state->layout.value_offset);
  uint32_t group = wr_row_key_group(state->group_rule, table->backend->options.max_parallelism, key);
  WR_ASSERT(group >= table->backend->options.range.first && group < table->backend->options.range.end);
  *life_of(table, row_id) = 1;
  wr_index_add(&table->index, tag, row_id);
  table->row_count++;
  table->backend->row_count++;
  return row_id;
}

static void take_out_new(struct wr_table *table, uint32_t n) {
  for (uint32_t i = n; i-- > 0;)
    if (table->row_is_new[i]) wr_table_remove_row(table, table->row_ids[i]);
}

static bool insert_missing(struct wr_table *table, const struct key_list *list, uint32_t n) {
  const uint32_t *tags = table->backend->tags;
  for (uint32_t i = 0; i < n; i++) {
    if (table->row_ids[i] != NO_ROW) continue;
    struct wr_key key = key_at(list, i);
    /* An equal key earlier in the batch may have been inserted by now. */
    if (table->index.directory != NULL) table->row_ids[i] = find_one(table, tags[i], list, i);
    if (table->row_ids[i] != NO_ROW) continue;
    table->row_ids[i] = insert(table, tags[i], &key);
    if (table->row_ids[i] == NO_ROW) {
      take_out_new(table, i);
      return false;
    }
    table->row_is_new[i] = 1;
  }
  return true;
}

/* ---- results ---- */

static bool reserve_results(struct wr_table *table, uint32_t n) {
  if (n <= table->result_capacity && table->rows != NULL) return true;
  uint32_t capacity = 16;
  while (capacity < n)
    capacity *= 2;
  size_t each = sizeof *table->rows + sizeof *table->row_ids + sizeof *table->row_is_new;
  void **rows = wr_state_alloc(table->backend, capacity * each, WR_MEMORY_STATE);
  if (rows == NULL) return false;
  wr_state_release(table->backend, table->rows, table->result_capacity * each);
  table->rows = rows;
  table->row_ids = (uint32_t *)(void *)(rows + capacity);
  table->row_is_new = (uint8_t *)(table->row_ids + capacity);
  table->result_capacity = capacity;
  return true;
}

static void make_pointers(struct wr_table *table, uint32_t n) {
  uint32_t value_offset = table->state->layout.value_offset;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t row_id = table->row_ids[i];
    table->rows[i] = row_id == NO_ROW ? NULL : row_of(table, row_id) + value_offset;
  }
}

static enum wr_prepare prepare(struct wr_table *table, const struct key_list *list, uint32_t n, enum wr_access access,
                               struct weir_error *error) {
  WR_ASSERT(n <= WR_BATCH_ROWS_MAX);
  wr_backend_sweep(table->backend, SWEEP_PER_CALL);
  table->result_count = 0;
  table->write_epoch = access == WR_ACCESS_WRITE ? table->backend->epoch : 0;
  if (!reserve_results(table, n)) goto no_memory;
  memset(table->row_is_new, 0, n);
  if (!find_all(table, list, n, access)) goto no_memory;
  if (access == WR_ACCESS_WRITE && !insert_missing(table, list, n)) goto no_memory;
  make_pointers(table, n);
  table->result_count = n;
  return WR_PREPARE_READY;

no_memory:
  wr_state_no_memory(table->state, error);
  return WR_PREPARE_FAILED;
}

/* The simulator's backend says WAIT. Which prepares wait depends on what they ask for alone, and each waits once: so a
 * task that repeats a call with many prepares gets through. */
static bool must_wait(struct wr_table *table, const struct wr_key *first, uint32_t n, enum wr_access access) {
  struct wr_backend *backend = table->backend;
  uint64_t one_in = backend->options.wait_one_in;
  if (one_in == 0) return false;
  const uint64_t asked[] = {table->generation, n, access, first == NULL ? 0 : wr_hash_key(first->bytes, first->length)};
  uint64_t hash = wr_hash_index(asked, sizeof asked, backend->options.wait_seed);
  struct wr_random random = wr_random_of(hash);
  if (!wr_random_one_in(&random, one_in)) return false;
  for (uint32_t i = 0; i < WAITED_MAX; i++)
    if (backend->waited[i] == hash) return false;
  backend->waited[backend->waited_next] = hash;
  backend->waited_next = (backend->waited_next + 1) % WAITED_MAX;
  return true;
}

enum wr_prepare wr_table_prepare_bigints(struct wr_table *table, const int64_t *keys, uint32_t n, enum wr_access access,
                                         struct weir_error *error) {
  WR_ASSERT(table->state->layout.is_bigint);
  struct key_list list = {.bigints = keys};
  if (table->backend->options.wait_one_in != 0) {
    struct wr_key first = {.length = 0};
    if (n != 0) first = key_at(&list, 0);
    if (must_wait(table, n == 0 ? NULL : &first, n, access)) return WR_PREPARE_WAIT;
  }
  return prepare(table, &list, n, access, error);
}

enum wr_prepare wr_table_prepare_now(struct wr_table *table, const struct wr_key *keys, uint32_t n,
                                     enum wr_access access, struct weir_error *error) {
  for (uint32_t i = 0; i < n; i++)
    WR_ASSERT(keys[i].length <= KEY_BYTES_MAX && (!keys[i].is_null || table->state->layout.has_null_key));
  struct key_list list = {.keys = keys};
  if (!table->state->layout.is_bigint) return prepare(table, &list, n, access, error);
  int64_t bigints[WR_BATCH_ROWS_MAX];
  for (uint32_t i = 0; i < n; i++) {
    WR_ASSERT(keys[i].length == 8);
    memcpy(&bigints[i], keys[i].bytes, 8);
  }
  list.bigints = bigints;
  return prepare(table, &list, n, access, error);
}

enum wr_prepare wr_table_prepare(struct wr_table *table, const struct wr_key *keys, uint32_t n, enum wr_access access,
                                 struct weir_error *error) {
  if (must_wait(table, n == 0 ? NULL : keys, n, access)) return WR_PREPARE_WAIT;
  return wr_table_prepare_now(table, keys, n, access, error);
}

void *const *wr_table_rows(const struct wr_table *table) {
  return table->rows;
}

const uint32_t *wr_table_row_ids(const struct wr_table *table) {
  return table->row_ids;
}

const uint8_t *wr_table_row_is_new(const struct wr_table *table) {
  return table->row_is_new;
}

/* ---- changing ---- */

void wr_table_delete(struct wr_table *table, uint32_t i) {
  /* Only what a WRITE marked since the last freeze may change, or the next delta would not say so. */
  WR_ASSERT(i < table->result_count && table->write_epoch == table->backend->epoch);
  uint32_t row_id = table->row_ids[i];
  if (row_id == NO_ROW || *life_of(table, row_id) == 0) return;
  wr_table_remove_row(table, row_id);
}

enum weir_code wr_table_delete_row(struct wr_table *table, uint32_t row_id, struct weir_error *error) {
  WR_ASSERT(*life_of(table, row_id) == 1);
  if (!wr_table_mark(table, row_id, true)) return wr_state_no_memory(table->state, error);
  wr_table_remove_row(table, row_id);
  return WEIR_OK;
}

uint32_t wr_state_value_offset(const struct wr_state *state, uint32_t field) {
  WR_ASSERT(field < state->layout.field_count);
  return state->layout.field_offsets[field];
}

uint32_t wr_state_value_size(const struct wr_state *state) {
  return state->layout.value_size;
}

const char *wr_value_bytes(const struct wr_table *table, const void *value, uint32_t field, size_t *out_length) {
  const uint8_t *place = (const uint8_t *)value + wr_state_value_offset(table->state, field);
  const union bytes_reference *reference = (const union bytes_reference *)(const void *)place;
  *out_length = reference->near.length;
  return (const char *)reference_bytes(reference);
}

enum weir_code wr_value_set_bytes(struct wr_table *table, void *value, uint32_t field, const void *bytes, size_t length,
                                  struct weir_error *error) {
  uint8_t *place = (uint8_t *)value + wr_state_value_offset(table->state, field);
  union bytes_reference *reference = (union bytes_reference *)(void *)place, old = *reference;
  if (length > WR_RECORD_BYTES_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "a value of state \"%s\" (field \"%s\") has %zu bytes; at most %d are allowed",
                   table->state->name, table->state->value->fields[field].name, length, WR_RECORD_BYTES_MAX);
  if (!store_reference(table, reference, bytes, (uint32_t)length)) return wr_state_no_memory(table->state, error);
  if (reference_is_far(&old)) wr_blobs_give(&table->blobs, old.far.blob, old.far.length, blob_is_held(table, &old));
  return WEIR_OK;
}

bool wr_value_is_null(const struct wr_table *table, const void *value, uint32_t field) {
  WR_ASSERT(field < table->state->layout.field_count);
  uint32_t offset = table->state->layout.null_offsets[field];
  return offset != UINT32_MAX && ((const uint8_t *)value)[offset] != 0;
}

void wr_value_set_null(struct wr_table *table, void *value, uint32_t field, bool is_null) {
  WR_ASSERT(field < table->state->layout.field_count);
  uint32_t offset = table->state->layout.null_offsets[field];
  WR_ASSERT(offset != UINT32_MAX);
  ((uint8_t *)value)[offset] = is_null;
}
