/* state/timers.c: see timers.h. The task's thread.
 *
 * A timer is a row of a state whose key is (time BIGINT, key BYTES) and whose value has no fields; the operator's key
 * schema stands in the name of the second field, so that a changed one is noticed. Its key group is the operator key's.
 * Over the rows stands a 4-ary heap in which every entry has a living row: `places` says where a row's entry is, so a
 * deleted timer leaves the heap at once. Equal times are told apart by the first eight bytes of the key, kept in the
 * entry, and only then by the keys in the rows.
 */
#include "state/timers.h"

#include "state/internal.h"

enum { HEAP_ARITY = 4, TIMER_HEAD_BYTES = 10 };

struct heap_entry {
  int64_t time_ms;
  uint64_t prefix; /* of the operator's key, as a big-endian number */
  uint32_t row_id;
};

struct wr_timers {
  struct wr_memory *memory;
  struct wr_state *state;
  struct wr_table *table; /* NULL before the first use */
  struct heap_entry *heap;
  uint64_t count, capacity;
  uint32_t *places; /* by row id: place in the heap */
  uint64_t place_capacity;
  struct wr_bytes key;   /* canonical bytes of (time, key) */
  struct wr_bytes taken; /* keys of the timers that were handed out */
};

/* ---- keys ---- */

static enum weir_code no_memory(const struct wr_timers *timers, struct weir_error *error) {
  return wr_state_no_memory(timers->state, error);
}

static bool make_key(struct wr_timers *timers, int64_t time_ms, const struct wr_key *key, struct wr_key *out_key) {
  wr_bytes_clear(&timers->key);
  wr_bytes_put_u8(&timers->key, 1);
  wr_bytes_put_u64(&timers->key, (uint64_t)time_ms);
  wr_bytes_put_u8(&timers->key, !key->is_null);
  if (!key->is_null) wr_bytes_put_block(&timers->key, key->bytes, key->length);
  *out_key = (struct wr_key){.bytes = timers->key.data, .length = (uint32_t)timers->key.length};
  return !timers->key.failed;
}

/* Takes the canonical bytes apart again. */
static struct wr_timer timer_of_key(const struct wr_key *key) {
  struct wr_timer timer = {.key.is_null = key->length == TIMER_HEAD_BYTES, .key.bytes = key->bytes};
  memcpy(&timer.time_ms, key->bytes + 1, sizeof timer.time_ms);
  if (!timer.key.is_null) {
    timer.key.bytes = key->bytes + TIMER_KEY_OFFSET;
    timer.key.length = key->length - TIMER_KEY_OFFSET;
  }
  return timer;
}

static struct wr_timer timer_of_row(const struct wr_timers *timers, uint32_t row_id) {
  struct wr_key key;
  wr_table_row(timers->table, row_id, &key);
  return timer_of_key(&key);
}

static uint64_t prefix_of(const struct wr_key *key) {
  uint64_t prefix = 0;
  for (uint32_t i = 0; i < 8; i++)
    prefix = prefix << 8 | (i < key->length ? key->bytes[i] : 0);
  return prefix;
}

/* ---- heap ---- */

static bool is_before(const struct wr_timers *timers, const struct heap_entry *a, const struct heap_entry *b) {
  if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms;
  if (a->prefix != b->prefix) return a->prefix < b->prefix;
  struct wr_key x = timer_of_row(timers, a->row_id).key, y = timer_of_row(timers, b->row_id).key;
  uint32_t shared = x.length < y.length ? x.length : y.length;
  int order = shared == 0 ? 0 : memcmp(x.bytes, y.bytes, shared);
  if (order != 0) return order < 0;
  return x.length != y.length ? x.length < y.length : x.is_null && !y.is_null;
}

static void put_entry(struct wr_timers *timers, uint64_t place, struct heap_entry entry) {
  timers->heap[place] = entry;
  timers->places[entry.row_id] = (uint32_t)place;
}

static void move_up(struct wr_timers *timers, uint64_t place, struct heap_entry entry) {
  while (place > 0) {
    uint64_t parent = (place - 1) / HEAP_ARITY;
    if (!is_before(timers, &entry, &timers->heap[parent])) break;
    put_entry(timers, place, timers->heap[parent]);
    place = parent;
  }
  put_entry(timers, place, entry);
}

static void move_down(struct wr_timers *timers, uint64_t place, struct heap_entry entry) {
  for (;;) {
    uint64_t first = place * HEAP_ARITY + 1, best = first;
    if (first >= timers->count) break;
    for (uint64_t child = first + 1; child < first + HEAP_ARITY && child < timers->count; child++)
      if (is_before(timers, &timers->heap[child], &timers->heap[best])) best = child;
    if (!is_before(timers, &timers->heap[best], &entry)) break;
    put_entry(timers, place, timers->heap[best]);
    place = best;
  }
  put_entry(timers, place, entry);
}

