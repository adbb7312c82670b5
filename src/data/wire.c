/* data/wire.c: see wire.h. Pure; any thread. All numbers little-endian.
 *
 *   a batch      u32  bytes of what follows
 *                u32  rows, 0 to 4,096: the selected rows, in order
 *                u8   1 when row kinds follow, else 0 (every row is +I)
 *                u8 x rows             row kinds, if any: 0 +I, 1 -U, 2 +U, 3 -D
 *                then per field of the schema:
 *                u8   1 when validity follows, else 0 (no NULL); 0 where the field is not nullable
 *                u8 x (rows + 7) / 8   validity, if any: bit i % 8 of byte i / 8 set: row i is not NULL; the spare
 *                                      bits are clear
 *                fixed width:  rows values as in a column (weir/types.h), a NULL all zero bytes
 *                STRING, BYTES: u32 x rows lengths (a NULL's is 0), then the bytes of all of them without gaps
 *
 *   a schema     u32  fields, 1 to 1,024; then per field:
 *                u8   type, by its place in weir/types.h (BOOLEAN 0, INT 1, BIGINT 2, DOUBLE 3, STRING 4, BYTES 5,
 *                     TIMESTAMP 6)
 *                u8   1 when nullable, else 0
 *                u32  bytes of the name (1 to 255), and the name
 *
 * Whether a STRING is UTF-8 is not looked at again: it was when it came in, and a file's checksum guards it since.
 */
#include "data/wire.h"

#include "base/limits.h"

/* ---- batches out ---- */

static void put_validity(struct wr_bytes *out, const struct wr_batch *batch, const struct wr_column *column) {
  uint32_t rows = batch->selected_count;
  uint8_t *bits = wr_bytes_reserve(out, (rows + 7) / 8);
  if (bits == NULL) return;
  memset(bits, 0, (rows + 7) / 8);
  for (uint32_t i = 0; i < rows; i++)
    if (!wr_column_is_null(column, wr_batch_row(batch, i))) bits[i / 8] |= (uint8_t)(1u << (i % 8));
  out->length += (rows + 7) / 8;
}

static void put_fixed(struct wr_bytes *out, const struct wr_batch *batch, const struct wr_column *column,
                      uint32_t width) {
  uint32_t rows = batch->selected_count;
  if (batch->selection == NULL) {
    wr_bytes_put(out, column->values, (size_t)rows * width);
    return;
  }
  uint8_t *room = wr_bytes_reserve(out, (size_t)rows * width);
  if (room == NULL) return;
  for (uint32_t i = 0; i < rows; i++)
    memcpy(room + (size_t)i * width, (const char *)column->values + (size_t)batch->selection[i] * width, width);
  out->length += (size_t)rows * width;
}

static void put_views(struct wr_bytes *out, const struct wr_batch *batch, const struct wr_column *column) {
  const struct wr_view *views = wr_column_views(column);
  uint32_t rows = batch->selected_count;
  size_t bytes = 0;
  uint8_t *at = wr_bytes_reserve(out, (size_t)rows * 4);
  if (at == NULL) return;
  for (uint32_t i = 0; i < rows; i++, at += 4) {
    uint32_t length = (uint32_t)views[wr_batch_row(batch, i)].length;
    wr_store_u32(at, length);
    bytes += length;
  }
  out->length += (size_t)rows * 4;
  at = wr_bytes_reserve(out, bytes);
  if (at == NULL) return;
  for (uint32_t i = 0; i < rows; i++) {
    const struct wr_view *view = &views[wr_batch_row(batch, i)];
    memcpy(at, wr_view_bytes(batch, view), (size_t)view->length);
    at += view->length;
  }
  out->length += bytes;
}

void wr_wire_put_batch(struct wr_bytes *out, const struct wr_batch *batch) {
  size_t start = out->length;
  wr_bytes_put_u32(out, 0);
  wr_bytes_put_u32(out, batch->selected_count);
  wr_bytes_put_u8(out, batch->row_kinds != NULL);
  if (batch->row_kinds != NULL) put_fixed(out, batch, &(struct wr_column){.values = batch->row_kinds}, 1);
  for (uint32_t i = 0; i < batch->schema->field_count; i++) {
    const struct wr_column *column = &batch->columns[i];
    enum weir_type type = batch->schema->fields[i].type;
    wr_bytes_put_u8(out, column->validity != NULL);
    if (column->validity != NULL) put_validity(out, batch, column);
    if (type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES)
      put_views(out, batch, column);
    else
      put_fixed(out, batch, column, wr_type_width(type));
  }
  if (out->failed) return;
  size_t length = out->length - start - 4;
  if (length > UINT32_MAX) { /* Cannot be said in the length, and is far beyond what a batch may hold. */
    out->failed = true;
    return;
  }
  for (int i = 0; i < 4; i++)
    out->data[start + (size_t)i] = (uint8_t)(length >> (8 * i));
}

