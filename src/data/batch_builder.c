/* data/batch_builder.c: see batch_builder.h.
 *
 * What always holds of the batch being built: beyond its rows the values and validity bits are clear, but for what was
 * set since the last end_row(); the heap with room is the last of its heaps. Heaps start small and grow, so that a
 * batch of few rows is small too.
 */
#include "data/batch_builder.h"

#include "data/gather.h"

enum {
  HEAP_BYTES_FIRST = 4 * 1024,
  HEAP_BYTES_MAX = 64 * 1024,
  SMALL_BATCH_FRACTION = 8, /* a batch of at most this part of the capacity leaves in a block of its own */
};

void wr_batch_builder_init(struct wr_batch_builder *builder, struct wr_memory *memory, const struct weir_schema *schema,
                           bool has_row_kinds) {
  *builder = (struct wr_batch_builder){.memory = memory, .schema = schema, .has_row_kinds = has_row_kinds};
  for (uint32_t i = 0; i < schema->field_count; i++)
    builder->row_bytes += wr_type_width(schema->fields[i].type);
  uint32_t rows = (WR_BATCH_BYTES_MAX / builder->row_bytes + 63) / 64 * 64;
  if (rows < 64) rows = 64;
  builder->capacity_rows = rows > WR_BATCH_ROWS_MAX ? WR_BATCH_ROWS_MAX : rows;
}

void wr_batch_builder_deinit(struct wr_batch_builder *builder) {
  wr_batch_unref(builder->batch);
  builder->batch = NULL;
  builder->heap = NULL;
}

enum weir_code wr_batch_builder_begin(struct wr_batch_builder *builder, struct weir_error *error) {
  if (builder->batch != NULL) return WEIR_OK;
  builder->batch = wr_batch_new(builder->memory, builder->schema, builder->capacity_rows, builder->has_row_kinds);
  if (builder->batch == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a batch of %u rows of %u bytes", builder->capacity_rows,
                   builder->row_bytes);
  builder->heap = NULL;
  builder->heap_used_bytes = 0;
  return WEIR_OK;
}

/* ---- single values ---- */

/* Marks the value of the current row as there, and gives its column. */
static void *set_value(struct wr_batch_builder *builder, uint32_t field, enum weir_type type) {
  struct wr_batch *batch = builder->batch;
  WR_ASSERT(batch != NULL && batch->row_count < builder->capacity_rows && field < builder->schema->field_count);
  WR_ASSERT(builder->schema->fields[field].type == type);
  struct wr_column *column = &batch->columns[field];
  if (column->validity != NULL) column->validity[batch->row_count / 64] |= 1ull << (batch->row_count % 64);
  return column->values;
}

void wr_batch_builder_set_bigint(struct wr_batch_builder *builder, uint32_t field, int64_t value) {
  ((int64_t *)set_value(builder, field, WEIR_TYPE_BIGINT))[builder->batch->row_count] = value;
}

void wr_batch_builder_set_int(struct wr_batch_builder *builder, uint32_t field, int32_t value) {
  ((int32_t *)set_value(builder, field, WEIR_TYPE_INT))[builder->batch->row_count] = value;
}

void wr_batch_builder_set_boolean(struct wr_batch_builder *builder, uint32_t field, bool value) {
  ((uint8_t *)set_value(builder, field, WEIR_TYPE_BOOLEAN))[builder->batch->row_count] = value;
}

void wr_batch_builder_set_double(struct wr_batch_builder *builder, uint32_t field, double value) {
  ((double *)set_value(builder, field, WEIR_TYPE_DOUBLE))[builder->batch->row_count] = value;
}

void wr_batch_builder_set_timestamp(struct wr_batch_builder *builder, uint32_t field, struct weir_timestamp value) {
  value.zero = 0;
  ((struct weir_timestamp *)set_value(builder, field, WEIR_TYPE_TIMESTAMP))[builder->batch->row_count] = value;
}