/* The rows of all entries still live. */
static void remove_entry(struct wr_timers *timers, uint32_t row_id) {
  uint64_t place = timers->places[row_id];
  struct heap_entry last = timers->heap[--timers->count];
  if (place == timers->count) return;
  if (place > 0 && is_before(timers, &last, &timers->heap[(place - 1) / HEAP_ARITY])) {
    move_up(timers, place, last);
  } else {
    move_down(timers, place, last);
  }
}

static bool grow(struct wr_timers *timers, void *array_pointer, uint64_t *capacity, size_t element_bytes,
                 uint64_t wanted) {
  if (wanted <= *capacity) return true;
  uint64_t larger = *capacity < 64 ? 64 : *capacity;
  while (larger < wanted)
    larger *= 2;
  void *array;
  memcpy(&array, array_pointer, sizeof array);
  array = wr_resize(timers->memory, array, (size_t)larger * element_bytes, WR_MEMORY_STATE);
  if (array == NULL) return false;
  memcpy(array_pointer, &array, sizeof array);
  *capacity = larger;
  return true;
}

/* Room for one more timer, whatever row it gets. */
static bool make_room(struct wr_timers *timers) {
  if (timers->table == NULL) timers->table = wr_state_table(timers->state, 0);
  if (timers->table == NULL) return false;
  uint64_t row_ids = ((uint64_t)timers->table->page_count + 1) << timers->state->page_shift;
  return grow(timers, &timers->heap, &timers->capacity, sizeof *timers->heap, timers->count + 1) &&
         grow(timers, &timers->places, &timers->place_capacity, sizeof *timers->places, row_ids);
}

/* ---- the interface ---- */

/* The name of the key field: "key (app_id STRING NOT NULL)". */
static enum weir_code register_state(struct wr_timers *timers, struct wr_backend *backend, const char *name,
                                     const struct weir_schema *key, struct weir_error *error) {
  struct wr_bytes text;
  wr_bytes_init(&text, timers->memory, WR_MEMORY_STATE);
  wr_bytes_put(&text, "key (", 5);
  wr_layout_put_schema(&text, key);
  /* Names are limited; the start and a hash of the rest tell schemas apart just as well. */
  if (text.length > WR_NAME_BYTES_MAX - 24) {
    uint64_t hash = wr_hash_key(text.data, text.length);
    text.length = WR_NAME_BYTES_MAX - 24;
    while (text.length > 0 && (text.data[text.length] & 0xc0) == 0x80)
      text.length--; /* not within a character */
    wr_bytes_put_u8(&text, '~');
    for (int shift = 60; shift >= 0; shift -= 4)
      wr_bytes_put_u8(&text, (uint8_t) "0123456789abcdef"[hash >> shift & 15]);
  }
  wr_bytes_put(&text, ")", 2);
  enum weir_code code = wr_bytes_check(&text, error);
  if (code == WEIR_OK) {
    const struct weir_field fields[] = {{.name = "time", .type = WEIR_TYPE_BIGINT},
                                        {.name = (const char *)text.data, .type = WEIR_TYPE_BYTES, .nullable = true}};
    const struct weir_schema key_schema = {.fields = fields, .field_count = 2}, value_schema = {0};
    const struct wr_state_descriptor descriptor = {.name = name, .key = &key_schema, .value = &value_schema};
    code = wr_backend_register_rule(backend, &descriptor, GROUP_OF_TIMER, &timers->state, error);
  }
  wr_bytes_deinit(&text);
  return code;
}

enum weir_code wr_timers_new(struct wr_backend *backend, struct wr_memory *memory, const char *name,
                             const struct weir_schema *key, struct wr_timers **out_timers, struct weir_error *error) {
  struct wr_timers *timers = wr_alloc_zeroed(memory, 1, sizeof *timers, WR_MEMORY_STATE);
  if (timers == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the timers \"%s\"", name);
  timers->memory = memory;
  wr_bytes_init(&timers->key, memory, WR_MEMORY_STATE);
  wr_bytes_init(&timers->taken, memory, WR_MEMORY_STATE);
  enum weir_code code = register_state(timers, backend, name, key, error);
  if (code != WEIR_OK) {
    wr_timers_free(timers);
    return code;
  }
  *out_timers = timers;
  return WEIR_OK;
}