/* ---- batches in ---- */

/* A batch on its way in. */
struct batch_reader {
  struct wr_reader in; /* of the encoded batch alone */
  size_t start;        /* where it begins in the caller's bytes, for messages */
  const struct weir_schema *schema;
  struct wr_memory *memory;
  struct wr_batch *batch;
  struct weir_error *error;
};

static enum weir_code damaged(const struct batch_reader *reader, const char *what) {
  return WR_FAIL(reader->error, WEIR_CORRUPT, "an encoded batch is damaged at byte %zu: %s",
                 reader->start + reader->in.position, what);
}

static enum weir_code read_flag(struct batch_reader *reader, bool *out_flag) {
  uint8_t flag = wr_read_u8(&reader->in);
  if (reader->in.failed) return damaged(reader, "it is cut short");
  if (flag > 1) return damaged(reader, "a mark is neither 0 nor 1");
  *out_flag = flag == 1;
  return WEIR_OK;
}

static enum weir_code read_header(struct batch_reader *reader, uint32_t *out_rows, bool *out_kinds) {
  uint32_t rows = wr_read_u32(&reader->in);
  if (rows > WR_BATCH_ROWS_MAX) return damaged(reader, "it has more rows than a batch can have");
  WR_TRY(read_flag(reader, out_kinds));
  size_t least_bytes = *out_kinds ? rows : 0; /* Known before any memory is taken. */
  for (uint32_t i = 0; i < reader->schema->field_count; i++) {
    enum weir_type type = reader->schema->fields[i].type;
    bool views = type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
    least_bytes += 1 + (size_t)rows * (views ? 4 : wr_type_width(type));
  }
  if (least_bytes > reader->in.length - reader->in.position)
    return damaged(reader, "its rows cannot fit into its length");
  *out_rows = rows;
  return WEIR_OK;
}

static enum weir_code read_validity(struct batch_reader *reader, struct wr_column *column, bool nullable) {
  uint32_t rows = reader->batch->row_count;
  bool present = false;
  WR_TRY(read_flag(reader, &present));
  if (!present) {
    column->validity = NULL;
    return WEIR_OK;
  }
  if (!nullable) return damaged(reader, "a field that cannot be NULL has NULLs");
  const uint8_t *bits = wr_read(&reader->in, (rows + 7) / 8);
  if (bits == NULL) return damaged(reader, "it is cut short");
  for (uint32_t i = 0; i < (rows + 7) / 8; i++)
    column->validity[i / 8] |= (uint64_t)bits[i] << (i % 8 * 8);
  if (rows % 64 != 0 && column->validity[rows / 64] >> (rows % 64) != 0)
    return damaged(reader, "validity bits beyond its rows are set");
  return WEIR_OK;
}

static bool is_zero(const void *bytes, size_t length) {
  const uint8_t *byte = bytes;
  unsigned any = 0;
  for (size_t i = 0; i < length; i++)
    any |= byte[i];
  return any == 0;
}

static enum weir_code check_values(const struct batch_reader *reader, const struct wr_column *column,
                                   enum weir_type type) {
  uint32_t rows = reader->batch->row_count, width = wr_type_width(type);
  if (type == WEIR_TYPE_BOOLEAN) {
    for (uint32_t i = 0; i < rows; i++)
      if (((const uint8_t *)column->values)[i] > 1) return damaged(reader, "a BOOLEAN is neither 0 nor 1");
  }
  if (type == WEIR_TYPE_TIMESTAMP) {
    const struct weir_timestamp *times = column->values;
    for (uint32_t i = 0; i < rows; i++)
      if (times[i].nanoseconds < 0 || times[i].nanoseconds > 999999 || times[i].zero != 0)
        return damaged(reader, "a TIMESTAMP has nanoseconds out of their range");
  }
  if (column->validity == NULL) return WEIR_OK;
  for (uint32_t i = 0; i < rows; i++)
    if (wr_column_is_null(column, i) && !is_zero((const char *)column->values + (size_t)i * width, width))
      return damaged(reader, "a NULL has a value");
  return WEIR_OK;
}