/* Clears `count` rows of one column: values and validity. */
static void clear_column(struct wr_column *column, uint32_t width, uint32_t first, uint32_t count) {
  memset((char *)column->values + (size_t)first * width, 0, (size_t)count * width);
  if (column->validity == NULL) return;
  for (uint32_t row = first; row < first + count; row++)
    column->validity[row / 64] &= ~(1ull << (row % 64));
}

static void clear_rows(struct wr_batch_builder *builder, uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < builder->schema->field_count; i++)
    clear_column(&builder->batch->columns[i], wr_type_width(builder->schema->fields[i].type), first, count);
}

enum weir_code wr_batch_builder_set_null(struct wr_batch_builder *builder, uint32_t field, struct weir_error *error) {
  struct wr_batch *batch = builder->batch;
  WR_ASSERT(batch != NULL && batch->row_count < builder->capacity_rows && field < builder->schema->field_count);
  const struct weir_field *description = &builder->schema->fields[field];
  if (!description->nullable) return WR_FAIL(error, WEIR_INVALID, "field \"%s\" cannot be NULL", description->name);
  clear_column(&batch->columns[field], wr_type_width(description->type), batch->row_count, 1);
  return WEIR_OK;
}

/* ---- strings ---- */

/* Makes the last heap one with room for `length` bytes. */
static enum weir_code reserve_heap(struct wr_batch_builder *builder, size_t length, struct weir_error *error) {
  if (builder->heap != NULL && length <= builder->heap->capacity_bytes - builder->heap->used_bytes) return WEIR_OK;
  size_t capacity = HEAP_BYTES_FIRST;
  for (uint32_t i = 0; i < builder->batch->heap_count && capacity < HEAP_BYTES_MAX; i++)
    capacity *= 4;
  if (capacity < length) capacity = length;
  struct wr_heap *heap = wr_heap_new(builder->memory, capacity);
  if (heap == NULL || !wr_batch_add_heap(builder->batch, heap)) {
    wr_heap_unref(heap);
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a string of %zu bytes", length);
  }
  builder->heap = heap;
  return WEIR_OK;
}

/* Copies bytes longer than a view into the heap and makes the view of them. */
static enum weir_code put_long(struct wr_batch_builder *builder, const void *bytes, size_t length,
                               struct wr_view *out_view, struct weir_error *error) {
  if (length > INT32_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "a value of %zu bytes is longer than %d bytes", length, INT32_MAX);
  WR_TRY(reserve_heap(builder, length, error));
  struct wr_heap *heap = builder->heap;
  memcpy(heap->data + heap->used_bytes, bytes, length);
  out_view->length = (int32_t)length;
  memcpy(out_view->prefix, bytes, sizeof out_view->prefix);
  out_view->heap = builder->batch->heap_count - 1;
  out_view->offset = heap->used_bytes;
  heap->used_bytes += (uint32_t)length;
  builder->heap_used_bytes += length;
  return WEIR_OK;
}

enum weir_code wr_batch_builder_set_bytes(struct wr_batch_builder *builder, uint32_t field, const void *bytes,
                                          size_t length, struct weir_error *error) {
  WR_ASSERT(field < builder->schema->field_count);
  enum weir_type type = builder->schema->fields[field].type;
  WR_ASSERT(type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES);
  struct wr_view view = {.length = 0};
  if (length > WR_VIEW_INLINE_MAX) {
    WR_TRY(put_long(builder, bytes, length, &view, error));
  } else if (length != 0) {
    view.length = (int32_t)length;
    memcpy(view.bytes, bytes, length);
  }
  ((struct wr_view *)set_value(builder, field, type))[builder->batch->row_count] = view;
  return WEIR_OK;
}