void wr_timers_free(struct wr_timers *timers) {
  if (timers == NULL) return;
  wr_free(timers->memory, timers->heap);
  wr_free(timers->memory, timers->places);
  wr_bytes_deinit(&timers->key);
  wr_bytes_deinit(&timers->taken);
  wr_free(timers->memory, timers);
}

enum weir_code wr_timers_restored(struct wr_timers *timers, struct weir_error *error) {
  uint32_t cursor = 0, row_id;
  struct wr_key key;
  const void *value;
  if (!make_room(timers)) return no_memory(timers, error);
  timers->count = 0;
  if (!grow(timers, &timers->heap, &timers->capacity, sizeof *timers->heap, wr_table_row_count(timers->table)))
    return no_memory(timers, error);
  while (wr_table_next(timers->table, &cursor, &row_id, &key, &value)) {
    struct wr_timer timer = timer_of_key(&key);
    struct heap_entry entry = {.time_ms = timer.time_ms, .prefix = prefix_of(&timer.key), .row_id = row_id};
    put_entry(timers, timers->count++, entry);
  }
  for (uint64_t place = timers->count / HEAP_ARITY + 1; place-- > 0;)
    if (place < timers->count) move_down(timers, place, timers->heap[place]);
  return WEIR_OK;
}

enum weir_code wr_timers_register(struct wr_timers *timers, int64_t time_ms, const struct wr_key *key,
                                  struct weir_error *error) {
  struct wr_key timer_key;
  if (!make_room(timers) || !make_key(timers, time_ms, key, &timer_key)) return no_memory(timers, error);
  if (wr_table_prepare_now(timers->table, &timer_key, 1, WR_ACCESS_WRITE, error) != WR_PREPARE_READY)
    return WEIR_NO_MEMORY;
  if (!wr_table_row_is_new(timers->table)[0]) return WEIR_OK;
  struct heap_entry entry = {
      .time_ms = time_ms, .prefix = prefix_of(key), .row_id = wr_table_row_ids(timers->table)[0]};
  move_up(timers, timers->count++, entry);
  return WEIR_OK;
}

enum weir_code wr_timers_delete(struct wr_timers *timers, int64_t time_ms, const struct wr_key *key,
                                struct weir_error *error) {
  struct wr_key timer_key;
  if (timers->count == 0) return WEIR_OK;
  if (!make_key(timers, time_ms, key, &timer_key)) return no_memory(timers, error);
  if (wr_table_prepare_now(timers->table, &timer_key, 1, WR_ACCESS_READ, error) != WR_PREPARE_READY)
    return WEIR_NO_MEMORY;
  uint32_t row_id = wr_table_row_ids(timers->table)[0];
  if (row_id == NO_ROW) return WEIR_OK;
  /* The mark is what can fail; after it the row goes for sure, and it must live while its entry is taken out. */
  if (!wr_table_mark(timers->table, row_id, true)) return no_memory(timers, error);
  remove_entry(timers, row_id);
  return wr_table_delete_row(timers->table, row_id, error);
}

int64_t wr_timers_next_time(const struct wr_timers *timers) {
  return timers->count == 0 ? INT64_MAX : timers->heap[0].time_ms;
}

enum weir_code wr_timers_take_due(struct wr_timers *timers, int64_t now_ms, struct wr_timer *out_timers, uint32_t limit,
                                  uint32_t *out_count, struct weir_error *error) {
  uint32_t count = 0;
  wr_bytes_clear(&timers->taken);
  while (count < limit && timers->count > 0 && timers->heap[0].time_ms <= now_ms) {
    uint32_t row_id = timers->heap[0].row_id;
    struct wr_timer timer = timer_of_row(timers, row_id);
    wr_bytes_put(&timers->taken, timer.key.bytes, timer.key.length);
    if (timers->taken.failed || !wr_table_mark(timers->table, row_id, true)) {
      timers->taken.failed = false;
      if (count != 0) break; /* the next call meets it again */
      return no_memory(timers, error);
    }
    remove_entry(timers, row_id);
    WR_TRY(wr_table_delete_row(timers->table, row_id, error));
    out_timers[count++] = timer;
  }
  /* The keys have moved: into `taken`, one behind the other. */
  const uint8_t *bytes = timers->taken.length == 0 ? (const uint8_t *)"" : timers->taken.data;
  for (uint32_t i = 0; i < count; i++) {
    out_timers[i].key.bytes = bytes;
    bytes += out_timers[i].key.length;
  }
  *out_count = count;
  return WEIR_OK;
}

uint64_t wr_timers_count(const struct wr_timers *timers) {
  return timers->count;
}