static enum weir_code read_fixed(struct batch_reader *reader, const struct wr_column *column, enum weir_type type) {
  size_t bytes = (size_t)reader->batch->row_count * wr_type_width(type);
  const uint8_t *values = wr_read(&reader->in, bytes);
  if (values == NULL) return damaged(reader, "it is cut short");
  if (bytes != 0) memcpy(column->values, values, bytes);
  return check_values(reader, column, type);
}

/* Reads the lengths into the views; sums up all of them, and those that need a heap. */
static enum weir_code read_lengths(struct batch_reader *reader, const struct wr_column *column,
                                   size_t *out_heap_bytes) {
  struct wr_view *views = column->values;
  size_t all_bytes = 0, heap_bytes = 0;
  const uint8_t *lengths = wr_read(&reader->in, (size_t)reader->batch->row_count * 4);
  if (lengths == NULL) return damaged(reader, "it is cut short");
  for (uint32_t i = 0; i < reader->batch->row_count; i++) {
    uint32_t length = wr_load_u32(lengths + (size_t)i * 4);
    if (length > INT32_MAX) return damaged(reader, "a value is longer than a value can be");
    if (length != 0 && wr_column_is_null(column, i)) return damaged(reader, "a NULL has a length");
    views[i].length = (int32_t)length;
    all_bytes += length;
    if (length > WR_VIEW_INLINE_MAX) heap_bytes += length;
  }
  if (all_bytes > reader->in.length - reader->in.position)
    return damaged(reader, "its values cannot fit into its length");
  *out_heap_bytes = heap_bytes;
  return WEIR_OK;
}

static enum weir_code read_views(struct batch_reader *reader, const struct wr_column *column) {
  struct wr_view *views = column->values;
  size_t heap_bytes = 0;
  WR_TRY(read_lengths(reader, column, &heap_bytes));
  struct wr_heap *heap = NULL;
  if (heap_bytes != 0) {
    heap = wr_heap_new(reader->memory, heap_bytes);
    if (heap == NULL || !wr_batch_add_heap(reader->batch, heap)) {
      wr_heap_unref(heap);
      return WR_FAIL(reader->error, WEIR_NO_MEMORY, "out of memory for the strings of a batch (%zu bytes)", heap_bytes);
    }
  }
  const uint8_t *bytes = reader->in.data + reader->in.position; /* of the next value; all of them fit */
  for (uint32_t i = 0; i < reader->batch->row_count; bytes += views[i++].length) {
    size_t length = (size_t)views[i].length;
    if (length <= WR_VIEW_INLINE_MAX) {
      memcpy(views[i].bytes, bytes, length);
      continue;
    }
    memcpy(views[i].prefix, bytes, sizeof views[i].prefix);
    views[i].heap = reader->batch->heap_count - 1;
    views[i].offset = heap->used_bytes;
    memcpy(heap->data + heap->used_bytes, bytes, length);
    heap->used_bytes += (uint32_t)length;
  }
  reader->in.position = (size_t)(bytes - reader->in.data);
  return WEIR_OK;
}

static enum weir_code read_kinds(struct batch_reader *reader) {
  uint32_t rows = reader->batch->row_count;
  const uint8_t *kinds = wr_read(&reader->in, rows);
  if (kinds == NULL) return damaged(reader, "it is cut short");
  for (uint32_t i = 0; i < rows; i++) {
    if (kinds[i] > WEIR_DELETE) return damaged(reader, "a row kind is unknown");
    reader->batch->row_kinds[i] = kinds[i];
  }
  return WEIR_OK;
}

static enum weir_code read_columns(struct batch_reader *reader) {
  for (uint32_t i = 0; i < reader->schema->field_count; i++) {
    const struct weir_field *field = &reader->schema->fields[i];
    struct wr_column *column = &reader->batch->columns[i];
    WR_TRY(read_validity(reader, column, field->nullable));
    if (field->type == WEIR_TYPE_STRING || field->type == WEIR_TYPE_BYTES)
      WR_TRY(read_views(reader, column));
    else
      WR_TRY(read_fixed(reader, column, field->type));
  }
  if (reader->in.position != reader->in.length) return damaged(reader, "bytes follow its last column");
  return WEIR_OK;
}

static enum weir_code read_all(struct batch_reader *reader) {
  uint32_t rows = 0;
  bool has_row_kinds = false;
  WR_TRY(read_header(reader, &rows, &has_row_kinds));
  reader->batch = wr_batch_new(reader->memory, reader->schema, rows, has_row_kinds);
  if (reader->batch == NULL)
    return WR_FAIL(reader->error, WEIR_NO_MEMORY, "out of memory for a batch of %u rows", rows);
  reader->batch->row_count = reader->batch->selected_count = rows;
  if (has_row_kinds) WR_TRY(read_kinds(reader));
  return read_columns(reader);
}