void wr_batch_builder_end_row(struct wr_batch_builder *builder, enum weir_row_kind kind) {
  struct wr_batch *batch = builder->batch;
  WR_ASSERT(batch != NULL && batch->row_count < builder->capacity_rows);
  WR_ASSERT(batch->row_kinds != NULL || kind == WEIR_INSERT);
  if (batch->row_kinds != NULL) batch->row_kinds[batch->row_count] = (uint8_t)kind;
  batch->row_count++;
  batch->selected_count++;
}

void wr_batch_builder_cancel_row(struct wr_batch_builder *builder) {
  if (builder->batch != NULL && builder->batch->row_count < builder->capacity_rows)
    clear_rows(builder, builder->batch->row_count, 1);
}

/* ---- gather ---- */

/* True when the rows are one unbroken run, which memcpy moves. */
static bool rows_are_run(const uint16_t *rows, uint32_t count) {
  for (uint32_t i = 1; i < count; i++)
    if (rows[i] != rows[0] + i) return false;
  return true;
}

static void gather_values(void *out, const void *values, uint32_t width, const uint16_t *rows, uint32_t count,
                          bool is_run) {
  if (is_run)
    memcpy(out, (const char *)values + (size_t)rows[0] * width, (size_t)count * width);
  else
    wr_gather_values(out, values, width, rows, count);
}

/* Sets `count` validity bits from `first`, of which all are clear. */
static void set_bits(uint64_t *bits, uint32_t first, uint32_t count) {
  while (count != 0) {
    uint32_t shift = first % 64, here = 64 - shift < count ? 64 - shift : count;
    bits[first / 64] |= (here == 64 ? ~0ull : (1ull << here) - 1) << shift;
    first += here;
    count -= here;
  }
}

static void gather_validity(uint64_t *out, uint32_t first, const uint64_t *source, const uint16_t *rows,
                            uint32_t count) {
  if (source == NULL) {
    set_bits(out, first, count);
    return;
  }
  for (uint32_t i = 0; i < count; i++) {
    uint64_t bit = source[rows[i] / 64] >> (rows[i] % 64) & 1;
    out[(first + i) / 64] |= bit << ((first + i) % 64);
  }
}

/* The gathered views still name the source's heaps: copies what is longer than a view. */
static enum weir_code gather_long(struct wr_batch_builder *builder, const struct wr_batch *source,
                                  struct wr_view *views, uint32_t count, struct weir_error *error) {
  uint32_t long_count = 0;
  for (uint32_t i = 0; i < count; i++)
    long_count += views[i].length > WR_VIEW_INLINE_MAX;
  if (long_count == 0) return WEIR_OK;
  for (uint32_t i = 0; i < count; i++) {
    if (views[i].length <= WR_VIEW_INLINE_MAX) continue;
    const char *bytes = wr_view_bytes(source, &views[i]);
    WR_TRY(put_long(builder, bytes, (size_t)views[i].length, &views[i], error));
  }
  return WEIR_OK;
}

static void gather_kinds(struct wr_batch *batch, const struct wr_batch *source, const uint16_t *rows, uint32_t count) {
  if (batch->row_kinds != NULL && source->row_kinds != NULL) {
    wr_gather_values(batch->row_kinds + batch->row_count, source->row_kinds, 1, rows, count);
  } else if (batch->row_kinds != NULL) {
    memset(batch->row_kinds + batch->row_count, WEIR_INSERT, count);
  } else if (source->row_kinds != NULL) {
    unsigned kinds = 0;
    for (uint32_t i = 0; i < count; i++)
      kinds |= source->row_kinds[rows[i]];
    WR_ASSERT(kinds == WEIR_INSERT);
  }
}

