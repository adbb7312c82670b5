/* data/key.c: see key.h. Pure; any thread.
 *
 * A key of one field needs no copy where its column holds the canonical bytes as they are (all types but DOUBLE; a
 * timestamp's are the first 12 of its 16). A key of several fields is written into the scratch in two passes over the
 * columns: the first sums the lengths of each row's key, the second writes, with one cursor per row.
 */
#include "data/key.h"

#include "base/hash.h"
#include "base/limits.h"

enum { TIMESTAMP_KEY_BYTES = 12, HASH_CHUNK_ROWS = 256 };

static const uint8_t no_bytes[1];

/* A run of selected rows of a batch, whose keys are wanted. */
struct key_range {
  const struct wr_batch *batch;
  uint32_t first; /* selected index */
  uint32_t count;
};

static uint32_t range_row(const struct key_range *range, uint32_t i) {
  return wr_batch_row(range->batch, range->first + i);
}

/* The canonical bytes of a DOUBLE: the zeros are one value, and so are the NaNs. */
static uint64_t canonical_double(double value) {
  uint64_t bits;
  if (value != value) return 0x7ff8000000000000ull;
  if (value == 0.0) return 0;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint32_t fixed_key_bytes(enum weir_type type) {
  return type == WEIR_TYPE_TIMESTAMP ? TIMESTAMP_KEY_BYTES : wr_type_width(type);
}

static bool is_view_type(enum weir_type type) {
  return type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
}

static enum weir_code fail_too_long(const struct wr_batch *batch, uint32_t row, uint32_t field, uint64_t length,
                                    struct weir_error *error) {
  return WR_FAIL(error, WEIR_LIMIT,
                 "the key of a record (row %u of its batch, key field \"%s\") has %llu bytes; at most %d are allowed",
                 row, batch->schema->fields[field].name, (unsigned long long)length, WR_KEY_BYTES_MAX);
}

/* ---- keys of one field ---- */

static enum weir_code keys_of_views(const struct key_range *range, uint32_t field, struct wr_key *out_keys,
                                    struct weir_error *error) {
  const struct wr_view *views = wr_column_views(&range->batch->columns[field]);
  for (uint32_t i = 0; i < range->count; i++) {
    const struct wr_view *view = &views[range_row(range, i)];
    out_keys[i] =
        (struct wr_key){.bytes = (const uint8_t *)wr_view_bytes(range->batch, view), .length = (uint32_t)view->length};
    if (view->length > WR_KEY_BYTES_MAX)
      return fail_too_long(range->batch, range_row(range, i), field, (uint64_t)view->length, error);
  }
  return WEIR_OK;
}

static enum weir_code keys_of_doubles(const struct key_range *range, uint32_t field, struct wr_bytes *scratch,
                                      struct wr_key *out_keys, struct weir_error *error) {
  const double *values = range->batch->columns[field].values;
  uint8_t *room = wr_bytes_reserve(scratch, (size_t)range->count * sizeof(uint64_t));
  if (room == NULL) return wr_bytes_check(scratch, error);
  for (uint32_t i = 0; i < range->count; i++) {
    uint64_t bits = canonical_double(values[range_row(range, i)]);
    out_keys[i] = (struct wr_key){.bytes = room + i * sizeof bits, .length = sizeof bits};
    memcpy(room + i * sizeof bits, &bits, sizeof bits);
  }
  scratch->length += (size_t)range->count * sizeof(uint64_t);
  return WEIR_OK;
}

static enum weir_code keys_of_one(const struct key_range *range, uint32_t field, struct wr_bytes *scratch,
                                  struct wr_key *out_keys, struct weir_error *error) {
  const struct wr_column *column = &range->batch->columns[field];
  enum weir_type type = range->batch->schema->fields[field].type;
  if (is_view_type(type)) {
    WR_TRY(keys_of_views(range, field, out_keys, error));
  } else if (type == WEIR_TYPE_DOUBLE) {
    WR_TRY(keys_of_doubles(range, field, scratch, out_keys, error));
  } else {
    const uint8_t *values = column->values;
    uint32_t width = wr_type_width(type), length = fixed_key_bytes(type);
    for (uint32_t i = 0; i < range->count; i++)
      out_keys[i] = (struct wr_key){.bytes = values + (size_t)range_row(range, i) * width, .length = length};
  }
  if (column->validity == NULL) return WEIR_OK;
  for (uint32_t i = 0; i < range->count; i++)
    if (wr_column_is_null(column, range_row(range, i)))
      out_keys[i] = (struct wr_key){.bytes = no_bytes, .is_null = true};
  return WEIR_OK;
}

/* ---- keys of several fields ---- */

/* Adds the length of one field to each row's key; the mark byte is counted by the caller. */
static enum weir_code add_lengths(const struct key_range *range, uint32_t field, struct wr_key *keys,
                                  struct weir_error *error) {
  const struct wr_column *column = &range->batch->columns[field];
  enum weir_type type = range->batch->schema->fields[field].type;
  bool views = is_view_type(type);
  for (uint32_t i = 0; i < range->count; i++) {
    uint32_t row = range_row(range, i);
    if (wr_column_is_null(column, row)) continue;
    uint64_t length = views ? 4 + (uint64_t)wr_column_views(column)[row].length : fixed_key_bytes(type);
    if (keys[i].length + length > WR_KEY_BYTES_MAX)
      return fail_too_long(range->batch, row, field, keys[i].length + length, error);
    keys[i].length += (uint32_t)length;
  }
  return WEIR_OK;
}

/* Writes one field of one row; returns the end of what it wrote. */
static uint8_t *write_value(uint8_t *out, const struct wr_batch *batch, uint32_t field, uint32_t row) {
  const struct wr_column *column = &batch->columns[field];
  enum weir_type type = batch->schema->fields[field].type;
  if (wr_column_is_null(column, row)) {
    *out = 0;
    return out + 1;
  }
  *out++ = 1;
  if (is_view_type(type)) {
    const struct wr_view *view = &wr_column_views(column)[row];
    memcpy(out, &view->length, 4);
    memcpy(out + 4, wr_view_bytes(batch, view), (size_t)view->length);
    return out + 4 + view->length;
  }
  if (type == WEIR_TYPE_DOUBLE) {
    uint64_t bits = canonical_double(((const double *)column->values)[row]);
    memcpy(out, &bits, sizeof bits);
    return out + sizeof bits;
  }
  uint32_t length = fixed_key_bytes(type);
  memcpy(out, (const uint8_t *)column->values + (size_t)row * wr_type_width(type), length);
  return out + length;
}

static enum weir_code keys_of_several(const struct key_range *range, const struct wr_key_fields *key,
                                      struct wr_bytes *scratch, struct wr_key *out_keys, struct weir_error *error) {
  for (uint32_t i = 0; i < range->count; i++)
    out_keys[i] = (struct wr_key){.bytes = no_bytes, .length = key->count};
  for (uint32_t f = 0; f < key->count; f++)
    WR_TRY(add_lengths(range, key->fields[f], out_keys, error));
  size_t total = 0;
  for (uint32_t i = 0; i < range->count; i++)
    total += out_keys[i].length;
  uint8_t *out = wr_bytes_reserve(scratch, total);
  if (out == NULL) return wr_bytes_check(scratch, error);
  scratch->length += total;
  for (uint32_t i = 0; i < range->count; i++) {
    out_keys[i].bytes = out;
    for (uint32_t f = 0; f < key->count; f++)
      out = write_value(out, range->batch, key->fields[f], range_row(range, i));
    WR_ASSERT(out == out_keys[i].bytes + out_keys[i].length);
  }
  return WEIR_OK;
}

static enum weir_code keys_of_range(const struct key_range *range, const struct wr_key_fields *key,
                                    struct wr_bytes *scratch, struct wr_key *out_keys, struct weir_error *error) {
  wr_bytes_clear(scratch);
  WR_ASSERT(key->count != 0);
  if (range->count == 0) return WEIR_OK;
  if (key->count == 1) return keys_of_one(range, key->fields[0], scratch, out_keys, error);
  return keys_of_several(range, key, scratch, out_keys, error);
}

enum weir_code wr_keys_of_batch(const struct wr_batch *batch, const struct wr_key_fields *key, struct wr_bytes *scratch,
                                struct wr_key *out_keys, struct weir_error *error) {
  struct key_range range = {.batch = batch, .count = batch->selected_count};
  return keys_of_range(&range, key, scratch, out_keys, error);
}

bool wr_key_is_bigint(const struct weir_schema *schema, const struct wr_key_fields *key) {
  return key->count == 1 && schema->fields[key->fields[0]].type == WEIR_TYPE_BIGINT &&
         !schema->fields[key->fields[0]].nullable;
}

enum weir_code wr_key_hashes(const struct wr_batch *batch, const struct wr_key_fields *key, struct wr_bytes *scratch,
                             uint64_t *out_hashes, struct weir_error *error) {
  const struct wr_column *only = key->count == 1 ? &batch->columns[key->fields[0]] : NULL;
  if (only != NULL && only->validity == NULL && batch->schema->fields[key->fields[0]].type == WEIR_TYPE_BIGINT) {
    wr_hash_keys_u64(wr_column_bigints(only), batch->selection, batch->selected_count, out_hashes);
    return WEIR_OK;
  }
  struct wr_key keys[HASH_CHUNK_ROWS];
  struct key_range range = {.batch = batch};
  for (; range.first < batch->selected_count; range.first += range.count) {
    uint32_t left = batch->selected_count - range.first;
    range.count = left < HASH_CHUNK_ROWS ? left : HASH_CHUNK_ROWS;
    WR_TRY(keys_of_range(&range, key, scratch, keys, error));
    for (uint32_t i = 0; i < range.count; i++)
      out_hashes[range.first + i] = wr_hash_key(keys[i].bytes, keys[i].length);
  }
  return WEIR_OK;
}