enum weir_code wr_wire_read_batch(struct wr_reader *reader, const struct weir_schema *schema, struct wr_memory *memory,
                                  struct wr_batch **out_batch, struct weir_error *error) {
  *out_batch = NULL;
  size_t start = reader->position, length = 0;
  const uint8_t *data = wr_read_block(reader, &length);
  struct batch_reader batch_reader = {
      .in = wr_reader_of(data, length), .start = start + 4, .schema = schema, .memory = memory, .error = error};
  if (data == NULL)
    return WR_FAIL(error, WEIR_CORRUPT, "an encoded batch at byte %zu is cut short: only %zu bytes are left", start,
                   reader->length - start);
  enum weir_code code = read_all(&batch_reader);
  if (code == WEIR_OK) {
    *out_batch = batch_reader.batch;
  } else {
    wr_batch_unref(batch_reader.batch);
    reader->failed = true;
  }
  return code;
}

/* ---- schemas ---- */

void wr_wire_put_schema(struct wr_bytes *out, const struct weir_schema *schema) {
  wr_bytes_put_u32(out, schema->field_count);
  for (uint32_t i = 0; i < schema->field_count; i++) {
    wr_bytes_put_u8(out, (uint8_t)schema->fields[i].type);
    wr_bytes_put_u8(out, schema->fields[i].nullable);
    wr_bytes_put_string(out, schema->fields[i].name);
  }
}

static enum weir_code schema_damaged(const struct wr_reader *reader, const char *what, struct weir_error *error) {
  return WR_FAIL(error, WEIR_CORRUPT, "an encoded schema is damaged at byte %zu: %s", reader->position, what);
}

/* Walks over an encoded schema and sums up the memory that its names need. */
static enum weir_code measure_schema(struct wr_reader reader, uint32_t *out_fields, size_t *out_name_bytes,
                                     struct weir_error *error) {
  uint32_t fields = wr_read_u32(&reader);
  if (reader.failed || fields == 0 || fields > WR_FIELDS_MAX)
    return schema_damaged(&reader, "it has no fields, or too many", error);
  size_t name_bytes = 0;
  for (uint32_t i = 0; i < fields; i++) {
    uint8_t type = wr_read_u8(&reader), nullable = wr_read_u8(&reader);
    size_t length = 0;
    const uint8_t *name = wr_read_block(&reader, &length);
    if (reader.failed) return schema_damaged(&reader, "it is cut short", error);
    if (type >= WEIR_TYPE_COUNT) return schema_damaged(&reader, "a type is unknown", error);
    if (nullable > 1) return schema_damaged(&reader, "a mark is neither 0 nor 1", error);
    if (length == 0 || length > WR_NAME_BYTES_MAX || memchr(name, 0, length) != NULL)
      return schema_damaged(&reader, "a name is empty, too long or holds a zero byte", error);
    name_bytes += length + 1;
  }
  *out_fields = fields;
  *out_name_bytes = name_bytes;
  return WEIR_OK;
}

enum weir_code wr_wire_read_schema(struct wr_reader *reader, struct wr_memory *memory, struct weir_schema **out_schema,
                                   struct weir_error *error) {
  *out_schema = NULL;
  uint32_t field_count = 0;
  size_t name_bytes = 0;
  WR_TRY(measure_schema(*reader, &field_count, &name_bytes, error));
  struct weir_schema *schema =
      wr_alloc(memory, sizeof *schema + field_count * sizeof(struct weir_field) + name_bytes, WR_MEMORY_ENGINE);
  if (schema == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a schema of %u fields", field_count);
  struct weir_field *fields = (struct weir_field *)(void *)(schema + 1);
  char *name = (char *)(fields + field_count);
  wr_read_u32(reader);
  for (uint32_t i = 0; i < field_count; i++) {
    fields[i].type = (enum weir_type)wr_read_u8(reader);
    fields[i].nullable = wr_read_u8(reader) == 1;
    fields[i].name = name;
    size_t length = 0;
    const uint8_t *bytes = wr_read_block(reader, &length);
    memcpy(name, bytes, length);
    name[length] = 0;
    name += length + 1;
  }
  *schema = (struct weir_schema){.fields = fields, .field_count = field_count};
  struct weir_error reason;
  if (wr_schema_check(schema, &reason) != WEIR_OK) {
    wr_free(memory, schema);
    return schema_damaged(reader, reason.message, error);
  }
  *out_schema = schema;
  return WEIR_OK;
}