enum weir_code wr_batch_builder_gather(struct wr_batch_builder *builder, const struct wr_batch *source,
                                       const uint16_t *rows, uint32_t count, struct weir_error *error) {
  if (count == 0) return WEIR_OK;
  WR_TRY(wr_batch_builder_begin(builder, error));
  struct wr_batch *batch = builder->batch;
  uint32_t first = batch->row_count;
  WR_ASSERT(count <= builder->capacity_rows - first && source->schema->field_count == builder->schema->field_count);
  bool is_run = rows_are_run(rows, count);
  for (uint32_t i = 0; i < builder->schema->field_count; i++) {
    enum weir_type type = builder->schema->fields[i].type;
    struct wr_column *to = &batch->columns[i], *from = &source->columns[i];
    WR_ASSERT(source->schema->fields[i].type == type && (to->validity != NULL || from->validity == NULL));
    uint32_t width = wr_type_width(type);
    void *out = (char *)to->values + (size_t)first * width;
    gather_values(out, from->values, width, rows, count, is_run);
    if (to->validity != NULL) gather_validity(to->validity, first, from->validity, rows, count);
    if (type != WEIR_TYPE_STRING && type != WEIR_TYPE_BYTES) continue;
    enum weir_code code = gather_long(builder, source, out, count, error);
    if (code == WEIR_OK) continue;
    clear_rows(builder, first, count);
    return code;
  }
  gather_kinds(batch, source, rows, count);
  batch->row_count += count;
  batch->selected_count += count;
  return WEIR_OK;
}

/* ---- take ---- */

/* Validity bits that are all set say nothing: without them readers take the short way. */
static void drop_full_validity(struct wr_batch *batch) {
  uint32_t words = batch->row_count / 64, rest = batch->row_count % 64;
  for (uint32_t i = 0; i < batch->schema->field_count; i++) {
    const uint64_t *bits = batch->columns[i].validity;
    if (bits == NULL) continue;
    uint64_t all = ~0ull;
    for (uint32_t word = 0; word < words; word++)
      all &= bits[word];
    if (rest != 0) all &= bits[words] | ~0ull << rest;
    if (all == ~0ull) batch->columns[i].validity = NULL;
  }
}

/* A copy of the batch being built in a block of its own size, with the heaps moved over; NULL: no memory. */
static struct wr_batch *take_small(struct wr_batch_builder *builder) {
  struct wr_batch *from = builder->batch;
  uint32_t rows = from->row_count;
  struct wr_batch *batch = wr_batch_new(builder->memory, builder->schema, rows, builder->has_row_kinds);
  if (batch == NULL) return NULL;
  for (uint32_t i = 0; i < builder->schema->field_count; i++) {
    uint32_t width = wr_type_width(builder->schema->fields[i].type);
    memcpy(batch->columns[i].values, from->columns[i].values, (size_t)rows * width);
    if (from->columns[i].validity == NULL) continue;
    memcpy(batch->columns[i].validity, from->columns[i].validity, (rows + 63) / 64 * sizeof(uint64_t));
  }
  if (from->row_kinds != NULL) memcpy(batch->row_kinds, from->row_kinds, rows);
  size_t heap_bytes = 0;
  for (uint32_t i = 0; i < from->heap_count; i++)
    heap_bytes += sizeof(struct wr_heap) + from->heaps[i]->capacity_bytes;
  batch->row_count = batch->selected_count = rows;
  batch->heaps = from->heaps;
  batch->heap_count = from->heap_count;
  batch->bytes += heap_bytes;
  from->heaps = NULL;
  from->heap_count = 0;
  from->bytes -= heap_bytes;
  clear_rows(builder, 0, rows);
  from->row_count = from->selected_count = 0;
  return batch;
}

struct wr_batch *wr_batch_builder_take(struct wr_batch_builder *builder) {
  if (wr_batch_builder_rows(builder) == 0) return NULL;
  wr_batch_builder_cancel_row(builder);
  struct wr_batch *batch = NULL;
  if (builder->batch->row_count <= builder->capacity_rows / SMALL_BATCH_FRACTION) batch = take_small(builder);
  if (batch == NULL) {
    batch = builder->batch;
    builder->batch = NULL;
  }
  builder->heap = NULL;
  builder->heap_used_bytes = 0;
  drop_full_validity(batch);
  return batch;
}
