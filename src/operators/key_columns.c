/* operators/key_columns.c: see key_columns.h. */
#include "operators/key_columns.h"

#include "base/limits.h"
#include "data/gather.h"

/* ---- columns ---- */

static void gather_validity(uint64_t *out, const struct wr_column *source, const uint16_t *rows, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (!wr_column_is_null(source, rows[i])) out[i / 64] |= 1ull << (i % 64);
}

/* The gathered views still name the source's heaps: what is longer than a view goes into one heap of the target. */
static enum weir_code own_strings(struct wr_batch *target, const struct wr_batch *source, struct wr_view *views,
                                  uint32_t count, struct weir_error *error) {
  size_t total = 0;
  for (uint32_t i = 0; i < count; i++)
    if (views[i].length > WR_VIEW_INLINE_MAX) total += (size_t)views[i].length;
  if (total == 0) return WEIR_OK;
  struct wr_heap *heap = total > UINT32_MAX ? NULL : wr_heap_new(target->memory, total);
  if (heap == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %zu bytes of keys", total);
  for (uint32_t i = 0; i < count; i++) {
    if (views[i].length <= WR_VIEW_INLINE_MAX) continue;
    memcpy(heap->data + heap->used_bytes, wr_view_bytes(source, &views[i]), (size_t)views[i].length);
    views[i].heap = target->heap_count;
    views[i].offset = heap->used_bytes;
    heap->used_bytes += (uint32_t)views[i].length;
  }
  if (wr_batch_add_heap(target, heap)) return WEIR_OK;
  wr_heap_unref(heap);
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %zu bytes of keys", total);
}

enum weir_code wr_column_gather(struct wr_batch *target, uint32_t target_field, const struct wr_batch *source,
                                uint32_t source_field, const uint16_t *rows, uint32_t count, struct weir_error *error) {
  enum weir_type type = source->schema->fields[source_field].type;
  WR_ASSERT(target->schema->fields[target_field].type == type);
  const struct wr_column *from = &source->columns[source_field];
  struct wr_column *to = &target->columns[target_field];
  wr_gather_values(to->values, from->values, wr_type_width(type), rows, count);
  if (to->validity != NULL) gather_validity(to->validity, from, rows, count);
  if (type != WEIR_TYPE_STRING && type != WEIR_TYPE_BYTES) return WEIR_OK;
  return own_strings(target, source, to->values, count, error);
}

/* ---- schemas ---- */

struct weir_schema *wr_key_schema(struct wr_memory *memory, const struct weir_schema *input,
                                  const struct wr_key_fields *key, const struct weir_schema *more) {
  uint32_t more_count = more == NULL ? 0 : more->field_count, count = key->count + more_count;
  struct weir_field *fields = wr_alloc_zeroed(memory, count, sizeof *fields, WR_MEMORY_ENGINE);
  if (fields == NULL) return NULL;
  for (uint32_t i = 0; i < key->count; i++)
    fields[i] = input->fields[key->fields[i]];
  for (uint32_t i = 0; i < more_count; i++)
    fields[key->count + i] = more->fields[i];
  const struct weir_schema schema = {.fields = fields, .field_count = count};
  struct weir_schema *copy = wr_schema_copy(memory, &schema);
  wr_free(memory, fields);
  return copy;
}

/* ---- canonical bytes ---- */

static enum weir_code damaged(const struct wr_batch_builder *builder, uint32_t field, struct weir_error *error) {
  return WR_FAIL(error, WEIR_CORRUPT, "the stored bytes of key field \"%s\" are not those of a key",
                 builder->schema->fields[field].name);
}

/* Reads a value of a fixed width; `length` bytes of it are in the key. */
static enum weir_code set_fixed(struct wr_batch_builder *builder, uint32_t field, const uint8_t *bytes, size_t length,
                                struct weir_error *error) {
  enum weir_type type = builder->schema->fields[field].type;
  struct weir_timestamp time = {0};
  int64_t bigint;
  int32_t number;
  double real;
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
    if (length != 1 || bytes[0] > 1) return damaged(builder, field, error);
    wr_batch_builder_set_boolean(builder, field, bytes[0] != 0);
    return WEIR_OK;
  case WEIR_TYPE_INT:
    if (length != sizeof number) return damaged(builder, field, error);
    memcpy(&number, bytes, sizeof number);
    wr_batch_builder_set_int(builder, field, number);
    return WEIR_OK;
  case WEIR_TYPE_BIGINT:
    if (length != sizeof bigint) return damaged(builder, field, error);
    memcpy(&bigint, bytes, sizeof bigint);
    wr_batch_builder_set_bigint(builder, field, bigint);
    return WEIR_OK;
  case WEIR_TYPE_DOUBLE:
    if (length != sizeof real) return damaged(builder, field, error);
    memcpy(&real, bytes, sizeof real);
    wr_batch_builder_set_double(builder, field, real);
    return WEIR_OK;
  case WEIR_TYPE_TIMESTAMP:
    if (length != 12) return damaged(builder, field, error);
    memcpy(&time.milliseconds, bytes, 8);
    memcpy(&time.nanoseconds, bytes + 8, 4);
    wr_batch_builder_set_timestamp(builder, field, time);
    return WEIR_OK;
  default:
    return damaged(builder, field, error);
  }
}

static bool is_view_type(enum weir_type type) {
  return type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
}

/* One field of a key of several: a mark, then the value where there is one. */
static enum weir_code read_field(struct wr_batch_builder *builder, uint32_t field, struct wr_reader *reader,
                                 struct weir_error *error) {
  enum weir_type type = builder->schema->fields[field].type;
  uint8_t mark = wr_read_u8(reader);
  if (reader->failed || mark > 1) return damaged(builder, field, error);
  if (mark == 0) return wr_batch_builder_set_null(builder, field, error);
  size_t length = is_view_type(type) ? wr_read_u32(reader) : type == WEIR_TYPE_TIMESTAMP ? 12 : wr_type_width(type);
  const uint8_t *bytes = wr_read(reader, length);
  if (bytes == NULL) return damaged(builder, field, error);
  if (is_view_type(type)) return wr_batch_builder_set_bytes(builder, field, bytes, length, error);
  return set_fixed(builder, field, bytes, length, error);
}

enum weir_code wr_key_to_row(struct wr_batch_builder *builder, uint32_t count, const struct wr_key *key,
                             struct weir_error *error) {
  if (count == 1) {
    if (key->is_null) return wr_batch_builder_set_null(builder, 0, error);
    if (is_view_type(builder->schema->fields[0].type))
      return wr_batch_builder_set_bytes(builder, 0, key->bytes, key->length, error);
    return set_fixed(builder, 0, key->bytes, key->length, error);
  }
  struct wr_reader reader = wr_reader_of(key->bytes, key->length);
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(read_field(builder, i, &reader, error));
  return reader.position == reader.length ? WEIR_OK : damaged(builder, count - 1, error);
}
