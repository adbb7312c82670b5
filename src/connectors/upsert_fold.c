/* connectors/upsert_fold.c: see upsert_fold.h. The table of slots is at most half full. */
#include "connectors/upsert_fold.h"

#include "base/hash.h"
#include "base/limits.h"

enum { CHANGES_MAX = 256 * 1024, BATCH_BYTES_HELD_MAX = 64 * 1024 * 1024, SLOTS_FIRST = 16384 };

void wr_upsert_fold_init(struct wr_upsert_fold *fold, struct wr_memory *memory, struct wr_key_fields key) {
  *fold = (struct wr_upsert_fold){.memory = memory, .key = key};
  wr_bytes_init(&fold->keys, memory, WR_MEMORY_SINK);
  wr_bytes_init(&fold->scratch, memory, WR_MEMORY_SINK);
}

void wr_upsert_fold_clear(struct wr_upsert_fold *fold) {
  for (uint32_t i = 0; i < fold->batch_count; i++)
    wr_batch_unref(fold->batches[i]);
  fold->batch_count = 0;
  fold->batch_bytes = 0;
  fold->change_count = 0;
  wr_bytes_clear(&fold->keys);
  if (fold->slot_count != 0) memset(fold->slots, 0, fold->slot_count * sizeof *fold->slots);
}

void wr_upsert_fold_deinit(struct wr_upsert_fold *fold) {
  wr_upsert_fold_clear(fold);
  wr_free(fold->memory, fold->batches);
  wr_free(fold->memory, fold->changes);
  wr_free(fold->memory, fold->slots);
  wr_free(fold->memory, fold->batch_keys);
  wr_bytes_deinit(&fold->keys);
  wr_bytes_deinit(&fold->scratch);
  *fold = (struct wr_upsert_fold){.memory = fold->memory, .key = fold->key};
}

bool wr_upsert_fold_is_full(const struct wr_upsert_fold *fold) {
  return fold->change_count >= CHANGES_MAX || fold->batch_bytes >= BATCH_BYTES_HELD_MAX;
}

static enum weir_code no_memory(const struct wr_upsert_fold *fold, struct weir_error *error) {
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while folding %u changes of an epoch", fold->change_count);
}

/* ---- room ---- */

static bool grow(struct wr_memory *memory, void **array, uint32_t wanted, uint32_t *capacity, size_t bytes) {
  if (wanted <= *capacity) return true;
  uint32_t larger = *capacity == 0 ? 64 : *capacity;
  while (larger < wanted)
    larger *= 2;
  void *moved = wr_resize(memory, *array, larger * bytes, WR_MEMORY_SINK);
  if (moved == NULL) return false;
  *array = moved;
  *capacity = larger;
  return true;
}

static void put_slot(struct wr_upsert_fold *fold, uint64_t hash, uint32_t number) {
  uint32_t mask = fold->slot_count - 1, slot = (uint32_t)hash & mask;
  while (fold->slots[slot] != 0)
    slot = (slot + 1) & mask;
  fold->slots[slot] = number + 1;
}

static bool grow_slots(struct wr_upsert_fold *fold, uint32_t changes) {
  if (fold->slot_count >= changes * 2) return true;
  uint32_t count = fold->slot_count == 0 ? SLOTS_FIRST : fold->slot_count;
  while (count < changes * 2)
    count *= 2;
  uint32_t *slots = wr_alloc_zeroed(fold->memory, count, sizeof *slots, WR_MEMORY_SINK);
  if (slots == NULL) return false;
  wr_free(fold->memory, fold->slots);
  fold->slots = slots;
  fold->slot_count = count;
  for (uint32_t i = 0; i < fold->change_count; i++)
    put_slot(fold, fold->changes[i].hash, i);
  return true;
}

/* Room for a batch and all of its rows as new changes; after it nothing fails but the keys' bytes. */
static enum weir_code reserve(struct wr_upsert_fold *fold, uint32_t rows, struct weir_error *error) {
  if (fold->batch_keys == NULL)
    fold->batch_keys = wr_alloc(fold->memory, WR_BATCH_ROWS_MAX * sizeof *fold->batch_keys, WR_MEMORY_SINK);
  void *batches = fold->batches, *changes = fold->changes;
  bool enough = grow(fold->memory, &batches, fold->batch_count + 1, &fold->batch_capacity, sizeof *fold->batches);
  enough =
      grow(fold->memory, &changes, fold->change_count + rows, &fold->change_capacity, sizeof *fold->changes) && enough;
  fold->batches = batches;
  fold->changes = changes;
  if (!enough || fold->batch_keys == NULL || !grow_slots(fold, fold->change_count + rows))
    return no_memory(fold, error);
  return WEIR_OK;
}

/* ---- changes ---- */

bool wr_upsert_fold_has_null_key(const struct wr_upsert_fold *fold, const struct wr_batch *batch, uint32_t row) {
  for (uint32_t i = 0; i < fold->key.count; i++)
    if (wr_column_is_null(&batch->columns[fold->key.fields[i]], row)) return true;
  return false;
}

/* Where the key's change is, or the free slot for it. */
static uint32_t *find_slot(struct wr_upsert_fold *fold, const struct wr_key *key, uint64_t hash) {
  uint32_t mask = fold->slot_count - 1, slot = (uint32_t)hash & mask;
  for (; fold->slots[slot] != 0; slot = (slot + 1) & mask) {
    const struct wr_fold_change *change = &fold->changes[fold->slots[slot] - 1];
    if (change->hash != hash || change->key_length != key->length) continue;
    if (key->length == 0 || memcmp(fold->keys.data + change->key_offset, key->bytes, key->length) == 0) break;
  }
  return &fold->slots[slot];
}

static void add_row(struct wr_upsert_fold *fold, const struct wr_key *key, uint32_t batch, uint32_t row) {
  uint64_t hash = wr_hash_index(key->bytes, key->length, 0);
  uint32_t *slot = find_slot(fold, key, hash);
  if (*slot != 0) {
    fold->changes[*slot - 1].batch = batch;
    fold->changes[*slot - 1].row = row;
    return;
  }
  fold->changes[fold->change_count++] = (struct wr_fold_change){
      .batch = batch, .row = row, .key_length = key->length, .key_offset = fold->keys.length, .hash = hash};
  wr_bytes_put(&fold->keys, key->bytes, key->length);
  *slot = fold->change_count;
}

enum weir_code wr_upsert_fold_add(struct wr_upsert_fold *fold, struct wr_batch *batch, struct weir_error *error) {
  WR_TRY(reserve(fold, batch->selected_count, error));
  WR_TRY(wr_keys_of_batch(batch, &fold->key, &fold->scratch, fold->batch_keys, error));
  fold->batches[fold->batch_count] = wr_batch_ref(batch);
  fold->batch_bytes += batch->bytes;
  uint32_t number = fold->batch_count++;
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint32_t row = wr_batch_row(batch, i);
    if (wr_batch_row_kind(batch, row) == WEIR_UPDATE_BEFORE) continue;
    if (wr_upsert_fold_has_null_key(fold, batch, row)) {
      if (fold->skips_null_keys) continue;
      return WR_FAIL(error, WEIR_CONSTRAINT, "a row has NULL in its key: it could not be found again to be updated");
    }
    add_row(fold, &fold->batch_keys[i], number, row);
    /* At once: the next row of the key would be compared with bytes that are not there. */
    WR_TRY(wr_bytes_check(&fold->keys, error));
  }
  return WEIR_OK;
}
